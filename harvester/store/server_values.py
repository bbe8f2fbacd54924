"""What a PostgreSQL server sends, in the form that SQLite gives it. Rank 3. Imported where the driver is installed only.

Instants and dates are text, numbers without a fraction are whole: a row is the same whichever database it comes from.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader

_UTC = "+00"


class _Instant(Loader):
    """`2026-11-20 16:00:00+00`, as the server writes it in our sessions, in the form of `clock.instant`."""

    def load(self, data: Buffer) -> str:
        found = bytes(data).decode()
        if not found.endswith(_UTC):
            raise psycopg.DataError(f"the server gives instants in another form than was agreed upon: {found}")
        return f"{found[:10]}T{found[11:19]}Z"


class _Text(Loader):
    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _Number(Loader):
    """What `sum` and `avg` of whole numbers yield."""

    def load(self, data: Buffer) -> int | float:
        found = bytes(data)
        return int(found) if found.lstrip(b"-").isdigit() else float(found)


def register(connection: psycopg.Connection[Any]) -> None:
    """Let this connection give rows in that form."""
    connection.adapters.register_loader("timestamptz", _Instant)
    connection.adapters.register_loader("date", _Text)
    connection.adapters.register_loader("numeric", _Number)
