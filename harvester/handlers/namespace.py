"""Pages of a namespace's repositories. Rank 4."""

from __future__ import annotations

from harvester.errors import Gone, Walled
from harvester.handlers.walks import drifted, following, goes_in_circles, step
from harvester.jobs import Harvest, Job, namespace_page, repositories
from harvester.records import Absent, RepositorySeen
from harvester.wire.hub import Hub

ANONYMOUS_PAGE = 99
"""The anonymous wall stands at offset 100: a second page of 99 still begins below it (wire reference, 3.5)."""

SIGNED_IN_PAGE = 100


async def page(job: Job, hub: Hub) -> Harvest:
    """One page of repositories, the jobs for each of them and for the next page (wire reference, 4.1)."""
    args = job.args
    page_size = SIGNED_IN_PAGE if hub.signed_in else ANONYMOUS_PAGE
    try:
        found = await hub.namespace_page(args.subject, page_query=args.query, page_size=page_size)
    except Walled:
        return Harvest(records=(step(job, stop_reason="wall"),))
    except Gone:
        if args.page > 1:
            return Harvest(records=(step(job, stop_reason="end"),))
        return Harvest(records=(Absent(repository=f"{args.subject}/*"),))
    circles = goes_in_circles(args.page, found.reported_count)
    more = None if circles else found.next_page
    walk = step(
        job,
        names=[row.full_name for row in found.rows],
        reported_count=found.reported_count,
        refused=len(found.refused),
        stop_reason=None if more else "error" if circles else "end",
        next_page=more,
    )
    rows = {row.full_name: row for row in found.rows}
    jobs = repositories(args, [(name, row.last_updated, row.last_modified) for name, row in rows.items()])
    return Harvest(
        records=(
            *(RepositorySeen(repository=row) for row in found.rows),
            walk,
            *drifted(args.subject, job.key, found.refused),
        ),
        follow_ups=(*jobs, *((namespace_page(following(args, more, rows=len(rows))),) if more else ())),
    )
