"""The Hub API's methods: paths, families, next pages, tokens."""

from __future__ import annotations

import httpx
import pytest

from harvester.errors import DeadEndpoint, Denied, Drift, Gone, Throttled, Unavailable, Walled, WireError
from harvester.names import RepositoryName
from harvester.wire.hub import Hub
from harvester.wire.tokens import Credentials, HubTokens
from harvester.wire.transport import Transport
from tests.wire.conftest import HUB, FarEnd, StandingClock, answered, recorded

pytestmark = pytest.mark.anyio

DISNEY = RepositoryName("ebusinessdocker", "disney")
CURRENT = "/v2/namespaces/ebusinessdocker/repositories/disney"
LEGACY = "/v2/repositories/ebusinessdocker/disney"
DEAD = httpx.Response(404, html="<title>404 : Docker</title>")
GONE = answered(recorded("hub-error-404-object-not-found"), 404)
TAGS = answered(recorded("hub-tags-list-ebusinessdocker-disney"))
REPOSITORY = answered(recorded("hub-repository-ebusinessdocker-disney"))


@pytest.fixture
def hub(transport: Transport) -> Hub:
    return Hub(transport, HUB)


@pytest.fixture
def signed_in(transport: Transport, clock: StandingClock, far_end: FarEnd) -> Hub:
    far_end.on(f"POST {HUB}/v2/auth/token", *[answered({"access_token": f"t{number}"}) for number in range(1, 9)])
    credentials = Credentials("someone", "hush")
    return Hub(transport, HUB, HubTokens(transport, HUB, credentials=credentials, clock=clock))


async def test_every_address(hub: Hub, far_end: FarEnd) -> None:
    far_end.on(f"GET {HUB}{CURRENT}", REPOSITORY)
    far_end.on(f"GET {HUB}{CURRENT}/tags", TAGS)
    far_end.on(f"GET {HUB}{CURRENT}/tags/latest", answered({"name": "latest"}))
    images = recorded("hub-tag-images-ebusinessdocker-disney-latest")
    far_end.on(f"GET {HUB}{LEGACY}/tags/latest/images", answered(images))
    far_end.on(f"GET {HUB}/v2/namespaces/docker/repositories", answered({"count": 0, "results": None}))
    far_end.on(f"GET {HUB}/v2/search/repositories/", answered({"count": 0}))
    assert (await hub.repository(DISNEY)).pull_count == 275
    assert (await hub.tags_page(DISNEY)).rows[0].name == "latest"
    await hub.tags_page(DISNEY, page_size=7, ordering="-last_updated", name_filter="a&b c")
    await hub.tags_page(DISNEY, page_query="page=3&page_size=100&ordering=last_updated")
    assert (await hub.tag(DISNEY, "latest")).name == "latest"
    assert len((await hub.images(DISNEY, "latest")).rows) == 1
    assert (await hub.namespace_page("docker", page_size=99)).rows == ()
    assert (await hub.search_page("a b/c")).reported_count == 0
    assert [request.url.raw_path.decode() for request in far_end.requests] == [
        CURRENT,
        f"{CURRENT}/tags?page_size=100&ordering=last_updated",
        f"{CURRENT}/tags?page_size=7&ordering=-last_updated&name=a%26b%20c",
        f"{CURRENT}/tags?page=3&page_size=100&ordering=last_updated",
        f"{CURRENT}/tags/latest",
        f"{LEGACY}/tags/latest/images",
        "/v2/namespaces/docker/repositories?page_size=99",
        "/v2/search/repositories/?query=a%20b%2Fc&page_size=100",
    ]
    assert not hub.signed_in


class TestFamilies:
    async def test_the_legacy_form_is_tried_once_and_remembered(self, hub: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{LEGACY}/tags/", TAGS)
        await hub.tags_page(DISNEY)
        await hub.tags_page(DISNEY)
        assert far_end.asked == [f"GET {CURRENT}/tags", f"GET {LEGACY}/tags/", f"GET {LEGACY}/tags/"]

    async def test_each_endpoint_has_its_own_family(self, hub: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{LEGACY}/tags/", TAGS)
        far_end.on(f"GET {HUB}{CURRENT}", REPOSITORY)
        await hub.tags_page(DISNEY)
        await hub.repository(DISNEY)
        assert far_end.asked[-1] == f"GET {CURRENT}"

    async def test_a_remembered_form_that_dies_gives_way(self, hub: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{LEGACY}/", REPOSITORY, DEAD)
        far_end.on(f"GET {HUB}{CURRENT}", DEAD, REPOSITORY)
        for _ in range(3):
            await hub.repository(DISNEY)
        assert far_end.asked == [f"GET {path}" for path in (CURRENT, f"{LEGACY}/", f"{LEGACY}/", CURRENT, CURRENT)]

    @pytest.mark.parametrize("dead", [DEAD, answered({"detail": "no"}, 405)])
    async def test_both_dead_is_an_outage_never_an_absence(
        self, hub: Hub, far_end: FarEnd, dead: httpx.Response
    ) -> None:
        far_end.on(f"GET {HUB}{CURRENT}", dead)
        far_end.on(f"GET {HUB}{LEGACY}/", dead)
        with pytest.raises(Unavailable) as caught:
            await hub.repository(DISNEY)
        assert type(caught.value) is Unavailable
        assert not isinstance(caught.value, DeadEndpoint)
        assert len(far_end.requests) == 2

    async def test_both_withdrawn_is_never_asked_again(self, hub: Hub, far_end: FarEnd) -> None:
        for path in (CURRENT, f"{LEGACY}/"):
            far_end.on(f"GET {HUB}{path}", answered({"message": "no"}, 410))
        for _ in range(2):
            with pytest.raises(DeadEndpoint) as caught:
                await hub.repository(DISNEY)
            assert caught.value.status == 410
        assert len(far_end.requests) == 2
        far_end.on(f"GET {HUB}{CURRENT}/tags", answered({"count": 0, "results": []}))
        await hub.tags_page(DISNEY)

    async def test_one_withdrawn_form_and_one_that_is_not_served_is_an_outage(self, hub: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{CURRENT}", answered({"message": "no"}, 410))
        far_end.on(f"GET {HUB}{LEGACY}/", DEAD)
        with pytest.raises(Unavailable):
            await hub.repository(DISNEY)

    async def test_images_have_one_form(self, hub: Hub, far_end: FarEnd) -> None:
        with pytest.raises(Unavailable):
            await hub.images(DISNEY, "latest")
        assert far_end.asked == [f"GET {LEGACY}/tags/latest/images"]

    async def test_an_absent_object_is_not_asked_for_twice(self, hub: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{CURRENT}", GONE)
        with pytest.raises(Gone):
            await hub.repository(DISNEY)
        assert len(far_end.requests) == 1


class TestNextPages:
    @pytest.mark.parametrize(
        ("following", "query"),
        [
            (None, None),
            ("", None),
            (f"{HUB}{CURRENT}/tags?page=2&page_size=100", "page=2&page_size=100"),
            (f"{HUB}{CURRENT}/tags/?page=2", "page=2"),
            (f"{HUB}{LEGACY}/tags/?page=2", "page=2"),
            (f"https://hub.docker.com:443{CURRENT}/tags?page=2#x", "page=2"),
            (f"{CURRENT}/tags?page=2", "page=2"),
            ("?page=2", "page=2"),
        ],
    )
    async def test_taken(self, hub: Hub, far_end: FarEnd, following: str | None, query: str | None) -> None:
        far_end.on(f"GET {HUB}{CURRENT}/tags", answered({"count": 1, "next": following, "results": [{"name": "a"}]}))
        assert (await hub.tags_page(DISNEY)).next_page == query

    @pytest.mark.parametrize(
        "following",
        [
            f"https://evil.example{CURRENT}/tags?page=2",
            f"http://hub.docker.com{CURRENT}/tags?page=2",
            f"https://hub.docker.com:444{CURRENT}/tags?page=2",
            f"https://hub.docker.com@evil.example{CURRENT}/tags?page=2",
            f"{HUB}{CURRENT}/tags/latest?page=2",
            f"{HUB}/v2/namespaces/other/repositories/disney/tags?page=2",
            f"{HUB}{CURRENT}/tags",
            f"{HUB}{CURRENT}/tags?page_size=100&ordering=last_updated",
            f"{HUB}{CURRENT}/tags?ordering=last_updated&page_size=100",
            f"{HUB}{CURRENT}/tags?page=2&a=" + "a" * 5000,
            f"{HUB}{CURRENT}/tags?page=2\nHost: evil",
            "http://[",
            "https://hub.docker.com:x/",
        ],
    )
    async def test_refused(self, hub: Hub, far_end: FarEnd, following: str) -> None:
        far_end.on(f"GET {HUB}{CURRENT}/tags", answered({"count": 1, "next": following, "results": [{"name": "a"}]}))
        page = await hub.tags_page(DISNEY)
        assert [tag.name for tag in page.rows] == ["a"], "the rows of the page are good"
        assert page.next_page is None, "it is never followed"
        assert [refused.path for refused in page.refused] == ["$.next"], "and that is said"

    @pytest.mark.parametrize("prefix", ["http://127.0.0.1:8080/hub", "https://hub.docker.com"])
    async def test_behind_a_mirror(self, transport: Transport, far_end: FarEnd, prefix: str) -> None:
        hub = Hub(transport, "http://127.0.0.1:8080/hub/")
        page = {"count": 1, "next": f"{prefix}{CURRENT}/tags?page=2", "results": [{"name": "a"}]}
        far_end.on(f"GET http://127.0.0.1:8080/hub{CURRENT}/tags", answered(page))
        assert (await hub.tags_page(DISNEY)).next_page == "page=2"

    async def test_search(self, hub: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}/v2/search/repositories/", answered(recorded("hub-search-v2-nginx-page1")))
        page = await hub.search_page("nginx", page_size=3)
        assert page.next_page == "page=2&page_size=3&query=nginx"
        assert page.rows[0].full_name == "library/nginx"

    async def test_a_namespace(self, hub: Hub, far_end: FarEnd) -> None:
        page = answered(recorded("hub-namespace-repositories-docker"))
        far_end.on(f"GET {HUB}/v2/namespaces/docker/repositories", page)
        assert (await hub.namespace_page("docker", page_size=2)).next_page == "page=2&page_size=2"


class TestTokens:
    async def test_a_token_goes_along(self, signed_in: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{CURRENT}", REPOSITORY)
        await signed_in.repository(DISNEY)
        assert far_end.authorizations == [None, "Bearer t1"]
        assert signed_in.signed_in

    async def test_a_stale_token_is_renewed_once(self, signed_in: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{CURRENT}", answered({"detail": "expired"}, 401), REPOSITORY)
        await signed_in.repository(DISNEY)
        assert far_end.authorizations == [None, "Bearer t1", None, "Bearer t2"]
        assert signed_in.signed_in

    async def test_then_public_data_is_read_without_one(
        self, signed_in: Hub, far_end: FarEnd, clock: StandingClock
    ) -> None:
        def judged(request: httpx.Request) -> httpx.Response:
            return answered({}, 401) if "authorization" in request.headers else REPOSITORY

        far_end.on(f"GET {HUB}{CURRENT}", judged)
        await signed_in.repository(DISNEY)
        assert far_end.authorizations == [None, "Bearer t1", None, "Bearer t2", None]
        await signed_in.repository(DISNEY)
        assert far_end.authorizations[5:] == [None]
        assert not signed_in.signed_in
        clock.now += 481
        assert signed_in.signed_in

    async def test_and_a_refusal_of_that_is_final(self, signed_in: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{CURRENT}", answered({"detail": "no"}, 401))
        with pytest.raises(Denied):
            await signed_in.repository(DISNEY)
        assert far_end.asked.count(f"GET {CURRENT}") == 3

    async def test_repeated_requests_take_permits(self, signed_in: Hub, far_end: FarEnd, transport: Transport) -> None:
        far_end.on(f"GET {HUB}{CURRENT}", answered({}, 401), REPOSITORY)
        await signed_in.repository(DISNEY)
        assert transport.requests["hub"] == 2
        assert transport.requests["logins"] == 2

    async def test_without_a_token_a_401_is_final(self, hub: Hub, far_end: FarEnd) -> None:
        far_end.on(f"GET {HUB}{CURRENT}", answered({"detail": "no"}, 401))
        with pytest.raises(Denied):
            await hub.repository(DISNEY)
        assert len(far_end.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answered(recorded("hub-error-403-anonymous-offset"), 403), Walled),
        (answered(recorded("hub-error-429-rate-limit"), 429), Throttled),
        (httpx.Response(503), Unavailable),
        (httpx.ReadError("cut"), Unavailable),
        (httpx.Response(200), Drift),
        (httpx.Response(200, html="<html>"), Unavailable),
        (answered(b"null"), Drift),
        (answered({}), Drift),
        (answered({"message": "ok"}), Drift),
        (answered([]), Drift),
    ],
)
async def test_answers_of_a_page(
    hub: Hub, far_end: FarEnd, answer: httpx.Response | Exception, kind: type[WireError]
) -> None:
    far_end.on(f"GET {HUB}{CURRENT}/tags", answer)
    far_end.on(f"GET {HUB}/v2/search/repositories/", answer)
    far_end.on(f"GET {HUB}/v2/namespaces/docker/repositories", answer)
    for page in (hub.tags_page(DISNEY), hub.search_page("x"), hub.namespace_page("docker")):
        with pytest.raises(WireError) as caught:
            await page
        assert type(caught.value) is kind
        assert caught.value.budget == "hub"
        assert caught.value.url.startswith("/v2/")
        if kind is Drift:
            assert caught.value.status == 200


async def test_a_detail_of_another_shape(hub: Hub, far_end: FarEnd) -> None:
    far_end.on(f"GET {HUB}{CURRENT}", answered({"name": "disney", "pull_count": "1B+"}))
    with pytest.raises(Drift) as caught:
        await hub.repository(DISNEY)
    assert caught.value.path == "$.pull_count"
    assert "1B+" in caught.value.sample
    assert caught.value.url == CURRENT
