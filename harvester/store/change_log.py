"""The append-only log of what changed. Rank 3. Runs inside the transaction that stores the change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from harvester.events import NewEvent
from harvester.store.moment import Moment
from harvester.store.statements import Statement

_APPEND = Statement(
    "happened_at seen kind repository_id tag_id detail rank",
    """
    INSERT INTO events (happened_at, observed_at, kind, repository_id, tag_id, detail, rank)
    VALUES (:happened_at, :seen, :kind, :repository_id, :tag_id, :detail, :rank)
    """,
)

_TOLD = Statement(
    "kind since until length prefix",
    """
    SELECT 1 FROM events WHERE kind = :kind AND observed_at >= :since AND observed_at <= :until
        AND substr(detail, 1, :length) = :prefix LIMIT 1
    """,
)


def append_events(connection: Connection, events: Iterable[NewEvent], seen: Moment) -> None:
    """Append the events, in their order, as observed at that moment."""
    _APPEND.many(
        connection,
        [
            (
                e.happened_at,
                seen.text,
                e.kind,
                e.repository_id,
                e.tag_id,
                json.dumps(e.detail, ensure_ascii=True),
                e.rank,
            )
            for e in events
        ],
    )


def is_told(
    connection: Connection, kind: str, start: dict[str, Any], *, since: str, until: str = "9999-12-31T23:59:59Z"
) -> bool:
    """Whether an event of this kind, whose evidence begins with these members, was appended between these instants.

    The last member has to be text, so that its end is the end of the value.
    """
    prefix = json.dumps(start, ensure_ascii=True)[:-1]
    return _TOLD.first(connection, (kind, since, until, len(prefix), prefix)) is not None
