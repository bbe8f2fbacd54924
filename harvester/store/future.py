"""Rows that a clock which was far ahead has stamped with the future: found, and moved back. Rank 3."""

from __future__ import annotations

from sqlalchemy import Connection

from harvester.clock import instant
from harvester.store.moment import Moment
from harvester.store.statements import Statement

SLACK_S = 300
"""Clocks of processes on one database may be so far apart."""

_TEXTS = {
    "repositories": ("last_seen_at", "gone_at", "first_seen_at", "detailed_at", "tags_walked_at"),
    "tags": ("last_seen_at", "gone_at", "first_seen_at"),
    "listings": ("started_at", "finished_at"),
    "absences": ("last_missing_at", "first_missing_at"),
    "chapters": ("ended_at", "last_seen_at", "first_seen_at"),
    "runs": ("pass_began_at", "started_at", "finished_at"),
}
_NUMBERS = {"tag_history": ("seen_from", "seen_until", "last_seen"), "pull_history": ("observed_at",)}

_COUNTS = {
    table: Statement("late", f"SELECT count(*) FROM {table} WHERE {' OR '.join(f'{one} > :late' for one in columns)}")
    for table, columns in (_TEXTS | _NUMBERS).items()
}


def stamped(connection: Connection, now: Moment) -> dict[str, int]:
    """Rows stamped later than now, by more than clocks may be apart; by table, none where there are none."""
    late = now.seconds + SLACK_S
    found = {
        table: int(_COUNTS[table].all(connection, (late if table in _NUMBERS else instant(late),))[0][0])
        for table in _COUNTS
    }
    return {table: count for table, count in found.items() if count}
