"""What these tests share: how to sign in, get a registry token, walk a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.fakehub import FakeHub

CHECKOUT = Path(__file__).resolve().parents[3]
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
