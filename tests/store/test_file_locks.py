"""What protects the file from others: this process's lock on it must outlive every look at the file.

POSIX takes all locks of a process on a file away as soon as the process closes any descriptor of that file. SQLite knows; a plain
`open` of the database beside a connection does not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harvester.store.engine import database_url, open_reader, open_writer
from tests.store.database import Database

LOCKS = Path("/proc/locks")

LOOK = """
import sys
from harvester.store import reads
reads.answer(sys.argv[1], lambda connection: connection.exec_driver_sql("SELECT count(*) FROM jobs").fetchall())
"""


def held(path: Path) -> int:
    """Locks that this process has on the file; files of others may have the same number on another device."""
    number, process = f":{path.stat().st_ino} ", f" {os.getpid()} "
    return sum(number in line and process in line for line in LOCKS.read_text(encoding="ascii").splitlines())


@pytest.mark.skipif(not LOCKS.is_file(), reason="the kernel tells its locks on Linux")
def test_opening_the_database_again_keeps_the_lock_of_those_that_have_it_open(db: Database) -> None:
    db.run("UPDATE jobs SET attempt = 0")
    assert held(db.path) == 1
    url = database_url(str(db.path))
    for open_one in (open_reader, open_writer):
        engine = open_one(url)
        assert held(db.path) == 1
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM jobs").fetchall()
        engine.dispose()
        assert held(db.path) == 1


def test_a_process_that_looks_and_ends_leaves_the_log_to_those_that_write(db: Database) -> None:
    db.run("INSERT INTO runs (fingerprint, started_at, pass_began_at) VALUES ('a', 'x', 'x')")
    open_reader(database_url(str(db.path))).dispose()
    log = Path(f"{db.path}-wal")
    before = log.stat().st_ino
    done = subprocess.run([sys.executable, "-c", LOOK, str(db.path)], timeout=60, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert log.is_file(), "whoever takes itself for the last one removes it"
    assert log.stat().st_ino == before
    assert db.value("SELECT count(*) FROM runs") == 1
