"""Which runs are over, beside others that are large."""

from __future__ import annotations

import pytest

from harvester.jobs import Args, images
from harvester.store import runs
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
