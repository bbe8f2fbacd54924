"""`doctor` on files in every state that it tells of; each is made for real."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from harvester.store import soundness, upkeep
from harvester.store.engine import database_url, open_reader
from harvester.store.moment import Moment
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.doctor.findings import Doctor, at, found


def test_rights_that_let_others_in(doctor: Doctor, path: Path) -> None:
    path.chmod(0o644)
    path.parent.chmod(0o755)
    assert found(doctor(), "is open to others (mode 0644)").level == "warning"
    path.chmod(0o640)
    assert found(doctor(), "is open to others (mode 0640)").level == "note"
    assert found(doctor(), "others may look into").level == "note"
    path.parent.chmod(0o777)
    assert found(doctor(), "others may replace the database").level == "warning"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_somebody_else(doctor: Doctor, path: Path) -> None:
    os.chown(path, 1, 1)
    assert found(doctor(), "and you are root").level == "warning"
    os.chown(path, 0, 0)
    beside = Path(f"{path}-wal")
    reader = open_reader(database_url(str(path)))
    with reader.connect() as connection:
        connection.exec_driver_sql("SELECT 1 FROM runs")
        beside.touch()
        os.chown(beside, 1, 1)
        assert found(doctor(), "harvester.db-wal belongs to").level == "error"
    reader.dispose()


@pytest.mark.parametrize(("kind", "is_far"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False)])
def test_a_network_file_system(path: Path, tmp_path: Path, kind: str, is_far: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/root / ext4 rw 0 0\nfar:/x {tmp_path} {kind} rw 0 0\nb {tmp_path}-other nfs rw 0 0\n")
    findings = list(soundness.of_file(path, wal_mb=1024, keep_free_mb=1, mounts=mounts))
    assert any("network file system" in one.what and one.level == "error" for one in findings) == is_far


def test_the_file_system_is_looked_up_in_the_kernels_own_table(path: Path) -> None:
    assert soundness._kind_of_disk(path, soundness.MOUNTS)


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("0004", "run `harvester db upgrade`"),
        ("0999", "newer than this program's"),
        ("x", "no harvester up to this one"),
    ],
)
def test_a_schema_of_another_program(doctor: Doctor, db: Database, revision: str, says: str) -> None:
    db.run("UPDATE alembic_version SET version_num = ?", revision)
    finding = found(doctor(), says)
    assert finding.level == "error"
    assert ("db backup" in (finding.remedy or "")) == (revision == "0004"), "of another program's no backup is made"


def test_a_file_that_is_no_database(doctor: Doctor, path: Path) -> None:
    path.write_bytes(b"not a database at all, but text of some length" * 100)
    assert found(doctor(), "is not an SQLite database").level == "error"


def test_a_damaged_file(doctor: Doctor, db: Database, path: Path) -> None:
    db.run("INSERT INTO walls SELECT 'tags', 'a' || value, 1, ? FROM json_each(?)", at(0), str(list(range(4000))))
    db.engine.dispose()
    db.reader.dispose()
    with sqlite3.connect(path) as connection:
        [[page, size]] = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'walls'"
        ).fetchall()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\0" * size)
    finding = next(one for one in doctor() if one.level == "error")
    assert "damaged" in finding.what or "malformed" in finding.what
    assert finding.area == "database"


def test_a_check_that_takes_too_long_is_given_up(db: Database, path: Path) -> None:
    db.run("INSERT INTO walls SELECT 'tags', 'a' || value, 1, ? FROM json_each(?)", at(0), str(list(range(20_000))))
    with db.reader.begin() as connection:
        [finding] = list(soundness.of_pages(connection, limit_s=-1.0))
    assert finding.level == "note"
    assert "was not through" in finding.what
    assert db.value("SELECT count(*) FROM walls") == 20_000, "the connection is as it was"


def test_a_journal_of_another_mode(doctor: Doctor, db: Database, path: Path) -> None:
    db.engine.dispose()
    db.reader.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    assert found(doctor(), "its journal is in the mode `delete`").level == "note"


@pytest.mark.parametrize(
    ("wal_mb", "rows", "level"),
    [(1, 36_000, "error"), (1, 12_000, "warning"), (100, 12_000, None), pytest.param(0, 12_000, None, id="no bound")],
)
def test_a_log_that_has_grown(
    doctor: Doctor, db: Database, path: Path, wal_mb: int, rows: int, level: str | None
) -> None:
    with db.engine.connect() as holder:
        holder.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")
        holder.exec_driver_sql(
            "INSERT INTO walls SELECT 'tags', 'a' || value, 1, ? FROM json_each(?)",
            (at(0), str(list(range(rows)))),
        )
        holder.commit()
        assert (Path(f"{path}-wal").stat().st_size > 1_000_000) == (level == "error")
        findings = [one for one in doctor(wal_mb=wal_mb) if "harvester.db-wal has" in one.what]
    assert [one.level for one in findings] == ([level] if level else [])


def test_a_disk_that_is_nearly_full(doctor: Doctor, path: Path) -> None:
    disk = os.statvfs(path.parent)
    free_mb = disk.f_bavail * disk.f_frsize // 10**6
    assert found(doctor(keep_free_mb=free_mb * 2), "`storage.keep_free_mb` wants").level == "error"
    assert found(doctor(keep_free_mb=free_mb * 2 // 3), "nothing is asked").level == "warning"


def test_a_disk_without_inodes(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing short of a file system of its own has none left.
    monkeypatch.setattr(soundness, "FEW_INODES", 2**62)
    assert found(doctor(), "more files can be made").level == "warning"


def test_backups_that_have_ceased(doctor: Doctor, path: Path) -> None:
    folder = path.parent / "backups"
    assert not [one for one in doctor() if one.area == "backups"]
    folder.mkdir()
    assert found(doctor(), "there is none in").level == "warning"
    copy = folder / "harvester-2026-11-20.db"
    copy.touch()
    assert found(doctor(), "the newest of 1").level == "ok"
    old = copy.stat().st_mtime - 3 * DAY
    os.utime(copy, (old, old))
    assert found(doctor(), "is 72 h old").level == "warning"


def test_backups_that_may_not_be_looked_at_are_not_said_to_be_none(
    doctor: Doctor, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = path.parent / "backups"
    folder.mkdir()
    real = os.access
    # Whoever runs the tests may be allowed everything.
    monkeypatch.setattr(os, "access", lambda at, mode: at != folder and real(at, mode))
    assert found(doctor(), "may not be looked into").level == "note"


def test_backups_of_a_database_of_another_name(path: Path) -> None:
    hub = path.rename(path.with_name("hub.db"))
    folder = path.parent / "backups"
    folder.mkdir()
    Path(upkeep.backup_in(str(folder), Moment.of(NOW))).touch()
    assert found(list(soundness.of_file(hub, wal_mb=100, keep_free_mb=0)), "the newest of 1").level == "ok"
