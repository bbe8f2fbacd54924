"""The daemon in virtual time: what it tells the service manager while its database is away, and while it is stopped."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from harvester.composition import open_store
from harvester.config import Settings
from harvester.daemon import Daemon
from harvester.systemd import Notifier
from harvester.watch import watches
from tests.fakehub import Limits, World
from tests.simulation.far_end import Distance, far_end
from tests.simulation.virtual import VirtualClock, virtually
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


async def _lived(folder: Path, clock: VirtualClock) -> Told:
    import random

    hub = far_end(Limits(), clock.time, World.small())
    far = Distance(hub, clock.time, random.Random(1))  # noqa: S311
    settings = Settings(
        database=str(folder / "harvester.db"),
        hub_url=hub.hub_url,
        auth_url=hub.auth_url,
        registry_url=hub.registry_url,
        metrics_listen="off",
        watch=watches([{"target": "nginx", "every": "1h"}]),
    )
    notifier = Told(clock)
    daemon = Daemon(
        lambda: (settings, None),
        settings,
        None,
        clock,
        notifier,
        inner=lambda egress: far,
        timetable=LoopTimetable,
    )
    engine = open_store(settings)
    serving = asyncio.create_task(daemon.serve(engine))
    await clock.sleep(300)
    aside = (folder / "harvester.db").rename(folder / "aside.db")
    await clock.sleep(600)
    assert daemon.vitals.why_not_alive() is not None
    assert daemon.vitals.why_not_ready() is not None
    aside.rename(folder / "harvester.db")
    await clock.sleep(300)
    assert daemon.vitals.why_not_ready() is None
    daemon.stop()
    daemon.stop()
    await serving
    engine.dispose()
    return notifier


def test_the_watchdog_is_fed_while_something_is_committed_and_only_then(tmp_path: Path) -> None:
    told = virtually(partial(_lived, tmp_path))
    assert told.between("READY", 0, 1) == 1
    assert told.between("WATCHDOG", 60, 300) >= 240 / 20
    assert told.between("WATCHDOG", 345, 900) == 0, "fed for 30 s after the last commit, at the most"
    assert told.between("STATUS", 345, 900) > 10, "it speaks on, but not of life"
    assert told.between("WATCHDOG", 960, 1200) >= 240 / 20
    assert told.words[-1][1] != "READY"
    assert told.between("STOPPING", 1200, 2000) == 1
