"""Slots, claims, outcomes: what turns ready jobs into settled ones. Rank 5.

A slot runs one job: ask the far end, map what came to an outcome, hand it to the writer. A job's lease is renewed while it is
held; what is claimed but not begun is given back at shutdown. A lane whose budget is closed is not claimed from, so no job waits
in a slot.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import Connection

from harvester.clock import Clock
from harvester.errors import (
    Blocked,
    CredentialsRefused,
    DeadEndpoint,
    Denied,
    Drift,
    Gone,
    HarvesterError,
    LeaseLost,
    StaleToken,
    StoreError,
    StoreUnusable,
    Throttled,
    TooLarge,
    Unavailable,
    Unreachable,
    Walled,
    WireError,
)
from harvester.jobs import (
    KINDS,
    MAX_ATTEMPTS,
    Dead,
    Done,
    Harvest,
    Job,
    Lane,
    Outcome,
    Released,
    Retry,
    Settled,
    Snooze,
    reason_of,
    retry_delay,
)
from harvester.store import queue
from harvester.store.freshness import settle_known
from harvester.store.moment import Moment
from harvester.store.writer import Writer

log = structlog.get_logger(__name__)

SLOTS: dict[Lane, int] = {"hub": 4, "pulls": 1}
"""Jobs of a lane that ask the far end at one time: a handful of connections is the fastest setting there is."""

LEAST_AHEAD = 8
MOST_AHEAD = 64
"""Jobs claimed beyond the free slots, so that one claim serves several: the more, the faster they are used up."""

QUICK_S = 1.0
SLOW_S = 2.0
"""Claims nearer than the one to each other take more jobs, claims further apart than the other take fewer."""

UNSETTLED = 400
"""Finished jobs on their way into the database at the most; a slot waits beyond that."""

RENEW_S = queue.LEASE_S / 3
PEEK_S = 0.5

STRIKES = 12
"""So many failures in a row are the far end's, not the jobs': no attempt is counted any more."""

FAILING_S = 900.0
"""A far end that fails for so long, without one answer, cannot be used."""

DRIFT_PAUSE_S = 30.0
"""An answer of another shape is asked for once more after this time: now and then it is a passing fault."""

PATIENCE_AT_START_S = 3.0
PATIENCE_LATER_S = 120.0
"""How long a host may be unreachable before the worker gives up: before anything was ever answered, and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One job's end, for logs, progress and metrics."""

    job: Job
    outcome: Outcome
    error: BaseException | None
    counts: Counter[str]


@dataclass(slots=True)
class Trouble:
    """What the far end refused to this worker as a whole."""

    unreachable_since: float | None = None
    unreachable_times: int = 0
    answered: bool = False
    strikes: int = 0
    """Failures in a row, of whatever jobs, with no answer between them."""
    failing_since: float = 0.0
    pauses: int = 0
    blocked_until: float = 0.0
    blocks: int = 0
    fatal: HarvesterError | None = None
    """Why the far end cannot be used at all."""


@dataclass(slots=True)
class Worker:
    """Works on the jobs of one run, or of all of them, until told to stop."""

    writer: Writer
    clock: Clock
    owner: str
    handle: Callable[[Job], Awaitable[Harvest]]
    abandoned: Callable[[Job, BaseException], Harvest]
    on_report: Callable[[Report], None]
    on_tick: Callable[[], Awaitable[None]]
    is_due: Callable[[Lane], Awaitable[bool]]
    """Asked, without writing, whether a claim could find anything."""
    run_id: int | None = None
    chance: Callable[[], float] = random.random
    trouble: Trouble = field(default_factory=Trouble)
    _tasks: dict[Lane, set[asyncio.Task[None]]] = field(default_factory=lambda: {lane: set() for lane in SLOTS})
    _slots: dict[Lane, asyncio.Semaphore] = field(
        default_factory=lambda: {lane: asyncio.Semaphore(number) for lane, number in SLOTS.items()}
    )
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNSETTLED))
    _asking: set[asyncio.Task[None]] = field(default_factory=set)
    _settling: set[asyncio.Task[None]] = field(default_factory=set)
    _closed_until: dict[Lane, float] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0.0))
    _peek_at: dict[Lane, float] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0.0))
    _hints: set[Lane] = field(default_factory=set)
    _ahead: int = LEAST_AHEAD
    _claimed_at: float = 0.0
    _draining: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, is_over: Callable[[], Awaitable[bool]]) -> None:
        """Work until `is_over` says so while nothing is in hand, until `drain`, or until the far end cannot be used.

        Raises `StoreError` when leases cannot be renewed or results cannot be kept.
        """
        upkeep = asyncio.create_task(self._upkeep())
        try:
            while not self._draining and self.trouble.fatal is None and not upkeep.done():
                self._news.clear()
                claimed = await self._fill()
                if not claimed and not self.in_hand and await is_over():
                    break
                if not claimed:
                    await self._wait_for_news()
        except BaseException:
            self.hurry()
            raise
        finally:
            await self._drained()
            upkeep.cancel()
            await asyncio.gather(upkeep, return_exceptions=True)
        if not upkeep.cancelled() and (error := upkeep.exception()) is not None:
            raise error
        if isinstance(self.trouble.fatal, StoreError):
            raise self.trouble.fatal

    def drain(self) -> None:
        """Claim nothing more; finish what is being asked, give back the rest."""
        self._draining = True
        self._news.set()

    def hurry(self) -> None:
        """Give back even what is being asked."""
        self.drain()
        for task in self._asking:
            task.cancel()

    @property
    def in_hand(self) -> int:
        """Jobs that this worker holds."""
        return sum(map(len, self._tasks.values())) + len(self._settling)

    def closed_for(self, lane: Lane) -> float:
        """Seconds for which nothing of this lane is asked; 0 when it is open."""
        return max(0.0, self._closed_until[lane] - self.clock.monotonic())

    async def _fill(self) -> int:
        """Claim for every open lane that has room; how many jobs there were, those included that the store knew."""
        total = 0
        for lane, tasks in self._tasks.items():
            room = SLOTS[lane] + self._ahead - len(tasks)
            if room <= self._ahead // 2 or self.closed_for(lane) or self._draining:
                continue

            def take(connection: Connection, lane: Lane = lane, room: int = room) -> tuple[int, list[Job]]:
                now = Moment.of(self.clock.time())
                queue.promote(connection, now)
                queue.rescue(connection, now, owner=self.owner)
                jobs = queue.claim(connection, lane, now, owner=self.owner, wanted=room, run_id=self.run_id)
                return len(jobs), settle_known(connection, jobs, now)

            if not tasks and not await self._may_be_due(lane):
                continue
            self._hints.discard(lane)
            claimed, rest = await self.writer.call(take, is_urgent=len(tasks) <= SLOTS[lane])
            self._pace_claims()
            total += claimed
            if claimed:
                # What the store knew may have been followed by more.
                self._hints.add(lane)
            for job in rest:
                task = asyncio.create_task(self._work(job, lane))
                tasks.add(task)
                task.add_done_callback(partial(self._left, tasks))
        return total

    def _pace_claims(self) -> None:
        now = self.clock.monotonic()
        since, self._claimed_at = now - self._claimed_at, now
        if since < QUICK_S:
            self._ahead = min(MOST_AHEAD, self._ahead * 2)
        elif since > SLOW_S:
            self._ahead = max(LEAST_AHEAD, self._ahead // 2)

    async def _may_be_due(self, lane: Lane) -> bool:
        """Whether to claim for an idle lane: our own work brought jobs for it, or a look now and then finds some."""
        if lane in self._hints:
            return True
        now = self.clock.monotonic()
        if now < self._peek_at[lane]:
            return False
        self._peek_at[lane] = now + PEEK_S
        return await self.is_due(lane)

    def _left(self, tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        self._news.set()
        if not task.cancelled() and (error := task.exception()) is not None and self.trouble.fatal is None:
            self.trouble.fatal = error if isinstance(error, HarvesterError) else StoreError(repr(error))

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(PEEK_S):
                await self._news.wait()
        except TimeoutError:
            return

    async def _work(self, job: Job, lane: Lane) -> None:
        error: BaseException | None = None
        async with self._slots[lane]:
            if self._draining or self.closed_for(lane) or self.trouble.fatal is not None:
                outcome: Outcome = Released()
            else:
                outcome, error = await self._attempt(job, lane)
            observed = self.clock.time()
            await self._room.acquire()
        settling = asyncio.create_task(self._settle(Settled(job, outcome, observed), error))
        self._settling.add(settling)
        settling.add_done_callback(partial(self._left, self._settling))

    async def _attempt(self, job: Job, lane: Lane) -> tuple[Outcome, BaseException | None]:
        task = asyncio.current_task()
        assert task is not None
        self._asking.add(task)
        try:
            harvest = await self.handle(job)
        except asyncio.CancelledError:
            return Released(), None
        except Exception as error:
            return self._outcome_of(error, job, lane), error
        finally:
            self._asking.discard(task)
        self.trouble.answered = True
        self.trouble.unreachable_since = None
        self.trouble.unreachable_times = 0
        self.trouble.strikes = 0
        return Done(harvest), None

    async def _settle(self, settled: Settled, error: BaseException | None) -> None:
        try:
            counts = await self.writer.settle(settled)
        except LeaseLost:
            log.warning("lease.lost", key=settled.job.key)
            return
        except StoreError as refusal:
            # The job's own rows may be at fault: without them, it fails on its own.
            if isinstance(refusal, StoreUnusable) or not isinstance(settled.outcome, Done | Dead):
                raise
            dead = Dead(reason_of(refusal), self.abandoned(settled.job, refusal))
            settled, error = Settled(settled.job, dead, settled.observed), refusal
            counts = await self.writer.settle(settled)
        finally:
            self._room.release()
        if isinstance(settled.outcome, Done | Dead):
            self._hints.update(KINDS[new.kind][0] for new in settled.outcome.harvest.follow_ups)
        self.on_report(Report(job=settled.job, outcome=settled.outcome, error=error, counts=counts))

    def _outcome_of(self, error: Exception, job: Job, lane: Lane) -> Outcome:
        """What becomes of a job that raised: the one place where errors turn into outcomes."""
        reason = reason_of(error)
        match error:
            case Throttled(retry_after=seconds):
                self._close(lane, seconds)
                return Snooze(seconds, reason)
            case Blocked(retry_after=seconds):
                return Snooze(self._blocked(lane, seconds), reason)
            case Unreachable():
                return Snooze(self._unreachable(lane, error), reason)
            case CredentialsRefused() | StoreError():
                self.trouble.fatal = error
                return Released()
            case Unavailable() | Denied() if (pause := self._strike(lane, error)) > 0:
                return Snooze(pause, reason)
            case Drift() if job.tries < 2:
                return Retry(DRIFT_PAUSE_S, reason)
            case StaleToken() if job.tries < 2:
                return Retry(1.0, reason)
            case Drift() | StaleToken() | Denied() | TooLarge():
                return Dead(reason, self.abandoned(job, error))
            case _ if job.tries < MAX_ATTEMPTS and not _is_final(error):
                return Retry(retry_delay(job.tries, self.chance()), reason)
            case _:
                return Dead(reason, self.abandoned(job, error))

    def _close(self, lane: Lane, seconds: float) -> None:
        self._closed_until[lane] = max(self._closed_until[lane], self.clock.monotonic() + seconds)

    def _unreachable(self, lane: Lane, error: Unreachable) -> float:
        """Seconds to leave the host alone; gives up when it has not answered for too long."""
        now = self.clock.monotonic()
        trouble = self.trouble
        if trouble.unreachable_since is None:
            trouble.unreachable_since = now
        if not self.closed_for(lane):
            trouble.unreachable_times += 1
        patience = PATIENCE_LATER_S if trouble.answered else PATIENCE_AT_START_S
        if self.run_id is not None and now - trouble.unreachable_since >= patience:
            trouble.fatal = error
        seconds = min(60.0, 2.0 ** (trouble.unreachable_times - 1))
        self._close(lane, seconds)
        return seconds

    def _strike(self, lane: Lane, error: WireError) -> float:
        """Seconds to leave the far end alone: it fails whatever it is asked, so no single job is at fault. 0: not yet."""
        now, trouble = self.clock.monotonic(), self.trouble
        if trouble.strikes == 0:
            trouble.failing_since, trouble.pauses = now, 0
        trouble.strikes += 1
        if trouble.strikes < STRIKES:
            return 0.0
        is_given_up = isinstance(error, Denied) or now - trouble.failing_since >= FAILING_S
        if self.run_id is not None and is_given_up:
            trouble.fatal = error
        if not self.closed_for(lane):
            # What was under way together fails together: that is one more pause, not several.
            trouble.pauses += 1
        pause = min(300.0, 5.0 * 2.0 ** (trouble.pauses - 1))
        self._close(lane, pause)
        return pause

    def _blocked(self, lane: Lane, seconds: float) -> float:
        """Seconds to stay away; gives up at the second block after a pause."""
        now = self.clock.monotonic()
        if now >= self.trouble.blocked_until:
            self.trouble.blocks += 1
            self.trouble.blocked_until = now + seconds
            log.warning("edge.blocked", pause_s=round(seconds), next="nothing is asked until then")
        if self.run_id is not None and self.trouble.blocks > 1:
            self.trouble.fatal = Blocked("the edge refused again after a pause; ask less, or ask from elsewhere")
        seconds = self.trouble.blocked_until - now
        self._close(lane, seconds)
        return seconds

    async def _upkeep(self) -> None:
        """Renew the leases of all that is held; the second failure in a row ends the worker."""
        failures = 0
        while True:
            await self.clock.sleep(RENEW_S)
            try:
                await self.on_tick()
                await self.writer.call(
                    lambda connection: queue.renew(connection, Moment.of(self.clock.time()), owner=self.owner)
                )
                failures = 0
            except StoreError:
                failures += 1
                if failures >= 2:
                    raise

    async def _drained(self) -> None:
        while pending := [task for tasks in (*self._tasks.values(), self._settling) for task in tasks]:
            await asyncio.wait(pending)


def _is_final(error: Exception) -> bool:
    """Whether asking again is of no use: what a handler was to deal with and did not."""
    return isinstance(error, Gone | Walled | DeadEndpoint)
