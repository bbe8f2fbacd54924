"""Sights to intervals: joined, torn where dates contradict, listed, and kept within bounds."""

from __future__ import annotations

import json

from harvester.store.timeline import LISTED, MOST_KEPT, Sight, intervals, sights_of, with_sight


def chain(*sights: Sight) -> list[Sight]:
    found: list[Sight] = []
    for sight in sights:
        found = with_sight(found, sight)
    return found


def spans(*sights: Sight) -> list[tuple[object, ...]]:
    """(digest, from, until, last seen) of each interval."""
    return [(row.digest, row.seen_from, row.seen_until, row.last_seen) for row in intervals(chain(*sights))]


def at(second: int, digest: str | None, pushed: int | None = None) -> Sight:
    return Sight(second, second, digest, pushed)


def test_sights_of_one_push_are_one_stretch_in_any_order() -> None:
    assert chain(at(5, "a", 1), at(9, "a", 1), at(7, "a", 1)) == [Sight(5, 9, "a", 1)]


def test_a_push_of_the_same_digest_opens_no_interval_and_is_remembered() -> None:
    [row] = intervals(chain(at(5, "a", 1), at(9, "a", 8)))
    assert (row.seen_from, row.pushed_at) == (5, 1)
    assert json.loads(row.pushes or "") == [[5, 5, 1, None, "listing"], [9, None, 8, None, "listing"]]


def test_a_late_sight_between_two_pushes_parts_them() -> None:
    assert spans(at(5, "a", 1), at(9, "a", 8), at(7, "b", 6)) == [("a", 5, 7, 5), ("b", 7, 9, 7), ("a", 9, None, None)]


def test_a_late_sight_within_one_push_tears_it_at_what_is_known() -> None:
    sights = (Sight(5, 9, "a", 1), at(7, "b", 6))
    assert spans(*sights) == [("a", 5, 7, 5), ("b", 7, 9, 7), ("a", 9, None, None)]


def test_a_name_that_is_listed_ends_only_what_was_gone() -> None:
    assert spans(at(5, "a"), at(7, None), at(9, LISTED)) == [("a", 5, 7, 5), (None, 7, 9, None)]
    assert spans(at(5, "a"), at(9, LISTED), at(11, "b")) == [("a", 5, 11, 5), ("b", 11, None, None)]
    assert spans(Sight(5, 9, "a"), at(7, LISTED)) == [("a", 5, None, None)]


def test_stored_intervals_give_back_the_sights_that_made_them() -> None:
    sights = chain(
        at(5, "a", 1), at(9, "a", 8), at(12, None), at(14, None), at(16, LISTED), at(20, "b", 19), at(22, "b", 19)
    )
    assert sights_of(intervals(sights), 22) == sights


def test_pushes_beyond_the_bound_are_the_first_and_the_latest() -> None:
    [row] = intervals(chain(*(at(10 * n, "a", n) for n in range(100))))
    kept = json.loads(row.pushes or "")
    assert len(kept) == MOST_KEPT
    assert (kept[0][0], kept[1][0], kept[-1][0]) == (0, 10 * (100 - MOST_KEPT + 1), 990)
