"""A worker on a test's database, with a handler and a far end of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from harvester.handlers import abandoned
from harvester.jobs import Harvest, Job, Lane, Retry, Snooze
from harvester.store import queue, runs
from harvester.store.moment import Moment
from harvester.store.writer import Writer
from harvester.ways import Route
from harvester.worker import Report, Worker
from tests.store.database import OWNER, Database

Handle = Callable[[Job], Awaitable[Harvest]]


@dataclass
class Work:
    """One run's worker; time jumps to where a job that was put off comes back."""

    db: Database
    writer: Writer
    handle: Handle
    run_id: int | None
    routes: Sequence[Route] = ()
    """Those of a test that has several; else `handle` is the one there is."""
    reports: list[Report] = field(default_factory=list)
    worker: Worker = field(init=False)

    def __post_init__(self) -> None:
        self.worker = Worker(
            writer=self.writer,
            clock=self.db.clock,
            owner=OWNER,
            routes=self.routes or [Route("direct", None, self.handle)],
            abandoned=abandoned,
            on_report=self._on_report,
            on_tick=self._on_tick,
            is_due=self._is_due,
            run_id=self.run_id,
            chance=lambda: 0.5,
        )

    async def until_over(self) -> None:
        """Work until the run has no live job; nothing may be left running in the event loop."""
        before = asyncio.all_tasks()
        try:
            async with asyncio.timeout(20):
                await self.worker.run(self._is_over)
        finally:
            left = asyncio.all_tasks() - before
        assert not left, left

    async def _is_over(self) -> bool:
        run_id = self.run_id
        assert run_id is not None
        return await self.writer.call(
            lambda connection: runs.finish_run(connection, run_id, Moment.of(self.db.clock.time()))
        )

    async def _is_due(self, lane: Lane, shards: tuple[int, ...] | None) -> bool:
        with self.db.reader.begin() as connection:
            return queue.is_due(connection, lane, self.db.now, shards)

    async def _on_tick(self) -> None:
        pass

    def _on_report(self, report: Report) -> None:
        self.reports.append(report)
        if isinstance(report.outcome, Snooze | Retry):
            self.db.clock.advance(report.outcome.seconds + 1)


def scripted(*answers: Harvest | Exception) -> Handle:
    """A handler that gives these answers in order and the last one for ever."""
    left = list(answers)

    async def handle(job: Job) -> Harvest:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle
