"""Where lists end without a login: learned from the first refusal, so that it is not met again. Rank 3."""

from __future__ import annotations

from sqlalchemy import Connection

from harvester.clock import instant
from harvester.records import WalkStep
from harvester.store.moment import Moment
from harvester.store.statements import Statement

BELIEVED_S = 7 * 86_400
"""Policies change: a wall is put to the test again after this time."""

_LEARN = Statement(
    "kind identity offset seen since",
    """
    INSERT INTO walls (kind, identity, refused_offset, learned_at) VALUES (:kind, :identity, :offset, :seen)
    ON CONFLICT (kind, identity) DO UPDATE SET learned_at = excluded.learned_at,
        refused_offset = CASE WHEN excluded.refused_offset < walls.refused_offset OR walls.learned_at < :since
            THEN excluded.refused_offset ELSE walls.refused_offset END
    """,
)
_STANDS = Statement(
    "kind identity since",
    "SELECT refused_offset FROM walls WHERE kind = :kind AND identity = :identity AND learned_at >= :since",
)
_FORGET = Statement(
    "kind identity offset",
    "DELETE FROM walls WHERE kind = :kind AND identity = :identity AND refused_offset <= :offset",
)


def learn(connection: Connection, step: WalkStep, seen: Moment, *, is_served: bool) -> None:
    """Note what a page says of the wall: it was refused there, or served beyond where the wall was believed to stand."""
    if step.stop_reason == "wall" and step.offset > 0:
        _LEARN.run(connection, (step.kind, step.identity, step.offset, seen.text, _since(seen)))
    elif step.offset > 0 and is_served:
        _FORGET.run(connection, (step.kind, step.identity, step.offset))


def standing(connection: Connection, kind: str, identity: str, now: Moment) -> int | None:
    """The lowest offset that is known to be refused; null where none is."""
    row = _STANDS.first(connection, (kind, identity, _since(now)))
    return None if row is None else int(row[0])


def _since(now: Moment) -> str:
    return instant(now.seconds - BELIEVED_S)
