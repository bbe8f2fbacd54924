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
from harvester.healing import heal_future
from harvester.jobs import Fill, NewJob
from harvester.policy import LayerPolicy, TagPolicy
from harvester.request import Request
from harvester.store import cadences, looks, processes, queue, reads, retention, runs, watches
from harvester.store.gauges import Gauges, read_gauges
from harvester.store.moment import Moment
from harvester.store.reading import read
from harvester.store.writer import Writer
from harvester.targets import Target
from harvester.timetable import Duty

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

SWEEP_S = 5.0
MEASURE_S = 15.0
REPLAN_S = 300.0
TIDY_S = 1800.0

LOOKS_AT_ONCE = 100

MOST_STRETCH = 1000.0
TOLD_STRETCH = 0.1
"""A stretch that differs by so much from what was said last is said again."""

QUEUED_ENOUGH = 2_000
"""Ready jobs beyond which no more is begun: what is due waits in its own row, the latest in proportion to its cadence first."""


@dataclass(slots=True)
class Scheduler:
    """The duties of a daemon that concern the queue and the file."""

    writer: Writer
    reader: Engine
    clock: Clock
    settings: Settings
    owner: str
    on_begun: Callable[[], None]
    """Told when there are new jobs."""
    on_gauges: Callable[[Gauges], None]
    fill: Fill = None
    gauges: Gauges | None = field(default=None, init=False)
    """The last reading."""
    _thinned_before: int = field(default=0, init=False)
    _unfinished: runs.Unfinished | None = field(default=None, init=False)
    """Runs that were not finished at the last look; null: all are to be looked through."""
    stretch: float = 1.0
    """By how much all passes are further apart than configured; 1 where the budget meets them."""
    _said_stretch: float = field(default=1.0, init=False)

    def duties(self) -> tuple[Duty, ...]:
        """What is to be done, and how often."""
        return (
            Duty("measure", MEASURE_S, self.measure),
            Duty("replan", REPLAN_S, self.replan),
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
        # Dates that an earlier process has stretched are right only by the stretch that they were set with.
        await self._plan()
        await self.set_right()
        return taken

    async def set_right(self) -> None:
        """Set dates anew that a clock which was ahead has left behind, and rows that it stamped with the future."""
        await heal_future(self.writer, self.reader, self.clock, stretch=self.stretch)
        if changed := await self._write(partial(watches.set_right, now=self._now, stretch=self.stretch)):
            log.warning(
                "watches.dated_anew", watches=changed, reason="dates were missing, or further off than they can be"
            )

    async def sweep(self) -> None:
        """Begin what is due, and end the runs of which nothing is left."""
        now = self._now
        earlier = self._unfinished
        found, room = await self._read(partial(_sight, earlier=earlier))
        # A plan that began meanwhile wants all of them looked through.
        if self._unfinished is earlier:
            self._unfinished = found
        if found.over:
            await self._write(partial(runs.finish_runs, now=now, among=found.over))
        if room <= 0:
            return
        if await self._read(partial(watches.is_due, now=now)):
            await self._begin_passes(now)
        if await self._read(partial(looks.is_due, now=now)):
            await self._begin_looks(now, min(room, LOOKS_AT_ONCE))

    async def _begin_passes(self, now: Moment) -> None:
        passes = await self._write(partial(watches.begin_passes, now=now, ask=self._whole_pass, stretch=self.stretch))
        for begun in passes:
            _tell("pass.begun", begun)
        counts = await self._write(partial(watches.begin_counts, now=now, ask=_counts))
        for begun in counts:
            _tell("counts.begun", begun)
        if passes or counts:
            self.on_begun()

    async def _begin_looks(self, now: Moment, most: int) -> None:
        def begin(connection: Connection) -> list[looks.Look]:
            found = looks.due_looks(connection, now, most)
            queue.enqueue(connection, self._looks(found), now, runs=(), fresh_after=now.text)
            return found

        if begun := await self._write(begin):
            names, late = [str(look.target) for look in begun], max(look.late_s for look in begun)
            log.info("looks.begun", targets=names[:5], more=max(0, len(names) - 5), late_s=late)
            self.on_begun()

    async def replan(self) -> None:
        """Share out the budget anew by what was seen since."""
        # Now and then, for a finished run that was taken up again.
        self._unfinished = None
        for ask in (cadences.cover, partial(cadences.observe, now=self._now)):
            for step in await self._read(ask):
                await self._write(step)
        plan = await self._plan()
        for step in plan.steps:
            await self._write(step)

    async def _plan(self) -> cadences.Replanned:
        """The plan as of now, its stretch taken over."""
        rate = await self._read(self._requests_per_s)
        plan = await self._read(partial(cadences.replan, now=self._now, requests_per_s=rate))
        if self._stretch(plan):
            await self._write(partial(processes.stretched, owner=self.owner, stretch=self.stretch))
        return plan

    def _stretch(self, plan: cadences.Replanned) -> bool:
        """Take over the plan's stretch and say so; whether it is another than before."""
        before, self.stretch = self.stretch, min(plan.stretch, MOST_STRETCH)
        told = {
            "wanted_per_min": round(plan.demand_per_s * 60, 1),
            "allowed_per_min": round(plan.capacity_per_s * 60, 1),
        }
        if self.stretch > 1 and abs(self.stretch / self._said_stretch - 1) >= TOLD_STRETCH:
            log.warning(
                "cadence.stretched",
                factor=round(self.stretch, 2),
                **told,
                next="every pass comes that much later; watch less, lengthen `every`, or sign in",
            )
            self._said_stretch = self.stretch
        elif self.stretch == 1 and before > 1:
            log.info("cadence.met", **told, reason="the budget meets every cadence again")
            self._said_stretch = 1.0
        log.debug("cadence.planned", repositories=plan.repositories, between=plan.between, **told)
        return self.stretch != before

    async def measure(self) -> None:
        """Read how everything stands, for whoever watches the service."""
        self.gauges = await self._read(partial(read_gauges, now=self._now, earlier=self.gauges))
        self.on_gauges(self.gauges)

    async def tidy(self) -> None:
        """Let go of what was kept long enough, a few rows at a time."""
        kept = self.settings
        keep = retention.Keep.of(kept.keep_jobs, kept.keep_every_pull, kept.keep_deliveries, kept.keep_listings)
        current = retention.begin(keep, self._now, thinned_before=self._thinned_before)
        while not current.is_over:
            current = await self._write(partial(retention.step, current=current))
        self._thinned_before = current.thins_before
        if removed := {part: number for part, number in current.removed.items() if number}:
            log.info("database.tidied", **removed)

    def _looks(self, found: Sequence[looks.Look]) -> list[NewJob]:
        groups: dict[tuple[str, str], list[Target]] = {}
        for look in found:
            groups.setdefault((look.tags, look.layers), []).append(look.target)
        jobs: list[NewJob] = []
        for (tags, layers), targets in groups.items():
            request = Request(tuple(sorted(targets)), TagPolicy(tags), LayerPolicy(layers), depth="look")
            jobs += request.jobs(pulls=self._pulls)
        return jobs

    def _requests_per_s(self, connection: Connection) -> float:
        """What the Hub's budget allows on all routes together."""
        pace = paces(self.settings)["hub"]
        identity = "account" if self.fill == "account" else "anonymous"
        told = [
            max(0.0, one.allowed - one.others) / one.window_s
            for one in reads.budgets(connection)
            if one.budget == "hub" and one.identity == identity
        ]
        return sum(told) if told else pace.limit / pace.window_s

    @property
    def _pulls(self) -> bool:
        return paces(self.settings)["pulls"].limit > 0

    def _whole_pass(self, group: watches.Group) -> tuple[str, Sequence[NewJob]]:
        request = Request(group.targets, TagPolicy(group.tags), LayerPolicy(group.layers), self.fill)
        return request.fingerprint(pulls=self._pulls), request.jobs(pulls=self._pulls)

    @property
    def _now(self) -> Moment:
        return Moment.of(self.clock.time())

    async def _read(self, ask: Callable[[Connection], Result]) -> Result:
        return await read(self.reader, ask)

    async def _write(self, change: Callable[[Connection], Result]) -> Result:
        return await self.writer.call(change)


def _sight(connection: Connection, earlier: runs.Unfinished | None) -> tuple[runs.Unfinished, int]:
    """The runs that are not finished, and how many jobs there is room for."""
    return runs.unfinished(connection, earlier), QUEUED_ENOUGH - queue.ready(connection, QUEUED_ENOUGH)


def _counts(group: watches.Group) -> tuple[str, Sequence[NewJob]]:
    request = Request(group.targets, TagPolicy(group.tags), LayerPolicy(group.layers), depth="counts")
    return "counts " + request.fingerprint(pulls=False), request.jobs(pulls=False)


def _tell(event: str, begun: watches.Begun) -> None:
    names = [str(target) for target in begun.group.targets]
    log.info(event, run=begun.run_id, targets=names[:5], more=max(0, len(names) - 5), late_s=begun.group.late_s)
