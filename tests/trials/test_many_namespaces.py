"""Days of watching, forecast and counted, as small as a test may be: `python -m tests.trials.many_namespaces` has the large one."""

from __future__ import annotations

from pathlib import Path

from tests.trials.many_namespaces import Plan, tried

ALL = ("hub", "registry", "tokens")


def test_the_forecast_of_a_day_is_what_the_journal_counts(tmp_path: Path) -> None:
    first, *days = tried(Plan(repositories=400, namespaces=100, days=3), tmp_path / "harvester.db")
    assert abs(first.off(*ALL)) < 0.1, "what nobody has seen yet is taken for the usual"
    whole = sum(days[1:], days[0])
    assert whole.counted["registry"] == 3 * 400
    assert 3 * 100 < whole.counted["hub"] < 3 * 150
    assert abs(whole.off("hub")) < 0.05
    assert abs(whole.off("registry")) < 0.05
    assert abs(whole.off(*ALL)) < 0.05
    # Some ten pushes a day are no law yet: a day may be off by a few requests.
    assert all(abs(day.off(*ALL)) < 0.06 for day in days)
