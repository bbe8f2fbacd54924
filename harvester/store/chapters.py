"""Names that somebody registers anew: what a name was before is kept as a chapter, and nothing of it mixed with the next. Rank 3.

A name registered later than what is stored under it is another repository. A list may lag behind: where it shows an earlier
date, it is not believed, and the detail is asked for. An earlier date of a detail is believed, unless it is that of a chapter
which ended within the last day. Where more than a third of a namespace, three at the least, show other dates at once, rather the
far end has changed than the world: that is told as a drift, the dates are left as they are, and it is believed only when it has
lasted for three days. What was gone already may come back under another date at any time.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from harvester.clock import instant
from harvester.events import NewEvent
from harvester.records import Repository
from harvester.store.change_log import append_events, is_told
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.statements import Statement
from harvester.store.tags import close_tags

AT_ONCE = 3
"""Names, at the least, that are too many to be registered anew at once; more than one part in so many of a namespace are, too."""

LASTED_S = 3 * DAY_S
TOLD_FOR_S = 30 * DAY_S

_FORGOTTEN = """
    description full_description pull_count star_count last_updated last_modified date_registered status status_description
    repository_type is_automated is_private hub_user affiliation collaborator_count categories content_types media_types
    storage_size immutable_tags source detailed_at detail_last_modified tags_walked_at tags_last_updated looked_at
    next_check_at gone_at
""".split()
"""What was said of the old registration and says nothing of the new one."""

_KEEP = Statement(
    "id chapter seen tag_count",
    """
    INSERT INTO chapters (repository_id, chapter, first_seen_at, last_seen_at, ended_at, date_registered, hub_user, description,
        pull_count, star_count, tag_count)
    SELECT r.id, r.chapter, COALESCE((SELECT c.ended_at FROM chapters c WHERE c.repository_id = r.id
        AND c.chapter = r.chapter - 1), r.first_seen_at), r.last_seen_at, :seen, r.date_registered, r.hub_user, r.description,
        r.pull_count, r.star_count, :tag_count
    FROM repositories r WHERE r.id = :id AND r.chapter = :chapter
    ON CONFLICT (repository_id, chapter) DO NOTHING
    """,
)
_BEGIN = Statement(
    "id chapter",
    f"""
    UPDATE repositories SET chapter = chapter + 1, {", ".join(f"{column} = NULL" for column in _FORGOTTEN)}
    WHERE id = :id AND chapter = :chapter
    """,
)
_WALKED_ANEW = Statement(
    "full_name", "UPDATE listings SET subject_updated = NULL WHERE kind = 'tags' AND subject = :full_name"
)
_FORGET_TAG_ABSENCES = Statement("low high", "DELETE FROM absences WHERE subject > :low AND subject < :high")
_TAGS = Statement("id", "SELECT count(*) FROM tags WHERE repository_id = :id AND gone_at IS NULL")
_ASK_DETAIL = Statement("id", "UPDATE repositories SET detail_last_modified = NULL WHERE id = :id")

_LIVE = Statement("namespace", "SELECT count(*) FROM repositories WHERE namespace = :namespace AND gone_at IS NULL")
_BEGUN_LATELY = Statement(
    "namespace since",
    """
    SELECT count(DISTINCT r.id) FROM repositories r JOIN chapters c ON c.repository_id = r.id
    WHERE r.namespace = :namespace AND c.ended_at >= :since
    """,
)
_ENDED_LATELY = Statement(
    "id date_registered since",
    """
    SELECT 1 FROM chapters WHERE repository_id = :id AND date_registered = :date_registered AND ended_at >= :since LIMIT 1
    """,
)


class Known(NamedTuple):
    """A repository as it is stored."""

    id: int
    full_name: str
    chapter: int
    last_seen_at: str
    gone_at: str | None
    date_registered: str | None
    hub_user: str | None
    description: str | None
    pull_count: int | None
    full_description: str | None

    @property
    def registered(self) -> str | None:
        """`date_registered` as text."""
        return None if self.date_registered is None else text_of(self.date_registered)


def told_apart(
    connection: Connection, repositories: list[Repository], known: dict[str, Known], seen: Moment
) -> tuple[list[Repository], frozenset[str]]:
    """What may be stored of the rows, and the names of which a new chapter began; their old ones are closed by then."""
    kept: list[Repository] = []
    others: dict[str, list[Repository]] = defaultdict(list)
    for one in repositories:
        before = known.get(one.full_name)
        if before is None or one.date_registered is None or before.registered in (None, one.date_registered):
            kept.append(one)
        elif seen.text <= text_of(before.last_seen_at):
            # What was observed within one second cannot be put in order: the next answer tells.
            continue
        elif _is_credible(connection, one, before, seen):
            others[one.namespace].append(one)
        else:
            _ASK_DETAIL.run(connection, (before.id,))
    begun: list[str] = []
    for namespace, group in others.items():
        alive = [one for one in group if known[one.full_name].gone_at is None]
        shown = sum(1 for one in repositories if one.namespace == namespace and one.full_name in known)
        is_doubted = _are_too_many(connection, namespace, alive, shown, seen)
        for one in group:
            if is_doubted and one in alive:
                kept.append(msgspec.structs.replace(one, date_registered=None))
            else:
                _begin(connection, known[one.full_name], one, seen)
                begun.append(one.full_name)
                kept.append(one)
    return kept, frozenset(begun)


def _is_credible(connection: Connection, one: Repository, before: Known, seen: Moment) -> bool:
    assert before.registered is not None
    assert one.date_registered is not None
    if one.date_registered > before.registered:
        return True
    if one.source != "detail":
        return False
    lately = (before.id, one.date_registered, instant(seen.seconds - DAY_S))
    return _ENDED_LATELY.first(connection, lately) is None


def _are_too_many(connection: Connection, namespace: str, alive: list[Repository], shown: int, seen: Moment) -> bool:
    """Whether so many names of a namespace show another date that the far end is at fault; it is told of."""
    if not alive:
        return False
    lately = _BEGUN_LATELY.first(connection, (namespace, instant(seen.seconds - DAY_S)))
    live = _LIVE.first(connection, (namespace,))
    assert lately is not None
    assert live is not None
    number = len(alive) + int(lately[0])
    is_many = number >= AT_ONCE and AT_ONCE * number > int(live[0])
    is_most_of_page = len(alive) >= AT_ONCE and AT_ONCE * len(alive) > shown
    if not is_many and not is_most_of_page:
        return False
    start = {
        "subject": namespace,
        "where": ".date_registered",
        "reason": "more than a third of a namespace shows other dates at once",
    }
    since, lasted = instant(seen.seconds - TOLD_FOR_S), instant(seen.seconds - LASTED_S)
    if is_told(connection, "drift", start, since=since, until=lasted):
        return False
    if not is_told(connection, "drift", start, since=since):
        sample = [[one.full_name, one.date_registered] for one in alive[:10]]
        detail = {**start, "path": ".date_registered", "rows": number, "known": int(live[0]), "sample": sample}
        append_events(connection, [NewEvent(kind="drift", detail=detail)], seen)
    return True


def _begin(connection: Connection, before: Known, now: Repository, seen: Moment) -> None:
    """Close what the name was, and let the row stand for what it is now."""
    row = _TAGS.first(connection, (before.id,))
    assert row is not None
    tag_count = int(row[0])
    _KEEP.run(connection, (before.id, before.chapter, seen.text, tag_count))
    if not _BEGIN.run(connection, (before.id, before.chapter)):
        return
    close_tags(connection, before.id, seen, source="detail" if now.source == "detail" else "listing")
    _WALKED_ANEW.run(connection, (before.full_name,))
    _FORGET_TAG_ABSENCES.run(connection, (f"{before.full_name}:", f"{before.full_name};"))
    detail = {
        "chapter": before.chapter + 1,
        "date_registered_before": before.registered,
        "date_registered": now.date_registered,
        "hub_user_before": before.hub_user,
        "hub_user": now.hub_user,
        "pull_count_before": before.pull_count,
        "pull_count": now.pull_count,
        "tags_closed": tag_count,
        "last_seen_before": text_of(before.last_seen_at),
        "gone_since": None if before.gone_at is None else text_of(before.gone_at),
        "shown_by": now.source,
    }
    event = NewEvent(
        kind="repository.replaced", repository_id=before.id, happened_at=now.date_registered, detail=detail
    )
    append_events(connection, [event], seen)
