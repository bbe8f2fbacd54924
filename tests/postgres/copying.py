"""All rows of a database as plain values, and the same rows in another one."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Column, Connection, Engine, Table, select, text

from harvester.store.columns import InstantType
from harvester.store.tables import Base

Rows = dict[str, list[tuple[Any, ...]]]

AN_INSTANT = 1_500_000_000
"""Whole numbers above it are seconds since the epoch, but for counts of pulls."""


def copy(source: Engine, target: Engine) -> None:
    """Put every row of one database into the other, ids and all."""
    with source.connect() as old, target.begin() as new:
        for table in Base.metadata.sorted_tables:
            rows = [row._asdict() for row in old.execute(select(table))]
            if rows:
                new.execute(table.insert(), rows)
        for table in Base.metadata.sorted_tables:
            if "id" in table.c:
                new.execute(
                    text(
                        f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) FROM {table.name} HAVING max(id) > 0"
                    )
                )


def rows_of(connection: Connection) -> Rows:
    """The rows of all tables without their ids, sorted; in the place of an id stands the row that it means.

    Instants are told by their hour: which of two jobs is done first within a pass is nobody's promise.
    """
    tables = Base.metadata.sorted_tables
    stored = {table.name: [row._asdict() for row in connection.execute(select(table))] for table in tables}
    meant: dict[str, dict[int, tuple[Any, ...]]] = {}
    found: Rows = {}
    for table in tables:
        rows = [(row.get("id"), _told(table, row, meant)) for row in stored[table.name]]
        meant[table.name] = {number: told for number, told in rows if number is not None}
        found[table.name] = sorted((told for _, told in rows), key=repr)
    return found


def _told(table: Table, row: dict[str, Any], meant: dict[str, dict[int, tuple[Any, ...]]]) -> tuple[Any, ...]:
    return tuple((column.name, _cell(column, row[column.name], meant)) for column in table.c if column.name != "id")


def _cell(column: Column[Any], value: Any, meant: dict[str, dict[int, tuple[Any, ...]]]) -> Any:
    for key in column.foreign_keys:
        if value is not None and key.column.name == "id":
            return meant[key.column.table.name][value]
    if isinstance(column.type, InstantType) and value is not None:
        return value[:13]
    if column.name != "pull_count" and isinstance(value, int | float) and value > AN_INSTANT:
        return int(value // 3600)
    if column.name == "detail" and value is not None:
        return sorted(one for one in json.loads(value).items() if one[0] != "listing")
    return value
