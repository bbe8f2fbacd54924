"""The limiters: the Hub's windows, pulls, and none."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.fakehub import FakeHub, Limits, World
from tests.fakehub.limits import RetryForm
from tests.system.fakehub.asking import TAGS, ManualClock, registry_token


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
