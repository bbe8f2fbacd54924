"""A tag's sights and the intervals that follow from them. Rank 3, pure.

A sight says: from here to there the far end showed this digest, pushed at that time, or said that the tag is not there. What is
pushed once stays one push, so the sights of a push are one stretch of time, and the intervals are the same in whatever order the
sights arrived. Only where the far end's own dates contradict that (a digest back with its old date) does a late sight split what
was thought to be one stretch, and then at the instants that are known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

LISTED = ""
"""In place of a digest: the tag is there again, and nobody has said yet what it points to."""

MOST_KEPT = 32
"""Sights of one interval that are kept apart at the most; beyond that the first and the latest."""


class Sight(NamedTuple):
    """One stretch of time, in whole seconds since the epoch, in which the tag was seen to be the same."""

    first: int
    last: int
    digest: str | None
    """Null: the tag was gone."""
    pushed_at: int | None = None
    last_updater: str | None = None
    source: str = "listing"


class Interval(NamedTuple):
    """A row of `tag_history`."""

    seen_from: int
    seen_until: int | None
    digest: str | None
    pushed_at: int | None
    source: str
    last_seen: int | None
    """Null in the interval that is still open, and where the tag was gone."""
    last_updater: str | None
    pushes: str | None


def with_sight(sights: Sequence[Sight], new: Sight) -> list[Sight]:
    """The sights with one more; the same list when it says nothing that they do not."""
    if any(_is_same(old, new) and old.first <= new.first and new.last <= old.last for old in sights):
        return list(sights)
    parts: list[Sight] = [new]
    for old in sights:
        is_torn = not _is_same(old, new) and old.first < new.first and new.last < old.last
        if is_torn and not (new.digest == LISTED and old.digest):
            parts += [old._replace(last=old.first), old._replace(first=old.last)]
        else:
            parts.append(old)
    joined: list[Sight] = []
    for part in sorted(parts, key=lambda sight: (sight.first, sight.last)):
        if joined and part.digest and _is_same(joined[-1], part):
            joined[-1] = joined[-1]._replace(last=max(joined[-1].last, part.last))
        else:
            joined.append(part)
    return joined


def intervals(sights: Iterable[Sight]) -> list[Interval]:
    """The chain of intervals: a push of the same digest opens none, and each ends where the next begins."""
    groups = _groups(_without_idle_listings(sights))
    chain: list[Interval] = []
    for place, group in enumerate(groups):
        first = group[0]
        if first.digest == LISTED:
            continue
        is_last = place == len(groups) - 1
        chain.append(
            Interval(
                seen_from=first.first,
                seen_until=None if is_last else groups[place + 1][0].first,
                digest=first.digest,
                pushed_at=first.pushed_at,
                source=first.source,
                last_seen=None if is_last or first.digest is None else group[-1].last,
                last_updater=first.last_updater,
                pushes=_pushes(group),
            )
        )
    return chain


def sights_of(chain: Sequence[Interval], last_seen: int) -> list[Sight]:
    """The sights that a stored chain was made from; the open one was last seen at that time."""
    sights: list[Sight] = []
    for place, row in enumerate(chain):
        last = row.last_seen if row.last_seen is not None else max(row.seen_from, last_seen)
        if row.seen_until is not None and row.last_seen is None:
            # Rows from before revision 0004 do not tell: what is certain is that it was seen at their beginning.
            last = row.seen_from
        if row.pushes is not None:
            for first, until, pushed_at, last_updater, source in json.loads(row.pushes):
                end = last if until is None else until
                sights.append(Sight(first, max(first, end), row.digest, pushed_at, last_updater, source))
        else:
            end = row.seen_from if row.digest is None else last
            sights.append(Sight(row.seen_from, end, row.digest, row.pushed_at, row.last_updater, row.source))
        following = chain[place + 1].seen_from if place + 1 < len(chain) else None
        if row.seen_until is not None and row.seen_until != following:
            sights.append(Sight(row.seen_until, row.seen_until, LISTED))
    return sights


def moved_on_from(chain: Sequence[Interval]) -> set[str]:
    """The digests that another one has followed."""
    digests = [row.digest for row in chain if row.digest is not None]
    return {digest for place, digest in enumerate(digests) if any(later != digest for later in digests[place + 1 :])}


def _is_same(one: Sight, other: Sight) -> bool:
    return (one.digest, one.pushed_at) == (other.digest, other.pushed_at)


def _without_idle_listings(sights: Iterable[Sight]) -> list[Sight]:
    """A name that is listed ends only the interval in which the tag was gone."""
    kept: list[Sight] = []
    for sight in sights:
        if sight.digest != LISTED or (kept and kept[-1].digest is None and kept[-1].first < sight.first):
            kept.append(sight)
    return kept


def _groups(sights: list[Sight]) -> list[list[Sight]]:
    """The sights of each interval; of what began within one second, only what was so from then on."""
    while True:
        groups = [list(group) for _, group in groupby(sights, key=lambda sight: sight.digest)]
        kept = [one for one, after in pairwise(groups) if one[0].first < after[0].first]
        if len(kept) == len(groups) - 1 or not groups:
            return groups
        sights = [sight for group in (*kept, groups[-1]) for sight in group]


def _pushes(group: Sequence[Sight]) -> str | None:
    """The pushes of one interval where there were several; of a digest the last one's end is the interval's own."""
    if len(group) == 1:
        return None
    if len(group) > MOST_KEPT:
        group = [group[0], *group[1 - MOST_KEPT :]]
    ends = [sight.last for sight in group[:-1]] + [None if group[-1].digest else group[-1].last]
    kept = [(s.first, end, s.pushed_at, s.last_updater, s.source) for s, end in zip(group, ends, strict=True)]
    return json.dumps(kept, separators=(",", ":"))
