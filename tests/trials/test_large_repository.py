"""Very many tags in one repository, at a smaller size: `python -m tests.trials.large_repository` has the large one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trials.killed import killed_and_resumed
from tests.trials.large_repository import LARGE, SMALL, Stage, harvested, large_world, tag_names

TAGS = 4_000


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[Stage]:
    return harvested(TAGS, tmp_path_factory.mktemp("large"))


def test_names_are_many_and_each_is_there_once() -> None:
    assert len(set(tag_names(50_000))) == 50_000


def test_after_fourteen_requests_every_name_is_known_and_the_newest_thousand_whole(stages: list[Stage]) -> None:
    first = stages[0]
    assert first.passed.kinds.total() <= 14
    assert (first.known.names, first.known.digests, first.known.holes) == (TAGS, 1000, TAGS - 1000)
    assert first.forecast is not None
    assert first.forecast.holes == TAGS - 1000
    assert first.forecast.requests <= (TAGS - 1000) / 40, (
        "about a request per hundred, and never less than half as good"
    )


def test_the_second_day_costs_the_pages_that_pushes_fill(stages: list[Stage]) -> None:
    second = stages[1]
    assert second.passed.kinds == {"details": 1, "tag pages": 1, "lists of names": 1, "tokens": 1}
    assert second.known.names == TAGS


def test_holes_are_filled_for_about_what_the_plan_said(stages: list[Stage]) -> None:
    forecast, filled = stages[1].forecast, stages[2]
    assert forecast is not None
    asked = filled.passed.kinds["tag pages"] + filled.passed.kinds["single tags"]
    assert asked <= 1.3 * forecast.requests
    assert filled.passed.refused == 0
    assert (filled.known.digests, filled.known.holes, filled.known.incomplete) == (TAGS, 0, 0)


@pytest.mark.parametrize(("is_signed_in", "allowed"), [(True, 1.1), (False, 3.0)], ids=["signed in", "anonymous"])
def test_kills_cost_little_and_small_repositories_do_not_wait(
    tmp_path: Path, is_signed_in: bool, allowed: float
) -> None:
    small, kills = 15, 2
    world = large_world(TAGS, small=small)
    ended = killed_and_resumed(
        world, tmp_path, (LARGE, f"{SMALL}/"), kills=kills, is_signed_in=is_signed_in, small=SMALL
    )
    assert (ended.exit_code, ended.kills, ended.digests, ended.holes, ended.incomplete) == (0, kills, TAGS, 0, 0)
    of_small = 1 + 2 * small
    # What is asked or not yet written when a process is killed is asked once more; each process logs in, or has a token.
    assert ended.kinds.total() - of_small <= allowed * TAGS / 100 + 24 * kills
    # Each class of jobs has a share of every claim: a page of the large one for each of a small one, and what the kills cost.
    assert ended.small_done_after <= 2 * of_small + 12 * kills
    assert ended.slowest_s < 1
    assert ended.peak_mib < 200
