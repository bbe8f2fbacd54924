"""SQL compiled once and run with plain tuples. Rank 3.

SQLAlchemy turns the named parameters into the driver's own style, holds the connection and the transaction, and gives errors their
common form; what is skipped is its work per call, which costs more than SQLite itself when a batch has a few rows. Bind processors
are skipped too: columns on this path are text and numbers. The SQL is the common part of SQLite (3.35 and later) and PostgreSQL:
both know ON CONFLICT and RETURNING. Of rows that are sorted by what may be null, NULLS FIRST or LAST says where that stands: there
they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

Row = tuple[Any, ...]
Arrange = Callable[[Row], Any]

# SQLite before 3.32 takes 999 parameters; a page of a list has 100 rows.
MOST_PARAMETERS = 900


class Statement:
    """One statement; its parameters are given as tuples in the order of `parameters`, names parted by spaces."""

    def __init__(self, parameters: str, sql: str) -> None:
        self._parameters = tuple(parameters.split())
        self._sql = sql
        self._compiled: dict[str, tuple[str, Arrange | None]] = {}

    def many(self, connection: Connection, rows: Iterable[Row]) -> int:
        """Run once per row; the number of rows touched. No row, no statement."""
        sql, arrange = self._for(connection)
        batch = list(rows) if arrange is None else [arrange(row) for row in rows]
        if not batch:
            return 0
        with _Errors(connection, sql):
            cursor = connection.connection.cursor()
            cursor.executemany(sql, batch)
            return int(cursor.rowcount)

    def all(self, connection: Connection, row: Row = ()) -> list[Row]:
        """The rows that come back."""
        sql, arrange = self._for(connection)
        return _fetched(connection, sql, row if arrange is None else arrange(row))

    def first(self, connection: Connection, row: Row = ()) -> Row | None:
        """The first row that comes back."""
        rows = self.all(connection, row)
        return rows[0] if rows else None

    def run(self, connection: Connection, row: Row = ()) -> int:
        """The number of rows touched."""
        sql, arrange = self._for(connection)
        with _Errors(connection, sql):
            cursor = connection.connection.cursor()
            cursor.execute(sql, row if arrange is None else arrange(row))
            return int(cursor.rowcount)

    def _for(self, connection: Connection) -> tuple[str, Arrange | None]:
        name = connection.dialect.name
        found = self._compiled.get(name)
        if found is None:
            compiled = text(self._sql).compile(dialect=connection.dialect)
            assert isinstance(compiled, SQLCompiler)
            assert set(compiled.binds) == set(self._parameters), (compiled.binds, self._parameters)
            found = self._compiled[name] = (str(compiled), _arrangement(self._parameters, compiled.positiontup))
        return found


def _arrangement(parameters: tuple[str, ...], order: Sequence[str] | None) -> Arrange | None:
    """What brings a row into the form that the driver takes; null where it has that form already."""
    if order is None:
        return lambda row: dict(zip(parameters, row, strict=True))
    if tuple(order) == parameters:
        return None
    places = [parameters.index(bind) for bind in order]
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: (row[places[0]],)


def select_in(connection: Connection, sql: str, values: Sequence[Any], *, first: Row = ()) -> list[Row]:
    """Rows of `sql`, in which `{values}` stands for the list and `{}` for each value of `first`; asked in parts."""
    mark = "?" if connection.dialect.positional else "%s"
    rows: list[Row] = []
    for start in range(0, len(values), MOST_PARAMETERS):
        part = values[start : start + MOST_PARAMETERS]
        statement = sql.format(*[mark] * len(first), values=",".join([mark] * len(part)))
        rows.extend(_fetched(connection, statement, (*first, *part)))
    return rows


def _fetched(connection: Connection, sql: str, parameters: Any) -> list[Row]:
    with _Errors(connection, sql):
        cursor = connection.connection.cursor()
        cursor.execute(sql, parameters)
        return cursor.fetchall()  # type: ignore[return-value]


class _Errors:
    """The driver's errors in SQLAlchemy's form, as its own calls would raise them."""

    __slots__ = ("_connection", "_sql")

    def __init__(self, connection: Connection, sql: str) -> None:
        self._connection = connection
        self._sql = sql

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        base = self._connection.dialect.loaded_dbapi.Error
        if isinstance(error, base):
            dialect = self._connection.dialect
            raise DBAPIError.instance(self._sql, None, error, base, hide_parameters=True, dialect=dialect) from error
