"""Repositories and their pull counts: records to rows. Rank 3.

Nothing known is overwritten by nothing: a null in an answer leaves the column as it is. An observation older than the row's own
`last_seen_at` fills in what no newer one has said, and changes nothing else.
"""

from __future__ import annotations

from sqlalchemy import Connection

from harvester.names import OFFICIAL
from harvester.records import Repository
from harvester.store.moment import DAY_S, Moment
from harvester.store.pulls import store_pulls
from harvester.store.sightings import look
from harvester.store.statements import Statement
from harvester.store.vanishing import end_alarms

_SAID = """
    description full_description pull_count star_count last_updated last_modified date_registered status status_description
    repository_type is_automated is_private hub_user affiliation collaborator_count categories content_types media_types
    storage_size immutable_tags source detailed_at detail_last_modified
    looked_at
""".split()
"""Columns that an answer may fill; kept where it says nothing."""

# A search may show what was written long ago: it fills the description where there is none.
_KEPT = ", ".join(
    f"{column} = COALESCE(excluded.{column}, repositories.{column})"
    if column != "description"
    else """description = CASE WHEN :is_proof THEN COALESCE(excluded.description, repositories.description)
        ELSE COALESCE(repositories.description, excluded.description) END"""
    for column in _SAID
)

# A row of which only tags were seen has yet to be described, at whatever time.
_UPSERT = Statement(
    f"namespace name full_name is_official {' '.join(_SAID)} seen is_proof",
    f"""
    INSERT INTO repositories (namespace, name, full_name, is_official, {", ".join(_SAID)}, first_seen_at, last_seen_at)
    VALUES (:namespace, :name, :full_name, :is_official, {", ".join(":" + column for column in _SAID)}, :seen, :seen)
    ON CONFLICT (full_name) DO UPDATE SET {_KEPT}, last_seen_at = excluded.last_seen_at,
        first_seen_at = CASE WHEN excluded.first_seen_at < repositories.first_seen_at THEN excluded.first_seen_at
            ELSE repositories.first_seen_at END,
        gone_at = CASE WHEN :is_proof AND repositories.gone_at <= excluded.last_seen_at THEN NULL ELSE repositories.gone_at END
    WHERE repositories.last_seen_at <= excluded.last_seen_at OR repositories.pull_count IS NULL
    """,
)

_FILL = Statement(
    f"{' '.join(_SAID)} full_name seen",
    f"""
    UPDATE repositories SET {", ".join(f"{column} = COALESCE({column}, :{column})" for column in _SAID)},
        first_seen_at = CASE WHEN :seen < first_seen_at THEN :seen ELSE first_seen_at END
    WHERE full_name = :full_name AND last_seen_at > :seen AND NOT COALESCE(date_registered <> :date_registered, FALSE)
    """,
)
_SEEN_EARLIER = Statement(
    "seen full_name",
    "UPDATE repositories SET first_seen_at = :seen WHERE full_name = :full_name AND first_seen_at > :seen",
)

_FORGET_ABSENCE = Statement(
    "subject seen", "DELETE FROM absences WHERE subject = :subject AND last_missing_at <= :seen"
)

_ID = Statement("full_name", "SELECT id FROM repositories WHERE full_name = :full_name")


def repository_id(connection: Connection, full_name: str) -> int | None:
    """The row's id; null when the repository was never seen."""
    row = _ID.first(connection, (full_name,))
    return None if row is None else int(row[0])


def store_repositories(
    connection: Connection, repositories: list[Repository], seen: Moment, pull_interval_s: int = DAY_S
) -> frozenset[str]:
    """Insert or update the rows, keep their pull counts, and take back what was said of their absence.

    The names that were never seen before. What changed of the others is appended to the events.
    """
    repositories, new = look(connection, repositories, seen)
    rows = [_row(repository, seen) for repository in repositories]
    if _UPSERT.many(connection, rows) < len(rows):
        _FILL.many(connection, [(*row[4:-2], row[2], seen.text) for row in rows])
    store_pulls(connection, repositories, seen, pull_interval_s)
    # A search may show what is gone already (wire reference, 22.32): it proves nothing.
    proven = [r for r in repositories if r.source != "search"]
    _FORGET_ABSENCE.many(connection, [(r.full_name, seen.text) for r in proven])
    end_alarms(connection, {r.namespace for r in proven}, seen)
    return new


def seen_earlier(connection: Connection, full_name: str, seen: Moment) -> None:
    """Note a sight that came late and is the earliest there is."""
    _SEEN_EARLIER.run(connection, (seen.text, full_name))


def _row(r: Repository, seen: Moment) -> tuple[object, ...]:
    is_detail = r.source == "detail"
    return (
        r.namespace,
        r.name,
        r.full_name,
        r.namespace == OFFICIAL,
        r.description,
        r.full_description,
        r.pull_count,
        r.star_count,
        r.last_updated,
        r.last_modified,
        r.date_registered,
        r.status,
        r.status_description,
        r.repository_type,
        r.is_automated,
        r.is_private,
        r.hub_user,
        r.affiliation,
        r.collaborator_count,
        r.categories,
        r.content_types,
        r.media_types,
        r.storage_size,
        r.immutable_tags,
        r.created_from,
        seen.text if is_detail else None,
        r.last_modified if is_detail else None,
        seen.text if r.source != "search" else None,
        seen.text,
        r.source != "search",
    )
