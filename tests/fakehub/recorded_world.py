"""A world of recorded official repositories.

Real: names, tags, digests, platforms, sizes, media types, layers and history lines. Made up, from a hash of the name
and so the same on every run: pull and star counts, registration and push times (the newest layer's time and a little
more), identifiers, descriptions. The bytes of indexes, manifests and config blobs were never recorded: the registry
serves documents put together from what is known under the recorded digests, so **those digests do not verify**.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fakehub.images import (
    DOCKER_CONFIG,
    INDEX_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Document,
    Image,
    Layer,
    Step,
    config_body,
    index_body,
    manifest_body,
    number_from,
)
from tests.fakehub.world import World, made_up_time

LAYER_MAKERS = ("RUN", "ADD", "COPY")


def fill(world: World, path: Path) -> None:
    """Add the repositories of one data file; names become `library/NAME`."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        repositories: dict[str, Any] = json.load(file)["repositories"]
    for name, recorded in repositories.items():
        full_name = f"library/{name}"
        world.add_repository(
            full_name,
            description=f"Official image {name}",
            pull_count=number_from(f"pulls {name}", 12_000_000_000),
            star_count=number_from(f"stars {name}", 20_000),
            date_registered=made_up_time(f"registered {name}", first_year=2013, years=2),
        )
        built: dict[str, Image] = {}
        for tag, row in recorded["tags"].items():
            for entry in row["images"]:
                digest = entry["manifest_digest"]
                if digest not in built:
                    is_oci = row["index_media_type"] == OCI_INDEX
                    built[digest] = _image(entry, recorded["manifests"][digest], is_oci=is_oci)
            _add_tag(world, full_name, tag, row, recorded["manifests"], built)


def _add_tag(
    world: World,
    full_name: str,
    tag: str,
    row: dict[str, Any],
    manifests: dict[str, Any],
    built: dict[str, Image],
) -> None:
    images = [built[entry["manifest_digest"]] for entry in row["images"]]
    index_type: str | None = row["index_media_type"]
    if index_type in INDEX_TYPES:
        document = Document(row["index_digest"], str(index_type), index_body(images, media_type=str(index_type)))
    else:
        document = images[0].manifest
    newest = max(
        (layer["last_modified"] for entry in row["images"] for layer in manifests[entry["manifest_digest"]]["layers"]),
        default=made_up_time(f"pushed {full_name}", first_year=2017, years=1),
    )
    fraction = f"{number_from(f'pushed {full_name}:{tag}', 10**6):06}".rstrip("0")
    world.push_tag(
        full_name,
        tag,
        images,
        document=document,
        digest=row["index_digest"],
        media_type=index_type or DOCKER_CONFIG,
        pushed_at=newest.rstrip("Z").partition(".")[0] + (f".{fraction}Z" if fraction else "Z"),
    )


def _image(entry: dict[str, Any], recorded: dict[str, Any], *, is_oci: bool) -> Image:
    layers = [Layer(layer["digest"], layer["size"], layer["media_type"]) for layer in recorded["layers"]]
    steps = align(recorded["history"], layers)
    platform = {"architecture": entry["architecture"], "os": entry["os"]}
    config = config_body(
        steps, platform=platform, settings={"Cmd": recorded["cmd"], "Entrypoint": recorded["entrypoint"]}
    )
    config_type = OCI_CONFIG if is_oci else DOCKER_CONFIG
    media_type = OCI_MANIFEST if is_oci else recorded["manifest_media_type"]
    descriptor: dict[str, object] = {"mediaType": config_type, "digest": recorded["config_digest"], "size": len(config)}
    return Image(
        Document(entry["manifest_digest"], media_type, manifest_body(layers, media_type=media_type, config=descriptor)),
        steps,
        recorded["config_digest"],
        config,
        entry["architecture"],
        entry["os"],
        entry.get("variant"),
        entry.get("os_version"),
        config_type,
    )


def align(history: Sequence[dict[str, Any]], layers: Sequence[Layer]) -> tuple[Step, ...]:
    """History lines with the layers put on those that made them; all layers appear, in their order.

    RUN, ADD and COPY make a layer each, WORKDIR may. When neither count fits, the layers go on the lines that could
    have made them as far as these reach, and surplus layers stand before them without an instruction.
    """
    for makers in (LAYER_MAKERS, (*LAYER_MAKERS, "WORKDIR")):
        places = [number for number, line in enumerate(history) if line["created_by"].startswith(makers)]
        if len(places) == len(layers):
            return _placed(history, dict(zip(places, layers, strict=True)))
    places = [number for number, line in enumerate(history) if line["created_by"].startswith(LAYER_MAKERS)]
    surplus = max(0, len(layers) - len(places))
    inherited = tuple(Step("", layer) for layer in layers[:surplus])
    return inherited + _placed(history, dict(zip(places, layers[surplus:], strict=False)))


def _placed(history: Sequence[dict[str, Any]], layers: dict[int, Layer]) -> tuple[Step, ...]:
    return tuple(Step(line["created_by"], layers.get(n), line["created"]) for n, line in enumerate(history))
