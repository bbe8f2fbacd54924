"""Whether a pull count grew as that of its repository usually does. Rank 1. Pure arithmetic on observations.

The usual rate is the median of the rates before, its spread their median absolute deviation: neither is moved by the very days that
are looked for. A day without a pull is no rate of its own: it belongs to the gain that ended it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal, TypeAlias

DAY_S = 86_400

CEILING = 2**31 - 1
"""Where the far end's count stood still when it was kept in 32 bits."""

FEWEST, MOST = 7, 28
"""Rates that are needed to call one usual, and those that are looked at."""

APART_S = DAY_S // 2
"""Observations nearer to one another make no rate: the time of day would decide it."""

FACTOR, SPREADS = 3.0, 8.0
"""A rate is odd when it is this many times above or below the usual one, and this many spreads away from it."""

SMALLEST = 1000
"""Pulls below which a difference is not worth telling, those that came and those that did not come."""

Point: TypeAlias = tuple[int, int]
"""Epoch seconds and pull count."""

Flag: TypeAlias = Literal["ceiling", "decrease", "plateau", "jump"]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A rate that is not usual, with what says so; rates are pulls per day."""

    flag: Flag | None
    """What it looks like; null: just much more, or much less, than usual."""
    pull_count: int
    pulls: int
    elapsed_s: int
    rate: float
    usual: float
    lower: float
    upper: float
    rates: int
    """How many rates the usual one was taken from."""


def anomaly(points: Sequence[Point]) -> Anomaly | None:
    """What is odd about the last of the observations, oldest first; null: nothing, or too little is known.

    What goes on is told once: a second day like the odd one before is not odd again; a decrease is, each time.
    """
    points = _apart(points)
    if len(points) < FEWEST + 2:
        return None
    moved = [points[0], *(new for old, new in pairwise(points[:-1]) if new[1] != old[1])][-MOST - 1 :]
    rates = [_rate(old, new) for old, new in pairwise(moved)]
    if len(rates) < FEWEST:
        return None
    before, now = points[-2:]
    usual = median(rates)
    spread = SPREADS * 1.4826 * median(abs(rate - usual) for rate in rates)
    upper = max(usual + spread, FACTOR * usual)
    lower = max(0.0, min(usual - spread, usual / FACTOR))
    pulls, rate = now[1] - before[1], _rate(before, now)
    # The gain before: of the last observation, or where that stood still, nothing since the one that moved.
    last = (before, moved[-1]) if before[1] == moved[-1][1] and before != moved[-1] else (moved[-1], moved[-2])
    was_still = _is_still(last[1], last[0], usual)
    elapsed = now[0] - before[0]
    is_large = max(pulls, usual * elapsed / DAY_S) >= SMALLEST
    flag: Flag | None = None
    if pulls < 0:
        flag = "decrease"
    elif now[1] == CEILING and pulls > 0:
        flag = "ceiling"
    elif before[1] == CEILING and pulls > 0:
        flag = "jump"
    elif now[1] != CEILING and _is_still(moved[-1], now, usual):
        if was_still or not is_large:
            return None
        flag = "plateau"
    elif rate > upper and is_large and (was_still or rates[-1] <= upper):
        flag = "jump" if was_still else None
    elif now[1] == CEILING or not (rate < lower and is_large and rates[-1] >= lower):
        return None
    return Anomaly(flag, now[1], pulls, elapsed, rate, usual, lower, upper, len(rates))


def _apart(points: Sequence[Point]) -> list[Point]:
    """The observations that are far enough from one another, the last one kept."""
    kept = [points[-1]]
    for point in reversed(points[:-1]):
        if point[0] <= kept[-1][0] - APART_S:
            kept.append(point)
    kept.reverse()
    return kept


def _is_still(old: Point, new: Point, usual: float) -> bool:
    """Whether next to nothing came in where a hundred pulls or more would have, as usual."""
    expected = usual * (new[0] - old[0]) / DAY_S
    return expected >= 100 and 100 * abs(new[1] - old[1]) < expected


def _rate(old: Point, new: Point) -> float:
    return (new[1] - old[1]) * DAY_S / (new[0] - old[0])
