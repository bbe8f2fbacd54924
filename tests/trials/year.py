"""A year of a scripted world, harvested every day while the far end fails in many ways, and judged by the script.

`python -m tests.trials.year --days 365 --seed 1`, and with `--no-faults` every interval to the day.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from tests.simulation.virtual import START, VirtualClock, virtually
from tests.trials.judge import DAY_S, Difference, Judge, Verdict
from tests.trials.judge_events import Events, judged_events
from tests.trials.observed import Pass, Sights, Watched, disturbed, pages_of_tags
from tests.trials.passes import Trial, told
from tests.trials.script import REPOSITORIES, made
from tests.trials.scripted_world import BY_NAME, NAMESPACES, Change, Script, ScriptDay, ScriptedWorld
from tests.trials.year_faults import Weather

TARGETS = (
    *(f"{namespace}/" for namespace in NAMESPACES if namespace != BY_NAME),
    *(f"{BY_NAME}/{name}" for name in REPOSITORIES),
)
MOST_RUNS = 4
"""Runs of a day at the most: one that goes on where the day before gave up, and one that begins anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is tried."""

    days: int
    seed: int = 1
    with_faults: bool = True


@dataclass(slots=True)
class Year:
    """What was done and what was found."""

    judge: Judge
    passes: list[Pass] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    gave_up: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    done: dict[str, int] = field(default_factory=dict)
    false_deletions: list[Difference] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    events: Events = field(default_factory=Events)

    @property
    def differences(self) -> list[Difference]:
        """All that is stored otherwise than it was."""
        return sorted({*self.false_deletions, *self.verdict.differences, *self.events.differences}, key=_by_day)


def _by_day(one: Difference) -> tuple[int, str, str, str]:
    return one.day, one.kind, one.subject, one.text


class _Stage:
    """The script, the weather and the harvester, a day at a time."""

    def __init__(self, plan: Plan, folder: Path, clock: VirtualClock) -> None:
        self._plan, self._clock = plan, clock
        self._chance = random.Random(f"year {plan.seed}")  # noqa: S311
        self._script: Script = made(plan.seed, plan.days, with_shifts=plan.with_faults)
        self._weather = Weather(plan.seed, plan.days) if plan.with_faults else None
        self.scripted = ScriptedWorld()
        self.sights = Sights()
        self.trial = Trial(self.scripted.world, folder, clock, seed=plan.seed, may_give_up=True)
        chance = random.Random(plan.seed)  # noqa: S311
        self.trial.far = Watched(self.trial.hub, clock.time, chance, sights=self.sights, before=self._on_request)
        self.judge = Judge(self.trial, self.scripted, self.sights)
        self.year = Year(self.judge, self.judge.passes)
        self._due: list[Change] = []
        self._shifted: set[str] = set()
        self._misled: set[str] = set()
        """Repositories whose tags were last shown by a list that lacks one and agrees with itself."""
        self._began = self._ended = START

    async def run(self) -> Year:
        for change in self._script.first:
            self.scripted.do(change, START - DAY_S)
        await self._pass(0)
        for day in range(1, self._plan.days + 1):
            midnight = (START // DAY_S + day) * DAY_S
            at = midnight + self._chance.uniform(2, 18) * 3600
            await self._clock.sleep(at - self._clock.time())
            self._happen(self._script.days[day])
            if self._weather is not None:
                self._weather.arm(self.trial.hub, day, sorted(self.scripted.world.repositories))
            await self._pass(day)
            if self._weather is not None:
                self._weather.disarm(self.trial.hub)
            for change in [*self._due]:
                self._do_due(change)
        self.year.done = {str(act): count for act, count in self.scripted.done.items()}
        if self._weather is not None:
            self.year.faults = +self._weather.met
        self.year.verdict = self.judge.compare()
        self.year.events = judged_events(self.judge)
        return self.year

    def _happen(self, day: ScriptDay) -> None:
        """What happened since the last pass, at times between it and now."""
        since, until = self._ended + 600, self._clock.time() - 600
        times = sorted(self._chance.uniform(since, until) for _ in day.before)
        for change, at in zip(day.before, times, strict=True):
            self.scripted.do(change, at)
        for full_name in sorted(self.scripted.world.repositories):
            self.scripted.world.count_pulls(full_name, self._chance.randrange(1, 1000))
        self._due = list(day.during)

    def _on_request(self, target: str) -> None:
        for change in [*self._due]:
            if change.when == "page":
                is_now = f"/{change.full_name.partition('/')[2]}/tags?" in target and "page=1&" not in f"{target}&"
                is_now = is_now and any(f"page={number}" in target.split("?")[1].split("&") for number in range(2, 9))
            else:
                is_now = self._clock.time() >= self._began + change.after_s
            if is_now:
                self._do_due(change)

    def _do_due(self, change: Change) -> None:
        self._due.remove(change)
        self._shifted.add(change.full_name)
        self.scripted.do(change, self._clock.time())

    async def _pass(self, day: int) -> None:
        self._began = first_began = self._clock.time()
        self._shifted = set()
        touched: set[str] = set()
        is_whole = False
        for _ in range(MOST_RUNS):
            began = self._clock.time()
            passed = await self.trial.backfill(*TARGETS)
            self.year.requests += passed.kinds
            touched |= disturbed(self.trial.hub.journal, self.scripted.repositories)
            self._note_lies()
            if self.trial.fatal is not None:
                self.year.gave_up += 1
                break
            if not self.trial.is_resumed:
                is_whole = True
                break
        self._ended = self._clock.time()
        assert int(self._ended // DAY_S) == int(first_began // DAY_S), f"the pass of day {day} took too long"
        one = Pass(day, began, self._ended, is_whole, frozenset(touched | self._shifted | self._misled))
        self.judge.passes.append(one)
        self.year.false_deletions += self.judge.false_deletions(first_began)

    def _note_lies(self) -> None:
        """Who was misled now: nobody can know of it before the pages are served again."""
        self._misled -= pages_of_tags(self.trial.hub.journal, is_fault=False)
        names = set() if self._weather is None else set(self._weather.lied())
        by_faults = pages_of_tags(self.trial.hub.journal, is_fault=True)
        self._misled |= {one for one in by_faults if one.partition("/")[2] in names}


def lived(plan: Plan, folder: Path) -> Year:
    """A first pass and as many days as are planned, in virtual time."""
    # The worker draws its delays from the common source.
    random.seed(plan.seed)
    return virtually(partial(_live, plan, folder))


async def _live(plan: Plan, folder: Path, clock: VirtualClock) -> Year:
    return await _Stage(plan, folder, clock).run()


def summary(year: Year) -> str:
    """What a person wants to know."""
    verdict, events = year.verdict, year.events
    late = ", ".join(f"{number} by {days} days" for days, number in sorted(verdict.late.items()) if days)
    clear = sum(one.is_whole and not one.disturbed for one in year.passes)
    lines = [
        f"passes      {len(year.passes)}, {clear} of them undisturbed, {year.gave_up} given up",
        f"requests    {sum(year.requests.values())}: {told(year.requests)}",
        f"script      {told(year.done)}",
        f"faults      {sum(year.faults.values())}: {told(year.faults)}",
        f"intervals   {verdict.compared} compared, {verdict.equal} equal, {verdict.unseen} that no pass could show",
        f"late        {late or 'none'}",
        f"gone falsely {len({one.subject for one in year.false_deletions})}",
        f"events      {told(events.counts)}",
        f"differences {len(year.differences)}: {told(Counter(one.kind for one in year.differences))}",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the summary and the differences; exit 1 where there are any."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    parser = argparse.ArgumentParser(prog="python -m tests.trials.year")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-faults", action="store_true", help="let the far end be well, every day")
    parser.add_argument("--most", type=int, default=40, help="differences to print")
    parser.add_argument("--keep", type=Path, help="folder in which the database is left")
    options = parser.parse_args()
    plan = Plan(days=options.days, seed=options.seed, with_faults=not options.no_faults)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        year = lived(plan, Path(folder) if options.keep is None else options.keep)
    sys.stdout.write(summary(year))
    for difference in year.differences[: options.most]:
        sys.stdout.write(f"  {difference}\n")
    sys.stdout.write(f"took        {time.monotonic() - began:.1f} s\n")
    return int(bool(year.differences))


if __name__ == "__main__":
    sys.exit(main())
