"""How tags of which only the name is known become known whole, at the least cost. Rank 2, pure.

A list that the far end cuts can be entered elsewhere: in the other order, through name filters, each with a window of its own, tag
by tag, or with a login, for which there is no wall (wire reference, 3.5). The plan is the cheapest of these, part by part.
"""

from __future__ import annotations

import heapq
import math
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Way = Literal["login", "opposite", "filter", "single"]

PAGE = 100
"""Rows of one page."""

SAMPLED = 4_000
"""Holes whose names are taken apart to find filters: of a large list a part tells enough."""

CONSIDERED = 400
"""Name filters that are weighed against each other, before others are looked for among what they leave."""

PIECES_DEEP = 5
"""How many parts of a name a filter is made of at the most, seen from either end."""

HEAD = 24
"""Characters that a filter takes from the front of a name, wherever its parts end: hashes and dates have no other pieces."""

AS_GOOD = 0.85
"""A filter is taken that is worth this much of what the next one is believed to be worth: to be sure of that one costs time."""

EFFORT = 3_000_000_000
SLICE_EFFORT = 300_000_000
"""Characters of names that are looked at for a whole plan, and for one of a few steps: a second or so for each 500 million."""

ROUND = 20_000_000
"""What it costs, in the same measure, to take names apart."""

STALE = 0.75
"""Other filters are looked for when the next one is worth less than this much of the best one so far."""

TAKEN = 20
"""So many are taken before that: to look for others takes time as well."""

_END_OF_PART = re.compile(r"(?<=[-._+])|(?=[-._+])")


@dataclass(frozen=True, slots=True)
class Step:
    """One walk, or one tag, that fills holes."""

    way: Way
    piece: str
    """The name filter, or the tag's name; empty for walks of the whole list."""
    requests: int
    holes: int
    """How many it fills, as far as the names tell."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, the largest gain first, and what other ways would cost."""

    steps: tuple[Step, ...]
    """Those that were planned: of a very large list, and of a slice, not all."""
    holes: int
    with_login: int
    """Requests that a signed-in client needs for the whole list."""
    one_by_one: int
    """Requests without any list."""

    @property
    def requests(self) -> int:
        """Requests until nothing is left."""
        return sum(self._by_way().values())

    def _by_way(self) -> Counter[Way]:
        """Requests of each way: what the other order shows, nobody knows which, need not be asked for by the steps after it."""
        blind = sum(step.holes for step in self.steps if step.way == "opposite")
        ways = Counter[Way]()
        for step in self.steps:
            ways[step.way] += step.requests
        planned = sum(step.holes for step in self.steps) - blind
        if 0 < planned < self.holes and ways["filter"]:
            # The rest is believed to cost as much as what was planned.
            ways["filter"] = math.ceil(ways["filter"] * self.holes / planned)
        for way in ways:
            if way != "opposite" and blind:
                ways[way] = math.ceil(ways[way] * (1 - blind / self.holes))
        return +ways

    @property
    def why(self) -> str:
        """The choice in one sentence."""
        if not self.steps:
            return "nothing is missing"
        ways = self._by_way()
        chosen = ", ".join(f"{ways[way]:,} by {words}" for way, words in _WORDS.items() if ways[way])
        return (
            f"{self.requests:,} requests would fill {self.holes:,} holes: {chosen}; tag by tag it would be {self.one_by_one:,}, "
            f"with a login {self.with_login:,}"
        )


_WORDS: dict[Way, str] = {
    "login": "walking on with the login",
    "opposite": "the other order",
    "filter": "name filters",
    "single": "single tags",
}


def plan(
    names: Sequence[str], holes: Collection[str], *, wall: int | None, is_first: bool = True, most: int | None = None
) -> Plan:
    """The cheapest way to fill the holes among all names of a list whose pages end at offset `wall` (null: nowhere).

    `is_first` is false where the other order has been tried already. With `most` no more steps are looked for than make so many
    requests, which is faster where a list is large.
    """
    left = set(holes)
    with_login, one_by_one = -(-len(names) // PAGE), len(left)
    if not left:
        return Plan((), 0, with_login, 0)
    if wall is None:
        # Pages are served to the end: a few tags are asked for by name, more of them are met on the way.
        if one_by_one <= with_login:
            steps = tuple(_single(left))
        else:
            steps = (Step("login", "", with_login, len(left)),)
        return Plan(steps, len(left), with_login, one_by_one)
    found: list[Step] = []
    spent = 0
    for step in _filters(names, left, wall=wall, effort=EFFORT if most is None else SLICE_EFFORT):
        found.append(step)
        spent += step.requests
        if most is not None and spent >= most:
            break
    opposite = _opposite(names, left, wall) if is_first else None
    if opposite is not None and opposite.holes * spent > opposite.requests * sum(step.holes for step in found):
        found.insert(0, opposite)
    return Plan(tuple(found), len(left), with_login, one_by_one)


def _opposite(names: Sequence[str], holes: set[str], wall: int) -> Step:
    """The walk in the other order. Which names that end holds is not known, only that none of the newest is among them."""
    shown = min(wall, len(names))
    share = min(1.0, len(holes) / max(1, len(names) - wall))
    return Step("opposite", "", _pages(shown), min(len(holes), round(shown * share)))


class _Names:
    """All names of a list, to be looked through for filters as far as the effort goes."""

    def __init__(self, names: Sequence[str], wall: int, effort: int) -> None:
        self._text = "\n".join(("", *names, ""))
        self._wall = wall
        self._holding: dict[str, frozenset[str]] = {}
        self.effort = effort
        """Characters that may still be looked at."""

    def holding(self, piece: str) -> frozenset[str] | None:
        """The names that hold the piece, none where they are more than a walk of them shows; null: it is not worth the effort."""
        if piece not in self._holding:
            if self.effort <= 0:
                return None
            self._holding[piece] = self._found(piece)
        return self._holding[piece]

    def _found(self, piece: str) -> frozenset[str]:
        found: list[str] = []
        text, seen = self._text, len(self._text)
        place = text.find(piece)
        while place >= 0:
            if len(found) == self._wall:
                found, seen = [], place
                break
            end = text.index("\n", place)
            found.append(text[text.rindex("\n", 0, place) + 1 : end])
            place = text.find(piece, end)
        self.effort -= seen
        return frozenset(found)


def _filters(names: Sequence[str], holes: set[str], *, wall: int, effort: int) -> Iterator[Step]:
    """Filters by the holes that a request of theirs fills, then single tags, until all holes are filled or the effort is spent."""
    order = [name for name in names if name in holes]
    left = set(order)
    known = _Names(names, wall, effort)
    has_any, is_gaining = False, True
    while is_gaining and left and known.effort > 0:
        is_gaining = False
        order = [name for name in order if name in left]
        heap = [(-worth, piece) for piece, worth in _candidates(order, wall)]
        known.effort -= ROUND
        heapq.heapify(heap)
        first, taken = 0.0, 0
        while heap and left and (taken < TAKEN or -heap[0][0] >= STALE * first):
            believed, piece = heapq.heappop(heap)
            rows = known.holding(piece)
            if rows is None:
                continue
            here = left & rows
            worth = _worth(len(here), len(rows))
            if worth <= 1:
                continue
            if heap and worth < AS_GOOD * -heap[0][0] and worth < -believed:
                heapq.heappush(heap, (-worth, piece))
                continue
            left -= here
            first, taken, is_gaining = max(first, worth), taken + 1, True
            yield Step("filter", piece, _pages(len(rows)), len(here))
        has_any = has_any or is_gaining
    if known.effort > 0 or not has_any:
        yield from _single(left)


def _candidates(holes: Sequence[str], wall: int) -> list[tuple[str, float]]:
    """Pieces of names that many holes share, the most promising ones, and what a request by each is believed to fill."""
    # Names come in an order of their own, so that every n-th would not do; the same names are the same sample.
    sample = random.Random(0).sample(holes, min(SAMPLED, len(holes)))  # noqa: S311
    scale = len(holes) / len(sample)
    shared: Counter[str] = Counter()
    for name in sample:
        parts = [part for part in _END_OF_PART.split(name) if part]
        deep = min(len(parts), 2 * PIECES_DEEP)
        heads = {"".join(parts[:count]) for count in range(1, deep + 1)}
        heads.update(name[:length] for length in range(2, min(len(name), HEAD) + 1))
        tails = {"".join(parts[-count:]) for count in range(1, deep + 1)}
        inner = {"".join(parts[start : start + 3]) for start in range(deep)}
        shared.update(heads | tails | inner)
    # A page that is half empty is what a walk ends with on the average.
    common = [
        (count * scale / (count * scale / PAGE + 0.5), piece)
        for piece, count in shared.items()
        if count > 1 and len(piece) > 1 and count * scale <= wall
    ]
    common.sort(key=lambda pair: (-pair[0], pair[1]))
    return [(piece, worth) for worth, piece in common[:CONSIDERED]]


def _single(holes: Iterable[str]) -> Iterator[Step]:
    return (Step("single", name, 1, 1) for name in sorted(holes))


def _worth(holes: int, rows: int) -> float:
    return holes / max(1, _pages(rows))


def _pages(rows: int) -> int:
    return -(-rows // PAGE)
