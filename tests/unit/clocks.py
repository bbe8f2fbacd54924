"""A clock for tests: it moves only when told to."""

from __future__ import annotations

NOON = 1_795_190_400.0
"""2026-11-20T16:00:00Z."""


class ManualClock:
    """Time that stands still until `advance`, or until somebody sleeps on it."""

    def __init__(self, now: float = NOON) -> None:
        self._now = now
        self._passed = 0.0

    def time(self) -> float:
        return self._now + self._passed

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let that many seconds pass."""
        self._passed += max(0.0, seconds)
