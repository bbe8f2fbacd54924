"""Another process that holds something of a database until it is told to let go: a read transaction, or the right to write."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute(sys.argv[2])
if sys.argv[2] == "BEGIN":
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
connection.close()
"""

READING, WRITING = "BEGIN", "BEGIN IMMEDIATE"


class Holder:
    """The process; `let_go` returns when it has ended."""

    def __init__(self, database: Path, what: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(database), what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"

    @property
    def pid(self) -> int:
        return self._process.pid

    def let_go(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


@contextmanager
def held(database: Path, what: str) -> Iterator[Holder]:
    """Holding for as long as the block lasts, or until it lets go."""
    holder = Holder(database, what)
    try:
        yield holder
    finally:
        if holder._process.poll() is None:
            holder.let_go()


def opened_and_closed(database: Path) -> list[str]:
    """What another process that comes and goes reads: the names of all repositories."""
    code = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*[row[0] for row in connection.execute("SELECT full_name FROM repositories ORDER BY id")])
connection.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(database)], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.split()
