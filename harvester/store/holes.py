"""Holes of a repository's tag list, filled slice by slice: what the next requests are is planned when the job is claimed. Rank 3.

Nothing of a plan is kept: each slice is planned from the rows as they are, so a restart, a push or a deletion changes no more than
the next slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from harvester.filling import Plan, Step, plan
from harvester.jobs import Args, Fill, Job, NewJob, holes, tag, tags_page
from harvester.policy import TagPolicy
from harvester.store import walls
from harvester.store.census import live_tags
from harvester.store.moment import Moment
from harvester.store.repositories import repository_id
from harvester.store.statements import Statement

SLICE = 100
"""Requests of one slice."""

_LIVE = Statement(
    "repository_id", "SELECT name, is_name_only FROM tags WHERE repository_id = :repository_id AND gone_at IS NULL"
)
_CENSUS = Statement(
    "subject fresh_after",
    """
    SELECT reported_count FROM listings WHERE kind = 'tag_names' AND subject = :subject AND stop_reason = 'end'
        AND started_at >= :fresh_after ORDER BY id DESC LIMIT 1
    """,
)
_WALK_KEY = Statement(
    "subject",
    """
    SELECT l.walk_key, l.stop_reason, l.subject_updated = r.tags_last_updated FROM listings l
    JOIN repositories r ON r.full_name = l.subject
    WHERE l.kind = 'tags' AND l.subject = :subject AND l.stop_reason <> 'policy' AND l.walk_key NOT LIKE '%\\:filter %'
    ORDER BY l.id DESC LIMIT 1
    """,
)
_ALL_KNOWN = Statement(
    "subject repository_id seen count walk_key yes",
    """
    INSERT INTO listings (kind, subject, repository_id, started_at, finished_at, reported_count, first_count, rows, refused,
        stop_reason, is_complete, walk_key)
    VALUES ('tags', :subject, :repository_id, :seen, :seen, :count, :count, :count, 0, 'known', :yes, :walk_key)
    """,
)


_OF_RUN = Statement(
    "run_id most low high",
    """
    SELECT r.full_name FROM (SELECT DISTINCT repository_id FROM tags WHERE is_name_only AND gone_at IS NULL) h
    JOIN repositories r ON r.id = h.repository_id
    WHERE EXISTS (SELECT 1 FROM jobs j JOIN run_jobs l ON l.job_id = j.id AND l.run_id = :run_id
        WHERE j.key > 'tag_names:' || r.full_name || :low AND j.key < 'tag_names:' || r.full_name || :high)
    ORDER BY r.full_name LIMIT :most
    """,
)


@dataclass(frozen=True, slots=True)
class Holes:
    """Tags of one repository that are known by name only, and what it would cost to know them whole."""

    full_name: str
    holes: int
    requests: int
    why: str


def next_slice(connection: Connection, job: Job, now: Moment) -> tuple[NewJob, ...]:
    """The jobs of the next slice and the job for the slice after it; none where nothing is left, or nothing was gained."""
    args = job.args
    repository = repository_id(connection, args.subject)
    if repository is None:
        return ()
    found = plan_of(connection, args, now, most=SLICE)
    if not found.steps:
        _close(connection, args.subject, repository, now, job.fresh_after)
        return ()
    # The other order, which comes first, may show nothing new: filters are for all of it.
    if args.page > 2 and found.holes >= args.rows:
        return ()
    walk = _WALK_KEY.first(connection, (args.subject,))
    is_turned = walk is not None and ":oldest" in str(walk[0])
    made: list[NewJob] = []
    spent = 0
    for step in found.steps:
        if spent and spent + step.requests > SLICE:
            break
        spent += step.requests
        made.append(_job(args, step, is_turned=is_turned))
        if step.way == "opposite":
            # What it shows nobody knows beforehand: the rest is planned when it is stored.
            break
    return (*made, holes(msgspec.structs.replace(args, page=args.page + 1, rows=found.holes)))


def plan_of(connection: Connection, args: Args, now: Moment, *, most: int | None = None) -> Plan:
    """How the holes of a repository would be filled now; with `most` only the steps that make about so many requests."""
    repository = repository_id(connection, args.subject)
    rows = [] if repository is None else _LIVE.all(connection, (repository,))
    policy = TagPolicy(args.tags)
    missing = {name for name, is_hole in rows if is_hole and not policy.newest and policy.wants(name)}
    wall = walls.standing(connection, "tags", args.fill or "anonymous", now)
    return plan([row[0] for row in rows], missing, wall=wall, is_first=args.page == 1, most=most)


def holes_of_run(connection: Connection, run_id: int, fill: Fill, now: Moment, *, most: int = 20) -> list[Holes]:
    """The holes that a run leaves, of so many repositories."""
    found = []
    for (full_name,) in _OF_RUN.all(connection, (run_id, most, ":", ";")):
        how = plan_of(connection, Args(subject=full_name, fill=fill), now)
        found.append(Holes(full_name, how.holes, how.requests, how.why))
    return found


def _job(args: Args, step: Step, *, is_turned: bool) -> NewJob:
    """The job of one step; `is_turned`: the far end's orders are the other way round."""
    if step.way == "single":
        return tag(Args(subject=args.subject, tag=step.piece, layers=args.layers, pulls=args.pulls))
    walk = msgspec.structs.replace(
        args, page=1, query=None, rows=0, name_filter=step.piece, oldest_first=(step.way == "opposite") != is_turned
    )
    return tags_page(walk)


def _close(connection: Connection, subject: str, repository: int, now: Moment, fresh_after: str) -> None:
    """Where the census and the tags agree and none is a hole, the list is known whole, though no walk could see its end."""
    census, walk = _CENSUS.first(connection, (subject, fresh_after)), _WALK_KEY.first(connection, (subject,))
    live, name_only = live_tags(connection, repository)
    if (
        census is None
        or walk is None
        or name_only
        or live != census[0]
        or walk[1] not in ("wall", "known")
        or not walk[2]
    ):
        return
    _ALL_KNOWN.run(connection, (subject, repository, now.text, live, walk[0], True))
