"""A migrated database, and the store's transitions by one short call each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from harvester.clock import instant
from harvester.jobs import Args, Harvest, Job, Lane, NewJob, Outcome, Settled, tags_page
from harvester.records import Record
from harvester.store import queue, runs
from harvester.store.freshness import settle_known
from harvester.store.harvest import store_harvest
from harvester.store.moment import Moment
from harvester.store.runs import Run
from harvester.store.writer import settle_all
from tests.store.clocks import ManualClock

OWNER = "host:1:one"
OTHER = "host:2:two"


class Database:
    """One file, one clock, one transaction per call."""

    def __init__(self, path: Path, engine: Engine, reader: Engine, clock: ManualClock) -> None:
        self.path = path
        self.engine = engine
        self.reader = reader
        self.clock = clock

    @property
    def now(self) -> Moment:
        return Moment.of(self.clock.time())

    def all(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.reader.begin() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql, parameters)]

    def one(self, sql: str, *parameters: Any) -> tuple[Any, ...]:
        [row] = self.all(sql, *parameters)
        return row

    def value(self, sql: str, *parameters: Any) -> Any:
        [found] = self.one(sql, *parameters)
        return found

    def run(self, sql: str, *parameters: Any) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(sql, parameters)

    def add(self, *new: NewJob, runs: Sequence[int] = (), fresh_after: str | None = None) -> None:
        with self.engine.begin() as connection:
            queue.enqueue(connection, new, self.now, runs=runs, fresh_after=fresh_after or self.now.text)

    def claim(
        self,
        *,
        lane: Lane = "hub",
        owner: str = OWNER,
        wanted: int = 1000,
        run_id: int | None = None,
        shards: tuple[int, ...] | None = None,
    ) -> list[Job]:
        with self.engine.begin() as connection:
            return queue.claim(connection, lane, self.now, owner=owner, wanted=wanted, run_id=run_id, shards=shards)

    def claim_one(self, *, owner: str = OWNER) -> Job:
        [job] = self.claim(owner=owner)
        return job

    def end(self, job: Job, outcome: Outcome, *, owner: str = OWNER, observed: float | None = None) -> bool:
        """Settle as the writer does; whether the job was still held."""
        when = self.clock.time() if observed is None else observed
        with self.engine.begin() as connection:
            counts = settle_all(connection, [Settled(job, outcome, when)], owner, self.now)
        return job.id in counts

    def rescue(self) -> int:
        with self.engine.begin() as connection:
            return queue.rescue(connection, self.now)

    def promote(self) -> int:
        with self.engine.begin() as connection:
            return queue.promote(connection, self.now)

    def keep(self, *records: Record, fresh_after: str | None = None, at: float | None = None) -> Counter[str]:
        """Store records as one job's harvest, observed now or at that time."""
        when = self.now if at is None else Moment.of(at)
        with self.engine.begin() as connection:
            args = Args(subject="library/nginx")
            job = Job(1, "tags.page", tags_page(args).key, args, 1, fresh_after or when.text)
            return store_harvest(connection, job, Harvest(records=records), when).counts

    def known(self, jobs: Sequence[Job]) -> list[Job]:
        """Settle what the store knows; the jobs that have to be asked."""
        with self.engine.begin() as connection:
            return settle_known(connection, jobs, self.now)

    def begin_run(self, fingerprint: str, *jobs: NewJob) -> Run:
        with self.engine.begin() as connection:
            return runs.begin_run(connection, fingerprint, jobs, self.now)

    def finish_run(self, run_id: int) -> bool:
        with self.engine.begin() as connection:
            return runs.finish_run(connection, run_id, self.now)

    def job(self, key: str) -> dict[str, Any]:
        """The newest job of a key."""
        with self.reader.begin() as connection:
            found = connection.exec_driver_sql("SELECT * FROM jobs WHERE key = ? ORDER BY id DESC LIMIT 1", (key,))
            return dict(found.mappings().one())

    def keys(self, state: str) -> list[str]:
        return [row[0] for row in self.all("SELECT key FROM jobs WHERE state = ? ORDER BY id", state)]

    def in_s(self, seconds: float) -> str:
        """The instant that many seconds from now."""
        return instant(self.clock.time() + seconds)
