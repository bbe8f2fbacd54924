"""The daemon in virtual time: its word to the service manager, clocks that jump, and budgets that are too small."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from harvester.composition import open_store
from harvester.config import Settings
from harvester.daemon import Daemon
from harvester.systemd import Notifier
from harvester.watch import watches
from tests.fakehub import FakeHub, Limits, World
from tests.simulation.far_end import Distance, far_end
from tests.simulation.virtual import VirtualClock, VirtualLoop, virtually
from tests.trials.service_week import LoopTimetable


class Told(Notifier):
    """Remembers what it would have said, and when."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(None, watchdog_s=60.0)
        self._clock = clock
        self.words: list[tuple[float, str]] = []

    def _send(self, *assignments: str) -> None:
        self.words += [(self._clock.monotonic(), one.partition("=")[0]) for one in assignments]

    def between(self, word: str, since: float, until: float) -> int:
        """How often it was said between these."""
        return sum(1 for at, one in self.words if one == word and since <= at < until)


class JumpingClock(VirtualClock):
    """The virtual clock, whose hands somebody moves."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop)
        self.moved_s = 0.0

    def time(self) -> float:
        return super().time() + self.moved_s


@dataclass
class Stage:
    """A daemon at work, and the far end that it asks."""

    daemon: Daemon
    told: Told
    hub: FakeHub
    clock: JumpingClock
    database: Path

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()


@asynccontextmanager
async def working(
    folder: Path, world: World, *tables: dict[str, Any], per_minute: int | None = None
) -> AsyncIterator[Stage]:
    """A daemon that watches these tables, until the end of the block."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = JumpingClock(loop)
    hub = far_end(Limits(), clock.time, world)
    far = Distance(hub, clock.time, random.Random(1))  # noqa: S311
    settings = Settings(
        database=str(folder / "harvester.db"),
        hub_url=hub.hub_url,
        auth_url=hub.auth_url,
        registry_url=hub.registry_url,
        metrics_listen="off",
        hub_per_minute=per_minute,
        watch=watches(list(tables)),
    )
    told = Told(clock)
    daemon = Daemon(
        lambda: (settings, None), settings, None, clock, told, inner=lambda egress: far, timetable=LoopTimetable
    )
    engine = open_store(settings)
    serving = asyncio.create_task(daemon.serve(engine))
    try:
        yield Stage(daemon, told, hub, clock, folder / "harvester.db")
    finally:
        daemon.stop()
        await serving
        engine.dispose()


async def _without_its_database(folder: Path, clock: VirtualClock) -> Told:
    async with working(folder, World.small(), {"target": "nginx", "every": "1h"}) as stage:
        await clock.sleep(300)
        aside = stage.database.rename(folder / "aside.db")
        await clock.sleep(600)
        assert stage.daemon.vitals.why_not_alive() is not None
        assert stage.daemon.vitals.why_not_ready() is not None
        aside.rename(stage.database)
        await clock.sleep(300)
        assert stage.daemon.vitals.why_not_ready() is None
    return stage.told


def test_the_watchdog_is_fed_while_something_is_committed_and_only_then(tmp_path: Path) -> None:
    told = virtually(partial(_without_its_database, tmp_path))
    assert told.between("READY", 0, 1) == 1
    assert told.between("WATCHDOG", 60, 300) >= 240 / 20
    assert told.between("WATCHDOG", 345, 900) == 0, "fed for 30 s after the last commit, at the most"
    assert told.between("STATUS", 345, 900) > 10, "it speaks on, but not of life"
    assert told.between("WATCHDOG", 960, 1200) >= 240 / 20
    assert told.words[-1][1] != "READY"
    assert told.between("STOPPING", 1200, 2000) == 1


async def _through_jumps(
    folder: Path, clock: VirtualClock
) -> tuple[list[int], list[MutableMapping[str, Any]], list[Any]]:
    passes: list[int] = []
    with capture_logs() as lines:
        async with working(folder, World.small(), {"target": "official", "every": "30m", "fastest": "30m"}) as stage:
            for moved_s in (0.0, -7200.0, -7200.0, 0.0, 7200.0, 0.0):
                stage.clock.moved_s = moved_s
                before = len(stage.rows("SELECT id FROM runs"))
                await clock.sleep(2 * 3600)
                passes.append(len(stage.rows("SELECT id FROM runs")) - before)
            gone = stage.rows("SELECT full_name FROM repositories WHERE gone_at IS NOT NULL")
            gone += stage.rows("SELECT name FROM tags WHERE gone_at IS NOT NULL")
    assert not [entry for entry in stage.hub.journal if entry.status == 429]
    return passes, [line for line in lines if line["event"] == "clock.jumped"], gone


def test_a_clock_that_jumps_hours_back_and_forth_costs_a_pass_or_brings_one_and_no_more(tmp_path: Path) -> None:
    passes, said, gone = virtually(partial(_through_jumps, tmp_path))
    assert [line["by_s"] for line in said] == [-7200, 7200, 7200, -7200]
    assert gone == []
    assert all(3 <= number <= 6 for number in passes), passes


async def _too_small(
    folder: Path, clock: VirtualClock
) -> tuple[Counter[str], list[MutableMapping[str, Any]], float, int]:
    world = World()
    for number in range(40):
        world.add_namespace(f"ns{number:02}")
        world.add_repository(f"ns{number:02}/only", tags=1)
    tables = [{"target": f"ns{number:02}/only", "every": "2m", "fastest": "2m"} for number in range(40)]
    with capture_logs() as lines:
        async with working(folder, world, *tables, per_minute=10) as stage:
            await clock.sleep(1800)
            stage.hub.journal.clear()
            await clock.sleep(7200)
            stretch = stage.rows("SELECT stretch FROM processes")[0][0]
            details = Counter(entry.path for entry in stage.hub.journal if entry.path.endswith("/repositories/only"))
            refused = sum(entry.status == 429 for entry in stage.hub.journal)
    return details, [line for line in lines if line["event"] == "cadence.stretched"], stretch, refused


def test_a_budget_that_is_too_small_makes_all_passes_later_alike_and_says_so(tmp_path: Path) -> None:
    details, said, stretch, refused = virtually(partial(_too_small, tmp_path))
    assert refused == 0
    assert said
    assert said[0]["factor"] > 2
    assert stretch > 2
    assert len(details) == 40, "nothing is left out"
    assert max(details.values()) - min(details.values()) <= 2, details
    assert 7200 / 120 / stretch * 0.7 < min(details.values())
