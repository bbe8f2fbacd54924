"""Scripted misbehaviour."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.fakehub import FakeHub, Fault, faults
from tests.system.fakehub.asking import TAGS


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
