"""How jobs end, are put off, are lost and come back."""

from __future__ import annotations

import pytest

from harvester.jobs import Args, Dead, Done, Harvest, Released, Retry, Snooze, tags_page
from harvester.store import queue
from harvester.store.moment import Moment
from tests.store.clocks import NOW
from tests.store.database import OTHER, OWNER, Database
from tests.store.makers import job, seen

DONE = Done(Harvest())
KEY = "repository:library/nginx::all:latest:free"


@pytest.fixture(autouse=True)
def _one_job(db: Database) -> None:
    db.add(job("nginx"))


def test_a_done_job_is_finished_and_holds_no_lease(db: Database) -> None:
    assert db.end(db.claim_one(), DONE)
    row = db.job(KEY)
    assert (row["state"], row["finished_at"], row["attempt"]) == ("done", db.now.text, 1)
    assert (row["lease_owner"], row["lease_until"]) == (None, None)


def test_attempts_are_counted_by_claims(db: Database) -> None:
    for attempt in (1, 2, 3):
        claimed = db.claim_one()
        assert claimed.attempt == attempt
        db.end(claimed, Retry(1, "again"))
        db.clock.advance(1)
        assert db.promote() == 1


def test_a_snoozed_job_gets_its_attempt_back_and_waits(db: Database) -> None:
    db.end(db.claim_one(), Snooze(30.2, "Throttled: not now"))
    row = db.job(KEY)
    assert (row["state"], row["attempt"], row["last_error"]) == ("waiting", 0, "Throttled: not now")
    assert row["run_at"] == db.in_s(31), "never before its time"


def test_a_retried_job_keeps_its_attempt_and_waits(db: Database) -> None:
    db.end(db.claim_one(), Retry(1.0, "Unavailable: 503"))
    row = db.job(KEY)
    assert (row["state"], row["attempt"], row["run_at"]) == ("waiting", 1, db.in_s(1))


def test_a_released_job_gets_its_attempt_back_and_is_ready(db: Database) -> None:
    db.clock.advance(3)
    db.end(db.claim_one(), Released())
    row = db.job(KEY)
    assert (row["state"], row["attempt"], row["lease_owner"], row["run_at"]) == ("ready", 0, None, db.now.text)


def test_a_dead_job_keeps_its_reason_and_what_was_found(db: Database) -> None:
    db.end(db.claim_one(), Dead("Drift: another shape", Harvest(records=(seen(),))))
    row = db.job(KEY)
    assert (row["state"], row["last_error"], row["finished_at"]) == ("dead", "Drift: another shape", db.now.text)
    assert db.value("SELECT count(*) FROM repositories") == 1


def test_a_job_is_settled_by_its_owner_only(db: Database) -> None:
    claimed = db.claim_one()
    assert not db.end(claimed, DONE, owner=OTHER)
    assert db.job(KEY)["state"] == "running"


def test_a_job_that_was_claimed_again_is_not_settled_by_the_first_claim(db: Database) -> None:
    first = db.claim_one()
    db.clock.advance(queue.LEASE_S + 1)
    db.rescue()
    second = db.claim_one()
    assert not db.end(first, DONE), "the attempt tells the two claims of one owner apart"
    assert db.end(second, DONE)


def test_a_waiting_job_is_promoted_when_its_time_has_come_and_not_before(db: Database) -> None:
    db.end(db.claim_one(), Snooze(10, "later"))
    db.clock.advance(9)
    assert (db.promote(), db.claim()) == (0, [])
    db.clock.advance(1)
    assert db.promote() == 1
    assert db.claim_one().attempt == 1


def test_a_job_whose_lease_ran_out_is_ready_again_with_its_attempt_counted(db: Database) -> None:
    db.claim_one()
    db.clock.advance(queue.LEASE_S + 1)
    assert db.rescue() == 1
    assert db.claim_one(owner=OTHER).attempt == 2


def test_live_work_of_another_process_is_never_taken_by_a_restart(db: Database) -> None:
    held = db.claim_one(owner=OTHER)
    assert (db.rescue(), db.claim(owner=OWNER)) == (0, [])
    db.clock.advance(queue.LEASE_S)
    assert (db.rescue(), db.claim(owner=OWNER)) == (0, []), "a lease lasts to its last second"
    assert db.end(held, DONE, owner=OTHER)


def test_a_job_that_never_ends_well_is_dead_in_the_end(db: Database) -> None:
    for number in range(queue.MAX_RESCUES + 1):
        [claimed] = db.claim()
        assert (claimed.attempt, claimed.tries) == (number + 1, 1), "what ended with its process is not held against it"
        db.clock.advance(queue.LEASE_S + 1)
        assert db.rescue() == 1
    row = db.job(KEY)
    assert (row["state"], row["finished_at"]) == ("dead", db.now.text)
    assert "ended" in row["last_error"]


def test_renewing_pushes_out_the_own_leases_only(db: Database) -> None:
    db.add(job("redis"))
    [_] = db.claim(wanted=1)
    [_] = db.claim(wanted=1, owner=OTHER)
    db.clock.advance(20)
    with db.engine.begin() as connection:
        assert queue.renew(connection, db.now, owner=OWNER) == 1
    db.clock.advance(11)
    assert db.rescue() == 1
    assert db.all("SELECT lease_owner FROM jobs WHERE state = 'running'") == [(OWNER,)]


def test_a_dead_job_comes_back_with_all_its_attempts(db: Database) -> None:
    dead = db.claim_one()
    db.end(dead, Dead("why", Harvest()))
    with db.engine.begin() as connection:
        assert queue.revive(connection, dead.id, db.now) == "ready"
        assert queue.revive(connection, dead.id, db.now) != "ready"
    row = db.job(KEY)
    assert (row["state"], row["attempt"], row["finished_at"], row["last_error"]) == ("ready", 0, None, None)


def test_a_dead_job_whose_key_is_live_again_is_not_revived_and_breaks_nothing(db: Database) -> None:
    dead = db.claim_one()
    db.end(dead, Dead("why", Harvest()))
    db.add(job("nginx"))
    with db.engine.begin() as connection:
        assert queue.revive(connection, dead.id, db.now) != "ready"
    assert [row[0] for row in db.all("SELECT state FROM jobs ORDER BY id")] == ["dead", "ready"]


def test_only_a_dead_job_can_be_dropped(db: Database) -> None:
    run = db.begin_run("a", job("nginx"))
    claimed = db.claim_one()
    with db.engine.begin() as connection:
        assert not queue.drop(connection, claimed.id)
    db.end(claimed, Dead("why", Harvest()))
    with db.engine.begin() as connection:
        assert queue.drop(connection, claimed.id)
        assert not queue.drop(connection, claimed.id)
    assert db.value("SELECT count(*) FROM jobs") == 0
    assert db.value("SELECT count(*) FROM run_jobs WHERE run_id = ?", run.id) == 0


def test_something_is_due_when_a_claim_could_find_it(db: Database) -> None:
    def is_due(at: float) -> bool:
        with db.engine.begin() as connection:
            return queue.is_due(connection, "hub", Moment.of(at))

    assert is_due(NOW)
    claimed = db.claim_one()
    assert not is_due(NOW)
    assert is_due(NOW + queue.LEASE_S + 1), "a lease that ran out"
    db.end(claimed, Snooze(100, "later"))
    assert (is_due(NOW + 99), is_due(NOW + 100)) == (False, True)


def test_follow_ups_inherit_all_runs_of_their_parent(db: Database) -> None:
    first, second = db.begin_run("a", job("nginx")), db.begin_run("b", job("nginx"))
    other = db.begin_run("c", job("redis"))
    follow = tags_page(Args(subject="library/nginx"))
    [parent, _] = db.claim()
    db.end(parent, Done(Harvest(follow_ups=(follow,))))
    asked_by = db.all("SELECT run_id FROM run_jobs WHERE job_id = ?", db.job(follow.key)["id"])
    assert sorted(asked_by) == [(first.id,), (second.id,)]
    assert len(db.claim(run_id=other.id)) == 0


def test_follow_ups_inherit_the_freshness_of_their_parent(db: Database) -> None:
    began = db.value("SELECT fresh_after FROM jobs")
    parent = db.claim_one()
    db.clock.advance(300)
    follow = tags_page(Args(subject="library/nginx"))
    db.end(parent, Done(Harvest(follow_ups=(follow,))))
    assert db.job(follow.key)["fresh_after"] == began


def test_a_run_is_finished_only_when_all_its_jobs_are_settled(db: Database) -> None:
    run = db.begin_run("a", job("httpd"), job("redis"))
    [first, second] = db.claim(run_id=run.id)
    assert not db.finish_run(run.id)
    db.end(first, Done(Harvest(follow_ups=(tags_page(Args(subject="library/httpd")),))))
    db.end(second, Dead("why", Harvest()))
    assert not db.finish_run(run.id), "what followed is not settled"
    [last] = db.claim(run_id=run.id)
    db.end(last, Snooze(5, "later"))
    assert not db.finish_run(run.id), "what waits is not settled"
    db.clock.advance(5)
    db.promote()
    [last] = db.claim(run_id=run.id)
    db.end(last, DONE)
    assert db.finish_run(run.id)
    assert db.value("SELECT finished_at FROM runs WHERE id = ?", run.id) == db.now.text


def test_an_unfinished_run_goes_on_and_a_finished_one_begins_a_new_pass(db: Database) -> None:
    run = db.begin_run("same", job("redis"))
    db.clock.advance(600)
    resumed = db.begin_run("same", job("redis"))
    assert (resumed.id, resumed.is_resumed, resumed.pass_began_at) == (run.id, True, run.pass_began_at)
    [claimed] = db.claim(run_id=run.id)
    db.end(claimed, DONE)
    assert db.finish_run(run.id)
    again = db.begin_run("same", job("redis"))
    assert not again.is_resumed
    assert again.pass_began_at > db.value("SELECT finished_at FROM runs WHERE id = ?", run.id)


def test_runs_that_begin_together_are_one_pass(db: Database) -> None:
    first = db.begin_run("a", job("redis"))
    db.clock.advance(59)
    assert db.begin_run("b", job("httpd")).pass_began_at == first.pass_began_at
    db.clock.advance(61)
    assert db.begin_run("c", job("mongo")).pass_began_at == db.now.text
