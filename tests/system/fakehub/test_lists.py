"""Lists: pages, orders, filters, the wall, the search."""

from __future__ import annotations

import httpx
import pytest

from tests.fakehub import FakeHub, Limits, World
from tests.system.fakehub.asking import TAGS, sign_in, walk


def test_pages_are_linked_and_clamped(hub: FakeHub, client: httpx.Client) -> None:
    first = client.get(f"{hub.hub_url}{TAGS}?page_size=1000&ordering=last_updated").json()
    assert (first["count"], len(first["results"]), first["previous"]) == (121, 100, None)
    assert first["next"].startswith(f"{hub.hub_url}{TAGS}?")
    second = client.get(first["next"]).json()
    assert (len(second["results"]), second["next"]) == (21, None)
    assert "page=1" in second["previous"]
    assert len(client.get(hub.hub_url + TAGS).json()["results"]) == 10
    past = client.get(f"{hub.hub_url}{TAGS}?page=3&page_size=100")
    assert (past.status_code, past.headers["content-type"]) == (404, "application/json")
    assert len({row["name"] for row in walk(client, f"{hub.hub_url}{TAGS}?page_size=7")}) == 121


def test_tag_orders_and_name_filter(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}/v2/namespaces/library/repositories/nginx/tags"
    newest = [row["last_updated"] for row in walk(client, url + "?ordering=last_updated")]
    assert newest == sorted(newest, reverse=True)
    assert [row["last_updated"] for row in walk(client, url + "?ordering=-last_updated")] == newest[::-1]
    assert walk(client, url)[0]["name"] == "latest"
    filtered = client.get(url + "?name=alpine").json()
    assert (filtered["count"], filtered["results"][0]["name"]) == (1, "1.29-alpine")
    hub.switches.reversed_ordering = True
    assert [row["last_updated"] for row in walk(client, url + "?ordering=last_updated")] == newest[::-1]


def test_repository_orders_and_a_bad_one(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}/v2/namespaces/library/repositories"
    pulls = [row["pull_count"] for row in walk(client, url + "?ordering=-pull_count")]
    assert pulls == sorted(pulls, reverse=True)
    assert max(pulls) > 2**32
    refused = client.get(url + "?ordering=stars")
    assert refused.status_code == 400
    assert refused.json()["text"] == "Invalid ordering value"


@pytest.mark.parametrize(
    ("path", "inside", "outside"),
    [
        (TAGS, "page=2&page_size=19", "page=2&page_size=20"),
        ("/v2/namespaces/acme/repositories", "page=2&page_size=1", "page=3&page_size=1"),
    ],
)
def test_anonymous_wall(client: httpx.Client, path: str, inside: str, outside: str) -> None:
    limits = Limits(anonymous_wall_tags=20, anonymous_wall_repositories=2)
    with FakeHub(World.small(), limits=limits, users={"someone": "dckr_pat_x"}) as hub:
        served = client.get(f"{hub.hub_url}{path}?{inside}")
        assert served.status_code == 200
        refused = client.get(f"{hub.hub_url}{path}?{outside}")
        assert refused.status_code == 403
        assert refused.json() == {
            "message": "pagination offset too large for anonymous requests; sign in to page further",
            "errinfo": {},
        }
        assert refused.headers["x-ratelimit-remaining"] == served.headers["x-ratelimit-remaining"]
        assert hub.journal[-1].budget == "none"
        assert client.get(f"{hub.hub_url}{path}?{outside}", headers=sign_in(hub, client)).status_code == 200


def test_search(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}/v2/search/repositories/"
    page = client.get(url, params={"query": "nginx"}).json()
    assert page["results"][0]["repo_name"] == "nginx"
    assert (page["next"], page["previous"]) == ("", "")
    assert client.get(url, params={"query": "vault"}).json()["count"] == 0
    with FakeHub(World.search_hits("prometheus", 300), limits=Limits.none(search_wall=200)) as other:
        url = f"{other.hub_url}/v2/search/repositories/"
        first = client.get(url, params={"query": "prometheus", "page_size": 100}).json()
        assert (first["count"], len(first["results"])) == (300, 100)
        assert client.get(first["next"]).status_code == 200
        assert client.get(url, params={"query": "prometheus", "page_size": 100, "page": 3}).status_code == 404
