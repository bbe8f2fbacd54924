"""The local port: `/metrics`, `/healthz`, `/readyz`. Rank 7.

It runs in threads of its own, so that it answers when nothing else does, and no caller can hold it up: connections are few and
short, and where all are taken the oldest makes room.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, ThreadingTCPServer
from typing import Any

import structlog

log = structlog.get_logger(__name__)

MOST_CONNECTIONS = 16

LONGEST_S = 5.0
"""A connection that is open for so long is closed, whatever it is doing."""

LOOK_S = 0.5
"""How often that is looked at."""

PATHS = ("/metrics", "/healthz", "/readyz")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PLAIN_TYPE = "text/plain; charset=utf-8"

Why = Callable[[], str | None]
"""Null: yes; else the reason why not, in one line."""


class HealthServer:
    """Answers on one address until it is closed."""

    def __init__(
        self,
        listen: str,
        text: Callable[[], bytes],
        is_alive: Why,
        is_ready: Why,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`listen` is HOST:PORT (`[::1]:9464` for IPv6) or `off`; the rest is called from other threads, at any time."""
        self._listen = listen
        self._answers: dict[str, Callable[[], tuple[HTTPStatus, str, bytes]]] = {
            "/metrics": lambda: (HTTPStatus.OK, METRICS_TYPE, text()),
            "/healthz": lambda: _verdict(is_alive),
            "/readyz": lambda: _verdict(is_ready),
        }
        self._monotonic = monotonic
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> bool:
        """Begin to answer. False where it is `off` or the address cannot be had, which a line in the log says; that is no error."""
        if self._listen == "off":
            log.info("metrics.off")
            return False
        host, _, port = self._listen.rpartition(":")
        try:
            self._server = _Server(host.strip("[]"), int(port), self._answers, self._monotonic)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            log.warning(
                "metrics.not_served", listen=self._listen, reason=reason, next="the rest goes on; set metrics.listen"
            )
            return False
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": LOOK_S}, name="health", daemon=True
        )
        self._thread.start()
        log.info("metrics.served", listen=self.address)
        return True

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None

    @property
    def address(self) -> str:
        """HOST:PORT that it answers on, with the port that was given for 0; empty where it does not."""
        if self._server is None:
            return ""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return 0 if self._server is None else self._server.open_connections


def _verdict(why: Why) -> tuple[HTTPStatus, str, bytes]:
    reason = why()
    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
    line = "ok" if reason is None else " ".join(reason.split())
    return status, PLAIN_TYPE, f"{line}\n".encode()


class _Server(ThreadingTCPServer):
    # Not http.server's own: it asks the name service for the name of its address.
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        host: str,
        port: int,
        answers: dict[str, Callable[[], tuple[HTTPStatus, str, bytes]]],
        monotonic: Callable[[], float],
    ) -> None:
        self.answers = answers
        self._monotonic = monotonic
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self._pause = threading.Event()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._open)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            # No file descriptor is left: the caller goes on waiting at the door, and would be asked in again at once.
            self._pause.wait(LOOK_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._open) >= MOST_CONNECTIONS:
                self._end(next(iter(self._open)))
            self._open[request] = self._monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        with self._lock:
            oldest = self._monotonic() - LONGEST_S
            for request in [one for one, since in self._open.items() if since <= oldest]:
                self._end(request)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            for request in list(self._open):
                self._end(request)

    def _end(self, request: socket.socket) -> None:
        """Let its thread find it closed; that one lets go of it."""
        del self._open[request]
        try:
            request.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("metrics.caller_lost")


class _Handler(BaseHTTPRequestHandler):
    server_version = "harvester"
    sys_version = ""

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        assert isinstance(server, _Server)
        self._answers = server.answers
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        """One of the three, or 404."""
        ask = self._answers.get(self.path.partition("?")[0])
        if ask is None:
            self._answer(HTTPStatus.NOT_FOUND, PLAIN_TYPE, f"not here; there are {', '.join(PATHS)}\n".encode())
            return
        try:
            status, kind, body = ask()
        except Exception as error:
            log.error("metrics.failed", path=self.path.partition("?")[0], reason=repr(error))
            status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, PLAIN_TYPE, b"failed; see the log\n"
        self._answer(status, kind, body)

    def do_HEAD(self) -> None:
        """The same without its body."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What cannot be read, and methods that there are none of: one plain line."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self.close_connection = True
        self._answer(status, PLAIN_TYPE, f"{status.phrase}\n".encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """The program's name and no version: nobody has to know."""
        return self.server_version

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line per scrape is of no use to anybody."""
