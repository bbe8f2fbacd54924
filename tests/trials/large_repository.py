"""One repository with very many tags: what it costs to know them all, by whom, and whether kills and others get in the way.

`python -m tests.trials.large_repository --tags 15590`: anonymous, with the limits of the far end in virtual time: the first day, a
second one with pushes, and the holes filled.

`python -m tests.trials.large_repository --tags 200000 --real [--signed-in] [--kills 4]`: real processes, killed in mid-walk and
started again, beside a hundred small repositories; budgets are out of the way.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path

import structlog

from harvester.store.holes import Holes
from tests.fakehub import World
from tests.fakehub.synthetic import build
from tests.fakehub.world import FIRST_PUSH, Tag, wire_time
from tests.simulation.virtual import VirtualClock, virtually
from tests.trials.killed import Ended, killed_and_resumed
from tests.trials.passes import Passed, Trial, told

LARGE = "acme/large"
SMALL = "little"
"""The namespace of the small repositories."""
DAY_S = 86_400.0
MOVED = 0.01
"""Part of the tags that are pushed again before the second day."""

VARIANTS = ("", "-cli", "-fpm", "-apache", "-zts", "-cli-alpine", "-fpm-alpine", "-zts-alpine", "-cli-bookworm")


def tag_names(count: int) -> list[str]:
    """Names as large repositories have them: of ten five are versions with variants, four are commits, one is a date."""
    versions = (f"{a}.{b}.{c}{v}" for a in range(1, 10_000) for b in range(10) for c in range(45) for v in VARIANTS)
    dates = (
        f"nightly-{FIRST_PUSH - timedelta(days=day):%Y%m%d}{v}"
        for day in range(10**5)
        for v in ("", "-slim", "-alpine")
    )
    commits = (f"sha-{sha256(str(number).encode()).hexdigest()[:9]}" for number in range(10**9))
    return list(islice(_mixed(versions, dates, commits), count))


def _mixed(versions: Iterator[str], dates: Iterator[str], commits: Iterator[str]) -> Iterator[str]:
    while True:
        yield from chain(islice(versions, 5), islice(commits, 4), islice(dates, 1))


def large_world(count: int, *, small: int = 0) -> World:
    """A repository of so many tags, which share one image under digests of their own; beside it small ones of one tag."""
    world = World()
    repository = world.add_repository(LARGE, pull_count=1)
    image = build(LARGE)
    for number, name in enumerate(tag_names(count)):
        pushed = wire_time(FIRST_PUSH + timedelta(minutes=number))
        digest = f"sha256:{sha256(name.encode()).hexdigest()}"
        world.put_tag(
            LARGE,
            Tag(
                name=name,
                tag_id=number + 1,
                repository_id=repository.repository_id,
                images=(image,),
                document=image.manifest,
                digest=digest,
                media_type=image.config_media_type,
                last_updated=pushed,
                last_pulled=pushed,
                full_size=image.size,
            ),
        )
    for number in range(small):
        world.add_repository(f"{SMALL}/repository-{number:03}", pull_count=1, tags=["latest"])
    return world


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of the large repository's tags."""

    names: int
    digests: int
    holes: int
    incomplete: int

    @classmethod
    def of(cls, trial: Trial) -> Known:
        """As it stands now."""
        return cls(
            trial.one("SELECT count(*) FROM tags WHERE gone_at IS NULL"),
            trial.one("SELECT count(*) FROM tags WHERE digest IS NOT NULL AND is_name_only IS NULL"),
            trial.one("SELECT count(*) FROM v_holes"),
            trial.one("SELECT count(*) FROM v_incomplete"),
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass, and what is known after it."""

    name: str
    passed: Passed
    known: Known

    @property
    def forecast(self) -> Holes | None:
        return next(iter(self.passed.holes), None)


def harvested(count: int, folder: Path, *, seed: int = 1) -> list[Stage]:
    """The first day, the second one, and the holes filled; anonymous, under the far end's own limits."""
    return virtually(partial(_harvest, count, folder, seed))


async def _harvest(count: int, folder: Path, seed: int, clock: VirtualClock) -> list[Stage]:
    world = large_world(count)
    trial = Trial(world, folder, clock, seed=seed)
    chance = random.Random(seed)  # noqa: S311
    stages = []

    async def stage(name: str, holes: str = "leave") -> None:
        passed = await trial.backfill(LARGE, layers="none", holes=holes)
        stages.append(Stage(name, passed, Known.of(trial)))

    await stage("the first day")
    await clock.sleep(DAY_S - clock.monotonic())
    moved = chance.sample(world.tag_names(LARGE), round(MOVED * count))
    for name in moved:
        world.push_tag(LARGE, name, pushed_at=datetime.fromtimestamp(clock.time() - DAY_S * chance.random(), UTC))
    await stage(f"the second day, {len(moved)} tags moved")
    await stage("the holes filled", "fill")
    there = {tag.name: tag.digest for tag in world.repositories[LARGE].tags.values()}
    assert dict(trial.rows("SELECT name, digest FROM tags WHERE gone_at IS NULL AND is_name_only IS NULL")) == there
    return stages


def tell(stages: Sequence[Stage]) -> Iterator[str]:
    """The figures, line by line."""
    forecast: Holes | None = None
    for stage in stages:
        passed, known = stage.passed, stage.known
        yield f"{stage.name}: {passed.kinds.total()} requests, {passed.hub} of the Hub's budget ({told(passed.kinds)});"
        yield f"  {passed.refused} refused, {passed.seconds / 60:.1f} min"
        yield (
            f"  known: {known.names} names, {known.digests} digests, {known.holes} holes; {known.incomplete} lists are incomplete"
        )
        if forecast is not None and stage is stages[-1]:
            pages = passed.kinds["tag pages"] + passed.kinds["single tags"]
            yield f"  the plan said {forecast.requests} requests, {pages} pages and single tags were asked for"
        forecast = stage.forecast
        if forecast is not None:
            yield f"  {forecast.why}"


def tell_real(ended: Ended, count: int) -> Iterator[str]:
    """The figures of real processes."""
    yield f"{ended.processes} processes, {ended.kills} of them killed: exit {ended.exit_code} after {ended.seconds:.0f} s"
    yield f"  {ended.kinds.total()} requests ({told(ended.kinds)}) for {-(-count // 100)} pages"
    yield f"  known: {ended.digests} of {count} digests, {ended.holes} holes; {ended.incomplete} lists are incomplete"
    yield f"  the small repositories were done after {ended.small_done_after} requests"
    yield (
        f"  memory {ended.peak_mib:.0f} MiB at the most; {ended.transactions} transactions, the slowest"
        f" {ended.slowest_s:.2f} s, {ended.over_a_second} of them over 1 s"
    )
    yield f"  plans of holes: {ended.plans} in transactions, the slowest {ended.slowest_plan_s:.2f} s"


def main() -> int:
    """Print the figures; exit 1 where something is not known at the end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    parser = argparse.ArgumentParser(prog="python -m tests.trials.large_repository")
    parser.add_argument("--tags", type=int, default=15_590)
    parser.add_argument("--real", action="store_true", help="real processes that are killed")
    parser.add_argument("--signed-in", action="store_true")
    parser.add_argument("--kills", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not options.real:
            stages = harvested(options.tags, Path(folder))
            sys.stdout.write("\n".join(tell(stages)) + "\n")
            return int(stages[-1].known.incomplete > 0)
        world = large_world(options.tags, small=100)
        ended = killed_and_resumed(
            world, Path(folder), (LARGE, f"{SMALL}/"), kills=options.kills, is_signed_in=options.signed_in, small=SMALL
        )
        sys.stdout.write("\n".join(tell_real(ended, options.tags)) + "\n")
        return int(ended.incomplete > 0 or ended.holes > 0)


if __name__ == "__main__":
    sys.exit(main())
