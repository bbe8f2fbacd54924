"""Events brought to their receivers, round by round. Rank 6.

A round enrols what is new and sends what is due, to all receivers side by side and to each one event after the other. It may be
called at any time by any number of processes; what it could not send stays in the outbox. A receiver that fails again and again is
left alone for a while, longer each time, and its events with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine

from harvester import __version__, feed
from harvester.clock import Clock, instant
from harvester.config import Settings, user_agent
from harvester.egress import routes
from harvester.errors import ConfigError, NotDelivered, StoreError, Throttled
from harvester.events import Event
from harvester.limiter import Limiter
from harvester.notify import Notify
from harvester.receivers import (
    WEBHOOKS,
    CommandReceiver,
    FeedReceiver,
    Receiver,
    apprise_of,
    feed_of,
    webhook_of,
)
from harvester.store import migrate, outbox
from harvester.store.buckets import Pace
from harvester.store.engine import database_url, open_reader, open_writer
from harvester.store.moment import Moment
from harvester.store.outbox import Standing
from harvester.store.reading import read
from harvester.store.writer import Writer
from harvester.wire.transport import Inner, OnAnswer, Transport, unheard
from harvester.wire.webhook import TOTAL_S

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

WEBHOOKS_PER_MINUTE = 60
"""To all receivers together: their own limits are not known."""

EVERY_S = 20.0
"""From the end of one round to the beginning of the next, where somebody goes on."""

FAILURES = 3
"""One after the other: then the receiver itself is taken to be at fault."""
PAUSES_S = (30.0, 120.0, 600.0)
"""How long it is left alone then; the last one from then on."""

AT_ONCE = 100
"""Events read at once of those that are due."""

LOOKED_AT = 20_000
"""Events among which those of a feed are looked for."""


@dataclass(slots=True)
class Served:
    """What one round did for one receiver."""

    notifier: str
    delivered: int = 0
    failed: int = 0
    """Sendings that came to nothing, those of the dead included."""
    dead: int = 0
    last_error: str | None = None


@dataclass(slots=True)
class _Line:
    """One receiver, and how it has been doing."""

    notify: Notify
    receiver: Receiver
    failures: int = 0
    """In a row."""
    closed_until: float = 0.0
    """Left alone until then, in monotonic seconds."""
    said: str | None = None
    """What was logged of it last."""

    def wants(self, event: Event) -> bool:
        """Whether its filters let the event through."""
        return self.notify.wants(event.kind, event.repository or event.subject, event.rank)


@dataclass(slots=True)
class Delivery:
    """All receivers of the configuration."""

    writer: Writer
    reader: Engine
    clock: Clock
    transport: Transport | None = None
    """What webhooks are sent by; null: there are none."""
    _lines: list[_Line] = field(default_factory=list)
    _round: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def requests(self) -> int:
        """Requests that were sent to webhooks."""
        return 0 if self.transport is None else self.transport.requests[WEBHOOKS]

    async def enrol(self) -> None:
        """Put what is new into the outbox; receivers that are new begin with the events after this. Raises `StoreError`."""
        for line in self._lines:
            while await self._write(partial(_enrol, line, self._now)):
                continue

    async def round(self, *, seconds: float | None = None) -> list[Served]:
        """Enrol, then send what is due; nothing more is begun after that many seconds. Raises `StoreError`.

        Without a bound it waits for our own limiter as long as that takes.
        """
        async with self._round:
            await self.enrol()
            until = None if seconds is None else self.clock.monotonic() + seconds
            return list(await asyncio.gather(*(self._serve(line, until) for line in self._lines)))

    async def keep_on(self) -> None:
        """Round after round until it is cancelled; `finished` waits for the one under way."""
        while self._lines:
            await self.clock.sleep(EVERY_S)
            await asyncio.shield(asyncio.ensure_future(self._quiet_round()))

    async def finished(self) -> None:
        """Return when no round is under way."""
        async with self._round:
            return

    async def test(self, notifier: str) -> None:
        """Send one event that is stored nowhere. Raises `ConfigError` for a name that is not there, `NotDelivered`."""
        line = next((one for one in self._lines if one.notify.name == notifier), None)
        if line is None:
            known = ", ".join(one.notify.name for one in self._lines)
            raise ConfigError(f"there is no notifier {notifier}; the configuration has {known or 'none'}")
        await self.enrol()
        now = instant(self.clock.time())
        test = Event(id=0, kind="test", rank=3, observed_at=now, detail={"test": "nothing happened"})
        try:
            await line.receiver.send(test)
        except NotDelivered as error:
            raise NotDelivered(f"{notifier}: {error.message}") from None

    async def revive(self) -> int:
        """Put what is dead back into the outbox; how many events that were."""
        now = self._now
        return sum([await self._write(partial(_revive, line, now)) for line in self._lines])

    async def standing(self) -> list[Standing]:
        """Receivers of the configuration for which something waits or is dead."""
        names = {line.notify.name for line in self._lines}
        return [one for one in await self._read(outbox.standing) if one.notifier in names]

    @property
    def _now(self) -> Moment:
        return Moment.of(self.clock.time())

    async def _quiet_round(self) -> None:
        try:
            await self.round(seconds=EVERY_S)
        except StoreError as error:
            log.warning("notify.not_stored", reason=error.message)
        except Exception as error:
            # Whatever it is, it must not end the harvest, nor the rounds that follow, nor pass without a word.
            log.error("notify.failed_round", reason=repr(error))

    async def _serve(self, line: _Line, until: float | None) -> Served:
        served = Served(line.notify.name)
        if self.clock.monotonic() < line.closed_until:
            return served
        if isinstance(line.receiver, FeedReceiver):
            await self._serve_feed(line, line.receiver, served)
            return served
        is_moving = True
        while is_moving:
            is_moving = False
            for one in await self._read(partial(outbox.due, notifier=line.notify.name, now=self._now, most=AT_ONCE)):
                now = self.clock.monotonic()
                if now < line.closed_until or (until is not None and now >= until):
                    return served
                taken = await self._write(partial(outbox.take, delivery=one, now=self._now))
                if taken is None:
                    continue
                try:
                    await line.receiver.send(taken.event)
                except Throttled as held:
                    await self._write(partial(outbox.give_back, delivery=taken, now=self._now))
                    if until is not None and now + held.retry_after >= until:
                        return served
                    await self.clock.sleep(held.retry_after)
                except NotDelivered as error:
                    await self._failed(line, taken, error, served)
                else:
                    await self._write(partial(outbox.delivered, delivery=taken, now=self._now))
                    _succeeded(line, served, 1)
                is_moving = True
        return served

    async def _serve_feed(self, line: _Line, receiver: FeedReceiver, served: Served) -> None:
        name = line.notify.name
        waiting = await self._read(partial(outbox.due, notifier=name, now=self._now, most=1))
        if not waiting and await asyncio.to_thread(os.path.exists, receiver.path):
            return
        taken = None
        if waiting:
            taken = await self._write(partial(outbox.take, delivery=waiting[0], now=self._now))
            if taken is None:
                return
        last, _, _ = await self._read(partial(outbox.enrolled, notifier=name))
        try:
            await receiver.write()
        except NotDelivered as error:
            await self._failed(line, taken, error, served)
            return
        done = await self._write(partial(outbox.delivered_up_to, notifier=name, last=last, now=self._now))
        _succeeded(line, served, done)

    async def _failed(self, line: _Line, taken: outbox.Delivery | None, error: NotDelivered, served: Served) -> None:
        now, name = self._now, line.notify.name
        # A file can always be written later: then it holds what is missing now.
        is_dead = error.is_final or (
            taken is not None and taken.gives_up(now) and not isinstance(line.receiver, FeedReceiver)
        )
        if taken is not None and is_dead:
            await self._write(partial(outbox.dead, delivery=taken, now=now, error=error.message))
        elif taken is not None:
            await self._write(
                partial(outbox.put_off, delivery=taken, now=now, error=error.message, least_s=error.retry_after)
            )
        line.failures += 1
        pause = error.retry_after
        if line.failures >= FAILURES:
            pause = max(pause, PAUSES_S[min(line.failures - FAILURES, len(PAUSES_S) - 1)])
        line.closed_until = self.clock.monotonic() + pause
        served.failed += 1
        served.dead += is_dead
        served.last_error = error.message
        if is_dead:
            log.error("notify.dead", notifier=name, event_id=taken.event.id if taken else None, reason=error.message)
        elif line.said != error.message:
            log.warning("notify.failed", notifier=name, reason=error.message, next="tried again later")
        line.said = error.message

    async def _read(self, ask: Callable[[Connection], Result]) -> Result:
        return await read(self.reader, ask)

    async def _write(self, change: Callable[[Connection], Result]) -> Result:
        return await self.writer.call(change)


@asynccontextmanager
async def opened(
    settings: Settings,
    writer: Writer,
    reader: Engine,
    clock: Clock,
    *,
    on_answer: OnAnswer = unheard,
    inner: Inner | None = None,
) -> AsyncIterator[Delivery]:
    """The receivers of the configuration. `inner` answers in place of the network.

    `on_answer` is told of each request to a webhook.

    Raises `ConfigError` for a file that cannot be read, and for Apprise where it is missing.
    """
    delivery = Delivery(writer, reader, clock)
    try:
        limiter = None
        if any(one.to in ("webhook", "apprise") for one in settings.notify):
            limiter, delivery.transport = await _door(settings, writer, clock, on_answer, inner)
        delivery._lines = [_Line(one, _receiver(one, delivery, limiter)) for one in settings.notify]
        yield delivery
        await delivery.finished()
        if limiter is not None:
            await limiter.flush()
    finally:
        if delivery.transport is not None:
            await delivery.transport.aclose()


@asynccontextmanager
async def stand_alone(settings: Settings, clock: Clock) -> AsyncIterator[Delivery]:
    """The receivers, with a database of their own to work on: for a command that does nothing else.

    The database is created or brought up to date. Raises what `opened` raises, and `SchemaMismatch`.
    """
    engine = open_writer(database_url(settings.database))
    migrate.upgrade(engine, clock)
    writer = Writer(engine, clock, "notify")
    reader = open_reader(engine.url)
    try:
        async with opened(settings, writer, reader, clock) as delivery:
            yield delivery
    finally:
        await asyncio.to_thread(writer.close)
        reader.dispose()
        engine.dispose()


async def _door(
    settings: Settings, writer: Writer, clock: Clock, on_answer: OnAnswer, inner: Inner | None
) -> tuple[Limiter, Transport]:
    """What webhooks are sent by: the first way out, with a budget of theirs."""
    ways = routes(settings.egress, settings.proxy)
    way = ways[0]
    paces = {WEBHOOKS: Pace(WEBHOOKS_PER_MINUTE, 60.0)}
    limiter = Limiter(writer=writer, clock=clock, paces=paces, identity="-", route=way.name)
    await limiter.open()
    transport = Transport(
        permits=limiter,
        user_agent=user_agent(settings, __version__),
        clock=clock,
        route=way.name if len(ways) > 1 else None,
        proxy=way.proxy,
        local_address=way.address,
        total_s=TOTAL_S,
        on_answer=on_answer,
        inner=inner(way) if inner is not None else None,
    )
    return limiter, transport


def _receiver(notify: Notify, delivery: Delivery, limiter: Limiter | None) -> Receiver:
    match notify.to:
        case "webhook":
            assert delivery.transport is not None
            return webhook_of(notify, delivery.transport, delivery.clock)
        case "apprise":
            assert limiter is not None
            return apprise_of(notify, limiter)
        case "command":
            return CommandReceiver(notify.command)
        case "atom":
            return feed_of(notify, partial(_feed_of, delivery, notify.name))


async def _feed_of(delivery: Delivery, notifier: str, test: Event | None) -> bytes:
    line = next(one for one in delivery._lines if one.notify.name == notifier)

    def ask(connection: Connection) -> bytes:
        _, since, uuid = outbox.enrolled(connection, notifier)
        events = outbox.latest(connection, notifier, line.wants, most=feed.MOST_ENTRIES, looked_at=LOOKED_AT)
        events = events if test is None else [test, *events]
        return feed.atom(events[: feed.MOST_ENTRIES], name=notifier, uuid=uuid, since=since)

    return await delivery._read(ask)


def _enrol(line: _Line, now: Moment, connection: Connection) -> int:
    return outbox.enrol(connection, line.notify.name, line.wants, now)


def _revive(line: _Line, now: Moment, connection: Connection) -> int:
    return outbox.revive(connection, line.notify.name, now)


def _succeeded(line: _Line, served: Served, events: int) -> None:
    line.failures, line.closed_until, line.said = 0, 0.0, None
    served.delivered += events
