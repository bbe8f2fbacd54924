"""A world of tags with a past, told by numbers alone, and a database that holds it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from harvester.clock import instant
from harvester.store import migrate
from harvester.store.engine import database_url, open_writer

START = 1_767_225_600
"""2026-01-01T00:00:00Z: when the first tags were first seen."""

DAY_S = 86_400
WEEK_S = 7 * DAY_S
TAGS_OF_A_BUILD = 4
"""`latest`, `1.27`, `1.27.3` and the like point to one digest and move together."""
TAGS_OF_A_REPOSITORY = 48
WITH_LAYERS = 5
"""Of one build in so many the layers were asked for."""
GONE = 50
"""One tag in so many is gone by now."""
BASES = 500
"""One base image serves so many builds; at least eight there are."""

PLATFORMS = tuple(
    ("linux", architecture, variant)
    for architecture, variant in (
        *(("amd64", None), ("arm64", None), ("arm", "v7")),
        *(("386", None), ("ppc64le", None), ("s390x", None)),
    )
)
SHAPES = ((1, 0), (1, 0), (2, 0), (2, 0), (2, 0), (2, 0), (2, 0), (2, 2), (2, 2), (6, 0))
"""Platforms and attestations of a digest, a tenth of them each; one image alone is no index."""

_ROWS_AT_ONCE = 50_000


class Held(NamedTuple):
    """An image of a digest."""

    digest: str
    kind: str
    platform: tuple[str, str, str | None]


class Interval(NamedTuple):
    """A tag's time on a digest; null: it was gone."""

    seen_from: int
    seen_until: int | None
    digest: str | None


def digest_of(*parts: object) -> str:
    """A digest that is known by what it is of."""
    return f"sha256:{sha256(' '.join(map(str, parts)).encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class World:
    """What there is, told by numbers alone: tags are numbered from 0, and so are builds and the versions of each."""

    tags: int
    intervals: int

    @property
    def builds(self) -> int:
        """Chains of digests, each shared by some tags."""
        return -(-self.tags // TAGS_OF_A_BUILD)

    def name_of(self, tag: int) -> tuple[str, str]:
        """Full name of its repository, and the tag."""
        repository, number = divmod(tag, TAGS_OF_A_REPOSITORY)
        return f"namespace-{repository // 8:05}/repository-{repository % 8}", f"1.{number}"

    def shape_of(self, build: int) -> tuple[int, int]:
        """Platforms and attestations."""
        return SHAPES[build % len(SHAPES)]

    def held(self, build: int, version: int) -> list[Held]:
        """The images of a version."""
        platforms, attestations = self.shape_of(build)
        images = [Held(digest_of("image", build, version, n), "image", PLATFORMS[n]) for n in range(platforms)]
        unknown = ("unknown", "unknown", None)
        return images + [
            Held(digest_of("attestation", build, version, n), "attestation", unknown) for n in range(attestations)
        ]

    def digest(self, build: int, version: int) -> str:
        """What the tags point to: an index, or the only image itself."""
        is_alone = sum(self.shape_of(build)) == 1
        return digest_of("image", build, version, 0) if is_alone else digest_of("index", build, version)

    def has_layers(self, build: int, version: int) -> bool:
        """Whether the layers were asked for."""
        return (build + version) % WITH_LAYERS == 0

    def config(self, build: int, version: int, place: int) -> str:
        """The config of a version's image."""
        return digest_of("config", build, version, place)

    def layers(self, build: int, version: int, place: int) -> list[str | None]:
        """Digests by step: three of the base, a line without a layer, two that seldom change, two that always do."""
        base = build % max(8, self.builds // BASES)
        slow = version // 2
        return [
            *(digest_of("base", base, place, step) for step in range(3)),
            None,
            *(digest_of("slow", build, slow, place, step) for step in range(2)),
            *(digest_of("fast", build, version, place, step) for step in range(2)),
        ]

    def is_gone(self, tag: int) -> bool:
        """Whether the tag was deleted after its last version."""
        return tag % GONE == GONE - 1

    def interval(self, tag: int, version: int) -> Interval | None:
        """The tag's time on a version; after the last one the time that it is gone, where it is."""
        build = tag // TAGS_OF_A_BUILD
        began = START + (build % 700) * 60 + version * WEEK_S
        if version == self.intervals:
            return Interval(began, None, None) if self.is_gone(tag) else None
        is_over = version < self.intervals - 1 or self.is_gone(tag)
        return Interval(began, began + WEEK_S if is_over else None, self.digest(build, version))

    def timeline(self, tag: int) -> list[Interval]:
        """The tag's intervals, oldest first."""
        found = (self.interval(tag, version) for version in range(self.intervals + 1))
        return [one for one in found if one is not None]


def build(world: World, path: Path) -> None:
    """Write the world into a new database, by plain inserts."""
    engine = open_writer(database_url(str(path)))
    migrate.upgrade(engine)
    engine.dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -3000000")
        connection.execute("BEGIN")
        for sql, rows in _content(world):
            for part in _parts(rows):
                connection.executemany(sql, part)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _parts(rows: Iterable[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    iterator = iter(rows)
    while part := list(islice(iterator, _ROWS_AT_ONCE)):
        yield part


def _content(world: World) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
    """Each table's INSERT and its rows."""
    seen = instant(START + world.intervals * WEEK_S)
    tags = range(world.tags)
    versions = [(b, v) for b in range(world.builds) for v in range(world.intervals)]
    yield (
        "INSERT INTO repositories (id, namespace, name, full_name, is_official, pull_count, first_seen_at, last_seen_at)"
        " VALUES (?, ?, ?, ?, 0, 7, ?, ?)",
        (
            (number + 1, *(full := world.name_of(number * TAGS_OF_A_REPOSITORY)[0]).split("/"), full, seen, seen)
            for number in range(-(-world.tags // TAGS_OF_A_REPOSITORY))
        ),
    )
    yield (
        "INSERT INTO tags (id, repository_id, name, digest, full_size, last_pushed, last_updater, first_seen_at, last_seen_at,"
        " gone_at) VALUES (?, ?, ?, ?, 54321098, ?, 'somebody', ?, ?, ?)",
        (
            (
                tag + 1,
                tag // TAGS_OF_A_REPOSITORY + 1,
                world.name_of(tag)[1],
                world.digest(tag // TAGS_OF_A_BUILD, world.intervals - 1),
                seen,
                instant(START),
                seen,
                seen if world.is_gone(tag) else None,
            )
            for tag in tags
        ),
    )
    yield (
        "INSERT INTO tag_history (tag_id, seen_from, digest, seen_until, pushed_at, source, last_seen, last_updater)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                tag + 1,
                one.seen_from,
                one.digest,
                one.seen_until,
                one.seen_from - 3600 if one.digest else None,
                "listing" if one.digest else "names",
                one.seen_until - DAY_S if one.seen_until else None,
                "somebody" if one.digest else None,
            )
            # As time goes by, so that pages fill as they would.
            for version in range(world.intervals + 1)
            for tag in tags
            if (one := world.interval(tag, version)) is not None
        ),
    )
    # Ids in the order in which they are met.
    first_image: dict[tuple[int, int], int] = {}
    number = 1
    for b, v in versions:
        first_image[b, v] = number
        number += sum(world.shape_of(b))
    yield (
        "INSERT INTO images (id, digest, kind, os, architecture, variant, size, config_digest, layers_from)"
        " VALUES (?, ?, ?, ?, ?, ?, 54321098, ?, ?)",
        (
            (
                first_image[b, v] + place,
                one.digest,
                one.kind,
                *one.platform,
                world.config(b, v, place) if known else None,
                "registry" if known else None,
            )
            for b, v in versions
            for place, one in enumerate(world.held(b, v))
            for known in [one.kind == "image" and world.has_layers(b, v)]
        ),
    )
    last = world.intervals - 1
    yield (
        "INSERT INTO tag_images (tag_id, image_id, position, size) VALUES (?, ?, ?, 54321098)",
        (
            (tag + 1, first_image[b, last] + place, place)
            for tag in tags
            for b in [tag // TAGS_OF_A_BUILD]
            for place in range(sum(world.shape_of(b)))
        ),
    )
    past = [(b, v) for b, v in versions if v < last and sum(world.shape_of(b)) > 1]
    yield (
        "INSERT INTO indexes (id, digest) VALUES (?, ?)",
        ((number, world.digest(b, v)) for number, (b, v) in enumerate(past, 1)),
    )
    yield (
        "INSERT INTO index_images (index_id, image_id) VALUES (?, ?)",
        (
            (number, first_image[b, v] + place)
            for number, (b, v) in enumerate(past, 1)
            for place in range(sum(world.shape_of(b)))
        ),
    )
    yield from _layers(world, [one for one in versions if world.has_layers(*one)], first_image, seen)


def _layers(
    world: World, versions: list[tuple[int, int]], first_image: dict[tuple[int, int], int], seen: str
) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
    ids: dict[bytes, int] = {}

    def steps() -> Iterator[tuple[int, int, str | None]]:
        for b, v in versions:
            for place in range(world.shape_of(b)[0]):
                for step, layer in enumerate(world.layers(b, v, place)):
                    yield first_image[b, v] + place, step, layer

    def layers() -> Iterator[tuple[int, str, str]]:
        for _, _, layer in steps():
            if layer is not None and (key := bytes.fromhex(layer[7:])) not in ids:
                ids[key] = len(ids) + 1
                yield ids[key], layer, seen

    yield "INSERT INTO layers (id, digest, size, first_seen_at) VALUES (?, ?, 1234567, ?)", layers()
    instructions = [(n + 1, f"RUN step {n}", n.to_bytes(16, "big")) for n in range(8)]
    yield "INSERT INTO instructions (id, text, hash) VALUES (?, ?, ?)", instructions
    yield (
        "INSERT INTO image_layers (image_id, step, layer_id, instruction_id) VALUES (?, ?, ?, ?)",
        ((image, step, layer and ids[bytes.fromhex(layer[7:])], step + 1) for image, step, layer in steps()),
    )
