"""Hours of virtual time with the whole program in them; the fake Hub's journal is the judge.

The same over a whole day: `python -m tests.simulation.day`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.harvest import Plan, simulated
from tests.simulation.others import Shape, bursts, poisson, quarters

HOUR_S = 3600.0
SHARE = 0.98


def test_saturated_work_uses_a_budget_of_eighteen_and_never_exceeds_it_restarts_included(tmp_path: Path) -> None:
    restarts = (1931.0, 3333.0, 5000.0, 6543.0, 8888.0)
    course = simulated(Plan(hours=3, per_minute=18, restarts=restarts), tmp_path / "harvester.db")
    assert course.refused() == 0
    allowed = int(18 * SHARE)
    assert max(ours for _, ours in course.windows()) <= allowed
    assert course.use(0, 3 * HOUR_S) >= 0.95 * SHARE


@pytest.mark.parametrize("processes", [1, 2])
def test_saturated_work_uses_what_headers_allow_and_never_exceeds_it(tmp_path: Path, processes: int) -> None:
    plan = Plan(hours=0.5, processes=processes, restarts=(500.0, 1111.0))
    course = simulated(plan, tmp_path / "harvester.db")
    assert course.refused() == 0
    assert max(ours for _, ours in course.windows()) <= int(180 * SHARE)
    assert course.use(120, 0.5 * HOUR_S) >= 0.95


@pytest.mark.parametrize(
    ("per_minute", "shape"),
    [(180, poisson), (180, bursts(5, 20)), (180, quarters), (18, poisson)],
    ids=["random", "bursts", "quarters", "random at 18"],
)
def test_beside_others_there_is_hardly_a_refusal_and_no_stall(tmp_path: Path, per_minute: int, shape: Shape) -> None:
    hours = 1.0 if shape is quarters or per_minute == 18 else 0.5
    end_s = hours * HOUR_S
    course = simulated(Plan(hours=hours, per_minute=per_minute, others=shape), tmp_path / "harvester.db")
    # What is in flight together is refused together: one or two surprises.
    assert course.refused() <= 2 * hours + 2
    assert course.longest_silence(0, end_s) < 120
    left = per_minute * end_s / 60 - course.theirs(0, end_s)
    assert course.ours(0, end_s) >= 0.6 * left


@pytest.mark.parametrize("shape", [poisson, bursts(5, 20)], ids=["random", "bursts"])
def test_when_others_stop_the_whole_budget_is_ours_within_ten_minutes(tmp_path: Path, shape: Shape) -> None:
    course = simulated(Plan(hours=0.6, others=shape, others_until_s=1200.0), tmp_path / "harvester.db")
    assert course.use(1800, 2160) >= 0.95
