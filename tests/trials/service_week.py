"""Days of the daemon over a world that changes at any time of the day, in virtual time and in one process.

`python -m tests.trials.service_week --days 7 --seed 1` prints how late each change was known, whether every watched repository has
a pull count of every UTC day, what was asked and refused, and how much memory the process took after each day.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from harvester.composition import open_store
from harvester.config import Settings
from harvester.daemon import Daemon
from harvester.systemd import Notifier
from harvester.timetable import Duty, Timetable
from harvester.watch import Watch, watches
from tests.fakehub import FakeHub, Limits
from tests.simulation.far_end import Distance, far_end
from tests.simulation.virtual import START, VirtualClock, virtually
from tests.trials.passes import kinds_of, told
from tests.trials.script import made
from tests.trials.scripted_world import ScriptedWorld, Stretch

DAY_S = 86_400.0

WATCHED: tuple[tuple[str, str], ...] = (
    ("acme/", "6h"),
    ("borealis/", "24h"),
    ("cumulus/", "3h"),
    ("delta/catalog", "1h"),
    ("delta/gateway", "12h"),
    ("delta/ledger", "24h"),
    ("delta/mailer", "24h"),
    ("delta/worker", "72h"),
)
"""Targets and their `every`."""

PASS_S = 900.0
"""What a pass may take besides: the budget is shared by all of them."""


class LoopTimetable(Timetable):
    """The duties on the loop's own time: APScheduler reads the machine's clock."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._all = tuple(duties)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._again(duty)) for duty in self._all]

    def set_right(self) -> None:
        return None

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _again(self, duty: Duty) -> None:
        while True:
            await duty.once()
            await asyncio.sleep(duty.every_s)


@dataclass(slots=True)
class Week:
    """What was done and what was found."""

    requests: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    memory: list[int] = field(default_factory=list)
    """Bytes of the process after each day."""
    done: dict[str, int] = field(default_factory=dict)
    delays: list[tuple[float, float]] = field(default_factory=list)
    """For each change that was known: the delay, and the `every` of its watch, both in seconds."""
    missed: list[str] = field(default_factory=list)
    """Changes that lasted long enough and are not in the database."""
    overtaken: int = 0
    """Changes that were overtaken by the next one before they could be seen."""
    false: list[str] = field(default_factory=list)
    """Intervals in the database that never were."""
    days_without_pulls: list[str] = field(default_factory=list)
    days_of_pulls: int = 0

    @property
    def late(self) -> list[tuple[float, float]]:
        """Delays beyond the cadence."""
        return [one for one in self.delays if one[0] > one[1] + PASS_S]


def every_of(full_name: str, watched: Sequence[Watch]) -> int:
    """The shortest `every` of the watches that cover a repository."""
    namespace = full_name.partition("/")[0]
    return min(watch.every for watch in watched for target in watch.targets if target.subject in (full_name, namespace))


class _Stage:
    def __init__(self, days: int, seed: int, folder: Path, clock: VirtualClock) -> None:
        self._days, self._clock = days, clock
        self._chance = random.Random(f"week {seed}")  # noqa: S311
        self._script = made(seed, days, with_shifts=False)
        self.scripted = ScriptedWorld()
        self.hub: FakeHub = far_end(Limits(), clock.time, self.scripted.world)
        self.watched = watches([{"target": target, "every": every} for target, every in WATCHED])
        self.database = folder / "harvester.db"
        self.settings = Settings(
            database=str(self.database),
            hub_url=self.hub.hub_url,
            auth_url=self.hub.auth_url,
            registry_url=self.hub.registry_url,
            metrics_listen="off",
            watch=self.watched,
        )
        self.week = Week()
        far = Distance(self.hub, clock.time, random.Random(seed))  # noqa: S311
        self.daemon = Daemon(
            lambda: (self.settings, None),
            self.settings,
            None,
            clock,
            Notifier.from_environment({}),
            inner=lambda egress: far,
            timetable=LoopTimetable,
        )

    async def run(self) -> Week:
        for change in self._script.first:
            self.scripted.do(change, START - DAY_S)
        engine = open_store(self.settings)
        serving = asyncio.create_task(self.daemon.serve(engine))
        changes = asyncio.create_task(self._happen())
        # Whole UTC days after the one that was begun.
        first = (START // DAY_S + 1) * DAY_S
        for day in range(self._days + 1):
            await self._clock.sleep(first + day * DAY_S - self._clock.time())
            self._note_day()
        changes.cancel()
        self.daemon.stop()
        await serving
        engine.dispose()
        self.week.done = {str(act): count for act, count in self.scripted.done.items()}
        self._judge(first)
        return self.week

    async def _happen(self) -> None:
        """What the script has for each day, at any time of it."""
        for day in range(1, self._days + 1):
            begins = (START // DAY_S + day) * DAY_S
            script = self._script.days[day]
            changes = [*script.before, *script.during]
            # Sorted, and given to the changes in their order: what is deleted was pushed before.
            times = sorted(begins + self._chance.uniform(0, DAY_S) for _ in changes)
            for at, change in zip(times, changes, strict=True):
                await self._clock.sleep(at - self._clock.time())
                self.scripted.do(change, self._clock.time())
            for full_name in sorted(self.scripted.world.repositories):
                self.scripted.world.count_pulls(full_name, self._chance.randrange(1, 1000))

    def _note_day(self) -> None:
        entries = list(self.hub.journal)
        self.hub.journal.clear()
        self.week.requests += kinds_of(entries)
        self.week.refused += sum(entry.status == 429 for entry in entries)
        gc.collect()
        self.week.memory.append(memory())

    def _judge(self, first: float) -> None:
        stored: dict[tuple[str, str], list[tuple[int, str | None]]] = {}
        for full_name, tag, seen_from, digest in self._rows(
            "SELECT r.full_name, t.name, h.seen_from, h.digest FROM tag_history h JOIN tags t ON t.id = h.tag_id"
            " JOIN repositories r ON r.id = t.repository_id ORDER BY h.seen_from"
        ):
            stored.setdefault((full_name, tag), []).append((seen_from, digest))
        end = self._clock.time()
        for key, stretches in self.scripted.tags.items():
            every = every_of(key[0], self.watched)
            rows = stored.get(key, [])
            for stretch in stretches:
                if stretch.since >= first and stretch.cause == "tag":
                    self._judge_one(key, stretch, rows, every, end)
            for seen_from, digest in rows:
                if not any(one.digest == digest and one.since <= seen_from + 2 for one in stretches):
                    self.week.false.append(f"{key[0]}:{key[1]} {digest} from {seen_from}")
        self._judge_pulls(first)

    def _judge_one(
        self, key: tuple[str, str], stretch: Stretch, rows: list[tuple[int, str | None]], every: int, end: float
    ) -> None:
        until = min(end, stretch.until or end)
        seen = [at for at, digest in rows if digest == stretch.digest and int(stretch.since) <= at <= until + 5]
        if seen:
            self.week.delays.append((min(seen) - stretch.since, float(every)))
        elif until - stretch.since > every + PASS_S:
            self.week.missed.append(f"{key[0]}:{key[1]} {stretch.digest} since {stretch.since:.0f}")
        else:
            self.week.overtaken += 1

    def _judge_pulls(self, first: float) -> None:
        counted = {
            (full_name, at // int(DAY_S))
            for full_name, at in self._rows(
                "SELECT r.full_name, p.observed_at FROM pull_history p JOIN repositories r ON r.id = p.repository_id"
            )
        }
        for full_name in self.scripted.repositories:
            for day in range(self._days):
                begins = first + day * DAY_S
                if all(self.scripted.was_there(full_name, begins + hour * 3600) for hour in range(25)):
                    self.week.days_of_pulls += 1
                    if (full_name, int(begins // DAY_S)) not in counted:
                        self.week.days_without_pulls.append(f"{full_name} day {day}")

    def _rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()


def memory() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def lived(days: int, seed: int, folder: Path) -> Week:
    """So many days of the daemon in virtual time."""
    random.seed(seed)
    return virtually(partial(_live, days, seed, folder))


async def _live(days: int, seed: int, folder: Path, clock: VirtualClock) -> Week:
    return await _Stage(days, seed, folder, clock).run()


def summary(week: Week) -> str:
    """What a person wants to know."""
    parts = sorted(delay / every for delay, every in week.delays)
    worst = parts[-1] if parts else 0.0
    middle = parts[len(parts) // 2] if parts else 0.0
    lines = [
        f"script      {told(week.done)}",
        f"requests    {sum(week.requests.values())}: {told(week.requests)}; {week.refused} refused with 429",
        f"changes     {len(week.delays)} known, {week.overtaken} overtaken before they could be, {len(week.missed)} missed,"
        f" {len(week.late)} later than the cadence",
        f"delay       {middle:.2f} of the cadence in the middle, {worst:.2f} at the most",
        f"false       {len(week.false)} intervals that never were",
        f"pulls       {week.days_of_pulls} days of repositories, {len(week.days_without_pulls)} without a count",
        f"memory      {', '.join(f'{one / 1e6:.1f}' for one in week.memory)} MB after each day",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Live the days that the command line asks for, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.trials.service_week", description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        week = lived(options.days, options.seed, Path(folder))
        sys.stdout.write(summary(week))
        sys.stdout.write(f"took        {time.monotonic() - began:.0f} s\n")
        for line in [*week.missed[:10], *week.false[:10], *week.days_without_pulls[:10]]:
            sys.stdout.write(f"  {line}\n")
        for delay, every in week.late[:10]:
            sys.stdout.write(f"  {delay:.0f} s of {every:.0f} s\n")


if __name__ == "__main__":
    main()
