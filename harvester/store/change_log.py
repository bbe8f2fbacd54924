"""The append-only log of what changed. Rank 3. Runs inside the transaction that stores the change."""

from __future__ import annotations

import json
from collections.abc import Iterable

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
