"""Connections to a PostgreSQL server that behave as those to a file do. Rank 3.

One transaction writes at a time, as with SQLite's BEGIN IMMEDIATE: what was read in it still holds when it is committed, and ids
are committed in their order. A reader sees one moment from its first question to its last. Rows come back as SQLite gives them. A
database that does not compare text byte by byte is refused: ranges of keys and digests would leave rows out without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from harvester.errors import ConfigError

if TYPE_CHECKING:
    import psycopg

DRIVER = "psycopg"
EXTRA = "harvester[postgres]"

LOCK_TIMEOUT_MS = 30_000
"""How long a statement waits for another process's transaction."""

_ONE_WRITER = 0x68617276
"""The number of the lock that whoever writes holds; of this database, not of the whole server."""

_BYTE_ORDER = ("C", "POSIX")
"""Collations of the C library that compare bytes; what it calls C.UTF-8 has not done so in all of its versions."""

_ICU, _BUILTIN = "i", "b"
"""Where a database's order comes from; all of the server's own orders compare bytes. Null before PostgreSQL 15: the C library."""
_SECRETS = ("password", "sslpassword")

_NO_FAULT_OF_ROWS = ("08", "25", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE: connections, states of transactions (a server that only reads), rollbacks, resources, objects in the wrong
state, operators, the system, and the server's own mistakes.
"""

_ORDER = """
    SELECT CAST(datcollate AS text), CAST(to_jsonb(d) ->> 'datlocprovider' AS text)
    FROM pg_database d WHERE datname = current_database()
"""


def checked(url: URL) -> URL:
    """The URL with the driver that this program needs. Raises `ConfigError` for another one, and for a misplaced password."""
    if url.drivername not in ("postgres", "postgresql", f"postgresql+{DRIVER}"):
        raise ConfigError(
            f"the driver of `{url.drivername}` is not supported; begin the database's URL with `postgresql://`"
        )
    if any(name in url.query for name in _SECRETS):
        raise ConfigError(
            "the database's URL has a password behind the `?`, where it may be shown: put it before the host, or into ~/.pgpass"
        )
    if url.password is not None and "@" in f"{url.host}{url.database}":
        # The rest of the password would be told as the host that is not found.
        raise ConfigError(
            "the database's URL has more than one `@`: in a password it is written `%40`, or put that into ~/.pgpass"
        )
    return url.set(drivername=f"postgresql+{DRIVER}")


def open_server(url: URL, *, may_write: bool) -> Engine:
    """An engine for that database. Raises `ConfigError` without a driver; so does a connection where text has another order."""
    try:
        # A connection that the server has dropped meanwhile is replaced before it is used.
        engine = create_engine(url, pool_pre_ping=True)
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"the driver for PostgreSQL databases is not installed ({reason}): install `{EXTRA}`"
        ) from error

    def prepare(connection: psycopg.Connection[Any], _record: Any) -> None:
        try:
            _prepare(connection, may_write=may_write)
        except BaseException:
            connection.close()
            raise

    # Before SQLAlchemy itself asks the server anything: its answers would not be text in every encoding.
    event.listen(engine, "connect", prepare, insert=True)
    if may_write:
        event.listen(engine, "begin", _begin_alone)
    return engine


def is_locked(error: object) -> bool:
    """Whether the driver says that another process's transaction was waited for in vain."""
    return getattr(error, "sqlstate", None) == "55P03"


def is_of_the_server(error: object) -> bool:
    """Whether the driver says that the server or the connection is at fault, and no row."""
    return str(getattr(error, "sqlstate", None) or "").startswith(_NO_FAULT_OF_ROWS)


def _begin_alone(connection: Connection) -> None:
    # A statement of its own, so that those that follow see what the writer before has committed.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_WRITER})")


def _prepare(connection: psycopg.Connection[Any], *, may_write: bool) -> None:
    from psycopg import IsolationLevel

    from harvester.store.server_values import register

    connection.autocommit = True
    _refuse_other_orders(connection)
    connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute("SET DateStyle = 'ISO'")
    connection.autocommit = False
    connection.isolation_level = IsolationLevel.READ_COMMITTED if may_write else IsolationLevel.REPEATABLE_READ
    connection.read_only = not may_write
    register(connection)


def _refuse_other_orders(connection: psycopg.Connection[Any]) -> None:
    """Raise `ConfigError` unless text is UTF-8 and compared by its bytes, as SQLite and this program do it."""
    [(collation, provider)] = connection.execute(_ORDER).fetchall()
    name, encoding = connection.info.dbname, connection.info.parameter_status("server_encoding")
    by = " LOCALE_PROVIDER libc" if provider == _ICU else ""
    remedy = (
        f"make another one: `CREATE DATABASE ... ENCODING 'UTF8'{by} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`"
    )
    if encoding != "UTF8":
        raise ConfigError(f"the database `{name}` holds text as {encoding}, not as UTF-8; {remedy}")
    if provider != _BUILTIN and (provider == _ICU or collation not in _BYTE_ORDER):
        rules = "ICU" if provider == _ICU else f"`{collation}`"
        raise ConfigError(
            f"the database `{name}` compares text by the rules of {rules}, not byte by byte: what is asked by ranges of keys"
            f" would miss rows; {remedy}"
        )
