"""What need not be asked, because it was stored since the pass began or cannot have changed. Rank 3.

Looked at when a job is claimed: a job whose answer is in the store is settled at once, and what would have followed from the answer
follows from the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from harvester.jobs import (
    LISTED_FROM,
    Args,
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
from harvester.policy import LayerPolicy, TagPolicy
from harvester.store.census import after_census, unexplained, with_census
from harvester.store.holes import next_slice
from harvester.store.moment import Moment, text_of
from harvester.store.queue import enqueue, is_under_way, join_walk, runs_of, settle
from harvester.store.repositories import repository_id
from harvester.store.statements import Statement, select_in

_REPOSITORY = Statement(
    "full_name",
    """
    SELECT detailed_at, detail_last_modified, last_updated, tags_walked_at, tags_last_updated
    FROM repositories WHERE full_name = :full_name
    """,
)
_ABSENCE = Statement(
    "subject fresh_after",
    "SELECT 1 FROM absences WHERE subject = :subject AND last_missing_at >= :fresh_after AND passes > 0",
)
_TAG = Statement(
    "full_name name fresh_after",
    """
    SELECT t.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id
    WHERE r.full_name = :full_name AND t.name = :name AND t.last_seen_at >= :fresh_after AND t.gone_at IS NULL
        AND t.is_name_only IS NULL
    """,
)
_TAGS = Statement(
    "full_name",
    """
    SELECT t.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id
    WHERE r.full_name = :full_name AND t.gone_at IS NULL ORDER BY t.id
    """,
)
_TAG_NAMED = Statement(
    "full_name name",
    """
    SELECT t.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id
    WHERE r.full_name = :full_name AND t.name = :name AND t.gone_at IS NULL
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
_LAST_WALK = Statement(
    "subject",
    """
    SELECT stop_reason FROM listings WHERE kind = 'tags' AND subject = :subject AND stop_reason <> 'policy'
        AND walk_key NOT LIKE '%\\:filter %' ORDER BY id DESC LIMIT 1
    """,
)
# A page may have lacked a row: a walk that saw less than the far end counts is made once more, and believed when it sees the same.
_SAME_WALK = Statement(
    "walk_key updated yes",
    """
    SELECT l.id FROM listings l WHERE l.walk_key = :walk_key AND l.subject_updated = :updated
        AND (l.stop_reason IN ('policy', 'known', 'wall') OR (l.stop_reason = 'end' AND (l.is_complete = :yes OR EXISTS (
            SELECT 1 FROM listings o WHERE o.walk_key = l.walk_key AND o.subject_updated = l.subject_updated AND o.id < l.id
                AND o.stop_reason = 'end' AND o.rows = l.rows AND o.reported_count = l.reported_count))))
    ORDER BY l.id DESC LIMIT 1
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
    SELECT DISTINCT i.digest FROM tag_history h JOIN tags t ON t.id = h.tag_id AND t.digest = h.digest
    JOIN tag_images ti ON ti.tag_id = t.id JOIN images i ON i.id = ti.image_id
    WHERE h.digest = :digest AND i.kind = 'image' AND i.config_digest IS NULL ORDER BY i.digest
    """,
)


WALK_S = 5.0
"""How long a slice of holes waits before it looks again whether what may fill them is done."""


def settle_known(connection: Connection, jobs: Sequence[Job], now: Moment) -> list[Job]:
    """Settle the claimed jobs whose answers are known; the others, which have to be asked."""
    rest: list[Job] = []
    batch = {job.id for job in jobs}
    for job in jobs:
        if job.kind in ("repository", "tag", "tag_names") and _is_asked(connection, job, batch):
            settle(connection, [Settled(job, Snooze(1.0, "another job asks for this already"), now.seconds)], now)
            continue
        if job.kind == "holes" and is_under_way(connection, _walks_of(job.args.subject), job.id):
            waiting = Snooze(WALK_S, "the walks of its repository are under way")
            settle(connection, [Settled(job, waiting, now.seconds)], now)
            continue
        follow_ups = _known(connection, job, now)
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


def _walks_of(subject: str) -> list[tuple[str, str]]:
    """The ranges of the keys of all that asks for a repository's tags."""
    return [(f"{kind}:{subject}:", f"{kind}:{subject}:~") for kind in ("tag_names", "tags.page", "tag")]


def _known(connection: Connection, job: Job, now: Moment) -> Sequence[NewJob] | None:
    """What follows from the stored answer; null when there is none and the far end has to be asked."""
    args = job.args
    match job.kind:
        case "repository":
            return _known_repository(connection, job)
        case "tag":
            return _known_tag(connection, job)
        case "tag_names":
            if _WALK.first(connection, (walk_key(job.kind, args), job.fresh_after)) is None:
                return None
            return after_census(connection, args, repository_id(connection, args.subject), job.fresh_after)
        case "holes":
            return next_slice(connection, job, now)
        case "tags.page" if args.page == 1 and args.name_filter is None:
            return _known_tags(connection, job)
        case "namespace.page" if args.page == 1 and args.only and _detailed(connection, args.only) < LISTED_FROM:
            # Details that are lacking show what the list would.
            return repositories(args, [(name, None, None) for name in args.only])
        case "namespace.page" | "search.page" if args.page == 1:
            listing = _walk_under_way(connection, job)
            if listing is None:
                return None
            met = {row[0]: row for row in _MET.all(connection, (listing,))}
            wanted = args.only or tuple(met)
            if args.depth == "counts":
                wanted = tuple(name for name in wanted if name not in met)
            return repositories(args, [(name, *met.get(name, (name, None, None))[1:3]) for name in wanted])
        case "images":
            if _HARVESTED.first(connection, (args.digest,)) is None:
                return None
            return after_images(args, [row[0] for row in _IMAGES_OF_TAG.all(connection, (args.digest,))])
        case "manifest":
            return () if _DETAILED_IMAGE.first(connection, (args.digest,)) else None
        case _:
            return None


def _detailed(connection: Connection, names: Sequence[str]) -> int:
    """How many of these repositories have their details stored."""
    sql = "SELECT count(*) FROM repositories WHERE detailed_at IS NOT NULL AND full_name IN ({values})"
    return sum(int(row[0]) for row in select_in(connection, sql, names))


def _known_repository(connection: Connection, job: Job) -> Sequence[NewJob] | None:
    args = job.args
    row = _REPOSITORY.first(connection, (args.subject,))
    if row is not None:
        detailed_at, detail_modified, last_updated, _, _ = row
        is_fresh = detailed_at is not None and str(detailed_at) >= job.fresh_after
        if is_fresh or (args.modified is not None and args.modified == detail_modified):
            return with_census(
                connection, after_repository(args, args.updated or last_updated), fresh_after=job.fresh_after
            )
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
    same = (
        None if args.updated is None else _SAME_WALK.first(connection, (walk_key(job.kind, args), args.updated, True))
    )
    is_walked = args.updated is not None and walked_updated is not None and args.updated == text_of(walked_updated)
    is_same = is_walked or same is not None
    everything = args.tags == "all" and (
        is_fresh or (is_same and not args.has_news and not _can_see_more(connection, args))
    )
    listing = None if everything else _walk_under_way(connection, job)
    if not everything and listing is None and args.tags != "all" and same is not None and not args.has_news:
        listing = int(same[0])
    if not everything and listing is None:
        return None
    if args.tags == "all":
        return layers_of_stored(connection, args)
    rows = _TAGS_OF_WALK.all(connection, (args.subject, listing))
    return after_tags(args, [(row[0], row[1]) for row in rows])


def _can_see_more(connection: Connection, args: Args) -> bool:
    """Whether a walk with a login would show what no walk has shown: a wall ended the last one, or there are holes."""
    if args.fill != "account":
        return False
    row = _LAST_WALK.first(connection, (args.subject,))
    if row is not None and row[0] == "wall":
        return True
    repository = repository_id(connection, args.subject)
    return repository is not None and unexplained(connection, repository, args.subject) > 0


def layers_of_stored(connection: Connection, args: Args) -> tuple[NewJob, ...]:
    """The jobs for the layers that are wanted of the tags as they are stored."""
    layers, tags = LayerPolicy(args.layers), TagPolicy(args.tags)
    if layers.text == "none" or tags.newest:
        return ()
    if layers.text == "latest":
        rows = _TAG_NAMED.all(connection, (args.subject, "latest"))
    else:
        rows = _TAGS.all(connection, (args.subject,))
    return after_tags(args, [(row[0], row[1]) for row in rows if tags.wants(row[0])])


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
