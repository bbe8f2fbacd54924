"""Which repositories are due for a look between two passes. Rank 3.

The next look is set down before this one is tried: a process that dies over it, or an answer that never comes, costs one look and
never makes it come back at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from harvester import cadence
from harvester.clock import instant, seconds_of
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement

LOOKED_THROUGH = 2000
"""Due repositories, those longest due first, among which the most overdue are chosen."""

_DUE = Statement(
    "now most",
    """
    SELECT r.id, r.full_name, r.next_check_at, c.interval_s, w.id, w.tags, w.layers, w.next_check_at
    FROM repositories r CROSS JOIN cadences c CROSS JOIN watches w
    WHERE r.next_check_at <= :now AND c.repository_id = r.id AND w.id = c.watch_id AND w.ended_at IS NULL
        AND r.gone_at IS NULL AND c.interval_s < w.every_s
    ORDER BY r.next_check_at LIMIT :most
    """,
)
_IS_DUE = Statement("now", "SELECT 1 FROM repositories WHERE next_check_at <= :now LIMIT 1")
_SET = Statement("next repository_id", "UPDATE repositories SET next_check_at = :next WHERE id = :repository_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One repository that is to be looked at now, by the policies of the watch that covers it."""

    full_name: str
    tags: str
    layers: str
    interval_s: int
    watch_id: int
    late_s: int
    """Seconds since it was due."""


def is_due(connection: Connection, now: Moment) -> bool:
    """Whether a repository is due for a look."""
    return _IS_DUE.first(connection, (now.text,)) is not None


def due_looks(connection: Connection, now: Moment, most: int) -> list[Look]:
    """At most so many looks that are due, the most overdue by their own interval first; their next dates are set. Writes."""
    found: list[tuple[float, int, float | None, Look]] = []
    for row in _DUE.all(connection, (now.text, max(most, LOOKED_THROUGH))):
        repository, full_name, due, interval_s, watch_id, tags, layers, pass_at = row
        late = now.seconds - seconds_of(text_of(due))
        look = Look(
            full_name=full_name,
            tags=tags,
            layers=layers,
            interval_s=int(interval_s),
            watch_id=int(watch_id),
            late_s=late,
        )
        at = None if pass_at is None else float(seconds_of(text_of(pass_at)))
        found.append((late / interval_s, int(repository), at, look))
    found.sort(key=lambda one: (-one[0], one[1]))
    chosen = found[:most]
    _SET.many(
        connection,
        [
            (instant(cadence.next_look(now.seconds, look.interval_s, look.full_name, pass_at)), repository)
            for _, repository, pass_at, look in chosen
        ],
    )
    return [look for _, _, _, look in chosen]
