"""The door to the network: permits, caps, redirects, faults."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import respx

from harvester.errors import ConfigError, Drift, Throttled, Unavailable, Unreachable, WireError
from harvester.wire.permits import Budget, Reading
from harvester.wire.transport import Call, Transport
from tests.wire.conftest import AGENT, DATE, HUB, NOW, REGISTRY, FarEnd, NotedPermits, StandingClock, answered

pytestmark = pytest.mark.anyio
SECRET = "Bearer hush-hush"


def hub_call(path: str = "/v2/x", **more: object) -> Call:
    return Call("GET", f"{HUB}{path}", ("hub",), **more)  # type: ignore[arg-type]


def blob_call(**more: object) -> Call:
    return Call("GET", f"{REGISTRY}/v2/blob", ("registry",), follow="anywhere", **more)  # type: ignore[arg-type]


async def test_a_request_takes_each_permit_and_carries_these_headers_only(
    transport: Transport, far_end: FarEnd, permits: NotedPermits
) -> None:
    far_end.on(f"GET {HUB}/v2/x", answered({"a": 1}))
    answer = await transport.send(Call("GET", f"{HUB}/v2/x?a=b", ("pulls", "registry")))
    assert (answer.status, answer.body, answer.url) == (200, b'{"a": 1}', "/v2/x?a=b")
    assert answer.headers["CONTENT-TYPE"] == "application/json"
    assert permits.taken == ["registry", "pulls"], "the scarce one last"
    assert transport.requests["pulls"] == 1
    assert transport.requests["registry"] == 0
    assert dict(far_end.requests[0].headers) == {
        "host": "hub.docker.com",
        "user-agent": AGENT,
        "accept-encoding": "gzip",
        "accept": "application/json",
    }


async def test_a_refusing_limiter_lets_nothing_out(clock: StandingClock, far_end: FarEnd) -> None:
    class Shut(NotedPermits):
        async def take(self, budget: object) -> None:
            raise Unavailable("shut")

    transport = Transport(permits=Shut(), user_agent=AGENT, clock=clock, inner=httpx.MockTransport(far_end))
    with pytest.raises(Unavailable, match="shut"):
        await transport.send(hub_call())
    assert far_end.requests == []


async def test_through_the_real_httpx_transport(clock: StandingClock, permits: NotedPermits) -> None:
    transport = Transport(permits=permits, user_agent=AGENT, clock=clock)
    with respx.mock(using="httpcore") as router:
        router.get(f"{HUB}/v2/x").respond(200, json={"a": 1})
        assert (await transport.send(hub_call())).body == b'{"a":1}'
    await transport.aclose()


@pytest.mark.parametrize("user_agent", ["a\r\nb", "é"])
def test_an_unsendable_user_agent_is_a_configuration_error(
    user_agent: str, clock: StandingClock, permits: NotedPermits
) -> None:
    with pytest.raises(ConfigError):
        Transport(permits=permits, user_agent=user_agent, clock=clock)


@pytest.mark.parametrize(
    ("address", "proxy", "reason"),
    [
        ("203.0.113.9", None, "nothing can be sent from 203.0.113.9: Cannot assign"),
        ("2001:db8::9", None, "nothing can be sent from 2001:db8::9: "),
        ("localhost", None, "localhost is no IP address"),
        ("127.0.0.1", "http://proxy:3128", "a proxy or a local address, not both"),
    ],
)
def test_a_route_that_nothing_can_be_sent_by_is_a_configuration_error_that_names_it(
    clock: StandingClock, permits: NotedPermits, address: str, proxy: str | None, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Transport(permits=permits, user_agent=AGENT, clock=clock, route="site-2", local_address=address, proxy=proxy)
    assert caught.value.message.startswith("egress route site-2: ")
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("route", "told"), [(None, "no connection: refused"), ("two", "no connection by route two: refused")]
)
async def test_where_there_are_several_routes_no_connection_names_its_route(
    clock: StandingClock, permits: NotedPermits, far_end: FarEnd, route: str | None, told: str
) -> None:
    far_end.on(f"GET {HUB}/v2/x", httpx.ConnectError("refused"))
    inner = httpx.MockTransport(far_end)
    transport = Transport(permits=permits, user_agent=AGENT, clock=clock, route=route, inner=inner)
    with pytest.raises(Unreachable) as caught:
        await transport.send(hub_call())
    assert caught.value.message == told


def test_a_bad_proxy_is_a_configuration_error_without_its_password(clock: StandingClock, permits: NotedPermits) -> None:
    with pytest.raises(ConfigError) as caught:
        Transport(permits=permits, user_agent=AGENT, clock=clock, proxy="ftp://me:hush-hush@host")
    assert "hush" not in str(caught.value)


def test_certificates_of_the_environment_are_used(
    clock: StandingClock, permits: NotedPermits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    with pytest.raises(ConfigError, match="certificates"):
        Transport(permits=permits, user_agent=AGENT, clock=clock)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (httpx.ConnectError("[Errno -2] Name or service not known"), Unreachable),
        (httpx.ConnectTimeout(""), Unreachable),
        (httpx.ProxyError("407 hush-hush"), Unreachable),
        (httpx.ReadTimeout("hush-hush"), Unavailable),
        (httpx.PoolTimeout(""), Unavailable),
        (httpx.ReadError(""), Unavailable),
        (httpx.RemoteProtocolError("hush-hush"), Unavailable),
        (httpx.LocalProtocolError("Illegal header value b'Bearer hush-hush'"), Unavailable),
        (OSError("hush-hush"), Unavailable),
    ],
)
async def test_faults_of_the_connection(
    transport: Transport, far_end: FarEnd, fault: Exception, kind: type[WireError]
) -> None:
    far_end.on(f"GET {HUB}/v2/x", fault)
    with pytest.raises(WireError) as caught:
        await transport.send(hub_call(authorization=SECRET))
    assert type(caught.value) is kind
    assert "hush" not in str(caught.value)
    assert caught.value.url == "/v2/x"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("407 hush-hush", "the proxy wants another user name and password than it was given (407)"),
        ("502 hush-hush", "the proxy refused (502)"),
        ("hush-hush", "the proxy failed"),
    ],
)
async def test_a_proxy_that_refuses_is_named_with_its_status_alone(
    transport: Transport, far_end: FarEnd, said: str, told: str
) -> None:
    far_end.on(f"GET {HUB}/v2/x", httpx.ProxyError(said))
    with pytest.raises(Unreachable) as caught:
        await transport.send(hub_call())
    assert caught.value.message == f"no connection: {told}"


async def test_a_stalled_answer_ends_with_the_deadline(
    clock: StandingClock, permits: NotedPermits, far_end: FarEnd
) -> None:
    async def stall(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    far_end.on(f"GET {HUB}/v2/x", stall)
    inner = httpx.MockTransport(far_end)
    transport = Transport(permits=permits, user_agent=AGENT, clock=clock, total_s=0.01, inner=inner)
    with pytest.raises(Unavailable, match="no whole answer"):
        await transport.send(hub_call())


@pytest.mark.parametrize("address", ["http://[::1", "ftp://host/", "http:///x", "https://hub.docker.com:x/"])
async def test_an_address_that_cannot_be_sent_to(transport: Transport, address: str) -> None:
    with pytest.raises((Drift, ValueError)):
        await transport.send(Call("GET", address, ("hub",)))


class TestRedirects:
    async def test_within_the_origin_each_hop_is_paid_for(
        self, transport: Transport, far_end: FarEnd, permits: NotedPermits
    ) -> None:
        far_end.on(f"GET {HUB}/v2/x", httpx.Response(301, headers={"location": "/v2/x/"}))
        far_end.on(f"GET {HUB}/v2/x/", answered({}))
        await transport.send(hub_call(authorization=SECRET))
        assert permits.taken == ["hub", "hub"]
        assert transport.requests["hub"] == 2
        assert transport.redirects == 1
        assert far_end.authorizations == [SECRET, SECRET]

    @pytest.mark.parametrize(
        "location",
        [
            "https://evil.example/v2/x/",
            "http://hub.docker.com/v2/x/",
            "https://hub.docker.com:8443/v2/x/",
            "//evil.example/",
            "file:///etc/passwd",
            "http://[",
            "",
        ],
    )
    async def test_out_of_the_origin_is_refused(self, transport: Transport, far_end: FarEnd, location: str) -> None:
        far_end.on(f"GET {HUB}/v2/x", httpx.Response(302, headers={"location": location}))
        with pytest.raises(Drift, match="redirect"):
            await transport.send(hub_call(authorization=SECRET))
        assert len(far_end.requests) == 1

    async def test_to_a_store_without_any_credential(self, transport: Transport, far_end: FarEnd) -> None:
        far_end.on(f"GET {REGISTRY}/v2/blob", httpx.Response(307, headers={"location": "https://cdn.example/b?sig=1"}))
        far_end.on("GET https://cdn.example/b", httpx.Response(302, headers={"location": f"{REGISTRY}/back"}))
        far_end.on(f"GET {REGISTRY}/back", answered({}))
        await transport.send(blob_call(authorization=SECRET, headers=(("Accept", "*/*"), ("Cookie", "hush"))))
        assert far_end.authorizations == [SECRET, None, None]
        assert [request.headers.get("cookie") for request in far_end.requests] == ["hush", None, None]
        assert far_end.requests[1].headers["accept"] == "*/*"
        assert far_end.requests[1].headers["host"] == "cdn.example"

    async def test_never_down_to_plain_http(self, transport: Transport, far_end: FarEnd) -> None:
        far_end.on(f"GET {REGISTRY}/v2/blob", httpx.Response(307, headers={"location": "http://cdn.example/b"}))
        with pytest.raises(Drift, match="down to http"):
            await transport.send(blob_call())

    async def test_no_more_than_three(self, transport: Transport, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}/v2/x", httpx.Response(302, headers={"location": "/v2/x"}))
        with pytest.raises(Drift, match="more than 3"):
            await transport.send(hub_call())
        assert len(far_end.requests) == 4

    async def test_a_login_is_never_sent_on(self, transport: Transport, far_end: FarEnd) -> None:
        far_end.on(f"POST {HUB}/v2/x", httpx.Response(307, headers={"location": "/v2/y"}))
        with pytest.raises(Drift, match="of a POST"):
            await transport.send(Call("POST", f"{HUB}/v2/x", ("logins", "hub"), content=b"hush"))
        assert len(far_end.requests) == 1

    async def test_the_signature_is_in_no_error_and_the_store_is_not_the_edge(
        self, transport: Transport, far_end: FarEnd, permits: NotedPermits
    ) -> None:
        far_end.on(f"GET {REGISTRY}/v2/blob", httpx.Response(307, headers={"location": "https://cdn.example/b?sig=1"}))
        far_end.on("GET https://cdn.example/b", httpx.Response(403, text="<Error>"))
        with pytest.raises(Unavailable) as caught:
            await transport.send(blob_call())
        assert caught.value.url == "/b"
        assert permits.blocked == []


class TestReadings:
    @pytest.mark.parametrize(
        ("headers", "seen"),
        [
            (
                {"x-ratelimit-limit": "180", "x-ratelimit-remaining": "160", "x-ratelimit-reset": str(NOW + 42)},
                Reading(limit=180, remaining=160, resets_in_s=42.0),
            ),
            ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW - 5)}, Reading(remaining=0, resets_in_s=0.0)),
            ({"x-ratelimit-limit": "many", "x-ratelimit-remaining": "-1", "x-ratelimit-reset": "soon"}, None),
            ({"x-ratelimit-reset": str(NOW * 1000)}, None),
            ({"ratelimit-limit": "100;w=3600"}, None),
            ({}, None),
        ],
    )
    async def test_of_the_hub(
        self,
        transport: Transport,
        far_end: FarEnd,
        permits: NotedPermits,
        headers: dict[str, str],
        seen: Reading | None,
    ) -> None:
        far_end.on(f"GET {HUB}/v2/x", httpx.Response(200, headers={"date": DATE, **headers}))
        await transport.send(hub_call())
        assert permits.seen == ([] if seen is None else [("hub", seen)])

    async def test_without_a_date_no_reset_is_told(
        self, transport: Transport, far_end: FarEnd, permits: NotedPermits
    ) -> None:
        headers = {"x-ratelimit-limit": "180", "x-ratelimit-reset": str(NOW)}
        far_end.on(f"GET {HUB}/v2/x", httpx.Response(200, headers=headers))
        await transport.send(hub_call())
        assert permits.seen == [("hub", Reading(limit=180))]

    @pytest.mark.parametrize("budgets", [("pulls", "registry"), ("registry",)])
    @pytest.mark.parametrize("limit", ["200;w=3600", "200 ; w=3600"])
    async def test_of_pulls_with_the_repeated_headers_ignored(
        self, transport: Transport, far_end: FarEnd, permits: NotedPermits, budgets: tuple[str, ...], limit: str
    ) -> None:
        headers = {
            "ratelimit-limit": limit,
            "ratelimit-remaining": "198;w=3600",
            "x-ratelimit-limit": "1;w=1",
            "x-ratelimit-remaining": "1;w=1",
        }
        far_end.on(f"GET {REGISTRY}/v2/m", httpx.Response(200, headers=headers))
        await transport.send(Call("GET", f"{REGISTRY}/v2/m", budgets))  # type: ignore[arg-type]
        assert permits.seen == [("pulls", Reading(limit=200, remaining=198, window_s=3600.0))]

    @pytest.mark.parametrize(
        ("budgets", "seen"),
        [
            (("pulls", "registry"), [("pulls", Reading(is_free=True))]),
            (("registry",), []),
            (("tokens",), []),
        ],
    )
    async def test_only_a_manifest_without_headers_is_unlimited(
        self,
        transport: Transport,
        far_end: FarEnd,
        permits: NotedPermits,
        budgets: tuple[Budget, ...],
        seen: list[tuple[Budget, Reading]],
    ) -> None:
        far_end.on(f"GET {REGISTRY}/v2/m", httpx.Response(200))
        await transport.send(Call("GET", f"{REGISTRY}/v2/m", budgets))
        assert permits.seen == seen

    async def test_a_refused_manifest_without_headers_is_not_unlimited(
        self, transport: Transport, far_end: FarEnd, permits: NotedPermits
    ) -> None:
        far_end.on(f"GET {REGISTRY}/v2/m", answered({"errors": [{"code": "TOOMANYREQUESTS"}]}, 429))
        with pytest.raises(Throttled):
            await transport.send(Call("GET", f"{REGISTRY}/v2/m", ("pulls", "registry")))
        assert permits.seen == []

    async def test_search_answers_speak_of_search(
        self, transport: Transport, far_end: FarEnd, permits: NotedPermits
    ) -> None:
        far_end.on(f"GET {HUB}/v2/x", httpx.Response(200, headers={"x-ratelimit-limit": "30"}))
        await transport.send(Call("GET", f"{HUB}/v2/x", ("hub", "search")))
        assert permits.seen == [("search", Reading(limit=30))]


async def test_every_request_is_told_to_be_over_whatever_became_of_it(
    transport: Transport, far_end: FarEnd, permits: NotedPermits
) -> None:
    far_end.on(
        f"GET {HUB}/v2/x",
        httpx.Response(302, headers={"location": "/v2/x"}),
        httpx.ReadError("cut"),
        httpx.Response(500),
    )
    for _ in range(2):
        with pytest.raises(Unavailable):
            await transport.send(hub_call())
    assert permits.taken == permits.over == ["hub"] * 3


async def test_no_repr_shows_a_secret(transport: Transport, far_end: FarEnd) -> None:
    far_end.on(f"GET {HUB}/v2/x", answered({"token": "hush-hush"}, set_cookie="hush-hush"))
    call = hub_call(authorization=SECRET, content=b"hush-hush", headers=(("Cookie", "hush-hush"),))
    answer = await transport.send(call)
    for shown in (call, answer, answer.headers, transport):
        assert "hush" not in repr(shown)
        assert "hush" not in str(shown)
