"""Time that stands still while anything is under way and jumps to the next timer when nothing is: hours pass in no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator
from types import CoroutineType
from typing import Any

import pytest

from tests.store.clocks import NOW

IN_THREADS = frozenset({"Writer.call", "Writer.settle", "to_thread"})
"""Coroutines that wait for a thread of this process: it always answers."""

ON_THE_WIRE = "Transport._exchange"

SILENCE_S = 0.2
"""Real seconds without a byte after which the far end counts as one that does not answer."""

STUCK_S = 30.0


class StandingTime:
    """The clock of a program under test, and of the far end that it asks; all loops under it share one time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return NOW + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def let_pass(self, seconds: float) -> None:
        """Move on while no command runs."""
        self.now += seconds

    def rule(self, patch: pytest.MonkeyPatch) -> None:
        """Let every event loop that is opened from here on run by this time."""
        patch.setattr("asyncio.events.new_event_loop", lambda: _Loop(self))
        patch.setattr("harvester.clock.SystemClock", lambda: self)
        # Both are waits in real time, for company; here nobody else comes.
        patch.setattr("harvester.store.writer.LINGER_S", 0.0)
        patch.setattr("harvester.worker.PEEK_S", 5.0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, time: StandingTime) -> None:
        self._standing = time
        super().__init__(_Selector(self, time))

    def time(self) -> float:
        return self._standing.now


class _Selector(selectors.DefaultSelector):
    """Waits for what is under way; where nothing is, moves the time to the loop's next timer instead of waiting for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, time: StandingTime) -> None:
        super().__init__()
        self._loop = loop
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        waits = {name for task in asyncio.all_tasks(self._loop) for name in _frames(task.get_coro())}
        if waits & IN_THREADS or timeout is None:
            return super().select(STUCK_S)
        if ON_THE_WIRE in waits and (ready := super().select(SILENCE_S)):
            return ready
        self._time.now += timeout
        return []


def _frames(coroutine: Any) -> Iterator[str]:
    """Names of the coroutines that a task is inside of, outermost first."""
    while isinstance(coroutine, CoroutineType):
        yield coroutine.cr_code.co_qualname
        coroutine = coroutine.cr_await
