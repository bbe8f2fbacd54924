"""Plans that fill holes: every hole once, never dearer than tag by tag, and told why."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester import filling
from harvester.filling import PAGE, plan

NAMES = [
    f"{major}.{minor}.{patch}{variant}"
    for major in (5, 7, 8)
    for minor in range(10)
    for patch in range(40)
    for variant in ("", "-cli", "-fpm", "-cli-alpine", "-fpm-alpine")
]
WALL = 1000


def test_without_holes_there_is_nothing_to_do() -> None:
    found = plan(NAMES, [], wall=WALL)
    assert (found.steps, found.requests, found.why) == ((), 0, "nothing is missing")


def test_with_a_login_the_list_is_walked_on_unless_a_few_tags_are_cheaper() -> None:
    [step] = plan(NAMES, NAMES[1000:], wall=None).steps
    assert (step.way, step.requests) == ("login", 60)
    few = plan(NAMES, NAMES[:5], wall=None)
    assert [(step.way, step.piece) for step in few.steps] == [("single", name) for name in sorted(NAMES[:5])]


def test_behind_the_wall_the_other_order_and_filters_come_near_a_request_per_hundred() -> None:
    found = plan(NAMES, NAMES[:5000], wall=WALL)
    assert found.steps[0].way == "opposite"
    assert {step.way for step in found.steps} <= {"opposite", "filter", "single"}
    assert 50 <= found.requests <= 75
    assert f"{found.requests:,} requests would fill 5,000 holes" in found.why
    assert "tag by tag it would be 5,000" in found.why


def test_the_other_order_is_tried_once() -> None:
    assert all(step.way != "opposite" for step in plan(NAMES, NAMES[:5000], wall=WALL, is_first=False).steps)


def test_a_few_holes_that_share_nothing_are_asked_for_one_by_one() -> None:
    holes = ["latest", "edge", "5.0.1"]
    found = plan([*NAMES, "latest", "edge"], holes, wall=WALL)
    assert [step.piece for step in found.steps] == sorted(holes)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from([100, 300, 1000]), st.booleans())
def test_filters_reach_every_hole_below_the_wall_and_are_never_dearer_than_single_tags(
    data: st.DataObject, wall: int, is_first: bool
) -> None:
    holes = data.draw(st.sets(st.sampled_from(NAMES), max_size=400))
    found = plan(NAMES, holes, wall=wall, is_first=is_first)
    filled: set[str] = set()
    blind = 0
    for step in found.steps:
        if step.way == "opposite":
            blind = step.holes
            continue
        here = {name for name in holes - filled if step.piece in name and (step.way == "filter" or name == step.piece)}
        rows = sum(step.piece in name for name in NAMES) if step.way == "filter" else 1
        assert rows <= wall
        assert step.requests == -(-rows // PAGE)
        assert len(here) == step.holes > 0
        filled |= here
    assert len(filled) + blind >= len(holes)
    assert found.requests <= max(len(holes), wall // PAGE)


@pytest.mark.parametrize("wall", [None, WALL])
def test_a_plan_says_what_the_other_ways_would_cost(wall: int | None) -> None:
    found = plan(NAMES, NAMES[:2000], wall=wall)
    assert (found.holes, found.with_login, found.one_by_one) == (2000, 60, 2000)


def hashes(count: int) -> list[str]:
    return [f"sha-{sha256(str(number).encode()).hexdigest()[:9]}" for number in range(count)]


def test_names_without_parts_are_reached_by_the_front_of_them() -> None:
    names = hashes(6000)
    found = plan(names, names[1000:], wall=WALL)
    assert {step.way for step in found.steps} == {"opposite", "filter"}
    assert found.requests <= 5000 / 50


def test_the_other_order_is_left_where_what_it_shows_is_known_for_the_most_part() -> None:
    found = plan(NAMES, NAMES[:300], wall=WALL)
    assert [step.way for step in found.steps if step.way == "opposite"] == []
    assert found.requests <= 10


def test_a_plan_of_a_few_steps_is_the_beginning_of_the_plan() -> None:
    whole, part = plan(NAMES, NAMES[1000:], wall=WALL), plan(NAMES, NAMES[1000:], wall=WALL, most=20)
    steps = [step for step in part.steps if step.way == "filter"]
    assert steps == [step for step in whole.steps if step.way == "filter"][: len(steps)]
    assert 20 <= sum(step.requests for step in steps) < 30
    assert (part.holes, part.one_by_one) == (whole.holes, whole.one_by_one)
    # What was not planned is believed to cost as much as what was.
    assert 0.6 <= part.requests / whole.requests <= 1.4


def test_a_list_that_is_too_large_to_be_looked_through_is_planned_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    names = hashes(6000)
    whole = plan(names, names[1000:], wall=WALL).requests
    monkeypatch.setattr(filling, "ROUND", 0)
    monkeypatch.setattr(filling, "EFFORT", 15 * sum(map(len, names)))
    found = plan(names, names[1000:], wall=WALL)
    assert 0 < sum(step.holes for step in found.steps if step.way == "filter") < 5000
    assert 0.6 <= found.requests / whole <= 1.4
    monkeypatch.setattr(filling, "EFFORT", 0)
    found = plan(names, names[1000:], wall=WALL, is_first=False)
    assert {step.way for step in found.steps} == {"single"}
