"""What the scheduler takes over from the process before it."""

from __future__ import annotations

import pytest

from harvester.clock import instant
from harvester.config import Settings
from harvester.scheduler import Scheduler
from harvester.store.writer import Writer
from harvester.watch import watches
from tests.store.clocks import NOW
from tests.store.database import Database

pytestmark = pytest.mark.anyio


def scheduler(db: Database, writer: Writer, settings: Settings) -> Scheduler:
    return Scheduler(
        writer, db.reader, db.clock, settings, owner="here", on_begun=lambda: None, on_gauges=lambda _: None
    )


async def test_a_stretched_cadence_stays_so_over_a_restart(db: Database, writer: Writer) -> None:
    targets = [{"target": f"acme/app-{number}", "every": "5s"} for number in range(200)]
    settings = Settings(watch=watches(targets), hub_per_minute=60)
    before = scheduler(db, writer, settings)
    await before.take_over()
    await before.replan()
    assert before.stretch > 10
    far = instant(NOW + 1.2 * before.stretch * 5)
    db.run("UPDATE watches SET next_check_at = ?", far)
    after = scheduler(db, writer, settings)
    await after.take_over()
    assert after.stretch == before.stretch
    assert db.all("SELECT DISTINCT next_check_at FROM watches") == [(far,)]
