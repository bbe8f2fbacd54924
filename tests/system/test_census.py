"""Tag lists that are longer than what the far end shows, and what changed in them: real processes, real requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakehub import FakeHub, Fault, World, faults
from tests.fakehub.messages import json_reply
from tests.system.conftest import FAST, Harvester, answer

PHP = "library/php"


def version_names(count: int) -> list[str]:
    """Names as a large repository has them: versions, variants, distributions."""
    variants = ["", "-cli", "-fpm", "-apache", "-zts", "-cli-alpine", "-fpm-alpine", "-zts-alpine", "-cli-bookworm"]
    names = [
        f"{major}.{minor}.{patch}{variant}"
        for major in range(5, 9)
        for minor in range(10)
        for patch in range(45)
        for variant in variants
    ]
    return names[:count]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    world = World()
    world.add_repository(PHP, tags=version_names(1500))
    with FakeHub(world, limits=FAST, users={"someone": "dckr_pat_right"}) as running:
        yield running


def test_beyond_the_wall_every_name_is_known_and_the_cost_of_the_rest(harvester: Harvester, hub: FakeHub) -> None:
    done = harvester.run(hub, "backfill", "php", "--layers", "none", "--json")
    assert done.returncode == 1
    # The detail, ten pages, the wall; a token and the list of names.
    assert (len(hub.requests(host="hub")), len(hub.requests())) == (12, 14)
    assert harvester.one("SELECT count(*) FROM tags") == 1500
    assert harvester.one("SELECT count(*) FROM v_holes") == 500
    assert harvester.one("SELECT count(*) FROM v_tags WHERE digest IS NOT NULL") == 1000
    assert harvester.rows("SELECT kind, rows, stop_reason, is_complete FROM listings ORDER BY kind") == [
        ("tag_names", 1500, "end", 1),
        ("tags", 1000, "wall", 0),
    ]
    [holes] = answer(done)["holes"]
    assert (holes["full_name"], holes["holes"]) == (PHP, 500)
    assert 5 <= holes["requests"] <= 10
    assert "holes: library/php:" in done.stderr


def test_the_wall_is_met_once_and_an_unchanged_list_is_not_paged_again(harvester: Harvester, hub: FakeHub) -> None:
    harvester.run(hub, "backfill", "php", "--layers", "none")
    hub.world.add_repository("library/python", tags=version_names(1300))
    hub.journal.clear()
    harvester.run(hub, "backfill", "python", "--layers", "none")
    assert [entry.status for entry in hub.requests(host="hub")] == [200] * 11, "the detail and ten pages"
    assert (
        harvester.one("SELECT stop_reason FROM listings WHERE subject = 'library/python' AND kind = 'tags'") == "wall"
    )
    hub.journal.clear()
    harvester.run(hub, "backfill", "php", "--layers", "none")
    assert len(hub.requests(host="hub")) == 1
    assert len(hub.requests(host="registry")) == 1


@pytest.mark.parametrize("as_whom", ["anonymous", "account"])
def test_holes_are_filled_at_about_a_request_per_hundred(harvester: Harvester, hub: FakeHub, as_whom: str) -> None:
    harvester.run(hub, "backfill", "php", "--layers", "none")
    hub.journal.clear()
    login = {"DOCKERHUB_USERNAME": "someone", "DOCKERHUB_TOKEN": "dckr_pat_right"} if as_whom == "account" else {}
    done = harvester.run(hub, "backfill", "php", "--layers", "none", "--holes", "fill", env=login)
    assert done.returncode == 0, done.stderr
    assert harvester.one("SELECT count(*) FROM v_holes") == 0
    assert harvester.one("SELECT count(*) FROM tags WHERE digest IS NULL") == 0
    assert harvester.rows("SELECT * FROM v_incomplete") == []
    assert len(hub.requests(host="hub", path_contains="/tags")) <= (15 if login else 12)


def test_what_changed_is_met_at_the_front_and_the_walk_ends_there(harvester: Harvester, hub: FakeHub) -> None:
    hub.world.add_repository("library/node", tags=version_names(450))
    harvester.run(hub, "backfill", "node", "--layers", "none")
    for name in version_names(450)[:7]:
        hub.world.push_tag("library/node", name)
    hub.world.push_tag("library/node", "99")
    hub.journal.clear()
    done = harvester.run(hub, "backfill", "node", "--layers", "none")
    assert done.returncode == 0, done.stderr
    assert len(hub.requests(path_contains="/repositories/node/tags")) == 1
    last = "SELECT reported_count, rows, stop_reason, is_complete FROM listings WHERE kind = 'tags' ORDER BY id DESC LIMIT 1"
    assert harvester.rows(last) == [(451, 100, "known", 1)]
    assert harvester.one("SELECT count(*) FROM tag_history") == 451 + 7


def test_deletions_are_found_by_the_census_and_confirmed_one_by_one(harvester: Harvester, hub: FakeHub) -> None:
    hub.world.add_repository("library/node", tags=version_names(450))
    harvester.run(hub, "backfill", "node", "--layers", "none")
    gone = version_names(450)[100:103]
    for name in gone:
        hub.world.delete_tag("library/node", name)
    hub.journal.clear()
    assert harvester.run(hub, "backfill", "node", "--layers", "none").returncode == 0
    asked = [entry.path.rpartition("/")[2] for entry in hub.requests(host="hub", path_contains="/node/tags/")]
    assert sorted(asked) == sorted(gone)
    assert sorted(row[0] for row in harvester.rows("SELECT tag FROM v_vanished")) == sorted(gone)
    hub.world.push_tag("library/node", gone[0])
    hub.journal.clear()
    assert harvester.run(hub, "backfill", "node", "--layers", "none").returncode == 0
    assert sorted(row[0] for row in harvester.rows("SELECT tag FROM v_vanished")) == sorted(gone[1:])
    assert harvester.one(f"SELECT digest IS NOT NULL FROM tags WHERE name = '{gone[0]}'") == 1
    assert len(hub.requests(host="hub")) == 2


def test_a_push_and_deletions_together_cost_a_page_and_a_question_each(harvester: Harvester, hub: FakeHub) -> None:
    hub.world.add_repository("library/node", tags=version_names(450))
    harvester.run(hub, "backfill", "node", "--layers", "none")
    for name in version_names(450)[100:103]:
        hub.world.delete_tag("library/node", name)
    hub.world.push_tag("library/node", "new")
    hub.journal.clear()
    assert harvester.run(hub, "backfill", "node", "--layers", "none").returncode == 0
    assert len(hub.requests(host="hub")) == 1 + 1 + 3
    assert harvester.one("SELECT count(*) FROM tags WHERE gone_at IS NULL") == 448
    assert harvester.rows("SELECT * FROM v_incomplete") == []


def test_repositories_that_share_a_namespace_are_read_off_its_list(harvester: Harvester, hub: FakeHub) -> None:
    names = [f"acme/r{number:03}" for number in range(90)]
    for name in names:
        hub.world.add_repository(name, tags=["latest"])
    harvester.run(hub, "backfill", *names[:60], "--layers", "none")
    hub.journal.clear()
    done = harvester.run(hub, "backfill", *names[:60], "--layers", "none")
    assert done.returncode == 0, done.stderr
    assert [entry.path for entry in hub.requests(host="hub")] == ["/v2/namespaces/acme/repositories"]
    assert harvester.one("SELECT count(*) FROM repositories") == 90
    assert harvester.one("SELECT count(*) FROM tags") == 60


def test_of_a_namespace_with_a_wall_the_rest_is_asked_by_name(harvester: Harvester, hub: FakeHub) -> None:
    names = [f"acme/r{number:03}" for number in range(250)]
    for name in names:
        hub.world.add_repository(name, tags=["latest"])
    # Of the newest tag alone there is no census: its tokens would pace this test.
    options = ("--layers", "none", "--tags", "newest:1")
    done = harvester.run(hub, "backfill", *names, *options)
    assert done.returncode == 0, done.stderr
    assert harvester.one("SELECT count(*) FROM repositories WHERE detailed_at IS NOT NULL") == 250
    assert hub.requests(path_contains="/acme/repositories?") == [], "the details show all that the list would"
    for pages in (3, 2):
        hub.journal.clear()
        done = harvester.run(hub, "backfill", *names, *options)
        assert done.returncode == 0, done.stderr
        assert len(hub.requests(host="hub")) == pages + 52, "the pages, the wall once, and those that they cannot show"


def test_a_registry_that_refuses_holds_no_walk_back(harvester: Harvester, hub: FakeHub) -> None:
    names = [f"acme/r{number:03}" for number in range(12)]
    for name in names:
        hub.world.add_repository(name, tags=["latest", "1.0"])
    harvester.run(hub, "backfill", *names, "--layers", "none")
    for name in names:
        hub.world.push_tag(name, "latest")
    hub.journal.clear()
    hub.fault(Fault(faults.edge_challenge(), host="registry", times=None))
    done = harvester.run(hub, "backfill", *names, "--layers", "none")
    assert done.returncode == 1, "the lists of names are missing, and that is said"
    assert done.stderr.count("registry.silent") == 1
    assert len(hub.requests(host="registry")) <= 2, "a host that refuses is left alone"
    assert len(hub.requests(path_contains="/tags")) - len(hub.requests(host="registry")) == 12
    assert harvester.one("SELECT count(*) FROM tag_history WHERE seen_until IS NOT NULL") == 12
    assert {row[0] for row in harvester.rows("SELECT kind FROM v_incomplete")} == {"tag_names"}


def test_neighbours_are_asked_for_by_name_where_their_list_is_refused(harvester: Harvester, hub: FakeHub) -> None:
    names = [f"acme/r{number}" for number in range(4)]
    for name in names:
        hub.world.add_repository(name, tags=["latest"])
    harvester.run(hub, "backfill", *names, "--layers", "none")
    refused = faults.always(json_reply(403, {"message": "forbidden"}))
    hub.fault(Fault(refused, target=r"^/v2/namespaces/acme/repositories\?", times=None))
    hub.journal.clear()
    done = harvester.run(hub, "backfill", *names, "--layers", "none")
    assert done.returncode == 1
    assert sorted(entry.path.rpartition("/")[2] for entry in hub.requests(host="hub") if entry.status == 200) == [
        "r0",
        "r1",
        "r2",
        "r3",
    ]
    hub.clear_faults()
    assert harvester.run(hub, "backfill", *names, "--layers", "none").returncode == 0
    assert harvester.rows("SELECT * FROM v_incomplete") == []
