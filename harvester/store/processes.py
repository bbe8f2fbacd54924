"""Who works on this database: announced at the beginning, renewed with its leases, taken back at the end. Rank 3.

Who ended without a word counts for a minute more. An upgrade asks here whether it would change the schema under anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, inspect

from harvester.clock import instant
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.statements import Statement

SEEN_S = 60
"""Longer than from one renewal to the next, and than a lease lasts."""

KEPT_S = DAY_S
"""The row of a process that ended without a word stays for so long."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process that works on the database."""

    owner: str
    command: str
    """`run` or `backfill`."""
    version: str
    started_at: str
    seen_at: str
    stretch: float = 1.0
    """By how much it makes all passes later than configured."""

    @property
    def host(self) -> str:
        """Where it runs."""
        return self.owner.rsplit(":", 2)[0]

    @property
    def pid(self) -> str:
        """Its number there."""
        return self.owner.rsplit(":", 2)[1]

    def __str__(self) -> str:
        return f"`harvester {self.command}` {self.version} (host {self.host}, pid {self.pid})"


_ANNOUNCE = Statement(
    "owner command version now",
    """
    INSERT INTO processes (owner, command, version, started_at, seen_at) VALUES (:owner, :command, :version, :now, :now)
    ON CONFLICT (owner) DO UPDATE SET command = excluded.command, version = excluded.version, seen_at = excluded.seen_at
    """,
)
_RENEW = Statement("owner now", "UPDATE processes SET seen_at = :now WHERE owner = :owner")
_STRETCH = Statement("owner stretch", "UPDATE processes SET stretch = :stretch WHERE owner = :owner")
_LEAVE = Statement("owner", "DELETE FROM processes WHERE owner = :owner")
_PRUNE = Statement("early late", "DELETE FROM processes WHERE seen_at < :early OR seen_at > :late")
_AT_WORK = Statement(
    "early late",
    """
    SELECT owner, command, version, started_at, seen_at, stretch FROM processes WHERE seen_at >= :early AND seen_at <= :late
    ORDER BY started_at, owner
    """,
)


def announce(connection: Connection, owner: str, command: str, version: str, now: Moment) -> None:
    """Say that this process works on the database from now on, and forget those that were not seen for a day."""
    _PRUNE.run(connection, (instant(now.seconds - KEPT_S), instant(now.seconds + KEPT_S)))
    _ANNOUNCE.run(connection, (owner, command, version, now.text))


def renew(connection: Connection, owner: str, now: Moment) -> bool:
    """Say that it still does; false where it is not announced, be it that it slept for so long that it was forgotten."""
    return _RENEW.run(connection, (owner, now.text)) == 1


def stretched(connection: Connection, owner: str, stretch: float) -> None:
    """Note by how much this process makes all passes later than configured."""
    _STRETCH.run(connection, (owner, stretch))


def leave(connection: Connection, owner: str) -> None:
    """Say that it does no more."""
    _LEAVE.run(connection, (owner,))


def at_work(connection: Connection, now: Moment) -> list[Process]:
    """Those seen within `SEEN_S`, the one that began first before the others; none where the schema knows no processes yet.

    What was seen later than that from now was written before the clock was set back, and says nothing.
    """
    if not inspect(connection).has_table("processes"):
        return []
    rows = _AT_WORK.all(connection, (instant(now.seconds - SEEN_S), instant(now.seconds + SEEN_S)))
    return [Process(row[0], row[1], row[2], text_of(row[3]), text_of(row[4]), float(row[5])) for row in rows]


def named(processes: Sequence[Process]) -> str:
    """They in one text for people."""
    return ", ".join(map(str, processes))
