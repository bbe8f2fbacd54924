"""What need not be asked, because it was stored since the pass began or cannot have changed. Rank 3.

Looked at when a job is claimed: a job whose answer is in the store is settled at once, and what would have followed from the answer
follows from the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from harvester.jobs import (
    Done,
    Harvest,
    Job,
    NewJob,
    Settled,
    Snooze,
    after_images,
    after_repository,
    after_tags,
    repositories,
    walk_key,
)
from harvester.store.moment import Moment
from harvester.store.queue import enqueue, join_walk, runs_of, settle
from harvester.store.statements import Statement

_REPOSITORY = Statement(
    "full_name",
    """
    SELECT detailed_at, detail_last_modified, last_updated, tags_walked_at, tags_last_updated
    FROM repositories WHERE full_name = :full_name
    """,
)
_ABSENCE = Statement(
    "subject fresh_after", "SELECT 1 FROM absences WHERE subject = :subject AND last_missing_at >= :fresh_after"
)
_TAG = Statement(
    "full_name name fresh_after",
    """
    SELECT t.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id
    WHERE r.full_name = :full_name AND t.name = :name AND t.last_seen_at >= :fresh_after AND t.gone_at IS NULL
    """,
)
_TAGS = Statement(
    "full_name",
    """
    SELECT t.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id
    WHERE r.full_name = :full_name AND t.gone_at IS NULL ORDER BY t.id
    """,
)
_TAGS_OF_WALK = Statement(
    "full_name listing_id",
    """
    SELECT t.name, t.digest FROM listing_names n JOIN repositories r ON r.full_name = :full_name
    JOIN tags t ON t.repository_id = r.id AND t.name = n.name
    WHERE n.listing_id = :listing_id AND t.gone_at IS NULL ORDER BY t.id
    """,
)
_WALK = Statement(
    "walk_key fresh_after",
    """
    SELECT id, finished_at FROM listings WHERE walk_key = :walk_key AND started_at >= :fresh_after
        AND COALESCE(stop_reason, 'open') <> 'error' ORDER BY id DESC LIMIT 1
    """,
)
_MET = Statement(
    "listing_id",
    """
    SELECT n.name, r.last_updated, r.last_modified FROM listing_names n LEFT JOIN repositories r ON r.full_name = n.name
    WHERE n.listing_id = :listing_id ORDER BY n.name
    """,
)
# Another run's job for the same object under other policies: one of the two asks, the other waits for what it stores.
_ASKED = Statement(
    "low high",
    "SELECT id FROM jobs WHERE state = 'running' AND key > :low AND key < :high",
)
_HARVESTED = Statement("digest", "SELECT 1 FROM harvested_digests WHERE digest = :digest")
_DETAILED_IMAGE = Statement("digest", "SELECT 1 FROM images WHERE digest = :digest AND config_digest IS NOT NULL")
_IMAGES_OF_TAG = Statement(
    "digest",
    """
    SELECT DISTINCT i.digest FROM tags t JOIN tag_images ti ON ti.tag_id = t.id JOIN images i ON i.id = ti.image_id
    WHERE t.digest = :digest AND i.kind = 'image' AND i.config_digest IS NULL ORDER BY i.digest
    """,
)


def settle_known(connection: Connection, jobs: Sequence[Job], now: Moment) -> list[Job]:
    """Settle the claimed jobs whose answers are known; the others, which have to be asked."""
    rest: list[Job] = []
    batch = {job.id for job in jobs}
    for job in jobs:
        if job.kind in ("repository", "tag") and _is_asked(connection, job, batch):
            settle(connection, [Settled(job, Snooze(1.0, "another job asks for this already"), now.seconds)], now)
            continue
        follow_ups = _known(connection, job)
        if follow_ups is None:
            rest.append(job)
            continue
        settle(connection, [Settled(job, Done(Harvest()), now.seconds)], now)
        enqueue(connection, follow_ups, now, runs=runs_of(connection, job.id), fresh_after=job.fresh_after)
    return rest


def _is_asked(connection: Connection, job: Job, batch: set[int]) -> bool:
    """Whether a job that was claimed before this one asks for the same; of one claim, the one with the lower id asks."""
    others = {int(row[0]) for row in _ASKED.all(connection, _same_object(job))} - {job.id}
    return any(other not in batch or other < job.id for other in others)


def _same_object(job: Job) -> tuple[str, str]:
    """The range of the keys that ask for the same repository, or the same tag."""
    start = f"{job.kind}:{job.args.subject}:" + (f"{job.args.tag}:" if job.kind == "tag" else "")
    return start, start + "~"


def _known(connection: Connection, job: Job) -> Sequence[NewJob] | None:
    """What follows from the stored answer; null when there is none and the far end has to be asked."""
    args = job.args
    match job.kind:
        case "repository":
            return _known_repository(connection, job)
        case "tag":
            return _known_tag(connection, job)
        case "tags.page" if args.page == 1:
            return _known_tags(connection, job)
        case "namespace.page" | "search.page" if args.page == 1:
            listing = _walk_under_way(connection, job)
            if listing is None:
                return None
            return repositories(args, [(row[0], row[1], row[2]) for row in _MET.all(connection, (listing,))])
        case "images":
            if _HARVESTED.first(connection, (args.digest,)) is None:
                return None
            return after_images(args, [row[0] for row in _IMAGES_OF_TAG.all(connection, (args.digest,))])
        case "manifest":
            return () if _DETAILED_IMAGE.first(connection, (args.digest,)) else None
        case _:
            return None


def _known_repository(connection: Connection, job: Job) -> Sequence[NewJob] | None:
    args = job.args
    row = _REPOSITORY.first(connection, (args.subject,))
    if row is not None:
        detailed_at, detail_modified, last_updated, _, _ = row
        is_fresh = detailed_at is not None and str(detailed_at) >= job.fresh_after
        if is_fresh or (args.modified is not None and args.modified == detail_modified):
            return after_repository(args, args.updated or last_updated)
    return () if _is_absent(connection, args.subject, job.fresh_after) else None


def _known_tag(connection: Connection, job: Job) -> Sequence[NewJob] | None:
    args = job.args
    row = _TAG.first(connection, (args.subject, args.tag, job.fresh_after))
    if row is not None:
        return after_tags(args, [(row[0], row[1])])
    return () if _is_absent(connection, f"{args.subject}:{args.tag}", job.fresh_after) else None


def _known_tags(connection: Connection, job: Job) -> Sequence[NewJob] | None:
    args = job.args
    row = _REPOSITORY.first(connection, (args.subject,))
    if row is None:
        return None
    _, _, _, walked_at, walked_updated = row
    is_fresh = walked_at is not None and str(walked_at) >= job.fresh_after
    is_same = args.updated is not None and args.updated == walked_updated
    everything = args.tags == "all" and (is_fresh or is_same)
    listing = None if everything else _walk_under_way(connection, job)
    if not everything and listing is None:
        return None
    if args.tags == "all":
        rows = _TAGS.all(connection, (args.subject,))
    else:
        rows = _TAGS_OF_WALK.all(connection, (args.subject, listing))
    return after_tags(args, [(row[0], row[1]) for row in rows])


def _walk_under_way(connection: Connection, job: Job) -> int | None:
    """The listing of this very walk, begun in this pass: ended, or still open and from now on waited for."""
    walk = walk_key(job.kind, job.args)
    row = _WALK.first(connection, (walk, job.fresh_after))
    if row is None:
        return None
    is_open = row[1] is None
    if is_open and not join_walk(connection, walk, runs_of(connection, job.id), but=job.key):
        return None
    return int(row[0])


def _is_absent(connection: Connection, subject: str, fresh_after: str) -> bool:
    return _ABSENCE.first(connection, (subject, fresh_after)) is not None
