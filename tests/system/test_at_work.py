"""A real `backfill` is announced on the database while it works, and nobody changes the schema under it."""

from __future__ import annotations

import signal
import subprocess
from functools import partial

import pytest

from harvester import __version__
from harvester.clock import instant
from harvester.composition import assembled, open_store, worker_of
from harvester.config import Settings
from harvester.errors import SchemaMismatch
from tests.fakehub import FakeHub, Limits, World
from tests.store.clocks import NOW, ManualClock
from tests.system.conftest import PATIENCE_S, Harvester

SLOW = Limits(hub_per_minute=1200)


def _working(harvester: Harvester, hub: FakeHub) -> subprocess.Popen[str]:
    """A backfill that has begun to ask."""
    process = harvester.start(hub, "backfill", "official", "--layers", "all")
    while not hub.journal:
        try:
            process.wait(timeout=0.005)
        except subprocess.TimeoutExpired:
            continue
        break
    return process


def test_a_backfill_is_at_work_until_it_ends(harvester: Harvester) -> None:
    with FakeHub(World.small(), limits=SLOW) as hub:
        process = _working(harvester, hub)
        [(owner, command, version)] = harvester.rows("SELECT owner, command, version FROM processes")
        assert (owner.rsplit(":", 2)[1], command, version) == (str(process.pid), "backfill", __version__)
        assert harvester.run(None, "db", "upgrade").returncode == 0, "of the same version"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
    assert harvester.one("SELECT count(*) FROM processes") == 0


def test_who_was_killed_counts_for_a_minute_and_its_version_is_named(harvester: Harvester) -> None:
    with FakeHub(World.small(), limits=SLOW) as hub:
        process = _working(harvester, hub)
        process.kill()
        process.communicate(timeout=PATIENCE_S)
    assert harvester.run(None, "db", "upgrade").returncode == 0, "of the same version"
    harvester.change("UPDATE processes SET version = '0.0.9'")
    refused = harvester.run(None, "db", "upgrade")
    assert (refused.returncode, refused.stdout) == (1, "")
    [line] = refused.stderr.splitlines()
    assert "`harvester backfill` 0.0.9" in line
    assert f"pid {process.pid}" in line
    harvester.change("UPDATE processes SET seen_at = '2026-01-01T00:00:00Z'")
    assert harvester.run(None, "db", "upgrade").returncode == 0


@pytest.mark.anyio
async def test_a_tick_renews_and_refuses_a_schema_that_was_changed_meanwhile(harvester: Harvester) -> None:
    settings = Settings(database=str(harvester.database), hub_url="http://127.0.0.1:9")
    clock = ManualClock()
    engine = open_store(settings, clock)

    def hold(budget: str, seconds: float, reason: str) -> None:
        raise AssertionError(reason)

    parts_of = partial(assembled, settings, engine, clock, credential=None, on_hold=hold, command="backfill")
    async with parts_of() as parts:
        worker = worker_of(parts, clock, run_id=None, on_report=lambda report: None)
        clock.advance(50)
        await worker.on_tick()
        assert harvester.rows("SELECT started_at, seen_at FROM processes") == [(instant(NOW), instant(NOW + 50))]
        harvester.change("DELETE FROM processes")
        await worker.on_tick()
        assert harvester.one("SELECT owner FROM processes") == parts.owner, "forgotten in a long sleep"
        harvester.change("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(SchemaMismatch, match="9999"):
            await worker.on_tick()
    assert harvester.one("SELECT count(*) FROM processes") == 0
    with pytest.raises(SchemaMismatch, match="9999"):
        async with parts_of():
            pass
    engine.dispose()
