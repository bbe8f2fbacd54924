"""The parts put together, once: what `backfill` needs, and whatever works the queue. Rank 6."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Connection, Engine

from harvester import __version__
from harvester.clock import Clock
from harvester.config import Settings, user_agent
from harvester.errors import CredentialsRefused, StoreError
from harvester.handlers import Clients, abandoned, handle
from harvester.jobs import Lane
from harvester.limiter import Limiter
from harvester.store import buckets, migrate, queue
from harvester.store.buckets import Bucket, Pace
from harvester.store.engine import database_url, open_reader, open_writer, shown
from harvester.store.moment import Moment
from harvester.store.writer import Writer
from harvester.wire.hub import Hub
from harvester.wire.permits import Budget
from harvester.wire.registry import Registry
from harvester.wire.tokens import Credentials, HubTokens, RegistryTokens
from harvester.wire.transport import Transport
from harvester.worker import Report, Worker

SHARE = 0.98
"""Part of the far end's limit that is used at the most (contract, 2)."""

HUB_PER_MINUTE = 150
"""The Hub pace until a header has said what the limit is."""

FREE_PER_MINUTE = 120
"""Registry requests that count against nothing but the abuse limit (wire reference, 13.2)."""

TOKENS_PER_MINUTE = 60
LOGINS_PER_MINUTE = 6

PULL_WINDOW_S = 3600.0
PULLS_UNTIL_TOLD = 100

REFUSED_S = 3600.0
"""A credential that was refused is not tried again for this long, restarts included (contract, 5)."""


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process that works the queue is made of."""

    writer: Writer
    reader: Engine
    limiter: Limiter
    transport: Transport
    clients: Clients
    owner: str


def open_store(settings: Settings) -> Engine:
    """The writing engine, its database created or brought up to date. Raises `ConfigError`, `SchemaMismatch`."""
    engine = open_writer(database_url(settings.database))
    if done := migrate.upgrade(engine):
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
) -> AsyncIterator[Parts]:
    """The parts, opened and at the end closed in order.

    Raises `CredentialsRefused` when the far end refused this credential less than an hour ago.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    writer = Writer(engine, clock, owner)
    reader = open_reader(engine.url)
    limiter = Limiter(
        writer=writer,
        clock=clock,
        paces=paces(settings),
        identity="account" if credential else "anonymous",
        on_hold=on_hold,
    )
    transport: Transport | None = None
    try:
        await limiter.open()
        agent = user_agent(settings, __version__)
        transport = Transport(permits=limiter, user_agent=agent, clock=clock, proxy=settings.proxy)
        clients = await _clients(settings, transport, writer, clock, credential)
        yield Parts(writer, reader, limiter, transport, clients, owner)
        try:
            await limiter.flush()
        except StoreError as error:
            log.warning("budgets.not_written", reason=error.message)
    finally:
        if transport is not None:
            await transport.aclose()
        await asyncio.to_thread(writer.close)
        reader.dispose()


def worker_of(parts: Parts, clock: Clock, *, run_id: int | None, on_report: Callable[[Report], None]) -> Worker:
    """A worker on these parts."""

    async def is_due(lane: Lane) -> bool:
        def ask() -> bool:
            with parts.reader.begin() as connection:
                return queue.is_due(connection, lane, Moment.of(clock.time()))

        return await asyncio.to_thread(ask)

    return Worker(
        writer=parts.writer,
        clock=clock,
        owner=parts.owner,
        handle=partial(handle, clients=parts.clients),
        abandoned=abandoned,
        on_report=on_report,
        on_tick=parts.limiter.flush,
        is_due=is_due,
        run_id=run_id,
    )


def paces(settings: Settings) -> dict[Budget, Pace]:
    """What the configuration says of each budget before any header does."""
    own = settings.hub_per_minute
    return {
        "hub": Pace(own or HUB_PER_MINUTE, 60.0, ceiling=own, share=SHARE),
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


async def _clients(
    settings: Settings, transport: Transport, writer: Writer, clock: Clock, credential: tuple[str, str] | None
) -> Clients:
    if credential is None:
        registry_tokens = RegistryTokens(transport, settings.auth_url, clock=clock)
        return Clients(
            hub=Hub(transport, settings.hub_url), registry=Registry(transport, settings.registry_url, registry_tokens)
        )
    bucket = Bucket("credential", "-", await asyncio.to_thread(_hash, *credential))
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

    owned = Credentials(*credential)
    hub_tokens = HubTokens(transport, settings.hub_url, credentials=owned, clock=clock, on_refused=remember)
    registry_tokens = RegistryTokens(transport, settings.auth_url, clock=clock, credentials=owned, on_refused=remember)
    return Clients(
        hub=Hub(transport, settings.hub_url, hub_tokens),
        registry=Registry(transport, settings.registry_url, registry_tokens),
    )


def _hash(username: str, secret: str) -> str:
    """What a refused credential is remembered by: slow to compute, so that a weak password cannot be guessed from it."""
    return hashlib.scrypt(secret.encode(), salt=f"harvester:{username}".encode(), n=2**14, r=8, p=1, dklen=16).hex()
