"""Slots, claims, outcomes: what turns ready jobs into settled ones. Rank 5.

A slot runs one job: ask the far end, map what came to an outcome, hand it to the writer. A job's lease is renewed while it is
held; what is claimed but not begun is given back at shutdown. A lane of a route whose budget is closed is not claimed for, so no
job waits in a slot, and the other routes go on.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
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
    StoreError,
    StoreUnusable,
    Throttled,
    TooLarge,
    Unavailable,
    Unreachable,
    Walled,
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
from harvester.store import queue, runs
from harvester.store.freshness import settle_known
from harvester.store.moment import Moment
from harvester.store.writer import Writer
from harvester.trouble import Trouble
from harvester.ways import LEAST_AHEAD, SLOTS, Route, Way

log = structlog.get_logger(__name__)

UNSETTLED = 400
"""Finished jobs on their way into the database at the most; a slot waits beyond that."""

RENEW_S = queue.LEASE_S / 3
PEEK_S = 0.5

DRIFT_PAUSE_S = 30.0
"""An answer of another shape is asked for once more after this time: now and then it is a passing fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One job's end, for logs, progress and metrics."""

    job: Job
    outcome: Outcome
    error: BaseException | None
    counts: Counter[str]


@dataclass(slots=True)
class Worker:
    """Works on the jobs of one run, or of all of them, until told to stop."""

    writer: Writer
    clock: Clock
    owner: str
    routes: Sequence[Route]
    abandoned: Callable[[Job, BaseException], Harvest]
    on_report: Callable[[Report], None]
    on_tick: Callable[[], Awaitable[None]]
    is_due: Callable[[Lane, tuple[int, ...] | None], Awaitable[bool]]
    """Asked, without writing, whether a claim for a lane and these parts could find anything."""
    run_id: int | None = None
    idle_s: float | None = None
    """Seconds between two looks for jobs of others while there is nothing to do; null: as short as when there is."""
    may_claim: Callable[[], str | None] = lambda: None
    """Asked before claims: why there must be none now, or null."""
    chance: Callable[[], float] = random.random
    fatal: HarvesterError | None = None
    """Why there is no going on at all: no route can be used, or none that the jobs left belong to."""
    renewed_at: float = field(default=0.0, init=False)
    """When leases were last renewed, in seconds of the monotonic clock."""
    _ways: list[Way] = field(init=False)
    _troubles: list[Trouble] = field(init=False)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNSETTLED))
    _asking: set[asyncio.Task[None]] = field(default_factory=set)
    _settling: set[asyncio.Task[None]] = field(default_factory=set)
    _draining: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.renewed_at = self.clock.monotonic()
        self._troubles = [
            Trouble(route=route.name, may_give_up=self.run_id is not None, on_given_up=self._gave_up)
            for route in self.routes
        ]
        self._ways = [
            Way(lane, route, trouble, asyncio.Semaphore(number), ahead=LEAST_AHEAD[lane])
            for lane, number in SLOTS.items()
            for route, trouble in zip(self.routes, self._troubles, strict=True)
        ]

    async def run(self, is_over: Callable[[], Awaitable[bool]]) -> None:
        """Work until `is_over` says so while nothing is in hand, until `drain`, or until there is no way to go on (`fatal`).

        Raises `StoreError` when leases cannot be renewed or results cannot be kept. What an earlier worker of the same owner held
        when that happened is made ready first.
        """
        run = {} if self.run_id is None else {"run": self.run_id}
        bound = structlog.contextvars.bind_contextvars(owner=self.owner, **run)
        await self.writer.call(
            lambda connection: queue.give_back(connection, Moment.of(self.clock.time()), owner=self.owner)
        )
        upkeep = asyncio.create_task(self._upkeep())
        try:
            while not self._draining and self.fatal is None and not upkeep.done():
                self._news.clear()
                claimed = await self._fill()
                if not claimed and not self.in_hand and (await is_over() or await self._is_cut_off()):
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
            structlog.contextvars.reset_contextvars(**bound)
        if not upkeep.cancelled() and (error := upkeep.exception()) is not None:
            raise error
        if isinstance(self.fatal, StoreError):
            raise self.fatal

    def hint(self) -> None:
        """There are new jobs: look at once."""
        for way in self._ways:
            way.is_hinted = True
        self._news.set()

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
        return sum(len(way.tasks) for way in self._ways) + len(self._settling)

    def _is_open(self, way: Way) -> bool:
        is_usable = not self._draining and self.fatal is None and way.trouble.given_up is None
        return is_usable and self.clock.monotonic() >= way.closed_until

    async def _is_cut_off(self) -> bool:
        """Whether all jobs that are left belong to routes that were given up."""
        run_id, now = self.run_id, self.clock.monotonic()
        given_up = [trouble.given_up for trouble in self._troubles if trouble.given_up is not None]
        # A way that is closed for now has at least the job that closed it.
        is_waiting = any(way.trouble.given_up is None and now < way.closed_until for way in self._ways)
        if run_id is None or not given_up or is_waiting:
            return False
        left = await self.writer.call(lambda connection: runs.live_shards(connection, run_id))
        for route, trouble in zip(self.routes, self._troubles, strict=True):
            if trouble.given_up is None and (route.shards is None or left.intersection(route.shards)):
                return False
        self.fatal = given_up[0]
        return True

    async def _fill(self) -> int:
        """Claim for every open way that has room; how many jobs there were, those included that the store knew."""
        total = 0
        for way in self._ways:
            if self.may_claim() is not None:
                break
            room = SLOTS[way.lane] + way.ahead - len(way.tasks)
            if room <= way.ahead // 2 or not self._is_open(way):
                continue
            if not way.tasks and not await self._may_be_due(way):
                continue

            def take(connection: Connection, way: Way = way, room: int = room) -> tuple[int, list[Job]]:
                now = Moment.of(self.clock.time())
                queue.promote(connection, now)
                queue.rescue(connection, now, owner=self.owner)
                jobs = queue.claim(
                    connection,
                    way.lane,
                    now,
                    owner=self.owner,
                    wanted=room,
                    run_id=self.run_id,
                    shards=way.route.shards,
                )
                return len(jobs), settle_known(connection, jobs, now)

            way.is_hinted = False
            claimed, rest = await self.writer.call(take, is_urgent=len(way.tasks) <= SLOTS[way.lane])
            way.pace_claims(self.clock.monotonic())
            total += claimed
            if claimed:
                # What the store knew may have been followed by more.
                way.is_hinted = True
            way.route.expect(rest)
            for job in rest:
                task = asyncio.create_task(self._work(job, way))
                way.tasks.add(task)
                task.add_done_callback(partial(self._left, way.tasks))
        return total

    async def _may_be_due(self, way: Way) -> bool:
        """Whether to claim for an idle way: our own work brought jobs for it, or a look now and then finds some."""
        if way.is_hinted:
            return True
        now = self.clock.monotonic()
        if now < way.peek_at:
            return False
        way.peek_at = now + (self.idle_s or PEEK_S)
        return await self.is_due(way.lane, way.route.shards)

    def _left(self, tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        self._news.set()
        if not task.cancelled() and (error := task.exception()) is not None and self.fatal is None:
            self.fatal = error if isinstance(error, HarvesterError) else StoreError(repr(error))

    async def _wait_for_news(self) -> None:
        is_idle = not self.in_hand and all(self.clock.monotonic() >= way.closed_until for way in self._ways)
        try:
            async with asyncio.timeout((self.idle_s if is_idle else None) or PEEK_S):
                await self._news.wait()
        except TimeoutError:
            return

    async def _work(self, job: Job, way: Way) -> None:
        error: BaseException | None = None
        outcome: Outcome = Released()
        # For every line that is logged on the job's behalf: the task, and what it begins, has a context of its own.
        structlog.contextvars.bind_contextvars(
            job=job.id, kind=job.kind, key=job.key, lane=KINDS[job.kind][0], attempt=job.attempt
        )
        async with way.slots:
            if self._is_open(way):
                outcome, error = await self._attempt(job, way)
            observed = self.clock.time()
            await self._room.acquire()
        settling = asyncio.create_task(self._settle(Settled(job, outcome, observed), error))
        self._settling.add(settling)
        settling.add_done_callback(partial(self._left, self._settling))

    async def _attempt(self, job: Job, way: Way) -> tuple[Outcome, BaseException | None]:
        task = asyncio.current_task()
        assert task is not None
        if job.kind == "tag_names" and way.silence is not None and way.is_silent(self.clock.monotonic()):
            return Done(self.abandoned(job, way.silence)), way.silence
        self._asking.add(task)
        try:
            harvest = await way.route.handle(job)
        except asyncio.CancelledError:
            return Released(), None
        except Exception as error:
            return self._outcome_of(error, job, way), error
        finally:
            self._asking.discard(task)
        way.answered()
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
            for way in self._ways:
                way.is_hinted = way.is_hinted or any(map(way.takes, settled.outcome.harvest.follow_ups))
        self.on_report(Report(job=settled.job, outcome=settled.outcome, error=error, counts=counts))

    def _outcome_of(self, error: Exception, job: Job, way: Way) -> Outcome:
        """What becomes of a job that raised: the one place where errors turn into outcomes."""
        reason = reason_of(error)
        now, trouble = self.clock.monotonic(), way.trouble
        is_closed = now < way.closed_until
        if job.kind == "tag_names" and way.does_without_names(error, now, self._hub_of(way)):
            return Done(self.abandoned(job, error))
        match error:
            case Throttled(retry_after=seconds):
                return self._put_off(way, seconds, reason)
            case Blocked(retry_after=seconds):
                return self._put_off(way, trouble.blocked(seconds, now), reason)
            case Unreachable():
                return self._put_off(way, trouble.unreachable(error, now, is_closed=is_closed), reason)
            case CredentialsRefused() | StoreError():
                self.fatal = error
                return Released()
            case Unavailable() | Denied() if (pause := trouble.strike(error, now, is_closed=is_closed)) > 0:
                return self._put_off(way, pause, reason)
            case Drift() if job.tries < 2:
                return Retry(DRIFT_PAUSE_S, reason)
            case Drift() | Denied() | TooLarge():
                return Dead(reason, self.abandoned(job, error))
            case _ if job.tries < MAX_ATTEMPTS and not _is_final(error):
                return Retry(retry_delay(job.tries, self.chance()), reason)
            case _:
                return Dead(reason, self.abandoned(job, error))

    def _hub_of(self, way: Way) -> Way:
        return next(one for one in self._ways if one.route is way.route and one.lane == "hub")

    def _put_off(self, way: Way, seconds: float, reason: str) -> Snooze:
        """The job again later, and nothing else of its way before that."""
        way.close(self.clock.monotonic() + seconds)
        return Snooze(seconds, reason)

    def _gave_up(self, trouble: Trouble) -> None:
        """One route is of no use: its jobs wait for another day, those of the others go on."""
        if all(one.given_up is not None for one in self._troubles):
            self.fatal = trouble.given_up
        else:
            log.error(
                "route.given_up", route=trouble.route, reason=str(trouble.given_up), next="the other routes go on"
            )

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
                failures, self.renewed_at = 0, self.clock.monotonic()
            except StoreError:
                failures += 1
                if failures >= 2:
                    raise

    async def _drained(self) -> None:
        while pending := [*self._settling, *(task for way in self._ways for task in way.tasks)]:
            await asyncio.wait(pending)


def _is_final(error: Exception) -> bool:
    """Whether asking again is of no use: what a handler was to deal with and did not."""
    return isinstance(error, Gone | Walled | DeadEndpoint)
