"""Real backfills that are killed in mid-walk and started again, with what they cost and how long they held the database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.fakehub import FakeHub, Limits, World
from tests.trials.passes import kinds_of

FAST = Limits(hub_per_minute=1_000_000, pulls=100_000)
"""Budgets out of the way, walls as ever."""
USER, SECRET = "someone", "dckr_pat_right"
LOOK_S = 0.02
PATIENCE_S = 3600.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of it."""

    exit_code: int
    processes: int
    kills: int
    seconds: float
    kinds: Counter[str]
    digests: int
    holes: int
    incomplete: int
    small_done_after: int
    """Requests that had been made when the last one for a small repository was."""
    peak_mib: float
    transactions: int
    slowest_s: float
    over_a_second: int
    plans: int
    slowest_plan_s: float


def killed_and_resumed(
    world: World, folder: Path, targets: tuple[str, ...], *, kills: int, is_signed_in: bool, small: str
) -> Ended:
    """Backfill to the end, holes included, killed so many times at even distances."""
    pages = sum(-(-len(one.tags) // 100) for one in world.repositories.values() if len(one.tags) > 100)
    began, stopwatch = time.monotonic(), folder / "stopwatch"
    login = {"DOCKERHUB_USERNAME": USER, "DOCKERHUB_TOKEN": SECRET} if is_signed_in else {}
    command = [sys.executable, "-m", "tests.trials.timed", str(stopwatch), "backfill", *targets]
    command += ["--layers", "none", "--holes", "fill", "--quiet", "--database", str(folder / "harvester.db")]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if name in os.environ}
    killed = 0
    with FakeHub(world, limits=FAST, users={USER: SECRET}) as hub:
        env = {**kept, **hub.environment(), **login}
        for number in range(kills + 1):
            process = subprocess.Popen(command, env=env, cwd=ROOT)
            until = len(hub.journal) + max(20, pages // (kills + 1)) if number < kills else None
            code = _watched(process, hub, until)
            if code is not None:
                break
            killed += 1
            _expire_leases(folder / "harvester.db")
        entries = list(hub.journal)
    assert code is not None
    small_ones = [place for place, entry in enumerate(entries, 1) if f"/{small}/" in entry.path + "/"]
    timings = [line.split() for line in stopwatch.read_text(encoding="ascii").splitlines()]
    transactions = [float(line[1]) for line in timings if line[0] == "transaction"]
    plans = [float(line[1]) for line in timings if line[0] == "plan"]
    with closing(sqlite3.connect(folder / "harvester.db")) as connection:

        def count(what: str) -> int:
            return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])

        return Ended(
            exit_code=code,
            processes=killed + 1,
            kills=killed,
            seconds=time.monotonic() - began,
            kinds=kinds_of(entries),
            digests=count(
                "tags t JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NOT NULL"
                f" AND r.namespace <> '{small}'"
            ),
            holes=count("v_holes"),
            incomplete=count("v_incomplete"),
            small_done_after=max(small_ones, default=0),
            peak_mib=max(int(line[2]) for line in timings) / 1024,
            transactions=len(transactions),
            slowest_s=max(transactions),
            over_a_second=sum(seconds > 1 for seconds in transactions),
            plans=len(plans),
            slowest_plan_s=max(plans, default=0.0),
        )


def _watched(process: subprocess.Popen[bytes], hub: FakeHub, until: int | None) -> int | None:
    """The exit code; null where the process was killed, as soon as so many requests had come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            return process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            if until is not None and len(hub.journal) >= until:
                break
    process.kill()
    process.wait()
    return None


def _expire_leases(database: Path) -> None:
    """As if the time that a lease lasts had passed since the kill."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE jobs SET lease_until = '2000-01-01T00:00:00Z' WHERE state = 'running'")
