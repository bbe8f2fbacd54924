"""The small world: ten official repositories and two namespaces, with every recorded oddity in it once."""

from __future__ import annotations

from tests.fakehub.images import DOCKER_SCHEMA_1, Document, Step, digest_of
from tests.fakehub.synthetic import attestation_of, base_images, base_steps, build, builds, helm_chart, layer_from
from tests.fakehub.world import World

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")

OFFICIAL: tuple[tuple[str, str, int, int, tuple[str, ...]], ...] = (
    ("alpine", "A minimal image based on Alpine Linux", 11_437_965_584, 11_021, ("3.21", "3.22", "3.23", "edge")),
    ("debian", "Debian is a Linux distribution", 1_512_345_678, 5_120, ("12", "12-slim", "13", "13-slim")),
    ("nginx", "Official build of Nginx.", 13_437_965_584, 21_268, ("1.28", "1.29", "1.29-alpine", "1.29.1", "stable")),
    ("redis", "Redis is a data platform", 4_344_853_773, 13_001, ("7.4", "8.0", "8.0-alpine", "8.2")),
    ("postgres", "The PostgreSQL object-relational database", 10_123_456_789, 14_210, ("16", "17", "18", "18-alpine")),
    ("python", "Python is an interpreted language", 9_876_543_210, 10_002, ("3.12", "3.13", "3.14", "3.14-slim")),
    ("golang", "Go (golang) is a general purpose language", 2_345_678_901, 5_003, ("1.25", "1.26", "tip-20261101")),
    ("busybox", "Busybox base image.", 8_765_432_109, 3_401, ("1.36", "1.37", "1.37-musl")),
    ("registry", "Distribution implementation for images", 1_234_567_890, 4_002, ("2", "2.8", "3", "3.0")),
)

CATEGORIES = (("Web servers", "web-servers"), ("Databases & storage", "databases-and-storage"))


def fill(world: World) -> None:
    """Put the small world's namespaces, repositories and tags into an empty world."""
    world.add_namespace("library")
    world.add_namespace("acme", badge="open_source")
    world.add_namespace("initech", kind="User")
    for name, description, pull_count, star_count, tags in OFFICIAL:
        full_name = f"library/{name}"
        world.add_repository(
            full_name,
            description=description,
            full_description=f"# {name}\n\n{description}.\n",
            pull_count=pull_count,
            star_count=star_count,
            categories=(CATEGORIES[pull_count % 2],),
        )
        for tag in tags:
            if name in ("alpine", "debian"):
                images = base_images(f"{name}:{tag}", PLATFORMS)
            else:
                base = "alpine:3.23" if tag.endswith("alpine") else "debian:13"
                images = builds(f"{name} {tag}", PLATFORMS, base=base)
            world.push_tag(full_name, tag, images)
        world.copy_tag(full_name, tags[-1], "latest")
    _add_hello_world(world)
    _add_acme(world)
    _add_initech(world)


def _add_hello_world(world: World) -> None:
    """A Windows image beside a Linux one, and both behind one tag."""
    name = "library/hello-world"
    world.add_repository(name, description="Hello World! (an example)", pull_count=2_000_000_000, star_count=2_345)
    linux = build("hello-world", base="scratch", on=[])
    windows_base = [
        Step("Apply image 10.0.20348.2340", layer_from("nanoserver", smallest=90_000_000, largest=120_000_000))
    ]
    windows = build("hello-world", "windows/amd64", on=windows_base, os_version="10.0.20348.2340")
    world.push_tag(name, "linux", [linux, attestation_of(linux, "hello-world")])
    world.push_tag(name, "nanoserver", [windows])
    world.push_tag(name, "latest", [linux, attestation_of(linux, "hello-world"), windows])


def _add_acme(world: World) -> None:
    """Two ordinary repositories, one chart, one long tag list, one empty repository and a private one."""
    world.add_repository("acme/web", description="The front door", pull_count=15_722_123, star_count=7)
    for tag in ("1.0.0", "1.1.0", "1.2.0", "2.0.0"):
        world.push_tag("acme/web", tag, builds(f"web {tag}", base="alpine:3.23"))
    world.copy_tag("acme/web", "2.0.0", "latest")
    world.push_tag("acme/web", "processing", [], media_type=None)
    signed = world.repositories["acme/web"].tags["2.0.0"].document
    if signed is not None:
        world.push_tag("acme/web", signed.digest.replace(":", "-") + ".sig", content_type="unrecognized")
    world.add_repository("acme/charts", description="Charts", pull_count=4_321, star_count=0)
    world.push_tag("acme/charts", "1.0.0", [helm_chart("web")], content_type="helm")
    world.add_repository("acme/nightly", description="A build every night", pull_count=987_654, star_count=3, tags=120)
    world.copy_tag("acme/nightly", "1.0.119", "latest")
    world.add_repository("acme/empty", description=None, repository_type=None, date_registered="2026-02-03T04:05:06Z")
    world.add_repository("acme/vault", is_private=True, pull_count=12, tags=["1.0", "latest"])


def _add_initech(world: World) -> None:
    """A repository of 2015 with null dates and an empty operating system, and one of single Docker images."""
    world.add_repository("initech/reports", description="", pull_count=275, date_registered="2014-09-01T10:11:12.5Z")
    steps = [
        *base_steps("ubuntu:14.04", "linux/amd64", is_oci=False),
        Step("/bin/sh -c make install", layer_from("tps")),
    ]
    old = build("reports 2.1.3", on=steps, is_oci=False)
    body = old.manifest.body + b"\n"
    document = Document(digest_of(body), DOCKER_SCHEMA_1, body)
    world.push_tag(
        "initech/reports",
        "2.1.3",
        [old],
        document=document,
        digest=None,
        media_type=DOCKER_SCHEMA_1,
        content_type=None,
        os_text="",
        full_size=old.size - 192,
    )
    world.change_tag("initech/reports", "2.1.3", last_updated=None, last_pulled="2023-08-29T14:22:00.528184Z")
    world.change_repository("initech/reports", last_updated="2015-08-28T09:30:00Z")
    world.add_repository("initech/printer", description="lp0 \u202e on \U0001f525", pull_count=0, star_count=1)
    for tag in ("1", "2", "latest"):
        image = build(f"printer {tag}", base="alpine:3.23", is_oci=False)
        world.push_tag("initech/printer", tag, [image], digest=None, status="inactive" if tag == "1" else "active")
