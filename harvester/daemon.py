"""`harvester run`: everything built once, kept going, reloaded and drained. Rank 8.

A generation is what one configuration made: parts, receivers, a worker, a timetable. A reload, or a credential that was refused,
ends one and begins the next; what is being asked is finished first, and the queue is in the database all the while. Nothing that
the far end does ends the daemon, and nothing that the database does for a while: it waits and says so.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import Engine

from harvester import __version__
from harvester.clock import Clock
from harvester.composition import Parts, assembled, worker_of
from harvester.config import Settings
from harvester.delivery import opened
from harvester.errors import ConfigError, CredentialsRefused, HarvesterError, SchemaMismatch, StoreError, StoreUnusable
from harvester.gate import MEGABYTE
from harvester.health import HealthServer
from harvester.metrics import Metrics
from harvester.outcomes import FarEnd, Outcomes
from harvester.scheduler import Scheduler
from harvester.store import migrate
from harvester.store.gauges import Gauges
from harvester.store.writer import Writer
from harvester.systemd import Notifier
from harvester.timetable import Duty, Timetable
from harvester.vitals import Vitals
from harvester.wire.permits import Budget
from harvester.wire.transport import Inner
from harvester.worker import Report, Worker

log = structlog.get_logger(__name__)

DRAIN_S = 45.0
"""What is being asked may take so long to end; the unit waits longer than that."""

IDLE_S = 5.0
"""How often an idle worker looks for jobs of other processes; those of our own schedule it is told of."""

PULSE_S = 5.0
"""How often the daemon looks at itself: the clock, the writer, the watchdog."""

WAIT_S = (5.0, 15.0, 60.0)
"""How long it waits before it tries a database that failed again; the last one from then on."""

BEAT_S = 10.0
"""How often it commits something whatever else there is to do."""

TOLD_S = 15.0
"""How often the service manager's status line is renewed."""

JUMP_S = 2.0
"""A clock that moved so much against the time that passed has jumped."""

Credential = tuple[str, str] | None
Loaded = tuple[Settings, Credential]


@dataclass(slots=True)
class Daemon:
    """The service, from its first look at the database until it is told to stop."""

    load: Callable[[], Loaded]
    """Reads the configuration anew. Raises `ConfigError`."""
    settings: Settings
    credential: Credential
    clock: Clock
    notifier: Notifier
    inner: Inner | None = None
    """Answers in place of the network."""
    timetable: Callable[[Sequence[Duty]], Timetable] = Timetable
    vitals: Vitals = field(init=False)
    metrics: Metrics = field(init=False)
    is_stopping: bool = field(default=False, init=False)
    is_interrupted: bool = field(default=False, init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when the generation is to end."""
    _worker: Worker | None = field(default=None, init=False)
    _writer: Writer | None = field(default=None, init=False)
    _timetable: Timetable | None = field(default=None, init=False)
    _outcomes: Outcomes = field(init=False)
    _far_end: FarEnd = field(init=False)
    _opened: Loaded | None = field(default=None, init=False)
    """What could be opened last: what stays in force while a reload has not been."""
    _part_error: str | None = field(default=None, init=False)
    _is_anonymous: bool = field(default=False, init=False)
    """Whether the credential was refused and the far end is asked without."""

    def __post_init__(self) -> None:
        self.vitals = Vitals(self.clock)
        self.metrics = Metrics(self.clock, revision=migrate.HEAD)
        self.metrics.follow(
            last_commit=lambda: self.vitals.committed_at,
            is_ready=self.vitals.why_not_ready,
            stretch=lambda: self.vitals.stretch,
        )
        self._outcomes, self._far_end = Outcomes(self.clock), FarEnd()

    async def serve(self, engine: Engine) -> None:
        """Generation after generation until `stop`.

        Raises `ConfigError` for what cannot even begin, `SchemaMismatch` when somebody upgraded the database meanwhile.
        """
        while not self.is_stopping:
            self._news.clear()
            try:
                await self._generation(engine)
            except CredentialsRefused as error:
                self._go_on_anonymously(error)
            except ConfigError as error:
                # What only opening it shows: a file that a receiver needs, an address of another machine.
                if self._opened is None or self._opened[0] is self.settings:
                    raise
                self.settings, self.credential = self._opened
                _refused(error)
            except SchemaMismatch:
                raise
            except StoreError as error:
                # Nothing could be opened, or a part failed: from the beginning, when it can be used again.
                await self._wait_for(error, 0)

    def stop(self) -> None:
        """Finish what is being asked and end; asked a second time, end at once."""
        if self.is_stopping:
            log.warning("daemon.hurried")
            self._hurry()
            return
        self.is_stopping = True
        self.vitals.stage = "stopping"
        log.info("daemon.stopping", next="finishing what is being asked; once more to stop at once")
        self.notifier.stopping("finishing what is being asked")
        self._end_generation()

    def reload(self) -> None:
        """Read the configuration anew and go on with it; a file that is wrong is refused whole."""
        if self.is_stopping:
            return
        if self._opened is not None:
            # Before the start is over, READY would say that it is.
            self.notifier.reloading()
        try:
            settings, credential = self.load()
            if settings.database != self.settings.database:
                raise ConfigError("`database` cannot change while the daemon runs; restart it for that")
        except ConfigError as error:
            _refused(error)
            if self._opened is not None:
                self.notifier.ready(f"{self.vitals.text}; a new configuration was refused")
            return
        self.settings, self.credential, self._is_anonymous = settings, credential, False
        self.vitals.stage = "reloading"
        log.info("config.reloaded")
        self._end_generation()

    def _hurry(self) -> None:
        """Give back what is being asked; at the end of all, wait for nobody who holds the database either."""
        if self._worker is not None:
            self._worker.hurry()
        if self._writer is not None and self.is_stopping:
            self._writer.hurry()

    def _hint(self) -> None:
        if self._worker is not None:
            self._worker.hint()

    def _end_generation(self) -> None:
        self._news.set()
        if self._timetable is not None:
            self._timetable.stop()
        if self._worker is not None:
            self._worker.drain()

    def _go_on_anonymously(self, error: CredentialsRefused) -> None:
        log.error(
            "credentials.refused",
            reason=error.message,
            next="going on without a login until a restart, or a reload, brings another token",
        )
        self._is_anonymous = True

    async def _generation(self, engine: Engine) -> None:
        loaded = (self.settings, self.credential)
        settings, credential = self.settings, None if self._is_anonymous else self.credential
        async with AsyncExitStack() as stack:
            health = HealthServer(
                settings.metrics_listen, self.metrics.text, self.vitals.why_not_alive, self.vitals.why_not_ready
            )
            health.start()
            stack.callback(health.close)
            self.metrics.bound(wal_bytes=settings.wal_mb * MEGABYTE, free_bytes=settings.keep_free_mb * MEGABYTE)
            parts = await stack.enter_async_context(
                assembled(
                    settings,
                    engine,
                    self.clock,
                    credential=credential,
                    on_hold=_held,
                    on_answer=self.metrics.answered,
                    inner=self.inner,
                    command="run",
                )
            )
            self._writer = parts.writer
            self.metrics.watch(parts.gate)
            delivery = await stack.enter_async_context(
                opened(settings, parts.writer, parts.reader, self.clock, on_answer=self.metrics.answered)
            )
            await delivery.enrol()
            scheduler = Scheduler(
                parts.writer,
                parts.reader,
                self.clock,
                settings,
                owner=parts.owner,
                on_begun=self._hint,
                on_gauges=self._measured,
                fill="account" if credential else None,
            )
            await scheduler.take_over()
            self.vitals.committed_at = parts.writer.committed_at
            self.vitals.targets = sum(len(watch.targets) for watch in settings.watch)
            timetable = self._timetable = self.timetable(scheduler.duties())
            timetable.start()
            stack.callback(timetable.stop)
            beside = [
                asyncio.create_task(part, name=name)
                for name, part in (
                    ("delivery", delivery.keep_on()),
                    ("beat", self._beat(parts)),
                    ("log", parts.gate.keep_looking()),
                    ("pulse", self._pulse(parts, scheduler, timetable)),
                )
            ]
            stack.push_async_callback(_cancelled, beside)
            for task in beside:
                task.add_done_callback(self._part_ended)
            if self.is_stopping:
                timetable.stop()
            else:
                self._opened = loaded
                self.vitals.stage, self.vitals.trouble = "working", ""
                self.notifier.ready(self.vitals.text)
                log.info("daemon.ready", version=__version__, login=credential is not None)
            try:
                await self._work(parts)
            finally:
                self._outcomes.tell_repeated(is_last=True)
            if self._part_error is not None:
                (error, self._part_error) = (self._part_error, None)
                # The part ended the generation, and nobody else: it is not begun anew without a pause.
                self._news.clear()
                raise StoreError(error)

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        """A service of which a part has died without a word must not look well: it begins anew."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._part_error = f"the part `{task.get_name()}` failed: {error!r}"
        log.error("daemon.part_failed", part=task.get_name(), reason=repr(error))
        self._end_generation()

    async def _work(self, parts: Parts) -> None:
        """The worker, and another one after each failure, until the generation is to end."""
        failures = 0
        while not self._news.is_set():
            worker = self._worker = worker_of(parts, self.clock, run_id=None, on_report=self._report, idle_s=IDLE_S)
            limit = asyncio.create_task(self._hurry_late())
            began = self.clock.monotonic()
            error: HarvesterError | None = None
            try:
                await worker.run(_never)
                error = worker.fatal
            except StoreError as failure:
                error = failure
            finally:
                self._worker = self.vitals.renewed_at = None
                limit.cancel()
            if isinstance(error, CredentialsRefused | SchemaMismatch):
                raise error
            if error is not None:
                failures = failures + 1 if self.clock.monotonic() - began < WAIT_S[-1] else 0
                await self._wait_for(error, failures, parts.writer if isinstance(error, StoreUnusable) else None)

    async def _hurry_late(self) -> None:
        await self._news.wait()
        await self.clock.sleep(DRAIN_S)
        log.warning("daemon.hurried", reason=f"what was asked did not end within {DRAIN_S:.0f} s")
        self._hurry()

    async def _wait_for(self, error: HarvesterError, failures: int, writer: Writer | None = None) -> None:
        """Return when it may be tried again: after a while, or when the `writer` can write again; or the generation is to end."""
        pause = WAIT_S[min(failures, len(WAIT_S) - 1)]
        if self.is_stopping:
            return
        before = self.vitals.stage
        self.vitals.stage, self.vitals.trouble = "waiting", error.message
        self.notifier.status(self.vitals.text)
        log.error("daemon.waiting", reason=error.message, in_s=pause, next="then tried again; nothing is lost")
        news = asyncio.create_task(self._news.wait())
        waiting = asyncio.create_task(self._usable_again(pause, writer))
        await asyncio.wait([waiting, news], return_when=asyncio.FIRST_COMPLETED)
        await _cancelled([waiting, news])
        if self.vitals.stage == "waiting":
            self.vitals.stage, self.vitals.trouble = before, ""

    async def _usable_again(self, pause: float, writer: Writer | None) -> None:
        until = self.clock.monotonic() + pause
        while (left := until - self.clock.monotonic()) > 0:
            await self.clock.sleep(min(WAIT_S[0], left))
            if writer is not None and await writer.is_usable():
                return

    async def _beat(self, parts: Parts) -> None:
        """Commit something real again and again: what is read from it is that the service is alive."""
        while True:
            try:
                await parts.announce(self.clock)
            except SchemaMismatch as error:
                log.error("database.upgraded", reason=error.message)
                self._end_generation()
            except StoreError as error:
                log.debug("beat.missed", reason=error.message)
            await self.clock.sleep(BEAT_S)

    async def _pulse(self, parts: Parts, scheduler: Scheduler, timetable: Timetable) -> None:
        """Notice clocks that jump, and tell the service manager that all is well while it is."""
        offset = self.clock.time() - self.clock.monotonic()
        watchdog_s = self.notifier.watchdog_s
        pause = PULSE_S if watchdog_s is None else min(PULSE_S, watchdog_s / 3)
        told = self.clock.monotonic()
        while True:
            await self.clock.sleep(pause)
            now = self.clock.monotonic()
            jumped = self.clock.time() - now - offset
            offset += jumped
            if abs(jumped) >= JUMP_S:
                log.warning("clock.jumped", by_s=round(jumped), next="all dates are looked at anew")
                timetable.set_right()
                await Duty("dates", 0.0, scheduler.set_right).once()
            self.vitals.committed_at = parts.writer.committed_at
            self.vitals.renewed_at = None if self._worker is None else self._worker.renewed_at
            self.vitals.stretch = scheduler.stretch
            if watchdog_s is not None and self.vitals.is_moving(max(3 * BEAT_S, watchdog_s / 2)):
                self.notifier.watchdog()
            if now - told >= TOLD_S:
                told = now
                self._outcomes.tell_repeated()
                self.notifier.status(self.vitals.text)

    def _measured(self, gauges: Gauges) -> None:
        self.vitals.gauges = gauges
        self.metrics.show(gauges)

    def _report(self, report: Report) -> None:
        self._outcomes.note(report)
        self._far_end.note(report)
        self.metrics.report(report)


async def run(daemon: Daemon, engine: Engine) -> None:
    """Serve until a signal says otherwise. A SIGHUP that was held back until now is a reload."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        daemon.is_interrupted = True
        daemon.stop()

    loop.add_signal_handler(signal.SIGTERM, daemon.stop)
    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
    try:
        await daemon.serve(engine)
        log.info("daemon.stopped")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _refused(error: ConfigError) -> None:
    log.error("config.refused", reason=error.message, next="the configuration before stays in force")


async def _never() -> bool:
    return False


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _held(budget: Budget, seconds: float, reason: str) -> None:
    if seconds >= 5:
        log.warning("budget.closed", budget=budget, in_s=round(seconds), reason=reason)
    else:
        log.debug("budget.paced", budget=budget, in_s=round(seconds, 1), reason=reason)
