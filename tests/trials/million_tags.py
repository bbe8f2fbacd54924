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
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from harvester.store import answers
from harvester.store.engine import database_url, open_reader
from tests.trials.tags_with_a_past import World, build, digest_of


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
    """Bytes of each table and index: those of its pages, and those in use on them. An SQLite built without `dbstat` raises."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, pgsize, pgsize - unused FROM dbstat WHERE aggregate = TRUE")
        return {name: (size, used) for name, size, used in rows}


def processes(path: Path, digest: str, runs: int) -> tuple[list[float], list[float]]:
    """Milliseconds of the whole command, with nothing of the database in memory and again."""
    cold: list[float] = []
    warm: list[float] = []
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
    tags = [world.name_of(chance.randrange(world.tags)) for _ in range(samples)]
    rows: dict[str, list[Callable[[Connection], object]]] = {
        "timeline of one tag": [partial(timeline, full_name=name, tag=tag) for name, tag in tags]
    }
    asked = questions(world, samples, seed)
    for kind, digests in asked.items():
        rows[f"whois: {kind}"] = [partial(whois, digest=digest) for digest in digests]
    with Stopwatch(path) as watch:
        timed = {name: watch.cold_and_warm(asks) for name, asks in rows.items()}
        for place, state in enumerate(("cold", "warm")):
            say(f"\n{state:36s}{'p50':>9s}    {'p95':>9s}    {'worst':>9s}\n")
            for name, times in timed.items():
                say(told(name, times[place]))
        popular = world.layers(0, 0, 0)[0] or ""
        [cold], [warm] = watch.cold_and_warm([partial(whois, digest=popular)])
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
