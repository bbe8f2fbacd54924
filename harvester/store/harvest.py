"""What handlers found, turned into rows: one function per record. Rank 3. Runs inside the writer's transaction."""

from __future__ import annotations

import json
from collections import Counter

from sqlalchemy import Connection

from harvester.jobs import Harvest
from harvester.records import Absent, Drifted, LayersSeen, Repository, RepositorySeen, TagsSeen, WalkStep
from harvester.store.absences import store_absence
from harvester.store.layers import store_layers
from harvester.store.listings import open_walk, record_step
from harvester.store.moment import Moment
from harvester.store.repositories import repository_id, store_repositories
from harvester.store.statements import Statement
from harvester.store.tags import store_tags

_DRIFT = Statement(
    "seen repository detail",
    """
    INSERT INTO events (observed_at, kind, repository_id, detail)
    VALUES (:seen, 'drift', (SELECT id FROM repositories WHERE full_name = :repository), :detail)
    """,
)

_SEEN_BY_NAME = Statement(
    "namespace name full_name is_official seen",
    """
    INSERT INTO repositories (namespace, name, full_name, is_official, first_seen_at, last_seen_at)
    VALUES (:namespace, :name, :full_name, :is_official, :seen, :seen) ON CONFLICT (full_name) DO NOTHING
    """,
)


def store_harvest(connection: Connection, harvest: Harvest, seen: Moment, *, fresh_after: str) -> Counter[str]:
    """Keep every record of one job; counts of what was stored, for the summary."""
    counts: Counter[str] = Counter()
    walk: WalkStep | None = None
    repositories: list[Repository] = []
    tags: list[TagsSeen] = []
    drifts: list[Drifted] = []
    for record in harvest.records:
        match record:
            case RepositorySeen(repository=repository):
                repositories.append(repository)
            case TagsSeen():
                tags.append(record)
            case WalkStep():
                walk = record
            case LayersSeen():
                counts["images"] += store_layers(connection, record, seen)
                counts["without_layers"] += not any(image.layers for image in record.images)
            case Absent():
                store_absence(connection, record, seen, fresh_after=fresh_after)
                counts["absent"] += 1
            case Drifted():
                drifts.append(record)
    if repositories:
        store_repositories(connection, repositories, seen)
        for repository in repositories:
            counts["repositories" if repository.source == "detail" else "listed"] += 1
    if walk is not None and walk.kind in ("tags", "tag_names"):
        counts["tags"] += _store_tag_walk(connection, walk, tags, seen)
    else:
        for record in tags:
            known = _known_id(connection, record.repository, seen)
            counts["tags"] += store_tags(connection, known, record.tags, seen, source=record.source)
        if walk is not None:
            opened = open_walk(connection, walk, None, seen)
            record_step(connection, opened, walk, seen, names=walk.names, repository_id=None)
    for drifted in drifts:
        _store_drift(connection, drifted, seen)
    counts["refused"] += len(drifts)
    return counts


def _store_tag_walk(connection: Connection, walk: WalkStep, pages: list[TagsSeen], seen: Moment) -> int:
    known = _known_id(connection, walk.subject, seen) if pages else repository_id(connection, walk.subject)
    opened = open_walk(connection, walk, known, seen)
    stored = 0
    for page in pages:
        assert known is not None
        stored += store_tags(connection, known, page.tags, seen, source=page.source)
    names = [tag.name for page in pages for tag in page.tags]
    record_step(connection, opened, walk, seen, names=names, repository_id=known)
    return stored


def _known_id(connection: Connection, full_name: str, seen: Moment) -> int:
    """The repository's id; a row is made where its tags are known before its detail."""
    known = repository_id(connection, full_name)
    if known is None:
        namespace, _, name = full_name.partition("/")
        _SEEN_BY_NAME.run(connection, (namespace, name, full_name, namespace == "library", seen.text))
        known = repository_id(connection, full_name)
        assert known is not None
    return known


def _store_drift(connection: Connection, drifted: Drifted, seen: Moment) -> None:
    detail = {
        "subject": drifted.subject,
        "asked": drifted.url,
        "path": drifted.refused.path,
        "reason": drifted.refused.reason,
        "sample": drifted.refused.sample,
    }
    _DRIFT.run(connection, (seen.text, drifted.subject, json.dumps(detail, ensure_ascii=True)))
