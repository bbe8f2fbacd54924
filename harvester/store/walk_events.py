"""What the end of a walk tells: repositories that its list had not shown before, and that it was cut short. Rank 3.

Silent on the first walk of a list. Runs inside the writer's transaction.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from harvester.events import NewEvent
from harvester.records import WalkStep
from harvester.store.change_log import append_events, is_told
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement, select_in

CUT_SHORT = ("wall", "error", "denied", "throttled")
"""Reasons for which a walk ends before its list does."""

_WALKED_WHOLE = Statement(
    "kind subject yes",
    """
    SELECT started_at FROM listings WHERE kind = :kind AND subject = :subject AND is_complete = :yes
    ORDER BY id DESC LIMIT 1
    """,
)
_LISTING = Statement(
    "id", "SELECT stop_reason, started_at, reported_count, rows, repository_id FROM listings WHERE id = :id"
)
# A walk that ended at what is known and was not complete says nothing new of what ended the one before it.
_BEFORE = Statement(
    "kind subject listing_id yes",
    """
    SELECT stop_reason, is_complete, reported_count, rows FROM listings WHERE kind = :kind AND subject = :subject
        AND id < :listing_id AND finished_at IS NOT NULL AND stop_reason <> 'policy'
        AND (stop_reason <> 'known' OR is_complete = :yes) AND walk_key NOT LIKE '%\\:filter %'
    ORDER BY id DESC LIMIT 1
    """,
)


def tell_new(connection: Connection, step: WalkStep, new: Collection[str], seen: Moment) -> None:
    """Append an event for each repository, never seen before, on a list that an earlier walk had seen whole."""
    if not new:
        return
    whole = _WALKED_WHOLE.first(connection, (step.kind, step.subject, True))
    if whole is None:
        return
    rows = select_in(
        connection,
        "SELECT id, full_name, date_registered, pull_count FROM repositories WHERE full_name IN ({values})",
        sorted(new),
    )
    events = []
    for known, _, date_registered, pull_count in sorted(rows):
        registered = None if date_registered is None else text_of(date_registered)
        detail = {
            "list": step.kind,
            "subject": step.subject,
            "not_there_at": text_of(whole[0]),
            "date_registered": registered,
            "pull_count": pull_count,
        }
        events.append(NewEvent(kind="repository.new", repository_id=known, happened_at=registered, detail=detail))
    append_events(connection, events, seen)


def tell_cut_short(connection: Connection, step: WalkStep, listing_id: int, seen: Moment) -> None:
    """Append an event where a walk that has ended was cut short, and the walk before it was not, or for another reason."""
    row = _LISTING.first(connection, (listing_id,))
    if row is None or row[0] not in CUT_SHORT:
        return
    reason, started_at, reported_count, found, repository_id = row
    before = _BEFORE.first(connection, (step.kind, step.subject, listing_id, True))
    if before is None or before[0] == reason:
        return
    start = {"listing": listing_id, "stop_reason": reason}
    # A page that died and was tried again may end the same walk twice.
    if is_told(connection, "listing.cut_short", start, since=text_of(started_at)):
        return
    detail = {
        **start,
        "kind": step.kind,
        "subject": step.subject,
        "rows": found,
        "reported_count": reported_count,
        "stop_reason_before": before[0],
        "is_complete_before": bool(before[1]),
        "rows_before": before[3],
        "reported_count_before": before[2],
    }
    append_events(connection, [NewEvent(kind="listing.cut_short", repository_id=repository_id, detail=detail)], seen)
