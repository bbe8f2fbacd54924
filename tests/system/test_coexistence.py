"""Daemon, backfill and somebody who reads, on one database and at one time: shared budgets, no double work, a bounded log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakehub import FakeHub, Limits, World
from tests.store.holding import READING, held
from tests.system.conftest import FAST, PATIENCE_S, Harvester, differences, repeated
from tests.system.service import configure, served
from tests.system.test_interruptions import IN_FLIGHT

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 2**20

TIGHT = Limits(hub_per_minute=130)
"""Fewer than the work takes: two processes that each took all of it would pass it."""

DAILY = '[[watch]]\ntarget = "{}"\nevery = "24h"\nlayers = "all"\n'


class Hasty(Harvester):
    """The command with looks a second apart."""

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "tests.system.hasty", *arguments]


def _world(services: int) -> World:
    world = World.small()
    for number in range(services):
        world.add_repository(f"umbrella/service-{number:02}", tags=4)
    return world


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[World], Harvester]:
    def harvest(world: World) -> Harvester:
        alone = Harvester(tmp_path_factory.mktemp("undisturbed"))
        with FakeHub(world, limits=FAST) as hub:
            assert alone.run(hub, "backfill", "official", "umbrella/", "--layers", "all").returncode == 0
        return alone

    return harvest


def _killed(harvester: Harvester, process: subprocess.Popen[str]) -> None:
    """Kill it, and let its leases lapse; those of others stay."""
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    harvester.change(
        "UPDATE jobs SET lease_until = '2000-01-01T00:00:00Z'"
        f" WHERE state = 'running' AND lease_owner LIKE '%:{process.pid}:%'"
    )


def _until(hub: FakeHub, requests: int, *processes: subprocess.Popen[str]) -> None:
    """Return when the far end has seen so many requests more; none of these may end before."""
    wanted = len(hub.journal) + requests
    while len(hub.journal) < wanted:
        for process in processes:
            try:
                code = process.wait(timeout=0.01)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"ended with {code}: {process.communicate()[1]}")


def test_a_daemon_and_a_backfill_that_are_killed_now_and_then(
    harvester: Harvester, undisturbed: Callable[[World], Harvester]
) -> None:
    world = _world(12)
    expected = undisturbed(world).content()
    configure(harvester.folder, DAILY.format("official") + DAILY.format("umbrella/"))
    command = ("backfill", "official", "umbrella/", "--layers", "all", "--quiet")
    with FakeHub(world, limits=TIGHT) as hub:
        with served(harvester, hub) as service:
            service.until("pass.begun")
            backfill = harvester.start(hub, *command)
            _until(hub, 25, backfill, service.process)
            _killed(harvester, backfill)
            backfill = harvester.start(hub, *command)
            _until(hub, 25, backfill, service.process)
            _killed(harvester, service.process)
        with served(harvester, hub) as service:
            service.until("daemon.ready")
            _until(hub, 25, backfill, service.process)
            _killed(harvester, backfill)
            done = harvester.run(hub, *command)
            assert done.returncode == 0, done.stderr
            service.wait_for(lambda: not harvester.one("SELECT count(*) FROM runs WHERE finished_at IS NULL"))
            assert service.end() == 0
        again = repeated(hub)
        assert not [entry for entry in hub.requests() if entry.status == 429], "one budget for all of them"
        assert len(hub.requests(host="hub")) > 130, "that would have been enough for all of it"
    assert not differences(expected, harvester.content())
    assert set(again.values()) <= {2}
    assert len(again) <= 3 * IN_FLIGHT, "no work is done twice but what was under way at a kill"
    assert harvester.one("SELECT count(*) FROM jobs WHERE state IN ('running', 'dead')") == 0
    assert harvester.one("PRAGMA integrity_check") == "ok"


def test_a_long_reader_stops_no_writer_and_the_log_stays_bounded(
    harvester: Harvester, undisturbed: Callable[[World], Harvester], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]))
    world = _world(60)
    expected = undisturbed(world).content()
    hasty = Hasty(harvester.folder)
    storage = "[storage]\nwal_mb = 2\nkeep_free_mb = 0\n"
    configure(hasty.folder, storage + DAILY.format("official") + DAILY.format("umbrella/"))
    log = Path(f"{hasty.database}-wal")
    with FakeHub(world, limits=FAST) as hub, held(hasty.database, READING) as reader, served(hasty, hub) as service:
        closed = service.until("storage.closed")
        assert "more than storage.wal_mb (2)" in closed["reason"]
        assert hasty.one("SELECT count(*) FROM jobs WHERE state = 'done'") > 10, "the reader stopped nobody"
        pinned = service.until("wal.pinned")
        assert f"process {reader.pid} (python" in pinned["readers"]
        assert "s or longer" in pinned["readers"]
        service.until("wal.pinned")
        asked = len(hub.journal)
        for _ in range(3):
            pinned = service.until("wal.pinned")
        assert pinned["pinned_s"] >= 3
        assert len(hub.journal) == asked, "nothing is asked that could not be stored"
        assert log.stat().st_size < 4 * MEGABYTE
        assert hasty.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") > 0, "there is work left"
        reader.let_go()
        service.until("storage.open")
        service.wait_for(lambda: not hasty.one("SELECT count(*) FROM runs WHERE finished_at IS NULL"))
        service.wait_for(lambda: log.stat().st_size <= MEGABYTE)
        assert service.end() == 0
    assert not differences(expected, hasty.content())
    assert hasty.one("PRAGMA integrity_check") == "ok"
