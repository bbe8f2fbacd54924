"""The one limiter: the store's ledger behind the `Permits` that the transport asks. Rank 4."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from harvester.clock import Clock
from harvester.errors import Denied, Throttled
from harvester.store import buckets
from harvester.store.buckets import Bucket, Grant, Pace
from harvester.store.writer import Writer
from harvester.wire.permits import Budget, Reading

BLOCK_S = 0.1
"""Permits are fetched for this long ahead, never for more than a second: at the far end's real limits, one at a time."""

STALE_S = 1.0
"""A fetched permit that nobody used by then is given up; it stays counted as spent."""

READINGS_KEPT = 8
"""Answers whose headers wait for the next turn at the ledger; older ones say nothing that these do not."""


@dataclass(slots=True)
class _Heard:
    """One reading on its way to the ledger."""

    budget: Budget
    at: float
    reading: Reading
    ended: int
    """Requests in this budget that are over since the reading before."""
    ended_of_hub: int = 0
    """Of a search answer: the same in the Hub's budget, in which it is counted too."""


class Limiter:
    """Permits for one way out and one identity."""

    def __init__(
        self,
        *,
        writer: Writer,
        clock: Clock,
        paces: Mapping[Budget, Pace],
        identity: str,
        route: str = "direct",
        on_hold: Callable[[Budget, float, str], None] = lambda budget, seconds, reason: None,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._paces = paces
        self._buckets = {budget: Bucket(budget, route, identity) for budget in paces}
        self._on_hold = on_hold
        self._blocks: dict[Budget, deque[float]] = {budget: deque() for budget in paces}
        self._spacing: dict[Budget, float] = {}
        self._readings: dict[Budget, deque[_Heard]] = {budget: deque() for budget in paces}
        self._ended: dict[Budget, int] = dict.fromkeys(paces, 0)
        self._told: set[Budget] = set()
        self._fetching: dict[Budget, asyncio.Lock] = {budget: asyncio.Lock() for budget in paces}

    async def open(self) -> None:
        """Make the buckets known to the ledger."""
        now = self._clock.time()

        def configure(connection: Connection) -> None:
            for budget, bucket in self._buckets.items():
                buckets.configure(connection, bucket, self._paces[budget], now)

        await self._writer.call(configure)

    async def take(self, budget: Budget) -> None:
        """Return when one request may be sent. Raises `Throttled` where that would take longer than `buckets.PATIENCE_S`."""
        while True:
            at = self._fetched(budget)
            if at is None:
                async with self._fetching[budget]:
                    at = self._fetched(budget)
                    if at is None:
                        at = await self._fetch(budget)
            if at is None:
                continue
            if (wait := at - self._clock.time()) > 0:
                await self._clock.sleep(min(wait, buckets.PATIENCE_S))
            return

    def observe(self, budget: Budget, reading: Reading) -> None:
        """Keep a reading, and when it came, for the next turn at the ledger."""
        heard = _Heard(budget, self._clock.time(), reading, self._over(budget))
        if budget == "search":
            heard.ended_of_hub = self._over("hub")
        else:
            self._told.add(budget)
        kept = self._readings[budget]
        kept.append(heard)
        if len(kept) > READINGS_KEPT:
            dropped = kept.popleft()
            kept[0].ended += dropped.ended
            kept[0].ended_of_hub += dropped.ended_of_hub

    def ended(self, budgets: tuple[Budget, ...]) -> None:
        """A request that was counted in these budgets is over, whatever became of it."""
        for budget in budgets:
            self._ended[budget] += 1

    async def close(self, budgets: tuple[Budget, ...], seconds: float, reason: str) -> None:
        """Let nothing of these budgets out for that long, in any process: the far end refused."""
        now = self._clock.time()
        readings = self._read()

        def closing(connection: Connection) -> None:
            self._reconcile(connection, readings)
            # All budgets at once: the far end means the address, not who asks from it.
            shut = buckets.close_address if set(budgets) >= set(self._buckets) else buckets.refuse
            for budget in budgets:
                shut(connection, self._responsible(connection, budget), seconds, reason, now)

        self._discard(budgets)
        await self._writer.call(closing)
        # What was granted while this waited for its turn.
        self._discard(budgets)

    async def block(self, budgets: tuple[Budget, ...], reason: str) -> float:
        """Close these budgets for a long time, longer at each repetition; the seconds chosen."""
        now = self._clock.time()
        self._discard(budgets)
        seconds = await self._writer.call(
            lambda connection: buckets.block(connection, [self._buckets[b] for b in budgets], reason, now)
        )
        self._discard(budgets)
        return seconds

    async def flush(self) -> None:
        """Write down the readings that no request has carried to the ledger yet."""
        if readings := self._read():
            await self._writer.call(lambda connection: self._reconcile(connection, readings))

    def _fetched(self, budget: Budget) -> float | None:
        block = self._blocks[budget]
        oldest = self._clock.time() - STALE_S
        while block:
            at = block.popleft()
            if at >= oldest:
                return at
            self._ended[budget] += 1
        return None

    async def _fetch(self, budget: Budget) -> float | None:
        """The instant from which on a request may be sent; null after a short wait in which one may have come free."""
        wanted = max(1, int(BLOCK_S / self._spacing[budget])) if budget in self._spacing else 1
        now = self._clock.time()

        readings = self._read()

        def fetch(connection: Connection) -> Grant:
            self._reconcile(connection, readings)
            return buckets.take(connection, self._buckets[budget], self._paces[budget], wanted, now)

        grant = await self._writer.call(fetch)
        if grant.permits:
            self._spacing[budget] = grant.spacing_s
            first = now + grant.wait_s
            self._blocks[budget].extend(first + number * grant.spacing_s for number in range(1, grant.permits))
            return first
        if self._paces[budget].limit <= 0:
            raise Denied(grant.reason, budget=budget)
        self._on_hold(budget, grant.wait_s, grant.reason)
        if grant.wait_s > buckets.PATIENCE_S:
            raise Throttled(grant.reason, retry_after=grant.wait_s, budget=budget)
        await self._clock.sleep(grant.wait_s)
        return None

    def _over(self, budget: Budget) -> int:
        """How many requests are over since this was asked last."""
        ended, self._ended[budget] = self._ended.get(budget, 0), 0
        return ended

    def _read(self) -> list[_Heard]:
        """The readings so far, taken out: what they are handed to may be done twice, should its transaction fail."""
        taken = [heard for kept in self._readings.values() for heard in kept]
        for kept in self._readings.values():
            kept.clear()
        # Answers without headers end requests too; of budgets that no header speaks of nobody needs to know.
        silent = [budget for budget in self._told if self._ended[budget]]
        return taken + [_Heard(budget, self._clock.time(), Reading(), self._over(budget)) for budget in silent]

    def _reconcile(self, connection: Connection, readings: list[_Heard]) -> None:
        for heard in readings:
            budget, ended = heard.budget, heard.ended
            if budget == "search" and "hub" in self._buckets:
                alone = buckets.stands_alone(
                    connection, self._buckets["search"], self._buckets["hub"], heard.reading.limit
                )
                if alone is not False:
                    buckets.end(connection, self._buckets["hub"], heard.ended_of_hub)
                if alone is None:
                    continue
                if not alone:
                    budget, ended = "hub", heard.ended_of_hub
            bucket, pace, reading = self._buckets[budget], self._paces[budget], heard.reading
            if reading.is_free:
                buckets.give_back(connection, bucket, pace, heard.at)
            if reading.limit is None and reading.remaining is None and reading.resets_in_s is None:
                buckets.end(connection, bucket, ended)
                continue
            buckets.observe(
                connection,
                bucket,
                pace,
                heard.at,
                limit=reading.limit,
                remaining=reading.remaining,
                window_s=reading.window_s,
                resets_in_s=reading.resets_in_s,
                ended=ended,
            )

    def _responsible(self, connection: Connection, budget: Budget) -> Bucket:
        """The bucket that a refusal closes: search has one of its own only where it has a limit of its own."""
        bucket = self._buckets[budget]
        if budget == "search" and "hub" in self._buckets and not buckets.is_told(connection, bucket):
            return self._buckets["hub"]
        return bucket

    def _discard(self, budgets: tuple[Budget, ...]) -> None:
        for budget in budgets:
            self._ended[budget] += len(self._blocks[budget])
            self._blocks[budget].clear()
