"""A day of the daemon in virtual time: every change within its cadence, every day counted, no request too many."""

from __future__ import annotations

from pathlib import Path

from tests.trials.service_week import lived


def test_a_day_of_the_daemon(tmp_path: Path) -> None:
    week = lived(1, 1, tmp_path)
    assert week.delays
    assert week.missed == []
    assert week.late == []
    assert week.false == []
    assert week.days_of_pulls > 15
    assert week.days_without_pulls == []
    assert week.refused == 0
