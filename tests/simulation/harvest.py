"""Processes that harvest without end in virtual time, and what the fake Hub's journal says of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from pathlib import Path

from sqlalchemy import Connection

from harvester.composition import assembled, open_store, worker_of
from harvester.config import Settings
from harvester.jobs import Args, repository
from harvester.store import queue
from harvester.store.moment import Moment
from tests.fakehub import Entry, FakeHub, Limits
from tests.simulation.far_end import Distance, far_end
from tests.simulation.others import WHO, Shape, spend
from tests.simulation.virtual import START, VirtualClock, virtually


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that reached the fake Hub."""

    at: float
    """Seconds since the beginning."""
    is_ours: bool
    is_refused: bool


@dataclass(slots=True)
class Course:
    """What the journal says."""

    limit: int
    window_s: float
    asked: list[Asked] = field(default_factory=list)

    def keep(self, entries: Sequence[Entry]) -> None:
        """Take over what was journalled."""
        for entry in entries:
            if entry.budget != "none":
                is_ours = entry.headers.get("user-agent") != WHO
                self.asked.append(Asked(entry.at - START, is_ours, entry.status == 429))

    def refused(self, since: float = 0.0, until: float = 1e12) -> int:
        """Requests of ours that the limiter refused."""
        return sum(1 for one in self.asked if one.is_ours and one.is_refused and since <= one.at < until)

    def ours(self, since: float, until: float) -> int:
        """Requests of ours that were answered."""
        return sum(1 for one in self.asked if one.is_ours and not one.is_refused and since <= one.at < until)

    def theirs(self, since: float, until: float) -> int:
        """Requests of somebody else that were answered."""
        return sum(1 for one in self.asked if not one.is_ours and not one.is_refused and since <= one.at < until)

    def windows(self) -> list[tuple[float, int]]:
        """Beginning and requests of ours of each window, as the fake Hub counts: the first request after the last one opens it."""
        found: Counter[float] = Counter()
        began = -1e12
        for one in self.asked:
            if one.at >= began + self.window_s:
                began = one.at
            found[began] += one.is_ours and not one.is_refused
        return sorted(found.items())

    def use(self, since: float, until: float) -> float:
        """Part of the limit that we used in the windows of that time, on the average."""
        full = [ours for began, ours in self.windows() if since <= began and began + self.window_s <= until]
        return sum(full) / len(full) / self.limit

    def longest_silence(self, since: float, until: float) -> float:
        """Seconds without an answered request of ours, at the most."""
        times = [since, *(a.at for a in self.asked if a.is_ours and not a.is_refused and since <= a.at < until), until]
        return max(after - before for before, after in pairwise(times))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is simulated."""

    hours: float
    per_minute: int = 180
    restarts: tuple[float, ...] = ()
    """Seconds at which every process is dropped and opened again."""
    processes: int = 1
    others: Shape | None = None
    others_until_s: float | None = None
    seed: int = 1


def simulated(plan: Plan, database: Path) -> Course:
    """Harvest for so many hours of virtual time."""
    return virtually(partial(_harvest, plan, database))


async def _harvest(plan: Plan, database: Path, clock: VirtualClock) -> Course:
    limits = Limits(hub_per_minute=plan.per_minute)
    hub, chance = far_end(limits, clock.time), random.Random(plan.seed)  # noqa: S311
    course = Course(plan.per_minute, limits.hub_window_s)
    settings = Settings(database=str(database), hub_url=hub.hub_url, auth_url=hub.auth_url)
    end_s = plan.hours * 3600
    numbers = count()
    tasks = []
    if plan.others is not None:
        their_chance = random.Random(plan.seed + 1)  # noqa: S311
        gaps = plan.others(their_chance, plan.per_minute / limits.hub_window_s / 2)
        until_s = end_s if plan.others_until_s is None else plan.others_until_s
        tasks.append(asyncio.create_task(spend(hub, gaps, until_s)))
    for until_s in (*plan.restarts, end_s):
        far = Distance(hub, clock.time, chance)
        processes = [
            asyncio.create_task(_process(settings, clock, far, numbers, course, hub)) for _ in range(plan.processes)
        ]
        done, _ = await asyncio.wait(processes, timeout=until_s - clock.monotonic())
        for process in processes:
            process.cancel()
        ended = await asyncio.gather(*processes, return_exceptions=True)
        assert not done, ended
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    _collect(course, hub)
    return course


async def _process(
    settings: Settings,
    clock: VirtualClock,
    far: Distance,
    numbers: count[int],
    course: Course,
    hub: FakeHub,
) -> None:
    """One process that never runs out of work, until it is cancelled."""
    engine = open_store(settings)
    try:
        async with assembled(
            settings, engine, clock, credential=None, on_hold=lambda *_: None, inner=lambda egress: far
        ) as parts:

            async def feed() -> None:
                while True:
                    # A detail and an empty page of tags each: more than a window allows.
                    await parts.writer.call(partial(_add, numbers, course.limit, Moment.of(clock.time())))
                    await asyncio.sleep(course.window_s)
                    _collect(course, hub)

            async def is_over() -> bool:
                return False

            worker = worker_of(parts, clock, run_id=None, on_report=lambda report: None)
            feeding = asyncio.create_task(feed())
            try:
                await worker.run(is_over)
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
    finally:
        engine.dispose()


def _add(numbers: count[int], number: int, now: Moment, connection: Connection) -> None:
    jobs = [repository(Args(subject=f"acme/repository-{next(numbers)}")) for _ in range(number)]
    queue.enqueue(connection, jobs, now, runs=(), fresh_after=now.text)


def _collect(course: Course, hub: FakeHub) -> None:
    entries = list(hub.journal)
    hub.journal.clear()
    course.keep(entries)
