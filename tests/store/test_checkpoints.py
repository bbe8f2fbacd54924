"""The log beside the database: cut when it may be, and whoever is in the way is named."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harvester.errors import StoreUnusable
from harvester.store import checkpoints
from harvester.store.checkpoints import Checkpoints, Reader
from harvester.store.upkeep import back_up
from tests.store.clocks import ManualClock
from tests.store.database import Database
from tests.store.holding import READING, WRITING, held

SHRINK = 200_000

needs_locks = pytest.mark.skipif(not checkpoints.LOCKS.exists(), reason="this system does not tell who holds locks")


@pytest.fixture
def looks(db: Database) -> Checkpoints:
    return Checkpoints(db.engine.url, db.clock, shrink_bytes=SHRINK)


@pytest.fixture
def log(path: Path) -> Path:
    return path.with_name("harvester.db-wal")


def fill(db: Database, kilobytes: int) -> None:
    """Let the log grow by so much at the least."""
    for _ in range(kilobytes // 50):
        db.run("CREATE TABLE IF NOT EXISTS filling (blob BLOB)")
        db.run("INSERT INTO filling VALUES (randomblob(50000))")


def test_a_large_log_is_cut_and_a_small_one_left(db: Database, looks: Checkpoints, log: Path) -> None:
    fill(db, 100)
    small = looks.look()
    assert 100_000 < small.size_bytes == log.stat().st_size
    assert small.pinned_s == 0
    fill(db, 200)
    assert looks.look().size_bytes == 0 == log.stat().st_size
    fill(db, 50)
    assert db.value("SELECT count(*) FROM filling") == 7


def test_a_reader_pins_the_log_until_it_ends(db: Database, looks: Checkpoints, log: Path) -> None:
    fill(db, 50)
    with held(db.path, READING) as reader:
        fill(db, 400)
        first = looks.look()
        assert (first.pinned_s, first.size_bytes > 400_000) == (0, True)
        for _ in range(3):
            db.clock.advance(30)
            fill(db, 100)
            later = looks.look()
        assert later.pinned_s == 90
        assert later.size_bytes > 700_000
        reader.let_go()
    db.clock.advance(30)
    assert (looks.look().pinned_s, log.stat().st_size) == (0, 0)


def test_a_reader_of_all_that_is_there_is_in_the_way_of_a_cut_too(db: Database, looks: Checkpoints) -> None:
    fill(db, 400)
    with held(db.path, READING):
        assert looks.look().size_bytes > 400_000
        db.clock.advance(30)
        assert looks.look().pinned_s == 30
    assert looks.look().size_bytes == 0


@needs_locks
def test_the_reader_is_named_with_its_age(db: Database, looks: Checkpoints) -> None:
    fill(db, 50)
    with held(db.path, READING) as reader:
        fill(db, 300)
        looks.look()
        db.clock.advance(40)
        [found] = looks.look().readers
        assert (found.pid, found.age_s) == (reader.pid, 40)
        assert found.command is not None
        assert found.command.startswith("python")
        assert f"process {reader.pid} (python" in str(found)
        assert str(found).endswith("for 40 s or longer")


@needs_locks
def test_a_connection_that_reads_nothing_now_is_not_named(db: Database, looks: Checkpoints) -> None:
    with closing(sqlite3.connect(db.path)) as idle, held(db.path, READING) as reader:
        idle.execute("SELECT count(*) FROM repositories").fetchone()
        fill(db, 300)
        assert [one.pid for one in looks.look().readers] == [reader.pid]


@needs_locks
def test_our_own_read_is_named_when_it_lasts(db: Database, looks: Checkpoints) -> None:
    with db.reader.begin() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM repositories").scalar_one()
        fill(db, 300)
        assert looks.look().readers == ()
        db.clock.advance(30)
        [found] = looks.look().readers
    assert str(found).startswith("this very process (")
    assert looks.look().readers == ()


def test_where_nobody_tells_it_is_a_reader(
    db: Database, looks: Checkpoints, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkpoints, "LOCKS", tmp_path / "missing")
    with held(db.path, READING):
        fill(db, 300)
        looks.look()
        db.clock.advance(95)
        assert looks.look().readers == (Reader(None, None, 95),)
    assert str(Reader(None, None, 95)) == "a reader for 95 s or longer"


def test_another_reader_is_another_beginning(db: Database, looks: Checkpoints) -> None:
    with held(db.path, READING) as first:
        fill(db, 300)
        looks.look()
        db.clock.advance(600)
        fill(db, 100)
        assert looks.look().pinned_s == 600
        fill(db, 100)
        with held(db.path, READING):
            fill(db, 100)
            first.let_go()
            db.clock.advance(10)
            again = looks.look()
            db.clock.advance(30)
            fill(db, 100)
            last = looks.look()
    assert (again.pinned_s, last.pinned_s) == (0, 30)


def test_a_log_that_has_started_over_since_is_another_beginning(db: Database, looks: Checkpoints) -> None:
    with held(db.path, READING) as first:
        fill(db, 300)
        looks.look()
        db.clock.advance(600)
        first.let_go()
    with closing(sqlite3.connect(db.path)) as somebody:
        somebody.execute("PRAGMA wal_checkpoint(RESTART)")
    fill(db, 50)
    with held(db.path, READING):
        fill(db, 50)
        assert looks.look().pinned_s == 0
        db.clock.advance(30)
        assert looks.look().pinned_s == 30


def test_a_look_does_not_wait_for_a_writer_and_calls_nobody_a_reader(db: Database, looks: Checkpoints) -> None:
    fill(db, 300)
    with held(db.path, WRITING):
        began = time.monotonic()
        looks.look()
        assert time.monotonic() - began < 10 * checkpoints.PATIENCE_S
    assert looks.look().size_bytes == 0


def test_writers_go_on_while_looks_are_taken(db: Database) -> None:
    looks = Checkpoints(db.engine.url, db.clock, shrink_bytes=1)
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            looks.look()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        fill(db, 3000)
    finally:
        stop.set()
        looking.join()
    assert db.value("SELECT count(*) FROM filling") == 60
    assert db.value("PRAGMA integrity_check") == "ok"


def test_a_database_that_is_gone_is_noticed(db: Database, looks: Checkpoints) -> None:
    looks.look()
    db.path.rename(db.path.with_name("elsewhere.db"))
    with pytest.raises(StoreUnusable, match="moved, deleted or replaced"):
        looks.look()
    db.path.with_name("elsewhere.db").rename(db.path)
    looks.look()


@pytest.fixture
def steadily_written(db: Database) -> Iterator[Database]:
    """A database to which another connection writes without pause."""
    fill(db, 30_000)
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(db.path, isolation_level=None, timeout=30)) as connection:
            while not stop.wait(0.002):
                connection.execute("UPDATE filling SET blob = randomblob(100) WHERE rowid = 1")

    writing = threading.Thread(target=write)
    writing.start()
    yield db
    stop.set()
    writing.join()


def test_a_backup_ends_while_others_write_steadily(
    steadily_written: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[int] = []

    class Counting(sqlite3.Connection):
        def backup(self, target: sqlite3.Connection, *, pages: int = -1, **_: object) -> None:
            def count(status: int, remaining: int, total: int) -> None:
                copied.append(remaining)
                assert len(copied) < 500, "it begins anew whenever somebody writes"

            super().backup(target, pages=pages, progress=count)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, **kwargs, factory=Counting))
    monkeypatch.setattr("harvester.store.upkeep.PAGES_AT_ONCE", 100)
    target = tmp_path / "copy.db"
    assert back_up(str(steadily_written.path), str(target)) > 30_000_000
    assert copied == sorted(copied, reverse=True), "copied once from beginning to end"
    with closing(connect(target)) as copy:
        assert copy.execute("SELECT count(*) FROM filling").fetchone() == (600,)


def test_the_clock_of_a_look_is_the_one_that_only_grows(db: Database, looks: Checkpoints, clock: ManualClock) -> None:
    with held(db.path, READING):
        fill(db, 300)
        looks.look()
        clock.advance(30)
        clock.set_wall(clock.wall - 7200)
        assert looks.look().pinned_s == 30
