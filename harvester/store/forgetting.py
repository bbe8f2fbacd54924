"""What is stored of a target goes, on purpose. Rank 3. Transactions of its own, small enough for others to work meanwhile.

Each transaction takes what only its own rows referred to along, and the row that names a repository goes last: after a kill at any
moment nothing refers to nothing, and the same call again finds what is left. Who holds a job of the target has lost it: what it
found is stored by nobody.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from sqlalchemy import Connection, Engine

from harvester.store import migrate, work_days
from harvester.store.moment import text_of
from harvester.store.statements import Statement, select_in
from harvester.store.unreferenced import column_of, drop_content, drop_instructions
from harvester.store.work_days import Ended
from harvester.targets import Target

TAGS_AT_ONCE = 20
"""Tags that one transaction takes, with their images and layers."""

ROWS_AT_ONCE = 500
"""Rows of other tables that one transaction takes at the most of each."""

_OF_REPOSITORY = ("repository", "tag_names", "tag", "tags.page", "holes")
"""Kinds of jobs whose keys begin with the kind and a repository's name."""

_REPOSITORY = Statement("full_name", "SELECT id FROM repositories WHERE full_name = :full_name")
_MEMBER = Statement("namespace", "SELECT full_name FROM repositories WHERE namespace = :namespace LIMIT 1")
_MEMBERS = Statement("namespace", "SELECT id FROM repositories WHERE namespace = :namespace")
_TAG = Statement("repository_id name", "SELECT id FROM tags WHERE repository_id = :repository_id AND name = :name")
_TAGS = Statement("repository_id most", "SELECT id FROM tags WHERE repository_id = :repository_id LIMIT :most")

_JOBS = Statement(
    "low high most",
    """
    SELECT id, kind, state, finished_at, attempt FROM jobs WHERE key >= :low AND key < :high AND state <> 'done' LIMIT :most
    """,
)
_DROP_LINKS = Statement("id", "DELETE FROM run_jobs WHERE job_id = :id")
_DROP_JOB = Statement("id", "DELETE FROM jobs WHERE id = :id")

_EVENTS = Statement(
    "repository_id most", "SELECT id FROM events WHERE repository_id = :repository_id ORDER BY id LIMIT :most"
)
_NAMED_EVENTS = Statement(
    "",
    """
    SELECT id, detail FROM events WHERE kind IN ('drift', 'listing.cut_short', 'namespace.vanishing') AND repository_id IS NULL
    """,
)
_DROP_DELIVERIES = Statement("event_id", "DELETE FROM deliveries WHERE event_id = :event_id")
_DROP_EVENT = Statement("id", "DELETE FROM events WHERE id = :id")

_LISTINGS = Statement(
    "kind low high most",
    "SELECT id FROM listings WHERE kind = :kind AND subject >= :low AND subject <= :high LIMIT :most",
)
_STRAY_LISTINGS = Statement(
    "repository_id most", "SELECT id FROM listings WHERE repository_id = :repository_id ORDER BY id LIMIT :most"
)
_NAMES = Statement("listing_id most", "SELECT name FROM listing_names WHERE listing_id = :listing_id LIMIT :most")
_DROP_NAME = Statement("listing_id name", "DELETE FROM listing_names WHERE listing_id = :listing_id AND name = :name")
_DROP_LISTING = Statement("id", "DELETE FROM listings WHERE id = :id")

_PULLS = Statement(
    "repository_id most",
    "SELECT observed_at FROM pull_history WHERE repository_id = :repository_id ORDER BY observed_at LIMIT :most",
)
_DROP_PULLS = Statement(
    "repository_id last",
    "DELETE FROM pull_history WHERE repository_id = :repository_id AND observed_at <= :last",
)
_ABSENCES = Statement(
    "subject low high most",
    "SELECT subject FROM absences WHERE subject = :subject OR (subject > :low AND subject < :high) LIMIT :most",
)
_DROP_ABSENCE = Statement("subject", "DELETE FROM absences WHERE subject = :subject")
_DROP_CHAPTERS = Statement("repository_id", "DELETE FROM chapters WHERE repository_id = :repository_id")
_DROP_CADENCE = Statement("repository_id", "DELETE FROM cadences WHERE repository_id = :repository_id")
_DROP_REPOSITORY = Statement("repository_id", "DELETE FROM repositories WHERE id = :repository_id")

_DROP_HISTORY = Statement("tag_id", "DELETE FROM tag_history WHERE tag_id = :tag_id")
_DROP_TAG_IMAGES = Statement("tag_id", "DELETE FROM tag_images WHERE tag_id = :tag_id")
_DROP_TAG = Statement("tag_id", "DELETE FROM tags WHERE id = :tag_id")

_WATCHED_BY = Statement(
    "full_name",
    """
    SELECT w.target FROM repositories r JOIN cadences c ON c.repository_id = r.id JOIN watches w ON w.id = c.watch_id
    WHERE r.full_name = :full_name AND w.ended_at IS NULL
    """,
)
_MEMBERS_WATCHED_BY = Statement(
    "namespace",
    """
    SELECT DISTINCT w.target FROM repositories r JOIN cadences c ON c.repository_id = r.id JOIN watches w ON w.id = c.watch_id
    WHERE r.namespace = :namespace AND w.ended_at IS NULL
    """,
)
_WATCHES = Statement("", "SELECT target FROM watches WHERE ended_at IS NULL ORDER BY target")

_ALL = 2**31


def watched(connection: Connection, target: Target) -> list[str]:
    """Targets in force that have this one in them, or a part of it, as the database knows them."""
    found = {row[0] for row in _WATCHES.all(connection) if overlap(target, row[0])}
    if target.kind in ("repository", "tag"):
        found |= {row[0] for row in _WATCHED_BY.all(connection, (target.subject,))}
    elif target.kind == "namespace":
        found |= {row[0] for row in _MEMBERS_WATCHED_BY.all(connection, (target.subject,))}
    return sorted(found)


def overlap(target: Target, other: str) -> bool:
    """Whether a target, in its canonical form, has this one in it or a part of it. What a search finds nobody knows beforehand."""
    if target.kind == "search" or other.startswith("search:"):
        return str(target) == other
    name, _, tag = other.partition(":")
    namespace = name.partition("/")[0]
    if target.kind == "namespace":
        return namespace == target.subject
    if name.endswith("/*"):
        return namespace == target.subject.partition("/")[0]
    return name == target.subject and (target.kind == "repository" or tag in ("", target.tag))


def stored(connection: Connection, target: Target) -> Counter[str]:
    """Rows that `forget` would remove, by table, but for what others may refer to as well; only those that there are."""
    found: Counter[str] = Counter()
    if target.kind == "namespace":
        ids = [int(row[0]) for row in _MEMBERS.all(connection, (target.subject,))]
    elif target.kind == "search":
        ids = []
    else:
        ids = [int(row[0]) for row in _REPOSITORY.all(connection, (target.subject,))]
    if target.kind == "tag":
        tags = [int(row[0]) for one in ids for row in _TAG.all(connection, (one, target.tag))]
    else:
        tags = [
            int(row[0]) for row in select_in(connection, "SELECT id FROM tags WHERE repository_id IN ({values})", ids)
        ]
        found["repositories"] = len(ids)
        for table in ("pull_history", "chapters", "cadences"):
            found[table] = _count(connection, table, "repository_id", ids)
    found["tags"] = len(tags)
    for table in ("tag_images", "tag_history"):
        found[table] = _count(connection, table, "tag_id", tags)
    column, of = ("tag_id", tags) if target.kind == "tag" else ("repository_id", ids)
    found["events"] = _count(connection, "events", column, of) + len(_named_events(connection, target))
    for one in _lists(target):
        found["listings"] += len(_LISTINGS.all(connection, (*one, _ALL)))
    found["absences"] = len(_ABSENCES.all(connection, (*_absences(target), _ALL)))
    for low, high in _ranges(target):
        found["jobs"] += len(_JOBS.all(connection, (low, high, _ALL)))
    return +found


def forget(engine: Engine, target: Target, on_step: Callable[[Counter[str]], object] | None = None) -> Counter[str]:
    """Remove what is stored of a target, some rows per transaction; the rows that went, by table.

    `on_step` hears of each transaction that is committed. Nothing is left to the call after the one that returns.
    """
    removed: Counter[str] = Counter()
    while True:
        with engine.begin() as connection:
            migrate.check(connection)
            found = +_step(connection, target)
        if not found:
            break
        removed += found
        if on_step is not None:
            on_step(found)
    return +(removed + drop_instructions(engine))


def _step(connection: Connection, target: Target) -> Counter[str]:
    """One transaction's part of what is left; nothing when there is nothing more."""
    match target.kind:
        case "tag":
            removed = _jobs(connection, _ranges(target))
            for (repository_id,) in _REPOSITORY.all(connection, (target.subject,)):
                ids = [int(row[0]) for row in _TAG.all(connection, (repository_id, target.tag))]
                removed += _tags(connection, ids)
            return removed + _absent(connection, target)
        case "repository":
            return _repository(connection, target)
        case "namespace":
            member = _MEMBER.first(connection, (target.subject,))
            if member is not None:
                return _repository(connection, Target("repository", member[0]))
    return _rest(connection, target)


def _repository(connection: Connection, target: Target) -> Counter[str]:
    row = _REPOSITORY.first(connection, (target.subject,))
    removed = _jobs(connection, _ranges(target))
    if row is None:
        return removed + _rest(connection, target)
    repository_id = int(row[0])
    tags = [int(one[0]) for one in _TAGS.all(connection, (repository_id, TAGS_AT_ONCE))]
    if tags:
        return removed + _tags(connection, tags)
    events = [int(one[0]) for one in _EVENTS.all(connection, (repository_id, ROWS_AT_ONCE))]
    removed += _events(connection, events)
    pulls = _PULLS.all(connection, (repository_id, ROWS_AT_ONCE))
    if pulls:
        removed["pull_history"] += _DROP_PULLS.run(connection, (repository_id, pulls[-1][0]))
    listings = [int(one[0]) for one in _STRAY_LISTINGS.all(connection, (repository_id, ROWS_AT_ONCE))]
    removed += _listings(connection, listings)
    if max(len(events), len(pulls)) == ROWS_AT_ONCE or _STRAY_LISTINGS.first(connection, (repository_id, 1)):
        return removed
    rest = _rest(connection, target)
    if +rest:
        return removed + rest
    removed["chapters"] += _DROP_CHAPTERS.run(connection, (repository_id,))
    removed["cadences"] += _DROP_CADENCE.run(connection, (repository_id,))
    removed["repositories"] += _DROP_REPOSITORY.run(connection, (repository_id,))
    return removed


def _rest(connection: Connection, target: Target) -> Counter[str]:
    """What is stored of a name, whether or not anything was ever found under it."""
    removed = _jobs(connection, _ranges(target))
    for one in _lists(target):
        ids = [int(row[0]) for row in _LISTINGS.all(connection, (*one, ROWS_AT_ONCE))]
        removed += _listings(connection, ids)
    removed += _events(connection, _named_events(connection, target)[:ROWS_AT_ONCE])
    return removed + _absent(connection, target)


def _tags(connection: Connection, ids: Sequence[int]) -> Counter[str]:
    """Tags with all that belongs to them, and what nothing refers to any more without them."""
    images = set(column_of(connection, "SELECT image_id FROM tag_images WHERE tag_id IN ({values})", ids))
    sql = "SELECT digest FROM tag_history WHERE tag_id IN ({values}) AND digest IS NOT NULL"
    shown = set(column_of(connection, sql, ids))
    shown |= set(column_of(connection, "SELECT digest FROM tags WHERE id IN ({values}) AND digest IS NOT NULL", ids))
    removed = _events(connection, column_of(connection, "SELECT id FROM events WHERE tag_id IN ({values})", ids))
    rows = [(one,) for one in ids]
    removed["tag_images"] += _DROP_TAG_IMAGES.many(connection, rows)
    removed["tag_history"] += _DROP_HISTORY.many(connection, rows)
    removed["tags"] += _DROP_TAG.many(connection, rows)
    shown -= set(column_of(connection, "SELECT digest FROM tag_history WHERE digest IN ({values})", sorted(shown)))
    unused = sorted(shown)
    removed += _jobs(connection, [(f"images:{digest}:", f"images:{digest}:~") for digest in unused])
    gone, digests = drop_content(connection, unused, images)
    removed += gone
    return removed + _jobs(connection, [(f"manifest:{digest}", f"manifest:{digest}~") for digest in digests])


def _jobs(connection: Connection, ranges: Iterable[tuple[str, str]]) -> Counter[str]:
    """Jobs with keys between these, those that are done excepted: who works on one has lost it. Dead ones are counted."""
    rows = [row for low, high in ranges for row in _JOBS.all(connection, (low, high, ROWS_AT_ONCE))]
    ended = [Ended(row[1], row[2], text_of(row[3])[:10], int(row[4])) for row in rows if row[2] == "dead"]
    work_days.count(connection, ended)
    ids = [(row[0],) for row in rows]
    _DROP_LINKS.many(connection, ids)
    return Counter(jobs=_DROP_JOB.many(connection, ids))


def _events(connection: Connection, ids: Sequence[int]) -> Counter[str]:
    rows = [(one,) for one in ids]
    deliveries = _DROP_DELIVERIES.many(connection, rows)
    return Counter(events=_DROP_EVENT.many(connection, rows), deliveries=deliveries)


def _listings(connection: Connection, ids: Sequence[int]) -> Counter[str]:
    """Walks with the names that they met; where these are many, some of them only."""
    left = 10 * ROWS_AT_ONCE
    removed: Counter[str] = Counter()
    for listing_id in ids:
        names = _NAMES.all(connection, (listing_id, left))
        removed["listing_names"] += _DROP_NAME.many(connection, [(listing_id, row[0]) for row in names])
        left -= len(names)
        if left <= 0:
            break
        removed["listings"] += _DROP_LISTING.run(connection, (listing_id,))
    return removed


def _absent(connection: Connection, target: Target) -> Counter[str]:
    rows = _ABSENCES.all(connection, (*_absences(target), ROWS_AT_ONCE))
    return Counter(absences=_DROP_ABSENCE.many(connection, [tuple(row) for row in rows]))


def _ranges(target: Target) -> Iterator[tuple[str, str]]:
    """What the keys of the target's jobs lie between."""
    subject = target.subject
    match target.kind:
        case "tag":
            for kind in ("repository", "tag"):
                yield f"{kind}:{subject}:{target.tag}:", f"{kind}:{subject}:{target.tag}:~"
            return
        case "search":
            escaped = subject.replace("%", "%25").replace(":", "%3A")
            yield f"search.page:{escaped}:", f"search.page:{escaped}:~"
            return
        case "namespace":
            yield f"namespace.page:{subject}:", f"namespace.page:{subject}:~"
            for kind in _OF_REPOSITORY:
                yield f"{kind}:{subject}/", f"{kind}:{subject}/~"
            return
    for kind in _OF_REPOSITORY:
        yield f"{kind}:{subject}:", f"{kind}:{subject}:~"


def _lists(target: Target) -> Iterator[tuple[str, str, str]]:
    """Kind of the target's walks, and what their subjects lie between."""
    subject = target.subject
    if target.kind in ("search", "namespace"):
        yield target.kind, subject, subject
    if target.kind == "namespace":
        yield from ((kind, f"{subject}/", f"{subject}/~") for kind in ("tags", "tag_names"))
    elif target.kind == "repository":
        yield from ((kind, subject, subject) for kind in ("tags", "tag_names"))


def _absences(target: Target) -> tuple[str, str, str]:
    """A subject of `absences`, and what the others of the target lie between."""
    match target.kind:
        case "repository":
            return target.subject, f"{target.subject}:", f"{target.subject};"
        case "namespace":
            return f"{target.subject}/*", f"{target.subject}/", f"{target.subject}0"
        case "search":
            return "", "", ""
    return f"{target.subject}:{target.tag}", "", ""


def _named_events(connection: Connection, target: Target) -> list[int]:
    """Events about a name under which nothing was stored then."""
    if target.kind == "tag":
        return []
    found = []
    for event_id, detail in _NAMED_EVENTS.all(connection):
        about = json.loads(detail)
        name = about.get("subject", about.get("namespace"))
        is_member = target.kind == "namespace" and str(name).startswith(f"{target.subject}/")
        if name == target.subject or is_member:
            found.append(int(event_id))
    return found


def _count(connection: Connection, table: str, column: str, ids: Sequence[int]) -> int:
    sql = f"SELECT count(*) FROM {table} WHERE {column} IN ({{values}})"
    return sum(int(row[0]) for row in select_in(connection, sql, ids))
