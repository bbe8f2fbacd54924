"""A namespace that loses a repository, then half of them, gets them back, and has a name registered anew: real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fakehub import FakeHub, World
from tests.system.conftest import FAST, Harvester

NAMES = [f"acme/repository-{number:04}" for number in range(1, 13)]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(World.namespace("acme", len(NAMES)), limits=FAST) as running:
        yield running


def passed(harvester: Harvester, hub: FakeHub) -> tuple[list[str], str]:
    """One pass over the namespace: the paths of the Hub that it asked for, and what it said."""
    hub.journal.clear()
    done = harvester.run(hub, "backfill", "acme/")
    assert done.returncode == 0, done.stderr
    return [entry.path for entry in hub.requests(host="hub")], done.stderr


def told(harvester: Harvester) -> list[tuple[str, str | None]]:
    return [
        (row[0], row[1]) for row in harvester.rows("SELECT kind, full_name FROM v_events WHERE rank < 3 ORDER BY id")
    ]


def gone(harvester: Harvester) -> list[str]:
    return [row[0] for row in harvester.rows("SELECT full_name FROM v_vanished WHERE kind = 'repository' ORDER BY 1")]


def test_a_vanished_repository_costs_two_requests_and_none_afterwards(harvester: Harvester, hub: FakeHub) -> None:
    passed(harvester, hub)
    assert told(harvester) == []
    hub.world.delete_repository(NAMES[0])
    found = []
    for number in range(4):
        asked, said = passed(harvester, hub)
        found.append(len(asked))
        assert [path.rpartition("/")[2] for path in asked[1:]] == ["repository-0001"] * (number < 2)
        assert ("not there: acme/repository-0001" in said) is (number < 2)
        assert gone(harvester) == ([] if number == 0 else NAMES[:1])
    assert found == [2, 2, 1, 1]
    assert harvester.one("SELECT count(*) FROM tags WHERE gone_at IS NOT NULL") == 1
    assert [kind for kind, _ in told(harvester) if kind.startswith("repository.")] == ["repository.gone"]
    hub.world.restore_repository(NAMES[0])
    passed(harvester, hub)
    assert gone(harvester) == []
    assert harvester.one("SELECT count(*) FROM tags WHERE gone_at IS NOT NULL") == 0
    assert told(harvester).count(("repository.returned", NAMES[0])) == 1


def test_half_of_a_namespace_at_once_is_an_alarm_told_once(harvester: Harvester, hub: FakeHub) -> None:
    passed(harvester, hub)
    for name in NAMES[:6]:
        hub.world.delete_repository(name)
    for _ in range(3):
        asked, said = passed(harvester, hub)
        assert len(asked) == 1 + 6
        assert "marked as gone" not in said
    assert gone(harvester) == []
    assert told(harvester) == [("namespace.vanishing", None)]
    for name in NAMES[:6]:
        hub.world.restore_repository(name)
    assert len(passed(harvester, hub)[0]) == 1
    assert told(harvester) == [("namespace.vanishing", None)]
    assert harvester.one("SELECT count(*) FROM absences") == 0


def test_a_namespace_that_is_not_there_any_more_is_an_alarm(harvester: Harvester, hub: FakeHub) -> None:
    passed(harvester, hub)
    for name in NAMES:
        hub.world.delete_repository(name)
    del hub.world.namespaces["acme"]
    for _ in range(2):
        asked, _ = passed(harvester, hub)
        assert len(asked) == 1 + 10
    assert gone(harvester) == []
    assert told(harvester) == [("namespace.vanishing", None)]


def test_a_name_that_is_registered_anew_is_harvested_anew(harvester: Harvester, hub: FakeHub) -> None:
    hub.world.change_repository(NAMES[2], full_description="# what it was", description="old")
    passed(harvester, hub)
    old = hub.world.repositories[NAMES[2]].tags["latest"].digest
    passed(harvester, hub)
    hub.world.add_repository(
        NAMES[2], tags=["latest", "2.0"], date_registered="2026-11-01T02:03:04.5Z", pull_count=1, description="new"
    )
    new = hub.world.repositories[NAMES[2]].tags["latest"].digest
    assert old != new
    asked, _ = passed(harvester, hub)
    assert sorted(path.rpartition("/repositories/")[2] for path in asked[1:]) == [
        "acme/repository-0003/tags/latest/images",
        "repository-0003",
        "repository-0003/tags",
    ]
    assert harvester.rows("SELECT chapter, date_registered, pull_count, description, tag_count FROM chapters") == [
        (1, "2015-05-19T21:13:35Z", 3000, "old", 1)
    ]
    row = f"SELECT chapter, description, full_description, pull_count FROM repositories WHERE full_name = '{NAMES[2]}'"
    assert harvester.rows(row) == [(2, "new", None, 1)]
    assert harvester.rows(f"SELECT tag, digest FROM v_tags WHERE full_name = '{NAMES[2]}' AND tag = 'latest'") == [
        ("latest", new)
    ]
    timeline = f"SELECT digest FROM v_tag_timeline WHERE full_name = '{NAMES[2]}' AND tag = 'latest' ORDER BY seen_from"
    assert [digest for (digest,) in harvester.rows(timeline) if digest is not None] == [old, new]
    [(detail,)] = harvester.rows("SELECT detail FROM events WHERE kind = 'repository.replaced'")
    assert json.loads(detail)["date_registered"] == "2026-11-01T02:03:04Z"
    assert len(passed(harvester, hub)[0]) == 1, "and that is that"
    assert harvester.one("SELECT count(*) FROM chapters") == 1


def test_a_new_repository_is_told_of_once(harvester: Harvester, hub: FakeHub) -> None:
    passed(harvester, hub)
    hub.world.add_repository("acme/newcomer", tags=["latest"])
    for _ in range(2):
        passed(harvester, hub)
    query = "SELECT full_name FROM v_events WHERE kind = 'repository.new'"
    assert harvester.rows(query) == [("acme/newcomer",)]
