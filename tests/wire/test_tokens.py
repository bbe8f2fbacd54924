"""Tokens: one request for many needs, renewal, refused credentials, secrets."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import pytest

from harvester.errors import Blocked, CredentialsRefused, Denied, Drift, TooLarge, Unavailable, WireError
from harvester.names import RepositoryName
from harvester.wire import tokens as tokens_module
from harvester.wire.tokens import Credentials, HubTokens, Memory, RegistryTokens
from harvester.wire.transport import Transport
from tests.wire.conftest import AUTH, HUB, FarEnd, NotedPermits, StandingClock, answered, recorded

pytestmark = pytest.mark.anyio

WHO = Credentials("someone", "hush-hush")
NAME = RepositoryName("library", "nginx")
LOGIN = f"POST {HUB}/v2/auth/token"
ASK = f"GET {AUTH}/token"


def jwt(number: int = 0, **payload: float) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJh.{middle}.sig{number}"


def login(number: int = 0, life: float = 600.0) -> httpx.Response:
    return answered({"access_token": jwt(number, iat=10.0, exp=10.0 + life)})


@pytest.fixture
def hub_tokens(transport: Transport, clock: StandingClock) -> HubTokens:
    return HubTokens(transport, HUB, credentials=WHO, clock=clock)


@pytest.fixture
def registry_tokens(transport: Transport, clock: StandingClock) -> RegistryTokens:
    return RegistryTokens(transport, AUTH, clock=clock)


class TestHub:
    async def test_a_login(self, hub_tokens: HubTokens, far_end: FarEnd, permits: NotedPermits) -> None:
        far_end.on(LOGIN, login())
        assert await hub_tokens.authorization() == f"Bearer {jwt(iat=10.0, exp=610.0)}"
        request = far_end.requests[0]
        assert json.loads(request.content) == {"identifier": "someone", "secret": "hush-hush"}
        assert request.headers["content-length"] == str(len(request.content))
        assert permits.taken == ["hub", "logins"]

    async def test_fifty_needs_one_login(self, hub_tokens: HubTokens, far_end: FarEnd) -> None:
        async def slowly(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)
            return login()

        far_end.on(LOGIN, slowly)
        got = await asyncio.gather(*[hub_tokens.authorization() for _ in range(50)])
        assert len(set(got)) == 1
        assert len(far_end.requests) == 1

    async def test_fifty_needs_one_failure(self, hub_tokens: HubTokens, far_end: FarEnd) -> None:
        async def slowly(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)
            return httpx.Response(503)

        far_end.on(LOGIN, slowly)
        got = await asyncio.gather(*[hub_tokens.authorization() for _ in range(50)], return_exceptions=True)
        assert {type(error) for error in got} == {Unavailable}
        assert len(far_end.requests) == 1

    async def test_a_cancelled_asker_leaves_the_others_their_token(
        self, hub_tokens: HubTokens, far_end: FarEnd
    ) -> None:
        under_way = asyncio.Event()

        async def stall(request: httpx.Request) -> httpx.Response:
            under_way.set()
            await asyncio.Event().wait()
            raise AssertionError

        far_end.on(LOGIN, stall, login())
        first = asyncio.create_task(hub_tokens.authorization())
        await under_way.wait()
        others = [asyncio.create_task(hub_tokens.authorization()) for _ in range(5)]
        await asyncio.sleep(0)
        others[0].cancel()
        first.cancel()
        got = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(value) for value in got] == [asyncio.CancelledError] * 2 + [str] * 4
        assert len(far_end.requests) == 2

    @pytest.mark.parametrize(("life", "renewed_after"), [(600.0, 540.0), (60.0, 54.0)])
    async def test_renewal(
        self, hub_tokens: HubTokens, far_end: FarEnd, clock: StandingClock, life: float, renewed_after: float
    ) -> None:
        far_end.on(LOGIN, login(1, life), login(2, life))
        first = await hub_tokens.authorization()
        clock.now += renewed_after - 1
        assert await hub_tokens.authorization() == first
        clock.now += 1
        assert await hub_tokens.authorization() != first

    @pytest.mark.parametrize("text", ["opaque", "a.b.c", jwt(exp=5.0), jwt(iat=9.0, exp=5.0), "a.bm9wZQ.c"])
    async def test_a_life_that_is_not_told(
        self, hub_tokens: HubTokens, far_end: FarEnd, clock: StandingClock, text: str
    ) -> None:
        far_end.on(LOGIN, answered({"access_token": text}))
        await hub_tokens.authorization()
        clock.now += 419
        await hub_tokens.authorization()
        assert len(far_end.requests) == 1
        clock.now += 1
        await hub_tokens.authorization()
        assert len(far_end.requests) == 2

    async def test_wrong_credentials_are_sent_once(self, transport: Transport, far_end: FarEnd) -> None:
        noted: list[str] = []

        async def note() -> None:
            noted.append("refused")

        tokens = HubTokens(transport, HUB, credentials=WHO, clock=StandingClock(), memory=Memory(note))
        far_end.on(LOGIN, answered(recorded("hub-error-401-login"), 401))
        for _ in range(3):
            with pytest.raises(CredentialsRefused):
                await tokens.authorization()
        assert len(far_end.requests) == 1
        assert noted == ["refused"]
        assert not tokens.is_usable

    async def test_wrong_credentials_are_sent_once_by_all_that_use_them_at_one_time(
        self, transport: Transport, far_end: FarEnd
    ) -> None:
        async def slowly(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)
            return answered(recorded("hub-error-401-login"), 401)

        far_end.on(LOGIN, slowly)
        clock, memory = StandingClock(), Memory()
        ways = [HubTokens(transport, HUB, credentials=WHO, clock=clock, memory=memory) for _ in range(3)]
        registry = RegistryTokens(transport, AUTH, credentials=WHO, clock=clock, memory=memory)
        asking = [*(way.authorization() for way in ways), registry.authorization(NAME)]
        got = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(error) for error in got] == [CredentialsRefused] * 4
        assert len(far_end.requests) == 1
        assert not any(way.is_usable for way in ways)

    async def test_credentials_that_were_taken_are_sent_by_several_at_one_time(
        self, transport: Transport, far_end: FarEnd
    ) -> None:
        far_end.on(LOGIN, login())
        far_end.on(ASK, answered({"token": "t"}))
        clock, memory = StandingClock(), Memory()
        await HubTokens(transport, HUB, credentials=WHO, clock=clock, memory=memory).authorization()
        both = asyncio.Barrier(2)

        async def together(request: httpx.Request) -> httpx.Response:
            await both.wait()
            return login()

        far_end.on(LOGIN, together)
        ways = [HubTokens(transport, HUB, credentials=WHO, clock=clock, memory=memory) for _ in range(2)]
        async with asyncio.timeout(5):
            assert len(await asyncio.gather(*(way.authorization() for way in ways))) == 2

    async def test_the_edge_says_nothing_of_credentials(self, hub_tokens: HubTokens, far_end: FarEnd) -> None:
        far_end.on(LOGIN, httpx.Response(403, text="error code: 1010"), login())
        with pytest.raises(Blocked):
            await hub_tokens.authorization()
        assert await hub_tokens.authorization()

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (answered({}), Drift),
            (answered({"access_token": "hush hush"}), Drift),
            (answered({"access_token": "hush\nhush"}), Drift),
            (answered({"access_token": ["hush"]}), Drift),
            (answered(b"hush"), Drift),
            (answered({"access_token": "hush" * 20_000}), TooLarge),
        ],
    )
    async def test_answers_that_are_no_token(
        self, hub_tokens: HubTokens, far_end: FarEnd, answer: httpx.Response, kind: type[WireError]
    ) -> None:
        far_end.on(LOGIN, answer)
        with pytest.raises(kind) as caught:
            await hub_tokens.authorization()
        assert "hush" not in f"{caught.value} {getattr(caught.value, 'sample', '')}"


class TestRegistry:
    async def test_a_token(self, registry_tokens: RegistryTokens, far_end: FarEnd, permits: NotedPermits) -> None:
        far_end.on(f"{ASK}?service=registry.docker.io&scope=repository:library/nginx:pull", answered({"token": "t"}))
        assert registry_tokens.cached(NAME) is None
        assert await registry_tokens.authorization(NAME) == "Bearer t"
        assert registry_tokens.cached(NAME) == "Bearer t"
        assert permits.taken == ["tokens"]
        assert far_end.authorizations == [None]

    async def test_with_credentials(self, transport: Transport, far_end: FarEnd, clock: StandingClock) -> None:
        tokens = RegistryTokens(transport, AUTH, clock=clock, credentials=WHO)
        far_end.on(ASK, answered({"access_token": "t"}))
        await tokens.authorization(NAME)
        basic = base64.b64encode(b"someone:hush-hush").decode()
        assert far_end.authorizations == [f"Basic {basic}"]

    async def test_wrong_credentials_are_sent_once(
        self, transport: Transport, far_end: FarEnd, clock: StandingClock
    ) -> None:
        tokens = RegistryTokens(transport, AUTH, clock=clock, credentials=WHO)
        far_end.on(ASK, answered({"details": "incorrect username or password"}, 401))
        for name in ("a", "b"):
            with pytest.raises(CredentialsRefused):
                await tokens.authorization(RepositoryName("library", name))
        assert len(far_end.requests) == 1

    async def test_a_refusal_without_credentials(self, registry_tokens: RegistryTokens, far_end: FarEnd) -> None:
        far_end.on(ASK, answered({}, 401))
        with pytest.raises(Denied) as caught:
            await registry_tokens.authorization(NAME)
        assert type(caught.value) is Denied

    @pytest.mark.parametrize(
        ("document", "renewed_after"),
        [
            ({"token": "t", "expires_in": 300}, 240.0),
            ({"token": "t"}, 54.0),
            ({"token": "t", "expires_in": 5}, 54.0),
            ({"token": "t", "expires_in": "300"}, 240.0),
        ],
    )
    async def test_renewal(
        self,
        registry_tokens: RegistryTokens,
        far_end: FarEnd,
        clock: StandingClock,
        document: object,
        renewed_after: float,
    ) -> None:
        far_end.on(ASK, answered(document))
        await registry_tokens.authorization(NAME)
        clock.now += renewed_after - 1
        assert registry_tokens.cached(NAME) is not None
        clock.now += 1
        assert registry_tokens.cached(NAME) is None

    async def test_fifty_needs_one_request_for_each_repository(
        self, registry_tokens: RegistryTokens, far_end: FarEnd
    ) -> None:
        async def slowly(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)
            return answered({"token": "t"})

        far_end.on(ASK, slowly)
        names = [RepositoryName("library", "nginx"), RepositoryName("library", "redis")] * 25
        await asyncio.gather(*[registry_tokens.authorization(name) for name in names])
        assert len(far_end.requests) == 2

    async def test_the_tokens_longest_unused_go_first(
        self, registry_tokens: RegistryTokens, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tokens_module, "KEPT", 2)
        far_end.on(ASK, answered({"token": "t"}))
        a, b, c = (RepositoryName("library", name) for name in "abc")
        await registry_tokens.authorization(a)
        await registry_tokens.authorization(b)
        assert registry_tokens.cached(a)
        await registry_tokens.authorization(c)
        assert [registry_tokens.cached(name) is not None for name in (a, b, c)] == [True, False, True]

    async def test_one_token_serves_ten_repositories_that_are_expected(
        self, registry_tokens: RegistryTokens, far_end: FarEnd
    ) -> None:
        far_end.on(ASK, answered({"token": "t"}))
        names = [RepositoryName("library", f"r{number}") for number in range(25)]
        registry_tokens.expect(names)
        for name in names:
            assert await registry_tokens.authorization(name) == "Bearer t"
        asked = [request.url.params.get_list("scope") for request in far_end.requests]
        assert [len(scopes) for scopes in asked] == [10, 10, 5]
        assert sorted(scope for scopes in asked for scope in scopes) == sorted(
            f"repository:{name.full_name}:pull" for name in names
        )

    async def test_fewer_are_asked_for_at_a_time_where_many_are_refused(
        self, registry_tokens: RegistryTokens, far_end: FarEnd
    ) -> None:
        async def refuse_many(request: httpx.Request) -> httpx.Response:
            scopes = request.url.params.get_list("scope")
            return answered({"token": "t"}) if len(scopes) <= 3 else answered({"details": "too many"}, 400)

        far_end.on(ASK, refuse_many)
        names = [RepositoryName("library", f"r{number}") for number in range(40)]
        registry_tokens.expect(names)
        for name in names:
            assert await registry_tokens.authorization(name) == "Bearer t"
        sizes = [len(request.url.params.get_list("scope")) for request in far_end.requests]
        assert sizes[:4] == [10, 1, 5, 1]
        assert set(sizes[4:]) <= {1, 2}

    async def test_dropping_leaves_a_newer_token(self, registry_tokens: RegistryTokens, far_end: FarEnd) -> None:
        far_end.on(ASK, answered({"token": "t"}))
        await registry_tokens.authorization(NAME)
        registry_tokens.drop(NAME, "Bearer older")
        assert registry_tokens.cached(NAME) == "Bearer t"
        registry_tokens.drop(NAME, "Bearer t")
        assert registry_tokens.cached(NAME) is None


async def test_no_repr_shows_a_secret(hub_tokens: HubTokens, registry_tokens: RegistryTokens, far_end: FarEnd) -> None:
    far_end.on(LOGIN, answered({"access_token": "hush-hush"}))
    far_end.on(ASK, answered({"token": "hush-hush"}))
    await hub_tokens.authorization()
    await registry_tokens.authorization(NAME)
    held = (WHO, hub_tokens, registry_tokens, hub_tokens._token, vars(registry_tokens), vars(hub_tokens))
    assert all("hush" not in f"{value!r} {value}" for value in held)
