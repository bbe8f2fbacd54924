"""One platform manifest and its config from the registry: what the Hub does not tell. A pull. Rank 4."""

from __future__ import annotations

from harvester.errors import Gone
from harvester.jobs import Harvest, Job
from harvester.names import RepositoryName
from harvester.records import LayersSeen, Platform
from harvester.wire.registry import Registry


async def pull(job: Job, registry: Registry) -> Harvest:
    """Media types, the config's digest, the time of creation and, where nobody knew them, the layers (wire reference, 17, 18)."""
    args = job.args
    assert args.digest is not None
    hint = Platform(digest=args.digest, kind="image")
    try:
        image = await registry.image(RepositoryName(*args.subject.split("/", 1)), args.digest, platform_hint=hint)
    except Gone:
        return Harvest()
    return Harvest(records=(LayersSeen(repository=args.subject, tag=None, tag_digest=None, images=(image,)),))
