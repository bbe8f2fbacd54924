"""Adding jobs: live keys, runs, the order in which they are claimed."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from harvester.egress import shard_of
from harvester.jobs import Args, Done, Harvest, NewJob, Retry, images, manifest, namespace_page, repository, tags_page
from tests.store.clocks import DAY
from tests.store.database import OTHER, Database
from tests.store.makers import digest, job

DONE = Done(Harvest())


def test_a_new_job_is_ready_at_once_with_no_attempt_counted(db: Database) -> None:
    db.add(job("nginx"), fresh_after="2026-11-20T15:00:00Z")
    row = db.job("repository:library/nginx::all:latest:free")
    assert (row["state"], row["lane"], row["priority"], row["attempt"]) == ("ready", "hub", 2, 0)
    assert (row["run_at"], row["created_at"], row["fresh_after"]) == (db.now.text, db.now.text, "2026-11-20T15:00:00Z")
    assert row["shard"] == shard_of("library")


def test_a_live_key_is_not_added_twice(db: Database) -> None:
    db.add(job("nginx"))
    db.add(job("nginx"), job("nginx"))
    assert db.value("SELECT count(*) FROM jobs") == 1


@pytest.mark.parametrize("order", [("images", "search.page"), ("search.page", "images")])
def test_a_live_key_keeps_the_better_priority(db: Database, order: tuple[str, str]) -> None:
    for kind in order:
        db.add(NewJob(kind, "the key", Args(subject="x")))  # type: ignore[arg-type]
    assert db.value("SELECT priority FROM jobs") == 1


def test_a_live_key_keeps_the_stricter_freshness(db: Database) -> None:
    for hour in ("15", "17", "16"):
        db.add(job("nginx"), fresh_after=f"2026-11-20T{hour}:00:00Z")
    assert db.value("SELECT fresh_after FROM jobs") == "2026-11-20T17:00:00Z"


def test_a_running_job_is_not_touched_by_a_conflict(db: Database) -> None:
    db.add(job("nginx"), fresh_after=db.now.text)
    db.claim_one()
    before = db.one("SELECT * FROM jobs")
    db.clock.advance(5)
    db.add(NewJob("search.page", "repository:library/nginx::all:latest:free", Args(subject="x")))
    assert db.one("SELECT * FROM jobs") == before


def test_a_waiting_job_is_not_hastened_by_a_conflict(db: Database) -> None:
    db.add(job("nginx"))
    db.end(db.claim_one(), Retry(100, "why"))
    before = db.value("SELECT run_at FROM jobs")
    db.add(job("nginx"))
    assert db.one("SELECT state, run_at, attempt FROM jobs") == ("waiting", before, 1)


def test_the_key_is_free_again_once_the_job_is_done(db: Database) -> None:
    db.add(job("nginx"))
    db.end(db.claim_one(), DONE)
    db.add(job("nginx"))
    assert [row[0] for row in db.all("SELECT state FROM jobs ORDER BY id")] == ["done", "ready"]


def test_a_run_joins_a_job_that_another_run_asked_for(db: Database) -> None:
    first, second = db.begin_run("a", job("nginx")), db.begin_run("b", job("nginx"))
    assert db.all("SELECT run_id, job_id FROM run_jobs ORDER BY run_id") == [(first.id, 1), (second.id, 1)]


def test_a_run_joins_even_a_running_job(db: Database) -> None:
    db.begin_run("a", job("nginx"))
    db.claim_one()
    second = db.begin_run("b", job("nginx"))
    assert db.all("SELECT job_id FROM run_jobs WHERE run_id = ?", second.id) == [(1,)]
    assert not db.finish_run(second.id)


def test_what_a_run_has_settled_is_not_asked_again_in_it(db: Database) -> None:
    run = db.begin_run("a", job("nginx"))
    db.end(db.claim_one(), DONE)
    db.add(job("nginx"), job("redis"), runs=[run.id])
    assert db.keys("ready") == ["repository:library/redis::all:latest:free"]


def test_what_a_run_has_settled_is_asked_again_in_the_next_pass(db: Database) -> None:
    run = db.begin_run("a", job("nginx"))
    db.end(db.claim_one(), DONE)
    assert db.finish_run(run.id)
    db.clock.advance(DAY)
    again = db.begin_run("a", job("nginx"))
    assert (again.is_resumed, again.id == run.id) == (False, False)
    assert len(db.claim(run_id=again.id)) == 1


def test_one_run_s_settled_job_is_still_added_for_another_run(db: Database) -> None:
    first, second = db.begin_run("a", job("nginx")), db.begin_run("b")
    db.end(db.claim_one(), DONE)
    db.add(job("nginx"), runs=[first.id, second.id])
    [ready] = db.all("SELECT id FROM jobs WHERE state = 'ready'")
    assert db.all("SELECT run_id FROM run_jobs WHERE job_id = ?", ready[0]) == [(second.id,)]


def test_layers_that_were_asked_for_once_are_not_asked_again(db: Database) -> None:
    db.run("INSERT INTO harvested_digests VALUES (?, ?)", digest(1), db.now.text)
    free = [images(Args(subject="library/nginx", tag="a", digest=digest(n))) for n in (1, 2)]
    pulled = images(Args(subject="library/nginx", tag="a", digest=digest(1), pulls=True))
    db.add(*free, pulled)
    assert db.keys("ready") == [free[1].key, pulled.key]


def test_more_jobs_than_one_statement_takes_parameters_are_all_added(db: Database) -> None:
    run = db.begin_run("a")
    db.add(*[job(f"r{number}") for number in range(2500)], runs=[run.id])
    assert db.value("SELECT count(*) FROM run_jobs WHERE run_id = ?", run.id) == 2500


def test_jobs_are_claimed_by_priority_and_then_by_time(db: Database) -> None:
    args = Args(subject="library/nginx")
    db.add(tags_page(args))
    db.add(repository(args))
    db.clock.advance(1)
    db.add(repository(Args(subject="library/redis")))
    db.add(namespace_page(Args(subject="web")))
    assert [claimed.kind for claimed in db.claim()] == ["namespace.page", "repository", "repository", "tags.page"]


def test_the_earlier_of_two_jobs_of_one_priority_is_claimed_first(db: Database) -> None:
    db.add(job("redis"), job("nginx"))
    db.run("UPDATE jobs SET run_at = ? WHERE key LIKE '%nginx%'", db.in_s(-60))
    assert [claimed.args.subject for claimed in db.claim(wanted=1)] == ["library/nginx"]


def test_a_claim_takes_no_more_than_was_wanted(db: Database) -> None:
    db.add(*[job(f"r{number}") for number in range(9)])
    assert len(db.claim(wanted=4)) == 4
    assert len(db.keys("running")) == 4


def test_a_claim_of_a_lane_leaves_the_other_lane_alone(db: Database) -> None:
    db.add(manifest(Args(subject="library/nginx", digest=digest(1), pulls=True)), job("nginx"))
    assert [claimed.kind for claimed in db.claim(lane="pulls")] == ["manifest"]
    assert [claimed.kind for claimed in db.claim(lane="hub")] == ["repository"]


def test_a_claim_of_a_run_takes_its_jobs_only(db: Database) -> None:
    first, second = db.begin_run("a", job("nginx"), job("redis")), db.begin_run("b", job("redis"), job("httpd"))
    assert [claimed.args.subject for claimed in db.claim(run_id=second.id)] == ["library/redis", "library/httpd"]
    assert [claimed.args.subject for claimed in db.claim(run_id=first.id)] == ["library/nginx"]


def test_a_claim_gives_what_was_asked_with_everything_in_it(db: Database) -> None:
    asked = job("nginx", tags="newest:5", layers="1.*", pulls=True, updated="2026-01-01T00:00:00Z", modified=None)
    db.add(asked, fresh_after="2026-11-20T15:00:00Z")
    claimed = db.claim_one()
    assert (claimed.key, claimed.args, claimed.attempt) == (asked.key, asked.args, 1)
    assert claimed.fresh_after == "2026-11-20T15:00:00Z"


def test_a_job_is_claimed_by_one_owner_only(db: Database) -> None:
    db.add(job("nginx"))
    assert len(db.claim()) == 1
    assert db.claim(owner=OTHER) == []


def test_a_ready_job_is_claimed_although_the_clock_was_set_back_since(db: Database) -> None:
    db.add(job("nginx"))
    db.clock.set_wall(db.clock.time() - 7200)
    assert len(db.claim()) == 1


@pytest.mark.parametrize(
    "change",
    [
        "state = 'asleep'",
        "state = 'running'",
        "lease_owner = 'me'",
        "state = 'done'",
        "state = 'dead'",
        "finished_at = '2026-11-20T16:00:00Z'",
    ],
)
def test_an_impossible_job_is_refused(db: Database, change: str) -> None:
    db.add(job("nginx"))
    with pytest.raises(IntegrityError, match="CHECK constraint"):
        db.run(f"UPDATE jobs SET {change}")


def test_two_live_jobs_of_one_key_are_refused(db: Database) -> None:
    db.add(job("nginx"), job("redis"))
    with pytest.raises(IntegrityError, match="UNIQUE constraint"):
        db.run("UPDATE jobs SET key = 'same'")


@pytest.mark.parametrize(
    "insert",
    [
        "INSERT INTO run_jobs VALUES (1, 1)",
        "INSERT INTO tags (repository_id, name, first_seen_at, last_seen_at) VALUES (9, 'a', 'b', 'c')",
        "INSERT INTO pull_history VALUES (9, 1, 1, 1, 1)",
        "INSERT INTO tag_images VALUES (9, 9, 0, 1, NULL, NULL, NULL)",
    ],
)
def test_a_reference_to_nothing_is_refused(db: Database, insert: str) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        db.run(insert)


def test_an_image_of_an_unknown_kind_is_refused(db: Database) -> None:
    with pytest.raises(IntegrityError, match="CHECK constraint"):
        db.run("INSERT INTO images (digest, kind) VALUES ('sha256:0', 'picture')")
