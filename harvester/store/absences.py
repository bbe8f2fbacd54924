"""What answered 404, or was missing from a list. Rank 3.

A first 404 is remembered; only a second one in a later pass makes a known repository or tag gone, and a repository's tags are
closed in the same transaction. Where many repositories of a namespace are missing at once it takes longer (`vanishing`). A tag
that the registry's list of names lacks is suspected: one 404 of its own is the second word (contract, 5).
"""

from __future__ import annotations

from sqlalchemy import Connection

from harvester.events import NewEvent
from harvester.records import Absent
from harvester.store import vanishing
from harvester.store.change_log import append_events
from harvester.store.moment import Moment, text_of
from harvester.store.repositories import repository_id
from harvester.store.statements import Statement
from harvester.store.tags import close_tags

SUSPECTED_S = 12 * 3600
"""A list without a name that is older than this is no word of the present: the 404 is then the first one."""

_REMEMBER = Statement(
    "subject seen suspected_since fresh_after",
    """
    INSERT INTO absences (subject, first_missing_at, last_missing_at, passes) VALUES (:subject, :seen, :seen, 1)
    ON CONFLICT (subject) DO UPDATE SET last_missing_at = excluded.last_missing_at,
        passes = CASE WHEN absences.passes = 0 AND absences.last_missing_at >= :suspected_since THEN 2
            WHEN absences.passes = 0 THEN 1
            WHEN absences.last_missing_at < :fresh_after THEN absences.passes + 1 ELSE absences.passes END
    RETURNING passes
    """,
)

# What a list lacks is no 404 yet: a repository's first one is a first one.
_REMEMBER_REPOSITORY = Statement(
    "subject seen fresh_after",
    """
    INSERT INTO absences (subject, first_missing_at, last_missing_at, passes) VALUES (:subject, :seen, :seen, 1)
    ON CONFLICT (subject) DO UPDATE SET last_missing_at = excluded.last_missing_at,
        passes = CASE WHEN absences.passes = 0 THEN 1
            WHEN absences.last_missing_at < :fresh_after THEN absences.passes + 1 ELSE absences.passes END
    RETURNING passes, first_missing_at
    """,
)
_LAST_KNOWN = Statement(
    "full_name",
    """
    SELECT r.id, r.pull_count, r.last_seen_at, r.date_registered, r.gone_at,
        (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL)
    FROM repositories r WHERE r.full_name = :full_name
    """,
)

# The registry's list of this pass has the name: where the two disagree, nothing is closed.
_IS_LISTED = Statement(
    "repository subject fresh_after",
    """
    SELECT 1 FROM listings l WHERE l.kind = 'tag_names' AND l.subject = :repository AND l.stop_reason = 'end'
        AND l.started_at >= :fresh_after
        AND NOT EXISTS (SELECT 1 FROM absences a WHERE a.subject = :subject AND a.passes = 0)
    """,
)
_SEEN_SINCE = Statement(
    "full_name tag seen",
    """
    SELECT 1 FROM repositories r JOIN tags t ON t.repository_id = r.id
    WHERE r.full_name = :full_name AND t.name = :tag AND t.last_seen_at > :seen
    """,
)
_NOTE = Statement(
    "subject seen",
    """
    INSERT INTO absences (subject, first_missing_at, last_missing_at, passes) VALUES (:subject, :seen, :seen, 1)
    ON CONFLICT (subject) DO UPDATE SET last_missing_at = excluded.last_missing_at, passes = 1
    """,
)

# Should it return, its tags are walked and its detail is read anew, whatever its dates say.
_GONE = Statement(
    "id seen",
    """
    UPDATE repositories SET gone_at = :seen, tags_walked_at = NULL, tags_last_updated = NULL, detail_last_modified = NULL
    WHERE id = :id AND gone_at IS NULL
    """,
)
_WALKED_ANEW = Statement(
    "full_name", "UPDATE listings SET subject_updated = NULL WHERE kind = 'tags' AND subject = :full_name"
)


def store_absence(connection: Connection, absent: Absent, seen: Moment, *, fresh_after: str) -> list[str]:
    """Remember a 404; `fresh_after` is when the pass began that met it. The repositories to ask for by name because of it."""
    if absent.tag is not None:
        _store_tag_absence(connection, absent.repository, absent.tag, seen, fresh_after)
        return []
    namespace, _, name = absent.repository.partition("/")
    if name == "*":
        return vanishing.after_404_of(connection, namespace, fresh_after=fresh_after, seen=seen)
    _store_repository_absence(connection, namespace, absent.repository, seen, fresh_after)
    return []


def _store_tag_absence(connection: Connection, full_name: str, tag: str, seen: Moment, fresh_after: str) -> None:
    subject = f"{full_name}:{tag}"
    if _SEEN_SINCE.first(connection, (full_name, tag, seen.text)) is not None:
        return
    if _IS_LISTED.first(connection, (full_name, subject, fresh_after)) is not None:
        _NOTE.run(connection, (subject, seen.text))
        return
    suspected_since = Moment.of(seen.seconds - SUSPECTED_S).text
    row = _REMEMBER.first(connection, (subject, seen.text, suspected_since, fresh_after))
    known = repository_id(connection, full_name)
    if row is not None and int(row[0]) >= 2 and known is not None:
        close_tags(connection, known, seen, source="detail", name=tag)


def _store_repository_absence(
    connection: Connection, namespace: str, full_name: str, seen: Moment, fresh_after: str
) -> None:
    known = _LAST_KNOWN.first(connection, (full_name,))
    if known is not None and text_of(known[2]) > seen.text:
        # It was seen since this was asked.
        return
    row = _REMEMBER_REPOSITORY.first(connection, (full_name, seen.text, fresh_after))
    assert row is not None
    if known is None:
        return
    if known[4] is not None:
        # A page of tags may have been served after the repository had gone.
        close_tags(connection, known[0], seen, source="detail", seen_before=fresh_after)
        return
    passes, first_missing_at = int(row[0]), row[1]
    if not vanishing.is_believed(connection, namespace, passes, first_missing_at, fresh_after=fresh_after, seen=seen):
        return
    known_id, pull_count, last_seen_at, date_registered, _, tags = known
    if not _GONE.run(connection, (known_id, seen.text)):
        return
    _WALKED_ANEW.run(connection, (full_name,))
    close_tags(connection, known_id, seen, source="detail")
    detail = {
        "pull_count": pull_count,
        "tags": tags,
        "last_seen_before": text_of(last_seen_at),
        "first_missing_at": text_of(first_missing_at),
        "passes": passes,
        "date_registered": None if date_registered is None else text_of(date_registered),
    }
    append_events(connection, [NewEvent(kind="repository.gone", repository_id=known_id, detail=detail)], seen)
