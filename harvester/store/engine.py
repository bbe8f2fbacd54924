"""Engines: one that writes, one that only reads; those of a PostgreSQL server come from `server`. Rank 3.

SQLite: WAL, synchronous NORMAL, and two hooks that make transactions real. The driver's own transaction handling is switched off;
a writer begins with BEGIN IMMEDIATE, because a transaction that reads first and writes later fails at once when another process
wrote in between, whatever the busy timeout says.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from harvester.errors import ConfigError, StoreUnusable
from harvester.store import server

BUSY_TIMEOUT_MS = 30_000
"""How long a statement waits for another process's transaction."""

FileIdentity = tuple[int, int]
"""Device and inode."""

PAGE_CACHE_KIB = 16_384

CHECKPOINT_PAGES = 4000
"""Pages of the WAL (16 MB) after which they are copied into the file: pages written again meanwhile are copied once."""

_LOG = "log"
"""Where a connection remembers which file its log is."""

_MAY_BE_OURS = """
    SELECT COALESCE(SUM(name <> 'alembic_version'), 0) = 0 OR SUM(name IN ('alembic_version', 'repositories')) = 2
    FROM sqlite_master WHERE type = 'table'
"""
"""Whether the file holds nothing yet, or what this program has made."""

_WAL_VERSION_AT = 19
"""Byte of the file's head that is 2 when readers need the WAL and its index."""


def database_url(database: str) -> URL:
    """The URL of a path or a URL. Raises `ConfigError` for what is neither."""
    if "://" not in database:
        return URL.create("sqlite", database=str(Path(database).expanduser()))
    try:
        url = make_url(database)
    except (ArgumentError, ValueError):
        # The latter for a port that is no number. Neither is quoted: what stands in a URL may be a password.
        raise ConfigError(
            "the database is neither a path nor a database URL (`sqlite:///FILE`, `postgresql://USER@HOST:PORT/DATABASE`)"
        ) from None
    if url.get_backend_name() in ("postgres", "postgresql"):
        return server.checked(url)
    if url.get_backend_name() != "sqlite":
        raise ConfigError(
            f"a {url.get_backend_name()} database is not supported; use a path, or `postgresql://USER@HOST/DATABASE`"
        )
    if url.host or url.query:
        raise ConfigError(
            "the URL of an SQLite database holds its path and nothing else: `sqlite:///FILE`, or the path alone"
        )
    return url


def open_writer(url: URL) -> Engine:
    """An engine whose transactions may write. Creates a missing SQLite file, readable by its owner only."""
    if url.get_backend_name() != "sqlite":
        return server.open_server(url, may_write=True)
    _create_file(url)
    engine = create_engine(url)
    _hold_on_to_file(engine, Path(url.database or ""))
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def open_reader(url: URL) -> Engine:
    """An engine that cannot write. Raises `ConfigError` when there is no database."""
    if url.get_backend_name() != "sqlite":
        return server.open_server(url, may_write=False)
    path = Path(url.database or "")
    _check_kind(path)
    # In this order: a look at the file may leave an index beside it.
    _check_folder(path)
    _check_file(path)
    engine = create_engine(url)
    event.listen(engine, "connect", _read_only)
    event.listen(engine, "begin", _begin)
    return engine


def identity_of(path: Path) -> FileIdentity | None:
    """Which file is at a path; null where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def lost_file(path: Path) -> StoreUnusable:
    """What to say when the file that was opened is not the one at its path any more."""
    return StoreUnusable(
        f"{path} was moved, deleted or replaced while it was in use; nothing more is written to it. Put the file back, or stop"
        " this process and start it again"
    )


def shown(url: URL) -> str:
    """The database for people: a path, or a URL without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _create_file(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise ConfigError("the database must be a file: processes share it")
    path = Path(url.database)
    try:
        for folder in reversed([path.parent, *path.parent.parents]):
            if not folder.exists():
                folder.mkdir(mode=0o700)
        _touch(path)
    except OSError as error:
        reason = error.strerror or str(error)
        if path.is_file():
            raise ConfigError(
                f"cannot write the database at {path}: {reason}; see to its owner and mode, and whether its disk is read-only"
            ) from error
        raise ConfigError(f"cannot create the database at {path}: {reason}") from error
    _check_file(path)


def _check_kind(path: Path) -> None:
    """Raise `ConfigError` where there is no plain file, with the reason."""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"there is no database at {path}; `harvester backfill TARGET` creates one") from None
    except OSError as error:
        raise ConfigError(f"cannot read the database at {path}: {error.strerror or error}") from error
    raise ConfigError(
        f"there is no database at {path}, but {'a folder' if path.is_dir() else 'no plain file'}; name a file"
    )


def _touch(path: Path) -> None:
    """Create the file, readable by its owner only, unless it is there. Raises `OSError`, also where it may not be written."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # Not opened to see whether it may be: see `_check_file`.
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not stat.S_ISREG(_mode_behind(path)):
            raise OSError(errno.EINVAL, "it is no plain file") from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def _mode_behind(path: Path) -> int:
    """The mode of what is there, behind links. Raises `OSError`."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, f"it is a link to {os.readlink(path)}, which is not there") from None


def _check_file(path: Path) -> None:
    """Raise `ConfigError` where the file cannot be one of SQLite's, and is not empty.

    SQLite itself has to look: POSIX drops all locks that this process has on a file as soon as it closes a descriptor of that file
    that SQLite does not know of. Without them another process takes itself for the last one and removes the log under our feet.
    """
    try:
        if path.stat().st_size == 0:
            return
    except OSError as error:
        raise ConfigError(f"cannot read the database at {path}: {error.strerror or error}") from error
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise ConfigError(f"{path} is not an SQLite database") from error
        # Without its log, which this look leaves out, the file of a process that is copying the log into it, or was killed while it
        # did, looks torn and is not. What is damaged for good, the first question to the database tells.
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT:
            return
        raise ConfigError(f"cannot read the database at {path}: {error}") from error


def _check_folder(path: Path) -> None:
    """A file in WAL mode can be read only where its index is, or can be put, beside it."""
    index = Path(f"{path}-shm")
    if index.exists() or os.access(path.parent, os.W_OK):
        return
    # Nobody has it open with locks that closing could drop: there would be an index.
    try:
        with path.open("rb") as file:
            head = file.read(_WAL_VERSION_AT + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the database at {path}: {error.strerror or error}") from error
    if head[_WAL_VERSION_AT:] == b"\2":
        raise ConfigError(
            f"cannot read {path} where it is: SQLite has to write {index.name} beside it, and may not; "
            "read a copy: `harvester db backup` makes one that can be read anywhere"
        )


def _pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    # The timeout first: switching to WAL takes a lock that another process may hold.
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Where two processes switch a new file at one time, SQLite refuses one of them at once, whatever the time-out.

    The mode stays with the file: that of another program, which is refused in a moment, keeps its own.
    """
    if not connection.execute(_MAY_BE_OURS).fetchone()[0]:
        return
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _read_only(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA query_only = ON")


def _hold_on_to_file(engine: Engine, path: Path) -> None:
    """Let no transaction begin on a file that nobody else can find: SQLite itself would go on writing to it."""
    opened = identity_of(path)
    log = Path(f"{path}-wal")

    def check_connecting(*_: Any) -> None:
        # SQLite would create what is missing.
        if identity_of(path) != opened:
            raise lost_file(path)

    def check(connection: Connection) -> None:
        # The log stays as long as a connection is open.
        log_opened = connection.info.setdefault(_LOG, None)
        log_now = identity_of(log)
        if identity_of(path) != opened:
            raise lost_file(path)
        if log_opened is None:
            connection.info[_LOG] = log_now
        elif log_now != log_opened:
            raise lost_file(log)

    event.listen(engine, "do_connect", check_connecting)
    event.listen(engine, "begin", check)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
