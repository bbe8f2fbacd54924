"""One file per kind of job: a job and the clients in, a harvest out. Rank 4: sees `wire`, never `store`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from harvester.handlers import census, images, manifest, namespace, repository, search, tags
from harvester.handlers.walks import abandoned
from harvester.jobs import Harvest, Job, Kind
from harvester.names import RepositoryName
from harvester.wire.hub import Hub
from harvester.wire.registry import Registry

__all__ = ["Clients", "abandoned", "expect", "handle"]


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
_ASK_REGISTRY: dict[Kind, Callable[[Job, Registry], Awaitable[Harvest]]] = {
    "tag_names": census.names,
    "manifest": manifest.pull,
}


def expect(jobs: Iterable[Job], clients: Clients) -> None:
    """Tell the clients which jobs come soon, so that one token serves several."""
    clients.registry.expect(
        RepositoryName(*job.args.subject.split("/", 1)) for job in jobs if job.kind in _ASK_REGISTRY
    )


async def handle(job: Job, clients: Clients) -> Harvest:
    """What the far end says about a job. Raises the errors of `errors.WireError`."""
    if job.kind in _ASK_REGISTRY:
        return await _ASK_REGISTRY[job.kind](job, clients.registry)
    return await _ASK_HUB[job.kind](job, clients.hub)
