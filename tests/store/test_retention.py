"""What has grown old goes in bounded steps, and nothing that anything still needs goes with it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from harvester.jobs import Dead, Done, Harvest, Retry
from harvester.store import queue, reads, retention
from harvester.store.retention import AT_ONCE, PARTS, Keep, Part, Round
from tests.store.clocks import DAY, ManualClock
from tests.store.database import Database
from tests.store.makers import NGINX, job, seen

KEEP = Keep(jobs_s=DAY, pulls_s=90 * DAY, deliveries_s=30 * DAY, listings_s=90 * DAY)
MIDNIGHT = 1_795_132_800
"""2026-11-20T00:00:00Z."""


def tidy(db: Database, *parts: Part, keep: Keep = KEEP, thinned_before: int = 0) -> Round:
    """A whole round, a transaction for each step."""
    current = retention.begin(keep, db.now, parts=parts or PARTS, thinned_before=thinned_before)
    before = 0
    while not current.is_over:
        with db.engine.begin() as connection:
            current = retention.step(connection, current)
        total = sum(current.removed.values())
        assert total - before <= AT_ONCE
        before = total
    return current


def done(db: Database, *names: str, runs: Iterable[int] = ()) -> None:
    db.add(*[job(name) for name in names], runs=list(runs))
    for one in db.claim():
        db.end(one, Done(Harvest()))


# Jobs and runs.


def test_runs_go_some_at_a_time(db: Database, clock: ManualClock) -> None:
    for place in range(2 * retention.RUNS_AT_ONCE + 50):
        db.finish_run(db.begin_run(f"run {place}").id)
    clock.advance(DAY + 1)
    current, parts = retention.begin(KEEP, db.now, parts=("runs",)), []
    while not current.is_over:
        with db.engine.begin() as connection:
            current = retention.step(connection, current)
        parts.append(current.removed["runs"])
    assert parts == [retention.RUNS_AT_ONCE, 2 * retention.RUNS_AT_ONCE, 2 * retention.RUNS_AT_ONCE + 50]
    assert db.value("SELECT count(*) FROM runs") == 0


def test_jobs_that_were_done_long_ago_are_counted_and_go(db: Database, clock: ManualClock) -> None:
    done(db, "a", "b")
    db.add(job("c"))
    one = db.claim_one()
    db.end(one, Retry(1, "once more"))
    clock.advance(2)
    db.promote()
    db.end(db.claim_one(), Done(Harvest()))
    day = db.now.text[:10]
    clock.advance(DAY)
    assert tidy(db, "jobs").removed == {"jobs": 2}, "the third one was done later: it has not been that long"
    clock.advance(1)
    done(db, "young")
    assert tidy(db, "jobs").removed == {"jobs": 1}
    assert db.all("SELECT * FROM work_days") == [(day, "repository", "done", 3, 4)]
    assert db.keys("done") == [job("young").key]
    assert tidy(db, "jobs").removed == {"jobs": 0}
    assert db.value("SELECT sum(jobs) FROM work_days") == 3


def test_jobs_of_an_unfinished_run_stay_and_those_it_shares_with_a_finished_one(
    db: Database, clock: ManualClock
) -> None:
    finished = db.begin_run("finished", job("ours"), job("shared"))
    going_on = db.begin_run("going on", job("shared"), job("live"))
    for one in db.claim():
        if one.key != job("live").key:
            db.end(one, Done(Harvest()))
    assert db.finish_run(finished.id)
    clock.advance(2 * DAY)
    assert tidy(db, "jobs", "runs").removed == {"jobs": 1, "runs": 0}
    assert db.keys("done") == [job("shared").key]
    assert db.all("SELECT run_id, count(*) FROM run_jobs GROUP BY 1") == [(finished.id, 1), (going_on.id, 2)]
    db.run("DELETE FROM run_jobs WHERE job_id = (SELECT id FROM jobs WHERE key = ?)", job("live").key)
    db.run("UPDATE runs SET finished_at = ? WHERE id = ?", db.in_s(-DAY - 1), going_on.id)
    assert tidy(db, "jobs", "runs").removed == {"jobs": 1, "runs": 2}
    assert db.all("SELECT * FROM run_jobs") == []


def test_dead_and_live_jobs_stay_and_what_is_dropped_is_counted(db: Database, clock: ManualClock) -> None:
    run = db.begin_run("one", job("dead"))
    db.end(db.claim_one(), Dead("why", Harvest()))
    assert db.finish_run(run.id)
    day = db.now.text[:10]
    db.add(job("ready"))
    clock.advance(9 * DAY)
    assert tidy(db).removed == dict.fromkeys(PARTS, 0)
    assert (db.keys("dead"), db.keys("ready")) == ([job("dead").key], [job("ready").key])
    with db.engine.begin() as connection:
        assert queue.drop(connection, 1)
    assert db.all("SELECT * FROM work_days") == [(day, "repository", "dead", 1, 1)]
    assert tidy(db).removed["runs"] == 1


def test_of_equal_failures_the_last_one_stays_until_the_same_is_done(db: Database, clock: ManualClock) -> None:
    def fail() -> None:
        run = db.begin_run("pass", job("refused"))
        db.end(db.claim_one(), Dead("403", Harvest()))
        assert db.finish_run(run.id)

    fail()
    # Within the same second, and again on another day.
    fail()
    first, second = db.all("SELECT id FROM jobs WHERE state = 'dead' ORDER BY id")
    day = db.now.text[:10]
    clock.advance(DAY)
    fail()
    assert tidy(db, "jobs").removed == {"jobs": 0}, "none of them ended long enough ago"
    clock.advance(1)
    assert tidy(db, "jobs").removed == {"jobs": 2}
    [last] = db.all("SELECT id FROM jobs WHERE state = 'dead'")
    assert last not in (first, second)
    assert db.all("SELECT * FROM work_days") == [(day, "repository", "dead", 2, 2)]
    clock.advance(9 * DAY)
    assert tidy(db, "jobs").removed == {"jobs": 0}
    done(db, "other")
    db.add(job("refused"))
    assert tidy(db, "jobs").removed == {"jobs": 0}, "it is asked again, and has not answered yet"
    db.end(db.claim_one(), Done(Harvest()))
    assert tidy(db, "jobs").removed == {"jobs": 1}
    assert db.keys("dead") == []


def test_a_failure_in_a_run_that_goes_on_is_made_good_by_a_success_however_long_ago(
    db: Database, clock: ManualClock
) -> None:
    going_on = db.begin_run("going on", job("refused"))
    db.end(db.claim_one(), Dead("403", Harvest()))
    clock.advance(60)
    done(db, "refused", "other")
    clock.advance(DAY + 1)
    assert tidy(db, "jobs").removed == {"jobs": 1}
    assert db.keys("done") == [job("refused").key]
    assert db.finish_run(going_on.id)
    clock.advance(DAY)
    assert tidy(db, "jobs").removed == {"jobs": 0}
    clock.advance(1)
    assert tidy(db, "jobs").removed == {"jobs": 2}
    assert db.value("SELECT count(*) FROM jobs") == 0


def test_whoever_began_a_run_finds_what_failed_in_it_when_it_is_over(db: Database, clock: ManualClock) -> None:
    run = db.begin_run("for days", job("refused"), job("asked"))
    for one in db.claim():
        db.end(one, Dead("403", Harvest()) if one.key == job("refused").key else Done(Harvest()))
    clock.advance(60)
    done(db, "refused")
    clock.advance(9 * DAY)
    assert db.finish_run(run.id)
    tidy(db, "jobs", "runs")
    with db.reader.begin() as connection:
        assert [one.key for one in reads.dead_of_run(connection, run.id)] == [job("refused").key]
    assert db.value("SELECT count(*) FROM run_jobs WHERE run_id = ?", run.id) == 2


def test_a_run_that_a_watch_refers_to_stays(db: Database, clock: ManualClock) -> None:
    for name in ("first", "last", "young"):
        run = db.begin_run(name)
        assert db.finish_run(run.id)
        clock.advance(DAY)
    db.run(
        "INSERT INTO watches (target, tags, layers, every_s, fastest_s, place, since, run_id)"
        " VALUES ('a/b', 'all', 'latest', 1, 1, 0, ?, 2)",
        db.now.text,
    )
    assert tidy(db, "runs").removed == {"runs": 1}
    assert db.all("SELECT fingerprint FROM runs ORDER BY id") == [("last",), ("young",)]


def test_many_jobs_go_in_steps_and_what_stays_does_not_stop_them(db: Database, clock: ManualClock) -> None:
    run = db.begin_run("unfinished", *[job(f"of-run-{number}") for number in range(AT_ONCE + 5)])
    assert run.id == 1
    for one in db.claim(wanted=2 * AT_ONCE):
        db.end(one, Done(Harvest()))
    for start in (0, 1000, 2000):
        done(db, *[f"r{number}" for number in range(start, start + 1000)])
    clock.advance(DAY + 1)
    assert tidy(db, "jobs").removed == {"jobs": 3000}
    assert db.value("SELECT count(*) FROM jobs") == AT_ONCE + 5
    assert db.value("SELECT jobs FROM work_days") == 3000


def test_a_step_whose_transaction_fails_is_made_again(db: Database, clock: ManualClock) -> None:
    done(db, "a", "b")
    clock.advance(DAY + 1)
    current = retention.begin(KEEP, db.now)

    def fail(connection: Connection) -> None:
        retention.step(connection, current)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"), db.engine.begin() as connection:
        fail(connection)
    assert (db.value("SELECT count(*) FROM jobs"), db.value("SELECT count(*) FROM work_days")) == (2, 0)
    with db.engine.begin() as connection:
        assert retention.step(connection, current).removed == {"jobs": 2}


def test_what_is_kept_for_ever_is_not_looked_at(db: Database, clock: ManualClock) -> None:
    done(db, "a")
    clock.advance(9 * DAY)
    keep = Keep.of("forever", "90d", "forever", "forever")
    assert keep == Keep(None, 90 * DAY, None, None)
    assert retention.begin(keep, db.now).left == ("pulls",)
    assert tidy(db, keep=keep).removed == {"pulls": 0}
    assert len(db.keys("done")) == 1


# Pull counts.


def observed(db: Database, points: Iterable[tuple[int, int, int]], full_name: str = NGINX) -> None:
    """Observations (seconds, count, source) of a repository."""
    db.keep(seen(full_name))
    [number] = db.one("SELECT id FROM repositories WHERE full_name = ?", full_name)
    db.run("DELETE FROM pull_history WHERE repository_id = ?", number)
    for row in points:
        db.run("INSERT INTO pull_history VALUES (?, ?, ?, NULL, ?)", number, *row)


def points(db: Database, full_name: str = NGINX) -> list[tuple[int, int]]:
    sql = "SELECT observed_at, p.source FROM pull_history p JOIN repositories r ON r.id = p.repository_id WHERE full_name = ?"
    return [(int(row[0]), int(row[1])) for row in db.all(f"{sql} ORDER BY 1", full_name)]


def daily(db: Database) -> list[tuple[Any, ...]]:
    return db.all("SELECT full_name, day, pulls, elapsed_s, flag, pull_count FROM v_pull_daily ORDER BY 1, 2")


OLD = MIDNIGHT - 100 * DAY


@pytest.mark.parametrize(
    ("of_a_day", "stay"),
    [
        ([(5, 1)], [5]),
        ([(5, 3)], [5]),
        ([(5, 1), (6, 1)], [5, 6]),
        ([(5, 1), (6, 1), (7, 1)], [5, 7]),
        ([(5, 3), (6, 1), (7, 1), (8, 1)], [6, 8]),
        ([(5, 3), (6, 3), (7, 3)], [5, 7]),
        ([(5, 3), (6, 3), (7, 1)], [7]),
        ([(5, 1), (6, 1), (7, 3)], [5, 7]),
        ([(0, 2), (86_398, 1), (86_399, 1)], [0, 86_399]),
    ],
)
def test_of_an_old_day_the_first_and_the_last_observation_stay(
    db: Database, of_a_day: list[tuple[int, int]], stay: list[int]
) -> None:
    observed(db, [(OLD + at, 100 + at, source) for at, source in of_a_day])
    before = daily(db)
    tidy(db, "pulls")
    assert [at - OLD for at, _ in points(db)] == stay
    assert daily(db) == before


def test_days_that_are_not_over_for_long_enough_stay_whole(db: Database, clock: ManualClock) -> None:
    clock.set_wall(MIDNIGHT + 3600)
    edge = MIDNIGHT - 90 * DAY
    observed(db, [(edge + at, at + DAY, 1) for at in (-3, -2, -1, 0, 1, 2)])
    current = tidy(db, "pulls")
    assert [at - edge for at, _ in points(db)] == [-3, -1, 0, 1, 2]
    assert current.thins_before == edge
    clock.advance(DAY)
    assert tidy(db, "pulls", thinned_before=current.thins_before).removed == {"pulls": 1}


def test_what_an_earlier_round_went_through_is_not_looked_at_again(db: Database) -> None:
    observed(db, [(OLD + at, at, 1) for at in range(3)])
    assert tidy(db, "pulls", thinned_before=OLD + DAY).removed == {"pulls": 0}
    assert tidy(db, "pulls", thinned_before=OLD).removed == {"pulls": 1}


def test_what_a_round_of_a_clock_that_was_ahead_went_through_is_looked_at_again(db: Database) -> None:
    observed(db, [(OLD + at, at, 1) for at in range(3)])
    assert tidy(db, "pulls", thinned_before=db.now.seconds + DAY).removed == {"pulls": 1}


def test_many_observations_of_many_repositories_go_in_steps(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/a", "b/b", "c/c"):
        observed(db, [(OLD + 300 * number, number, 1) for number in range(900)], name)
    monkeypatch.setattr(retention, "LOOKED_AT", 1000)
    monkeypatch.setattr(retention, "HOPS", 2)
    before = daily(db)
    days = db.value("SELECT count(*) FROM v_pull_daily")
    assert tidy(db, "pulls").removed == {"pulls": 2700 - 2 * days}
    assert daily(db) == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32), every=st.sampled_from([1800, 7200, 30_000, 90_000]), most=st.sampled_from([2, 7, 500])
)
def test_the_days_say_the_same_before_and_after(db: Database, seed: int, every: int, most: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    at, count, series = OLD - 60 * DAY, 10**6, []
    while at < OLD:
        at += chance.randint(1, 2 * every) + chance.choice([0] * 60 + [3 * DAY])
        count += chance.choice(
            [0, 0, chance.randint(0, 2 * every), chance.randint(0, 2 * every), -chance.randint(0, 9)]
        )
        series.append((at, chance.choice([count] * 50 + [2**31 - 1]), chance.choice([1, 1, 2, 3])))
    observed(db, series)
    before = daily(db)
    current = retention.begin(KEEP, db.now, parts=("pulls",))
    retention_looked, retention.LOOKED_AT = retention.LOOKED_AT, most
    try:
        while not current.is_over:
            with db.engine.begin() as connection:
                current = retention.step(connection, current)
    finally:
        retention.LOOKED_AT = retention_looked
    assert daily(db) == before
    assert max(row[0] for row in db.all("SELECT samples FROM v_pull_daily")) <= 2
