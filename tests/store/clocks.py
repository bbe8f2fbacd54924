"""Time that moves only when a test says so."""

from __future__ import annotations

import asyncio

NOW = 1795190400
"""2026-11-20T16:00:00Z."""

DAY = 86_400


class ManualClock:
    """Sleepers sleep until `advance` has moved past the end of their sleep."""

    def __init__(self, wall: float = NOW) -> None:
        self.wall = wall
        self.elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.elapsed + seconds, woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whoever slept long enough."""
        self.wall += seconds
        self.elapsed += seconds
        due = [woken for until, woken in self._sleepers if until <= self.elapsed]
        self._sleepers = [(until, woken) for until, woken in self._sleepers if until > self.elapsed]
        for woken in due:
            if not woken.done():
                woken.set_result(None)

    def set_wall(self, wall: float) -> None:
        """Set the wall clock by hand; what grows only goes on growing."""
        self.wall = wall


class LoneClock(ManualClock):
    """For one task alone: sleeping is what moves the time."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)
