"""What the scheduler takes over from the process before it."""

from __future__ import annotations

import asyncio

import pytest

from harvester.clock import instant
from harvester.config import Settings
from harvester.jobs import Dead, Done, Harvest
from harvester.scheduler import Scheduler
from harvester.store import queue, runs
from harvester.store.writer import Writer
from harvester.watch import watches
from tests.store.clocks import NOW
from tests.store.database import Database
from tests.store.makers import job

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


@pytest.mark.parametrize("is_beside", [False, True])
async def test_a_run_that_is_taken_up_again_is_seen_after_the_next_plan(
    db: Database, writer: Writer, is_beside: bool
) -> None:
    run = db.begin_run("refused", job("a"))
    failed = db.claim_one()
    db.end(failed, Dead("403", Harvest()))
    working = scheduler(db, writer, Settings())
    await working.sweep()
    assert db.value("SELECT finished_at FROM runs WHERE id = ?", run.id) is not None
    await working.sweep()
    with db.engine.begin() as connection:
        assert queue.revive(connection, failed.id, db.now) == "ready"
        runs.reopen_of(connection, failed.id)
    if is_beside:
        # The plan begins while the sweep reads.
        await asyncio.gather(working.sweep(), working.replan())
    else:
        await working.replan()
    db.end(db.claim_one(), Done(Harvest()))
    await working.sweep()
    assert db.value("SELECT finished_at FROM runs WHERE id = ?", run.id) is not None
