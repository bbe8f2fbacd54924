"""Migrations: from nothing to the models, down and up with data in between, two at once, and files that are not ours."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from harvester.errors import ConfigError, SchemaMismatch
from harvester.store import migrate, reads
from harvester.store.engine import database_url, open_reader, open_writer
from harvester.store.tables import Base
from harvester.store.views import views
from tests.guards import seeded

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

RACER = """
import sys
import time
from harvester.store import migrate
from harvester.store.engine import database_url, open_writer
for line in sys.stdin:
    start, path = line.rstrip("\\n").split(" ", 1)
    while time.monotonic() < float(start):
        pass
    try:
        engine = open_writer(database_url(path))
        print("upgraded" if migrate.upgrade(engine) else "found upgraded", flush=True)
        engine.dispose()
    except Exception as error:
        print(repr(error), flush=True)
"""

RACES = 50


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return made


def revisions() -> list[str]:
    """Every revision, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def step(engine: Engine, revision: str, *, down: bool = False) -> None:
    """Move the schema by Alembic's own hand."""
    with engine.begin() as connection:
        made = config()
        made.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(made, revision)


def schema(path: Path) -> dict[str, str]:
    """Name and SQL of all that the file defines, but for Alembic's own table."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    finally:
        connection.close()
    return {name: sql for name, sql in rows if name not in ("alembic_version", "sqlite_sequence")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "harvester.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_writer(database_url(str(path)))
    yield engine
    engine.dispose()


def test_there_is_one_head_and_the_program_knows_it() -> None:
    assert ScriptDirectory.from_config(config()).get_heads() == [migrate.HEAD]
    assert revisions()[-1] == migrate.HEAD
    assert revisions() == sorted(revisions()), "revisions are compared as text"


def test_an_upgraded_database_equals_the_models(engine: Engine) -> None:
    assert migrate.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        checks = {
            (table, check["name"], check["sqltext"])
            for table in Base.metadata.tables
            for check in inspect(connection).get_check_constraints(table)
        }
        migrate.check(connection)
        assert migrate.current(connection) == migrate.HEAD
    models = open_writer(database_url(str(Path(engine.url.database or "").with_name("models.db"))))
    Base.metadata.create_all(models)
    with models.connect() as connection:
        assert checks == {
            (table, check["name"], check["sqltext"])
            for table in Base.metadata.tables
            for check in inspect(connection).get_check_constraints(table)
        }
    models.dispose()
    ours, theirs = (tables_only(schema(Path(e.url.database or ""))) for e in (engine, models))
    assert ours == theirs, "what autogenerate does not look at: WITHOUT ROWID, AUTOINCREMENT, the predicates of indexes"


def tables_only(found: dict[str, str]) -> dict[str, tuple[bool, bool, str]]:
    """What of each table and index a comparison by columns does not see."""
    return {
        name: ("WITHOUT ROWID" in sql, "AUTOINCREMENT" in sql, sql.partition(" WHERE ")[2])
        for name, sql in found.items()
        if not sql.startswith("CREATE VIEW")
    }


def test_upgrading_twice_changes_nothing(engine: Engine, path: Path) -> None:
    assert migrate.upgrade(engine)
    before = schema(path)
    assert not migrate.upgrade(engine)
    assert schema(path) == before


def test_the_frozen_views_are_those_of_the_program(engine: Engine, path: Path) -> None:
    migrate.upgrade(engine)
    found = {name: sql for name, sql in schema(path).items() if sql.startswith("CREATE VIEW")}
    assert found == {name: f"CREATE VIEW {name} AS {select}" for name, select in views("sqlite").items()}
    with engine.connect() as connection:
        for name in found:
            connection.exec_driver_sql(f"SELECT * FROM {name}").fetchall()


def test_the_frozen_views_for_postgresql_are_those_of_the_program() -> None:
    frozen: dict[str, str] = {}
    for file in sorted((MIGRATIONS / "versions").glob("*.py")):
        spec = spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        frozen |= getattr(module, "POSTGRESQL", {})
    assert frozen == views("postgresql")


def test_revisions_are_frozen_they_import_nothing_of_the_program() -> None:
    files = list((MIGRATIONS / "versions").glob("*.py"))
    assert len(files) == len(revisions())
    assert [file.name for file in files if "harvester" in file.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("revision", ["base", *revisions()[:-1]])
def test_each_step_goes_down_and_up_again_with_data_in_it(engine: Engine, path: Path, revision: str) -> None:
    migrate.upgrade(engine)
    seeded.fill(str(path), 40)
    before, counts = schema(path), seeded.row_counts(str(path))
    assert set(counts) == set(Base.metadata.tables)
    assert all(counts.values()), "every table has rows"
    step(engine, revision, down=True)
    counts = {table: count for table, count in counts.items() if table in schema(path)}
    with engine.connect() as connection:
        assert migrate.current(connection) == (None if revision == "base" else revision)
        with pytest.raises(SchemaMismatch):
            migrate.check(connection)
    assert bool(schema(path)) is (revision != "base")
    step(engine, "head")
    assert schema(path) == before
    if revision != "base":
        assert counts.items() <= seeded.row_counts(str(path)).items()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall() == []
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


@pytest.mark.parametrize("revision", ["base", *revisions()[:-1]])
def test_the_program_brings_every_older_revision_up(engine: Engine, path: Path, revision: str) -> None:
    migrate.upgrade(engine)
    before = schema(path)
    step(engine, revision, down=True)
    assert migrate.upgrade(engine)
    assert schema(path) == before


def test_two_processes_that_upgrade_one_new_file_at_once_both_succeed(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ends: Counter[tuple[str, ...]] = Counter()
    for path in [tmp_path / "warm-up.db", *(tmp_path / f"{number}.db" for number in range(RACES))]:
        start = time.monotonic() + 0.005
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(f"{start} {path}\n")
            racer.stdin.flush()
        ends[tuple(sorted(racer.stdout.readline().strip() for racer in racers if racer.stdout))] += 1
    for racer in racers:
        racer.communicate(timeout=60)
    assert ends == {("found upgraded", "upgraded"): RACES + 1}


# Files that are not ours, or not of this program.


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("9999", "newer than this program's"),
        ("0000", "harvester"),
        ("0000f3a1b2c4", "harvester"),
        ("1a2b3c4d5e6f", "harvester"),
    ],
)
def test_a_revision_that_this_program_does_not_know_is_refused(
    engine: Engine, path: Path, revision: str, says: str
) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (revision,))
    before = schema(path)
    with pytest.raises(SchemaMismatch, match=revision) as refusal:
        reads.answer(str(path), lambda connection: None)
    assert says in refusal.value.message
    with pytest.raises(SchemaMismatch, match=revision):
        migrate.upgrade(engine)
    assert schema(path) == before


def test_an_older_revision_is_refused_with_the_command_that_helps(engine: Engine, path: Path) -> None:
    step(engine, revisions()[0])
    with pytest.raises(SchemaMismatch, match="run `harvester db upgrade`"):
        reads.answer(str(path), lambda connection: None)


def test_an_empty_file_is_refused_by_readers_and_filled_by_an_upgrade(engine: Engine, path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="holds no harvester schema"):
        reads.answer(str(path), lambda connection: None)
    assert migrate.upgrade(engine)
    reads.answer(str(path), lambda connection: None)


def test_a_database_of_another_program_is_refused_and_left_alone(engine: Engine, path: Path) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE recipes (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="table `recipes`"):
        migrate.upgrade(engine)
    with pytest.raises(SchemaMismatch, match="table `recipes`; name another database"):
        reads.answer(str(path), lambda connection: None)
    assert schema(path) == {"recipes": "CREATE TABLE recipes (id INTEGER)"}
    assert path.read_bytes() == before


def test_a_missing_file_is_not_created_by_a_question(path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no database"):
        reads.answer(str(path), lambda connection: None)
    assert not path.exists()


@pytest.mark.parametrize("arguments", [["db", "upgrade"], ["db", "current"], ["status"], ["backfill", "nginx"]])
def test_a_file_that_is_no_database_is_one_line_and_left_alone(path: Path, arguments: list[str]) -> None:
    text = b"Dear diary, this is not a database. " * 100
    path.write_bytes(text)
    answer = subprocess.run(
        [sys.executable, "-m", "harvester", *arguments, "--database", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=path.parent,
        env={**os.environ, "HARVESTER_HUB_URL": "http://127.0.0.1:9"},
    )
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert answer.returncode in (1, 2, 3)
    assert path.read_bytes() == text


# The file itself.


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_0600_and_new_folders_0700_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "a" / "b" / "harvester.db"
    before = os.umask(umask)
    try:
        engine = open_writer(database_url(str(path)))
        migrate.upgrade(engine)
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM tags")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        engine.dispose()
    finally:
        os.umask(before)
    assert modes["harvester.db"] == 0o600
    assert {"harvester.db-wal", "harvester.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)} == {0o700}


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    open_writer(database_url(str(folder / "harvester.db"))).dispose()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["100%.db", "%s", "%(here)s.db", "a b?c#d&e.db", "ü:é.db"])
def test_odd_characters_of_a_path_are_only_characters(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"folder of {name}" / name
    engine = open_writer(database_url(str(path)))
    migrate.upgrade(engine)
    engine.dispose()
    reader = open_reader(database_url(str(path)))
    with reader.connect() as connection:
        migrate.check(connection)
    reader.dispose()
    assert path.is_file()


def test_migrations_in_a_folder_with_a_percent_sign_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "100% %(here)s"
    for name in ("harvester", "migrations"):
        shutil.copytree(MIGRATIONS.parent / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    newest = max((folder / "migrations" / "versions").glob("*.py"))
    newest.write_text(newest.read_text(encoding="utf-8") + "\nprint('the copy ran')\n", encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, "-m", "harvester", "db", "upgrade", "--database", "x.db"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert (folder / "x.db").is_file()
    assert answer.stdout.startswith("the copy ran\n")


def test_who_pushed_what_a_tag_points_to_is_kept_by_an_upgrade(engine: Engine, path: Path) -> None:
    step(engine, "0003")
    with sqlite3.connect(path) as connection:
        connection.execute(
            """INSERT INTO repositories (id, namespace, name, full_name, is_official, first_seen_at, last_seen_at)
            VALUES (1, 'a', 'b', 'a/b', 0, '2026-11-20T16:00:00Z', '2026-11-20T16:00:00Z')"""
        )
        for tag, pushed in ((1, 1_795_190_400), (2, 1_795_190_399)):
            connection.execute(
                """INSERT INTO tags (id, repository_id, name, digest, last_pushed, last_updater, first_seen_at, last_seen_at)
                VALUES (:tag, 1, :tag, 'sha256:x', '2026-11-20T16:00:00Z', 'me', '2026-11-20T16:00:00Z', '2026-11-20T16:00:00Z')""",
                {"tag": tag},
            )
            connection.execute(
                """INSERT INTO tag_history (tag_id, seen_from, seen_until, digest, pushed_at, source)
                VALUES (:tag, 1, 2, 'sha256:w', :pushed, 'listing'), (:tag, 2, NULL, 'sha256:x', :pushed, 'listing')""",
                {"tag": tag, "pushed": pushed},
            )
    connection.close()
    step(engine, "0004")
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT tag_id, seen_from, last_updater FROM tag_history ORDER BY 1, 2").fetchall()
    connection.close()
    assert rows == [(1, 1, None), (1, 2, "me"), (2, 1, None), (2, 2, None)]


def test_a_file_that_cannot_be_read_where_it_is_says_what_to_do(
    engine: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(engine)
    engine.dispose()
    copy = path.with_name("copy.db")
    with sqlite3.connect(path) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()
    # The tests may run as root, who may write everywhere.
    monkeypatch.setattr("os.access", lambda *_: False)
    reads.answer(str(copy), lambda connection: None)
    with pytest.raises(ConfigError, match=f"has to write {path.name}-shm beside it.*read a copy"):
        reads.answer(str(path), lambda connection: None)
    Path(f"{path}-shm").touch()
    open_reader(database_url(str(path))).dispose()
