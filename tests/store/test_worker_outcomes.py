"""What becomes of a job whose handler raised: the one table of errors and outcomes."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.errors import (
    Blocked,
    CredentialsRefused,
    DeadEndpoint,
    Denied,
    Drift,
    Gone,
    StoreError,
    Throttled,
    TooLarge,
    Unavailable,
    Unreachable,
    Walled,
)
from harvester.jobs import MAX_ATTEMPTS, Args, Dead, Done, Harvest, Job, Retry, tags_page
from harvester.store.writer import Writer
from harvester.trouble import STRIKES
from tests.store.database import Database
from tests.store.makers import job, seen
from tests.store.work import Work, scripted

pytestmark = pytest.mark.anyio

FOUND = Harvest(records=(seen(),))
DRIFT = Drift("another shape", path="$.results", sample="{}", url="/v2/x")

# (error at every attempt, state in the end, attempts counted, seconds of the first pause)
TABLE: dict[str, tuple[Exception, str, int, float | None]] = {
    "unavailable": (Unavailable("503"), "dead", MAX_ATTEMPTS, 1.0),
    "anything else": (ZeroDivisionError("x"), "dead", MAX_ATTEMPTS, 1.0),
    "drift": (DRIFT, "dead", 2, 30.0),
    "denied": (Denied("no"), "dead", 1, None),
    "too large": (TooLarge(), "dead", 1, None),
    "gone, unexpectedly": (Gone(), "dead", 1, None),
    "walled, unexpectedly": (Walled(), "dead", 1, None),
    "dead endpoint": (DeadEndpoint(), "dead", 1, None),
}


async def work(db: Database, writer: Writer, *answers: Harvest | Exception) -> Work:
    run = db.begin_run("a", job("nginx"))
    made = Work(db, writer, scripted(*answers), run.id)
    await made.until_over()
    return made


@pytest.mark.parametrize(("error", "state", "attempts", "pause"), TABLE.values(), ids=TABLE.keys())
async def test_an_error_at_every_attempt_ends_as_the_table_says(
    db: Database, writer: Writer, error: Exception, state: str, attempts: int, pause: float | None
) -> None:
    made = await work(db, writer, error)
    row = db.job(job("nginx").key)
    assert (row["state"], row["attempt"]) == (state, attempts)
    assert row["last_error"].startswith(f"{type(error).__name__}: ")
    assert [type(report.outcome) for report in made.reports] == [Retry] * (attempts - 1) + [Dead]
    first = made.reports[0].outcome
    assert (first.seconds if isinstance(first, Retry) else None) == pause
    assert made.worker.fatal is None


@pytest.mark.parametrize("error", [Unavailable("503"), DRIFT, ZeroDivisionError()])
async def test_an_error_that_passes_is_forgiven(db: Database, writer: Writer, error: Exception) -> None:
    await work(db, writer, error, FOUND)
    row = db.job(job("nginx").key)
    assert (row["state"], row["attempt"]) == ("done", 2)


async def test_pauses_grow_with_the_fourth_power_of_the_attempt(db: Database, writer: Writer) -> None:
    made = await work(db, writer, Unavailable("503"))
    pauses = [report.outcome.seconds for report in made.reports if isinstance(report.outcome, Retry)]
    assert pauses == [1.0, 16.0, 81.0, 256.0]


async def test_429_five_times_counts_no_attempt_and_makes_nothing_gone(db: Database, writer: Writer) -> None:
    db.keep(seen(), at=db.clock.time() - 100)
    throttled = [Throttled("429", retry_after=60.0, status=429) for _ in range(5)]
    made = await work(db, writer, *throttled, FOUND)
    row = db.job(job("nginx").key)
    assert (row["state"], row["attempt"]) == ("done", 1)
    assert len(made.reports) == 6
    assert db.value("SELECT count(*) FROM absences") == 0
    assert db.value("SELECT gone_at FROM repositories") is None


async def test_a_throttled_lane_is_closed_for_as_long_as_was_said(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", *[job(f"r{number}") for number in range(8)])
    asked: list[float] = []

    async def handle(claimed: Job) -> Harvest:
        asked.append(db.clock.elapsed)
        if len(asked) == 1:
            raise Throttled("429", retry_after=3600.0)
        return Harvest()

    made = Work(db, writer, handle, run.id)
    await made.until_over()
    assert asked[0] == 0.0
    assert min(asked[1:]) >= 3600.0, "what was claimed already is given back"
    assert db.all("SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2") == [("done", 1, 8)]


async def test_a_host_that_is_unreachable_from_the_start_is_given_up_with_nothing_dead(
    db: Database, writer: Writer
) -> None:
    error = Unreachable("no route")
    made = await work(db, writer, error)
    assert made.worker.fatal is error
    assert 3 <= db.clock.elapsed < 30
    row = db.job(job("nginx").key)
    assert (row["state"], row["attempt"]) == ("waiting", 0)


async def test_a_host_that_answered_once_is_waited_for_much_longer(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", job("nginx"), job("redis"))
    db.run("UPDATE jobs SET state = 'waiting', run_at = ? WHERE key LIKE '%redis%'", db.in_s(1))
    answer = scripted(Harvest(), Unreachable("no route"))

    async def handle(claimed: Job) -> Harvest:
        db.clock.advance(2)
        return await answer(claimed)

    made = Work(db, writer, handle, run.id)
    await made.until_over()
    assert isinstance(made.worker.fatal, Unreachable)
    assert 120 <= db.clock.elapsed < 400
    assert db.keys("dead") == []


async def test_a_host_that_comes_back_in_time_is_forgiven(db: Database, writer: Writer) -> None:
    made = await work(db, writer, Unreachable("no route"), FOUND)
    assert made.worker.fatal is None
    assert db.job(job("nginx").key)["attempt"] == 1


async def test_a_far_end_that_refuses_whatever_it_is_asked_is_given_up_before_it_kills_the_queue(
    db: Database, writer: Writer
) -> None:
    run = db.begin_run("a", *(job(f"repository-{number}") for number in range(40)))

    async def refuse(_claimed: Job) -> Harvest:
        raise Denied("no")

    made = Work(db, writer, refuse, run.id)
    await made.until_over()
    assert isinstance(made.worker.fatal, Denied)
    assert len(db.keys("dead")) < STRIKES
    assert db.keys("running") == []
    assert len(db.keys("dead")) + len(db.keys("ready")) + len(db.keys("waiting")) == 40


async def test_a_far_end_that_fails_whatever_it_is_asked_is_left_alone_and_then_asked_again(
    db: Database, writer: Writer
) -> None:
    run = db.begin_run("a", *(job(f"repository-{number}") for number in range(20)))
    failures = 0

    async def fail_at_first(_claimed: Job) -> Harvest:
        nonlocal failures
        failures += 1
        if failures <= STRIKES + 4:
            raise Unavailable("503")
        return Harvest()

    made = Work(db, writer, fail_at_first, run.id)
    await made.until_over()
    assert made.worker.fatal is None
    assert len(db.keys("done")) == 20, "no job was at fault"


async def test_a_first_block_is_waited_out(db: Database, writer: Writer) -> None:
    made = await work(db, writer, Blocked("edge"), FOUND)
    row = db.job(job("nginx").key)
    assert (row["state"], row["attempt"], made.worker.fatal) == ("done", 1, None)
    assert db.clock.elapsed >= 900


async def test_a_second_block_after_the_pause_ends_the_worker_with_nothing_dead(db: Database, writer: Writer) -> None:
    made = await work(db, writer, Blocked("edge"))
    assert isinstance(made.worker.fatal, Blocked)
    row = db.job(job("nginx").key)
    assert (row["state"], row["attempt"]) == ("waiting", 0)


async def test_refused_credentials_end_the_worker_and_give_the_job_back(db: Database, writer: Writer) -> None:
    error = CredentialsRefused("wrong password")
    made = await work(db, writer, error)
    assert made.worker.fatal is error
    row = db.job(job("nginx").key)
    assert (row["state"], row["attempt"], row["lease_owner"]) == ("ready", 0, None)


async def test_a_page_that_died_leaves_the_end_of_its_walk_and_the_evidence(db: Database, writer: Writer) -> None:
    page = tags_page(Args(subject="library/nginx"))
    run = db.begin_run("a", page)
    await Work(db, writer, scripted(DRIFT), run.id).until_over()
    assert db.one("SELECT stop_reason, is_complete FROM listings") == ("error", 0)
    assert db.one("SELECT kind, detail ->> 'path' FROM events") == ("drift", "$.results")
    assert db.value("SELECT stop_reason FROM v_incomplete") == "error"


async def test_a_page_that_was_denied_ends_its_walk_as_denied(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", tags_page(Args(subject="library/nginx")))
    await Work(db, writer, scripted(Denied("private")), run.id).until_over()
    assert db.value("SELECT stop_reason FROM v_incomplete") == "denied"


@pytest.mark.parametrize("value", [2**63, "\ud800"], ids=["an integer beyond 64 bits", "a lone surrogate"])
async def test_a_row_that_cannot_be_stored_makes_its_job_dead_and_the_others_go_on(
    db: Database, writer: Writer, value: Any
) -> None:
    changes: dict[str, Any] = {"pull_count": value} if isinstance(value, int) else {"description": value}
    run = db.begin_run("a", job("nginx"), job("redis"))
    poison = Harvest(records=(seen("library/nginx", **changes),))
    made = Work(db, writer, scripted(poison, Harvest(records=(seen("library/redis"),))), run.id)
    await made.until_over()
    assert made.worker.fatal is None
    assert (db.job(job("nginx").key)["state"], db.job(job("redis").key)["state"]) == ("dead", "done")
    assert db.all("SELECT full_name FROM repositories") == [("library/redis",)]


async def test_a_page_whose_rows_the_database_refused_ends_its_walk(db: Database, writer: Writer) -> None:
    page = tags_page(Args(subject="library/nginx", page=2, query="page=2"))
    run = db.begin_run("a", page)
    db.run("CREATE TRIGGER refusing BEFORE INSERT ON repositories BEGIN SELECT RAISE(ABORT, 'no'); END")
    made = Work(db, writer, scripted(FOUND), run.id)
    walk = page.key.rpartition(":")[0]
    db.run(
        "INSERT INTO listings (kind, subject, started_at, rows, is_complete, refused, walk_key)"
        " VALUES ('tags', 'library/nginx', ?, 5, 0, 0, ?)",
        db.now.text,
        walk,
    )
    await made.until_over()
    assert db.keys("dead") == [page.key]
    assert db.one("SELECT stop_reason, is_complete FROM listings") == ("error", 0)


async def test_a_settlement_that_the_database_refuses_surfaces(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", job("nginx"))
    when = "WHEN old.state = 'running' AND new.state <> 'running'"
    db.run(f"CREATE TRIGGER refusing BEFORE UPDATE ON jobs {when} BEGIN SELECT RAISE(ABORT, 'full'); END")
    made = Work(db, writer, scripted(FOUND), run.id)
    with pytest.raises(StoreError):
        await made.until_over()


async def test_a_lost_lease_is_no_trouble(db: Database, writer: Writer) -> None:
    run = db.begin_run("a", job("nginx"))

    async def handle(claimed: Job) -> Harvest:
        db.run("UPDATE jobs SET state = 'done', finished_at = ?, lease_owner = NULL", db.now.text)
        return FOUND

    made = Work(db, writer, handle, run.id)
    await made.until_over()
    assert (made.reports, made.worker.fatal) == ([], None)
    assert db.value("SELECT count(*) FROM repositories") == 0


async def test_done_is_reported_with_what_was_stored(db: Database, writer: Writer) -> None:
    made = await work(db, writer, FOUND)
    [report] = made.reports
    assert isinstance(report.outcome, Done)
    assert (report.counts["repositories"], report.error) == (1, None)
