"""Processes that share a server: nothing is lost, nothing is done twice, one writes at a time, and a killed one leaves no half."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from harvester.clock import instant
from harvester.store import buckets, queue
from harvester.store.buckets import Bucket, Pace
from harvester.store.engine import database_url, open_reader, open_writer
from harvester.store.moment import Moment
from tests.fakehub import FakeHub, Limits, World
from tests.postgres.copying import rows_of
from tests.store.claimers import check_shares, claim_and_settle, told_by_two
from tests.store.clocks import NOW
from tests.store.killed_writer import EXIT
from tests.store.makers import job
from tests.system.conftest import CONTENT, FAST, PATIENCE_S, Harvester, differences, repeated

JOBS = 200
PERMITS = 60
TARGETS = ("backfill", "acme/", "umbrella/", "--layers", "all")
"""What is killed, and what is done by two at once."""


def asked(engine: Engine, sql: str) -> list[tuple[object, ...]]:
    """What the database says."""
    with engine.begin() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def test_two_processes_share_the_jobs_and_none_is_lost_or_done_twice(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    now = Moment.of(NOW)
    with engine.begin() as connection:
        queue.enqueue(connection, [job(f"r{number}") for number in range(JOBS)], now, runs=(), fresh_after=now.text)
    check_shares(told_by_two(claim_and_settle, (url, "a"), (url, "b")), JOBS)
    assert asked(engine, "SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2") == [("done", 1, JOBS)]


def test_two_who_write_wait_for_each_other_and_see_what_the_other_has_written(engine: Engine, url: str) -> None:
    other = open_writer(database_url(url))
    seen: list[int] = []

    def count() -> None:
        with other.begin() as connection:
            seen.append(connection.exec_driver_sql("SELECT count(*) FROM walls").scalar_one())

    with engine.begin() as connection:
        waiting = threading.Thread(target=count)
        waiting.start()
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not connection.exec_driver_sql(waits).all():
            assert waiting.is_alive(), "it did not wait"
        connection.exec_driver_sql("INSERT INTO walls VALUES ('tags', 'anonymous', 1000, '2026-11-20T16:00:00Z')")
    waiting.join(PATIENCE_S)
    other.dispose()
    assert seen == [1]


def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(engine: Engine, url: str) -> None:
    reader = open_reader(database_url(url))
    with reader.begin() as connection:
        before = rows_of(connection)
        with engine.begin() as writing:
            writing.exec_driver_sql("INSERT INTO walls VALUES ('tags', 'anonymous', 1000, '2026-11-20T16:00:00Z')")
        assert rows_of(connection) == before
    with reader.begin() as connection:
        assert rows_of(connection) != before
    reader.dispose()


HUB = Bucket("hub", "direct", "anonymous")
PACE = Pace(PERMITS, 60.0)


def take_all(url: str, barrier: Barrier, told: Queue[list[float]]) -> None:
    """Take permits, one by one, at instants that only this process moves, and tell when each falls due."""
    engine = open_writer(database_url(url))
    due: list[float] = []
    barrier.wait(30)
    at = float(NOW)
    while at < NOW + 60:
        with engine.begin() as connection:
            grant = buckets.take(connection, HUB, PACE, 1, at)
        due += [at + grant.wait_s] * grant.permits
        at += max(grant.wait_s, 0.05)
    engine.dispose()
    told.put(due)


def test_two_processes_together_are_given_no_more_permits_than_the_window_has(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    with engine.begin() as connection:
        buckets.configure(connection, HUB, PACE, NOW)
    due = told_by_two(take_all, (url,), (url,))
    assert all(due), "both had a share"
    taken = [at for one in due for at in one if at < NOW + 60]
    assert PERMITS - 2 <= len(taken) <= PERMITS


def test_a_process_killed_inside_a_transaction_loses_nothing_that_was_settled(engine: Engine, url: str) -> None:
    now = Moment.of(NOW)
    with engine.begin() as connection:
        queue.enqueue(connection, [job("first"), job("second")], now, runs=(), fresh_after=now.text)
    code = [sys.executable, "-m", "tests.store.killed_writer", url]
    done = subprocess.run(
        code, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == EXIT, done.stderr
    assert asked(engine, "SELECT full_name FROM repositories") == [("library/first",)]
    found = asked(engine, "SELECT kind, state, count(*) FROM jobs GROUP BY 1, 2 ORDER BY 1, 2")
    assert found == [("repository", "done", 1), ("repository", "running", 1), ("tags.page", "ready", 1)]


def world() -> World:
    """Enough to be caught in the middle of."""
    made = World.small()
    for number in range(20):
        made.add_repository(f"umbrella/service-{number:02}", tags=3)
    return made


def harvest(harvester: Harvester, hub: FakeHub, url: str) -> subprocess.Popen[str]:
    return harvester.start(hub, *TARGETS, "--database", url)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """What a harvest ends with that nobody disturbs, in a file."""
    alone = Harvester(tmp_path_factory.mktemp("undisturbed"))
    with FakeHub(world(), limits=FAST) as hub:
        done = alone.run(hub, *TARGETS)
    assert done.returncode == 0, done.stderr
    engine = open_reader(database_url(str(alone.database)))
    yield engine
    engine.dispose()


def learnt(engine: Engine) -> dict[str, list[object]]:
    """Everything that was learnt, without ids and without the instants of the learning."""
    found: dict[str, list[object]] = {}
    with engine.begin() as connection:
        for name, query in CONTENT.items():
            rows = [
                tuple(cell if cell is None else str(float(cell) if isinstance(cell, int) else cell) for cell in row)
                for row in connection.exec_driver_sql(query)
            ]
            found[name] = sorted(rows, key=repr)
    return found


def test_three_kills_lose_nothing(engine: Engine, url: str, undisturbed: Engine, tmp_path: Path) -> None:
    harvester = Harvester(tmp_path)
    with FakeHub(world(), limits=Limits(hub_per_minute=3000)) as hub:
        for _ in range(3):
            process = harvest(harvester, hub, url)
            wanted = len(hub.journal) + 20
            while len(hub.journal) < wanted and process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.005)
            process.kill()
            process.communicate(timeout=PATIENCE_S)
            assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
            with engine.begin() as connection:
                lapsed = text("UPDATE jobs SET lease_until = :then WHERE state = 'running'")
                connection.execute(lapsed, {"then": instant(NOW - 10**8)})
        process = harvest(harvester, hub, url)
        out, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        assert "went on" in out
        again = repeated(hub)
    assert differences(learnt(undisturbed), learnt(engine)) == {}
    assert set(again.values()) <= {2}


def test_two_backfills_at_once_share_the_work(engine: Engine, url: str, undisturbed: Engine, tmp_path: Path) -> None:
    harvester = Harvester(tmp_path)
    with FakeHub(world(), limits=Limits(hub_per_minute=3000)) as hub:
        processes = [harvest(harvester, hub, url) for _ in range(2)]
        for process in processes:
            _, errors = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, errors
        assert not repeated(hub)
        assert not [entry for entry in hub.requests() if entry.status == 429]
    assert differences(learnt(undisturbed), learnt(engine)) == {}
    assert asked(engine, "SELECT count(*) FROM runs") == [(1,)]
