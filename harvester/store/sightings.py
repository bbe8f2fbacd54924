"""What a sighting of repositories changes: new names, returns, new chapters, other descriptions. Rank 3.

Runs before the rows are stored, in the same transaction. Of a search result nothing is concluded: it may be stale.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sqlalchemy import Connection

from harvester.events import NewEvent
from harvester.records import Repository
from harvester.store.change_log import append_events
from harvester.store.chapters import Known, told_apart
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement, select_in

TEXT_CHARS = 300
"""Of a description that stands in an event; what is longer is cut."""

_KNOWN = (
    "SELECT id, full_name, chapter, last_seen_at, gone_at, date_registered, hub_user, description, pull_count, {}"
    " FROM repositories WHERE full_name IN ({{values}})"
)

_RETURN = Statement(
    "id seen",
    "UPDATE repositories SET gone_at = NULL WHERE id = :id AND gone_at IS NOT NULL AND gone_at <= :seen",
)
_FULL = Statement("id", "SELECT full_description FROM repositories WHERE id = :id")
_TOLD_DEPRECATED = Statement(
    "id chapter",
    """
    SELECT 1 FROM events e WHERE e.kind = 'repository.deprecated' AND e.repository_id = :id AND e.observed_at >= COALESCE(
        (SELECT c.ended_at FROM chapters c WHERE c.repository_id = :id AND c.chapter = :chapter - 1), '0001-01-01T00:00:00Z')
    """,
)

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_NOTICE = re.compile(r"[\W_]*(?:deprecated|deprecation notice)(?![a-z])", re.IGNORECASE)


class Looked(NamedTuple):
    """What may be stored of a sighting."""

    repositories: list[Repository]
    """Each name once, without what is not to be believed."""
    new: frozenset[str]
    """Names that were never seen before."""


def look(connection: Connection, repositories: list[Repository], seen: Moment) -> Looked:
    """Compare what is seen with what is stored, append what changed, and say what may be stored."""
    # Twice on a page that shifted: the lower count is the earlier one.
    by_name = {one.full_name: one for one in sorted(repositories, key=lambda one: one.pull_count, reverse=True)}
    with_text = any(one.full_description is not None for one in by_name.values())
    sql = _KNOWN.format("full_description" if with_text else "NULL")
    known = {row[1]: Known(*row) for row in select_in(connection, sql, list(by_name))}
    kept, begun = told_apart(connection, list(by_name.values()), known, seen)
    events: list[NewEvent] = []
    for one in kept:
        before = known.get(one.full_name)
        if before is None or one.full_name in begun or one.source == "search":
            continue
        if seen.text >= text_of(before.last_seen_at):
            events += _changes(connection, before, one, seen)
    append_events(connection, events, seen)
    return Looked(kept, frozenset(by_name.keys() - known.keys()))


def is_deprecated(text: str | None) -> bool:
    """Whether a description begins by saying so, as those of official images do; comments before it do not count."""
    return text is not None and _NOTICE.match(_COMMENT.sub("", text)) is not None


def _changes(connection: Connection, before: Known, now: Repository, seen: Moment) -> list[NewEvent]:
    found: list[NewEvent] = []
    if before.gone_at is not None and _RETURN.run(connection, (before.id, seen.text)):
        detail = {
            "gone_since": text_of(before.gone_at),
            "last_seen_before": text_of(before.last_seen_at),
            "date_registered": before.registered,
            "pull_count_before": before.pull_count,
            "pull_count": now.pull_count,
            "shown_by": now.source,
        }
        found.append(NewEvent(kind="repository.returned", repository_id=before.id, detail=detail))
    # Without this date only a search has shown it: its text is no first sight.
    if before.registered is not None:
        found += _descriptions(connection, before, now)
    return found


def _descriptions(connection: Connection, before: Known, now: Repository) -> list[NewEvent]:
    detail: dict[str, Any] = {}
    if now.description is not None and before.description not in (None, now.description):
        detail |= {"description_before": _cut(before.description), "description": _cut(now.description)}
    if now.full_description is not None and before.full_description not in (None, now.full_description):
        detail |= {
            "full_description_length_before": len(before.full_description or ""),
            "full_description_length": len(now.full_description),
        }
    if not detail:
        return []
    found = [
        NewEvent(kind="repository.described", repository_id=before.id, happened_at=now.last_modified, detail=detail)
    ]
    short = "description" in detail and is_deprecated(now.description)
    full = "full_description_length" in detail and is_deprecated(now.full_description)
    if (short or full) and not _was_deprecated(connection, before):
        said = now.description if short else _COMMENT.sub("", now.full_description or "").strip()
        evidence = {"said_by": "description" if short else "full_description", "text": _cut(said)}
        found.append(
            NewEvent(
                kind="repository.deprecated", repository_id=before.id, happened_at=now.last_modified, detail=evidence
            )
        )
    return found


def _was_deprecated(connection: Connection, before: Known) -> bool:
    """Whether it was said before, by either text, or told of since the name was registered."""
    if is_deprecated(before.description):
        return True
    row = _FULL.first(connection, (before.id,))
    if row is not None and is_deprecated(row[0]):
        return True
    return _TOLD_DEPRECATED.first(connection, (before.id, before.chapter)) is not None


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
