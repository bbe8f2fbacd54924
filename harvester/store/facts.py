"""What the store knows that tells the cost of the next pass. Rank 3. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from harvester.clock import instant, seconds_of
from harvester.forecast import Facts
from harvester.jobs import Args, walk_key
from harvester.policy import LayerPolicy, TagPolicy
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.statements import Statement, select_in

LOOKED_BACK_S = 30 * DAY_S
"""What changed in this time tells how often a repository changes."""

SAMPLED = 300
"""Repositories, or walks, that stand for all of them."""

TOGETHER_S = 6 * 3600
"""Tags that were pushed within this time of one another were pushed together."""

_REPOSITORIES = """
    SELECT id, full_name, gone_at, detailed_at, last_modified, detail_last_modified, last_updated, tags_walked_at,
        tags_last_updated, last_seen_at
    FROM repositories WHERE full_name IN ({values})
"""
_ABSENT = "SELECT subject FROM absences WHERE passes > 0 AND subject IN ({values})"

# A walk begins where `last_updated` has moved: each value of it is a pass that found something pushed.
_CHANGES = """
    SELECT subject, count(DISTINCT CASE WHEN started_at >= {} THEN subject_updated END), min(subject_updated), min(started_at)
    FROM listings WHERE kind = 'tags' AND subject IN ({values}) GROUP BY subject
"""
_WALKS = """
    SELECT l.subject, l.subject_updated, l.reported_count FROM listings l WHERE l.id IN (
        SELECT max(id) FROM listings WHERE walk_key IN ({values}) AND stop_reason IN ('end', 'policy', 'known', 'wall')
        GROUP BY walk_key)
"""
_TAGS = """
    SELECT repository_id, count(*), sum(CASE WHEN gone_at IS NULL THEN 1 ELSE 0 END),
        sum(CASE WHEN gone_at >= {} THEN 1 ELSE 0 END)
    FROM tags WHERE repository_id IN ({values}) GROUP BY repository_id
"""
_HOLES = """
    SELECT repository_id, count(*) FROM tags WHERE is_name_only AND gone_at IS NULL AND repository_id IN ({values})
    GROUP BY repository_id
"""
_OF_UNHARVESTED = """
    FROM tags t WHERE t.repository_id IN ({values}) %s AND t.gone_at IS NULL AND t.digest IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM harvested_digests d WHERE d.digest = t.digest)
"""
_UNHARVESTED = f"SELECT t.repository_id, t.name, t.digest {_OF_UNHARVESTED}"
_ALL_UNHARVESTED = f"SELECT t.repository_id, count(DISTINCT t.digest) {_OF_UNHARVESTED % ''} GROUP BY t.repository_id"
_LATEST = "AND t.name = 'latest'"
_UNPULLED = """
    SELECT DISTINCT i.id, t.name FROM repositories r JOIN tags t ON t.repository_id = r.id
    JOIN tag_images ti ON ti.tag_id = t.id JOIN images i ON i.id = ti.image_id
    WHERE r.full_name IN ({values}) %s AND t.gone_at IS NULL AND i.kind = 'image' AND i.config_digest IS NULL
"""
_MEMBERS = """
    SELECT namespace, full_name FROM repositories WHERE namespace IN ({values}) AND gone_at IS NULL
    ORDER BY namespace, last_updated DESC NULLS LAST, name DESC
"""
_REPORTED = """
    SELECT subject, reported_count FROM listings WHERE id IN (
        SELECT max(id) FROM listings WHERE kind = {} AND subject IN ({values}) AND reported_count IS NOT NULL GROUP BY subject)
"""
_HITS = Statement(
    "query",
    """
    SELECT n.name FROM listing_names n WHERE n.listing_id = (
        SELECT max(id) FROM listings WHERE kind = 'search' AND subject = :query AND finished_at IS NOT NULL)
    """,
)
_WALKED = Statement(
    "most",
    "SELECT id, last_updated FROM repositories WHERE tags_walked_at IS NOT NULL AND gone_at IS NULL ORDER BY id DESC LIMIT :most",
)
_PUSHED = """
    SELECT repository_id, name, digest, COALESCE(last_pushed, last_updated) FROM tags
    WHERE repository_id IN ({values}) AND gone_at IS NULL
"""
_WALKED_AGAIN = Statement(
    "since back most",
    """
    SELECT l.repository_id, l.started_at, l.finished_at FROM listings l
    WHERE l.kind = 'tags' AND l.id > (SELECT max(id) FROM listings) - :back AND l.started_at >= :since
        AND l.repository_id IS NOT NULL AND l.finished_at IS NOT NULL AND EXISTS (SELECT 1 FROM listings b
            WHERE b.kind = 'tags' AND b.subject = l.subject AND b.id < l.id AND b.subject_updated <> l.subject_updated)
    ORDER BY l.id DESC LIMIT :most
    """,
)
_MOVED = Statement(
    "repository_id low high",
    """
    SELECT t.name, h.digest FROM tags t JOIN tag_history h ON h.tag_id = t.id AND h.seen_from >= :low AND h.seen_from <= :high
    WHERE t.repository_id = :repository_id AND h.digest IS NOT NULL
    """,
)


@dataclass(frozen=True, slots=True)
class Usual:
    """What a repository is like whose tags were walked, on the average; null: none was."""

    tags: float | None
    digests: float | None
    """Distinct digests whose layers are wanted."""
    moved: float | None
    """Those of them that were new, per repository and pass that found it pushed to."""


def facts_of(connection: Connection, names: Iterable[str], args: Args, now: Moment) -> list[Facts]:
    """The facts of those repositories that are known, be it that they are not there. `args` has what is wanted of each."""
    wanted = list(dict.fromkeys(names))
    is_whole = TagPolicy(args.tags).is_whole
    rows = {row[1]: row for row in select_in(connection, _REPOSITORIES, wanted)}
    found = [
        Facts(full_name=row[0], is_there=False)
        for row in select_in(connection, _ABSENT, [name for name in wanted if name not in rows])
    ]
    start = now.seconds - LOOKED_BACK_S
    changes = {row[0]: row for row in select_in(connection, _CHANGES, list(rows), first=(instant(start),))}
    walks = {} if is_whole else _walks(connection, list(rows), args)
    ids = [int(row[0]) for row in rows.values()]
    counts = {row[0]: row for row in select_in(connection, _TAGS, ids, first=(instant(start),))}
    holes = {row[0]: int(row[1]) for row in select_in(connection, _HOLES, ids)}
    unharvested = _unharvested(connection, ids, LayerPolicy(args.layers))
    for full_name, row in rows.items():
        repository, _, gone_at, detailed_at, modified, detail_modified, updated, walked_at, walked_updated, seen_at = (
            row
        )
        last = seconds_of(text_of(seen_at))
        pushes, watched = _watched(changes.get(full_name), last, start)
        walked = (walked_updated, None) if is_whole else walks.get(full_name, (None, None))
        is_walked = walked_at is not None if is_whole else full_name in walks
        count = counts.get(repository, (repository, 0, 0, 0))
        found.append(
            Facts(
                full_name=full_name,
                is_there=gone_at is None,
                tags=int(count[2]),
                is_detailed=detailed_at is not None,
                is_modified=modified is None or modified != detail_modified,
                modified_days=None if modified is None else (last - seconds_of(text_of(modified))) / DAY_S,
                is_walked=is_walked,
                has_news=is_walked and (updated is None or updated != walked[0]),
                days=max(0.0, (now.seconds - last) / DAY_S),
                pushes=pushes,
                watched_days=watched,
                rows=walked[1],
                lost=int(count[3]),
                holes=holes.get(repository, 0),
                unharvested=unharvested.get(repository, 0),
            )
        )
    return found


def unpulled(connection: Connection, names: Iterable[str], layers: LayerPolicy) -> int:
    """Stored images behind tags whose layers are wanted of which no manifest was pulled."""
    if layers.text == "none":
        return 0
    rows = select_in(connection, _UNPULLED % _narrowed(layers), list(dict.fromkeys(names)))
    return len({row[0] for row in rows if layers.wants(row[1])})


def usual(connection: Connection, layers: LayerPolicy, now: Moment) -> Usual:
    """What the repositories are like that were walked last."""
    walked = {int(row[0]): row[1] for row in _WALKED.all(connection, (SAMPLED,))}
    if not walked:
        return Usual(None, None, None)
    rows = select_in(connection, _PUSHED, list(walked))
    of_repository: dict[int, set[str]] = {}
    pushed_last: set[tuple[int, str]] = set()
    for repository, name, digest, pushed in rows:
        if digest is None or not layers.wants(name):
            continue
        of_repository.setdefault(repository, set()).add(digest)
        updated = walked[repository]
        if (
            pushed is not None
            and updated is not None
            and seconds_of(text_of(updated)) - seconds_of(text_of(pushed)) <= TOGETHER_S
        ):
            pushed_last.add((repository, digest))
    digests = sum(len(found) for found in of_repository.values())
    moved = _moved(connection, layers, now)
    dated = sum(updated is not None for updated in walked.values())
    if moved is None and dated:
        # No push was seen yet: what was pushed together the last time will be so again.
        moved = len(pushed_last) / dated
    return Usual(len(rows) / len(walked), digests / len(walked), moved)


def detailed(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of the repositories whose details are stored."""
    sql = "SELECT full_name FROM repositories WHERE detailed_at IS NOT NULL AND full_name IN ({values})"
    return {row[0] for row in select_in(connection, sql, names)}


def members(connection: Connection, namespaces: Sequence[str]) -> dict[str, list[str]]:
    """Repositories of these namespaces that are stored and not gone, those that were pushed to last first."""
    found: dict[str, list[str]] = {}
    for namespace, full_name in select_in(connection, _MEMBERS, list(namespaces)):
        found.setdefault(namespace, []).append(full_name)
    return found


def reported(connection: Connection, kind: str, subjects: Sequence[str]) -> dict[str, int]:
    """What the far end last said to be the length of these lists."""
    return {row[0]: int(row[1]) for row in select_in(connection, _REPORTED, list(subjects), first=(kind,))}


def hits(connection: Connection, query: str) -> list[str]:
    """The repositories that the last walk of a search met."""
    return [row[0] for row in _HITS.all(connection, (query,))]


def _watched(row: Sequence[Any] | None, last_seen: int, start: int) -> tuple[int, float]:
    """Passes that found a repository pushed to, and the days in which they looked, by the walks of its tags."""
    if row is None:
        return 0, 0.0
    _, distinct, earliest, begun = row
    first = seconds_of(text_of(begun))
    if first < start:
        return int(distinct), max(0, last_seen - start) / DAY_S
    # The first walk found no change, but the dates tell of the day before it, which nobody watched.
    is_recent = earliest is not None and 0 <= first - seconds_of(text_of(earliest)) < DAY_S
    return max(0, int(distinct) - 1) + is_recent, max(0, last_seen - first) / DAY_S + 1


def _walks(connection: Connection, names: Sequence[str], args: Args) -> dict[str, tuple[object, int | None]]:
    """Of each repository that was walked by this very policy: its `last_updated` then, and how long the list was."""
    keys = [
        walk_key("tags.page", msgspec.structs.replace(args, subject=name, oldest_first=is_oldest_first))
        for name in names
        for is_oldest_first in (False, True)
    ]
    rows = select_in(connection, _WALKS, keys)
    return {row[0]: (row[1], None if row[2] is None else int(row[2])) for row in rows}


def _unharvested(connection: Connection, ids: Sequence[int], layers: LayerPolicy) -> dict[int, int]:
    """Of each repository the distinct digests whose layers are wanted and were never asked for."""
    if layers.text == "none":
        return {}
    if layers.text == "all":
        return {int(row[0]): int(row[1]) for row in select_in(connection, _ALL_UNHARVESTED, ids)}
    found: dict[int, set[str]] = {}
    for repository, name, digest in select_in(connection, _UNHARVESTED % _narrowed(layers), ids):
        if layers.wants(name):
            found.setdefault(int(repository), set()).add(digest)
    return {repository: len(digests) for repository, digests in found.items()}


def _narrowed(layers: LayerPolicy) -> str:
    return _LATEST if layers.text == "latest" else ""


def _moved(connection: Connection, layers: LayerPolicy, now: Moment) -> float | None:
    """New wanted digests per walk that found something pushed; null where none did."""
    since = instant(now.seconds - LOOKED_BACK_S)
    walks = _WALKED_AGAIN.all(connection, (since, 100_000, SAMPLED))
    moved = 0
    for repository, began, ended in walks:
        row = (repository, seconds_of(text_of(began)), seconds_of(text_of(ended)))
        moved += len({digest for name, digest in _MOVED.all(connection, row) if layers.wants(name)})
    return moved / len(walks) if walks else None
