"""The single writer: one thread, one connection, batches. Rank 3.

Jobs are settled in batches: in one transaction the jobs that this process still holds are settled, what they found is stored and
what follows is added. Another call into the database joins the same transaction after them. Where a batch fails, each of its parts
is done again alone, so that one impossible row sinks only its own job.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from harvester.clock import Clock
from harvester.errors import HarvesterError, LeaseLost, StoreError, StoreUnusable
from harvester.jobs import Dead, Done, Settled
from harvester.store import server
from harvester.store.harvest import store_harvest
from harvester.store.moment import DAY_S, Moment
from harvester.store.queue import enqueue, held, runs_of, settle

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

BATCH = 200
"""Jobs settled in one transaction at the most."""

LOCKED_S = 300.0
"""How long another program may hold the database; each try waits for the engine's own time-out."""

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another program holds it: let that one end its transaction",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_READONLY: "its disk is mounted read-only, or this user may not write to it",
    sqlite3.SQLITE_IOERR: "its disk fails or is full: see the system's log",
    sqlite3.SQLITE_CANTOPEN: "see that its directory is there and may be written to",
    sqlite3.SQLITE_CORRUPT: "stop this, run `harvester db check`, and go back to a backup",
    sqlite3.SQLITE_NOTADB: "stop this, run `harvester db check`, and go back to a backup",
}
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

LINGER_S = 0.05
"""How long the first finished job of a batch waits for others."""


@dataclass(slots=True)
class _Settle:
    settled: Settled
    future: asyncio.Future[Counter[str]]


@dataclass(slots=True)
class _Call:
    function: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    is_urgent: bool


class Writer:
    """Everything that this process writes goes through here."""

    def __init__(self, engine: Engine, clock: Clock, owner: str, pull_interval_s: int = DAY_S) -> None:
        """A running writer; of each `pull_interval_s` seconds one observation of a pull count is kept, at 0 every one."""
        self._engine = engine
        self._clock = clock
        self._owner = owner
        self._pull_interval_s = pull_interval_s
        self.committed_at = clock.monotonic()
        """When a transaction was committed last, or the writer began, in seconds of the monotonic clock."""
        self._is_hurried = False
        self._lost_patience: OperationalError | None = None
        self._inbox: queue.SimpleQueue[_Settle | _Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    async def settle(self, settled: Settled) -> Counter[str]:
        """Settle one job with all it found. Raises `LeaseLost` when somebody else has it, `StoreError` when it cannot be kept."""
        item = _Settle(settled, asyncio.get_running_loop().create_future())
        self._inbox.put(item)
        return await item.future

    async def call(self, function: Callable[[Connection], Result], *, is_urgent: bool = True) -> Result:
        """What `function` returns, run inside a writing transaction that is committed before this returns.

        A call that is not urgent waits a moment for others to share its transaction.
        """
        item = _Call(function, asyncio.get_running_loop().create_future(), is_urgent)
        self._inbox.put(item)
        result: Result = await item.future
        return result

    async def is_usable(self) -> bool:
        """Whether something can be committed now, proved by a write that changes nothing.

        Waits as any other call does where another program holds the database.
        """
        try:
            await self.call(_prove)
        except StoreError:
            return False
        return True

    def hurry(self) -> None:
        """Wait for no other program any more: what it keeps from being written now fails, and so does all that follows."""
        self._is_hurried = True

    def close(self) -> None:
        """Finish what was handed in, then end."""
        if self._thread.is_alive():
            self._inbox.put(None)
            self._thread.join()

    def _run(self) -> None:
        while True:
            batch, is_last = self._collect()
            if batch:
                self._write(batch)
            if is_last:
                return

    def _collect(self) -> tuple[list[_Settle | _Call], bool]:
        """The next batch: at once when somebody waits for an answer, else after a moment in which others may join."""
        first = self._inbox.get()
        if first is None:
            return [], True
        batch = [first]
        urgent = isinstance(first, _Call) and first.is_urgent
        deadline = self._clock.monotonic() + LINGER_S
        while len(batch) < BATCH:
            patience = 0.0 if urgent else max(0.0, deadline - self._clock.monotonic())
            try:
                item = self._inbox.get(timeout=patience) if patience else self._inbox.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return batch, True
            urgent = urgent or (isinstance(item, _Call) and item.is_urgent)
            batch.append(item)
        return batch, False

    def _write(self, batch: list[_Settle | _Call]) -> None:
        try:
            results = self._patiently(batch)
        except BaseException as error:
            if len(batch) > 1 and not _is_of_the_store(error):
                for item in batch:
                    self._write([item])
                return
            results = [_named(error, item) for item in batch]
        loops = {item.future.get_loop() for item in batch}
        for loop in loops:
            answers = [(i.future, r) for i, r in zip(batch, results, strict=True) if i.future.get_loop() is loop]
            # One wake-up for all of them; nobody listens where the loop has ended.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_answer, answers)

    def _patiently(self, batch: list[_Settle | _Call]) -> list[Any]:
        """The transaction's results, however long somebody else holds the database, within reason."""
        began = self._clock.monotonic()
        while True:
            if self._lost_patience is not None:
                raise self._lost_patience
            try:
                return self._transaction(batch)
            except OperationalError as error:
                if not _is_locked(error) or self._clock.monotonic() > began + LOCKED_S:
                    raise
                if self._is_hurried:
                    self._lost_patience = error
                    raise
                held_s = round(self._clock.monotonic() - began)
                log.warning("database.locked", held_s=held_s, reason="another program writes", next="tried again")

    def _transaction(self, batch: list[_Settle | _Call]) -> list[Any]:
        finished = [item.settled for item in batch if isinstance(item, _Settle)]
        calls: dict[int, Any] = {}
        with self._engine.begin() as connection:
            now = Moment.of(self._clock.time())
            counts = settle_all(connection, finished, self._owner, now, self._pull_interval_s) if finished else {}
            for place, item in enumerate(batch):
                if isinstance(item, _Call):
                    calls[place] = item.function(connection)
        self.committed_at = self._clock.monotonic()
        return [
            calls[place]
            if isinstance(item, _Call)
            else counts.get(item.settled.job.id) or LeaseLost(item.settled.job.key)
            for place, item in enumerate(batch)
        ]


def _answer(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in answers:
        # Whoever stopped waiting needs no answer; what was handed in is written all the same.
        if future.cancelled():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)


def settle_all(
    connection: Connection, settled: Sequence[Settled], owner: str, now: Moment, pull_interval_s: int = DAY_S
) -> dict[int, Counter[str] | None]:
    """Settle the jobs that `owner` still holds, keep what they found, add what follows; counts by job, none where it was lost."""
    mine = held(connection, [one.job for one in settled], owner)
    kept = [one for one in settled if one.job.id in mine]
    settle(connection, kept, now)
    counts: dict[int, Counter[str] | None] = {}
    for one in kept:
        counts[one.job.id] = Counter(settled=1)
        if isinstance(one.outcome, Done | Dead):
            seen = Moment.of(one.observed)
            stored = store_harvest(connection, one.job, one.outcome.harvest, seen, pull_interval_s)
            counts[one.job.id] = stored.counts + Counter(settled=1)
            if stored.follow_ups:
                runs = runs_of(connection, one.job.id)
                enqueue(connection, stored.follow_ups, now, runs=runs, fresh_after=one.job.fresh_after)
    return counts


def _prove(connection: Connection) -> None:
    """Write what is there already; SQLite writes the page all the same. A server gives no number to who may only read."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("SELECT txid_current()")
    else:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")


def _code(error: BaseException) -> int:
    """What SQLite says is wrong; 0 for anything else."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlite_errorcode", 0) & 0xFF


def _is_locked(error: OperationalError) -> bool:
    return _code(error) == sqlite3.SQLITE_BUSY or server.is_locked(error.orig)


def _is_of_the_store(error: BaseException) -> bool:
    """Whether the database is at fault, and no row."""
    if isinstance(error, OperationalError | StoreUnusable) or _code(error) in _DAMAGED:
        return True
    return isinstance(error, DBAPIError) and server.is_of_the_server(error.orig)


def _named(error: BaseException, item: _Settle | _Call) -> BaseException:
    if isinstance(error, DBAPIError) and _is_of_the_store(error):
        advice = _ADVICE.get(_code(error))
        return StoreUnusable(f"the database cannot be written: {error.orig}{f'; {advice}' if advice else ''}")
    if isinstance(error, SQLAlchemyError):
        return StoreError(f"the database refused a row: {type(error).__name__}: {str(error).splitlines()[0]}")
    if isinstance(item, _Settle) and not isinstance(error, HarvesterError):
        # The driver's own words for values that no column takes: OverflowError, UnicodeEncodeError.
        return StoreError(f"a row cannot be stored: {type(error).__name__}: {error}")
    return error
