"""What brings work into the queue: passes of what is watched, looks in between, and the upkeep of the file. Rank 7.

Everything here acts on dates that stand in the database, and moves a date before what it stands for is tried: a process that ends
in between costs nothing, and two of them do nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine

from harvester.clock import Clock
from harvester.composition import paces
from harvester.config import Settings
from harvester.jobs import Fill, NewJob
from harvester.policy import LayerPolicy, TagPolicy
from harvester.request import Request
from harvester.store import queue, runs, watches
from harvester.store.moment import Moment
from harvester.store.reading import read
from harvester.store.writer import Writer
from harvester.timetable import Duty

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

SWEEP_S = 5.0
REPLAN_S = 600.0
TIDY_S = 1800.0

QUEUED_ENOUGH = 2_000
"""Ready jobs beyond which no more is begun: what is due waits in its own row, the latest in proportion to its cadence first."""


@dataclass(slots=True)
class Scheduler:
    """The duties of a daemon that concern the queue and the file."""

    writer: Writer
    reader: Engine
    clock: Clock
    settings: Settings
    on_begun: Callable[[], None]
    """Told when there are new jobs."""
    fill: Fill = None
    stretch: float = 1.0
    """By how much all passes are further apart than configured; 1 where the budget meets them."""
    _said_stretch: float = field(default=1.0, init=False)

    def duties(self) -> tuple[Duty, ...]:
        """What is to be done, and how often."""
        return (
            Duty("sweep", SWEEP_S, self.sweep),
            Duty("tidy", TIDY_S, self.tidy),
        )

    async def take_over(self) -> watches.Taken:
        """Make the watches of the configuration those in force."""
        now = self._now
        taken = await self._write(partial(watches.take_over, watches=self.settings.watch, now=now))
        log.info(
            "watches.taken_over",
            watches=sum(len(watch.targets) for watch in self.settings.watch),
            added=taken.added,
            changed=taken.changed,
            ended=taken.ended,
            cancelled_jobs=taken.cancelled,
        )
        await self.set_right()
        return taken

    async def set_right(self) -> None:
        """Set dates anew that a clock which was ahead has left behind."""
        if changed := await self._write(partial(watches.set_right, now=self._now, stretch=self.stretch)):
            log.warning("watches.dated_anew", watches=changed, reason="their dates lay further off than their cadence")

    async def sweep(self) -> None:
        """Begin what is due, and end the runs of which nothing is left."""
        now = self._now
        ended, room = await self._read(partial(_sight, now=now))
        if ended:
            await self._write(partial(runs.finish_runs, now=now))
        if room <= 0 or not await self._read(partial(watches.is_due, now=now)):
            return
        passes = await self._write(partial(watches.begin_passes, now=now, ask=self._whole_pass, stretch=self.stretch))
        for begun in passes:
            _tell("pass.begun", begun)
        counts = await self._write(partial(watches.begin_counts, now=now, ask=_counts))
        for begun in counts:
            _tell("counts.begun", begun)
        if passes or counts:
            self.on_begun()

    async def tidy(self) -> None:
        """Delete what was kept long enough, a batch at a time."""
        while await self._write(partial(queue.prune, now=self._now)):
            continue

    def _whole_pass(self, group: watches.Group) -> tuple[str, Sequence[NewJob]]:
        request = Request(group.targets, TagPolicy(group.tags), LayerPolicy(group.layers), self.fill)
        pulls = paces(self.settings)["pulls"].limit > 0
        return request.fingerprint(pulls=pulls), request.jobs(pulls=pulls)

    @property
    def _now(self) -> Moment:
        return Moment.of(self.clock.time())

    async def _read(self, ask: Callable[[Connection], Result]) -> Result:
        return await read(self.reader, ask)

    async def _write(self, change: Callable[[Connection], Result]) -> Result:
        return await self.writer.call(change)


def _sight(connection: Connection, now: Moment) -> tuple[bool, int]:
    """Whether a run has ended, and how many jobs there is room for."""
    return runs.is_any_over(connection), QUEUED_ENOUGH - queue.ready(connection, QUEUED_ENOUGH)


def _counts(group: watches.Group) -> tuple[str, Sequence[NewJob]]:
    request = Request(group.targets, TagPolicy(group.tags), LayerPolicy(group.layers), depth="counts")
    return "counts " + request.fingerprint(pulls=False), request.jobs(pulls=False)


def _tell(event: str, begun: watches.Begun) -> None:
    names = [str(target) for target in begun.group.targets]
    log.info(event, run=begun.run_id, targets=names[:5], more=max(0, len(names) - 5), late_s=begun.group.late_s)
