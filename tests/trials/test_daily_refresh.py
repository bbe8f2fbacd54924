"""A refresh costs what it must, and stores what there is. The same over more days: `python -m tests.trials.daily_refresh`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakehub import World
from tests.trials.daily_refresh import ALLOWED, Day, recorded_world, refreshed, unchanged
from tests.trials.passes import DATA, RECORDED, of_hub

needs_recordings = pytest.mark.skipif(
    not (DATA / RECORDED[0]).exists(), reason="the recorded repositories are elsewhere"
)


def made_up_world() -> World:
    """A hundred and thirty official repositories, so that their list has two pages; some have more tags than a page shows."""
    world = World()
    for number in range(130):
        tags = ["latest", *(f"1.{minor}" for minor in range(140 if number % 40 == 0 else 5))]
        world.add_repository(f"library/image-{number:03}", tags=tags)
    return world


def judged(days: list[Day]) -> None:
    for day in days:
        assert day.wrong == []
        assert day.passed.refused == 0
        assert day.passed.kinds["details"] == 0, "a push moves last_updated, and not what the detail is asked for by"
        assert 1 <= day.ratio <= ALLOWED, (day.passed.kinds, day.least)
        assert day.passed.kinds["lists of names"] == day.least["lists of names"]
        assert day.passed.kinds["tokens"] <= 2 * day.least["tokens"]


@needs_recordings
@pytest.mark.parametrize("with_deletions", [False, True], ids=["pushes", "pushes and deletions"])
def test_a_refresh_of_the_recorded_repositories_costs_what_it_must(tmp_path: Path, with_deletions: bool) -> None:
    first, days = refreshed(recorded_world(), tmp_path, days=2, with_deletions=with_deletions)
    assert first.hub > 5 * max(day.passed.hub for day in days)
    judged(days)


def test_a_refresh_of_two_pages_of_repositories_costs_what_it_must(tmp_path: Path) -> None:
    _, days = refreshed(made_up_world(), tmp_path, days=2, with_deletions=True)
    judged(days)
    assert all(day.passed.kinds["namespace pages"] == 2 for day in days)
    assert sum(of_hub(day.least) for day in days) > 2 * 2


@pytest.mark.parametrize(("alone", "cost"), [(False, 0.01), (True, 1.0)])
def test_what_did_not_change_costs_a_request_or_the_hundredth_of_one(tmp_path: Path, alone: bool, cost: float) -> None:
    assert unchanged(100, tmp_path, alone=alone) == cost
