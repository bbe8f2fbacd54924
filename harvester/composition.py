"""The parts put together, once: what `backfill` needs, and whatever works the queue. Rank 6."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Connection, Engine

from harvester import __version__
from harvester.clock import Clock
from harvester.config import Settings, user_agent
from harvester.egress import Egress, routes, shards_of
from harvester.errors import CredentialsRefused, StoreError
from harvester.gate import Gate
from harvester.handlers import Clients, abandoned, expect, handle
from harvester.jobs import Lane
from harvester.limiter import Limiter
from harvester.store import buckets, migrate, processes, queue
from harvester.store.buckets import Bucket, Pace
from harvester.store.engine import database_url, open_reader, open_writer, shown
from harvester.store.moment import Moment
from harvester.store.reading import read
from harvester.store.writer import Writer
from harvester.ways import SLOTS, Route
from harvester.wire.hub import Hub
from harvester.wire.permits import Budget
from harvester.wire.registry import Registry
from harvester.wire.tokens import Credentials, HubTokens, Memory, RegistryTokens
from harvester.wire.transport import Inner, OnAnswer, Transport, unheard
from harvester.worker import Report, Worker

SHARE = 0.98
"""Part of the far end's limit that is used at the most (contract, 2)."""

HUB_PER_MINUTE = 150
"""The Hub pace until a header has said what the limit is."""

FREE_PER_MINUTE = 180
"""Registry requests that count against nothing but the abuse limit (wire reference, 13.2)."""

TOKENS_PER_MINUTE = 60
LOGINS_PER_MINUTE = 6

PULL_WINDOW_S = 3600.0
PULLS_UNTIL_TOLD = 100

REFUSED_S = 3600.0
"""A credential that was refused is not tried again for this long, restarts included (contract, 5)."""


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outlet:
    """One route, opened: nothing of it is shared with another."""

    egress: Egress
    shards: tuple[int, ...] | None
    """The parts of all namespaces that are asked about by it; null for all."""
    limiter: Limiter
    transport: Transport
    clients: Clients


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process that works the queue is made of."""

    writer: Writer
    reader: Engine
    outlets: tuple[Outlet, ...]
    owner: str
    gate: Gate
    """Closed while what is asked could not be stored; somebody has to `look` every `gate.LOOK_S`."""
    command: str | None = None
    """As which this process is announced on the database; null: as nothing."""

    @property
    def requests(self) -> dict[Budget, int]:
        """Requests sent by all routes, by the first budget of each."""
        total: Counter[Budget] = Counter()
        for outlet in self.outlets:
            total.update(outlet.transport.requests)
        return dict(total)

    @property
    def redirects(self) -> int:
        """Redirects followed on all routes."""
        return sum(outlet.transport.redirects for outlet in self.outlets)

    async def flush(self) -> None:
        """Write down what the far end's headers said last."""
        for outlet in self.outlets:
            await outlet.limiter.flush()

    async def announce(self, clock: Clock) -> None:
        """Say that this process works on the database. Raises `SchemaMismatch` when that was upgraded meanwhile."""
        if self.command is None:
            return
        command = self.command

        def say(connection: Connection) -> None:
            migrate.check(connection)
            now = Moment.of(clock.time())
            if not processes.renew(connection, self.owner, now):
                processes.announce(connection, self.owner, command, __version__, now)

        await self.writer.call(say)

    async def leave(self) -> None:
        """Say that it does no more."""
        if self.command is not None:
            await self.writer.call(lambda connection: processes.leave(connection, self.owner))


def open_store(settings: Settings, clock: Clock | None = None, *, may_upgrade: bool = True) -> Engine:
    """The writing engine, its database created or brought up to date.

    Where it `may_upgrade` nothing, only a database that holds nothing yet is given a schema. Raises `ConfigError`, and
    `SchemaMismatch` also where somebody works on an older one.
    """
    engine = open_writer(database_url(settings.database))
    try:
        if not may_upgrade:
            with engine.begin() as connection:
                if migrate.current(connection) is not None:
                    migrate.check(connection)
        done = migrate.upgrade(engine, clock)
    except BaseException:
        engine.dispose()
        raise
    if done:
        log.info(f"database.{done}", database=shown(engine.url))
    return engine


@asynccontextmanager
async def assembled(
    settings: Settings,
    engine: Engine,
    clock: Clock,
    *,
    credential: tuple[str, str] | None,
    on_hold: Callable[[Budget, float, str], None],
    on_answer: OnAnswer = unheard,
    inner: Inner | None = None,
    command: str | None = None,
) -> AsyncIterator[Parts]:
    """The parts, opened and at the end closed in order. `inner` answers in place of the network.

    With a `command` the process is announced under that name for as long. `on_answer` is told of each request. Raises `ConfigError`
    for a route that nothing can be sent by, `CredentialsRefused` when the far end refused this credential less than an hour ago,
    `SchemaMismatch` when somebody upgraded the database since it was opened.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    writer = Writer(engine, clock, owner, settings.pull_interval_s)
    reader = open_reader(engine.url)
    outlets: list[Outlet] = []
    try:
        memory = Memory() if credential is None else await _memory(writer, clock, credential)
        ways = routes(settings.egress, settings.proxy)
        for index, way in enumerate(ways):
            name = way.name if len(ways) > 1 else None
            limiter = Limiter(
                writer=writer,
                clock=clock,
                paces=paces(settings),
                identity="account" if credential else "anonymous",
                route=way.name,
                on_hold=on_hold if name is None else partial(_hold_of_route, name, on_hold),
            )
            await limiter.open()
            transport = Transport(
                permits=limiter,
                user_agent=user_agent(settings, __version__),
                clock=clock,
                route=name,
                proxy=way.proxy,
                local_address=way.address,
                connections=sum(SLOTS.values()),
                on_answer=on_answer,
                inner=inner(way) if inner is not None else None,
            )
            clients = _clients(settings, transport, clock, credential, memory)
            outlets.append(Outlet(way, shards_of(index, ways), limiter, transport, clients))
        gate = Gate(engine.url, clock, wal_mb=settings.wal_mb, keep_free_mb=settings.keep_free_mb)
        parts = Parts(writer, reader, tuple(outlets), owner, gate, command)
        await parts.announce(clock)
        try:
            yield parts
            try:
                await parts.flush()
            except StoreError as error:
                log.warning("budgets.not_written", reason=error.message)
        finally:
            # Where that cannot be written either, the row counts for a minute more.
            with contextlib.suppress(StoreError):
                await parts.leave()
    finally:
        for outlet in outlets:
            await outlet.transport.aclose()
        await asyncio.to_thread(writer.close)
        reader.dispose()


def worker_of(
    parts: Parts, clock: Clock, *, run_id: int | None, on_report: Callable[[Report], None], idle_s: float | None = None
) -> Worker:
    """A worker on these parts, on the jobs of one run or of all."""

    async def is_due(lane: Lane, shards: tuple[int, ...] | None) -> bool:
        return await read(parts.reader, partial(queue.is_due, lane=lane, now=Moment.of(clock.time()), shards=shards))

    async def on_tick() -> None:
        await parts.flush()
        await parts.announce(clock)

    return Worker(
        writer=parts.writer,
        clock=clock,
        owner=parts.owner,
        routes=[
            Route(
                outlet.egress.name,
                outlet.shards,
                partial(handle, clients=outlet.clients),
                partial(expect, clients=outlet.clients),
            )
            for outlet in parts.outlets
        ],
        abandoned=abandoned,
        on_report=on_report,
        on_tick=on_tick,
        is_due=is_due,
        run_id=run_id,
        idle_s=idle_s,
        may_claim=parts.gate.closed_reason,
    )


def paces(settings: Settings) -> dict[Budget, Pace]:
    """What the configuration says of each budget before any header does."""
    own = settings.hub_per_minute
    return {
        "hub": Pace(own or HUB_PER_MINUTE, 60.0, ceiling=own, share=SHARE),
        # Counted in the Hub's budget as well: it holds back where headers tell of a limit of its own.
        "search": Pace(own or HUB_PER_MINUTE, 60.0, ceiling=own, share=SHARE, only_if_told=True),
        "registry": Pace(FREE_PER_MINUTE, 60.0),
        "tokens": Pace(TOKENS_PER_MINUTE, 60.0),
        "logins": Pace(LOGINS_PER_MINUTE, 60.0),
        "pulls": _pull_pace(settings),
    }


def _pull_pace(settings: Settings) -> Pace:
    if settings.pulls is not None:
        return Pace(settings.pulls, PULL_WINDOW_S, ceiling=settings.pulls)
    if settings.pull_reserve.endswith("%"):
        share = 1 - int(settings.pull_reserve[:-1]) / 100
        return Pace(int(PULLS_UNTIL_TOLD * share), PULL_WINDOW_S, share=share)
    reserve = int(settings.pull_reserve)
    return Pace(max(PULLS_UNTIL_TOLD, reserve), PULL_WINDOW_S, reserve=reserve)


def _hold_of_route(
    route: str, on_hold: Callable[[Budget, float, str], None], budget: Budget, seconds: float, reason: str
) -> None:
    on_hold(budget, seconds, f"{reason} (route {route})")


async def _memory(writer: Writer, clock: Clock, credential: tuple[str, str]) -> Memory:
    """What is known of the credential. Raises `CredentialsRefused` when it was refused less than an hour ago."""
    bucket = Bucket("credential", "-", await asyncio.to_thread(hash_of, *credential))
    if (left := await writer.call(lambda connection: buckets.closed_for(connection, bucket, clock.time()))) > 0:
        raise CredentialsRefused(
            f"the far end refused these credentials; they are not tried again for {left / 60:.0f} min. Check "
            "DOCKERHUB_USERNAME and DOCKERHUB_TOKEN, or go on without"
        )

    async def remember() -> None:
        def note(connection: Connection) -> None:
            now = clock.time()
            buckets.configure(connection, bucket, Pace(1, REFUSED_S), now)
            buckets.close(connection, bucket, REFUSED_S, "refused", now)

        await writer.call(note)

    return Memory(remember)


def _clients(
    settings: Settings, transport: Transport, clock: Clock, credential: tuple[str, str] | None, memory: Memory
) -> Clients:
    owned = None if credential is None else Credentials(*credential)
    hub_tokens = None
    if owned is not None:
        hub_tokens = HubTokens(transport, settings.hub_url, credentials=owned, clock=clock, memory=memory)
    registry_tokens = RegistryTokens(transport, settings.auth_url, clock=clock, credentials=owned, memory=memory)
    return Clients(
        hub=Hub(transport, settings.hub_url, hub_tokens),
        registry=Registry(transport, settings.registry_url, registry_tokens),
    )


def hash_of(username: str, secret: str) -> str:
    """What a refused credential is remembered by: slow to compute, so that a weak password cannot be guessed from it."""
    return hashlib.scrypt(secret.encode(), salt=f"harvester:{username}".encode(), n=2**14, r=8, p=1, dklen=16).hex()
