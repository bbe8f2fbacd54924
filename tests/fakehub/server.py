"""The fake Hub itself: four loopback hosts on one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakehub.accounts import Accounts
from tests.fakehub.connection import Connection
from tests.fakehub.faults import Fault, Occasion
from tests.fakehub.hub_api import HubApi, Switches
from tests.fakehub.journal import Entry, Journal
from tests.fakehub.limits import Limits
from tests.fakehub.messages import HOSTS, Host, Reply, Request, json_reply
from tests.fakehub.registry import Cdn, Registry
from tests.fakehub.token_server import TokenServer
from tests.fakehub.world import World

LOOPBACK = "127.0.0.1"
BACKLOG = 512


class FakeHub:
    """A Docker Hub on loopback for as long as the `with` block lasts."""

    def __init__(
        self,
        world: World | None = None,
        *,
        limits: Limits | None = None,
        users: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
        switches: Switches | None = None,
        journal_path: Path | None = None,
        ports: Mapping[Host, int] | None = None,
    ) -> None:
        self.world = world if world is not None else World.small()
        self.limits = limits if limits is not None else Limits()
        self.switches = switches if switches is not None else Switches()
        self.journal = Journal(journal_path)
        self.accounts = Accounts(users or {}, clock)
        self._clock = clock
        self._ports: dict[Host, int] = {host: (ports or {}).get(host, 0) for host in HOSTS}
        self.hub_api = HubApi(self.world, self.accounts, self.limits, self.switches, clock)
        self.registry = Registry(self.world, self.accounts, self.limits, clock)
        token_server = TokenServer(self.world, self.accounts, self.limits, clock)
        self._answers: dict[Host, Callable[[Request], Reply]] = {
            "hub": self.hub_api.answer,
            "auth": token_server.answer,
            "registry": self.registry.answer,
            "cdn": Cdn(self.world, clock).answer,
        }
        self._faults: list[Fault] = []
        self._faults_lock = threading.Lock()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def hub_url(self) -> str:
        return self._url("hub")

    @property
    def auth_url(self) -> str:
        return self._url("auth")

    @property
    def registry_url(self) -> str:
        return self._url("registry")

    @property
    def cdn_url(self) -> str:
        return self._url("cdn")

    @property
    def ports(self) -> dict[Host, int]:
        """The port of each host, to start another server in the same place."""
        return dict(self._ports)

    def environment(self) -> dict[str, str]:
        """The settings that point a harvester at this server."""
        return {
            "HARVESTER_HUB_URL": self.hub_url,
            "HARVESTER_AUTH_URL": self.auth_url,
            "HARVESTER_REGISTRY_URL": self.registry_url,
        }

    def start(self) -> None:
        """Listen on all four ports; returns when they are open."""
        self._thread = threading.Thread(target=self._run, name="fakehub", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Drop every connection, hanging ones too, and close the ports."""
        if self._loop is not None and self._stopping is not None and self._thread is not None:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self.journal.close()

    def fault(self, fault: Fault) -> Fault:
        """Arm a fault; the first armed one that takes a request answers it."""
        with self._faults_lock:
            self._faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        with self._faults_lock:
            self._faults.clear()

    def requests(self, *, host: Host | None = None, path_contains: str = "", method: str | None = None) -> list[Entry]:
        """The journal's entries that match, in the order of arrival."""
        return [
            entry
            for entry in self.journal
            if host in (None, entry.host) and method in (None, entry.method) and path_contains in entry.path
        ]

    def _url(self, host: Host) -> str:
        return f"http://{LOOPBACK}:{self._ports[host]}"

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:  # a port that is taken: handed to the thread that waits in start()
            self._failure = error
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        servers: list[asyncio.Server] = []
        try:
            for host in HOSTS:
                server = await asyncio.start_server(
                    self._accepting(host), LOOPBACK, self._ports[host], backlog=BACKLOG, limit=2**20
                )
                servers.append(server)
                self._ports[host] = server.sockets[0].getsockname()[1]
            self.hub_api.base_url = self.hub_url
            self.registry.auth_url, self.registry.cdn_url = self.auth_url, self.cdn_url
            self._started.set()
            await self._stopping.wait()
        finally:
            for server in servers:
                server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            # Transports close in a callback of the next turn of the loop.
            await asyncio.sleep(0)

    def _accepting(self, host: Host) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._talk(host, reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        return accept

    async def _talk(self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connection = Connection(host, (reader, writer), self._reply, self._clock)
            await connection.serve()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()

    def reply(self, request: Request) -> Reply:
        """What this request gets and the journal's entry of it, without a connection."""
        return self._reply(request)

    def _reply(self, request: Request) -> Reply:
        fault = self._fault_for(request)
        try:
            if fault is None:
                reply = self._answers[request.host](request)
            else:
                normal = self._answers[request.host]
                reply = fault.answer(Occasion(request, self._clock(), self._url(request.host), lambda: normal(request)))
        except Exception as error:
            reply = json_reply(599, {"fakehub": f"{type(error).__name__}: {error}"})
        self.journal.append(
            Entry(
                at=self._clock(),
                host=request.host,
                method=request.method,
                path=request.path,
                query=request.query,
                status=reply.status,
                signed_in=reply.account is not None,
                headers=request.headers,
                budget=reply.budget,
                address=request.address,
                is_fault=fault is not None,
            )
        )
        return reply

    def _fault_for(self, request: Request) -> Fault | None:
        if not self._faults:
            return None
        with self._faults_lock:
            return next((fault for fault in self._faults if fault.takes(request)), None)
