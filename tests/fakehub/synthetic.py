"""Made-up builds that behave like real ones: shared base layers, cleaned instructions, digests that verify."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakehub.images import (
    DOCKER_LAYER,
    HELM_CHART,
    HELM_CONFIG,
    IN_TOTO,
    OCI_EMPTY,
    OCI_LAYER,
    OCI_MANIFEST,
    Document,
    Image,
    Layer,
    Step,
    digest_of,
    image_of,
    manifest_body,
    number_from,
)
from tests.fakehub.messages import encode_json

ATTESTATION = "application/vnd.docker.attestation.manifest.v1+json"


def layer_from(seed: str, *, media_type: str = OCI_LAYER, smallest: int = 20_000, largest: int = 40_000_000) -> Layer:
    """A layer that is the same for the same seed; its bytes exist nowhere."""
    size = smallest + number_from(f"size {seed}", largest - smallest)
    return Layer(digest_of(f"layer {seed}".encode()), size, media_type)


def parse_platform(text: str) -> tuple[str, str, str | None]:
    """`linux/arm64/v8` as operating system, architecture and variant."""
    parts = text.split("/")
    return parts[0], parts[1], parts[2] if len(parts) > 2 else None


def base_steps(base: str, platform: str, *, is_oci: bool = True) -> list[Step]:
    """The history of a base image on one platform, equal wherever the same base is used."""
    layer = layer_from(f"{base} on {platform}", media_type=OCI_LAYER if is_oci else DOCKER_LAYER, smallest=2_000_000)
    content = digest_of(f"{base} {platform}".encode()).removeprefix("sha256:")
    return [Step(f"ADD file:{content} in / ", layer), Step(' CMD ["/bin/sh"]')]


def build(
    content: str,
    platform: str = "linux/amd64",
    *,
    base: str = "debian:13",
    on: Sequence[Step] | None = None,
    is_oci: bool = True,
    os_version: str | None = None,
) -> Image:
    """A platform image for a piece of content; `on` puts it on the history of another image instead of a base."""
    os, architecture, variant = parse_platform(platform)
    media_type = OCI_LAYER if is_oci else DOCKER_LAYER
    own = [
        Step(" LABEL org.opencontainers.image.title=made-up"),
        Step(
            "RUN /bin/sh -c apt-get update && apt-get install -y ca-certificates # buildkit",
            layer_from(f"packages of {base} on {platform}", media_type=media_type),
        ),
        Step("COPY /out/ /usr/local/bin/ # buildkit", layer_from(f"{content} on {platform}", media_type=media_type)),
        Step(' ENTRYPOINT ["/usr/local/bin/server"]'),
    ]
    steps = [*(on if on is not None else base_steps(base, platform, is_oci=is_oci)), *own]
    annotations = (("org.opencontainers.image.revision", digest_of(content.encode())[7:47]),) if is_oci else ()
    return image_of(
        steps,
        architecture=architecture,
        os=os,
        variant=variant,
        os_version=os_version,
        is_oci=is_oci,
        labels={"org.opencontainers.image.version": content},
        annotations=annotations,
    )


def base_images(base: str, platforms: Sequence[str]) -> tuple[Image, ...]:
    """The base image itself, so that its layers are a proper prefix of those built on it."""
    images: list[Image] = []
    for platform in platforms:
        os, architecture, variant = parse_platform(platform)
        image = image_of(base_steps(base, platform), architecture=architecture, os=os, variant=variant)
        images += [image, attestation_of(image, base)]
    return tuple(images)


def attestation_of(image: Image, content: str) -> Image:
    """The attestation manifest that a build attaches to one platform; its in-toto blobs are really there."""
    subject = [{"name": content, "digest": {"sha256": image.digest.removeprefix("sha256:")}}]
    layers: list[Layer] = []
    for predicate_type, predicate in (
        ("https://spdx.dev/Document", {"spdxVersion": "SPDX-2.3", "packages": []}),
        (
            "https://slsa.dev/provenance/v0.2",
            {"buildType": "https://mobyproject.org/buildkit@v1", "materials": [{"uri": "pkg:docker/debian@13"}]},
        ),
    ):
        statement = encode_json(
            {
                "_type": "https://in-toto.io/Statement/v0.1",
                "predicateType": predicate_type,
                "subject": subject,
                "predicate": predicate,
            }
        )
        annotation = (("in-toto.io/predicate-type", predicate_type),)
        layers.append(Layer(digest_of(statement), len(statement), IN_TOTO, statement, annotation))
    config: dict[str, object] = {"mediaType": OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2, "data": "e30="}
    body = manifest_body(layers, media_type=OCI_MANIFEST, config=config, extra={"artifactType": ATTESTATION})
    return Image(
        Document(digest_of(body), OCI_MANIFEST, body),
        tuple(Step("", layer) for layer in layers),
        digest_of(b"{}"),
        b"{}",
        "unknown",
        "unknown",
        config_media_type=OCI_EMPTY,
        annotations=(
            ("vnd.docker.reference.digest", image.digest),
            ("vnd.docker.reference.type", "attestation-manifest"),
        ),
        artifact_type=ATTESTATION,
    )


def builds(
    content: str,
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64/v8"),
    *,
    base: str = "debian:13",
    is_attested: bool = True,
    is_oci: bool = True,
) -> tuple[Image, ...]:
    """One image per platform, each followed by its attestation when there are any."""
    images: list[Image] = []
    for platform in platforms:
        image = build(content, platform, base=base, is_oci=is_oci)
        images.append(image)
        if is_attested and is_oci:
            images.append(attestation_of(image, content))
    return tuple(images)


def helm_chart(content: str) -> Image:
    """A Helm chart as an artifact manifest; it has a config blob, but no image config and no history."""
    config = encode_json({"name": content, "version": "1.0.0", "apiVersion": "v2"})
    chart = f"chart {content}".encode() * 40
    layer = Layer(digest_of(chart), len(chart), HELM_CHART, chart)
    descriptor: dict[str, object] = {"mediaType": HELM_CONFIG, "digest": digest_of(config), "size": len(config)}
    body = manifest_body([layer], media_type=OCI_MANIFEST, config=descriptor)
    return Image(
        Document(digest_of(body), OCI_MANIFEST, body),
        (Step("", layer),),
        digest_of(config),
        config,
        "unknown",
        "unknown",
        config_media_type=HELM_CONFIG,
    )
