"""The gate: nothing is claimed that could not be stored; what is under way ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from harvester.errors import StoreUnusable
from harvester.gate import LOOK_S, MEGABYTE, Gate
from harvester.jobs import Harvest, Job
from harvester.store.writer import Writer
from tests.store.clocks import ManualClock
from tests.store.database import Database
from tests.store.holding import READING, held
from tests.store.makers import job, seen
from tests.store.test_checkpoints import fill
from tests.store.work import Work

pytestmark = pytest.mark.anyio


@pytest.fixture
def said() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


class Disk:
    """What is left of the disk, in megabytes, as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_mb = 1000.0
        real = os.statvfs

        def statvfs(path: Any) -> os.statvfs_result:
            found = list(real(path))
            found[1] = 4096
            found[4] = -(-int(self.free_mb * MEGABYTE) // 4096)
            return os.statvfs_result(found)

        monkeypatch.setattr("os.statvfs", statvfs)


class FewSleeps(ManualClock):
    """Sleeps take no time, and the last one never ends."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.slept = asyncio.Event()
        self._left = number

    async def sleep(self, seconds: float) -> None:
        self._left -= 1
        if not self._left:
            self.slept.set()
            await super().sleep(seconds)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def gate_of(db: Database, *, wal_mb: int = 0, keep_free_mb: int = 0) -> Gate:
    return Gate(db.engine.url, db.clock, wal_mb=wal_mb, keep_free_mb=keep_free_mb)


async def test_a_reader_does_not_close_it_below_the_bound_and_closes_it_beyond(db: Database, said: list[Any]) -> None:
    gate = gate_of(db, wal_mb=2)
    with held(db.path, READING) as reader:
        fill(db, 1500)
        await gate.look()
        assert gate.closed_reason() is None
        fill(db, 1000)
        reason = gate.closed_reason()
        assert reason is not None
        assert "2 MB, more than storage.wal_mb (2)" in reason
        reader.let_go()
    await gate.look()
    assert gate.closed_reason() is None
    assert gate.wal.size_bytes == 0
    assert [one["event"] for one in said] == ["storage.closed", "storage.open"]


async def test_it_warns_once_a_minute_of_who_reads_and_for_how_long(db: Database, said: list[Any]) -> None:
    gate = gate_of(db, wal_mb=4)
    with held(db.path, READING) as reader:
        fill(db, 2500)
        for _ in range(9):
            await gate.look()
            db.clock.advance(LOOK_S)
    warnings = [one for one in said if one["event"] == "wal.pinned"]
    assert [one["pinned_s"] for one in warnings] == [30, 90, 150, 210]
    last = warnings[-1]
    assert (last["size_mb"], last["bound_mb"], last["log_level"]) == (3, 4, "warning")
    assert f"process {reader.pid} (python" in last["readers"]
    assert "for 210 s or longer" in last["readers"]
    assert "let it end, or end it" in last["next"]


async def test_a_reader_of_a_small_log_is_nobodys_business(db: Database, said: list[Any]) -> None:
    gate = gate_of(db, wal_mb=1024)
    with held(db.path, READING):
        fill(db, 1000)
        for _ in range(4):
            await gate.look()
            db.clock.advance(LOOK_S)
    assert said == []
    assert gate.wal.pinned_s == 90


async def test_it_closes_while_the_disk_is_nearly_full(db: Database, disk: Disk, said: list[Any]) -> None:
    gate = gate_of(db, keep_free_mb=200)
    reasons = []
    for disk.free_mb in (1000, 200, 199, 201, 209, 150, 211, 205):
        reasons.append(gate.closed_reason())
    assert [one is None for one in reasons] == [True, True, False, False, False, False, True, True]
    assert reasons[2] == "the disk of the database has 199 MB left, less than storage.keep_free_mb (200)"
    assert [one["event"] for one in said] == ["storage.closed", "storage.open"]
    assert said[0]["log_level"] == "warning"


async def test_bounds_of_nothing_are_none(db: Database, disk: Disk) -> None:
    gate = gate_of(db)
    disk.free_mb = 0
    fill(db, 500)
    assert gate.closed_reason() is None


async def test_a_database_that_is_gone_is_said_once_by_who_keeps_looking(db: Database, said: list[Any]) -> None:
    gate = gate_of(db)
    db.path.rename(db.path.with_name("elsewhere.db"))
    with pytest.raises(StoreUnusable):
        await gate.look()
    gate._clock = clock = FewSleeps(5)
    looking = asyncio.create_task(gate.keep_looking())
    async with asyncio.timeout(20):
        await clock.slept.wait()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    [line] = said
    assert line["event"] == "wal.not_copied"
    assert "moved, deleted or replaced" in line["reason"]


async def test_a_worker_claims_nothing_while_it_is_closed_and_goes_on_when_it_opens(
    db: Database, writer: Writer
) -> None:
    closed, refused = asyncio.Event(), asyncio.Event()
    closed.set()
    calls = 0

    async def handle(one: Job) -> Harvest:
        closed.set()
        return Harvest(records=(seen(one.args.subject),))

    def may_claim() -> str | None:
        nonlocal calls
        calls += 1
        if calls >= 3:
            refused.set()
        return "no room" if closed.is_set() else None

    run = db.begin_run("a", job("first"))
    work = Work(db, writer, handle, run.id)
    work.worker.may_claim = may_claim
    working = asyncio.create_task(work.until_over())
    async with asyncio.timeout(20):
        await refused.wait()
        assert (db.keys("ready"), db.keys("running")) == ([job("first").key], [])
        closed.clear()
        await working
    assert closed.is_set(), "it closed again while the job was under way"
    assert db.keys("done") == [job("first").key]
    assert db.value("SELECT count(*) FROM repositories") == 1
