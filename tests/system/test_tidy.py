"""`harvester db tidy`: what it removes it says, and nothing twice."""

from __future__ import annotations

import json

from tests.fakehub import FakeHub
from tests.system.conftest import Harvester


def test_tidy_removes_what_is_old_and_counts_it(harvester: Harvester, small: FakeHub) -> None:
    assert harvester.run(small, "backfill", "official").returncode == 0
    jobs = harvester.one("SELECT count(*) FROM jobs")
    nothing = harvester.run(None, "db", "tidy")
    assert (nothing.returncode, nothing.stderr) == (0, "")
    assert "nothing is old enough to go" in nothing.stdout
    harvester.change("UPDATE jobs SET created_at = '2026-01-01T00:00:00Z', finished_at = '2026-01-02T03:04:05Z'")
    harvester.change("UPDATE runs SET finished_at = '2026-01-02T03:04:05Z'")
    told = json.loads(harvester.run(None, "db", "tidy", "--json").stdout)["removed"]
    assert told == {"jobs": jobs, "runs": 1, "pulls": 0, "deliveries": 0, "names": 0, "listings": 0}
    assert harvester.rows("SELECT day, state, sum(jobs) FROM work_days GROUP BY 1, 2") == [("2026-01-02", "done", jobs)]
    assert harvester.one("SELECT count(*) FROM run_jobs") == 0
    assert "nothing is old enough" in harvester.run(None, "db", "tidy").stdout


def test_tidy_removes_walks_of_long_ago_as_far_as_the_configuration_says(harvester: Harvester) -> None:
    assert harvester.run(None, "db", "upgrade").returncode == 0
    harvester.change(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)"
        " INSERT INTO listings (kind, subject, started_at, finished_at, rows, reported_count, stop_reason, is_complete, refused,"
        " walk_key) SELECT 'namespace', 'acme', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z', 3, 3, 'end', 1, 0,"
        " 'namespace.page:acme' FROM n"
    )
    configuration = harvester.folder / "harvester.toml"
    configuration.write_text('[retention]\nlistings = "forever"\n', encoding="utf-8")
    assert "nothing is old enough" in harvester.run(None, "db", "tidy").stdout
    configuration.unlink()
    assert "removed 49 walks of lists" in harvester.run(None, "db", "tidy").stdout, "the first and the newest 100 stay"
    assert harvester.one("SELECT count(*) FROM listings") == 101


def test_a_backfill_begins_by_removing_what_old_runs_left(harvester: Harvester, small: FakeHub) -> None:
    assert harvester.run(small, "backfill", "nginx").returncode == 0
    harvester.change("UPDATE jobs SET created_at = '2026-01-01T00:00:00Z', finished_at = '2026-01-02T03:04:05Z'")
    harvester.change("UPDATE runs SET finished_at = '2026-01-02T03:04:05Z'")
    assert harvester.run(small, "backfill", "nginx").returncode == 0
    assert harvester.one("SELECT count(*) FROM jobs WHERE finished_at < '2026-01-03'") == 0
    assert harvester.one("SELECT sum(jobs) FROM work_days") > 0


def test_tidy_makes_no_database(harvester: Harvester) -> None:
    harvester.database.unlink()
    done = harvester.run(None, "db", "tidy")
    assert (done.returncode, harvester.database.exists()) == (2, False)
