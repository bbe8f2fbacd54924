"""The fake Hub keeps to the wire reference: each test talks to it over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakehub import FakeHub, Fault, Limits, Switches, World, faults
from tests.fakehub.limits import RetryForm

CHECKOUT = Path(__file__).resolve().parents[2]
RECORDED = CHECKOUT.parent / "shared" / "data"
TAGS = "/v2/namespaces/acme/repositories/nightly/tags"
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.1"
)


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10, verify=False, trust_env=False) as opened:
        yield opened


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(World.small(), limits=Limits(hub_per_minute=None), users={"someone": "dckr_pat_x"}) as running:
        yield running


def sign_in(hub: FakeHub, client: httpx.Client, secret: str = "dckr_pat_x") -> dict[str, str]:
    answer = client.post(hub.hub_url + "/v2/auth/token", json={"identifier": "someone", "secret": secret})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def registry_token(
    hub: FakeHub, client: httpx.Client, *names: str, auth: tuple[str, str] | None = None
) -> dict[str, str]:
    query = {"service": "registry.docker.io", "scope": [f"repository:{name}:pull" for name in names]}
    answer = client.get(hub.auth_url + "/token", params=query, auth=auth)
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 300
    return {"Authorization": f"Bearer {answer.json()['token']}", "Accept": MANIFEST_TYPES}


def walk(client: httpx.Client, url: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    following: str | None = url
    while following:
        page = client.get(following, headers=headers).json()
        rows += page["results"]
        following = page["next"]
    return rows


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


def test_hub_limiter_window_and_retry_forms(client: httpx.Client) -> None:
    clock = ManualClock()
    with FakeHub(World.small(), limits=Limits(hub_per_minute=3), clock=clock) as hub:
        url = hub.hub_url + TAGS
        answers = [client.get(url) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[0].headers["x-ratelimit-limit"] == "3"
        reset = int(answers[0].headers["x-ratelimit-reset"])
        assert reset == 1_790_000_061
        assert parsedate_to_datetime(answers[0].headers["date"]).timestamp() == 1_790_000_000
        assert answers[3].json() == {"detail": "Rate limit exceeded", "error": False}
        assert answers[3].headers["retry-after"] == "60"
        clock.now = float(reset)
        assert client.get(url).headers["x-ratelimit-remaining"] == "2"
        hub.hub_api.spend(2)
        assert client.get(url).status_code == 429


@pytest.mark.parametrize(("form", "header"), [("epoch", "x-retry-after"), ("date", "retry-after")])
def test_hub_limiter_in_other_retry_forms(client: httpx.Client, form: RetryForm, header: str) -> None:
    with FakeHub(World.small(), limits=Limits(hub_per_minute=0, retry_form=form), clock=ManualClock()) as hub:
        value = client.get(hub.hub_url + TAGS).headers[header]
    at = float(value) if form == "epoch" else parsedate_to_datetime(value).timestamp()
    assert at == 1_790_000_061


def test_no_limits_sends_no_limit_headers(client: httpx.Client) -> None:
    with FakeHub(World.small(), limits=Limits.none()) as hub:
        answer = client.get(hub.hub_url + TAGS)
        assert not [name for name in answer.headers if "ratelimit" in name]
        headers = registry_token(hub, client, "library/nginx")
        manifest = client.get(f"{hub.registry_url}/v2/library/nginx/manifests/latest", headers=headers)
        assert not [name for name in manifest.headers if "ratelimit" in name]


def test_both_families_and_their_slashes(hub: FakeHub, client: httpx.Client) -> None:
    current, legacy = hub.hub_url + "/v2/namespaces", hub.hub_url + "/v2/repositories"
    for ours, theirs in (
        ("/acme/repositories", "/acme/"),
        ("/acme/repositories/web", "/acme/web/"),
        ("/acme/repositories/web/tags", "/acme/web/tags/"),
        ("/acme/repositories/web/tags/1.0.0", "/acme/web/tags/1.0.0/"),
    ):
        mine, other = client.get(current + ours).json(), client.get(legacy + theirs).json()
        for page in (mine, other):
            page.pop("next", None)
        assert mine == other
        moved = client.get(legacy + theirs.rstrip("/") + "?x=1")
        assert (moved.status_code, moved.headers["location"]) == (301, f"{legacy}{theirs}?x=1")
        assert moved.headers["content-type"].startswith("text/html")
        assert client.get(current + ours + "/").status_code == 404
        assert client.head(current + ours).status_code == 200
        assert client.head(current + ours).content == b""
    assert client.get(f"{legacy}/acme/web/tags/latest/images").status_code == 200
    assert client.get(f"{legacy}/acme/web/tags/latest/images/").status_code == 404


def test_families_can_be_switched_off(client: httpx.Client) -> None:
    with FakeHub(World.small(), limits=Limits.none(), switches=Switches(namespaces_family=False)) as hub:
        missing = client.get(hub.hub_url + TAGS)
        assert (missing.status_code, "404 : Docker" in missing.text) == (404, True)
        assert client.get(f"{hub.hub_url}/v2/repositories/acme/web/").status_code == 200
        hub.switches.namespaces_family, hub.switches.legacy_family = True, False
        assert client.get(hub.hub_url + TAGS).status_code == 200
        assert "html" in client.get(f"{hub.hub_url}/v2/repositories/acme/web/").headers["content-type"]


def test_missing_objects_and_private_ones_look_alike(hub: FakeHub, client: httpx.Client) -> None:
    for name in ("ghost", "vault"):
        missing = client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/{name}/tags")
        assert missing.status_code == 404
        assert missing.json()["errinfo"] == {"namespace": "acme", "repository": name}
    headers = sign_in(hub, client)
    assert (
        client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/vault", headers=headers).json()["is_private"] is True
    )
    assert client.get(hub.hub_url + "/nowhere").headers["content-type"].startswith("text/html")


def test_repository_has_the_recorded_fields(hub: FakeHub, client: httpx.Client) -> None:
    detail = client.get(f"{hub.hub_url}/v2/namespaces/library/repositories/nginx").json()
    row = next(
        row for row in walk(client, f"{hub.hub_url}/v2/namespaces/library/repositories") if row["name"] == "nginx"
    )
    beyond = {"user", "is_automated", "collaborator_count", "hub_user", "has_starred", "permissions"}
    assert detail.keys() - row.keys() == beyond | {"immutable_tags_settings", "source", "full_description"}
    assert (row["affiliation"], detail["affiliation"]) == ("", None)
    empty = client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/empty").json()
    assert empty["last_updated"] is None
    assert "full_description" not in empty
    assert client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/empty/tags").json()["results"] == []


def test_odd_tags_of_the_small_world(hub: FakeHub, client: httpx.Client) -> None:
    tags = f"{hub.hub_url}/v2/namespaces"
    old = client.get(f"{tags}/initech/repositories/reports/tags/2.1.3").json()
    assert (old["last_updated"], old["images"][0]["os"], "digest" in old) == (None, "", False)
    assert client.get(f"{tags}/acme/repositories/web/tags/processing").json()["images"] == []
    assert client.get(f"{tags}/acme/repositories/charts/tags/1.0.0").json()["content_type"] == "helm"
    windows = client.get(f"{tags}/library/repositories/hello-world/tags/nanoserver").json()
    assert windows["images"][0]["os_version"] == "10.0.20348.2340"
    latest = client.get(f"{tags}/library/repositories/nginx/tags/latest").json()
    assert [image["os"] for image in latest["images"]].count("unknown") == 3
    assert latest["full_size"] == latest["images"][0]["size"]


def test_images_carry_layers_and_instructions(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}/v2/repositories/library"
    images = client.get(f"{url}/nginx/tags/1.29/images").json()
    amd64 = images[0]
    assert sum(line["size"] for line in amd64["layers"]) == amd64["size"]
    assert all(("digest" in line) == (line["size"] > 0) for line in amd64["layers"])
    base = client.get(f"{url}/debian/tags/13/images").json()[0]
    base_layers = [line["digest"] for line in base["layers"] if "digest" in line]
    assert [line["digest"] for line in amd64["layers"] if "digest" in line][: len(base_layers)] == base_layers
    attestation = images[1]
    assert (attestation["os"], attestation["layers"][0]["instruction"]) == ("unknown", "")


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


def test_login_and_expiry(client: httpx.Client) -> None:
    clock = ManualClock()
    with FakeHub(World.small(), users={"someone": "dckr_pat_x"}, clock=clock) as hub:
        wrong = client.post(hub.hub_url + "/v2/auth/token", json={"identifier": "someone", "secret": "no"})
        assert (wrong.status_code, wrong.json()) == (401, {"detail": "Incorrect authentication credentials"})
        headers = sign_in(hub, client)
        assert headers["Authorization"].count(".") == 2
        assert client.get(hub.hub_url + TAGS, headers=headers).status_code == 200
        assert hub.journal[-1].signed_in
        assert [entry.budget for entry in hub.journal] == ["login", "login", "hub"]
        clock.now += 601
        assert client.get(hub.hub_url + TAGS, headers=headers).status_code == 401
        old = client.post(hub.hub_url + "/v2/users/login", json={"username": "someone", "password": "dckr_pat_x"})
        assert (
            client.get(hub.hub_url + TAGS, headers={"Authorization": f"JWT {old.json()['token']}"}).status_code == 200
        )


def test_registry_challenge_and_tokens(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.registry_url}/v2/library/nginx/manifests/latest"
    challenge = client.get(url)
    assert challenge.status_code == 401
    assert challenge.headers["www-authenticate"] == (
        f'Bearer realm="{hub.auth_url}/token",service="registry.docker.io",scope="repository:library/nginx:pull"'
    )
    headers = registry_token(hub, client, "library/nginx", "library/redis", "acme/ghost", "acme/vault")
    assert client.head(url, headers=headers).status_code == 200
    assert client.head(f"{hub.registry_url}/v2/library/redis/manifests/latest", headers=headers).status_code == 200
    for name in ("acme/ghost", "acme/vault"):
        refused = client.get(f"{hub.registry_url}/v2/{name}/manifests/latest", headers=headers)
        assert refused.status_code == 401
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    mine = registry_token(hub, client, "acme/vault", auth=("someone", "dckr_pat_x"))
    seen = client.head(f"{hub.registry_url}/v2/acme/vault/manifests/latest", headers=mine)
    assert (seen.status_code, seen.headers["docker-ratelimit-source"]) == (200, "someone")
    assert client.get(f"{hub.auth_url}/token?service=registry.docker.io", auth=("someone", "no")).status_code == 401
    missing = client.head(f"{hub.registry_url}/v2/library/nginx/manifests/nothing", headers=headers)
    assert missing.status_code == 404


def test_only_manifest_gets_are_pulls(client: httpx.Client) -> None:
    clock = ManualClock()
    with FakeHub(World.small(), limits=Limits(pulls=2), clock=clock) as hub:
        headers = registry_token(hub, client, "library/nginx")
        url = f"{hub.registry_url}/v2/library/nginx/manifests/latest"
        assert client.head(url, headers=headers).headers["ratelimit-remaining"] == "2;w=3600"
        assert client.get(url, headers=headers).headers["ratelimit-remaining"] == "1;w=3600"
        assert client.get(url, headers=headers).headers["ratelimit-limit"] == "2;w=3600"
        refused = client.get(url, headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, "TOOMANYREQUESTS")
        assert client.head(url, headers=headers).status_code == 200
        assert [entry.budget for entry in hub.journal] == ["token", "free", "pull", "pull", "pull", "free"]
        clock.now += 3600
        headers = registry_token(hub, client, "library/nginx")
        assert client.get(url, headers=headers).status_code == 200


def test_synthetic_digests_verify_down_to_the_blobs(hub: FakeHub, client: httpx.Client) -> None:
    headers = registry_token(hub, client, "library/nginx")
    base = f"{hub.registry_url}/v2/library/nginx"
    index = client.get(f"{base}/manifests/latest", headers=headers)
    assert "sha256:" + hashlib.sha256(index.content).hexdigest() == index.headers["docker-content-digest"]
    for child in index.json()["manifests"][:2]:
        manifest = client.get(f"{base}/manifests/{child['digest']}", headers=headers)
        assert "sha256:" + hashlib.sha256(manifest.content).hexdigest() == child["digest"]
        assert len(manifest.content) == child["size"]
        config = manifest.json()["config"]["digest"]
        moved = client.get(f"{base}/blobs/{config}", headers=headers)
        assert (moved.status_code, moved.headers["location"].startswith(hub.cdn_url)) == (307, True)
        assert client.get(moved.headers["location"], headers=headers).status_code == 400
        assert client.get(moved.headers["location"].replace("signature=", "signature=0")).status_code == 403
        blob = client.get(moved.headers["location"])
        assert "sha256:" + hashlib.sha256(blob.content).hexdigest() == config
        assert client.head(f"{base}/blobs/{config}", headers=headers).headers["content-length"] == str(
            len(blob.content)
        )


def test_registry_tag_names_whole_and_in_pages(hub: FakeHub, client: httpx.Client) -> None:
    headers = registry_token(hub, client, "acme/nightly", "acme/empty")
    names = client.get(f"{hub.registry_url}/v2/acme/nightly/tags/list", headers=headers).json()["tags"]
    assert (len(names), names) == (121, sorted(names))
    paged: list[str] = []
    path: str | None = "/v2/acme/nightly/tags/list?n=50"
    while path:
        answer = client.get(hub.registry_url + path, headers=headers)
        paged += answer.json()["tags"]
        link = re.match("<(.*)>", answer.headers.get("link", ""))
        path = link[1] if link else None
    assert paged == names
    assert client.get(f"{hub.registry_url}/v2/acme/empty/tags/list", headers=headers).json()["tags"] is None


def test_world_changes_show_at_once(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}/v2/namespaces/acme/repositories/web"
    before = client.get(f"{url}/tags/latest").json()
    hub.world.push_tag("acme/web", "latest")
    after = client.get(f"{url}/tags/latest").json()
    assert before["digest"] != after["digest"]
    assert (after["id"], after["last_updated"] > before["last_updated"]) == (before["id"], True)
    assert client.get(f"{url}/tags?ordering=last_updated").json()["results"][0]["name"] == "latest"
    hub.world.copy_tag("acme/web", "1.0.0", "stable")
    assert client.get(f"{url}/tags/stable").json()["digest"] == client.get(f"{url}/tags/1.0.0").json()["digest"]
    hub.world.delete_tag("acme/web", "1.0.0")
    assert client.get(f"{url}/tags/1.0.0").status_code == 404
    hub.world.count_pulls("acme/web", -22)
    assert client.get(url).json()["pull_count"] == 15_722_101
    hub.world.delete_repository("acme/web")
    assert client.get(url).status_code == 404
    hub.world.restore_repository("acme/web")
    assert client.get(url).status_code == 200


def test_worlds_join_and_grow(client: httpx.Client) -> None:
    world = World.namespace("globex", 250) | World.small()
    world.add_repository("globex/long", tags=2500)
    with FakeHub(world, limits=Limits.none()) as hub:
        identifiers = [repository.repository_id for repository in world.repositories.values()]
        assert len(set(identifiers)) == len(identifiers)
        assert len(walk(client, f"{hub.hub_url}/v2/namespaces/globex/repositories?page_size=100")) == 251
        rows = walk(client, f"{hub.hub_url}/v2/namespaces/globex/repositories/long/tags?page_size=100")
        assert len({row["digest"] for row in rows}) == 2500
        assert client.get(f"{hub.hub_url}/v2/namespaces/acme/repositories/web").status_code == 200


def test_owners(hub: FakeHub, client: httpx.Client) -> None:
    assert client.get(f"{hub.hub_url}/v2/orgs/acme/").json()["badge"] == "open_source"
    moved = client.get(f"{hub.hub_url}/v2/users/acme/")
    assert (moved.status_code, moved.headers["location"]) == (308, "/v2/orgs/acme")
    assert client.get(f"{hub.hub_url}/v2/users/initech/").json()["type"] == "User"


def test_compression_only_when_asked(hub: FakeHub, client: httpx.Client) -> None:
    url = f"{hub.hub_url}{TAGS}?page_size=100"
    plain = client.get(url, headers={"Accept-Encoding": "identity"})
    packed = client.get(url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert plain.json() == packed.json()


def answer_to(hub: FakeHub, client: httpx.Client, answer: faults.Answer, **match: Any) -> httpx.Response:
    hub.clear_faults()
    hub.fault(Fault(answer, **match))
    return client.get(f"{hub.hub_url}{TAGS}?page_size=5")


@pytest.mark.parametrize(
    ("answer", "status", "content_type", "text"),
    [
        (faults.rate_limited(7), 429, "application/json", "Rate limit exceeded"),
        (faults.pull_limited(), 429, "application/json", "pull rate limit"),
        (faults.failed_logins(), 429, "application/json", "failed login"),
        (faults.abuse_limited(), 429, "text/plain", "Too Many Requests"),
        (faults.edge_challenge(), 403, "text/html", "Just a moment..."),
        (faults.edge_code(), 403, "text/plain", "error code: 1010"),
        (faults.missing_page(), 404, "text/html", "404 : Docker"),
        (faults.server_error(500), 500, "text/html", "500"),
        (faults.server_error(502), 502, "text/html", "502"),
        (faults.server_error(), 503, "text/html", "503"),
        (faults.html_ok(), 200, "text/html", "Time-out"),
        (faults.not_json(), 200, "application/json", "{"),
        (faults.other_shape(), 200, "application/json", "items"),
        (faults.status(418, {"detail": "no"}, headers=(("x-own", "1"),)), 418, "application/json", "no"),
    ],
)
def test_faults_that_are_plain_answers(
    hub: FakeHub, client: httpx.Client, answer: faults.Answer, status: int, content_type: str, text: str
) -> None:
    got = answer_to(hub, client, answer)
    assert (got.status_code, got.headers["content-type"].partition(";")[0]) == (status, content_type)
    assert text in got.text
    assert client.get(hub.hub_url + TAGS).status_code == 200


def test_faults_of_the_transport(hub: FakeHub, client: httpx.Client) -> None:
    assert answer_to(hub, client, faults.empty_ok()).content == b""
    for answer, error in (
        (faults.cut_short(50), httpx.RemoteProtocolError),
        (faults.connection_reset(), httpx.ReadError),
        (faults.connection_closed(), httpx.RemoteProtocolError),
        (faults.raw(b"HTP/9 nonsense\n\n"), httpx.RemoteProtocolError),
    ):
        with pytest.raises(error):
            answer_to(hub, client, answer)
    hub.clear_faults()
    hub.fault(Fault(faults.hang()))
    with pytest.raises(httpx.ReadTimeout):
        client.get(hub.hub_url + TAGS, timeout=0.05)
    slow = answer_to(hub, client, faults.drip(size=400, pause_s=0.001))
    assert len(slow.json()["results"]) == 5


def test_gzip_bomb_is_small_on_the_wire(hub: FakeHub, client: httpx.Client) -> None:
    bomb = answer_to(hub, client, faults.gzip_bomb(4))
    assert int(bomb.headers["content-length"]) < 10_000
    assert len(bomb.content) > 4_000_000


def test_faults_of_redirects_and_links(hub: FakeHub, client: httpx.Client) -> None:
    moved = answer_to(hub, client, faults.redirect("http://127.0.0.1:9/else", code=307))
    assert (moved.status_code, moved.headers["location"]) == (307, "http://127.0.0.1:9/else")
    loop = answer_to(hub, client, faults.redirect_loop())
    assert loop.headers["location"] == f"{hub.hub_url}{TAGS}?page_size=5"
    assert answer_to(hub, client, faults.next_is_same()).json()["next"] == f"{hub.hub_url}{TAGS}?page_size=5"
    assert answer_to(hub, client, faults.next_is("http://other/")).json()["next"] == "http://other/"
    empty = answer_to(hub, client, faults.empty_page()).json()
    assert (empty["results"], bool(empty["next"])) == ([], True)


@pytest.mark.parametrize("value", [-1, 2**70, "a\x00b", "\ud800", None, [], "12"])
def test_faults_in_single_rows(hub: FakeHub, client: httpx.Client, value: object) -> None:
    page = json.loads(answer_to(hub, client, faults.field_set("full_size", value, row=1)).content)
    assert page["results"][1]["full_size"] == value
    assert page["results"][0]["full_size"] != value
    dropped = answer_to(hub, client, faults.field_dropped("name")).json()["results"]
    assert ["name" in row for row in dropped] == [False, True, True, True, True]


def test_fault_matching_counts(hub: FakeHub, client: httpx.Client) -> None:
    fault = hub.fault(Fault(faults.server_error(), host="hub", method="GET", target=r"/tags\?page=2", skip=1, times=2))
    codes = [client.get(f"{hub.hub_url}{TAGS}?page=2").status_code for _ in range(5)]
    assert codes == [200, 503, 503, 200, 200]
    assert client.get(f"{hub.hub_url}{TAGS}?page=1").status_code == 200
    assert (fault.seen_count, fault.applied_count) == (5, 2)
    hub.fault(Fault(faults.edge_code(), times=None))
    assert {client.get(url).status_code for url in (hub.hub_url, hub.auth_url, hub.registry_url, hub.cdn_url)} == {403}


def test_journal_keeps_headers_and_filters(hub: FakeHub, client: httpx.Client) -> None:
    client.get(hub.hub_url + TAGS + "?page=2", headers={"X-Own": "yes", "User-Agent": "test/1"})
    hub.fault(Fault(faults.server_error()))
    client.get(hub.hub_url + "/v2/namespaces/acme/repositories/web")
    client.get(hub.auth_url + "/token?service=registry.docker.io")
    first = hub.journal[0]
    assert (first.host, first.method, first.path, first.query, first.status) == ("hub", "GET", TAGS, "page=2", 200)
    assert (first.headers["x-own"], first.headers["user-agent"], first.signed_in) == ("yes", "test/1", False)
    assert [entry.is_fault for entry in hub.journal] == [False, True, False]
    assert [entry.path for entry in hub.requests(host="auth")] == ["/token"]
    assert len(hub.requests(path_contains="/tags")) == 1
    hub.journal.clear()
    assert len(hub.journal) == 0


def test_many_connections_at_once(hub: FakeHub) -> None:
    def ask(number: int) -> set[int]:
        with httpx.Client(verify=False, trust_env=False) as client:
            return {client.get(f"{hub.hub_url}{TAGS}?page={number % 12 + 1}").status_code for _ in range(10)}

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == [{200}] * 16
    assert len(hub.journal) == 160


def test_environment_and_restart_on_the_same_ports(client: httpx.Client) -> None:
    with FakeHub(World.small()) as hub:
        ports, environment = hub.ports, hub.environment()
        assert environment["HARVESTER_HUB_URL"] == hub.hub_url
        assert environment.keys() == {"HARVESTER_HUB_URL", "HARVESTER_AUTH_URL", "HARVESTER_REGISTRY_URL"}
        with pytest.raises(OSError, match="address already in use"):
            FakeHub(World.small(), ports=ports).start()
    with FakeHub(World.small(), ports=ports) as hub:
        assert hub.environment() == environment
        assert client.get(hub.hub_url + TAGS).status_code == 200


def fakehub(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.fakehub", *arguments]
    return subprocess.Popen(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_command_line_runs_a_command(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    script = (
        "import os, sys, urllib.request as u\n"
        "asked = u.Request(os.environ['HARVESTER_HUB_URL'] + '/v2/namespaces/acme/repositories/web')\n"
        "print(u.build_opener(u.ProxyHandler({})).open(asked).headers['x-ratelimit-limit'])\n"
        "sys.exit(7)\n"
    )
    options = ("--hub-limit", "5", "--window", "2", "--journal", str(journal))
    with fakehub(*options, "--", sys.executable, "-c", script) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (7, "5\n")
    assert len(err.splitlines()) == 1
    assert "fake Docker Hub on loopback" in err
    assert json.loads(journal.read_text())["path"] == "/v2/namespaces/acme/repositories/web"


def test_command_line_forwards_an_interrupt() -> None:
    script = "import sys, time\nprint('up', flush=True)\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(130)"
    with fakehub("--", sys.executable, "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_command_line_serves_until_a_signal(client: httpx.Client) -> None:
    with fakehub("--no-limits", "--user", "someone", "--secret", "dckr_pat_x") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(7)]
        url = lines[0].split()[1]
        assert f"export HARVESTER_HUB_URL={url}" in lines
        answer = client.post(url + "/v2/auth/token", json={"identifier": "someone", "secret": "dckr_pat_x"})
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data", "nowhere.json.gz"),
        ("--data", "tests/__init__.py"),
        ("--user", "someone"),
        ("--", "no-such-command-anywhere"),
    ],
)
def test_command_line_refuses_in_one_line(arguments: tuple[str, ...]) -> None:
    with fakehub(*arguments) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith("fakehub: ")


@pytest.mark.parametrize(
    ("name", "totals"),
    [("official-2018", (83, 1571, 508, 5323, 1534, 5556)), ("official-2026", (3, 8, 8, 73, 51, 98))],
)
def test_recorded_official_repositories(client: httpx.Client, name: str, totals: tuple[int, ...]) -> None:
    """Repositories, tags, tag digests, images through tags, manifests and layers, all counted over HTTP."""
    path = RECORDED / f"{name}.json.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the checkout")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        recorded = json.load(file)["repositories"]
    image_count = tag_count = 0
    tag_digests: set[str] = set()
    manifests: set[str] = set()
    layers: set[str] = set()
    with FakeHub(World.recorded(path), limits=Limits.none()) as hub:
        library = f"{hub.hub_url}/v2/namespaces/library/repositories"
        repositories = [row["name"] for row in walk(client, f"{library}?page_size=100")]
        for repository in repositories:
            for row in walk(client, f"{library}/{repository}/tags?page_size=100"):
                tag_count += 1
                image_count += len(row["images"])
                manifests.update(image["digest"] for image in row["images"])
                if row["digest"] in tag_digests:
                    continue
                tag_digests.add(row["digest"])
                url = f"{hub.hub_url}/v2/repositories/library/{repository}/tags/{row['name']}/images"
                for image in client.get(url).json():
                    found = [line["digest"] for line in image["layers"] if "digest" in line]
                    known = recorded[repository]["manifests"][image["digest"]]["layers"]
                    assert found == [layer["digest"] for layer in known]
                    assert image["size"] == sum(layer["size"] for layer in known)
                    layers.update(found)
        headers = registry_token(hub, client, f"library/{repositories[0]}")
        base = f"{hub.registry_url}/v2/library/{repositories[0]}"
        tag = client.get(f"{base}/tags/list", headers=headers).json()["tags"][0]
        assert client.get(f"{base}/manifests/{tag}", headers=headers).headers["docker-content-digest"] in tag_digests
    counted = (len(repositories), tag_count, len(tag_digests), image_count, len(manifests), len(layers))
    assert counted == totals
