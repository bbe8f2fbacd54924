"""Pages of a namespace's repositories. Rank 4."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import msgspec

from harvester.errors import Gone, Walled
from harvester.handlers.walks import PAGE, drifted, following, goes_in_circles, offset_of, step
from harvester.jobs import Args, Harvest, Job, NewJob, namespace_page, repositories
from harvester.records import Absent, Page, Repository, RepositorySeen, StopReason
from harvester.wire.hub import Hub

LAST_BELOW_WALL = 99
"""The anonymous wall stands at offset 100: a second page of 99 begins below it and ends at 198 (wire reference, 3.5)."""


async def page(job: Job, hub: Hub) -> Harvest:
    """One page of repositories, the jobs for each of them and for the next page (wire reference, 4.1).

    Where only some repositories are wanted, the list is read as long as that is cheaper than asking for the rest by name.
    """
    args = job.args
    missing = args.missing if args.page > 1 else args.only
    alone = repositories(args, [(name, None, None) for name in missing])
    try:
        found = await hub.namespace_page(args.subject, page_query=args.query, page_size=PAGE)
    except Walled:
        return Harvest(records=(step(job, stop_reason="wall", signed_in=hub.signed_in),), follow_ups=alone)
    except Gone:
        if args.page > 1:
            return Harvest(records=(step(job, stop_reason=_whole_or("end", args)),), follow_ups=alone)
        return Harvest(records=() if args.only else (Absent(repository=f"{args.subject}/*"),), follow_ups=alone)
    more = found.next_page
    is_full = len(found.rows) + len(found.refused) == PAGE
    if more and is_full and not hub.signed_in and offset_of(more) == PAGE:
        more = _below_the_wall(more)
    rows = {row.full_name: row for row in found.rows}
    missing = tuple(name for name in missing if name not in rows)
    stop: StopReason | None = None if more else _whole_or("end", args)
    if goes_in_circles(args.page, found.reported_count):
        stop = "error"
    elif args.only and (not missing or not _is_worth_reading_on(found, args, missing)):
        stop = "policy"
    if stop is not None:
        more = None
    walk = step(
        job,
        names=[row.full_name for row in found.rows],
        reported_count=found.reported_count,
        refused=len(found.refused),
        stop_reason=stop,
        next_page=more,
        signed_in=hub.signed_in,
    )
    only = frozenset(args.only)
    wanted = [row for name, row in rows.items() if args.depth != "counts" and (not only or name in only)]
    jobs = repositories(args, [(row.full_name, row.last_updated, row.last_modified) for row in wanted])
    alone = repositories(args, [(name, None, None) for name in missing])
    return Harvest(
        records=(
            *(RepositorySeen(repository=row) for row in found.rows),
            walk,
            *drifted(args.subject, job.key, found.refused),
        ),
        follow_ups=(*jobs, *((_next(args, more, missing, rows=len(rows)),) if more else alone)),
        otherwise=alone,
    )


def _next(args: Args, query: str, missing: tuple[str, ...], *, rows: int) -> NewJob:
    return namespace_page(msgspec.structs.replace(following(args, query, rows=rows), missing=missing))


def _whole_or(reason: StopReason, args: Args) -> StopReason:
    return "policy" if args.only else reason


def _is_worth_reading_on(found: Page[Repository], args: Args, missing: tuple[str, ...]) -> bool:
    """Whether the pages that are left are no more than the repositories that are still missing."""
    left = max(0, (found.reported_count or 0) - args.rows - len(found.rows))
    return len(missing) >= max(1, -(-left // PAGE))


def _below_the_wall(query: str) -> str:
    """The second page, begun one row earlier: such a page is served whole."""
    asked = dict(parse_qsl(query)) | {"page": "2", "page_size": str(LAST_BELOW_WALL)}
    return urlencode(asked)
