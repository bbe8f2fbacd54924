"""Webhooks at the door to the network: one permit each, nothing of Docker Hub's, no answer that means anything but its status."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator

import httpx
import pytest

from harvester.errors import NotDelivered, Throttled
from harvester.wire.transport import Transport
from harvester.wire.webhook import Webhook, signature
from tests.wire.conftest import AGENT, NOW, FarEnd, NotedPermits, StandingClock
from tests.wire.test_transport_bodies import streamed

pytestmark = pytest.mark.anyio
URL = "https://hooks.example.org/T0/very-secret?key=very-secret"
KEY = b"the-key"
BODY = b'{"id": 7}'


@pytest.fixture
def webhook(transport: Transport, clock: StandingClock) -> Webhook:
    return Webhook(transport, URL, KEY, clock)


def test_a_signature_is_what_the_readme_says() -> None:
    expected = hmac.new(KEY, b"1795190400." + BODY, hashlib.sha256).hexdigest()
    assert signature(KEY, BODY, 1795190400) == f"t=1795190400,v1={expected}"


async def test_it_takes_one_permit_and_carries_these_headers_only(
    webhook: Webhook, far_end: FarEnd, permits: NotedPermits
) -> None:
    far_end.on(f"POST {URL}", httpx.Response(204))
    await webhook.send("7-20261120T160000Z", BODY)
    [request] = far_end.requests
    assert permits.taken == permits.over == ["webhooks"]
    assert request.content == BODY
    assert dict(request.headers) == {
        "host": "hooks.example.org",
        "user-agent": AGENT,
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "harvester-event-id": "7-20261120T160000Z",
        "harvester-signature": signature(KEY, BODY, NOW + 1000),
        "accept": "application/json",
        "content-length": "9",
    }


async def test_without_a_key_nothing_is_signed(transport: Transport, clock: StandingClock, far_end: FarEnd) -> None:
    far_end.on(f"POST {URL}", httpx.Response(200))
    await Webhook(transport, URL, None, clock).send("7-20261120T160000Z", BODY)
    assert "harvester-signature" not in far_end.requests[0].headers


@pytest.mark.parametrize(
    ("answer", "is_final", "retry_after"),
    [
        (httpx.Response(422, text="very-secret"), True, 0),
        (httpx.Response(404, text="very-secret"), False, 0),
        (httpx.Response(429, headers={"retry-after": "90"}), False, 90),
        (httpx.Response(429, headers={"retry-after": "-5"}), False, 0),
        (httpx.Response(503, headers={"retry-after": "9999999"}), False, 86_400),
        (httpx.Response(403, html="<title>very-secret</title>"), False, 0),
        (httpx.Response(500, text="very-secret"), False, 0),
        (httpx.Response(308, headers={"location": "https://hooks.example.org/very-secret"}), False, 0),
        (httpx.Response(101), False, 0),
        (httpx.ConnectError("refused"), False, 0),
        (httpx.ReadTimeout("very-secret"), False, 0),
    ],
)
async def test_a_refusal_closes_no_budget_and_says_no_more_than_host_and_status(
    webhook: Webhook,
    far_end: FarEnd,
    permits: NotedPermits,
    answer: httpx.Response | Exception,
    is_final: bool,
    retry_after: float,
) -> None:
    far_end.on(f"POST {URL}", answer)
    with pytest.raises(NotDelivered) as refused:
        await webhook.send("7-20261120T160000Z", BODY)
    assert (refused.value.is_final, refused.value.retry_after) == (is_final, retry_after)
    assert refused.value.message.startswith("hooks.example.org")
    assert "very-secret" not in refused.value.message + repr(refused.value) + repr(webhook)
    assert refused.value.__suppress_context__ or refused.value.__cause__ is None
    assert (permits.closed, permits.blocked, permits.seen) == ([], [], [])
    assert len(far_end.requests) == 1


async def test_it_has_the_event_though_its_answer_is_cut(webhook: Webhook, far_end: FarEnd) -> None:
    far_end.on(f"POST {URL}", lambda request: streamed(b"{", httpx.ReadError("cut")))
    await webhook.send("7-20261120T160000Z", BODY)


async def test_a_name_that_cannot_be_decoded_is_a_failure_like_any_other(
    transport: Transport, clock: StandingClock
) -> None:
    with pytest.raises(NotDelivered, match="an address or a header that cannot be sent") as refused:
        await Webhook(transport, "http://xn--a-ecp.ru/very-secret", KEY, clock).send("7-20261120T160000Z", BODY)
    assert "very-secret" not in refused.value.message


class Endless(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()


async def test_it_has_the_event_though_its_answer_never_ends(
    permits: NotedPermits, clock: StandingClock, far_end: FarEnd
) -> None:
    transport = Transport(
        permits=permits, user_agent=AGENT, clock=clock, total_s=0.05, inner=httpx.MockTransport(far_end)
    )
    webhook = Webhook(transport, URL, KEY, clock)
    far_end.on(f"POST {URL}", lambda request: httpx.Response(200, stream=Endless()))
    await webhook.send("7-20261120T160000Z", BODY)
    far_end.on(f"POST {URL}", lambda request: httpx.Response(500, stream=Endless()))
    with pytest.raises(NotDelivered, match="answered 500"):
        await webhook.send("7-20261120T160000Z", BODY)


async def test_our_own_limiter_is_heard(clock: StandingClock, far_end: FarEnd) -> None:
    class Shut(NotedPermits):
        async def take(self, budget: object) -> None:
            raise Throttled("paced", retry_after=5.0)

    transport = Transport(permits=Shut(), user_agent=AGENT, clock=clock, inner=httpx.MockTransport(far_end))
    with pytest.raises(Throttled):
        await Webhook(transport, URL, KEY, clock).send("7-20261120T160000Z", BODY)
    assert far_end.requests == []


async def test_headers_about_limits_are_docker_hubs_alone(
    webhook: Webhook, far_end: FarEnd, permits: NotedPermits
) -> None:
    told = {"x-ratelimit-limit": "1", "x-ratelimit-remaining": "0", "ratelimit-limit": "1;w=60"}
    far_end.on(f"POST {URL}", httpx.Response(200, headers=told))
    await webhook.send("7-20261120T160000Z", BODY)
    assert permits.seen == []
