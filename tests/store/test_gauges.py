"""A reading of how everything stands: each number from rows that the test has written, and what is not read again."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.store import buckets
from harvester.store.buckets import Bucket, Pace
from harvester.store.gauges import INCOMPLETE_EVERY_S, BudgetGauge, Gauges, Overdue, read_gauges
from harvester.store.moment import Moment
from harvester.store.processes import SEEN_S
from tests.store.clocks import NOW
from tests.store.database import Database


def read(db: Database, *, earlier: Gauges | None = None) -> Gauges:
    with db.reader.begin() as connection:
        return read_gauges(connection, db.now, earlier=earlier)


def write(db: Database, sql: str, *rows: tuple[Any, ...]) -> None:
    with db.engine.begin() as connection:
        for row in rows or [()]:
            connection.exec_driver_sql(sql, row)


def at(seconds: float) -> str:
    return Moment.of(NOW + seconds).text


def job(db: Database, number: int, kind: str, lane: str, state: str, run_at: str) -> None:
    is_over = state in ("done", "dead")
    write(
        db,
        """INSERT INTO jobs (id, kind, lane, key, args, priority, state, run_at, attempt, max_attempts, lease_owner, lease_until,
            fresh_after, created_at, finished_at) VALUES (?, ?, ?, ?, '{}', 1, ?, ?, 1, 5, ?, ?, ?, ?, ?)""",
        (
            *(number, kind, lane, f"{kind}:{number}", state, run_at),
            *(("me", at(30)) if state == "running" else (None, None)),
            *(at(0), at(0), at(0) if is_over else None),
        ),
    )


def repository(db: Database, number: int, next_check_at: str | None, interval_s: int) -> None:
    write(
        db,
        """INSERT INTO repositories (id, namespace, name, full_name, is_official, first_seen_at, last_seen_at, next_check_at)
            VALUES (?, 'a', ?, ?, 0, ?, ?, ?)""",
        (number, f"r{number}", f"a/r{number}", at(0), at(0), next_check_at),
    )
    write(
        db,
        "INSERT INTO cadences (repository_id, watch_id, interval_s, checks, changes, observed_s) VALUES (?, 1, ?, 0, 0, 0)",
        (number, interval_s),
    )


def watch(db: Database, number: int, next_check_at: str | None, ended_at: str | None = None) -> None:
    write(
        db,
        """INSERT INTO watches (id, target, tags, layers, every_s, fastest_s, place, since, ended_at, next_check_at)
            VALUES (?, ?, 'all', 'latest', 1000, 100, 0, ?, ?, ?)""",
        (number, f"a/{number}", at(0), ended_at, next_check_at),
    )


def listing(db: Database, subject: str, reason: str | None, *, is_complete: bool = False) -> None:
    write(
        db,
        """INSERT INTO listings (kind, subject, started_at, finished_at, rows, stop_reason, is_complete, refused, walk_key)
            VALUES ('tags', ?, ?, ?, 1, ?, ?, 0, ?)""",
        (subject, at(0), None if reason is None else at(0), reason, is_complete, f"tags.page:{subject}"),
    )


def test_an_empty_database_has_nothing_of_anything(db: Database) -> None:
    found = read(db)
    assert (found.jobs, found.oldest_ready_s, found.budgets, found.watches) == ({}, {}, (), 0)
    assert found.overdue == {"watch": Overdue(), "repository": Overdue()}
    assert (found.incomplete, found.undelivered, found.processes) == ({}, {"waiting": 0, "dead": 0}, {})


def test_jobs_are_counted_by_kind_and_state_those_that_are_done_are_not(db: Database) -> None:
    states = ("waiting", "ready", "running", "done", "dead")
    for number, state in enumerate((*states, "ready", "dead"), 1):
        job(db, number, "images", "hub", state, at(0))
    job(db, 10, "manifest", "pulls", "ready", at(0))
    assert read(db).jobs == {
        ("images", "waiting"): 1,
        ("images", "ready"): 2,
        ("images", "running"): 1,
        ("images", "dead"): 2,
        ("manifest", "ready"): 1,
    }


def test_the_oldest_ready_job_of_each_lane_has_its_age(db: Database) -> None:
    job(db, 1, "images", "hub", "ready", at(-50))
    job(db, 2, "images", "hub", "ready", at(-70))
    job(db, 3, "images", "hub", "running", at(-900))
    job(db, 4, "manifest", "pulls", "ready", at(5))
    assert read(db).oldest_ready_s == {"hub": 70, "pulls": 0}, "0 where the clock was set back meanwhile"


def test_a_budget_has_its_limit_its_reserve_what_is_spent_and_when_it_opens(db: Database) -> None:
    bucket = Bucket("hub", "direct", "anonymous")
    with db.engine.begin() as connection:
        buckets.configure(connection, bucket, Pace(180, 60.0, share=0.5), NOW)
        connection.exec_driver_sql(
            "UPDATE budgets SET limit_count = 180, cap = 90, spent = 30, counted = 40, remaining = 135, window_ends_at = ?",
            (NOW + 20,),
        )
        buckets.close(connection, bucket, 45.0, "429", NOW)
    [found] = read(db).budgets
    assert (found.budget, found.route, found.identity) == ("hub", "direct", "anonymous")
    assert (found.limit, found.reserve, found.spent, found.remaining) == (180, 90, 40, 135)
    assert found.opens_in_s == pytest.approx(45, abs=1)


def test_when_its_window_is_over_nothing_is_spent_and_all_remains(db: Database) -> None:
    with db.engine.begin() as connection:
        buckets.configure(connection, Bucket("hub", "direct", "anonymous"), Pace(180, 60.0), NOW)
        connection.exec_driver_sql("UPDATE budgets SET spent = 30, remaining = 3, window_ends_at = ?", (NOW - 1,))
    [found] = read(db).budgets
    assert found == BudgetGauge(
        budget="hub",
        route="direct",
        identity="anonymous",
        limit=180,
        reserve=0,
        spent=0,
        remaining=180,
        opens_in_s=0.0,
    )


def test_a_credential_that_was_refused_is_no_budget(db: Database) -> None:
    with db.engine.begin() as connection:
        buckets.configure(connection, Bucket("credential", "-", "a-hash"), Pace(1, 60.0), NOW)
    assert read(db).budgets == ()


def test_the_lag_is_that_of_the_most_overdue_and_in_intervals_of_its_own(db: Database) -> None:
    watch(db, 1, at(-500))
    watch(db, 2, at(100))
    watch(db, 3, None)
    watch(db, 4, at(-9000), ended_at=at(0))
    repository(db, 1, at(-60), 20)
    repository(db, 2, at(-100), 1000)
    repository(db, 3, at(0), 1000)
    repository(db, 4, at(1), 1)
    repository(db, 5, None, 1)
    found = read(db)
    assert found.watches == 3
    assert found.overdue == {
        "watch": Overdue(number=1, lag_s=500, lag_ratio=0.5),
        "repository": Overdue(number=3, lag_s=100, lag_ratio=3.0),
    }


def test_incomplete_lists_are_counted_by_reason_as_the_view_has_them(db: Database) -> None:
    listing(db, "a/1", "wall")
    listing(db, "a/2", "wall")
    listing(db, "a/3", "error")
    listing(db, "a/4", "policy")
    listing(db, "a/5", "error")
    listing(db, "a/5", "end", is_complete=True)
    listing(db, "a/6", None)
    assert read(db).incomplete == {"wall": 2, "error": 1, "open": 1}


def test_incomplete_lists_are_not_counted_again_for_a_while(db: Database) -> None:
    listing(db, "a/1", "wall")
    first = read(db)
    listing(db, "a/2", "wall")
    db.clock.advance(INCOMPLETE_EVERY_S - 1)
    second = read(db, earlier=first)
    assert (second.incomplete, second.incomplete_at) == ({"wall": 1}, first.incomplete_at)
    db.clock.advance(1)
    third = read(db, earlier=second)
    assert (third.incomplete, third.incomplete_at) == ({"wall": 2}, db.now.seconds)


def test_a_clock_that_is_set_back_does_not_keep_an_old_count(db: Database) -> None:
    first = read(db)
    listing(db, "a/1", "wall")
    db.clock.set_wall(NOW - 7200)
    assert read(db, earlier=first).incomplete == {"wall": 1}


def test_events_on_their_way_are_counted_by_state(db: Database) -> None:
    write(
        db,
        "INSERT INTO events (id, observed_at, kind, detail) VALUES (?, ?, 'drift', '{}')",
        *[(n, at(0)) for n in range(1, 5)],
    )
    rows = [(1, "waiting", None), (2, "waiting", None), (3, "dead", at(0)), (4, "done", at(0))]
    write(
        db,
        """INSERT INTO deliveries (event_id, notifier, subject, state, run_at, finished_at)
            VALUES (?, 'hook', 'a', ?, '2026-11-20T16:00:00Z', ?)""",
        *rows,
    )
    assert read(db).undelivered == {"waiting": 2, "dead": 1}


def test_a_process_that_said_nothing_for_long_is_not_at_work(db: Database) -> None:
    rows = [("a", "run", -1), ("b", "backfill", -SEEN_S), ("c", "backfill", -SEEN_S - 1), ("d", "backfill", 0)]
    write(
        db,
        "INSERT INTO processes (owner, command, version, started_at, seen_at) VALUES (?, ?, '1', '2026-11-20T16:00:00Z', ?)",
        *[(owner, command, at(since)) for owner, command, since in rows],
    )
    assert read(db).processes == {"run": 1, "backfill": 2}


def test_the_files_have_their_sizes(db: Database) -> None:
    write(db, "INSERT INTO instructions (text, hash) VALUES ('RUN x', x'00')")
    found = read(db).files
    assert found.database == db.path.stat().st_size
    assert found.wal == db.path.with_name("harvester.db-wal").stat().st_size > 0
    assert found.free is not None
    assert found.free > 0
