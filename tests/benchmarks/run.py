"""The harvester against a plain script, on the same crawl of a local server without limits.

`python -m tests.benchmarks.run` prints, for each pair of runs, what a request and a hundred tags cost in CPU time of
the whole process, and how many times the script's cost that is. Both runs of a pair are made right after one another,
because the machine's speed drifts; so the ratios are what can be compared between days and machines.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NAMESPACE = "bench"
ONE_REPOSITORY = "repository-000000"
TABLES = ("repositories", "tags", "tag_images")
SMALL, LARGE = 2_000, 20_000
"""Repositories of the two crawls whose peak memory is compared."""

Program = Literal["yardstick", "harvester"]


@dataclass(frozen=True, slots=True)
class World:
    """The options of the server."""

    repositories: int
    page_rows: int
    tags_per_repository: int | None
    with_gzip: bool

    @property
    def arguments(self) -> list[str]:
        """As its command line takes them."""
        found = [f"--repositories={self.repositories}", f"--page-rows={self.page_rows}"]
        if self.tags_per_repository is not None:
            found.append(f"--tags-per-repository={self.tags_per_repository}")
        return [*found, "--gzip"] if self.with_gzip else found


class Stored(NamedTuple):
    """Rows in the database after a crawl."""

    repositories: int
    tags: int
    tag_images: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process used, from its start to its end."""

    cpu_s: float
    wall_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Crawl:
    """One crawl of the whole namespace."""

    program: Program
    cost: Cost
    start_up_s: float
    """CPU seconds of the same program for one repository on a database that it made before."""
    requests: int
    stored: Stored

    @property
    def per_request_ms(self) -> float:
        """CPU of the whole process."""
        return self.cost.cpu_s * 1000 / self.requests

    @property
    def net_per_request_ms(self) -> float:
        """The same less start-up."""
        return (self.cost.cpu_s - self.start_up_s) * 1000 / self.requests

    @property
    def per_100_tags_ms(self) -> float:
        """CPU less start-up for a hundred tags, their share of all other requests included."""
        return (self.cost.cpu_s - self.start_up_s) * 1e5 / self.stored.tags

    @property
    def tags_per_s(self) -> float:
        """Tags stored per second of the clock on the wall, start-up included."""
        return self.stored.tags / self.cost.wall_s


class BenchmarkError(Exception):
    """The two programs did not do the same work, so their costs say nothing."""


@contextmanager
def served(world: World) -> Iterator[str]:
    """The address of a server of that world."""
    command = [sys.executable, str(HERE / "static_server.py"), *world.arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def measured(program: Program, base_url: str, database: Path, repository: str | None = None) -> Cost:
    """Run a program to its end. Raises `BenchmarkError` when it fails."""
    if program == "yardstick":
        command = [str(HERE / "yardstick.py"), base_url, NAMESPACE, str(database)]
        command += ["--repository", repository] if repository else []
    else:
        command = ["-m", "harvester", "backfill", f"{NAMESPACE}/{repository or ''}", "--layers", "none", "--quiet"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HARVESTER_", "DOCKERHUB_", "PYTHON"))
    }
    environment |= {
        "PYTHONPATH": str(ROOT),
        "HARVESTER_DATABASE": str(database),
        "HARVESTER_HUB_URL": base_url,
        "HARVESTER_AUTH_URL": base_url,
        "HARVESTER_REGISTRY_URL": base_url,
        "HARVESTER_HUB_RPM": "1000000",
    }
    began = time.monotonic()
    # The folder of the database: the harvester reads the configuration of the folder that it is started in.
    process = subprocess.Popen([sys.executable, *command], env=environment, cwd=database.parent)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchmarkError(f"{program} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss * unit / 2**20)


def start_up(program: Program, base_url: str) -> float:
    """Median CPU seconds for one repository on a database that is there already."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "database.sqlite"
        measured(program, base_url, database, ONE_REPOSITORY)
        return statistics.median(measured(program, base_url, database, ONE_REPOSITORY).cpu_s for _ in range(3))


def crawled(program: Program, base_url: str, start_up_s: float) -> Crawl:
    """Crawl the namespace into a fresh database."""
    _stats(base_url)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "database.sqlite"
        cost = measured(program, base_url, database)
        total, duplicates = _stats(base_url)
        if duplicates:
            raise BenchmarkError(f"{program} asked {duplicates} of {total} requests more than once")
        return Crawl(program, cost, start_up_s, total, _stored(database))


def compare(world: World, repeat: int) -> None:
    """Print the table of alternating runs and their ratios. Raises `BenchmarkError`."""
    crawls: list[Crawl] = []
    with served(world) as base_url:
        start_ups: dict[Program, float] = {
            "yardstick": start_up("yardstick", base_url),
            "harvester": start_up("harvester", base_url),
        }
        _say(_HEAD)
        for _ in range(repeat):
            pair = [crawled(program, base_url, start_ups[program]) for program in start_ups]
            if pair[0].stored != pair[1].stored:
                raise BenchmarkError(f"not the same was stored: {pair[0].stored} and {pair[1].stored}")
            crawls += pair
            for crawl in pair:
                _say(_line(crawl))
    plain, ours = crawls[::2], crawls[1::2]
    stored = crawls[0].stored
    _say("")
    _say(f"stored by each: {', '.join(f'{count} {table}' for table, count in zip(TABLES, stored, strict=True))}")
    _say(f"start-up, CPU ms: {', '.join(f'{program} {cpu_s * 1000:.0f}' for program, cpu_s in start_ups.items())}")
    _say("")
    _say("harvester / yardstick, pair by pair     min  median     max")
    _say_ratios("CPU of the whole process per request", plain, ours, lambda crawl: crawl.per_request_ms)
    _say_ratios("the same less start-up", plain, ours, lambda crawl: crawl.net_per_request_ms)
    _say_ratios("seconds on the wall", plain, ours, lambda crawl: crawl.cost.wall_s)


def compare_memory(world: World) -> None:
    """Print the harvester's peak memory for a small and for a large crawl. Raises `BenchmarkError`."""
    peaks = []
    for repositories in (SMALL, LARGE):
        with served(World(repositories, world.page_rows, world.tags_per_repository, world.with_gzip)) as base_url:
            crawl = crawled("harvester", base_url, 0.0)
        peaks.append(crawl.cost.peak_mb)
        _say(
            f"{repositories:6d} repositories, {crawl.stored.tags:7d} tags: peak {crawl.cost.peak_mb:.1f} MB,"
            f" {crawl.per_request_ms:.2f} CPU ms a request, {crawl.tags_per_s:.0f} tags/s"
        )
    _say(f"the large crawl's peak is {peaks[1] / peaks[0]:.2f} times the small one's")


def compare_start(repeat: int) -> None:
    """Print the CPU time of `harvester --help` and of an interpreter that runs nothing."""
    for what, arguments in (("interpreter alone", ["-c", "pass"]), ("harvester --help", ["-m", "harvester", "--help"])):
        found = sorted(_process_ms(arguments) for _ in range(repeat))
        _say(
            f"{what:18s} {statistics.median(found):6.1f} CPU ms, median of {repeat} ({found[0]:.1f} to {found[-1]:.1f})"
        )


def _process_ms(arguments: list[str]) -> float:
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchmarkError(f"{' '.join(arguments)} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


_HEAD = "program    requests  seconds  CPU ms/request  less start-up  CPU ms/100 tags  tags/s  peak MB"


def _line(crawl: Crawl) -> str:
    return (
        f"{crawl.program:9s}  {crawl.requests:8d}  {crawl.cost.wall_s:7.2f}  {crawl.per_request_ms:14.3f}"
        f"  {crawl.net_per_request_ms:13.3f}  {crawl.per_100_tags_ms:15.2f}  {crawl.tags_per_s:6.0f}"
        f"  {crawl.cost.peak_mb:7.1f}"
    )


def _say_ratios(what: str, plain: list[Crawl], ours: list[Crawl], of: Callable[[Crawl], float]) -> None:
    ratios = [of(our) / of(their) for their, our in zip(plain, ours, strict=True)]
    _say(f"{what:36s}  {min(ratios):5.2f}   {statistics.median(ratios):5.2f}   {max(ratios):5.2f}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _stats(base_url: str) -> tuple[int, int]:
    with urlopen(f"{base_url}/stats") as answer:  # noqa: S310
        found = json.load(answer)
    return int(found["total"]), int(found["duplicates"])


def _stored(database: Path) -> Stored:
    with closing(sqlite3.connect(database)) as connection:
        return Stored(*[connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES])


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.run", description="Harvester against a plain script."
    )
    parser.add_argument("--repositories", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=3, help="pairs of runs")
    parser.add_argument("--page-rows", type=int, default=20, help="rows of a page of tags")
    parser.add_argument("--tags-per-repository", type=int, help="the same for every repository")
    parser.add_argument("--gzip", action="store_true", help="the server compresses")
    parser.add_argument("--memory", action="store_true", help=f"peak memory at {SMALL} and {LARGE} repositories")
    parser.add_argument("--start", action="store_true", help="what `harvester --help` costs, and nothing else")
    options = parser.parse_args()
    world = World(options.repositories, options.page_rows, options.tags_per_repository, options.gzip)
    try:
        if options.start:
            compare_start(max(options.repeat, 20))
        elif options.memory:
            compare_memory(world)
        else:
            compare(world, options.repeat)
    except BenchmarkError as error:
        sys.exit(f"no result: {error}")


if __name__ == "__main__":
    main()
