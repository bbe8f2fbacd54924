"""The one-shot harvest: targets in, a summary out. Rank 7."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog
from sqlalchemy import Engine

from harvester.clock import Clock
from harvester.composition import Parts, assembled, open_store, paces, worker_of
from harvester.config import Settings
from harvester.errors import HarvesterError, StoreError
from harvester.jobs import Args, Dead, Done, NewJob, Retry, namespace_page, repository, search_page
from harvester.policy import LayerPolicy, TagPolicy
from harvester.progress import Progress
from harvester.records import Absent
from harvester.store import queue, reads, runs
from harvester.store.moment import Moment
from harvester.store.runs import Run
from harvester.targets import Target
from harvester.worker import Report, Worker

log = structlog.get_logger(__name__)

GC_THRESHOLD = (20_000, 20, 100)
"""Allocations and generations between collections: a page of tags alone makes hundreds of short-lived values."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one backfill is asked to do."""

    targets: tuple[Target, ...]
    tags: TagPolicy
    layers: LayerPolicy
    is_quiet: bool = False

    def fingerprint(self, *, pulls: bool) -> str:
        """One text for one command: the same targets and options are the same run."""
        options = {"tags": self.tags.text, "layers": self.layers.text, "pulls": pulls}
        return json.dumps({"targets": [str(target) for target in self.targets], **options}, sort_keys=True)

    def jobs(self, *, pulls: bool) -> tuple[NewJob, ...]:
        """The first jobs."""
        return tuple(self._job(target, pulls) for target in self.targets if not self._is_covered(target))

    def _is_covered(self, target: Target) -> bool:
        """Whether a tag that is named comes with its whole repository, layers included, anyway."""
        whole = Target("repository", target.subject) in self.targets and self.tags.text == "all"
        layers = self.layers.text == "none" or self.layers.wants(target.tag)
        return target.kind == "tag" and whole and layers

    def _job(self, target: Target, pulls: bool) -> NewJob:
        args = Args(subject=target.subject, tags=self.tags.text, layers=self.layers.text, pulls=pulls)
        match target.kind:
            case "search":
                return search_page(args)
            case "namespace":
                return namespace_page(args)
            case "tag":
                # A tag that is named is wanted, and so are its layers, whatever it is called.
                layers = "none" if self.layers.text == "none" else "all"
                return repository(Args(subject=target.subject, layers=layers, pulls=pulls, tag=target.tag))
            case _:
                return repository(args)


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
    incomplete: list[reads.Incomplete] = field(default_factory=list)
    dead: list[reads.JobRow] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)

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
    engine = open_store(settings)
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
    async with assembled(settings, engine, clock, credential=credential, on_hold=progress.hold) as parts:
        while await parts.writer.call(lambda connection: queue.prune(connection, Moment.of(clock.time()))):
            continue
        run = await parts.writer.call(
            lambda connection: runs.begin_run(
                connection, request.fingerprint(pulls=pulls), request.jobs(pulls=pulls), Moment.of(clock.time())
            )
        )
        summary.is_resumed = run.is_resumed

        def on_report(report: Report) -> None:
            progress.report(report)
            _note(report, summary)

        worker = worker_of(parts, clock, run_id=run.id, on_report=on_report)
        with progress, _Signals(worker, summary):
            try:
                await _work(worker, parts, run, clock, progress)
                summary.fatal = worker.trouble.fatal
            except StoreError as error:
                summary.fatal = error
        summary.stored = progress.counts
        summary.requests = {budget: number for budget, number in parts.transport.requests.items() if number}
        summary.redirects = parts.transport.redirects
        await asyncio.to_thread(_look_back, parts.reader, run, summary)
    summary.seconds = clock.monotonic() - began
    return summary


async def _work(worker: Worker, parts: Parts, run: Run, clock: Clock, progress: Progress) -> None:
    async def is_over() -> bool:
        return await parts.writer.call(lambda connection: runs.finish_run(connection, run.id, Moment.of(clock.time())))

    async def show() -> None:
        while not progress.is_quiet:
            left = await asyncio.to_thread(_left, parts.reader, run.id)
            progress.show(left, in_hand=worker.in_hand)
            await clock.sleep(progress.interval_s)

    showing = asyncio.create_task(show())
    try:
        await worker.run(is_over)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


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


def _note(report: Report, summary: Summary) -> None:
    """Log a job's end where somebody may want to know of it, and remember what was not there."""
    outcome, job = report.outcome, report.job
    match outcome:
        case Done(harvest=harvest):
            for record in harvest.records:
                if isinstance(record, Absent) and job.kind != "images":
                    name = f"{record.repository}:{record.tag}" if record.tag else record.repository
                    summary.absent.append(name)
            log.debug("job.done", key=job.key, attempt=job.attempt)
        case Dead(reason=reason):
            log.error("job.dead", key=job.key, attempt=job.attempt, reason=reason)
        case Retry(seconds=seconds, reason=reason):
            log.warning("job.retry", key=job.key, attempt=job.attempt, in_s=round(seconds), reason=reason)
        case _:
            log.debug("job.put_off", key=job.key, error=str(report.error))


def _look_back(reader: Engine, run: Run, summary: Summary) -> None:
    with reader.begin() as connection:
        summary.dead = reads.dead_of_run(connection, run.id)
        summary.incomplete = reads.incomplete_of_run(connection, run.id, run.pass_began_at)
        summary.rows = reads.row_counts(connection)


def _left(reader: Engine, run_id: int) -> list[runs.Left]:
    with reader.begin() as connection:
        return runs.left_of(connection, run_id)
