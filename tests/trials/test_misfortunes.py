"""The trial of misfortunes, small: two kills. And its judge, who sees what is missing, twice, or never was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.trials.misfortune_stage import Stage, judge
from tests.trials.misfortunes import kills


def _faults(one: Stage, statement: str) -> list[str]:
    """What the judge says of the database after this, which is undone again."""
    one.faults.clear()
    whole = one.database.read_bytes()
    with closing(sqlite3.connect(one.database)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(statement).rowcount > 0
    judge(one)
    one.database.write_bytes(whole)
    return one.faults


def test_kills_lose_nothing_and_the_judge_would_see_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = kills(tmp_path, 2, 2, rest_s=1)
    assert one.faults == [], capsys.readouterr().out
    newest = "(SELECT max(seen_from) FROM tag_history)"
    missing = _faults(one, f"DELETE FROM tag_history WHERE seen_from < {newest}")
    assert any("is not stored" in fault for fault in missing)
    never = _faults(one, "UPDATE tag_history SET digest = 'sha256:' || hex(randomblob(32))")
    assert any("never was so" in fault for fault in never)
    assert _faults(one, f"UPDATE tag_history SET seen_from = seen_from + 3600 WHERE seen_from = {newest}")
    assert _faults(one, "DELETE FROM harvested_digests")
