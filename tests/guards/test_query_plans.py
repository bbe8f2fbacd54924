"""Query plans: what runs per job, per page and per second finds its rows by an index, whatever the size of the database."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from harvester.store import (
    migrate,
    queue,
)
from harvester.store.engine import database_url, open_writer
from harvester.store.gauges import read_gauges
from tests.guards import seeded
from tests.guards.acts import (
    ACTS,
)
from tests.guards.plans import NOW, OF_THE_WATCHED, ROWS, plans


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "template.db"
    engine = open_writer(database_url(str(path)))
    migrate.upgrade(engine)
    engine.dispose()
    seeded.fill(str(path), ROWS)
    return path


@pytest.fixture(params=["without statistics", "with statistics"])
def connection(request: pytest.FixtureRequest, template: Path, tmp_path: Path) -> Iterator[Connection]:
    """A writing transaction on a seeded database."""
    path = Path(shutil.copyfile(template, tmp_path / "harvester.db"))
    engine = open_writer(database_url(str(path)))
    if request.param == "with statistics":
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize("act", ACTS)
def test_the_plan_names_the_index_and_reads_no_big_table_from_end_to_end(connection: Connection, act: str) -> None:
    do, wanted = ACTS[act]
    found = plans(connection, do)
    lines = [line for plan in found for line in plan.lines]
    assert any(wanted in line for line in lines), "\n".join(lines)
    assert [(line, plan.sql) for plan in found for line in plan.scanned] == []


@pytest.mark.parametrize(
    "act", ["what a run has settled", "claim of a run", "claim of a run and a route", "whether a run is over"]
)
def test_no_question_about_a_run_reads_all_of_its_jobs(connection: Connection, act: str) -> None:
    do, _ = ACTS[act]
    whole_run = re.compile(r"(run_jobs|r) USING (PRIMARY KEY|INDEX \w+) \(run_id=\?\)")
    lines = [(line, plan.sql) for plan in plans(connection, do) for line in plan.lines if whole_run.search(line)]
    assert lines == []


GAUGES = {
    "jobs that wait": "SCAN jobs USING INDEX ix_jobs_due",
    "jobs that are ready": "SCAN jobs USING INDEX ix_jobs_claim",
    "jobs that are worked on": "SCAN jobs USING INDEX ix_jobs_lease",
    "jobs that failed": "SCAN jobs USING INDEX ix_jobs_dead",
    "repositories that are overdue": "SEARCH repositories USING INDEX ix_repositories_next_check_at (next_check_at>?",
    "their intervals": "SEARCH c USING PRIMARY KEY (repository_id=?)",
    "events that wait": "SCAN deliveries USING INDEX ix_deliveries_waiting",
    "events that were given up": "SCAN deliveries USING INDEX ix_deliveries_dead",
}
"""What a reading of the gauges counts, and by what."""

TINY = ("budgets", "processes", "watches")
"""Tables of a few rows, whatever is harvested."""


@pytest.mark.parametrize("what", GAUGES)
def test_a_reading_of_the_gauges_finds_it_by_an_index(connection: Connection, what: str) -> None:
    earlier = read_gauges(connection, NOW)
    found = plans(connection, lambda c: read_gauges(c, NOW, earlier=earlier))
    lines = [line for plan in found for line in plan.lines]
    assert any(GAUGES[what] in line for line in lines), "\n".join(lines)


def test_a_reading_of_the_gauges_reads_no_table_from_end_to_end_but_the_tiny_ones(connection: Connection) -> None:
    earlier = read_gauges(connection, NOW)
    found = plans(connection, lambda c: read_gauges(c, NOW, earlier=earlier))
    scanned = {line for plan in found for line in plan.lines if line.startswith("SCAN")}
    assert len(found) > 10
    few = tuple(f"SCAN {name}" for name in (*TINY, "o"))
    assert [line for line in scanned if not line.endswith(OF_THE_WATCHED) and not line.startswith(few)] == []
    assert not any("listings" in plan.sql or "v_incomplete" in plan.sql for plan in found)


def test_renewing_leases_reads_the_running_jobs_only(connection: Connection) -> None:
    [plan] = plans(connection, lambda c: queue.renew(c, NOW, owner="somebody"))
    assert all("ix_jobs_lease" in line for line in plan.lines), plan.lines


# What people ask by name.
QUESTIONS = {
    "SELECT * FROM v_tags WHERE full_name = 'ns1/r1'": "sqlite_autoindex_repositories_1 (full_name=?)",
    "SELECT * FROM v_tags WHERE full_name = 'ns1/r1' AND tag = 't10'": "uq_tags_repository_id_name (repository_id=? AND name=?)",
    "SELECT * FROM v_repositories WHERE full_name = 'ns1/r1'": "sqlite_autoindex_repositories_1 (full_name=?)",
    "SELECT * FROM v_tag_images WHERE full_name = 'ns1/r1' AND tag = 't10'": "uq_tags_repository_id_name",
    "SELECT * FROM v_tag_timeline WHERE full_name = 'ns1/r1' AND tag = 't10'": "uq_tags_repository_id_name",
    "SELECT * FROM v_pull_history WHERE full_name = 'ns1/r1'": "USING PRIMARY KEY (repository_id=?)",
    "SELECT * FROM v_pull_daily WHERE full_name = 'ns1/r1'": "SEARCH p USING PRIMARY KEY (repository_id=?)",
    "SELECT * FROM v_pull_daily WHERE full_name = 'ns1/r1' AND flag = 'jump' AND day > '2026-01-01'": "SEARCH p USING PRIMARY KEY",
}

WHEREIS = "SELECT * FROM v_digest_whereis WHERE digest = 'sha256:i9'"
ARMS = [
    "h USING INDEX ix_tag_history_digest (digest=?)",
    *["i USING INDEX sqlite_autoindex_images_1 (digest=?)"] * 2,
    *["i USING INDEX ix_images_config_digest (config_digest=?)"] * 2,
    *["l USING INDEX sqlite_autoindex_layers_1 (digest=?)"] * 2,
]
"""How each arm of the view begins: at the digest that was asked for."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_view_asked_by_name_reads_no_big_table_from_end_to_end(connection: Connection, question: str) -> None:
    [plan] = plans(connection, lambda c: c.exec_driver_sql(question))
    assert any(QUESTIONS[question] in line for line in plan.lines), plan.lines
    # What a subquery yields row by row is scanned as well: how much that is, its own lines say.
    inner = {line.replace("CO-ROUTINE", "SCAN") for line in plan.lines if line.startswith("CO-ROUTINE")}
    assert [line for line in plan.lines if line.startswith("SCAN") and line not in inner | {"SCAN i"}] == []


def test_every_arm_of_whereis_begins_at_the_digest_and_reads_no_big_table_from_end_to_end(
    connection: Connection,
) -> None:
    [plan] = plans(connection, lambda c: c.exec_driver_sql(WHEREIS))
    arms = "\n".join(plan.lines).split("\nUNION ALL\n")
    first = [next(line for line in arm.splitlines() if line.startswith(("SEARCH", "SCAN"))) for arm in arms]
    assert first == [f"SEARCH {arm}" for arm in ARMS]
    of_intervals = [arm for arm in arms if "SEARCH n USING" in arm]
    assert len(of_intervals) == 4
    assert all("SEARCH h USING INDEX ix_tag_history_digest (digest=?)" in arm for arm in of_intervals)
    scanned = [line for line in plan.lines if line.startswith("SCAN")]
    assert set(scanned) == {"SCAN CONSTANT ROW", "SCAN v_digest_whereis"}, "the view's own rows, and no table"


def test_a_scan_is_seen_under_its_alias_too(connection: Connection) -> None:
    sql = "SELECT 1 FROM jobs j JOIN tags t ON t.id = j.id WHERE j.last_error = 'x' OR t.status = 'x'"
    [plan] = plans(connection, lambda c: c.exec_driver_sql(sql))
    assert len(plan.scanned) == 1
    [plan] = plans(connection, lambda c: c.exec_driver_sql("SELECT count(*) FROM layers WHERE size = 5"))
    assert plan.scanned == ["SCAN layers"]
    [plan] = plans(connection, lambda c: c.exec_driver_sql("SELECT 1 FROM listings WHERE kind = 'tags' AND rows = 7"))
    assert len(plan.scanned) == 1, "half of them, or all"


@pytest.mark.parametrize(
    ("index", "act"),
    [
        ("ix_jobs_claim", "claim"),
        ("ix_jobs_due", "due waiting jobs"),
        ("ix_jobs_lease", "expired leases"),
        ("ix_tag_history_digest", "tag by digest"),
        ("uq_tags_repository_id_name", "a known tag"),
    ],
)
def test_without_its_index_the_plan_is_another(connection: Connection, index: str, act: str) -> None:
    connection.exec_driver_sql(f"DROP INDEX {index}")
    do, wanted = ACTS[act]
    assert not any(wanted in line for plan in plans(connection, do) for line in plan.lines)
