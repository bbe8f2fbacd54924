"""Walks of lists: how far they came, why they ended, and whether they saw everything. Rank 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from harvester.records import WalkStep
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement

# One that ended because a page failed goes on when that page is tried again.
_OPEN = Statement(
    "walk_key",
    """
    SELECT id, rows, refused FROM listings WHERE walk_key = :walk_key
        AND (finished_at IS NULL OR stop_reason IN ('error', 'denied')) ORDER BY id DESC LIMIT 1
    """,
)

# A walk that begins again while an older one of its kind stands open: the older one was abandoned.
_ABANDON = Statement(
    "walk_key seen no",
    """
    UPDATE listings SET finished_at = :seen, stop_reason = 'error', is_complete = :no, next_page = NULL
    WHERE walk_key = :walk_key AND finished_at IS NULL
    """,
)
_UNWANTED = Statement(
    "walk_key seen no",
    """
    UPDATE listings SET finished_at = :seen, stop_reason = 'policy', is_complete = :no, next_page = NULL
    WHERE walk_key = :walk_key AND finished_at IS NULL
    """,
)

_BEGIN = Statement(
    "kind subject repository_id seen walk_key subject_updated no",
    """
    INSERT INTO listings (kind, subject, repository_id, started_at, rows, is_complete, refused, walk_key, subject_updated)
    VALUES (:kind, :subject, :repository_id, :seen, 0, :no, 0, :walk_key, :subject_updated) RETURNING id
    """,
)

_STEP = Statement(
    "id rows refused reported_count next_page",
    """
    UPDATE listings SET rows = :rows, refused = :refused, finished_at = NULL, stop_reason = NULL,
        reported_count = COALESCE(:reported_count, reported_count), first_count = COALESCE(first_count, :reported_count),
        next_page = :next_page WHERE id = :id
    """,
)

_END = Statement(
    "id seen stop_reason known yes no",
    """
    UPDATE listings SET finished_at = :seen, next_page = NULL,
        stop_reason = CASE WHEN :stop_reason = 'end' AND refused > 0 THEN 'error' ELSE :stop_reason END,
        is_complete = CASE WHEN :stop_reason = 'end' AND refused = 0 AND reported_count IS NOT NULL
            AND rows >= reported_count AND (reported_count > 0 OR rows = 0) AND first_count = reported_count
            THEN CAST(:yes AS boolean)
            WHEN :stop_reason = 'known' AND refused = 0 THEN :known ELSE :no END
    WHERE id = :id
    """,
)

_COMPLETE = Statement("id", "SELECT is_complete, started_at FROM listings WHERE id = :id")

_HAD_ROWS = Statement("walk_key", "SELECT 1 FROM listings WHERE walk_key = :walk_key AND rows > 0 LIMIT 1")
_HAS_TAGS = Statement(
    "repository_id", "SELECT 1 FROM tags WHERE repository_id = :repository_id AND gone_at IS NULL LIMIT 1"
)

_MEET = Statement(
    "listing_id name", "INSERT INTO listing_names (listing_id, name) VALUES (:listing_id, :name) ON CONFLICT DO NOTHING"
)
_FORGET_NAMES = Statement("listing_id", "DELETE FROM listing_names WHERE listing_id = :listing_id")
_FORGET_OLD_NAMES = Statement(
    "walk_key",
    "DELETE FROM listing_names WHERE listing_id IN (SELECT id FROM listings WHERE walk_key = :walk_key)",
)

# What was pushed since the walk before may lie beyond the wall: only a first walk as far as that knows all that it can.
_WALKED_TO_THE_WALL = Statement(
    "repository_id started_at updated",
    """
    UPDATE repositories SET
        tags_last_updated = CASE WHEN tags_walked_at IS NULL THEN :updated ELSE tags_last_updated END,
        tags_walked_at = :started_at
    WHERE id = :repository_id
    """,
)

_WALKED = Statement(
    "repository_id started_at updated",
    """
    UPDATE repositories SET tags_walked_at = :started_at, tags_last_updated = :updated WHERE id = :repository_id
    """,
)


class Walk(NamedTuple):
    """An open walk as its row has it."""

    listing_id: int
    rows: int
    """Distinct names so far."""
    refused: int


def open_walk(connection: Connection, step: WalkStep, repository_id: int | None, seen: Moment) -> Walk:
    """The walk that this page belongs to: begun by its first page, found again by the others."""
    found = None if step.is_first else _OPEN.first(connection, (step.walk,))
    if found is not None:
        return Walk(*found)
    _ABANDON.run(connection, (step.walk, seen.text, False))
    _FORGET_OLD_NAMES.run(connection, (step.walk,))
    row = _BEGIN.first(connection, (step.kind, step.subject, repository_id, seen.text, step.walk, step.updated, False))
    assert row is not None
    return Walk(int(row[0]), 0, 0)


def record_step(
    connection: Connection,
    walk: Walk,
    step: WalkStep,
    seen: Moment,
    *,
    names: Sequence[str],
    repository_id: int | None,
    is_all_known: bool = False,
) -> str | None:
    """Note one page; where it was the last, why the walk ended and whether it saw everything.

    `is_all_known` says of a walk that ends as `known` that what it left out is stored. When a walk of all tags has met every one of
    them, its beginning; else null.
    """
    is_all_tags = step.kind == "tags" and step.is_whole and step.stop_reason in ("end", "known", "wall")
    if step.kind == "tag_names":
        new = step.reported_count or 0
    elif step.is_first and is_all_tags:
        new = len(set(names))
    else:
        new = _MEET.many(connection, [(walk.listing_id, name) for name in dict.fromkeys(names)])
    rows, refused = walk.rows + new, walk.refused + step.refused
    _STEP.run(connection, (walk.listing_id, rows, refused, step.reported_count, step.next_page))
    if step.stop_reason is None:
        return None
    is_believed = rows > 0 or step.stop_reason != "end" or not _had_rows(connection, step, repository_id)
    stop = step.stop_reason if is_believed else "error"
    _END.run(connection, (walk.listing_id, seen.text, stop, is_all_known, True, False))
    if is_all_tags and not step.is_first:
        # The tags themselves say what such a walk met.
        _FORGET_NAMES.run(connection, (walk.listing_id,))
    if step.kind == "tags" and repository_id is not None:
        complete = _COMPLETE.first(connection, (walk.listing_id,))
        if complete and (complete[0] or (step.is_whole and step.stop_reason == "known")):
            _WALKED.run(connection, (repository_id, complete[1], step.updated))
        elif complete and step.is_whole and step.stop_reason == "wall":
            _WALKED_TO_THE_WALL.run(connection, (repository_id, complete[1], step.updated))
        if complete and complete[0] and is_all_tags and stop == "end":
            return text_of(complete[1])
    return None


def _had_rows(connection: Connection, step: WalkStep, repository_id: int | None) -> bool:
    """Whether the list is known to have had rows: a service that is shut down answers 200 with none (peers and traps, 3.19)."""
    if step.kind in ("tags", "tag_names") and repository_id is not None:
        return _HAS_TAGS.first(connection, (repository_id,)) is not None
    return _HAD_ROWS.first(connection, (step.walk,)) is not None


def end_unwanted(connection: Connection, walk_key: str, seen: Moment) -> None:
    """End a walk of which nobody wants the rest."""
    _UNWANTED.run(connection, (walk_key, seen.text, False))


def end_abandoned(connection: Connection, walk_key: str, seen: Moment) -> None:
    """End a walk whose page was given up: what it did not see is said to be missing."""
    _ABANDON.run(connection, (walk_key, seen.text, False))
