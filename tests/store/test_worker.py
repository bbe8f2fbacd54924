"""The worker as a whole: slots, leases, the two ways to stop."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
import structlog
from sqlalchemy import Connection

from harvester.errors import StoreError, Throttled
from harvester.jobs import (
    KINDS,
    Args,
    Done,
    Harvest,
    Job,
    Released,
    Snooze,
    manifest,
    search_page,
    tag_names,
    tags_page,
)
from harvester.store import queue
from harvester.store.writer import Writer
from harvester.ways import SLOTS
from harvester.worker import RENEW_S, Report
from tests.store.database import OWNER, Database
from tests.store.makers import job, seen
from tests.store.work import Work

pytestmark = pytest.mark.anyio


async def turns() -> None:
    """Let every task do what it can do without waiting."""
    for _ in range(20):
        await asyncio.sleep(0)


class Gate:
    """A handler whose jobs wait until they are let through."""

    def __init__(self, expected: int) -> None:
        self.asked: list[str] = []
        self.full = asyncio.Event()
        self.opened = asyncio.Event()
        self._expected = expected

    async def handle(self, job: Job) -> Harvest:
        self.asked.append(job.args.subject)
        if len(self.asked) >= self._expected:
            self.full.set()
        await self.opened.wait()
        return Harvest(records=(seen(job.args.subject),))


async def test_everything_is_worked_on_follow_ups_included_and_then_the_run_is_over(
    db: Database, writer: Writer
) -> None:
    run = db.begin_run("a", *[job(f"r{number}") for number in range(40)])

    async def handle(claimed: Job) -> Harvest:
        if claimed.kind == "tags.page":
            return Harvest()
        follow = tags_page(Args(subject=claimed.args.subject))
        return Harvest(records=(seen(claimed.args.subject),), follow_ups=(follow,))

    made = Work(db, writer, handle, run.id)
    await made.until_over()
    assert db.value("SELECT finished_at FROM runs WHERE id = ?", run.id) is not None
    assert db.all("SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2") == [("done", 1, 80)]
    assert db.value("SELECT count(*) FROM repositories") == 40


async def test_what_the_store_knows_is_not_asked(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", job("nginx", tag="x", layers="none"))
    db.keep(seen())
    asked: list[str] = []

    async def handle(claimed: Job) -> Harvest:
        asked.append(claimed.kind)
        return Harvest()

    await Work(db, writer, handle, run.id).until_over()
    assert asked == ["tag"]


async def test_no_more_jobs_are_asked_at_one_time_than_a_lane_has_slots(db: Database, writer: Writer) -> None:
    pulls = [manifest(Args(subject="library/nginx", digest=f"sha256:{number:064}", pulls=True)) for number in range(9)]
    names = [tag_names(Args(subject=f"library/n{number}")) for number in range(9)]
    hits = [search_page(Args(subject=f"query {number}")) for number in range(9)]
    run = db.begin_run("a", *[job(f"r{number}") for number in range(30)], *pulls, *names, *hits)
    busy: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def handle(claimed: Job) -> Harvest:
        lane = KINDS[claimed.kind][0]
        busy[lane] += 1
        most[lane] = max(most[lane], busy[lane])
        for _ in range(3):
            await asyncio.sleep(0)
        busy[lane] -= 1
        return Harvest()

    await Work(db, writer, handle, run.id).until_over()
    assert dict(most) == SLOTS
    assert len(db.keys("done")) == 57


async def test_a_lane_that_is_closed_for_an_hour_leaves_the_other_lane_open(db: Database, writer: Writer) -> None:
    pull = manifest(Args(subject="library/nginx", digest=f"sha256:{1:064}", pulls=True))
    run = db.begin_run("a", pull, *[job(f"r{number}") for number in range(30)])
    done_at: dict[str, list[float]] = {"hub": [], "pulls": []}
    refused: list[Job] = []
    put_off = asyncio.Event()

    def on_report(report: Report) -> None:
        if isinstance(report.outcome, Snooze):
            put_off.set()

    async def handle(claimed: Job) -> Harvest:
        if claimed.kind == "manifest" and not refused:
            refused.append(claimed)
            raise Throttled("429", retry_after=3600.0, budget="pulls")
        done_at["pulls" if claimed.kind == "manifest" else "hub"].append(db.clock.elapsed)
        if len(done_at["hub"]) == 30 and not done_at["pulls"]:
            await put_off.wait()
            db.clock.advance(3601)
        return Harvest()

    made = Work(db, writer, handle, run.id)
    made.worker.on_report = on_report
    await made.until_over()
    assert done_at == {"hub": [0.0] * 30, "pulls": [3601.0]}


async def test_another_run_s_jobs_are_left_alone(db: Database, writer: Writer) -> None:
    other = db.begin_run("b", job("redis"))
    run = db.begin_run("a", job("nginx"))
    gate = Gate(1)
    gate.opened.set()
    await Work(db, writer, gate.handle, run.id).until_over()
    assert gate.asked == ["library/nginx"]
    assert not db.finish_run(other.id)


async def test_a_drained_worker_finishes_what_is_being_asked_and_releases_the_rest(
    db: Database, writer: Writer
) -> None:
    run = db.begin_run("a", *[job(f"r{number}") for number in range(30)])
    gate = Gate(SLOTS["hub"])
    made = Work(db, writer, gate.handle, run.id)
    working = asyncio.create_task(made.until_over())
    await gate.full.wait()
    assert len(db.keys("running")) > SLOTS["hub"], "some were claimed ahead"
    made.worker.drain()
    gate.opened.set()
    await working
    states = db.all("SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2 ORDER BY 1")
    assert states == [("done", 1, SLOTS["hub"]), ("ready", 0, 30 - SLOTS["hub"])]
    assert db.value("SELECT finished_at FROM runs WHERE id = ?", run.id) is None
    outcomes = Counter(type(report.outcome) for report in made.reports)
    assert outcomes[Done] == SLOTS["hub"]
    assert outcomes[Released] >= 1


async def test_a_hurried_worker_releases_even_what_is_being_asked(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", *[job(f"r{number}") for number in range(SLOTS["hub"])])
    gate = Gate(SLOTS["hub"])
    made = Work(db, writer, gate.handle, run.id)
    working = asyncio.create_task(made.until_over())
    await gate.full.wait()
    made.worker.hurry()
    await working
    assert db.all("SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2") == [("ready", 0, SLOTS["hub"])]


async def test_a_hurried_worker_releases_what_it_had_claimed_ahead_too(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", *[job(f"r{number}") for number in range(30)])
    gate = Gate(SLOTS["hub"])
    made = Work(db, writer, gate.handle, run.id)
    working = asyncio.create_task(made.until_over())
    await gate.full.wait()
    made.worker.hurry()
    await working
    assert db.all("SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2") == [("ready", 0, 30)]


async def test_a_worker_hurried_while_it_waits_for_the_database_ends(db: Database, writer: Writer) -> None:
    """A handler waits for its permit in the writer's queue, as every request does."""
    run = db.begin_run("a", job("nginx"))
    begun, gate = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        gate.wait(10)

    async def handle(claimed: Job) -> Harvest:
        await writer.call(slow)
        return Harvest()

    made = Work(db, writer, handle, run.id)
    working = asyncio.create_task(made.until_over())
    await asyncio.to_thread(begun.wait, 10)
    made.worker.hurry()
    await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(5):
        await working
    assert db.one("SELECT state, attempt FROM jobs") == ("ready", 0)


async def test_leases_are_renewed_while_a_job_is_held(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", job("nginx"))
    gate = Gate(1)
    made = Work(db, writer, gate.handle, run.id)
    working = asyncio.create_task(made.until_over())
    await gate.full.wait()
    for _ in range(12):
        db.clock.advance(RENEW_S)
        await turns()
        assert await writer.call(lambda connection: queue.rescue(connection, db.now)) == 0
        await turns()
        assert db.value("SELECT lease_until FROM jobs") == db.in_s(queue.LEASE_S)
    assert db.clock.elapsed > 3 * queue.LEASE_S
    assert db.one("SELECT lease_owner, attempt FROM jobs") == (OWNER, 1)
    gate.opened.set()
    await working
    assert db.one("SELECT state, attempt FROM jobs") == ("done", 1)


async def test_a_worker_whose_leases_cannot_be_renewed_twice_in_a_row_ends(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", job("nginx"))
    gate = Gate(1)
    made = Work(db, writer, gate.handle, run.id)
    working = asyncio.create_task(made.until_over())
    await gate.full.wait()
    when = "WHEN new.state = 'running'"
    db.run(f"CREATE TRIGGER full BEFORE UPDATE ON jobs {when} BEGIN SELECT RAISE(ABORT, 'full'); END")
    for _ in range(2):
        db.clock.advance(RENEW_S)
        await turns()
        await writer.call(lambda connection: None)
        await turns()
    gate.opened.set()
    with pytest.raises(StoreError, match="full"):
        await working


async def test_a_worker_whose_claims_fail_leaves_nothing_running_behind(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", job("nginx"))
    gate = Gate(1)
    made = Work(db, writer, gate.handle, run.id)
    before = asyncio.all_tasks()
    working = asyncio.create_task(made.until_over())
    await gate.full.wait()
    when = "WHEN old.state = 'ready' AND new.state = 'running'"
    db.run(f"CREATE TRIGGER full BEFORE UPDATE ON jobs {when} BEGIN SELECT RAISE(ABORT, 'full'); END")
    db.add(job("redis"), runs=[run.id])
    await asyncio.wait([working], timeout=2)
    gate.opened.set()
    with pytest.raises(StoreError, match="full"):
        await working
    assert asyncio.all_tasks() - before == set()


async def test_whatever_is_logged_on_behalf_of_a_job_has_its_ids(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", *[job(f"r{number}") for number in range(6)])
    while_asked: list[dict[str, object]] = []

    async def handle(claimed: Job) -> Harvest:
        await asyncio.sleep(0)
        while_asked.append(structlog.contextvars.get_contextvars())
        return Harvest(records=(seen(claimed.args.subject),))

    work = Work(db, writer, handle, run.id)
    at_end: list[tuple[Job, dict[str, object]]] = []
    work.worker.on_report = lambda report: at_end.append((report.job, structlog.contextvars.get_contextvars()))
    await work.until_over()
    assert len(at_end) == len(while_asked) == 6
    for claimed, ids in at_end:
        assert ids in while_asked
        assert ids == {
            "job": claimed.id,
            "kind": "repository",
            "key": claimed.key,
            "lane": "hub",
            "attempt": 1,
            "owner": OWNER,
            "run": run.id,
        }
    assert structlog.contextvars.get_contextvars() == {}, "nothing is left to whoever runs the worker"
