"""An hour of saturated work against a far end that counts in fixed windows."""

from __future__ import annotations

import math
from collections import Counter, deque

import pytest

from harvester.errors import Throttled
from harvester.limiter import Limiter
from harvester.store.buckets import Pace
from harvester.store.writer import Writer
from harvester.wire.permits import Reading
from tests.store.clocks import LoneClock, ManualClock

pytestmark = pytest.mark.anyio

LIMIT = 180
WINDOW_S = 60.0
HOUR_S = 3600.0
ON_THE_WAY_S = 0.12
"""From us to the far end, and again as long back."""


class FixedWindows:
    """The far end's counter; `offset` is None where a window begins with the first request after the last one's end."""

    def __init__(self, offset: float | None) -> None:
        self.offset = offset
        self.used: Counter[float] = Counter()
        self._begin = -math.inf

    def ask(self, at: float) -> Reading:
        if self.offset is not None:
            self._begin = math.floor((at - self.offset) / WINDOW_S) * WINDOW_S + self.offset
        elif at >= self._begin + WINDOW_S:
            self._begin = at
        self.used[self._begin] += 1
        remaining = max(0, LIMIT - self.used[self._begin])
        # `Date` and the reset are whole seconds, as they are in the headers.
        resets_in_s = math.ceil(self._begin + WINDOW_S) - math.floor(at)
        return Reading(limit=LIMIT, remaining=remaining, window_s=None, resets_in_s=resets_in_s)


@pytest.fixture
def clock() -> ManualClock:
    return LoneClock()


@pytest.mark.parametrize(
    ("offset", "limiters"),
    [(0.0, 1), (17.3, 2), (None, 1)],
    ids=["windows on the minute", "windows at 17.3 s and two limiters", "windows that begin with a request"],
)
async def test_an_hour_of_saturated_work_uses_the_limit_and_never_exceeds_it(
    writer: Writer, clock: ManualClock, offset: float | None, limiters: int
) -> None:
    working = [
        Limiter(writer=writer, clock=clock, paces={"hub": Pace(150, WINDOW_S, share=0.98)}, identity="anonymous")
        for _ in range(limiters)
    ]
    for limiter in working:
        await limiter.open()
    far_end = FixedWindows(offset)
    answers: deque[tuple[float, Limiter, Reading]] = deque()
    turn = 0
    while clock.elapsed < HOUR_S:
        limiter = working[turn % limiters]
        turn += 1
        try:
            await limiter.take("hub")
        except Throttled as refusal:
            clock.advance(refusal.retry_after)
            continue
        sent = clock.time()
        answers.append((sent + 2 * ON_THE_WAY_S, limiter, far_end.ask(sent + ON_THE_WAY_S)))
        while answers and answers[0][0] <= clock.time():
            _, asked, reading = answers.popleft()
            asked.ended(("hub",))
            asked.observe("hub", reading)
    used = list(far_end.used.values())
    assert max(used) <= LIMIT
    steady = used[3:-1]
    assert len(steady) >= 54
    assert sum(steady) / len(steady) >= 0.95 * LIMIT
