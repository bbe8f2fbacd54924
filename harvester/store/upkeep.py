"""Looking after the file: damage and backups. Rank 3."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from harvester.errors import ConfigError, StoreError
from harvester.store import reads
from harvester.store.engine import database_url
from harvester.store.moment import Moment

PAGES_AT_ONCE = 2000
"""Pages copied between two moments in which the command can be interrupted."""

_NAMED = re.compile(r"harvester-\d{8}T\d{6}Z\.db")


def damage(connection: Connection) -> list[str]:
    """What SQLite's own checks find, one line each; nothing for a sound file. A server looks after its pages itself."""
    if connection.dialect.name != "sqlite":
        return []
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)") if row[0] != "ok"]
    references = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(20)
    return found + [f"table {row[0]}, row {row[1]}: refers to a missing row of {row[2]}" for row in references]


def damage_of(database: str) -> list[str]:
    """As `damage`, also of a file that is damaged so much that it cannot be looked through. Raises what `reads.answer` raises."""
    try:
        return reads.answer(database, damage)
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        return [f"damaged so much that it cannot be looked through ({error.orig}): go back to a backup"]


def back_up(database: str, file: str) -> int:
    """Copy the database while others write to it, check the copy, put it in place; its size in bytes.

    Raises `ConfigError` when the file is there already or cannot be written, `StoreError` when the copy is not sound.
    """
    url = database_url(database)
    if url.get_backend_name() != "sqlite":
        raise ConfigError(
            "`db backup` copies SQLite files; of a PostgreSQL database `pg_dump --format=custom --file=FILE` makes one"
        )
    target = Path(file)
    if target.exists():
        raise ConfigError(f"{file} is there already; name a new file")
    part = target.with_name(target.name + ".part")
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        address = f"{Path(url.database or '').absolute().as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(address, uri=True, isolation_level=None)) as source,
            closing(sqlite3.connect(part)) as copy,
        ):
            # Of one moment: without it, the copying begins anew whenever somebody else has written, and may never end.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(copy, pages=PAGES_AT_ONCE)
            source.execute("COMMIT")
            copy.execute("PRAGMA journal_mode = DELETE")
            _let_go(copy)
            [verdict] = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"the copy is damaged: {verdict}; run `harvester db check`")
        part.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot back up to {file}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def _let_go(copy: sqlite3.Connection) -> None:
    """Nobody works on a copy: put in place within the minute, it would tell of a daemon that has the original."""
    if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'processes'").fetchone() is not None:
        with copy:
            copy.execute("DELETE FROM processes")


def backup_in(folder: str, now: Moment) -> str:
    """The file of a backup made now in that folder. Raises `ConfigError` where there is no such folder."""
    if not Path(folder).is_dir():
        raise ConfigError(f"there is no folder {folder}; make it first, for nobody but its owner")
    return str(Path(folder) / f"harvester-{now.text.replace('-', '').replace(':', '')}.db")


def drop_backups(folder: str, keep: int, made: str) -> list[str]:
    """Remove the oldest of the files in the folder that `backup_in` has named, beyond that many; their names.

    The one just `made` stays, whatever a clock that is or was wrong has named it and the others.
    """
    files = [one for one in Path(folder).iterdir() if _NAMED.fullmatch(one.name) and one.is_file()]
    named = sorted(one.name for one in files if one.name != Path(made).name)
    dropped = named[: max(0, len(named) - (keep - 1))]
    for name in dropped:
        try:
            (Path(folder) / name).unlink()
        except OSError as error:
            raise StoreError(f"cannot remove the old backup {name}: {error.strerror or error}") from error
    return dropped
