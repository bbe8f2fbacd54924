"""Tags with a past, by the million: how long a timeline and `whois` take, and what an interval costs in bytes.

`python -m tests.trials.million_tags --tags 1000000 --intervals 5`
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from harvester.clock import instant
from harvester.store import answers, migrate
from harvester.store.engine import database_url, open_reader, open_writer

START = 1_767_225_600
"""2026-01-01T00:00:00Z: when the first tags were first seen."""

DAY_S = 86_400
TAGS_OF_A_BUILD = 4
"""`latest`, `1.27`, `1.27.3` and the like point to one digest and move together."""
TAGS_OF_A_REPOSITORY = 48
WITH_LAYERS = 5
"""Of one build in so many the layers were asked for."""
GONE = 50
"""One tag in so many is gone by now."""
BASES = 500
"""One base image serves so many builds; at least eight there are."""

PLATFORMS = (("linux", "amd64", None), ("linux", "arm64", None), ("linux", "arm", "v7")) + (
    *(("linux", "386", None), ("linux", "ppc64le", None), ("linux", "s390x", None)),
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

    def timeline(self, tag: int) -> list[Interval]:
        """The tag's intervals, oldest first."""
        build = tag // TAGS_OF_A_BUILD
        began = [START + (build % 700) * 60 + version * 7 * DAY_S for version in range(self.intervals + 1)]
        found = [Interval(began[v], began[v + 1], self.digest(build, v)) for v in range(self.intervals)]
        if self.is_gone(tag):
            return [*found, Interval(began[-1], None, None)]
        return [*found[:-1], found[-1]._replace(seen_until=None)]


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
    seen = instant(START + world.intervals * 7 * DAY_S)
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
            for tag in tags
            for one in world.timeline(tag)
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


def questions(world: World, samples: int, seed: int) -> dict[str, list[str]]:
    """Digests to ask for, chosen by chance, by what they are."""
    chance = random.Random(seed)  # noqa: S311
    last = world.intervals - 1

    def drawn(*, version: Callable[[], int], is_index: bool = True, layers: bool = False) -> tuple[int, int]:
        while True:
            found = chance.randrange(world.builds), version()
            if (sum(world.shape_of(found[0])) > 1) is is_index and (not layers or world.has_layers(*found)):
                return found

    def past() -> int:
        return chance.randrange(last)

    return {
        "index of now": [world.digest(*drawn(version=lambda: last)) for _ in range(samples)],
        "index of the past": [world.digest(*drawn(version=past)) for _ in range(samples)],
        "image of an index of now": [world.held(*drawn(version=lambda: last))[0].digest for _ in range(samples)],
        "image of a past index": [world.held(*drawn(version=past))[1].digest for _ in range(samples)],
        "image that tags pointed to": [world.digest(*drawn(version=past, is_index=False)) for _ in range(samples)],
        "config": [world.config(*drawn(version=past, layers=True), 0) for _ in range(samples)],
        "layer in few tags": [world.layers(*drawn(version=past, layers=True), 0)[5] or "" for _ in range(samples)],
        "unknown": [digest_of("unknown", number) for number in range(samples)],
    }


def whois(connection: Connection, digest: str) -> answers.Places:
    """What the command asks."""
    found = answers.matching(connection, digest, 6)
    return answers.places(connection, found[0], 100) if found else answers.Places(0, [])


def timeline(connection: Connection, full_name: str, tag: str) -> list[tuple[Any, ...]]:
    """What a person asks of one tag."""
    rows = connection.exec_driver_sql(
        "SELECT * FROM v_tag_timeline WHERE full_name = ? AND tag = ? ORDER BY seen_from", (full_name, tag)
    )
    return [tuple(row) for row in rows]


class Stopwatch:
    """Times questions on one connection, with nothing of the file in memory or with what the same question left there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = open_reader(database_url(str(path)))

    def __enter__(self) -> Stopwatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def cold_and_warm(self, asks: Sequence[Callable[[Connection], object]]) -> tuple[list[float], list[float]]:
        """Milliseconds of each question when nothing of the database is in memory, and when it is asked again."""
        cold, warm = [], []
        for ask in asks:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
                connection.exec_driver_sql("PRAGMA shrink_memory")
                forget(self._path)
                cold.append(_timed(ask, connection))
                warm.append(_timed(ask, connection))
        return cold, warm


def forget(path: Path) -> None:
    """Have the kernel drop what it holds of the file."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _timed(ask: Callable[[Connection], object], connection: Connection) -> float:
    began = time.perf_counter()
    ask(connection)
    return (time.perf_counter() - began) * 1000


def told(name: str, milliseconds: list[float]) -> str:
    """p50, p95 and the worst."""
    ordered = sorted(milliseconds)
    p50, p95 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95))
    return f"{name:36s}{p50:9.2f} ms {p95:9.2f} ms {ordered[-1]:9.2f} ms   ({len(ordered)})\n"


def bytes_of(path: Path) -> dict[str, tuple[int, int]]:
    """Bytes of each table and index: those of its pages, and those in use on them."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, pgsize, pgsize - unused FROM dbstat WHERE aggregate = TRUE")
        return {name: (size, used) for name, size, used in rows}


def processes(path: Path, digest: str, runs: int) -> tuple[list[float], list[float]]:
    """Milliseconds of the whole command, with nothing of the database in memory and again."""
    cold, warm = [], []
    command = [sys.executable, "-m", "harvester", "whois", digest, "--database", str(path)]
    for _ in range(runs):
        forget(path)
        for times in (cold, warm):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append((time.perf_counter() - began) * 1000)
    return cold, warm


def report(world: World, path: Path, samples: int, seed: int) -> None:
    """Ask, and print the figures."""
    say = sys.stdout.write
    chance = random.Random(seed)  # noqa: S311
    rows = {
        "timeline of one tag": [
            lambda c, name=world.name_of(tag): timeline(c, *name)  # type: ignore[misc]
            for tag in (chance.randrange(world.tags) for _ in range(samples))
        ]
    }
    asked = questions(world, samples, seed)
    for kind, digests in asked.items():
        rows[f"whois: {kind}"] = [lambda c, digest=digest: whois(c, digest) for digest in digests]  # type: ignore[misc]
    with Stopwatch(path) as watch:
        timed = {name: watch.cold_and_warm(asks) for name, asks in rows.items()}
        for place, state in enumerate(("cold", "warm")):
            say(f"\n{state:36s}{'p50':>9s}    {'p95':>9s}    {'worst':>9s}\n")
            for name, times in timed.items():
                say(told(name, times[place]))
        popular = world.layers(0, 0, 0)[0] or ""
        [cold], [warm] = watch.cold_and_warm([lambda c: whois(c, popular)])
        with open_reader(database_url(str(path))).connect() as connection:
            say(
                f"\nlayer of a base, {whois(connection, popular).total:,} places: {cold:.0f} ms cold, {warm:.0f} ms warm\n"
            )
    cold_runs, warm_runs = processes(path, asked["image of a past index"][0], 10)
    say(f"\n`harvester whois`, whole process    {'p50':>9s}    {'p95':>9s}    {'worst':>9s}\n")
    say(told("cold database", cold_runs) + told("warm database", warm_runs))
    _report_sizes(path)


def _report_sizes(path: Path) -> None:
    say = sys.stdout.write
    sizes = bytes_of(path)
    with closing(sqlite3.connect(path)) as connection:
        intervals = connection.execute("SELECT count(*) FROM tag_history").fetchone()[0]
        say("\n")
        for table in ("tags", "images", "layers", "image_layers", "indexes", "index_images", "tag_images"):
            say(f"{table:16s}{connection.execute(f'SELECT count(*) FROM {table}').fetchone()[0]:12,d} rows\n")
    say(f"{'tag_history':16s}{intervals:12,d} rows\n{path.stat().st_size / 1e9:.2f} GB in all\n\n")
    for name in ("tag_history", "ix_tag_history_digest"):
        size, used = sizes[name]
        say(f"{name:24s}{size / intervals:7.1f} bytes per interval on its pages, {used / intervals:7.1f} in use\n")
    both = sum(sizes[name][0] for name in ("tag_history", "ix_tag_history_digest"))
    past = sum(sizes[n][0] for n in sizes if n.startswith(("index", "ix_index", "sqlite_autoindex_index")))
    say(
        f"{'both':24s}{both / intervals:7.1f} bytes per interval; what past indexes consist of adds {past / intervals:.1f}\n"
    )


def main() -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.trials.million_tags", description=__doc__)
    parser.add_argument("--tags", type=int, default=1_000_000)
    parser.add_argument("--intervals", type=int, default=5)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", help="where to build it, and leave it; used as it is when it is there")
    options = parser.parse_args()
    world = World(options.tags, options.intervals)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.database or f"{folder}/harvester.db")
        if not path.exists():
            began = time.monotonic()
            build(world, path)
            sys.stdout.write(f"built in {time.monotonic() - began:.0f} s\n")
        report(world, path, options.samples, options.seed)


if __name__ == "__main__":
    main()
