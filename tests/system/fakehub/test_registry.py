"""Logins, tokens, and the registry behind them."""

from __future__ import annotations

import hashlib
import re

import httpx

from tests.fakehub import FakeHub, World
from tests.system.fakehub.asking import TAGS, ManualClock, registry_token, sign_in


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
