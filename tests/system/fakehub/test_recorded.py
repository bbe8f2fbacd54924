"""The recorded world, counted over HTTP."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from tests.fakehub import FakeHub, Limits, World
from tests.system.fakehub.asking import RECORDED, registry_token, walk


@pytest.mark.parametrize(
    ("name", "totals"),
    [("official-2018", (83, 1571, 508, 5323, 1534, 5556)), ("official-2026", (3, 8, 8, 73, 51, 98))],
)
def test_recorded_official_repositories(client: httpx.Client, name: str, totals: tuple[int, ...]) -> None:
    """Repositories, tags, tag digests, images through tags, manifests and layers, all counted over HTTP."""
    path = RECORDED / f"{name}.json.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the checkout")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        recorded = json.load(file)["repositories"]
    image_count = tag_count = 0
    tag_digests: set[str] = set()
    manifests: set[str] = set()
    layers: set[str] = set()
    with FakeHub(World.recorded(path), limits=Limits.none()) as hub:
        library = f"{hub.hub_url}/v2/namespaces/library/repositories"
        repositories = [row["name"] for row in walk(client, f"{library}?page_size=100")]
        for repository in repositories:
            for row in walk(client, f"{library}/{repository}/tags?page_size=100"):
                tag_count += 1
                image_count += len(row["images"])
                manifests.update(image["digest"] for image in row["images"])
                if row["digest"] in tag_digests:
                    continue
                tag_digests.add(row["digest"])
                url = f"{hub.hub_url}/v2/repositories/library/{repository}/tags/{row['name']}/images"
                for image in client.get(url).json():
                    found = [line["digest"] for line in image["layers"] if "digest" in line]
                    known = recorded[repository]["manifests"][image["digest"]]["layers"]
                    assert found == [layer["digest"] for layer in known]
                    assert image["size"] == sum(layer["size"] for layer in known)
                    layers.update(found)
        headers = registry_token(hub, client, f"library/{repositories[0]}")
        base = f"{hub.registry_url}/v2/library/{repositories[0]}"
        tag = client.get(f"{base}/tags/list", headers=headers).json()["tags"][0]
        assert client.get(f"{base}/manifests/{tag}", headers=headers).headers["docker-content-digest"] in tag_digests
    counted = (len(repositories), tag_count, len(tag_digests), image_count, len(manifests), len(layers))
    assert counted == totals
