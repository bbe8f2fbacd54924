"""Time as a parameter. Rank 0: nothing in the program reads the clock but through this protocol."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the program may know of time."""

    def time(self) -> float:
        """Seconds since the epoch, UTC, with fraction."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def instant(seconds: float) -> str:
    """An instant as the database holds it: `2026-11-20T16:00:00Z`, UTC, whole seconds, truncated."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(instant_text: str) -> int:
    """Seconds since the epoch of an instant in the form that `instant` gives."""
    return int(datetime.fromisoformat(instant_text).timestamp())
