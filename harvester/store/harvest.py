"""What handlers found, turned into rows: one function per record. Rank 3. Runs inside the writer's transaction."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection

from harvester.jobs import Harvest, Job, NewJob, tag_names, walk_key
from harvester.jobs import repositories as jobs_of
from harvester.records import (
    Absent,
    Drifted,
    LayersSeen,
    NamesSeen,
    Repository,
    RepositorySeen,
    Tag,
    TagsSeen,
    WalkStep,
)
from harvester.store import vanishing, walls
from harvester.store.absences import store_absence
from harvester.store.census import after_census, close_missing, store_names, with_census
from harvester.store.drifts import store_drifts
from harvester.store.freshness import layers_of_stored
from harvester.store.layers import store_layers
from harvester.store.listings import open_walk, record_step
from harvester.store.moment import DAY_S, Moment
from harvester.store.repositories import repository_id, seen_earlier, store_repositories
from harvester.store.statements import Statement
from harvester.store.stops import tags_stop, wall_stop
from harvester.store.tags import store_tags
from harvester.store.walk_events import tell_cut_short, tell_new

_SEEN_BY_NAME = Statement(
    "namespace name full_name is_official seen",
    """
    INSERT INTO repositories (namespace, name, full_name, is_official, first_seen_at, last_seen_at)
    VALUES (:namespace, :name, :full_name, :is_official, :seen, :seen) ON CONFLICT (full_name) DO NOTHING
    """,
)


@dataclass(slots=True)
class Stored:
    """What became of one job's harvest."""

    follow_ups: tuple[NewJob, ...]
    """What follows, now that the store has added what only it can know."""
    counts: Counter[str] = field(default_factory=Counter)
    """For the summary."""


def store_harvest(
    connection: Connection, job: Job, harvest: Harvest, seen: Moment, pull_interval_s: int = DAY_S
) -> Stored:
    """Keep every record of one job; of each `pull_interval_s` seconds one observation of a pull count, at 0 every one."""
    stored = Stored(harvest.follow_ups)
    counts = stored.counts
    walk: WalkStep | None = None
    names: NamesSeen | None = None
    repositories: list[Repository] = []
    tags: list[TagsSeen] = []
    drifts: list[Drifted] = []
    for record in harvest.records:
        match record:
            case RepositorySeen(repository=repository):
                repositories.append(repository)
            case TagsSeen():
                tags.append(record)
            case NamesSeen():
                names = record
            case WalkStep():
                walk = record
            case LayersSeen():
                counts["images"] += store_layers(connection, record, seen)
                counts["without_layers"] += not any(image.layers for image in record.images)
            case Absent():
                asked = store_absence(connection, record, seen, fresh_after=job.fresh_after)
                stored.follow_ups += jobs_of(job.args, [(name, None, None) for name in asked])
                counts["absent"] += 1
            case Drifted():
                drifts.append(record)
    new: frozenset[str] = frozenset()
    if repositories:
        new = store_repositories(connection, repositories, seen, pull_interval_s)
        for repository in repositories:
            counts["repositories" if repository.source == "detail" else "listed"] += 1
    if walk is not None:
        _store_walk(connection, job, harvest, walk, tags, names, new, stored, seen)
    else:
        for record in tags:
            known = _known_id(connection, record.repository, seen)
            counts["tags"] += store_tags(connection, known, record.tags, seen, source=record.source).stored
    store_drifts(connection, drifts, seen)
    counts["refused"] += len(drifts)
    if job.kind == "repository":
        stored.follow_ups = tuple(with_census(connection, stored.follow_ups, fresh_after=job.fresh_after))
    return stored


def _store_walk(
    connection: Connection,
    job: Job,
    harvest: Harvest,
    walk: WalkStep,
    pages: list[TagsSeen],
    names: NamesSeen | None,
    new: frozenset[str],
    stored: Stored,
    seen: Moment,
) -> None:
    """One page of a walk: its rows, where the walk stands after it, and what follows from that."""
    is_of_tags = walk.kind in ("tags", "tag_names")
    known: int | None = None
    if is_of_tags:
        is_any = bool(pages) or names is not None
        known = _known_id(connection, walk.subject, seen) if is_any else repository_id(connection, walk.subject)
    opened = open_walk(connection, walk, known, seen)
    tell_new(connection, walk, new, seen)
    shown: list[Tag] = []
    changed: frozenset[str] = frozenset()
    for page in pages:
        assert known is not None
        found = store_tags(connection, known, page.tags, seen, source=page.source)
        stored.counts["tags"] += found.stored
        shown += page.tags
        changed |= found.changed
    walls.learn(connection, walk, seen, is_served=bool(shown or walk.names))
    if names is not None:
        assert known is not None
        stored.counts["names"] += store_names(connection, names, known, job.args, seen)
        stored.follow_ups += after_census(connection, job.args, known, job.fresh_after)
    if is_of_tags:
        stop = tags_stop(connection, job.args, walk, opened.listing_id, known, shown, changed, seen)
    else:
        stop = wall_stop(connection, walk, seen)
    if stop is not None:
        walk = msgspec.structs.replace(walk, stop_reason=stop.reason, next_page=None)
        following = walk_key(job.kind, job.args) + ":"
        stored.follow_ups = tuple(new for new in stored.follow_ups if not new.key.startswith(following))
        stored.follow_ups += harvest.otherwise
        if stop.reason in ("known", "policy"):
            # The layers of what this walk left out may be wanted for the first time.
            stored.follow_ups += layers_of_stored(connection, job.args)
    if walk.stop_reason == "wall" and (job.args.only or job.args.name_filter is not None):
        # Nobody expected the end of a walk for a part of the list.
        walk = msgspec.structs.replace(walk, stop_reason="policy")
    met_all_since = record_step(
        connection,
        opened,
        walk,
        seen,
        names=[tag.name for tag in shown] if is_of_tags else walk.names,
        repository_id=known,
        is_all_known=stop is not None and stop.is_complete,
    )
    if met_all_since is not None and known is not None:
        close_missing(connection, known, walk.subject, met_all_since, seen)
    if walk.stop_reason is not None and not job.args.only and job.args.name_filter is None:
        tell_cut_short(connection, walk, opened.listing_id, seen)
    if walk.kind == "namespace" and walk.stop_reason == "end":
        asked = vanishing.after_list(
            connection,
            walk.subject,
            opened.listing_id,
            is_account=walk.identity == "account",
            fresh_after=job.fresh_after,
            seen=seen,
        )
        stored.follow_ups += jobs_of(job.args, [(name, None, None) for name in asked])
    if walk.kind == "tags" and walk.stop_reason == "wall":
        # What lies beyond the wall has names at least.
        stored.follow_ups += (tag_names(msgspec.structs.replace(job.args, page=1, query=None, rows=0)),)


def _known_id(connection: Connection, full_name: str, seen: Moment) -> int:
    """The repository's id; a row is made where its tags are known before its detail."""
    known = repository_id(connection, full_name)
    if known is None:
        namespace, _, name = full_name.partition("/")
        _SEEN_BY_NAME.run(connection, (namespace, name, full_name, namespace == "library", seen.text))
        known = repository_id(connection, full_name)
        assert known is not None
    else:
        seen_earlier(connection, full_name, seen)
    return known
