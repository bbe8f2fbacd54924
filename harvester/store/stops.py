"""Whether a walk has to go on: it need not where everything further on is known, and cannot beyond a wall. Rank 3.

A list that runs newest first has whatever was pushed since the last finished walk at its front. A walk may end on a page whose
last row is older than what that walk knew, by the far end's own dates, when its count agrees (wire reference, 5.4). That rows are
stored as they are proves nothing: a walk that failed half way has stored them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import Connection

from harvester.jobs import Args
from harvester.records import StopReason, Tag, WalkStep
from harvester.store import walls
from harvester.store.census import MOST_MISSING, described, live_tags, suspected, unexplained
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement

_WALKED = Statement("id", "SELECT tags_walked_at, tags_last_updated, full_name FROM repositories WHERE id = :id")

_LAST_WALK = Statement(
    "subject listing_id",
    """
    SELECT is_complete FROM listings WHERE kind = 'tags' AND subject = :subject AND id < :listing_id
        AND stop_reason <> 'policy' AND walk_key NOT LIKE '%\\:filter %' ORDER BY id DESC LIMIT 1
    """,
)

_BEFORE = Statement(
    "walk_key listing_id",
    """
    SELECT reported_count, subject_updated, stop_reason FROM listings WHERE walk_key = :walk_key AND id < :listing_id
    ORDER BY id DESC LIMIT 1
    """,
)


class Stop(NamedTuple):
    """Why a walk ends although there is a next page."""

    reason: StopReason
    is_complete: bool = False


def tags_stop(
    connection: Connection,
    args: Args,
    step: WalkStep,
    listing_id: int,
    repository_id: int | None,
    tags: Sequence[Tag],
    changed: frozenset[str],
    seen: Moment,
) -> Stop | None:
    """Why a walk of tags ends on this page; null: it goes on."""
    if step.stop_reason is not None:
        return None
    if repository_id is not None and tags and not step.refused and step.may_end_known:
        if step.is_whole:
            stop = _known(connection, args, step, listing_id, repository_id, tags, changed)
        else:
            stop = _same_choice(connection, step, listing_id, tags, changed)
        if stop is not None:
            return stop
    return wall_stop(connection, step, seen)


def wall_stop(connection: Connection, step: WalkStep, seen: Moment) -> Stop | None:
    """The wall, where the next page would begin beyond it."""
    if step.stop_reason is not None or step.next_offset is None:
        return None
    offset = walls.standing(connection, step.kind, step.identity, seen)
    return Stop("wall") if offset is not None and step.next_offset >= offset else None


def _known(
    connection: Connection,
    args: Args,
    step: WalkStep,
    listing_id: int,
    repository_id: int,
    tags: Sequence[Tag],
    changed: frozenset[str],
) -> Stop | None:
    row = _WALKED.first(connection, (repository_id,))
    if row is None or row[0] is None or not _is_known_from_here(tags, changed, row[1]):
        return None
    live, name_only = live_tags(connection, repository_id)
    if args.fill == "account" and unexplained(connection, repository_id, str(row[2])):
        # With a login the pages further on show what is known by name only.
        return None
    suspects = len(suspected(connection, repository_id, str(row[2])))
    if MOST_MISSING * suspects > live:
        # Where most of a list is missing at once, only the whole of the other one tells.
        return None
    if step.reported_count in (live, live - suspects):
        return Stop("known", is_complete=name_only == 0)
    # The registry may list a few names more than the Hub shows: then what the Hub has shown before is all that it has.
    was_complete = _LAST_WALK.first(connection, (step.subject, listing_id))
    if was_complete and was_complete[0] and step.reported_count == described(connection, repository_id, str(row[2])):
        return Stop("known", is_complete=True)
    return None


def _is_known_from_here(tags: Sequence[Tag], changed: frozenset[str], updated_then: object) -> bool:
    """Whether no push since the walk that began at the repository's `updated_then` can come after this page."""
    last = tags[-1]
    if updated_then is None or last.last_updated is None or last.last_updated >= text_of(updated_then):
        return False
    dates = [tag.last_updated for tag in tags]
    runs_down = all(before is not None and after is not None and before >= after for before, after in pairwise(dates))
    news = [tag.name in changed for tag in tags]
    return runs_down and not news[-1] and news == sorted(news, reverse=True)


def _same_choice(
    connection: Connection, step: WalkStep, listing_id: int, tags: Sequence[Tag], changed: frozenset[str]
) -> Stop | None:
    """Where the policy takes a part of the list: the same walk came to its end before, at the same count."""
    row = _BEFORE.first(connection, (step.walk, listing_id))
    if row is None or row[2] not in ("policy", "end") or row[0] is None or row[0] != step.reported_count:
        return None
    return Stop("policy") if _is_known_from_here(tags, changed, row[1]) else None
