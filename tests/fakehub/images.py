"""Content of a registry: layers, platform images and indexes, with bodies that hash to their digests when synthesised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.fakehub.messages import encode_json

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
IN_TOTO = "application/vnd.in-toto+json"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

INDEX_TYPES = frozenset({DOCKER_INDEX, OCI_INDEX})


def digest_of(data: bytes) -> str:
    """The sha256 digest of some bytes in registry notation."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def number_from(seed: str, below: int) -> int:
    """A number that depends on nothing but the seed, from 0 up to but without `below`."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") % below


@dataclass(frozen=True, slots=True)
class Layer:
    """One compressed layer; `content` is there when the fake holds its bytes."""

    digest: str
    size: int
    media_type: str = DOCKER_LAYER
    content: bytes | None = None
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One line of image history, with the layer it made if it made one."""

    instruction: str
    layer: Layer | None = None
    created: str = "2026-01-15T10:00:00Z"


@dataclass(frozen=True, eq=False)
class Document:
    """A manifest or index as the registry serves it."""

    digest: str
    media_type: str
    body: bytes


@dataclass(frozen=True, eq=False)
class Image:
    """One platform of a tag: its manifest, its config blob, and the history that `/images` shows."""

    manifest: Document
    steps: tuple[Step, ...]
    config_digest: str
    config_body: bytes
    architecture: str = "amd64"
    os: str = "linux"
    variant: str | None = None
    os_version: str | None = None
    config_media_type: str = DOCKER_CONFIG
    annotations: tuple[tuple[str, str], ...] = ()
    """Annotations of the descriptor in an index, not of the manifest."""
    artifact_type: str | None = None
    size: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", sum(layer.size for layer in self.layers))

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the manifest, base first."""
        return tuple(step.layer for step in self.steps if step.layer is not None)

    @property
    def is_attestation(self) -> bool:
        return self.os == "unknown"

    def platform(self) -> dict[str, str]:
        """The platform object of an index descriptor."""
        platform = {"architecture": self.architecture, "os": self.os}
        if self.variant is not None:
            platform["variant"] = self.variant
        if self.os_version is not None:
            platform["os.version"] = self.os_version
        return platform


def manifest_body(
    layers: Iterable[Layer], *, media_type: str, config: dict[str, object], extra: dict[str, object] | None = None
) -> bytes:
    """The bytes of an image manifest."""
    descriptors: list[dict[str, object]] = []
    for layer in layers:
        descriptor: dict[str, object] = {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
        if layer.annotations:
            descriptor["annotations"] = dict(layer.annotations)
        descriptors.append(descriptor)
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": descriptors}
    return encode_json(document | (extra or {}))


def index_body(images: Sequence[Image], *, media_type: str) -> bytes:
    """The bytes of an index over these platform images."""
    descriptors: list[dict[str, object]] = []
    for image in images:
        descriptor: dict[str, object] = {
            "mediaType": image.manifest.media_type,
            "digest": image.digest,
            "size": len(image.manifest.body),
        }
        if image.annotations:
            descriptor["annotations"] = dict(image.annotations)
        descriptor["platform"] = image.platform()
        descriptors.append(descriptor)
    return encode_json({"schemaVersion": 2, "mediaType": media_type, "manifests": descriptors})


def index_of(images: Sequence[Image]) -> Document:
    """An index whose digest is that of its bytes; OCI when its first manifest is."""
    media_type = OCI_INDEX if images and images[0].manifest.media_type == OCI_MANIFEST else DOCKER_INDEX
    body = index_body(images, media_type=media_type)
    return Document(digest_of(body), media_type, body)


def config_body(steps: Sequence[Step], *, platform: dict[str, str], settings: dict[str, object]) -> bytes:
    """The bytes of an image config, with one diff id for each layer."""
    history: list[dict[str, object]] = []
    for step in steps:
        line: dict[str, object] = {"created": step.created, "created_by": step.instruction}
        if step.layer is None:
            line["empty_layer"] = True
        history.append(line)
    layers = [step.layer for step in steps if step.layer is not None]
    diff_ids = [digest_of(b"diff " + layer.digest.encode()) for layer in layers]
    return encode_json(
        platform
        | {
            "created": steps[-1].created if steps else None,
            "config": settings,
            "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    )


def image_of(
    steps: Sequence[Step],
    *,
    architecture: str = "amd64",
    os: str = "linux",
    variant: str | None = None,
    os_version: str | None = None,
    is_oci: bool = True,
    labels: dict[str, str] | None = None,
    annotations: tuple[tuple[str, str], ...] = (),
) -> Image:
    """A platform image whose manifest and config digests are those of their bytes."""
    platform = {"architecture": architecture, "os": os}
    if variant is not None:
        platform["variant"] = variant
    if os_version is not None:
        platform["os.version"] = os_version
    settings: dict[str, object] = {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"], "Labels": labels}
    config = config_body(steps, platform=platform, settings=settings)
    config_digest = digest_of(config)
    config_media_type = OCI_CONFIG if is_oci else DOCKER_CONFIG
    media_type = OCI_MANIFEST if is_oci else DOCKER_MANIFEST
    descriptor: dict[str, object] = {"mediaType": config_media_type, "digest": config_digest, "size": len(config)}
    layers = [step.layer for step in steps if step.layer is not None]
    body = manifest_body(layers, media_type=media_type, config=descriptor)
    return Image(
        Document(digest_of(body), media_type, body),
        tuple(steps),
        config_digest,
        config,
        architecture,
        os,
        variant,
        os_version,
        config_media_type,
        annotations,
    )
