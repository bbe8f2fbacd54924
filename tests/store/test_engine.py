"""Two processes on one file: what one of them does never takes the log away from the other."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from harvester.errors import ConfigError, SchemaMismatch, StoreUnusable
from harvester.store import migrate
from harvester.store.engine import database_url, open_reader, open_writer
from tests.store.database import Database
from tests.store.holding import opened_and_closed
from tests.store.makers import seen


def test_a_process_that_comes_and_goes_leaves_the_log_of_the_one_that_stays(db: Database) -> None:
    db.keep(seen("library/nginx"))
    # As every start of `backfill` does: a reader is opened, and the file looked at, when the writer is open already.
    open_reader(db.engine.url).dispose()
    open_writer(db.engine.url).dispose()
    assert opened_and_closed(db.path) == ["library/nginx"]
    assert db.path.with_name("harvester.db-wal").exists(), "it took itself for the last one"
    db.keep(seen("library/redis"))
    assert opened_and_closed(db.path) == ["library/nginx", "library/redis"]


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("These are notes, and there are more than a hundred bytes of them. " * 3)
    for opening in (open_writer, open_reader):
        with pytest.raises(ConfigError, match="is not an SQLite database"):
            opening(database_url(str(text)))
    with pytest.raises(ConfigError, match="Is a directory"):
        open_writer(database_url(str(tmp_path)))
    assert text.read_text().startswith("These are notes")


def test_what_is_no_plain_file_is_named_as_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("disk/harvester.db")
    for opening, name, says in (
        (open_writer, "pipe", "it is no plain file"),
        (open_reader, "pipe", "no plain file; name a file"),
        (open_reader, ".", "a folder; name a file"),
        (open_writer, "link", "it is a link to disk/harvester.db, which is not there"),
        (open_reader, "link", "there is no database at"),
    ):
        with pytest.raises(ConfigError, match=says):
            opening(database_url(str(tmp_path / name)))


def test_a_folder_that_nobody_may_look_into_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path, **_: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    # Whoever runs the tests may be allowed everything.
    monkeypatch.setattr(Path, "stat", forbidden)
    with pytest.raises(ConfigError, match=r"cannot read the database at .*harvester\.db: Permission denied$"):
        open_reader(database_url(str(tmp_path / "harvester.db")))


@pytest.mark.parametrize("url", ["sqlite:///x.db?mode=ro", "sqlite://host/x.db"])
def test_an_sqlite_url_is_a_path_and_nothing_else(url: str) -> None:
    with pytest.raises(ConfigError, match="holds its path and nothing else"):
        database_url(url)


@pytest.mark.parametrize("url", ["postgresql://anna@host:hunter2/x", "postgresql://[::1/x", "two words://x"])
def test_a_url_that_cannot_be_read_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigError, match="neither a path nor a database URL") as refused:
        database_url(url)
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("url", ["postgresql://anna:a@hunter2@host/x", "postgresql://anna:a@hunter2/b@host/x"])
def test_a_password_that_would_be_taken_for_the_host_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigError, match="it is written `%40`") as refused:
        database_url(url)
    assert "hunter2" not in refused.value.message
    assert database_url("postgresql://anna:a%40hunter2@host/x").password == "a@hunter2"


@pytest.mark.parametrize("tables", [("cookies",), ("alembic_version", "cookies")])
def test_the_file_of_another_program_keeps_its_mode(tmp_path: Path, tables: tuple[str, ...]) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        for name in tables:
            connection.execute(f"CREATE TABLE {name} (version_num TEXT)")
    before = path.read_bytes()
    engine = open_writer(database_url(str(path)))
    with pytest.raises(SchemaMismatch):
        migrate.upgrade(engine)
    engine.dispose()
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other.db"]


def test_a_database_of_ours_is_switched_whatever_mode_it_has(tmp_path: Path, template: Path) -> None:
    path = Path(shutil.copyfile(template, tmp_path / "restored.db"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    engine = open_writer(database_url(str(path)))
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    engine.dispose()


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    empty = tmp_path / "new.db"
    empty.touch()
    engine = open_writer(database_url(str(empty)))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE one (id INTEGER)")
    engine.dispose()
    assert empty.stat().st_size > 0


def _write(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA user_version = 0")


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_nothing_is_written_to_a_file_that_is_gone(path: Path, engine: Engine, suffix: str) -> None:
    _write(engine)
    file, aside = Path(f"{path}{suffix}"), Path(f"{path}.aside")
    file.rename(aside)
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="moved, deleted or replaced"):
            _write(engine)
    assert not file.exists(), "nothing puts an empty one in its place"
    aside.rename(file)
    _write(engine)


def test_no_empty_file_takes_the_place_of_one_that_is_gone(path: Path, engine: Engine) -> None:
    aside = path.rename(path.with_name("aside.db"))
    with pytest.raises(StoreUnusable, match="moved, deleted or replaced"):
        _write(engine)
    assert not path.exists()
    aside.rename(path)
    _write(engine)


def test_nothing_is_written_beside_a_file_that_took_its_place(path: Path, engine: Engine, template: Path) -> None:
    _write(engine)
    other = path.with_name("other.db")
    other.write_bytes(template.read_bytes())
    other.rename(path)
    with pytest.raises(StoreUnusable, match=r"harvester\.db was moved, deleted or replaced"):
        _write(engine)
    engine.dispose()
    with pytest.raises(StoreUnusable):
        _write(engine)
    assert path.read_bytes() == template.read_bytes()


def test_a_file_whose_log_was_being_copied_into_it_is_no_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "whole.db"
    torn = tmp_path / "torn.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 2000,)] * 100)
        shutil.copy(path, torn)
        shutil.copy(f"{path}-wal", f"{torn}-wal")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        first_page = path.read_bytes()[:4096]
    # The first page is copied first: it counts pages that the file does not have yet.
    with torn.open("r+b") as file:
        file.write(first_page)
    for engine in (open_reader(database_url(str(torn))), open_writer(database_url(str(torn)))):
        with engine.begin() as opened:
            assert opened.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 100
        engine.dispose()
