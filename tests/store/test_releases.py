"""Databases that released programs have made are upgraded with every row of every table kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harvester.store import migrate, reads
from harvester.store.engine import database_url, open_writer
from harvester.store.upkeep import damage
from harvester.store.views import views
from tests.store.clocks import ManualClock
from tests.store.releases import FOLDER

RELEASES = sorted(FOLDER.glob("*.sql"))

FILLED = {
    *("repositories", "tags", "images", "tag_images", "layers", "image_layers", "instructions", "harvested_digests"),
    *("pull_history", "tag_history", "absences", "listings", "events", "jobs", "runs", "run_jobs", "budgets"),
}
"""Tables that a release's database has rows in."""


def loaded(release: Path, folder: Path) -> Path:
    """The release's database, made once more."""
    path = folder / "released.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(release.read_text(encoding="utf-8"))
    return path


def columns(path: Path) -> dict[str, list[str]]:
    """Tables with their columns."""
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            for name in names
            if name != "alembic_version"
        }


def rows(path: Path, of: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of these tables, as far as these columns go."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {', '.join(names)}").fetchall()
            for table, names in of.items()
        }


def schema(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))


def test_there_is_a_database_of_each_release() -> None:
    assert {one.stem for one in RELEASES} >= {"0.1.0-0004", "0.1.0-0005"}


@pytest.mark.parametrize("release", RELEASES, ids=lambda one: one.stem)
def test_every_row_of_a_released_database_is_kept(release: Path, tmp_path: Path, path: Path) -> None:
    old = loaded(release, tmp_path)
    had = columns(old)
    before = rows(old, had)
    assert {table for table in FILLED if before[table]} == FILLED
    engine = open_writer(database_url(str(old)))
    migrate.upgrade(engine, ManualClock(), version="9.9.9")
    engine.dispose()
    after = rows(old, had)
    assert [table for table in before if before[table] != after[table]] == []
    assert schema(old) == schema(path), "and the schema is that of a new database"
    assert reads.answer(str(old), damage) == []
    with closing(sqlite3.connect(old)) as connection:
        for view in views("sqlite"):
            connection.execute(f"SELECT * FROM {view}").fetchall()
        assert connection.execute("SELECT count(*) FROM v_tag_timeline").fetchone() == (len(before["tag_history"]),)
