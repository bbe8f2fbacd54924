"""The names of all tags of a repository, from the registry: free, whole, and without a wall. Rank 4."""

from __future__ import annotations

from harvester.errors import CredentialsRefused, Denied, Gone, TooLarge
from harvester.handlers.walks import step
from harvester.jobs import Harvest, Job, after_names
from harvester.names import RepositoryName
from harvester.records import NamesSeen
from harvester.wire.registry import Registry


async def names(job: Job, registry: Registry) -> Harvest:
    """Every name there is (wire reference, 15.4). What follows from them only the store can tell: it knows the names of before.

    Where the registry does not list them the walk of the pages follows all the same.
    """
    args = job.args
    try:
        found = await registry.tag_names(RepositoryName(*args.subject.split("/", 1)))
    except CredentialsRefused:
        raise
    except Denied:
        return Harvest(records=(step(job, stop_reason="denied"),), follow_ups=after_names(args, (), has_holes=False))
    except (Gone, TooLarge):
        return Harvest(records=(step(job, stop_reason="error"),), follow_ups=after_names(args, (), has_holes=False))
    walk = step(job, reported_count=len(found), stop_reason="end")
    return Harvest(records=(NamesSeen(repository=args.subject, names=found), walk))
