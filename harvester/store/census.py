"""The registry's list of names against the tags that are stored: what is new, what is back, what is missing. Rank 3.

A name that no page has described is kept as a tag known by name only: a hole. A stored tag that the list lacks is suspected, and no
more than that: one direct 404 has to confirm it, or a complete walk of the pages that has not met it either.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec
from sqlalchemy import Connection

from harvester.clock import seconds_of
from harvester.jobs import Args, NewJob, after_names, tag_names
from harvester.policy import TagPolicy
from harvester.records import NamesSeen
from harvester.store.indexes import keep_images
from harvester.store.intervals import add_sight, last_missed
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement
from harvester.store.tags import close_tags, ended_after
from harvester.store.timeline import LISTED, Sight
from harvester.store.work_tables import LIVE

CONFIRMED_AT_ONCE = 100
"""Direct questions that one census may cause; what is left is suspected still and asked for by the next one."""

MOST_MISSING = 3
"""Where more than one part in so many of the tags is missing at once, rather the list is wrong than all of them gone."""

SAMPLED = 10
"""Direct questions in that case; the walk goes to the end of the pages besides."""

_STORED = Statement(
    "repository_id", "SELECT name, id, gone_at, last_seen_at, digest FROM tags WHERE repository_id = :repository_id"
)
# Only what was known before this pass can have been deleted since.
_WAS_ANY_STORED = Statement(
    "full_name fresh_after",
    """
    SELECT 1 FROM repositories r WHERE r.full_name = :full_name AND EXISTS (
        SELECT 1 FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL AND t.first_seen_at < :fresh_after)
    """,
)

_NAME = Statement(
    "repository_id name seen yes",
    """
    INSERT INTO tags (repository_id, name, first_seen_at, last_seen_at, is_name_only)
    VALUES (:repository_id, :name, :seen, :seen, :yes) ON CONFLICT (repository_id, name) DO NOTHING
    """,
)

# What a tag points to that has come back is not known; what it pointed to before stands in its history.
_RETURN = Statement(
    "tag_id seen yes",
    "UPDATE tags SET gone_at = NULL, digest = NULL, is_name_only = :yes, last_seen_at = :seen WHERE id = :tag_id",
)
_END_INTERVAL = Statement(
    "tag_id seconds", "UPDATE tag_history SET seen_until = :seconds WHERE tag_id = :tag_id AND seen_until IS NULL"
)
_LET_GO = Statement("tag_id", "DELETE FROM tag_images WHERE tag_id = :tag_id")

_SUSPECT = Statement(
    "subject seen",
    """
    INSERT INTO absences (subject, first_missing_at, last_missing_at, passes) VALUES (:subject, :seen, :seen, 0)
    ON CONFLICT (subject) DO UPDATE SET last_missing_at = excluded.last_missing_at, passes = 0
    """,
)
_SUSPECTS = Statement(
    "low high",
    "SELECT subject FROM absences WHERE subject > :low AND subject < :high AND passes = 0",
)
_FORGET = Statement("subject", "DELETE FROM absences WHERE subject = :subject")
_CLEAR = Statement("subject", "DELETE FROM absences WHERE subject = :subject AND passes = 0")

_LIVE = Statement(
    "repository_id yes",
    """
    SELECT count(*), COALESCE(sum(CASE WHEN is_name_only = :yes THEN 1 ELSE 0 END), 0)
    FROM tags WHERE repository_id = :repository_id AND gone_at IS NULL
    """,
)
_SUSPECTED = Statement(
    "repository_id low high start",
    """
    SELECT t.name FROM absences a JOIN tags t ON t.repository_id = :repository_id AND t.name = substr(a.subject, :start)
    WHERE a.subject > :low AND a.subject < :high AND a.passes = 0 AND t.gone_at IS NULL ORDER BY t.name
    """,
)

_NEWS = Statement(
    "repository_id fresh_after yes",
    """
    SELECT 1 FROM tags WHERE repository_id = :repository_id AND is_name_only = :yes AND gone_at IS NULL
        AND last_seen_at >= :fresh_after LIMIT 1
    """,
)
_SHOWN = Statement(
    "repository_id subject",
    """
    SELECT count(*) FROM tags t WHERE t.repository_id = :repository_id AND t.gone_at IS NULL AND t.is_name_only IS NULL
        AND NOT EXISTS (SELECT 1 FROM absences a WHERE a.subject = :subject || t.name)
    """,
)
_LAST_SEEN = Statement(
    "repository_id name", "SELECT last_seen_at FROM tags WHERE repository_id = :repository_id AND name = :name"
)
_IS_ASKED_FOR = Statement("low high", f"SELECT 1 FROM jobs WHERE key > :low AND key < :high AND {LIVE} LIMIT 1")
_UNEXPLAINED = Statement(
    "repository_id subject",
    """
    SELECT count(*) FROM tags t WHERE t.repository_id = :repository_id AND t.is_name_only AND t.gone_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM absences a WHERE a.subject = :subject || t.name)
    """,
)


def store_names(connection: Connection, found: NamesSeen, repository_id: int, args: Args, seen: Moment) -> int:
    """Keep the names that were not known, mark those that are missing as suspected; how many became known."""
    policy = TagPolicy(args.tags)
    stored = {row[0]: row for row in _STORED.all(connection, (repository_id,))}
    listed = set(found.names)
    if not listed and any(row[2] is None for row in stored.values()):
        # A service that is shut down answers with nothing: such a list is not believed (peers and traps, 3.19).
        return 0
    is_of_now = not policy.newest and ended_after(connection, repository_id, seen) is None
    new = [name for name in found.names if name not in stored and policy.wants(name)] if is_of_now else []
    # An answer that came before what is stored says nothing of it; nor one of the second in which a tag was said to be gone.
    older = {name: row for name, row in stored.items() if row[2] is None and text_of(row[3]) <= seen.text}
    listed_again = [
        name for name, row in stored.items() if row[2] is not None and text_of(row[2]) < seen.text and name in listed
    ]
    missed_since = {
        name for name in listed_again if (last_missed(connection, int(stored[name][1])) or 0) > seen.seconds
    }
    for name in sorted(missed_since):
        sight = Sight(seen.seconds, seen.seconds, LISTED)
        add_sight(connection, int(stored[name][1]), sight, last_seen=seconds_of(text_of(stored[name][3])))
    returned = [name for name in listed_again if name not in missed_since]
    back = [int(stored[name][1]) for name in returned]
    _NAME.many(connection, [(repository_id, name, seen.text, True) for name in new])
    _RETURN.many(connection, [(tag_id, seen.text, True) for tag_id in back])
    _END_INTERVAL.many(connection, [(tag_id, seen.seconds) for tag_id in back])
    keep_images(connection, [(int(stored[name][1]), stored[name][4]) for name in returned])
    _LET_GO.many(connection, [(tag_id,) for tag_id in back])
    _FORGET.many(connection, [(f"{found.repository}:{name}",) for name in returned])
    missing = sorted(name for name in older if name not in listed)
    subject = f"{found.repository}:"
    cleared = [
        row[0] for row in _SUSPECTS.all(connection, _range(found.repository)) if row[0][len(subject) :] in listed
    ]
    _CLEAR.many(connection, [(one,) for one in cleared])
    _SUSPECT.many(connection, [(subject + name, seen.text) for name in missing])
    return len(new) + len(back)


def after_census(connection: Connection, args: Args, repository_id: int | None, fresh_after: str) -> tuple[NewJob, ...]:
    """What follows from the names as they are stored now; with new ones the pages are walked whatever their dates say."""
    if repository_id is None:
        return after_names(args, (), has_holes=False)
    has_news = _NEWS.first(connection, (repository_id, fresh_after, True)) is not None
    suspects = suspected(connection, repository_id, args.subject)
    live, name_only = live_tags(connection, repository_id)
    most = SAMPLED if MOST_MISSING * len(suspects) > live else CONFIRMED_AT_ONCE
    # In another order each time: a list that is wrong about some names for good must not hide the others.
    suspects.sort(key=lambda name: sha256(f"{fresh_after} {name}".encode()).digest())
    args = msgspec.structs.replace(args, has_news=has_news)
    return after_names(args, sorted(suspects[:most]), has_holes=name_only > 0)


def close_missing(connection: Connection, repository_id: int, full_name: str, since: str, seen: Moment) -> None:
    """Close the suspects that a complete walk of all pages, begun at `since`, has not met either: two lists say so.

    Of those that are being asked for by name, the answer decides.
    """
    for name in suspected(connection, repository_id, full_name):
        if _IS_ASKED_FOR.first(connection, (f"tag:{full_name}:{name}:", f"tag:{full_name}:{name}:~")) is not None:
            continue
        row = _LAST_SEEN.first(connection, (repository_id, name))
        if row is not None and text_of(row[0]) < since:
            close_tags(connection, repository_id, seen, source="names", name=name)
            _FORGET.run(connection, (f"{full_name}:{name}",))


def with_census(connection: Connection, jobs: Sequence[NewJob], *, fresh_after: str) -> list[NewJob]:
    """The jobs with a census before each walk of tags, where tags are stored that may have been deleted since.

    `fresh_after` is when the pass began. Who only looks in between leaves the census to the passes.
    """
    return [
        tag_names(job.args)
        if job.kind == "tags.page"
        and job.args.depth is None
        and job.args.page == 1
        and not TagPolicy(job.args.tags).newest
        and _WAS_ANY_STORED.first(connection, (job.args.subject, fresh_after)) is not None
        else job
        for job in jobs
    ]


def live_tags(connection: Connection, repository_id: int) -> tuple[int, int]:
    """Tags that are there as far as is known, and how many of them are known by name only."""
    row = _LIVE.first(connection, (repository_id, True))
    assert row is not None
    return int(row[0]), int(row[1])


def described(connection: Connection, repository_id: int, full_name: str) -> int:
    """Live tags that the Hub itself has shown and of which nobody has said that they are missing."""
    row = _SHOWN.first(connection, (repository_id, f"{full_name}:"))
    return 0 if row is None else int(row[0])


def unexplained(connection: Connection, repository_id: int, full_name: str) -> int:
    """Tags known by name only of which the far end has not said by a 404 that it has no more."""
    row = _UNEXPLAINED.first(connection, (repository_id, f"{full_name}:"))
    return 0 if row is None else int(row[0])


def suspected(connection: Connection, repository_id: int, full_name: str) -> list[str]:
    """Live tags that the list of names lacks, not yet confirmed to be gone."""
    row = (repository_id, *_range(full_name), len(full_name) + 2)
    return [found[0] for found in _SUSPECTED.all(connection, row)]


def _range(full_name: str) -> tuple[str, str]:
    """What the subjects of the repository's tags lie between."""
    return f"{full_name}:", f"{full_name};"
