"""How late changes become known: looks shared out by what changes, against fixed intervals with as many requests.

`python -m tests.trials.freshness [--data DIR]`. Each pattern (`tests/trials/change_patterns.py`) is watched three ways. At the
first look nothing is known but the date of the last push:

- adaptive: every repository once a day, and looks between as `harvester.cadence` shares them out, costing at most as much again;
- fixed: every repository at one interval, chosen so that the requests come out equal, pages of tags that changed included;
- day: every repository once a day, as adaptive without its looks between would, with about half of the requests.

The delay of a change is the time until the first look after it. All changes count from the first second, learning included, each
push of a bunch by itself; `weighted` counts them by `cadence.weight` of the pulls. A second table puts twice the demand of the
capacity on watches of four lengths, and tells how late each length is, relative to itself.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from harvester import cadence
from harvester.cadence import Habit, Source
from tests.trials.change_patterns import Changing, Pattern, patterns
from tests.trials.passes import DATA

HOUR = 3600
DAY = 86_400
FASTEST = DAY // 12
REPLANNED_S = 6 * HOUR
LIKE = 0.1
"""An interval that moves by less stays, as in the store."""


class Late(NamedTuple):
    """How late changes became known, in hours, and what it took."""

    requests: int
    mean: float
    median: float
    p95: float
    weighted: float
    changes: int


@dataclass(slots=True)
class _Watched:
    """A repository while it is watched adaptively."""

    name: str
    changes: Sequence[float]
    """In seconds."""
    weight: float
    habit: Habit
    seen: int
    """Changes that are known."""
    looked: float = 0.0


@dataclass(slots=True)
class _Unit:
    """What one request looks at: a repository, or a namespace by its list."""

    name: str
    members: list[_Watched]
    is_list: bool
    interval: int = DAY
    due: float | None = None

    @property
    def phase(self) -> int:
        return cadence.phase(self.name, DAY)

    @property
    def pages(self) -> int:
        return -(-len(self.members) // cadence.PAGE)

    @property
    def looked(self) -> float:
        return self.members[0].looked


class _Tally:
    def __init__(self, end: float) -> None:
        self.end = end
        self.requests = 0
        self._delays: list[float] = []
        self._weights: list[float] = []

    def ask(self, now: float, requests: int) -> None:
        """So many requests; what is asked after the end only tells how late the last changes became known."""
        if now < self.end:
            self.requests += requests

    def learn(self, changes: Sequence[float], now: float, weight: float) -> None:
        """What a look found."""
        for at in changes:
            if 0 <= at < self.end:
                self._delays.append((now - at) / HOUR)
                self._weights.append(weight)

    def late(self) -> Late:
        if not self._delays:
            return Late(self.requests, 0, 0, 0, 0, 0)
        weighted = sum(d * w for d, w in zip(self._delays, self._weights, strict=True)) / sum(self._weights)
        p95 = sorted(self._delays)[int(0.95 * (len(self._delays) - 1))]
        return Late(self.requests, fmean(self._delays), median(self._delays), p95, weighted, len(self._delays))


def adaptive(pattern: Pattern) -> Late:
    """Passes once a day and looks between."""
    end = pattern.days * DAY
    tally = _Tally(end)
    units = _units(pattern)
    queue: list[tuple[float, int, bool]] = [
        (float(cadence.next_slot(0, DAY, one.phase)), place, True) for place, one in enumerate(units)
    ]
    heapq.heapify(queue)
    replanned = 0.0
    while queue:
        now, place, is_pass = heapq.heappop(queue)
        if now >= end + DAY:
            break
        while replanned <= now:
            for moved in _replan(units, replanned):
                heapq.heappush(queue, (units[moved].due or 0.0, moved, False))
            replanned += REPLANNED_S
        one = units[place]
        if is_pass:
            heapq.heappush(queue, (now + DAY, place, True))
        elif one.due != now:
            continue
        _look(one, now, tally)
        if one.interval < DAY:
            one.due = cadence.next_look(now, one.interval, one.name, cadence.next_slot(now, DAY, one.phase))
            heapq.heappush(queue, (one.due, place, False))
    return tally.late()


def fixed(pattern: Pattern, interval: float) -> Late:
    """Every repository at one interval."""
    end = pattern.days * DAY
    tally = _Tally(end)
    for one in _units(pattern):
        at = interval * one.phase / DAY
        while at < end + interval:
            _look(one, at, tally)
            at += interval
    return tally.late()


def equal(pattern: Pattern, requests: int) -> tuple[float, Late]:
    """The fixed interval that takes as many requests, and what it comes to."""
    shortest, longest = 60.0, 4.0 * DAY
    for _ in range(40):
        interval = sqrt(shortest * longest)
        found = fixed(pattern, interval)
        if abs(found.requests - requests) <= requests * 0.002:
            break
        shortest, longest = (interval, longest) if found.requests > requests else (shortest, interval)
    return interval, found


def uneven(*, is_stretched: bool, days: float = 90.0, settled: float = 30.0) -> dict[int, float]:
    """The mean time between passes by `every`, as a part of it, where passes want twice what there is.

    The first passes come at the slots of the time before and are not counted.
    """
    lengths = (HOUR, 6 * HOUR, DAY, 7 * DAY)
    watches = [(f"{every}/{n}", every) for every in lengths for n in range(10 * every // HOUR)]
    demand = sum(1 / every for _, every in watches)
    factor = cadence.stretch(demand, demand / 2)
    due = [
        (float(cadence.next_slot(0, every, cadence.phase(name, every))), place)
        for place, (name, every) in enumerate(watches)
    ]
    heapq.heapify(due)
    begun: defaultdict[int, list[float]] = defaultdict(list)
    free = 0.0
    while free < days * DAY:
        at, place = heapq.heappop(due)
        name, every = watches[place]
        now = max(at, free)
        free = now + 2 / demand
        if now >= settled * DAY:
            begun[place].append(now)
        phase = cadence.phase(name, every)
        following = (
            cadence.next_pass(at, every, phase, factor) if is_stretched else cadence.next_slot(now, every, phase)
        )
        heapq.heappush(due, (float(max(following, now)), place))
    late: defaultdict[int, list[float]] = defaultdict(list)
    for place, times in begun.items():
        every = watches[place][1]
        late[every].append((times[-1] - times[0]) / max(1, len(times) - 1) / every)
    return {every: fmean(found) for every, found in late.items()}


def _units(pattern: Pattern) -> list[_Unit]:
    found: dict[str, list[_Watched]] = {}
    for one in pattern.repositories:
        name = one.name.partition("/")[0] if pattern.is_listed else one.name
        found.setdefault(name, []).append(_begun(one))
    return [_Unit(name, members, pattern.is_listed) for name, members in found.items()]


def _begun(one: Changing) -> _Watched:
    changes = [at * DAY for at in one.changes]
    return _Watched(one.name, changes, cadence.weight(one.pulls), Habit(), bisect_right(changes, 0))


def _look(unit: _Unit, now: float, tally: _Tally) -> None:
    changed = 0
    for one in unit.members:
        found = bisect_right(one.changes, now)
        if found > one.seen:
            changed += 1
            tally.learn(one.changes[one.seen : found], now, one.weight)
        age = now - one.changes[found - 1] if found else None
        one.habit = cadence.noted(one.habit, now - one.looked, found > one.seen, age)
        one.seen, one.looked = found, now
    tally.ask(now, unit.pages + 2 * changed if unit.is_list else 1 + changed)


def _replan(units: Sequence[_Unit], now: float) -> list[int]:
    """New intervals; the places of those whose next look has another date."""
    known = [
        [cadence.evidence(one.habit, now - one.changes[one.seen - 1] if one.seen else None) for one in unit.members]
        for unit in units
    ]
    usual = cadence.usual([own for found in known for own in found])
    sources: list[Source] = []
    demand = 0.0
    for unit, found in zip(units, known, strict=True):
        rates = [cadence.rate(own, usual) for own in found]
        likely = sum(1 - exp(-rate * sqrt(FASTEST * DAY)) for rate in rates)
        changed = sum(1 - exp(-rate * DAY) for rate in rates)
        if unit.is_list:
            requests = cadence.requests_of_pass("namespace", len(rates), likely, has_layers=False)
            demand += cadence.requests_of_pass("namespace", len(rates), changed, has_layers=False) / DAY
        else:
            requests = cadence.requests_of_look(likely, has_layers=False)
            demand += cadence.requests_of_pass("repository", 1, changed, has_layers=False) / DAY
        wanted = sum(rate * one.weight for rate, one in zip(rates, unit.members, strict=True))
        sources.append(Source(wanted, 1.0, requests, FASTEST, DAY))
    moved: list[int] = []
    for place, (unit, interval) in enumerate(zip(units, cadence.intervals(sources, demand), strict=True)):
        if abs(interval - unit.interval) <= LIKE * unit.interval:
            continue
        unit.interval, unit.due = interval, None
        if interval < DAY:
            due = cadence.next_look(unit.looked, interval, unit.name, cadence.next_slot(unit.looked, DAY, unit.phase))
            unit.due = due if due > now else now + cadence.phase(unit.name, interval)
            moved.append(place)
    return moved


HEAD = f"{'':44}{'requests':>17}  {'mean h':>13}  {'median h':>13}  {'95% h':>13}  {'weighted h':>13}  {'day: mean, 95% h':>17}"
BELOW = (
    f"{'pattern (repositories, changes)':44}{'adaptive   fixed':>17}"
    + f"  {'adapt. fixed':>13}" * 4
    + f"  {'(requests)':>17}"
)


def compared(pattern: Pattern) -> tuple[Late, Late, Late, float]:
    """Adaptive, fixed at as many requests, once a day, and the fixed interval."""
    one = adaptive(pattern)
    interval, other = equal(pattern, one.requests)
    return one, other, fixed(pattern, DAY), interval


def _line(pattern: Pattern, one: Late, other: Late, day: Late) -> str:
    pairs = zip(one[1:5], other[1:5], strict=True)
    return (
        f"{pattern.title + ('*' if pattern.is_known_worse else ''):44}{one.requests:8,} {other.requests:8,}"
        + "".join(f"  {a:6.1f} {b:6.1f}" for a, b in pairs)
        + f"  {day.mean:5.1f} {day.p95:5.1f} ({day.requests:,})"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 where a pattern that is not marked as hopeless came out later than fixed intervals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="where the recordings are")
    parser.add_argument("--size", type=int, default=150, help="repositories of a simulated pattern")
    parser.add_argument("--days", type=float, default=60.0, help="days of a simulated pattern")
    options = parser.parse_args(arguments)
    say = sys.stdout.write
    say(f"{HEAD}\n{BELOW}\n")
    is_worse = False
    for pattern in patterns(options.data, options.size, options.days):
        one, other, day, interval = compared(pattern)
        say(f"{_line(pattern, one, other, day)}\n")
        say(
            f"{f'  {len(pattern.repositories):,} repositories, {one.changes:,} changes':44}"
            f"  fixed: every {interval / HOUR:.1f} h; known {1 - one.mean / other.mean:+.0%} earlier on the mean,"
            f" {1 - one.p95 / other.p95:+.0%} at 95%, {1 - one.weighted / other.weighted:+.0%} weighted\n"
        )
        sys.stdout.flush()
        is_worse |= one.mean > other.mean and not pattern.is_known_worse
    say("* made so that there is nothing to gain: all change alike\n")
    for is_stretched in (True, False):
        found = uneven(is_stretched=is_stretched)
        say(
            f"twice the demand, {'all stretched alike' if is_stretched else 'without the stretch':20}"
            + "".join(f"  every {every // HOUR} h: {late:.2f} times" for every, late in sorted(found.items()))
            + f"  most / least {max(found.values()) / min(found.values()):.2f}\n"
        )
    return int(is_worse)


if __name__ == "__main__":
    sys.exit(main())
