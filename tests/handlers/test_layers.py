"""The layers behind a digest, from the Hub and from the registry."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.errors import Gone, Unavailable
from harvester.handlers import handle
from harvester.jobs import Harvest
from harvester.names import RepositoryName
from harvester.records import Absent, Drifted, Image, Layer, LayersSeen, Platform
from tests.handlers.far_end import FarEnd, digest, job, page, refused

pytestmark = pytest.mark.anyio

NGINX = "library/nginx"


def image(number: int, **changes: Any) -> Image:
    values: dict[str, Any] = {"digest": digest(number), "kind": "image"} | changes
    return Image(platform=Platform(**values), layers=(Layer(digest(50), 1, "RUN"),), layers_from="hub")


async def ask(answer: object, **args: Any) -> tuple[Harvest, FarEnd]:
    far_end = FarEnd(answer)
    asked = job("images", NGINX, **({"tag": "latest", "digest": digest(1)} | args))
    return await handle(asked, far_end.clients), far_end


async def test_every_image_of_the_tag_is_kept_under_the_digest_that_was_asked_for() -> None:
    harvest, far_end = await ask(page(image(2), image(3)))
    assert far_end.asked == [((RepositoryName("library", "nginx"), "latest"), {})]
    assert harvest == Harvest(
        records=(LayersSeen(repository=NGINX, tag="latest", tag_digest=digest(1), images=(image(2), image(3))),)
    )


async def test_images_of_a_tag_that_moved_are_kept_as_they_are_and_the_store_decides() -> None:
    harvest, _ = await ask(page(image(8), image(9)))
    [record] = harvest.records
    assert isinstance(record, LayersSeen)
    assert (record.tag_digest, [one.platform.digest for one in record.images]) == (digest(1), [digest(8), digest(9)])


async def test_no_pull_follows_unless_pulls_are_allowed() -> None:
    harvest, _ = await ask(page(image(2)))
    assert harvest.follow_ups == ()


async def test_where_pulls_are_allowed_one_follows_for_each_image_and_none_for_attestations() -> None:
    rows = (image(2), image(3, kind="attestation", os="unknown"), image(4, kind="artifact"), image(5))
    harvest, _ = await ask(page(*rows), pulls=True)
    assert [(follow.kind, follow.args.digest) for follow in harvest.follow_ups] == [
        ("manifest", digest(2)),
        ("manifest", digest(5)),
    ]
    [record] = harvest.records
    assert isinstance(record, LayersSeen)
    assert [one.platform.kind for one in record.images] == ["image", "attestation", "artifact", "image"]


async def test_refused_images_leave_evidence() -> None:
    harvest, _ = await ask(page(image(2), refused=(refused(1), refused(2))))
    assert len([record for record in harvest.records if isinstance(record, Drifted)]) == 2


async def test_a_404_of_the_images_asks_the_tag_itself_and_calls_nothing_absent() -> None:
    harvest, _ = await ask(Gone(status=404))
    assert not [record for record in harvest.records if isinstance(record, Absent)]
    assert [(follow.kind, follow.args.tag, follow.args.layers) for follow in harvest.follow_ups] == [
        ("tag", "latest", "none")
    ]


async def test_a_failure_is_no_empty_answer() -> None:
    with pytest.raises(Unavailable):
        await ask(Unavailable())


async def test_a_manifest_is_kept_without_a_tag_s_digest() -> None:
    found = image(2)
    far_end = FarEnd(found)
    harvest = await handle(job("manifest", NGINX, digest=digest(2), pulls=True), far_end.clients)
    assert harvest == Harvest(records=(LayersSeen(repository=NGINX, tag_digest=None, images=(found,)),))
    [(named, options)] = far_end.asked
    assert (named[1], options["platform_hint"].digest) == (digest(2), digest(2))


async def test_a_manifest_that_is_not_there_says_nothing_of_the_tag() -> None:
    harvest = await handle(job("manifest", NGINX, digest=digest(2)), FarEnd(Gone(status=404)).clients)
    assert harvest == Harvest()
