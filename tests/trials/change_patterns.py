"""Worlds in which repositories change: as recorded, and as simulated. Times are days from the beginning of a trial.

What is recorded: when the images of 83 official repositories were pushed (2018, the newest layer of each manifest; of a tag only
what it pointed to last, so the further back, the fewer), and `last_updated` of 1,015 repositories on two days of 2024. What pushes
there were between, nobody recorded; the series of pull counts tell nothing of pushes.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

DAY_S = 86_400.0
PAST = 400.0
"""Days before the beginning that a simulated repository has lived."""


@dataclass(frozen=True, slots=True)
class Changing:
    """One repository: when it was changed, before the beginning (negative) and after, in order."""

    name: str
    changes: tuple[float, ...]
    pulls: int | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A world and how long it is watched."""

    title: str
    days: float
    repositories: tuple[Changing, ...]
    is_listed: bool = False
    """Whether namespaces are watched, each by its list."""
    is_known_worse: bool = False
    """A world made so that there is nothing to gain."""


def patterns(data: Path, size: int, days: float) -> Iterator[Pattern]:
    """All patterns: the recorded ones, then the simulated ones."""
    yield recorded_pushes(data)
    yield recorded_catalogue(data)
    yield from simulated(data, size, days)


def simulated(data: Path, size: int, days: float) -> Iterator[Pattern]:
    """What nobody recorded, by rules."""
    chance = random.Random(20261120)  # noqa: S311

    def world(title: str, one: Callable[[int], Iterator[float]], *, is_known_worse: bool = False) -> Pattern:
        repositories = tuple(
            Changing(f"user{n % 97}/name{n}", _until(one(n), days), int(10 ** chance.uniform(0, 9)))
            for n in range(size)
        )
        return Pattern(title, days, repositories, is_known_worse=is_known_worse)

    ages = _ages(data)
    yield world(
        "rates as the catalogue's ages tell", lambda n: _poisson(chance, min(50.0, chance.expovariate(1) / ages[n]))
    )
    decades = [10 ** chance.uniform(-3, 2) for _ in range(size)]
    yield world("random, rates over five decades", lambda n: _poisson(chance, decades[n]))
    several = [10 ** chance.uniform(-3, 1) for _ in range(97)]
    yield replace(
        world("namespaces by their lists, over four decades", lambda n: _poisson(chance, several[n % 97])),
        is_listed=True,
    )
    yield world("bunches: 20 pushes in two hours", lambda n: _bunches(chance, decades[n] / 20))
    yield world("working hours", lambda n: _working_hours(chance, decades[n] * 4))
    yield world("weekly releases, a few nightly", lambda n: _releases(chance, nightly=n % 10 == 0), is_known_worse=True)
    yield world("dying and waking", lambda n: _dying_and_waking(chance, decades[n]))
    yield world("all rates change in the middle", lambda n: _switched(chance, decades[n], decades[n - 1], days / 2))
    yield world("all alike, one in ten days", lambda n: _poisson(chance, 0.1), is_known_worse=True)
    yield world(
        "a busy week in turn, quiet for the rest",
        lambda n: _in_turn(chance, n / size * 70.0, 70.0),
    )


def recorded_pushes(data: Path) -> Pattern:
    """The official repositories' pushes in the 60 days before the recording."""
    with gzip.open(data / "official-2018.json.gz", "rt", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)["repositories"]
    pushes: dict[str, set[float]] = {}
    for name, repository in found.items():
        for manifest in repository["manifests"].values():
            times = [_days(layer["last_modified"]) for layer in manifest["layers"] if layer.get("last_modified")]
            if times:
                pushes.setdefault(f"library/{name}", set()).add(max(times))
    end = max(max(times) for times in pushes.values())
    days = 60.0
    repositories = tuple(
        Changing(name, tuple(sorted(at - (end - days) for at in times))) for name, times in sorted(pushes.items())
    )
    return Pattern("recorded: pushes of official images, 2018", days, repositories)


def recorded_catalogue(data: Path) -> Pattern:
    """The repositories that both snapshots hold, from the first one on: all that is known is the age of the last push."""
    first, second = _snapshots(data)
    both = sorted(name for name in first.keys() & second.keys() if first[name][0] and second[name][0])
    begin = max(_days(first[name][0]) for name in both)
    end = max(_days(second[name][0]) for name in both)
    repositories = tuple(
        Changing(
            name,
            tuple(sorted({_days(first[name][0]) - begin, _days(second[name][0]) - begin})),
            _pulls(first[name][1]),
        )
        for name in both
    )
    return Pattern("recorded: catalogue of 2024, three days", end - begin, repositories)


def _snapshots(data: Path) -> list[dict[str, tuple[str, str]]]:
    with gzip.open(data / "catalog-2024.json.gz", "rt", encoding="utf-8") as file:
        found = json.load(file)["snapshots"]
    return [
        {
            f"{one['namespace']}/{one['name']}": (one["last_updated"], one["pull_count_text"])
            for one in snapshot["repositories"]
        }
        for snapshot in found
    ]


def _ages(data: Path) -> list[float]:
    """Days since the last push, of the first snapshot's repositories, evenly picked."""
    times = sorted(_days(updated) for updated, _ in _snapshots(data)[0].values() if updated)
    ages = [max(0.05, times[-1] - at) for at in times]
    random.Random(1).shuffle(ages)  # noqa: S311
    return ages


def _days(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() / DAY_S


def _pulls(text: str | None) -> int | None:
    if not text:
        return None
    number = text.rstrip("+")
    return int(float(number.rstrip("KMB")) * {"K": 1e3, "M": 1e6, "B": 1e9}.get(number[-1], 1))


def _until(times: Iterator[float], days: float) -> tuple[float, ...]:
    found: list[float] = []
    for at in times:
        if at >= days:
            break
        found.append(at)
    return tuple(sorted(found))


def _poisson(chance: random.Random, per_day: float, begin: float = -PAST) -> Iterator[float]:
    at = begin
    while True:
        at += chance.expovariate(per_day)
        yield at


def _bunches(chance: random.Random, per_day: float) -> Iterator[float]:
    for at in _poisson(chance, per_day):
        yield from sorted(at + chance.uniform(0, 1 / 12) for _ in range(20))


def _working_hours(chance: random.Random, per_day: float) -> Iterator[float]:
    for at in _poisson(chance, per_day):
        if at % 7 < 5 and 9 / 24 <= at % 1 < 17 / 24:
            yield at


def _releases(chance: random.Random, *, nightly: bool) -> Iterator[float]:
    weekday, hour = chance.randrange(5), chance.uniform(8, 18) / 24
    for day in count(-int(PAST)):
        if nightly or day % 7 == weekday:
            yield day + (2 / 24 if nightly else hour) + chance.gauss(0, 0.02)


def _dying_and_waking(chance: random.Random, per_day: float) -> Iterator[float]:
    at = -PAST
    while True:
        awake = at + chance.uniform(5, 60)
        for push in _poisson(chance, per_day, at):
            if push >= awake:
                break
            yield push
        at = awake + chance.uniform(5, 60)


def _switched(chance: random.Random, before: float, after: float, at: float) -> Iterator[float]:
    for push in _poisson(chance, before):
        if push >= at:
            break
        yield push
    yield from _poisson(chance, after, at)


def _in_turn(chance: random.Random, offset: float, round_days: float) -> Iterator[float]:
    for begin in count(-PAST + offset, round_days):
        for push in _poisson(chance, 3.0, begin):
            if push >= begin + 7:
                break
            yield push
