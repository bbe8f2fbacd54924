"""A repository's tags: page by page, or one by name. Rank 4."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import msgspec

from harvester.errors import Gone, Walled
from harvester.handlers.walks import PAGE, drifted, following, goes_in_circles, step
from harvester.jobs import Args, Harvest, Job, after_tags, tags_page
from harvester.names import RepositoryName
from harvester.policy import TagPolicy
from harvester.records import Absent, Page, StopReason, Tag, TagsSeen
from harvester.wire.hub import Hub

NEWEST_FIRST: Final = "last_updated"
OLDEST_FIRST: Final = "-last_updated"
"""As Docker's own clients read these two; the rows of the first page decide (wire reference, 3.4)."""


async def page(job: Job, hub: Hub) -> Harvest:
    """One page of tags, the jobs for the layers that are wanted and for the next page (wire reference, 5.1 and 5.4)."""
    args = job.args
    policy = TagPolicy(args.tags)
    left = None if policy.newest is None else policy.newest - args.rows
    try:
        found = await hub.tags_page(
            RepositoryName(*args.subject.split("/", 1)),
            page_query=args.query,
            # One row shows no direction, and of rows that a filter thins out nobody knows how many it takes.
            page_size=PAGE if left is None or policy.is_filtered else min(PAGE, max(2, left)),
            ordering=OLDEST_FIRST if args.oldest_first else NEWEST_FIRST,
            name_filter=args.name_filter or policy.name_filter,
        )
    except Walled:
        return Harvest(records=(step(job, stop_reason="wall", signed_in=hub.signed_in),))
    except Gone:
        if args.page > 1:
            return Harvest(records=(step(job, stop_reason=_ended(args)),))
        # The repository has just answered: its list is missing, not the repository.
        return Harvest(records=(step(job, stop_reason="error"),))
    is_newest_first = _is_newest_first(found.rows)
    # A walk that fills holes goes the way that it was told.
    is_cuttable = args.name_filter is None and (left is not None or found.next_page is not None)
    if args.page == 1 and not args.oldest_first and is_newest_first is False and is_cuttable:
        return Harvest(follow_ups=(tags_page(msgspec.structs.replace(args, oldest_first=True)),))
    wanted = tuple(tag for tag in found.rows if policy.wants(tag.name))
    rows = wanted[:left]
    is_cut = len(wanted) > len(rows) or (len(rows) == left and found.next_page is not None)
    more, stop = _end(found, args, is_cut=is_cut)
    walk = step(
        job,
        reported_count=found.reported_count,
        refused=len(found.refused),
        stop_reason=stop,
        next_page=more,
        signed_in=hub.signed_in,
        may_end_known=is_newest_first is not False and args.name_filter is None,
    )
    layers = after_tags(args, [(tag.name, tag.digest) for tag in rows])
    return Harvest(
        records=(
            TagsSeen(repository=args.subject, tags=rows, source="listing"),
            walk,
            *drifted(args.subject, job.key, found.refused),
        ),
        follow_ups=(*layers, *((tags_page(following(args, more, rows=len(rows))),) if more else ())),
    )


async def one(job: Job, hub: Hub) -> Harvest:
    """One tag by name and the job for its layers, if wanted (wire reference, 5.2)."""
    args = job.args
    assert args.tag is not None
    try:
        tag = await hub.tag(RepositoryName(*args.subject.split("/", 1)), args.tag)
    except Gone:
        return Harvest(records=(Absent(repository=args.subject, tag=args.tag),))
    return Harvest(
        records=(TagsSeen(repository=args.subject, tags=(tag,), source="detail"),),
        follow_ups=after_tags(args, [(tag.name, tag.digest)]),
    )


def _end(found: Page[Tag], args: Args, *, is_cut: bool) -> tuple[str | None, StopReason | None]:
    """The next page's query, or why the walk ends here."""
    if is_cut:
        return None, "policy"
    if goes_in_circles(args.page, found.reported_count):
        return None, "error"
    if found.next_page:
        return found.next_page, None
    # What a filter left out was not seen: such a walk says nothing of the whole list.
    return None, _ended(args)


def _ended(args: Args) -> StopReason:
    return "policy" if args.name_filter is not None or TagPolicy(args.tags).is_filtered else "end"


def _is_newest_first(rows: tuple[Tag, ...]) -> bool | None:
    """Which way the rows run, by the first two that differ; null when they do not tell."""
    dates = [row.last_updated for row in rows if row.last_updated]
    for before, after in pairwise(dates):
        if before != after:
            return before > after
    return None
