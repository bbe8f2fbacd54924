"""The locks of a process on its database outlast whatever the process opens besides, and whatever others close."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harvester.store.engine import database_url, open_reader, open_writer

PASSER_BY = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM repositories").fetchone()
connection.close()
"""


def test_a_passer_by_does_not_remove_the_log_of_a_process_that_writes(path: Path) -> None:
    writer = open_writer(database_url(str(path)))
    with writer.begin() as connection:
        connection.exec_driver_sql("INSERT INTO harvested_digests (digest, harvested_at) VALUES ('sha256:1', '2026')")
    log = Path(f"{path}-wal")
    number = log.stat().st_ino
    # Both look at the file before they open it.
    reader, second = open_reader(writer.url), open_writer(writer.url)
    with second.begin() as connection:
        connection.exec_driver_sql("INSERT INTO harvested_digests (digest, harvested_at) VALUES ('sha256:2', '2026')")
    subprocess.run([sys.executable, "-c", PASSER_BY, str(path)], check=True)
    assert log.exists(), "the passer-by took itself for the last one"
    assert log.stat().st_ino == number
    with writer.begin() as connection:
        connection.exec_driver_sql("INSERT INTO harvested_digests (digest, harvested_at) VALUES ('sha256:3', '2026')")
    with reader.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM harvested_digests").scalar() == 3
    for engine in (reader, second, writer):
        engine.dispose()
