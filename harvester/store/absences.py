"""What answered 404, or was missing from the registry's list of names. Rank 3.

A first 404 is remembered; only a second one in a later pass makes a known repository or tag gone, and a repository's tags are
closed in the same transaction. A tag that the list of names lacks is suspected: one 404 of its own is the second word
(contract, 5).
"""

from __future__ import annotations

from sqlalchemy import Connection

from harvester.records import Absent
from harvester.store.moment import Moment
from harvester.store.repositories import repository_id
from harvester.store.statements import Statement
from harvester.store.tags import close_tags

_REMEMBER = Statement(
    "subject seen fresh_after",
    """
    INSERT INTO absences (subject, first_missing_at, last_missing_at, passes) VALUES (:subject, :seen, :seen, 1)
    ON CONFLICT (subject) DO UPDATE SET last_missing_at = excluded.last_missing_at,
        passes = CASE WHEN absences.passes = 0 THEN 2
            WHEN absences.last_missing_at < :fresh_after THEN absences.passes + 1 ELSE absences.passes END
    RETURNING passes
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


def store_absence(connection: Connection, absent: Absent, seen: Moment, *, fresh_after: str) -> None:
    """Remember a 404; `fresh_after` is when the pass began that met it."""
    subject = f"{absent.repository}:{absent.tag}" if absent.tag else absent.repository
    if absent.tag and _IS_LISTED.first(connection, (absent.repository, subject, fresh_after)) is not None:
        _NOTE.run(connection, (subject, seen.text))
        return
    row = _REMEMBER.first(connection, (subject, seen.text, fresh_after))
    known = repository_id(connection, absent.repository)
    if row is None or int(row[0]) < 2 or known is None:
        return
    if absent.tag is None:
        _GONE.run(connection, (known, seen.text))
        _WALKED_ANEW.run(connection, (absent.repository,))
    close_tags(connection, known, seen, source="detail", name=absent.tag)
