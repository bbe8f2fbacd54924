"""A receiver of webhooks on loopback: takes notes, answers as it is told, goes away and comes back on the same port."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self


class Noted(NamedTuple):
    """One request as it came."""

    path: str
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes
    status: int
    """What it was answered with; 0: nothing."""

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """Not listening until `open`; every change of mind holds from the next request on."""

    def __init__(self) -> None:
        self.journal: list[Noted] = []
        self.status: Callable[[dict[str, Any]], int] = lambda event: 200
        self.headers: dict[str, str] = {}
        self.answer = b"{}"
        self.before_answer: Callable[[], None] = lambda: None
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()
        self.open()
        assert self._server is not None
        self._port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/hooks/T0/very-secret-path"

    @property
    def taken(self) -> list[dict[str, Any]]:
        """Events that were answered with success, in the order of their answers."""
        return [noted.event for noted in self.journal if 200 <= noted.status < 300]

    def open(self) -> None:
        """Listen."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        status = self.status(json.loads(body))
        with self._lock:
            self.journal.append(Noted(handler.path, headers, body, status))
        self.before_answer()
        handler.close_connection = True
        if not status:
            return
        try:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(self.answer)), "Connection": "close", **self.headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(self.answer)
        except OSError:
            # Whoever asked was killed.
            return
