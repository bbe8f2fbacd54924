"""`harvester limits`: what the ledger says after a real harvest, others and search included."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.fakehub import FakeHub, Fault, Limits, Occasion, Reply, World
from tests.system.conftest import Harvester

LIMIT = 100_000


def _rows(harvester: Harvester) -> dict[str, dict[str, object]]:
    done = harvester.run(None, "limits", "--json")
    assert done.returncode == 0, done.stderr
    return {row["budget"]: row for row in json.loads(done.stdout) if row["identity"] == "anonymous"}


def _search_limited(occasion: Occasion) -> Reply:
    normal = occasion.normal()
    told = {"x-ratelimit-limit": "30", "x-ratelimit-remaining": "29"}
    return replace(normal, headers=tuple((name, told.get(name, value)) for name, value in normal.headers))


def test_what_others_spend_is_shown_beside_ours(harvester: Harvester) -> None:
    with FakeHub(World.small(), limits=Limits(hub_per_minute=LIMIT)) as hub:
        hub.hub_api.spend(500)
        assert harvester.run(hub, "backfill", "nginx").returncode == 0
    hub_row = _rows(harvester)["hub"]
    used = hub_row["used"]
    assert isinstance(used, int)
    assert used >= 500
    assert (hub_row["limit"], hub_row["allowed"], hub_row["source"]) == (LIMIT, LIMIT * 98 // 100, "header")
    assert hub_row["left_to_others"] == LIMIT - LIMIT * 98 // 100
    assert hub_row["others"] == 0.0, "a window that is not over has taught nothing yet"
    plain = harvester.run(None, "limits").stdout.splitlines()[0].split()
    assert plain[:8] == ["budget", "route", "identity", "limit", "allowed", "window", "s", "used"]
    assert "others" in plain


def test_search_is_shown_once_it_has_a_limit_of_its_own(harvester: Harvester) -> None:
    with FakeHub(World.small(), limits=Limits(hub_per_minute=LIMIT)) as hub:
        assert harvester.run(hub, "backfill", "nginx").returncode == 0
        assert harvester.run(hub, "backfill", "search:nginx").returncode == 0
        assert "search" not in _rows(harvester)
        hub.fault(Fault(_search_limited, target="/v2/search/repositories/", times=None))
        assert harvester.run(hub, "backfill", "search:redis").returncode == 0
    rows = _rows(harvester)
    assert (rows["search"]["limit"], rows["search"]["allowed"]) == (30, 29)
    assert rows["hub"]["limit"] == LIMIT, "the search's headers said nothing of the Hub"
