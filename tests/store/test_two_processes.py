"""Two real processes on one file."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from tests.store.claimers import claim_and_settle
from tests.store.database import Database
from tests.store.makers import job

JOBS = 500


def test_two_processes_share_500_jobs_and_none_is_lost_or_done_twice(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    db.add(*[job(f"r{number}") for number in range(JOBS)])
    spawn = multiprocessing.get_context("spawn")
    barrier, told = spawn.Barrier(2), spawn.Queue()
    processes = [
        spawn.Process(target=claim_and_settle, args=(str(db.path), owner, barrier, told)) for owner in ("a", "b")
    ]
    for process in processes:
        process.start()
    answers = [told.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
        process.close()
    told.close()
    told.join_thread()
    assert [error for _, _, error in answers] == ["", ""]
    taken = [job_id for _, ids, _ in answers for job_id in ids]
    assert all(ids for _, ids, _ in answers), "both had a share"
    assert (len(taken), len(set(taken))) == (JOBS, JOBS)
    assert db.all("SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2") == [("done", 1, JOBS)]
