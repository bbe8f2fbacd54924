"""The rows of `tag_history`: opened and closed as tags are seen, made anew where a sight comes late. Rank 3."""

from __future__ import annotations

import json

from sqlalchemy import Connection

from harvester.store.moment import Moment
from harvester.store.statements import Statement
from harvester.store.timeline import Interval, Sight, intervals, sights_of, with_sight

CLOSE = Statement(
    "tag_id seen last_seen",
    "UPDATE tag_history SET seen_until = :seen, last_seen = CASE WHEN digest IS NULL THEN NULL ELSE CAST(:last_seen AS bigint) END"
    " WHERE tag_id = :tag_id AND seen_until IS NULL",
)
"""End the open interval: the tag was seen to be otherwise."""

# Two changes within one second end as one: the later digest is what was seen from then on.
OPEN = Statement(
    "tag_id seen digest pushed_at last_updater source",
    """
    INSERT INTO tag_history (tag_id, seen_from, digest, pushed_at, last_updater, source)
    VALUES (:tag_id, :seen, :digest, :pushed_at, :last_updater, :source)
    ON CONFLICT (tag_id, seen_from) DO UPDATE SET
        digest = excluded.digest, seen_until = NULL, pushed_at = excluded.pushed_at, source = excluded.source,
        last_seen = NULL, last_updater = excluded.last_updater, pushes = NULL
    """,
)
"""Begin the interval that is so from now on."""

_CHAIN = Statement(
    "tag_id",
    """
    SELECT seen_from, seen_until, digest, pushed_at, source, last_seen, last_updater, pushes FROM tag_history
    WHERE tag_id = :tag_id ORDER BY seen_from
    """,
)
_MISSED = Statement(
    "tag_id", "SELECT pushes FROM tag_history WHERE tag_id = :tag_id AND seen_until IS NULL AND digest IS NULL"
)
_WENT = Statement(
    "tag_id",
    "SELECT seen_from, pushes FROM tag_history WHERE tag_id = :tag_id AND digest IS NULL ORDER BY seen_from DESC LIMIT 1",
)
_DROP = Statement("tag_id seen_from", "DELETE FROM tag_history WHERE tag_id = :tag_id AND seen_from = :seen_from")
_PUT = Statement(
    "tag_id seen_from seen_until digest pushed_at source last_seen last_updater pushes",
    """
    INSERT INTO tag_history (tag_id, seen_from, seen_until, digest, pushed_at, source, last_seen, last_updater, pushes)
    VALUES (:tag_id, :seen_from, :seen_until, :digest, :pushed_at, :source, :last_seen, :last_updater, :pushes)
    """,
)
_SET_GONE = Statement("gone_at tag_id", "UPDATE tags SET gone_at = :gone_at WHERE id = :tag_id")


def add_sight(connection: Connection, tag_id: int, sight: Sight, *, last_seen: int) -> list[Interval]:
    """Put one sight where it belongs in the tag's chain, and `tags.gone_at` with it; the chain as it then is.

    `last_seen` is when the tag was last seen before, in seconds. Newer knowledge is never rewritten: a late sight fills in what was
    before it.
    """
    stored = [Interval(*row) for row in _CHAIN.all(connection, (tag_id,))]
    sights = with_sight(sights_of(stored, last_seen), sight)
    chain = intervals(sights)
    _DROP.many(connection, [(tag_id, row.seen_from) for row in stored if row not in chain])
    _PUT.many(connection, [(tag_id, *row) for row in chain if row not in stored])
    if chain:
        end = chain[-1]
        is_gone = end.digest is None and end.seen_until is None
        _SET_GONE.run(connection, (Moment.of(end.seen_from).text if is_gone else None, tag_id))
    return chain


def last_missed(connection: Connection, tag_id: int) -> int | None:
    """When a tag that is gone was last said not to be there, in seconds; null: once, when it went."""
    row = _MISSED.first(connection, (tag_id,))
    return None if row is None or row[0] is None else int(json.loads(row[0])[-1][0])


def last_gone(connection: Connection, tag_id: int) -> int | None:
    """When the tag was said for the last time not to be there, in seconds; null: it never was."""
    row = _WENT.first(connection, (tag_id,))
    if row is None:
        return None
    return int(row[0] if row[1] is None else json.loads(row[1])[-1][0])
