"""An event loop whose time is virtual: where all wait, it jumps to the next timer; while a thread works, it stands still."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock

from sqlalchemy import Connection, Engine

from harvester import composition
from harvester.clock import Clock
from harvester.jobs import Settled
from harvester.store import writer as writing
from harvester.store.writer import Writer

Result = TypeVar("Result")

START = 1795190400.0
"""2026-11-20T16:00:00Z."""


class _Selector(selectors.DefaultSelector):
    """Waits in real time for threads that work, and in none for timers."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.at_work = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            return super().select(0)
        if self.at_work or timeout is None:
            return super().select(None)
        found = super().select(0)
        if not found:
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Threads of an executor are not needed: what they would do is done at once, and takes no time."""

    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)
        # After 2**24 seconds a float knows no nanoseconds, and a timer that is due would never be.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.selector.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class VirtualClock:
    """The loop's time as the program reads it, in any thread."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def time(self) -> float:
        return START + self._loop.selector.now

    def monotonic(self) -> float:
        return self._loop.selector.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class CountedWriter(Writer):
    """The real writer in its real thread; time stands still until it has answered."""

    def __init__(self, engine: Engine, clock: Clock, owner: str, pull_interval_s: int) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self._selector = loop.selector
        super().__init__(engine, clock, owner, pull_interval_s)

    async def settle(self, settled: Settled) -> Counter[str]:
        with self._working():
            return await super().settle(settled)

    async def call(self, function: Callable[[Connection], Result], *, is_urgent: bool = True) -> Result:
        with self._working():
            return await super().call(function, is_urgent=is_urgent)

    @contextmanager
    def _working(self) -> Iterator[None]:
        self._selector.at_work += 1
        try:
            yield
        finally:
            self._selector.at_work -= 1


def virtually(main: Callable[[VirtualClock], Coroutine[Any, Any, Result]]) -> Result:
    """Run to the end in virtual time, which begins at `START`."""
    # Waiting for company would be waiting in real time: it never comes while the loop stands still.
    with (
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
        mock.patch.object(composition, "Writer", CountedWriter),
        mock.patch.object(writing, "LINGER_S", 0.0),
    ):
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(VirtualClock(loop)))
