"""The daemon's generations in virtual time."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from harvester.composition import open_store
from harvester.config import Settings
from harvester.daemon import WAIT_S, Daemon
from harvester.delivery import Delivery
from harvester.systemd import Notifier
from harvester.timetable import Timetable
from harvester.watch import watches
from tests.simulation.virtual import VirtualClock, virtually

nobody = httpx.MockTransport(lambda _: httpx.Response(404))


def idle() -> Timetable:
    """APScheduler would read the machine's clock."""
    return Timetable(())


def test_a_part_that_dies_at_once_again_and_again_is_begun_anew_with_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[float] = []

    async def main(clock: VirtualClock) -> None:
        settings = Settings(
            database=str(tmp_path / "harvester.db"),
            metrics_listen="off",
            watch=watches([{"target": "nginx"}]),
        )

        async def keep_on(_: Delivery) -> None:
            begun.append(clock.monotonic())
            if len(begun) == 5:
                daemon.stop()
            raise RuntimeError("a mistake of ours")

        monkeypatch.setattr(Delivery, "keep_on", keep_on)
        daemon = Daemon(
            lambda: (settings, None),
            settings,
            None,
            clock,
            Notifier(),
            inner=lambda _: nobody,
            timetable=lambda _: idle(),
        )
        engine = open_store(settings)
        await daemon.serve(engine)
        engine.dispose()

    virtually(main)
    assert begun[-1] - begun[0] >= 4 * WAIT_S[0]
