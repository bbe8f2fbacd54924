"""`harvester db backup` beside a real process that writes without pause, and what becomes of old copies."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.conftest import PATIENCE_S, Harvester

WRITER = """
import sys
from harvester.store.engine import database_url, open_writer
engine = open_writer(database_url(sys.argv[1]))
number = 0
while True:
    with engine.begin() as connection:
        for _ in range(20):
            number += 1
            connection.exec_driver_sql(
                "INSERT INTO repositories (id, namespace, name, full_name, is_official, description, first_seen_at, last_seen_at)"
                " VALUES (?, 'a', ?, ?, 0, hex(randomblob(2000)), '1970-01-01', '1970-01-01')",
                (number, f"r{number}", f"a/r{number}"))
            connection.exec_driver_sql(
                "INSERT INTO pull_history (repository_id, observed_at, pull_count, source) VALUES (?, 1, 1, 1)", (number,))
    print(number, flush=True)
"""


def test_a_copy_is_whole_and_sound_while_another_process_writes_without_pause(harvester: Harvester) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(harvester.database)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    try:
        for number in range(3):
            committed = 0
            while committed < 2000 * (number + 1):
                committed = int(writer.stdout.readline())
            copy = harvester.folder / f"copy-{number}.db"
            done = harvester.run(None, "db", "backup", str(copy))
            assert done.returncode == 0, done.stderr
            with closing(sqlite3.connect(copy)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
                [[rows]] = connection.execute("SELECT count(*) FROM repositories")
                [[observed]] = connection.execute("SELECT count(*) FROM pull_history")
                [[last]] = connection.execute("SELECT max(id) FROM repositories")
            assert rows >= committed, "all that was committed before it began"
            assert rows == observed == last, "and whole transactions only"
            assert rows % 20 == 0
            assert harvester.run(None, "db", "check", "--database", str(copy)).stdout.endswith("no damage found\n")
            assert not list(harvester.folder.glob("copy-*-*")), "a copy needs no file beside it"
    finally:
        writer.kill()
        writer.communicate(timeout=PATIENCE_S)
    assert harvester.one("PRAGMA integrity_check") == "ok"


def test_of_backups_in_a_folder_the_newest_are_kept_and_no_other_file_is_touched(harvester: Harvester) -> None:
    folder = harvester.folder / "backups"
    folder.mkdir()
    old = [f"harvester-2026010{day}T000000Z.db" for day in range(1, 9)]
    strange = [
        "harvester-20260101T000000Z.db.gz",
        "harvester.db",
        "harvester-2026.db",
        "old-harvester-20260101T000000Z.db",
    ]
    for name in (*old, *strange):
        (folder / name).write_bytes(b"x")
    (folder / "harvester-20250101T000000Z.db").mkdir()
    done = harvester.run(None, "db", "backup", str(folder), "--keep", "3")
    assert (done.returncode, done.stderr) == (0, "")
    left = {one.name for one in folder.iterdir()}
    [new] = left - {*old, *strange, "harvester-20250101T000000Z.db"}
    assert left == {new, *old[-2:], *strange, "harvester-20250101T000000Z.db"}
    with closing(sqlite3.connect(folder / new)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (folder / new).stat().st_mode & 0o777 == 0o600
    assert done.stdout.splitlines()[0].startswith(f"{folder / new}: ")
    assert len(done.stdout.splitlines()) == 1 + 6


def test_the_backup_just_made_stays_beside_those_that_a_clock_ahead_has_named(harvester: Harvester) -> None:
    assert harvester.run(None, "db", "upgrade").returncode == 0
    folder = harvester.folder / "backups"
    folder.mkdir()
    for day in (1, 2):
        (folder / f"harvester-2099010{day}T000000Z.db").write_bytes(b"x")
    done = harvester.run(None, "db", "backup", str(folder), "--keep", "2")
    new = Path(done.stdout.splitlines()[0].partition(": ")[0])
    assert sorted(folder.iterdir()) == [new, folder / "harvester-20990102T000000Z.db"]


def test_a_backup_that_fails_removes_none(harvester: Harvester) -> None:
    folder = harvester.folder / "backups"
    folder.mkdir()
    old = [folder / f"harvester-2026010{day}T000000Z.db" for day in range(1, 4)]
    for one in old:
        one.write_bytes(b"x")
    harvester.database.write_bytes(b"this is no database " * 100)
    assert harvester.run(None, "db", "backup", str(folder), "--keep", "1").returncode != 0
    assert sorted(folder.iterdir()) == old


@pytest.mark.parametrize(
    "arguments", [["nowhere", "--keep", "2"], ["harvester.db", "--keep", "2"], [".", "--keep", "0"]]
)
def test_where_there_is_no_folder_or_nothing_to_keep_it_is_wrong_usage(
    harvester: Harvester, arguments: list[str]
) -> None:
    done = harvester.run(None, "db", "backup", *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert sorted(Path(harvester.folder).glob("harvester*")) == [harvester.database]


def test_a_file_that_is_damaged_throughout_is_told_of_by_the_check_itself(harvester: Harvester) -> None:
    assert harvester.run(None, "db", "upgrade").returncode == 0
    pages = harvester.database.stat().st_size // 4096
    with harvester.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x0d" * 4096 * (pages - 1))
    done = harvester.run(None, "db", "check")
    assert (done.returncode, done.stderr) == (1, "")
    assert "damaged so much that it cannot be looked through" in done.stdout
    assert "go back to a backup" in done.stdout


def test_an_older_database_is_copied_before_its_upgrade_and_one_of_another_program_is_not(harvester: Harvester) -> None:
    harvester.change("UPDATE alembic_version SET version_num = '0004'")
    done = harvester.run(None, "db", "backup", "before.db")
    assert done.returncode == 0, done.stderr
    assert (harvester.folder / "before.db").is_file()
    for revision in ("0999", "x"):
        harvester.change(f"UPDATE alembic_version SET version_num = '{revision}'")
        refused = harvester.run(None, "db", "backup", "never.db")
        assert refused.returncode == 3
        assert not (harvester.folder / "never.db").exists()
