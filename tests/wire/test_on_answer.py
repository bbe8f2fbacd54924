"""What the transport tells of each request: once for each that was sent, whatever became of it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from harvester.errors import Throttled, TooLarge, Unavailable, Unreachable
from harvester.wire.permits import Budget
from harvester.wire.transport import Call, Transport
from tests.wire.conftest import AGENT, HUB, REGISTRY, FarEnd, NotedPermits, StandingClock, answered

pytestmark = pytest.mark.anyio

Told = list[tuple[Budget, int | None, float]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def transport(far_end: FarEnd, permits: NotedPermits, clock: StandingClock, told: Told) -> Transport:
    return Transport(
        permits=permits,
        user_agent=AGENT,
        clock=clock,
        on_answer=lambda *one: told.append(one),
        inner=httpx.MockTransport(far_end),
    )


def call(path: str = "/v2/x", **more: object) -> Call:
    return Call("GET", f"{HUB}{path}", ("hub",), **more)  # type: ignore[arg-type]


async def test_an_answer_is_told_with_its_first_budget_its_status_and_the_seconds_it_took(
    transport: Transport, far_end: FarEnd, clock: StandingClock, told: Told
) -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        await clock.sleep(1.5)
        return answered({"a": 1})

    far_end.on(f"GET {HUB}/v2/x", slow)
    await transport.send(Call("GET", f"{HUB}/v2/x", ("search", "hub")))
    assert told == [("search", 200, 1.5)]


async def test_each_redirect_is_a_request_of_its_own(transport: Transport, far_end: FarEnd, told: Told) -> None:
    far_end.on(f"GET {REGISTRY}/v2/blob", httpx.Response(307, headers={"location": "https://store.example.com/blob"}))
    far_end.on("GET https://store.example.com/blob", answered({"a": 1}))
    await transport.send(Call("GET", f"{REGISTRY}/v2/blob", ("registry",), follow="anywhere"))
    assert [one[:2] for one in told] == [("registry", 307), ("registry", 200)]


@pytest.mark.parametrize(
    ("answer", "error", "status"),
    [
        (answered({"detail": "x"}, 429), Throttled, 429),
        (answered({"detail": "x"}, 503), Unavailable, 503),
        (httpx.ConnectError("refused"), Unreachable, None),
        (httpx.ReadError("cut"), Unavailable, None),
        (answered({"a": "x" * 100}), TooLarge, 200),
    ],
    ids=["429", "503", "unreachable", "cut", "too large"],
)
async def test_what_fails_is_told_with_the_status_that_it_had(
    transport: Transport,
    far_end: FarEnd,
    told: Told,
    answer: httpx.Response | Exception,
    error: type[Exception],
    status: int | None,
) -> None:
    far_end.on(f"GET {HUB}/v2/x", answer)
    with pytest.raises(error):
        await transport.send(call(body_cap=50))
    assert [one[:2] for one in told] == [("hub", status)]


async def test_what_is_given_up_was_sent_all_the_same(transport: Transport, far_end: FarEnd, told: Told) -> None:
    asked = asyncio.Event()

    async def never(request: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    far_end.on(f"GET {HUB}/v2/x", never)
    task = asyncio.create_task(transport.send(call()))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one[:2] for one in told] == [("hub", None)]


async def test_what_was_not_sent_is_not_told(clock: StandingClock, far_end: FarEnd, told: Told) -> None:
    class Shut(NotedPermits):
        async def take(self, budget: Budget) -> None:
            raise Unavailable("shut")

    transport = Transport(
        permits=Shut(),
        user_agent=AGENT,
        clock=clock,
        on_answer=lambda *one: told.append(one),
        inner=httpx.MockTransport(far_end),
    )
    with pytest.raises(Unavailable):
        await transport.send(call())
    assert told == []
