"""Migrations, run from a checkout or from an installed wheel. Rank 3.

The schema is not changed under a process that works with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, inspect, text

from harvester.clock import Clock, SystemClock
from harvester.errors import SchemaMismatch, StoreError
from harvester.store import processes
from harvester.store.moment import Moment

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every revision this program knows, oldest first; a test keeps the last one equal to the newest migration."""

HEAD = REVISIONS[-1]
"""The revision this program works with."""

_STOP = "stop that first, and try again (one that was killed counts for a minute)"


def current(connection: Connection) -> str | None:
    """The database's revision; null for one that was never migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def check(connection: Connection) -> None:
    """Raise `SchemaMismatch` unless the schema is this program's."""
    found = current(connection)
    if found == HEAD:
        return
    if found is None:
        _refuse_strangers(connection)
        raise SchemaMismatch("the database holds no harvester schema; `harvester db upgrade` makes one")
    if found in REVISIONS:
        raise SchemaMismatch(
            f"the database is at revision {found}, older than this program's {HEAD}; run `harvester db upgrade`"
        )
    if found.isdecimal() and found > HEAD:
        raise SchemaMismatch(
            f"the database is at revision {found}, newer than this program's {HEAD}; upgrade harvester, or name another database"
        )
    raise SchemaMismatch(
        f"the database is at revision {found}, which no harvester up to this one ({HEAD}) has made; name another database"
    )


def upgrade(
    engine: Engine, clock: Clock | None = None, *, version: str | None = None
) -> Literal["created", "upgraded", None]:
    """Bring the schema up to this program's; what had to be done for that.

    Two processes may try at once: the second waits for the first one's transaction and finds the work done. Raises
    `SchemaMismatch` for a database of a newer program, and for an older one that somebody works on. With `version`, raises
    `StoreError` while a process of another version works, even where there is nothing to do.
    """
    now = Moment.of((clock or SystemClock()).time())
    with engine.begin() as connection:
        found = current(connection)
        others = processes.at_work(connection, now)
        if found == HEAD:
            strange = [one for one in others if version not in (None, one.version)]
            if strange:
                raise StoreError(
                    f"{processes.named(strange)} works on the database, and this is version {version}; {_STOP}"
                )
            return None
        if found is not None and found not in REVISIONS:
            check(connection)
        if found is None:
            _refuse_strangers(connection)
        if others:
            raise SchemaMismatch(
                f"the database is at revision {found}, older than this program's {HEAD}, and is not upgraded while "
                f"{processes.named(others)} works on it; {_STOP}"
            )
        _run(connection)
    return "upgraded" if found else "created"


def _refuse_strangers(connection: Connection) -> None:
    strangers = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
    if strangers:
        raise SchemaMismatch(
            f"the database belongs to something else: it has the table `{strangers[0]}`; name another database"
        )


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # The value passes through an interpolating parser.
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _folder() -> Path:
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError("the migrations are missing from this installation; install harvester again")
