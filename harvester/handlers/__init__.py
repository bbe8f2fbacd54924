"""One file per kind of job: a job and the clients in, a harvest out. Rank 4: sees `wire`, never `store`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from harvester.handlers import images, manifest, namespace, repository, search, tags
from harvester.handlers.walks import abandoned
from harvester.jobs import Harvest, Job, Kind
from harvester.wire.hub import Hub
from harvester.wire.registry import Registry

__all__ = ["Clients", "abandoned", "handle"]


@dataclass(frozen=True, slots=True)
class Clients:
    """The far ends that handlers may ask."""

    hub: Hub
    registry: Registry


_ASK_HUB: dict[Kind, Callable[[Job, Hub], Awaitable[Harvest]]] = {
    "search.page": search.page,
    "namespace.page": namespace.page,
    "repository": repository.detail,
    "tag": tags.one,
    "tags.page": tags.page,
    "images": images.of_tag,
}


async def handle(job: Job, clients: Clients) -> Harvest:
    """What the far end says about a job. Raises the errors of `errors.WireError`."""
    if job.kind == "manifest":
        return await manifest.pull(job, clients.registry)
    return await _ASK_HUB[job.kind](job, clients.hub)
