"""Somebody else behind the same address, who knows nothing of budgets: shapes of spending, by a seeded random."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

from tests.fakehub import FakeHub, Request
from tests.simulation.far_end import ADDRESS

WHO = "somebody else"

Shape = Callable[[random.Random, float], Iterator[tuple[float, int]]]
"""Seconds to wait and requests to make then, again and again; made with a mean of requests per second."""


def poisson(chance: random.Random, rate: float) -> Iterator[tuple[float, int]]:
    """Each request by itself, whenever it likes."""
    while True:
        yield chance.expovariate(rate), 1


def bursts(smallest: int, largest: int) -> Shape:
    """Some requests at once."""

    def shape(chance: random.Random, rate: float) -> Iterator[tuple[float, int]]:
        while True:
            yield chance.expovariate(rate / ((smallest + largest) / 2)), chance.randint(smallest, largest)

    return shape


def quarters(chance: random.Random, rate: float) -> Iterator[tuple[float, int]]:
    """A quarter of an hour at twice the rate, then one of silence."""
    while True:
        busy_s = 0.0
        while busy_s < 900:
            gap = chance.expovariate(2 * rate)
            busy_s += gap
            yield gap, 1
        yield 900.0, 0


async def spend(hub: FakeHub, gaps: Iterator[tuple[float, int]], until_s: float) -> None:
    """Ask for a page of no interest, as the shape has it; refusals do not impress."""
    loop = asyncio.get_running_loop()
    for gap, requests in gaps:
        await asyncio.sleep(min(gap, max(0.0, until_s - loop.time())))
        if loop.time() >= until_s:
            return
        for _ in range(requests):
            hub.reply(Request("hub", "GET", "/v2/orgs/nobody/", {"user-agent": WHO}, b"", ADDRESS))
