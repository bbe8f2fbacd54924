"""The layers behind a tag's digest, from the Hub: every platform in one request, no pull. Rank 4."""

from __future__ import annotations

import msgspec

from harvester.errors import Gone
from harvester.handlers.walks import drifted
from harvester.jobs import Harvest, Job, after_images, tag
from harvester.names import RepositoryName
from harvester.records import LayersSeen
from harvester.wire.hub import Hub


async def of_tag(job: Job, hub: Hub) -> Harvest:
    """The images of one tag with their layers and instructions (wire reference, 6)."""
    args = job.args
    assert args.tag is not None
    try:
        found = await hub.images(RepositoryName(*args.subject.split("/", 1)), args.tag)
    except Gone:
        # The path is documented nowhere: only the tag's own may say that the tag is not there.
        return Harvest(
            records=(LayersSeen(repository=args.subject, tag=args.tag, tag_digest=args.digest, images=()),),
            follow_ups=(tag(msgspec.structs.replace(args, layers="none")),),
        )
    pulls = after_images(args, [image.platform.digest for image in found.rows if image.platform.kind == "image"])
    return Harvest(
        records=(
            LayersSeen(repository=args.subject, tag=args.tag, tag_digest=args.digest, images=found.rows),
            *drifted(args.subject, job.key, found.refused),
        ),
        follow_ups=pulls,
    )
