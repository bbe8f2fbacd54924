"""The one limiter: the store's ledger behind the `Permits` that the transport asks. Rank 4."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

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
        self._readings: dict[Budget, deque[tuple[float, Reading]]] = {
            budget: deque(maxlen=READINGS_KEPT) for budget in paces
        }
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
        self._readings[budget].append((self._clock.time(), reading))

    async def close(self, budgets: tuple[Budget, ...], seconds: float, reason: str) -> None:
        """Let nothing of these budgets out for that long, in any process."""
        now = self._clock.time()

        def closing(connection: Connection) -> None:
            # All budgets at once: the far end means the address, not who asks from it.
            shut = buckets.close_address if set(budgets) >= set(self._buckets) else buckets.close
            for budget in budgets:
                shut(connection, self._buckets[budget], seconds, reason, now)

        self._discard(budgets)
        await self._writer.call(closing)

    async def block(self, budgets: tuple[Budget, ...], reason: str) -> float:
        """Close these budgets for a long time, longer at each repetition; the seconds chosen."""
        now = self._clock.time()
        self._discard(budgets)
        return await self._writer.call(
            lambda connection: buckets.block(connection, [self._buckets[b] for b in budgets], reason, now)
        )

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
        return None

    async def _fetch(self, budget: Budget) -> float | None:
        """The instant from which on a request may be sent; null after a short wait in which one may have come free."""
        wanted = max(1, int(BLOCK_S / self._spacing[budget])) if budget in self._spacing else 1
        now = self._clock.time()

        readings = self._read()

        def fetch(connection: Connection) -> Grant:
            self._reconcile(connection, readings)
            return buckets.take(connection, self._buckets[budget], wanted, now)

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

    def _read(self) -> list[tuple[Budget, float, Reading]]:
        """The readings so far, taken out: what they are handed to may be done twice, should its transaction fail."""
        taken = [(budget, at, reading) for budget, kept in self._readings.items() for at, reading in kept]
        for kept in self._readings.values():
            kept.clear()
        return taken

    def _reconcile(self, connection: Connection, readings: list[tuple[Budget, float, Reading]]) -> None:
        for budget, came_at, r in readings:
            buckets.observe(
                connection,
                self._buckets[budget],
                self._paces[budget],
                came_at,
                limit=r.limit,
                remaining=r.remaining,
                window_s=r.window_s,
                resets_in_s=r.resets_in_s,
            )

    def _discard(self, budgets: tuple[Budget, ...]) -> None:
        for budget in budgets:
            self._blocks[budget].clear()
