"""The one-shot harvest: targets in, a summary out. Rank 7."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeGuard

import structlog
from sqlalchemy import Engine

from harvester.clock import Clock
from harvester.composition import Parts, assembled, open_store, paces, worker_of
from harvester.config import Settings
from harvester.delivery import Delivery, opened
from harvester.errors import HarvesterError, StoreError, Throttled, Unavailable, WireError
from harvester.jobs import Done, Fill, Snooze
from harvester.outcomes import Outcomes
from harvester.progress import Progress
from harvester.records import Absent
from harvester.request import Request
from harvester.store import outbox, reads, retention, runs
from harvester.store.holes import Holes, holes_of_run
from harvester.store.moment import Moment
from harvester.store.retention import Keep
from harvester.store.runs import Run
from harvester.worker import Report, Worker

log = structlog.get_logger(__name__)

TELL_S = 10.0
"""At the end of a run, events are sent for so long; the rest stays in the outbox."""

GC_THRESHOLD = (20_000, 20, 100)
"""Allocations and generations between collections: a page of tags alone makes hundreds of short-lived values."""


@dataclass(slots=True)
class Summary:
    """What a backfill did, and what it could not do."""

    is_resumed: bool = False
    is_interrupted: bool = False
    fatal: HarvesterError | None = None
    """Why the far end could not be used at all."""
    seconds: float = 0.0
    stored: Counter[str] = field(default_factory=Counter)
    requests: dict[str, int] = field(default_factory=dict)
    redirects: int = 0
    absent: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    """Of the absent: what was absent in an earlier pass as well."""
    incomplete: list[reads.Incomplete] = field(default_factory=list)
    dead: list[reads.JobRow] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    holes: list[Holes] = field(default_factory=list)
    """Repositories of this run of whose tags some are known by name only."""
    untold: list[outbox.Standing] = field(default_factory=list)
    """Receivers of events for which something is left in the outbox."""

    @property
    def exit_code(self) -> int:
        """As contract, section 1, has them."""
        if self.fatal is not None:
            return 1 if isinstance(self.fatal, StoreError) else 4
        if self.is_interrupted:
            return 130
        return 1 if self.dead or self.incomplete else 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        found = asdict(self) | {"stored": dict(self.stored), "exit_code": self.exit_code}
        found["fatal"] = None if self.fatal is None else str(self.fatal)
        return found


def backfill(request: Request, settings: Settings, clock: Clock, *, credential: tuple[str, str] | None) -> Summary:
    """Harvest until nothing is left, the operator interrupts, or the far end cannot be used.

    Raises `ConfigError`, `SchemaMismatch`, `CredentialsRefused` before anything was asked, `StoreError` when the database fails.
    """
    engine = open_store(settings, clock)
    _spare_collections()
    try:
        return asyncio.run(_run(request, settings, engine, clock, credential))
    finally:
        engine.dispose()


def _spare_collections() -> None:
    """What was imported stays for good: looking through it again and again costs a tenth of the CPU of a fast crawl."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


async def _run(
    request: Request, settings: Settings, engine: Engine, clock: Clock, credential: tuple[str, str] | None
) -> Summary:
    began = clock.monotonic()
    summary = Summary()
    progress = Progress(clock, request.is_quiet)
    pulls = paces(settings)["pulls"].limit > 0
    async with (
        assembled(settings, engine, clock, credential=credential, on_hold=progress.hold, command="backfill") as parts,
        opened(settings, parts.writer, parts.reader, clock) as delivery,
    ):
        # Before anything is harvested, so that receivers that are new hear of what this run finds.
        await delivery.enrol()
        await _tidied(parts, settings, clock)
        run = await parts.writer.call(
            lambda connection: runs.begin_run(
                connection, request.fingerprint(pulls=pulls), request.jobs(pulls=pulls), Moment.of(clock.time())
            )
        )
        summary.is_resumed = run.is_resumed

        outcomes = Outcomes(clock, level=logging.DEBUG)

        def on_report(report: Report) -> None:
            progress.report(report)
            outcomes.note(report)
            _remember(report, summary, progress)

        worker = worker_of(parts, clock, run_id=run.id, on_report=on_report)
        with progress, _Signals(worker, summary):
            try:
                await _work(worker, parts, run, clock, progress, delivery)
                summary.fatal = worker.fatal
            except StoreError as error:
                summary.fatal = error
            finally:
                outcomes.tell_repeated(is_last=True)
        summary.stored = progress.counts
        summary.requests = {budget: number for budget, number in parts.requests.items() if number}
        summary.redirects = parts.redirects
        if not summary.is_interrupted and not isinstance(summary.fatal, StoreError):
            summary.untold = await _told(delivery)
        if delivery.requests:
            summary.requests["webhooks"] = delivery.requests
        await asyncio.to_thread(_look_back, parts.reader, run, summary, request.fill, Moment.of(clock.time()))
    summary.seconds = clock.monotonic() - began
    return summary


async def _tidied(parts: Parts, settings: Settings, clock: Clock) -> None:
    """Remove what is left of old runs, so that their jobs are not in the way of this one's."""
    keep = Keep.of(settings.keep_jobs, settings.keep_every_pull, settings.keep_deliveries, settings.keep_listings)
    current = retention.begin(keep, Moment.of(clock.time()), parts=("jobs", "runs"))
    while not current.is_over:
        current = await parts.writer.call(partial(retention.step, current=current))


async def _work(worker: Worker, parts: Parts, run: Run, clock: Clock, progress: Progress, delivery: Delivery) -> None:
    async def is_over() -> bool:
        return await parts.writer.call(lambda connection: runs.finish_run(connection, run.id, Moment.of(clock.time())))

    async def show() -> None:
        while not progress.is_quiet:
            left = await asyncio.to_thread(_left, parts.reader, run.id)
            progress.show(left, in_hand=worker.in_hand)
            await clock.sleep(progress.interval_s)

    beside = [
        asyncio.create_task(show()),
        asyncio.create_task(delivery.keep_on()),
        asyncio.create_task(parts.gate.keep_looking()),
    ]
    try:
        await worker.run(is_over)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _told(delivery: Delivery) -> list[outbox.Standing]:
    """Receivers for which something is left after a last round."""
    try:
        await delivery.round(seconds=TELL_S)
        return await delivery.standing()
    except StoreError as error:
        log.warning("notify.not_stored", reason=error.message)
        return []


class _Signals:
    """Ctrl-C and SIGTERM drain the worker; the second one hurries it."""

    def __init__(self, worker: Worker, summary: Summary) -> None:
        self._worker = worker
        self._summary = summary

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self._summary.is_interrupted:
            self._worker.hurry()
            return
        self._summary.is_interrupted = True
        log.warning("backfill.interrupted", next="finishing what is being asked; once more to stop at once")
        self._worker.drain()


def _remember(report: Report, summary: Summary, progress: Progress) -> None:
    """Remember what was not there, and say what the far end makes the run wait for."""
    match report.outcome:
        case Done(harvest=harvest):
            for record in harvest.records:
                if isinstance(record, Absent) and report.job.kind != "images":
                    summary.absent.append(f"{record.repository}:{record.tag}" if record.tag else record.repository)
        case Snooze(seconds=seconds) if _is_far_ends_doing(report.error):
            progress.pause(seconds, report.error)


def _is_far_ends_doing(error: BaseException | None) -> TypeGuard[WireError]:
    """Whether a job waits because the far end said no or failed, and not because our own limiter paces it."""
    return isinstance(error, Unavailable) or (isinstance(error, Throttled) and error.status is not None)


def _look_back(reader: Engine, run: Run, summary: Summary, fill: Fill, now: Moment) -> None:
    with reader.begin() as connection:
        summary.holes = holes_of_run(connection, run.id, fill, now)
        summary.dead = reads.dead_of_run(connection, run.id)
        summary.gone = reads.absent_again(connection, summary.absent)
        summary.incomplete = reads.incomplete_of_run(connection, run.id, run.pass_began_at)
        summary.rows = reads.row_counts(connection)


def _left(reader: Engine, run_id: int) -> list[runs.Left]:
    with reader.begin() as connection:
        return runs.left_of(connection, run_id)
