"""One repository's detail. Rank 4."""

from __future__ import annotations

from harvester.errors import Gone
from harvester.jobs import Harvest, Job, after_repository
from harvester.names import RepositoryName
from harvester.records import Absent, RepositorySeen
from harvester.wire.hub import Hub


async def detail(job: Job, hub: Hub) -> Harvest:
    """The repository and the job for its tags; its absence when the far end says that it is not there (wire reference, 4.2)."""
    args = job.args
    name = RepositoryName(*args.subject.split("/", 1))
    try:
        found = await hub.repository(name)
    except Gone:
        return Harvest(records=(Absent(repository=args.subject),))
    return Harvest(records=(RepositorySeen(repository=found),), follow_ups=after_repository(args, found.last_updated))
