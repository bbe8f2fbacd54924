"""`harvester plan`, a real process, beside what a backfill then asks for."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from harvester.costing import Question
from harvester.policy import LayerPolicy, TagPolicy
from tests.fakehub import FakeHub, World
from tests.system.conftest import FAST, Harvester, answer
from tests.system.test_census import version_names

UNTOUCHED = (
    "runs",
    "jobs",
    "repositories",
    "tags",
    "images",
    "listings",
    "listing_names",
    "absences",
    "events",
    "walls",
)


def official() -> World:
    """Forty repositories of one tag, and one with more tags than a page shows."""
    world = World.namespace("library", 40)
    world.add_repository("library/node", tags=[*version_names(450), "latest"])
    return world


def counted(hub: FakeHub) -> Counter[str]:
    """Requests by the host that they went to."""
    return Counter(entry.host for entry in hub.journal)


def planned(harvester: Harvester, hub: FakeHub, *arguments: str) -> dict[str, Any]:
    done = harvester.run(hub, "plan", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return answer(done)


def test_a_first_backfill_costs_what_was_forecast_and_the_next_one_too(harvester: Harvester) -> None:
    with FakeHub(official(), limits=FAST) as hub:
        first = planned(harvester, hub, "official")
        assert counted(hub) == {"hub": 1}, "how long the list is"
        hub.journal.clear()
        assert harvester.run(hub, "backfill", "official").returncode == 0
        asked = counted(hub)
        # Of `node` nobody knows that it has five pages.
        assert asked["hub"] == first["requests"]["hub"] + 4
        assert (asked["registry"], first["requests"]["registry"]) == (0, 0)
        second = planned(harvester, hub, "official", "--probes", "0")
        hub.journal.clear()
        assert harvester.run(hub, "backfill", "official").returncode == 0
        asked = counted(hub)
        assert abs(asked["hub"] - second["requests"]["hub"]) <= 1
        assert asked["registry"] == second["requests"]["registry"] == 41
        assert abs(asked["auth"] - second["requests"]["tokens"]) <= 3


def test_each_question_to_the_far_end_is_counted_and_bounded(harvester: Harvester) -> None:
    world = World.namespace("acme", 3)
    for number in range(8):
        world.add_repository(f"owner-{number}/one", tags=250)
    with FakeHub(world, limits=FAST) as hub:
        targets = ("acme/", *(f"owner-{number}/one" for number in range(9)))
        for probes, asked in ((4, 4), (50, 10)):
            hub.journal.clear()
            found = planned(harvester, hub, *targets, "--layers", "none", "--probes", str(probes))
            assert found["probes"] == len(hub.journal) == asked
        # The last of them is not there; three pages each, and what the three in a namespace have is taken from those.
        assert found["purposes"]["hub"] == {"lists": 1, "details": 8 + 1 + 3, "tag pages": 3 * 8 + 3 * 3}
        assert found["assumed"] == ["3 repositories that were never seen have each about 250 tags"]
        hub.journal.clear()
        found = planned(harvester, hub, *targets, "--probes", "0")
        assert found["probes"] == len(hub.journal) == 0
        assert "acme/ has 100 repositories: the far end was not asked" in found["assumed"]


def test_nothing_but_the_ledger_changes(harvester: Harvester) -> None:
    def rows() -> dict[str, Any]:
        return {table: harvester.rows(f"SELECT * FROM {table} ORDER BY 1") for table in UNTOUCHED}

    with FakeHub(official(), limits=FAST) as hub:
        before = rows()
        planned(harvester, hub, "official", "library/node:20", "search:node", "acme/none")
        assert rows() == before == {table: [] for table in UNTOUCHED}
        harvester.run(hub, "backfill", "node")
        before = rows()
        planned(harvester, hub, "official", "node", "acme/none", "--holes", "fill", "--pulls", "5")
        assert rows() == before
        assert before["tags"]


def test_without_a_target_and_a_watch_there_is_one_line(harvester: Harvester) -> None:
    done = harvester.run(None, "plan")
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    assert "no target" in line


def test_without_a_target_a_day_of_what_is_watched(harvester: Harvester) -> None:
    (harvester.folder / "harvester.toml").write_text(
        """
        [[watch]]
        target = "library/node"
        every = "6h"
        layers = "none"
        [[watch]]
        target = "library/repository-0001"
        tags = "newest:1"
        layers = "none"
        every = "2d"
        fastest = "2d"
        """
    )
    with FakeHub(official(), limits=FAST) as hub:
        first = planned(harvester, hub, "--probes", "2")
        # `node` five pages once and its detail four times; the other one at once.
        assert first["purposes"]["hub"]["details"] == 4 + 1
        assert first["purposes"]["hub"]["tag pages"] == 5 + 1
        assert first["requests"]["registry"] == 3
        # What `node` costs once more; the other one is looked at in its passes only.
        assert first["looks"] == {"hub": 4 + 5, "registry": 3}
        assert "looks       up to 9 hub, 3 registry more" in harvester.run(hub, "plan", "--probes", "2").stdout
        harvester.run(hub, "backfill", "node", "--layers", "none")
        later = planned(harvester, hub, "--probes", "0")
        assert later["purposes"]["hub"]["details"] == 4 + 1
        assert later["requests"]["registry"] == 4


def test_holes_and_what_filling_them_costs(harvester: Harvester) -> None:
    world = World()
    world.add_repository("library/php", tags=version_names(1500))
    with FakeHub(world, limits=FAST) as hub:
        first = planned(harvester, hub, "php", "--layers", "none")
        hub.journal.clear()
        harvester.run(hub, "backfill", "php", "--layers", "none")
        assert counted(hub)["registry"] == first["requests"]["registry"] == 1
        # The wall is met once; then it is known where it stands.
        assert counted(hub)["hub"] == first["requests"]["hub"] == 1 + 10 + 1
        left = planned(harvester, hub, "php", "--layers", "none", "--probes", "0")
        assert left["requests"]["hub"] == 1
        assert left["holes"][0].startswith("library/php: 10 requests would fill 500 holes")
        assert any("--holes fill" in one for one in left["assumed"])
        filling = planned(harvester, hub, "php", "--layers", "none", "--probes", "0", "--holes", "fill")
        assert filling["purposes"]["hub"] == {"details": 1, "holes": 10}
        hub.journal.clear()
        harvester.run(hub, "backfill", "php", "--layers", "none", "--holes", "fill")
        assert abs(counted(hub)["hub"] - filling["requests"]["hub"]) <= 2


def test_neighbours_are_read_off_their_list_and_the_rest_is_asked_by_name(harvester: Harvester) -> None:
    world = World.namespace("acme", 250)
    # The list runs newest first: the first of them are beyond the wall.
    names = [f"acme/repository-{number:04}" for number in (1, 2, 100, 180, 200, 249, 250)]
    options = ("--layers", "none", "--tags", "newest:1")
    with FakeHub(world, limits=FAST) as hub:
        first = planned(harvester, hub, *names, *options, "--probes", "0")
        assert first["purposes"]["hub"]["details"] == 7, "details that are lacking show what the list would"
        assert "lists" not in first["purposes"]["hub"]
        for _ in range(2):
            harvester.run(hub, "backfill", *names, *options)
        found = planned(harvester, hub, *names, *options, "--probes", "0")
        assert found["purposes"]["hub"] == {"lists": 2, "details": 2}
        hub.journal.clear()
        harvester.run(hub, "backfill", *names, *options)
        assert counted(hub) == {"hub": 4}


@pytest.mark.parametrize("layers", ["none", "latest"])
def test_a_named_tag_costs_its_repository_itself_and_its_layers(harvester: Harvester, layers: str) -> None:
    with FakeHub(official(), limits=FAST) as hub:
        for _ in range(2):
            found = planned(harvester, hub, "node:latest", "--layers", layers, "--probes", "0")
            hub.journal.clear()
            harvester.run(hub, "backfill", "node:latest", "--layers", layers)
            assert counted(hub)["hub"] == found["requests"]["hub"]


def test_the_table_is_read_by_people(harvester: Harvester) -> None:
    with FakeHub(official(), limits=FAST) as hub:
        harvester.run(hub, "backfill", "official")
        with closing(sqlite3.connect(harvester.database)) as connection, connection:
            later = time.time() + 7200
            connection.execute(
                "UPDATE budgets SET not_before = ?, closed_reason = 'told' WHERE budget = 'hub'", (later,)
            )
        done = harvester.run(hub, "plan", "official", "--pulls", "60")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["budget", "requests", "per", "minute", "for"]
    assert [line.split()[0] for line in lines[1:]] == [
        *("hub", "registry", "tokens", "pulls", "takes", "closed", "assumed", "assumed")
    ]
    assert lines[5] == "takes       2.0 h at the present limits, the hub budget decides"
    assert lines[6].startswith("closed      the hub budget, until 20")


def test_of_a_search_each_hit_costs_its_detail(harvester: Harvester) -> None:
    with FakeHub(World.search_hits("redis", 130), limits=FAST) as hub:
        first = planned(harvester, hub, "search:redis", "--layers", "none", "--tags", "newest:1")
        assert first["purposes"]["hub"] == {"lists": 2, "details": 130, "tag pages": 130}
        for _ in range(2):
            found = planned(harvester, hub, "search:redis", "--layers", "none", "--tags", "newest:1", "--probes", "0")
            hub.journal.clear()
            assert (
                harvester.run(hub, "backfill", "search:redis", "--layers", "none", "--tags", "newest:1").returncode == 0
            )
        assert counted(hub)["hub"] == found["requests"]["hub"] == 132


def test_two_routes_have_two_budgets_and_the_slower_one_decides(harvester: Harvester) -> None:
    names = [f"owner-{number}/one" for number in range(400)]
    routes = "".join(f'[[egress]]\nname = "way{number}"\naddress = "127.0.0.{number}"\n' for number in (1, 2))
    with FakeHub(World()) as hub:
        alone = planned(harvester, hub, *names, "--probes", "0", "--layers", "none")
        (harvester.folder / "harvester.toml").write_text(routes)
        both = planned(harvester, hub, *names, "--probes", "0", "--layers", "none")
    assert both["requests"] == alone["requests"]
    assert both["per_minute"] == {budget: 2 * pace for budget, pace in alone["per_minute"].items()}
    # Half of the namespaces each, give or take what chance dealt out.
    assert 0.4 * alone["seconds"] < both["seconds"] < 0.65 * alone["seconds"]
    assert both["slowest"] == "hub"


def test_a_far_end_that_does_not_answer_is_said_and_the_rest_assumed(harvester: Harvester) -> None:
    nowhere = dict.fromkeys(("HARVESTER_HUB_URL", "HARVESTER_AUTH_URL", "HARVESTER_REGISTRY_URL"), "http://127.0.0.1:1")
    done = harvester.run(None, "plan", "nginx", env=nowhere)
    assert done.returncode == 0
    assert "no connection" in done.stdout
    assert "50 tags" in done.stdout


@pytest.mark.parametrize(
    ("every", "fastest", "part"),
    [(None, None, 0.0), (None, 5, 0.0), (60, None, 0.0), (60, 60, 0.0), (60, 40, 0.5), (60, 30, 1.0), (60, 5, 1.0)],
)
def test_looks_between_passes_never_cost_more_than_the_passes(
    every: int | None, fastest: int | None, part: float
) -> None:
    asked = Question((), TagPolicy(), LayerPolicy(), every_s=every, fastest_s=fastest)
    assert asked.looks == part
