"""The writer: settle, then write, in one transaction; what one job breaks is that job's alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection, event

from harvester.errors import LeaseLost, StoreError
from harvester.jobs import Args, Done, Harvest, Job, Retry, Settled, tags_page
from harvester.records import Record
from harvester.store import queue
from harvester.store.writer import BATCH, Writer
from tests.store.clocks import NOW
from tests.store.database import OTHER, Database
from tests.store.killed_writer import EXIT
from tests.store.makers import job, platform, seen, tag, tags

pytestmark = pytest.mark.anyio

POISON: dict[str, Record] = {
    "an integer beyond 64 bits": seen("library/poison", pull_count=2**63),
    "a lone surrogate": seen("library/poison", description="\ud800"),
    "a value that a constraint refuses": tags(
        tag("latest", 1, platform(2, kind=cast("Any", "picture"))), repository="library/poison"
    ),
    "a value of no type that SQLite knows": seen("library/poison", description=cast("Any", object())),
}


def done(job: Job, *records: Record, observed: float = NOW) -> Settled:
    return Settled(job, Done(Harvest(records=records)), observed)


async def test_rows_follow_ups_and_completion_come_together(db: Database, writer: Writer) -> None:
    db.add(job("nginx"))
    claimed = db.claim_one()
    follow = tags_page(Args(subject="library/nginx"))
    counts = await writer.settle(Settled(claimed, Done(Harvest(records=(seen(),), follow_ups=(follow,))), NOW))
    assert (counts["settled"], counts["repositories"]) == (1, 1)
    assert db.keys("done") == [claimed.key]
    assert db.keys("ready") == [follow.key]
    assert db.value("SELECT pull_count FROM repositories") == 7


async def test_rows_carry_the_time_of_the_answer_and_not_that_of_the_write(db: Database, writer: Writer) -> None:
    db.add(job("nginx"))
    claimed = db.claim_one()
    db.clock.advance(20)
    await writer.settle(done(claimed, seen(), observed=NOW + 5.9))
    assert db.value("SELECT last_seen_at FROM repositories") == "2026-11-20T16:00:05Z"


async def test_a_job_whose_lease_was_lost_writes_nothing(db: Database, writer: Writer) -> None:
    db.add(job("nginx"))
    claimed = db.claim_one()
    db.clock.advance(queue.LEASE_S + 1)
    db.rescue()
    db.claim_one(owner=OTHER)
    follow = tags_page(Args(subject="library/nginx"))
    with pytest.raises(LeaseLost):
        await writer.settle(Settled(claimed, Done(Harvest(records=(seen(),), follow_ups=(follow,))), NOW))
    assert db.value("SELECT count(*) FROM repositories") == 0
    assert db.keys("ready") == []
    assert db.one("SELECT state, lease_owner FROM jobs") == ("running", OTHER)


async def _one_bad_job_among_three(db: Database, writer: Writer, poison: Record) -> Sequence[object]:
    db.add(job("before"), job("poison"), job("after"))
    before, bad, after = db.claim()
    return await asyncio.gather(
        writer.settle(done(before, seen("library/before"))),
        writer.settle(done(bad, seen("library/half"), poison)),
        writer.settle(done(after, seen("library/after"))),
        return_exceptions=True,
    )


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
async def test_a_row_that_cannot_be_stored_sinks_only_its_own_job(db: Database, writer: Writer, poison: Record) -> None:
    _, failed, _ = await _one_bad_job_among_three(db, writer, poison)
    assert isinstance(failed, Exception)
    assert db.all("SELECT full_name FROM repositories ORDER BY id") == [("library/before",), ("library/after",)]
    assert len(db.keys("done")) == 2
    assert db.keys("running") == [job("poison").key], "settled with nothing kept it would be lost"


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
async def test_a_row_that_cannot_be_stored_is_a_store_error(db: Database, writer: Writer, poison: Record) -> None:
    _, failed, _ = await _one_bad_job_among_three(db, writer, poison)
    assert isinstance(failed, StoreError), repr(failed)


async def test_a_call_that_fails_raises_in_its_caller_and_spoils_no_settlement(db: Database, writer: Writer) -> None:
    def fail(connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM jobs")
        raise ZeroDivisionError

    db.add(job("nginx"))
    claimed = db.claim_one()
    settled, failed = await asyncio.gather(
        writer.settle(done(claimed, seen())), writer.call(fail), return_exceptions=True
    )
    assert isinstance(failed, ZeroDivisionError)
    assert not isinstance(settled, BaseException)
    assert db.keys("done") == [claimed.key]


async def test_a_call_is_committed_before_it_answers(db: Database, writer: Writer) -> None:
    with db.engine.begin() as connection:
        queue.enqueue(connection, [job("nginx")], db.now, runs=[], fresh_after=db.now.text)
    changed = await writer.call(lambda connection: queue.promote(connection, db.now))
    claimed = await writer.call(
        lambda connection: queue.claim(connection, "hub", db.now, owner=OTHER, wanted=1, run_id=None)
    )
    assert (changed, len(claimed), db.value("SELECT lease_owner FROM jobs")) == (0, 1, OTHER)


async def test_a_call_of_the_same_batch_sees_what_was_settled(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", job("nginx"))
    claimed = db.claim_one()
    _, is_over = await asyncio.gather(
        writer.settle(done(claimed)),
        writer.call(lambda connection: connection.exec_driver_sql("SELECT state FROM jobs").scalar_one()),
    )
    assert is_over == "done"
    assert db.finish_run(run.id)


async def test_a_settlement_without_a_harvest_writes_no_rows(db: Database, writer: Writer) -> None:
    db.add(job("nginx"))
    counts = await writer.settle(Settled(db.claim_one(), Retry(1, "why"), NOW))
    assert dict(counts) == {"settled": 1}


async def test_a_caller_that_stops_waiting_does_not_end_the_writer(writer: Writer) -> None:
    begun, gate = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        gate.wait(10)

    waiting = asyncio.create_task(writer.call(slow))
    await asyncio.to_thread(begun.wait, 10)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.set()
    async with asyncio.timeout(2):
        assert await writer.call(lambda connection: 2) == 2


async def test_closing_finishes_what_was_handed_in(db: Database, writer: Writer) -> None:
    db.add(*[job(f"r{number}") for number in range(450)])
    settling = [asyncio.create_task(writer.settle(done(claimed))) for claimed in db.claim()]
    await asyncio.gather(*settling[:1])
    await asyncio.to_thread(writer.close)
    await asyncio.gather(*settling)
    assert len(db.keys("done")) == 450


async def test_no_transaction_settles_more_than_a_batch(db: Database, writer: Writer) -> None:
    db.add(*[job(f"r{number}") for number in range(2 * BATCH + 50)])
    claimed = db.claim()
    commits: list[int] = []
    event.listen(db.engine, "commit", lambda connection: commits.append(1))
    await asyncio.gather(*[writer.settle(done(one)) for one in claimed])
    assert 3 <= len(commits) <= 10


async def test_a_process_killed_inside_a_transaction_loses_nothing_that_was_settled(db: Database) -> None:
    root = Path(__file__).parents[2]
    db.run("DELETE FROM jobs")
    db.add(job("first"), job("second"))
    db.run("UPDATE jobs SET run_at = '2020-01-01T00:00:00Z'")
    code = [sys.executable, "-m", "tests.store.killed_writer", str(db.path)]
    ended = await asyncio.to_thread(subprocess.run, code, cwd=root, timeout=30, check=False)
    assert ended.returncode == EXIT
    assert db.all("SELECT full_name FROM repositories") == [("library/first",)]
    assert db.all("SELECT state, key FROM jobs ORDER BY id") == [
        ("done", job("first").key),
        ("running", job("second").key),
        ("ready", tags_page(Args(subject="library/first")).key),
    ]
    assert db.value("PRAGMA integrity_check") == "ok"
    db.run("UPDATE jobs SET lease_until = '2020-01-01T00:00:00Z' WHERE state = 'running'")
    assert db.rescue() == 1
    assert db.job(job("second").key)["state"] == "ready"


async def test_the_last_commit_has_its_time_and_what_failed_is_none(db: Database, writer: Writer) -> None:
    assert writer.committed_at == db.clock.monotonic()
    db.clock.advance(20)
    await writer.call(lambda connection: None)
    assert writer.committed_at == 20

    def fail(connection: Connection) -> None:
        raise StoreError("no")

    db.clock.advance(5)
    with pytest.raises(StoreError):
        await writer.call(fail)
    assert writer.committed_at == 20
