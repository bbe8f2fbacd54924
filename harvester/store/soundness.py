"""The database as a file: whose it is, where it lies, how large it is, whether it is sound. Rank 3. Reads only."""

from __future__ import annotations

import os
import platform
import pwd
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from harvester.errors import SchemaMismatch
from harvester.findings import Finding
from harvester.store import migrate

QUICK_CHECK_S = 5.0
"""Seconds after which the check of a large file is given up."""

MB = 1_000_000
FEW_INODES = 1000
BACKUP_S = 36 * 3600
"""Backups are nightly: an older one says that they have ceased."""

MOUNTS = Path("/proc/self/mounts")
_FAR = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "9p", "davfs", "beegfs"}
)

_STEPS = 10_000
"""Instructions of SQLite between two looks at the time."""


def of_file(path: Path, *, wal_mb: int, keep_free_mb: int, mounts: Path = MOUNTS) -> Iterator[Finding]:
    """What there is to say of the file, those beside it and its disk. The file is there."""
    size = path.stat().st_size
    yield Finding("ok", "database", f"{path}: {_megabytes(size)}")
    yield from _rights(path)
    kind = _kind_of_disk(path, mounts)
    if kind in _FAR or kind.startswith("fuse.ssh"):
        yield Finding(
            "error",
            "database",
            f"{path} lies on a network file system ({kind}): its locks and shared memory do not work there",
            "move it to a disk of this machine and set `database`",
        )
    yield from _log(path, wal_mb)
    yield from _room(path, keep_free_mb)
    yield from _backups(path)


def of_schema(connection: Connection) -> Finding:
    """Whether the schema is this program's: an error where it is not."""
    try:
        migrate.check(connection)
    except SchemaMismatch as error:
        is_older = migrate.current(connection) in migrate.REVISIONS
        remedy = "back it up (`harvester db backup FILE`), then do that" if is_older else "do that"
        return Finding("error", "database", error.message, remedy)
    return Finding("ok", "database", f"the schema is at revision {migrate.HEAD}, as this program needs it")


def of_pages(connection: Connection, limit_s: float = QUICK_CHECK_S) -> Iterator[Finding]:
    """Whether the pages are sound, as far as that can be seen within the time, and how the file is written."""
    if connection.dialect.name != "sqlite":
        return
    mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    if mode != "wal":
        yield Finding(
            "note",
            "database",
            f"its journal is in the mode `{mode}`, as in a backup: readers and the writer wait for each other",
            "nothing: the first `harvester backfill` or `run` on it switches to WAL",
        )
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    until = time.monotonic() + limit_s
    driver.set_progress_handler(lambda: int(time.monotonic() > until), _STEPS)
    try:
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(5)")]
    except DBAPIError as error:
        if "interrupted" in str(error.orig):
            yield Finding(
                "note",
                "database",
                f"the quick check was not through after {limit_s:.0f} s, and had found nothing by then",
                "`harvester db check` looks at all of it",
            )
        else:
            yield _damaged(str(error.orig))
        return
    finally:
        driver.set_progress_handler(None, 0)
    if found == ["ok"]:
        yield Finding("ok", "database", "the quick check found no damage")
    else:
        yield _damaged("; ".join(found))


def of_programs(version: str) -> Finding:
    """What the program runs on."""
    python = platform.python_version()
    return Finding("ok", "programs", f"harvester {version}, Python {python}, SQLite {sqlite3.sqlite_version}")


def _damaged(what: str) -> Finding:
    return Finding(
        "error",
        "database",
        f"damaged: {' '.join(what.split())}",
        "stop what writes to it, keep a copy of it with its -wal, and put the newest backup in its place",
    )


def _rights(path: Path) -> Iterator[Finding]:
    there = path.stat()
    if there.st_mode & 0o077:
        # A group that may read is how others are let in on purpose (deploy/README.md).
        yield Finding(
            "warning" if there.st_mode & 0o037 else "note",
            "database",
            f"{path} is open to others (mode {there.st_mode & 0o777:04o})",
            f"chmod 600 {path}",
        )
    folder = path.absolute().parent
    mode = folder.stat().st_mode
    if mode & 0o022 and not mode & 0o1000:
        yield Finding(
            "warning",
            "database",
            f"others may replace the database: they may write to {folder} (mode {mode & 0o777:04o})",
            f"chmod 700 {folder}",
        )
    elif mode & 0o077:
        yield Finding(
            "note",
            "database",
            f"others may look into {folder} (mode {mode & 0o777:04o})",
            f"chmod 700 {folder}, if nobody else is to",
        )
    if there.st_uid != os.geteuid():
        yield Finding(
            "warning",
            "database",
            f"{path} belongs to {_user(there.st_uid)}, and you are {_user(os.geteuid())}",
            f"run harvester as {_user(there.st_uid)}: what another user creates beside it may lock its owner out",
        )
    for beside in (Path(f"{path}-wal"), Path(f"{path}-shm")):
        if beside.exists() and beside.stat().st_uid != there.st_uid:
            yield Finding(
                "error",
                "database",
                f"{beside.name} belongs to {_user(beside.stat().st_uid)}, the database to {_user(there.st_uid)}",
                f"chown {_user(there.st_uid)} {beside}",
            )


def _log(path: Path, wal_mb: int) -> Iterator[Finding]:
    log = Path(f"{path}-wal")
    size = log.stat().st_size if log.exists() else 0
    if wal_mb == 0:
        # No bound: nothing can be beyond it.
        return
    if size >= wal_mb * MB:
        yield Finding(
            "error",
            "database",
            f"{log.name} has {_megabytes(size)}, and `storage.wal_mb` allows {wal_mb}: nothing is asked meanwhile",
            "end the program that has been reading for so long, or raise `storage.wal_mb`",
        )
    elif size * 2 >= wal_mb * MB:
        yield Finding(
            "warning",
            "database",
            f"{log.name} has {_megabytes(size)}, more than half of what `storage.wal_mb` allows ({wal_mb})",
            "look for a program that has been reading for long",
        )


def _room(path: Path, keep_free_mb: int) -> Iterator[Finding]:
    disk = os.statvfs(path.absolute().parent)
    free = disk.f_bavail * disk.f_frsize
    remedy = "make room on that disk, or move the database to a larger one"
    if free < keep_free_mb * MB:
        what = f"{_megabytes(free)} are left, `storage.keep_free_mb` wants {keep_free_mb}: nothing is asked meanwhile"
        yield Finding("error", "disk", what, remedy)
    elif free < 2 * keep_free_mb * MB:
        what = f"{_megabytes(free)} are left; below {keep_free_mb} (`storage.keep_free_mb`) nothing is asked"
        yield Finding("warning", "disk", what, remedy)
    else:
        yield Finding("ok", "disk", f"{_megabytes(free)} are left")
    if disk.f_files and disk.f_favail < FEW_INODES:
        what = f"only {disk.f_favail} more files can be made on it: it has no inodes left"
        yield Finding("warning", "disk", what, "delete small files from that disk")


def _backups(path: Path) -> Iterator[Finding]:
    folder = path.absolute().parent / "backups"
    if not folder.is_dir():
        return
    if not os.access(folder, os.R_OK | os.X_OK):
        what = f"{folder} may not be looked into: whether there are any is not known"
        yield Finding("note", "backups", what, "ask as the account that makes them")
        return
    # `db backup FOLDER` names them so, whatever the database is called.
    found = [one.stat().st_mtime for one in {*folder.glob("harvester-*.db"), *folder.glob(f"{path.stem}-*.db")}]
    if not found:
        yield Finding("warning", "backups", f"there is none in {folder}", f"harvester db backup {folder}/FILE")
        return
    age = time.time() - max(found)
    late = age > BACKUP_S
    yield Finding(
        "warning" if late else "ok",
        "backups",
        f"the newest of {len(found)} in {folder} is {age / 3600:.0f} h old",
        "see why the nightly backup failed: `systemctl status harvester-backup`" if late else None,
    )


def _kind_of_disk(path: Path, mounts: Path) -> str:
    """The kind of the file system that the file is on, as the kernel calls it; empty where that cannot be told."""
    try:
        lines = [line.split(" ") for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    real = path.resolve()
    places = [(line[1].replace("\\040", " "), line[2]) for line in lines if len(line) > 2]
    found = [(len(place), number, kind) for number, (place, kind) in enumerate(places) if real.is_relative_to(place)]
    # Of several on one place, the last is the one that is seen.
    return max(found)[2] if found else ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _megabytes(size: int) -> str:
    return f"{size / MB:,.1f} MB"
