"""Pages of a search: every hit is a repository to look at. Rank 4."""

from __future__ import annotations

from harvester.errors import CredentialsRefused, Denied, Gone, Walled
from harvester.handlers.walks import drifted, following, goes_in_circles, step
from harvester.jobs import Harvest, Job, repositories, search_page
from harvester.records import RepositorySeen
from harvester.wire.hub import Hub


async def page(job: Job, hub: Hub) -> Harvest:
    """One page of hits, the jobs for each of them and for the next page (wire reference, 8.1)."""
    args = job.args
    try:
        found = await hub.search_page(args.subject, page_query=args.query)
    except Walled:
        return Harvest(records=(step(job, stop_reason="wall", signed_in=hub.signed_in),))
    except Gone:
        if args.page == 1:
            raise
        return Harvest(records=(step(job, stop_reason="end"),))
    except CredentialsRefused:
        raise
    except Denied:
        # Past its window the search answers 403 to some and 404 to others (wire reference, 3.3).
        if args.page == 1:
            raise
        return Harvest(records=(step(job, stop_reason="wall", signed_in=hub.signed_in, is_wall_certain=False),))
    names = [row.full_name for row in found.rows]
    circles = goes_in_circles(args.page, found.reported_count)
    more = None if circles else found.next_page
    walk = step(
        job,
        names=names,
        reported_count=found.reported_count,
        refused=len(found.refused),
        stop_reason=None if more else "error" if circles else "end",
        next_page=more,
        signed_in=hub.signed_in,
    )
    # A hit shows its counts (wire reference, 8.1).
    shown = () if args.depth == "counts" else tuple(dict.fromkeys(names))
    hits = repositories(args, [(name, None, None) for name in shown])
    return Harvest(
        records=(
            *(RepositorySeen(repository=row) for row in found.rows),
            walk,
            *drifted(args.subject, job.key, found.refused),
        ),
        follow_ups=(*hits, *((search_page(following(args, more, rows=len(names))),) if more else ())),
    )
