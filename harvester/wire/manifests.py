"""Registry documents into records: manifests, image configs, tag names. Rank 3; pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TypeVar

import msgspec

from harvester.errors import SAMPLE_BYTES, Drift
from harvester.names import is_digest, is_tag
from harvester.records import Image, Layer, Platform
from harvester.wire import decode, rows, shapes

Shape = TypeVar("Shape")

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.1",
)
"""Asked for every time: a type left out makes a manifest of it a 404 (wire reference, 15.2)."""
INDEX_TYPES = frozenset(MANIFEST_TYPES[:2])
CONFIG_TYPES = frozenset({"application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"})

_EMPTY_LAYER = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
_NO_OPERATION = "/bin/sh -c #(nop) "
_NO_DATES = ("1970-01-01", "1980-01-01")
"""Written by reproducible builds in place of a date (wire reference, 18)."""
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}

_manifest = msgspec.json.Decoder(shapes.Manifest, strict=False)
_config = msgspec.json.Decoder(shapes.ImageConfig, strict=False)
_v1_image = msgspec.json.Decoder(shapes.V1Image, strict=False)
_names = msgspec.json.Decoder(shapes.TagNames, strict=False)


def manifest_of(body: bytes, *, content_type: str | None, digest: str) -> shapes.Manifest:
    """The manifest that `digest` names, its bytes checked. Raises `Drift`, also for an index."""
    manifest = _read(body, _manifest, shapes.Manifest)
    sent = (content_type or "").partition(";")[0].strip().lower()
    if manifest.media_type and sent.endswith("json") and sent != "application/json" and sent != manifest.media_type:
        raise _drift("the manifest is of another media type than its header says", "$.mediaType", body)
    manifest.media_type = manifest.media_type or sent or None
    if manifest.schema_version == 1:
        # The digest is of the document without its signatures, so the bytes prove nothing (wire reference, 15.2).
        return manifest
    if not is_content(body, digest):
        raise _drift("the manifest's bytes do not have its digest", "$", body)
    if manifest.manifests is not None or manifest.media_type in INDEX_TYPES:
        raise _drift("an index in place of a platform's manifest", "$.manifests", body)
    if manifest.layers is None and manifest.config is None:
        raise _drift("a manifest without layers and without a config", "$.layers", body)
    for layer in manifest.layers or ():
        if not is_digest(layer.digest):
            raise _drift("a layer without a digest", "$.layers", body)
    return manifest


def is_content(body: bytes, digest: str) -> bool:
    """Whether `digest` is of these bytes. False also for an algorithm other than sha256 and sha512."""
    algorithm, _, value = digest.partition(":")
    made = _HASHES.get(algorithm)
    return made is not None and made(body).hexdigest() == value


def config_wanted(manifest: shapes.Manifest) -> shapes.Descriptor | None:
    """The image config to read; null for artifacts, whose config is something else (wire reference, 17.4)."""
    config = manifest.config
    if (
        config is None
        or manifest.artifact_type
        or config.media_type not in CONFIG_TYPES
        or not is_digest(config.digest)
    ):
        return None
    return config


def inline(config: shapes.Descriptor) -> bytes | None:
    """The config that the manifest carries in itself, where its digest is right (wire reference, 17.2)."""
    if not config.data:
        return None
    try:
        data = base64.b64decode(config.data, validate=True)
    except (ValueError, binascii.Error):
        return None
    return data if is_content(data, config.digest) else None


def image_of(manifest: shapes.Manifest, config_body: bytes | None, *, digest: str, hint: Platform) -> Image:
    """The image that a manifest and its config describe; `hint` is what is known of its platform. Raises `Drift`."""
    if manifest.schema_version == 1:
        return _schema_1(manifest, digest=digest, hint=hint)
    config = None if config_body is None else _read(config_body, _config, shapes.ImageConfig)
    descriptors = manifest.layers or []
    descriptor = manifest.config
    kind = hint.kind if config is not None or hint.kind != "image" else "artifact"
    platform = msgspec.structs.replace(
        hint,
        digest=digest,
        kind=kind,
        os=hint.os or (config and config.os) or None,
        architecture=hint.architecture or (config and config.architecture) or None,
        variant=hint.variant or (config and config.variant) or None,
        os_version=hint.os_version or (config and config.os_version) or None,
        size=hint.size if hint.size is not None else _sum(descriptors),
    )
    return Image(
        platform=platform,
        layers=layers_of(descriptors, (config and config.history) or []),
        layers_from="registry",
        media_type=manifest.media_type,
        config_digest=descriptor.digest if descriptor is not None and is_digest(descriptor.digest) else None,
        created_at=created_at(config.created) if config is not None else None,
    )


def layers_of(descriptors: list[shapes.Descriptor], history: list[shapes.HistoryRow | None]) -> tuple[Layer, ...]:
    """The layers with the instructions that made them, oldest first, by the mapping of the wire reference, 18.

    A history that does not fit the layers is left out; no layer ever is.
    """
    lines = [line for line in history if line is not None]
    if sum(not line.empty_layer for line in lines) != len(descriptors):
        return tuple([_layer(descriptor, "") for descriptor in descriptors])
    following = iter(descriptors)
    return tuple(
        [
            Layer(None, 0, instruction_of(line.created_by))
            if line.empty_layer
            else _layer(next(following), instruction_of(line.created_by))
            for line in lines
        ]
    )


def instruction_of(created_by: str | None) -> str:
    """An instruction as the Hub's `/images` spells it (wire reference, 6)."""
    return (created_by or "").removeprefix(_NO_OPERATION)[: rows.TEXT_CHARS]


def created_at(text: str | None) -> str | None:
    """When an image was built; null for the dates that say nothing and for text that is no instant."""
    try:
        instant = rows.instant(text)
    except ValueError:
        return None
    return None if instant is not None and instant.startswith(_NO_DATES) else instant


def tag_names_of(body: bytes) -> list[str]:
    """The names of a tag list; what cannot be a tag is left out. Raises `Drift`."""
    listing = _read(body, _names, shapes.TagNames)
    if listing.tags is None and listing.name is None:
        raise _drift("neither a name nor tags", "$.tags", body)
    return [tag for tag in listing.tags or () if tag is not None and is_tag(tag)]


def _layer(descriptor: shapes.Descriptor, instruction: str) -> Layer:
    size = descriptor.size if descriptor.size is not None and descriptor.size >= 0 else None
    return Layer(descriptor.digest, size, instruction, descriptor.media_type)


def _sum(descriptors: list[shapes.Descriptor]) -> int | None:
    sizes = [descriptor.size for descriptor in descriptors if descriptor.size is not None and descriptor.size >= 0]
    total = sum(sizes)
    return total if len(sizes) == len(descriptors) and total < 2**63 else None


def _schema_1(manifest: shapes.Manifest, *, digest: str, hint: Platform) -> Image:
    """Newest first in the document, without sizes (wire reference, 17.3)."""
    sums = [layer.blob_sum for layer in manifest.fs_layers or []]
    lines = [_v1_line(line) for line in manifest.history or []]
    newest = lines[0] if lines else shapes.V1Image()
    instructions = [_v1_instruction(line) for line in lines] if len(lines) == len(sums) else [""] * len(sums)
    layers = [
        Layer(None, 0, instruction)
        if blob_sum == _EMPTY_LAYER or not is_digest(blob_sum)
        else Layer(blob_sum, None, instruction)
        for blob_sum, instruction in zip(sums, instructions, strict=True)
    ]
    platform = msgspec.structs.replace(
        hint,
        digest=digest,
        os=hint.os or newest.os or None,
        architecture=hint.architecture or newest.architecture or manifest.architecture or None,
    )
    return Image(
        platform=platform,
        layers=tuple(reversed(layers)),
        layers_from="registry",
        media_type=manifest.media_type,
        created_at=created_at(newest.created),
    )


def _v1_line(line: shapes.CompatibilityRow | None) -> shapes.V1Image:
    try:
        return _v1_image.decode((line and line.v1_compatibility) or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return shapes.V1Image()


def _v1_instruction(line: shapes.V1Image) -> str:
    config = line.container_config
    command = (config.command if config is not None else None) or []
    return rows.clean(instruction_of(" ".join(command)))


def _read(body: bytes, decoder: msgspec.json.Decoder[Shape], shape: type[Shape]) -> Shape:
    try:
        if b"\\u0000" not in body:
            try:
                return decoder.decode(body)
            except msgspec.ValidationError:
                raise
            except (msgspec.DecodeError, UnicodeError):
                pass
        return decode.lenient(body, shape)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _drift(f"not the document expected: {error}", "$", body) from None


def _drift(why: str, path: str, body: bytes) -> Drift:
    return Drift(why, path=path, sample=body[:SAMPLE_BYTES].decode("utf-8", "ignore").replace("\0", ""))
