"""Which runs are over, beside others that are large."""

from __future__ import annotations

import pytest

from harvester.jobs import Args, Dead, Harvest, images
from harvester.store import queue, runs
from tests.store.database import Database


@pytest.mark.parametrize("number", [1, runs.NEWEST - 1, runs.NEWEST, runs.NEWEST + 1])
def test_a_run_is_over_when_none_of_its_jobs_is_live_however_many_they_are(db: Database, number: int) -> None:
    new = [images(Args(subject="acme/a", digest=f"sha256:{place:064x}")) for place in range(number)]
    with db.engine.begin() as connection:
        run = runs.begin_run(connection, "all of it", new, db.now)
        other = runs.begin_run(connection, "one of it", new[:1], db.now)
    db.run("UPDATE jobs SET state = 'done', finished_at = ? WHERE id > 1", db.now.text)
    with db.reader.begin() as connection:
        assert not runs.unfinished(connection).over, "the oldest job is live"
    db.run("UPDATE jobs SET state = 'done', finished_at = ?", db.now.text)
    with db.reader.begin() as connection:
        assert runs.unfinished(connection).over
    with db.engine.begin() as connection:
        assert runs.finish_runs(connection, db.now, runs.unfinished(connection).ids) == [run.id, other.id]
        assert not runs.unfinished(connection).over


def test_a_look_after_another_sees_what_was_begun_and_finished_since(db: Database) -> None:
    new = [images(Args(subject="acme/a", digest=f"sha256:{place:064x}")) for place in range(3)]
    first, second = db.begin_run("first", new[0]), db.begin_run("second", new[1])
    with db.reader.begin() as connection:
        earlier = runs.unfinished(connection)
    assert (earlier.ids, earlier.over) == ((first.id, second.id), ())
    third = db.begin_run("third", new[2])
    db.run("UPDATE jobs SET state = 'done', finished_at = ? WHERE key <> ?", db.now.text, new[1].key)
    with db.engine.begin() as connection:
        seen = runs.unfinished(connection, earlier)
        assert (seen.ids, seen.over) == ((first.id, second.id, third.id), (first.id, third.id))
        assert runs.finish_runs(connection, db.now, seen.over) == [first.id, third.id]
        assert runs.unfinished(connection, seen).ids == (second.id,)


def test_what_is_not_over_any_more_is_not_finished(db: Database) -> None:
    new = images(Args(subject="acme/a", digest=f"sha256:{0:064x}"))
    run = db.begin_run("first")
    with db.engine.begin() as connection:
        assert runs.unfinished(connection).over == (run.id,)
        queue.enqueue(connection, [new], db.now, runs=[run.id], fresh_after=db.now.text)
        assert runs.finish_runs(connection, db.now, [run.id]) == []


def test_a_run_that_is_taken_up_again_is_seen_by_a_look_without_an_earlier_one(db: Database) -> None:
    run = db.begin_run("first", images(Args(subject="acme/a", digest=f"sha256:{0:064x}")))
    job = db.claim_one()
    db.end(job, Dead("no", Harvest()))
    assert db.finish_run(run.id)
    with db.engine.begin() as connection:
        earlier = runs.unfinished(connection)
        assert queue.revive(connection, job.id, db.now) == "ready"
        runs.reopen_of(connection, job.id)
        assert runs.unfinished(connection, earlier).ids == ()
        assert runs.unfinished(connection).ids == (run.id,)
