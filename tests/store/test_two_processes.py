"""Two real processes on one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.claimers import check_shares, claim_and_settle, told_by_two
from tests.store.database import Database
from tests.store.makers import job

JOBS = 500


def test_two_processes_share_500_jobs_and_none_is_lost_or_done_twice(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    db.add(*[job(f"r{number}") for number in range(JOBS)])
    check_shares(told_by_two(claim_and_settle, (str(db.path), "a"), (str(db.path), "b")), JOBS)
    assert db.all("SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2") == [("done", 1, JOBS)]
