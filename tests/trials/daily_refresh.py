"""Days of a refresh of the recorded official repositories, against the least that they could cost.

`python -m tests.trials.daily_refresh --days 5`, and once more with `--deletions`.

The least of a day, counted from what was done to the world and from nothing of the program: a page of the namespace's list per
hundred repositories, for each repository with pushes a page of its tags per hundred rows that moved, one question for the layers of
each digest that a `latest` got, and one for each deleted tag, which nothing else proves. Free of the Hub's budget, and counted by
themselves: a list of names per repository, and a token for ten of them.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from tests.fakehub import World
from tests.simulation.virtual import VirtualClock, virtually
from tests.trials.passes import DATA, FREE, RECORDED, Passed, Trial, of_hub, told

DAY_S = 86_400.0
MOVED = 0.02
"""Part of all tags that get another digest in a day."""
GROWN = 0.01
"""Part of the repositories that get a new tag."""
DELETED = 0.002
"""Part of all tags that are deleted, where deletions are tried."""
LAYERS_OF = "latest"
ALLOWED = 1.3
"""Requests made for each that is needed, at the most."""


@dataclass(slots=True)
class Changes:
    """What one day did to the world."""

    moved: list[tuple[str, str]] = field(default_factory=list)
    grown: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)

    def least(self, world: World) -> Counter[str]:
        """The requests that cannot be saved."""
        pushed = self.moved + self.grown
        rows = Counter(full_name for full_name, _ in pushed)
        digests = {world.repositories[full_name].tags[tag].digest for full_name, tag in pushed if tag == LAYERS_OF}
        listed = sum(1 for one in world.repositories.values() if one.tags)
        return +Counter(
            {
                "namespace pages": -(-len(world.repositories) // 100),
                "tag pages": sum(-(-count // 100) for count in rows.values()),
                "layers": len(digests),
                "single tags": len(self.deleted),
                "lists of names": listed,
                "tokens": -(-listed // 10),
            }
        )


@dataclass(frozen=True, slots=True)
class Day:
    """One day's changes, what the pass after them cost, and what it got wrong."""

    changes: Changes
    least: Counter[str]
    passed: Passed
    wrong: list[str]

    @property
    def ratio(self) -> float:
        """Requests of the Hub's budget for each that is needed."""
        return self.passed.hub / of_hub(self.least)


def recorded_world(data: Path = DATA) -> World:
    """All recorded official repositories, each as it was recorded last."""
    return World.recorded(*(data / name for name in RECORDED if (data / name).exists()))


def changed(world: World, chance: random.Random, now: float, *, with_deletions: bool) -> Changes:
    """Let a day pass in the world: pushes at random times of the day before `now`, new tags, pulls everywhere, deletions."""
    changes = Changes()
    every = [(one.full_name, tag) for one in world.repositories.values() for tag in one.tags]
    names = sorted(world.repositories)
    if with_deletions:
        changes.deleted = chance.sample(every, max(1, round(DELETED * len(every))))
        for full_name, tag in changes.deleted:
            world.delete_tag(full_name, tag)
    kept = [one for one in every if one not in set(changes.deleted)]
    changes.moved = chance.sample(kept, round(MOVED * len(every)))
    changes.grown = [
        (name, f"day-{int(now // DAY_S)}") for name in chance.sample(names, max(1, round(GROWN * len(names))))
    ]
    times = sorted(now - DAY_S * chance.random() for _ in changes.moved + changes.grown)
    for (full_name, tag), at in zip(changes.moved + changes.grown, times, strict=True):
        world.push_tag(full_name, tag, pushed_at=datetime.fromtimestamp(at, UTC))
    for name in names:
        world.count_pulls(name, chance.randrange(1, 100_000))
    return changes


def mistakes(trial: Trial, gone: set[tuple[str, str]], digests_seen: int) -> list[str]:
    """What is stored otherwise than the world has it."""
    world = trial.hub.world
    there = {(one.full_name, tag.name): tag.digest for one in world.repositories.values() for tag in one.tags.values()}
    query = "SELECT r.full_name, t.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS"
    stored = {(row[0], row[1]): row[2] for row in trial.rows(f"{query} NULL")}
    said_gone = {(row[0], row[1]) for row in trial.rows(f"{query} NOT NULL")}
    wrong = [
        f"{key}: {stored.get(key)} is {there.get(key)}"
        for key in stored.keys() | there.keys()
        if stored.get(key) != there.get(key)
    ]
    wrong += [f"{key}: gone, stored otherwise" for key in said_gone ^ gone]
    pulls = dict(trial.rows("SELECT full_name, pull_count FROM repositories"))
    wrong += [
        f"{one.full_name}: pulls" for one in world.repositories.values() if pulls[one.full_name] != one.pull_count
    ]
    intervals = trial.one("SELECT count(*) FROM tag_history WHERE digest IS NOT NULL")
    if intervals != digests_seen:
        wrong.append(f"{intervals} intervals in the history of {digests_seen}")
    wrong += [f"incomplete: {row}" for row in trial.rows("SELECT * FROM v_incomplete")]
    latest = {one.tags[LAYERS_OF].digest for one in world.repositories.values() if LAYERS_OF in one.tags} - {
        row[0] for row in trial.rows("SELECT digest FROM harvested_digests")
    }
    return wrong + [f"no layers of {digest}" for digest in latest]


def refreshed(
    world: World, folder: Path, *, days: int, with_deletions: bool = False, seed: int = 1
) -> tuple[Passed, list[Day]]:
    """The first pass, and each day with the pass after it."""
    return virtually(partial(_refresh, world, folder, days, with_deletions, seed))


async def _refresh(
    world: World, folder: Path, days: int, with_deletions: bool, seed: int, clock: VirtualClock
) -> tuple[Passed, list[Day]]:
    trial = Trial(world, folder, clock, seed=seed)
    chance = random.Random(seed)  # noqa: S311
    first = await trial.backfill("official")
    gone: set[tuple[str, str]] = set()
    pushes = sum(len(one.tags) for one in world.repositories.values())
    assert not mistakes(trial, gone, pushes)
    found = []
    for number in range(1, days + 1):
        await clock.sleep(number * DAY_S - clock.monotonic())
        changes = changed(world, chance, clock.time(), with_deletions=with_deletions)
        least = changes.least(world)
        passed = await trial.backfill("official")
        gone |= set(changes.deleted)
        pushes += len(changes.moved) + len(changes.grown)
        found.append(Day(changes, least, passed, mistakes(trial, gone, pushes)))
    return first, found


def unchanged(repositories: int, folder: Path, *, alone: bool) -> float:
    """Hub requests that one unchanged repository costs: of a namespace of so many, or asked for by its own name."""
    return virtually(partial(_unchanged, repositories, folder, alone))


async def _unchanged(repositories: int, folder: Path, alone: bool, clock: VirtualClock) -> float:
    trial = Trial(World.namespace("acme", repositories), folder, clock)
    target = "acme/repository-0001" if alone else "acme/"
    await trial.backfill(target)
    await clock.sleep(DAY_S)
    passed = await trial.backfill(target)
    return passed.hub / (1 if alone else repositories)


def main() -> int:
    """Print each day's requests beside the least; exit 1 where one is above what is allowed, or something is stored wrongly."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    parser = argparse.ArgumentParser(prog="python -m tests.trials.daily_refresh")
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--deletions", action="store_true", help="let tags be deleted as well")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the recorded repositories")
    options = parser.parse_args()
    world = recorded_world(options.data)
    tags = sum(len(one.tags) for one in world.repositories.values())
    say = sys.stdout.write
    say(f"world: {len(world.repositories)} official repositories, {tags} tags\n")
    with tempfile.TemporaryDirectory() as folder:
        first, days = refreshed(
            world, Path(folder), days=options.days, with_deletions=options.deletions, seed=options.seed
        )
    say(f"first pass: {first.hub} of the Hub's budget ({told(first.kinds)})\n")
    for number, day in enumerate(days, 1):
        changes = day.changes
        say(
            f"day {number}: {len(changes.moved)} tags moved and {len(changes.grown)} new in"
            f" {len({name for name, _ in changes.moved + changes.grown})} repositories, {len(changes.deleted)} deleted\n"
            f"  made  {day.passed.hub:4d} of the Hub's budget: {told(day.passed.kinds)}; {day.passed.refused} refused,"
            f" {day.passed.seconds:.0f} s\n"
            f"  least {of_hub(day.least):4d} of the Hub's budget: {told(day.least)}\n"
            f"  ratio {day.ratio:.3f}; stored otherwise than the world has it: {len(day.wrong)} {day.wrong[:3] or ''}\n"
        )
    made, least = sum(day.passed.hub for day in days), sum(of_hub(day.least) for day in days)
    free = [
        sum(sum(kinds[name] for name in FREE) for kinds in two)
        for two in ([day.passed.kinds for day in days], [day.least for day in days])
    ]
    say(
        f"all days: {made} made, {least} needed, ratio {made / least:.3f}; free ones: {free[0]} made, {free[1]} needed\n"
    )
    for alone in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            cost = unchanged(100, Path(folder), alone=alone)
        say(f"an unchanged repository {'asked for alone' if alone else 'of a namespace of 100'}: {cost:g} requests\n")
    return int(any(day.wrong or day.ratio > ALLOWED for day in days))


if __name__ == "__main__":
    sys.exit(main())
