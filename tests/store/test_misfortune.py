"""The database fails: what was to be written is refused with one clear line, nothing of it half-written, and later it goes on."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine

from harvester.errors import StoreUnusable
from harvester.jobs import Harvest, Job
from harvester.store import engine as engines
from harvester.store import queue
from harvester.store.engine import database_url, open_reader, open_writer
from harvester.store.reading import read
from harvester.store.writer import LOCKED_S, Writer
from tests.store.clocks import NOW, ManualClock
from tests.store.database import OWNER, Database
from tests.store.holding import WRITING, held
from tests.store.makers import job, seen
from tests.store.small_disk import JOBS
from tests.store.test_writer import done
from tests.store.work import Work

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.fixture
def impatient(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose statements wait for others for a moment only."""
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 20)
    engine = open_writer(database_url(str(path)))
    yield engine
    engine.dispose()


@contextmanager
def noticed(event: str) -> Iterator[threading.Event]:
    """Set when a line of that name is logged."""
    heard = threading.Event()

    def listen(_logger: Any, _name: str, line: Any) -> Any:
        if line["event"] == event:
            heard.set()
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[listen])
    try:
        yield heard
    finally:
        structlog.configure(processors=before)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The system refuses writes beyond that with an error that SQLite has no other name for than `disk I/O error`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_writer_waits_for_a_program_that_holds_the_database(db: Database, impatient: Engine) -> None:
    writer = Writer(impatient, db.clock, OWNER)
    db.add(job("nginx"))
    claimed = db.claim_one()
    with noticed("database.locked") as locked, held(db.path, WRITING) as holder:
        settling = asyncio.create_task(writer.settle(done(claimed, seen())))
        assert await asyncio.to_thread(locked.wait, 20)
        db.clock.advance(60)
        assert not settling.done()
        holder.let_go()
        await settling
    assert db.keys("done") == [claimed.key]
    await asyncio.to_thread(writer.close)


async def test_one_that_is_hurried_waits_for_nobody(db: Database, impatient: Engine) -> None:
    writer = Writer(impatient, db.clock, OWNER)
    db.add(job("nginx"))
    claimed = db.claim_one()
    with noticed("database.locked") as locked, held(db.path, WRITING):
        settling = asyncio.create_task(writer.settle(done(claimed, seen())))
        assert await asyncio.to_thread(locked.wait, 20)
        writer.hurry()
        with pytest.raises(StoreUnusable, match="database is locked"):
            await settling
    with pytest.raises(StoreUnusable, match="database is locked"):
        await writer.call(lambda connection: None)
    assert db.keys("running") == [claimed.key]
    await asyncio.to_thread(writer.close)


async def test_it_does_not_wait_for_ever_and_goes_on_afterwards(db: Database, impatient: Engine) -> None:
    writer = Writer(impatient, db.clock, OWNER)
    db.add(job("nginx"))
    claimed = db.claim_one()
    with noticed("database.locked") as locked, held(db.path, WRITING) as holder:
        settling = asyncio.create_task(writer.settle(done(claimed, seen())))
        assert await asyncio.to_thread(locked.wait, 20)
        db.clock.advance(LOCKED_S + 1)
        with pytest.raises(StoreUnusable, match="database is locked; another program holds it: let that one end"):
            await settling
        assert db.value("SELECT count(*) FROM repositories") == 0
        holder.let_go()
    assert await writer.is_usable()
    await writer.settle(done(claimed, seen()))
    assert db.keys("done") == [claimed.key]
    await asyncio.to_thread(writer.close)


async def test_an_error_of_the_disk_is_no_jobs_fault(db: Database, writer: Writer) -> None:
    db.add(job("before"), job("during"), job("beside"))
    before, during, beside = db.claim()
    await writer.settle(done(before, seen("library/before")))
    large = seen("library/during", full_description="x" * 500_000)
    with files_no_larger_than(db.path.with_name("harvester.db-wal").stat().st_size + 50_000):
        failed = await asyncio.gather(
            writer.settle(done(during, large)),
            writer.settle(done(beside, seen("library/beside"))),
            return_exceptions=True,
        )
    assert [type(one) for one in failed] == [StoreUnusable, StoreUnusable], (
        "of one batch: the small one is not tried alone"
    )
    assert str(failed[0]).startswith("the database cannot be written: disk I/O error; its disk fails or is full")
    assert db.keys("running") == [during.key, beside.key]
    assert db.all("SELECT full_name FROM repositories") == [("library/before",)]
    assert await writer.is_usable()
    await asyncio.gather(writer.settle(done(during, large)), writer.settle(done(beside, seen("library/beside"))))
    assert db.value("SELECT count(*) FROM repositories") == 3
    assert db.value("PRAGMA integrity_check") == "ok"


async def test_damage_is_no_jobs_fault(db: Database, writer: Writer) -> None:
    db.add(job("nginx"))
    claimed = db.claim_one()
    root = db.value("SELECT rootpage FROM sqlite_master WHERE name = 'repositories'")
    db.reader.dispose()
    writer._engine.dispose()
    size = 4096
    with db.path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(StoreUnusable, match="malformed; stop this, run `harvester db check`"):
        await writer.settle(done(claimed, seen()))


async def test_a_database_that_is_moved_away_is_unusable_until_it_is_back(db: Database, writer: Writer) -> None:
    assert await writer.is_usable()
    aside = db.path.rename(db.path.with_name("aside.db"))
    assert not await writer.is_usable()
    with pytest.raises(StoreUnusable, match="moved, deleted or replaced"):
        await writer.call(lambda connection: None)
    aside.rename(db.path)
    assert await writer.is_usable()


async def test_usable_means_that_something_was_written(db: Database, writer: Writer) -> None:
    log = db.path.with_name("harvester.db-wal")
    assert await writer.is_usable()
    before = log.read_bytes()
    assert await writer.is_usable()
    after = log.read_bytes()
    assert len(after) > len(before)
    assert db.value("PRAGMA user_version") == 0


async def test_the_last_commit_is_dated_and_a_failure_is_none(db: Database, writer: Writer, clock: ManualClock) -> None:
    assert writer.committed_at == 0
    clock.advance(100)
    await writer.call(lambda connection: None)
    assert writer.committed_at == 100
    clock.advance(50)
    with pytest.raises(ZeroDivisionError):
        await writer.call(lambda connection: 1 // 0)
    assert writer.committed_at == 100
    clock.set_wall(NOW - 7200)
    assert await writer.is_usable()
    assert writer.committed_at == 150


async def test_what_a_worker_held_when_the_database_failed_is_worked_on_by_the_next(
    db: Database, writer: Writer
) -> None:
    run = db.begin_run("a", job("first"), job("second"))
    assert len(db.claim()) == 2, "as a worker that ended with its writer's failure had left them"

    async def handle(one: Job) -> Harvest:
        assert one.attempt == 1, "no job's fault"
        return Harvest(records=(seen(one.args.subject),))

    await Work(db, writer, handle, run.id).until_over()
    assert len(db.keys("done")) == 2


async def test_giving_back_leaves_what_others_hold(db: Database) -> None:
    db.add(job("mine"), job("theirs"))
    db.claim(wanted=1)
    db.claim(owner="host:2:two")
    with db.engine.begin() as connection:
        assert queue.give_back(connection, db.now, owner=OWNER) == 1
    assert db.keys("running") == [job("theirs").key]


async def test_a_reader_says_what_is_wrong(db: Database) -> None:
    reader = open_reader(db.engine.url)
    with pytest.raises(StoreUnusable, match="the database cannot be read: no such table: missing"):
        await read(reader, lambda connection: connection.exec_driver_sql("SELECT 1 FROM missing"))
    reader.dispose()


@pytest.mark.skipif(not may_mount(), reason="no file system may be mounted here, not even in a namespace of our own")
async def test_a_full_disk_and_a_read_only_one(template: Path, tmp_path: Path) -> None:
    folder, answer = tmp_path / "disk", tmp_path / "answer.json"
    folder.mkdir()
    code = [
        *NAMESPACE,
        sys.executable,
        "-W",
        "error",
        "-m",
        "tests.store.small_disk",
        *map(str, (folder, template, answer)),
    ]
    ended = await asyncio.to_thread(
        subprocess.run, code, cwd=ROOT, timeout=120, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(answer.read_text())
    full = found["full"]
    assert full["said"] == [
        "StoreUnusable: the database cannot be written: database or disk is full; make room on its disk"
    ]
    settled = JOBS - full["failed"]
    assert 0 < settled < JOBS
    assert full["state"] == [settled, settled, settled], "done, stored and stored whole"
    assert (found["gate_before"], found["gate_after"]) == (None, None)
    assert "storage.keep_free_mb" in full["gate"]
    assert (found["usable_again"], found["left"], found["failed_again"]) == (True, full["failed"], [])
    assert found["state"] == [JOBS, JOBS, JOBS]
    assert (found["usable_read_only"], found["usable_at_last"]) == (False, True)
    assert found["read_only"].startswith("StoreUnusable: the database cannot be written: ")
    assert found["check"] == "ok"
