"""The trial of freshness, in small: what its command shows has to hold."""

from __future__ import annotations

import pytest

from tests.trials.change_patterns import recorded_catalogue, recorded_pushes, simulated
from tests.trials.freshness import DAY, HOUR, compared, fixed, main, uneven
from tests.trials.passes import DATA

needs_recordings = pytest.mark.skipif(not DATA.is_dir(), reason="needs the recorded data")


@needs_recordings
def test_recorded_changes_are_known_earlier_for_as_many_requests() -> None:
    for pattern in (recorded_pushes(DATA), recorded_catalogue(DATA)):
        one, other, day, _ = compared(pattern)
        assert one.changes == other.changes > 150
        assert one.requests == pytest.approx(other.requests, rel=0.005)
        assert one.mean < 0.9 * other.mean
        assert one.p95 < 1.05 * other.p95
        assert one.mean < day.mean / 2


@needs_recordings
def test_simulated_changes_are_known_earlier_unless_there_is_nothing_to_gain() -> None:
    gains = []
    for pattern in simulated(DATA, size=40, days=40):
        one, other, _, _ = compared(pattern)
        assert one.requests == pytest.approx(other.requests, rel=0.01)
        gains.append((1 - one.mean / other.mean, pattern))
    assert all(gain > 0.1 for gain, pattern in gains if not pattern.is_known_worse), gains
    assert all(gain > -0.25 for gain, pattern in gains), gains


@needs_recordings
def test_a_fixed_interval_is_as_late_as_it_must_be() -> None:
    [pattern] = [one for one in simulated(DATA, size=60, days=40) if one.title.startswith("all alike")]
    found = fixed(pattern, 6 * HOUR)
    assert found.mean == pytest.approx(3, abs=0.4)
    assert found.p95 == pytest.approx(5.7, abs=0.3)


def test_where_the_budget_is_half_of_the_demand_all_are_late_alike() -> None:
    found = uneven(is_stretched=True)
    assert sorted(found) == [HOUR, 6 * HOUR, DAY, 7 * DAY]
    assert max(found.values()) / min(found.values()) < 1.1
    plain = uneven(is_stretched=False)
    assert max(plain.values()) / min(plain.values()) > 5, "without the stretch what is due most often waits longest"


@needs_recordings
def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--size", "10", "--days", "5"]) in (0, 1)
    printed = capsys.readouterr().out
    assert "recorded: pushes of official images" in printed
    assert "most / least" in printed
