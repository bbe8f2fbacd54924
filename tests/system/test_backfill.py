"""`harvester backfill` as a user runs it: a process, a database file, a far end over sockets."""

from __future__ import annotations

import os
import stat
from collections import Counter

import pytest

from tests.fakehub import FakeHub, Limits, Switches, World
from tests.system.conftest import FAST, RECORDED, Harvester, answer, repeated


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded official images are not beside the checkout")
def test_the_recorded_official_images_of_2018_are_stored_exactly(harvester: Harvester) -> None:
    with FakeHub(World.recorded(RECORDED), limits=FAST) as hub:
        done = harvester.run(hub, "backfill", "official", "--layers", "all")
        assert done.returncode == 0, done.stderr
        asked = Counter(entry.host for entry in hub.requests())
        layers = [entry for entry in hub.requests() if entry.path.endswith("/images")]
        assert asked == {"hub": 676}
        assert len(layers) == 508
        assert not repeated(hub)
    assert harvester.one("SELECT count(*) FROM repositories") == 83
    assert harvester.one("SELECT count(*) FROM tags") == 1571
    assert harvester.one("SELECT count(DISTINCT digest) FROM tags") == 508
    assert harvester.one("SELECT count(*) FROM images WHERE kind = 'image'") == 1534
    assert harvester.one("SELECT count(*) FROM layers") == 5556
    assert harvester.one("SELECT count(*) FROM v_tag_images") == 5323
    assert harvester.one("SELECT count(*) FROM v_layers") == 49_614
    assert harvester.one("SELECT count(*) FROM listings WHERE is_complete = 0") == 0
    for name, rows in harvester.rows("SELECT subject, rows FROM listings WHERE kind = 'tags'"):
        counted = harvester.one(f"SELECT tag_count FROM v_repositories WHERE full_name = '{name}'")
        assert counted == rows, name
    # 835 before the history of tags had an index over its digests and its own tables; 854 before the service had tables and indexes
    # of its own, which take a page each however few rows they have.
    assert harvester.database.stat().st_size <= 870 * 5323


def test_everything_public_in_the_small_world_is_stored(harvester: Harvester, small: FakeHub) -> None:
    done = harvester.run(small, "backfill", "official", "acme/", "initech/", "--layers", "all")
    assert done.returncode == 0, done.stderr
    assert not repeated(small)
    for full_name in ("library/nginx", "acme/nightly", "initech/reports"):
        stored = {row[0] for row in harvester.rows(f"SELECT tag FROM v_tags WHERE full_name = '{full_name}'")}
        assert stored == set(small.world.tag_names(full_name))
    assert harvester.one("SELECT count(*) FROM repositories WHERE name = 'vault'") == 0, "private"
    assert harvester.one("SELECT count(*) FROM images WHERE kind = 'attestation'") > 0
    assert harvester.one("SELECT count(*) FROM v_tags WHERE platforms LIKE '%unknown%'") == 0
    assert harvester.one("SELECT count(*) FROM images WHERE layers_from IS NULL AND kind = 'image'") == 0
    assert {entry.host for entry in small.requests()} == {"hub"}, "no pull, no registry request by default"


def test_the_database_is_readable_by_its_owner_only(harvester: Harvester, small: FakeHub) -> None:
    done = harvester.run(small, "backfill", "nginx", "--database", "new/folder/h.db")
    assert done.returncode == 0, done.stderr
    file = harvester.folder / "new" / "folder" / "h.db"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.parent.parent.stat().st_mode) == 0o700


def test_a_second_pass_asks_only_what_may_have_changed(harvester: Harvester, small: FakeHub) -> None:
    harvester.run(small, "backfill", "official", "--layers", "all")
    small.journal.clear()
    again = harvester.run(small, "backfill", "official", "--layers", "all")
    assert again.returncode == 0, again.stderr
    assert [entry.path for entry in small.requests(host="hub")] == ["/v2/namespaces/library/repositories"]
    censuses = [entry.path for entry in small.requests(host="registry")]
    assert len(censuses) == len(set(censuses)) == 10
    assert len(small.requests(host="auth")) <= 2, "a token serves ten repositories"
    assert all(path.endswith("/tags/list") for path in censuses)

    before = harvester.one("SELECT digest FROM v_tags WHERE full_name = 'library/nginx' AND tag = 'latest'")
    small.world.push_tag("library/nginx", "latest")
    small.journal.clear()
    moved = harvester.run(small, "backfill", "official", "--layers", "all")
    assert moved.returncode == 0, moved.stderr
    asked = [entry.path for entry in small.requests(host="hub")]
    assert "/v2/namespaces/library/repositories/nginx/tags" in asked
    assert "/v2/repositories/library/nginx/tags/latest/images" in asked
    assert len(asked) <= 4, asked
    timeline = harvester.rows(
        "SELECT digest, seen_until FROM v_tag_timeline WHERE full_name = 'library/nginx' AND tag = 'latest' ORDER BY seen_from"
    )
    assert len(timeline) == 2
    assert timeline[0][0] == before
    assert timeline[0][1] is not None
    assert timeline[1][1] is None


def test_every_form_of_target_is_understood_and_duplicates_are_folded(harvester: Harvester, small: FakeHub) -> None:
    (harvester.folder / "targets.txt").write_text("# what we watch\nacme/web  # ours\n\n_/redis\n", encoding="utf-8")
    done = harvester.run(
        small,
        "backfill",
        "nginx",
        "library/nginx",
        "docker.io/nginx",
        "https://hub.docker.com/_/nginx",
        "acme/web:latest",
        "initech/*",
        "search:reports",
        "@targets.txt",
        "--layers",
        "none",
    )
    assert done.returncode == 0, done.stderr
    assert not repeated(small)
    stored = {row[0] for row in harvester.rows("SELECT full_name FROM repositories")}
    assert {"library/nginx", "library/redis", "acme/web", "initech/reports", "initech/printer"} <= stored


def test_one_tag_is_harvested_alone_with_its_layers(harvester: Harvester, small: FakeHub) -> None:
    done = harvester.run(small, "backfill", "nginx:latest", "nginx:mainline")
    assert done.returncode == 0, done.stderr
    assert not repeated(small), "the repository is asked for once, whatever the number of its tags"
    assert "latest" in {row[0] for row in harvester.rows("SELECT tag FROM v_tags")}
    assert harvester.one("SELECT count(*) FROM v_layers WHERE tag_name = 'latest'") > 0


def test_a_tag_policy_stops_early_and_says_so(harvester: Harvester, small: FakeHub) -> None:
    done = harvester.run(small, "backfill", "acme/nightly", "--tags", "newest:3", "--layers", "none")
    assert done.returncode == 0, done.stderr
    assert harvester.one("SELECT count(*) FROM tags") == 3
    assert harvester.rows("SELECT stop_reason, is_complete FROM listings") == [("policy", 0)]
    assert harvester.rows("SELECT * FROM v_incomplete") == []


def test_newest_tags_are_found_under_the_reversed_order_too(harvester: Harvester) -> None:
    world = World.small()
    with FakeHub(world, limits=FAST, switches=Switches(reversed_ordering=True)) as hub:
        done = harvester.run(hub, "backfill", "acme/nightly", "--tags", "newest:3", "--layers", "none")
    assert done.returncode == 0, done.stderr
    oldest = harvester.one("SELECT min(last_pushed) FROM tags")
    assert harvester.one("SELECT count(*) FROM tags") == 3
    assert oldest >= "2026-06-01T02:5", "the three pushed last, not the three pushed first"


def test_a_search_of_300_hits_is_walked_to_its_end(harvester: Harvester) -> None:
    with FakeHub(World.search_hits("prometheus", 300), limits=FAST) as hub:
        done = harvester.run(hub, "backfill", "search:prometheus", "--layers", "none")
        assert done.returncode == 0, done.stderr
        assert len(hub.requests(path_contains="/v2/search/")) == 3
        assert not repeated(hub)
    assert harvester.one("SELECT count(*) FROM repositories") == 300
    assert harvester.rows(
        "SELECT reported_count, rows, stop_reason, is_complete FROM listings WHERE kind = 'search'"
    ) == [(300, 300, "end", 1)]


def test_a_namespace_beyond_the_wall_is_stored_as_far_as_it_reaches_and_says_wall(harvester: Harvester) -> None:
    with FakeHub(World.namespace("acme", 250), limits=FAST) as hub:
        done = harvester.run(hub, "backfill", "acme/", "--layers", "none")
        refused = [entry for entry in hub.requests() if entry.status == 403]
    assert done.returncode == 1
    assert "wall" in done.stderr
    assert len(refused) == 1, "the wall is never asked twice"
    assert harvester.one("SELECT count(*) FROM repositories") == 198
    assert harvester.rows("SELECT kind, subject, reported_count, rows, stop_reason FROM v_incomplete") == [
        ("namespace", "acme", 250, 198, "wall")
    ]


def test_with_a_login_the_whole_namespace_is_stored(harvester: Harvester) -> None:
    with FakeHub(World.namespace("acme", 250), limits=FAST, users={"someone": "dckr_pat_right"}) as hub:
        done = harvester.run(
            hub,
            "backfill",
            "acme/",
            "--layers",
            "none",
            env={"DOCKERHUB_USERNAME": "someone", "DOCKERHUB_TOKEN": "dckr_pat_right"},
        )
        assert done.returncode == 0, done.stderr
        assert len(hub.requests(path_contains="/v2/auth/token")) == 1, "one login"
    assert harvester.one("SELECT count(*) FROM repositories") == 250
    assert harvester.rows("SELECT rows, stop_reason, is_complete FROM listings WHERE kind = 'namespace'") == [
        (250, "end", 1)
    ]


def test_200_tags_cost_two_pages_and_101_are_not_cut(harvester: Harvester) -> None:
    world = World()
    world.add_repository("acme/even", tags=200)
    world.add_repository("acme/odd", tags=101)
    with FakeHub(world, limits=FAST) as hub:
        done = harvester.run(hub, "backfill", "acme/even", "acme/odd", "--layers", "none")
        assert done.returncode == 0, done.stderr
        pages = Counter(entry.path for entry in hub.requests(path_contains="/tags"))
    assert set(pages.values()) == {2}
    assert harvester.rows("SELECT full_name, tag_count FROM v_repositories ORDER BY 1") == [
        ("acme/even", 200),
        ("acme/odd", 101),
    ]


def test_pages_smaller_than_asked_for_do_not_end_a_walk(harvester: Harvester) -> None:
    world = World()
    world.add_repository("acme/web", tags=120)
    with FakeHub(world, limits=FAST, switches=Switches(fixed_page_size=25)) as hub:
        done = harvester.run(hub, "backfill", "acme/web", "--layers", "none")
        assert done.returncode == 0, done.stderr
        assert len(hub.requests(path_contains="/tags")) == 5
    assert harvester.rows("SELECT rows, is_complete FROM listings WHERE kind = 'tags'") == [(120, 1)]


def test_pulls_are_spent_only_when_allowed_and_credentials_stay_at_home(harvester: Harvester, small: FakeHub) -> None:
    done = harvester.run(small, "backfill", "acme/web:latest", "--pulls", "10", "--json")
    assert done.returncode == 0, done.stderr
    pulls = [entry for entry in small.requests(host="registry") if entry.budget == "pull"]
    assert len(pulls) == answer(done)["requests"]["pulls"] > 0
    assert small.requests(host="cdn"), "configs are redirected to another host"
    assert not [entry for entry in small.requests(host="cdn") if "authorization" in entry.headers]
    assert harvester.one("SELECT count(*) FROM images WHERE kind = 'image' AND config_digest IS NULL") == 0
    assert harvester.one("SELECT count(*) FROM layers WHERE media_type IS NOT NULL") > 0


def test_the_legacy_paths_serve_where_the_new_ones_are_gone(harvester: Harvester) -> None:
    with FakeHub(World.small(), limits=FAST, switches=Switches(namespaces_family=False)) as hub:
        done = harvester.run(hub, "backfill", "official", "--layers", "none")
        assert done.returncode == 0, done.stderr
        missed = [entry for entry in hub.requests() if entry.status == 404]
        assert len(missed) <= 12, "what answered is remembered; only what was under way asks in vain"
    assert harvester.one("SELECT count(*) FROM absences") == 0, "a path that is not served is no absence"
    assert harvester.one("SELECT count(*) FROM repositories") == 10


def test_an_honest_name_and_no_more_than_the_budget(harvester: Harvester) -> None:
    with FakeHub(World.namespace("acme", 18), limits=Limits(hub_per_minute=180)) as hub:
        done = harvester.run(hub, "backfill", "acme/", "--layers", "none", env={"HARVESTER_CONTACT": "ops@example.org"})
        assert done.returncode == 0, done.stderr
        assert {entry.headers["user-agent"] for entry in hub.requests()} == {"harvester/0.1.0 (+ops@example.org)"}
        times = [entry.at for entry in hub.requests()]
        assert len(times) == 37
        assert times[-1] - times[19] >= 15 / 3, "twenty at once, then evenly at 98 % of three a second"
        assert not [entry for entry in hub.requests() if entry.status == 429]


def test_repository_and_tag_that_are_not_there_are_reported_and_the_rest_goes_on(
    harvester: Harvester, small: FakeHub
) -> None:
    done = harvester.run(small, "backfill", "nope/nope", "acme/web:nonesuch", "nosuch/", "nginx", "--layers", "none")
    assert done.returncode == 0, done.stderr
    for name in ("nope/nope", "acme/web:nonesuch", "nosuch/*"):
        assert f"not there: {name}" in done.stderr
    assert {row[0] for row in harvester.rows("SELECT subject FROM absences")} == {
        "nope/nope",
        "acme/web:nonesuch",
        "nosuch/*",
    }
    assert harvester.one("SELECT count(*) FROM v_tags WHERE full_name = 'library/nginx'") > 0
    assert harvester.rows("SELECT * FROM v_vanished") == []


def test_a_repository_is_gone_after_a_second_404_in_a_later_pass(harvester: Harvester, small: FakeHub) -> None:
    harvester.run(small, "backfill", "nginx", "--layers", "none")
    small.world.delete_repository("library/nginx")
    first = harvester.run(small, "backfill", "nginx", "--layers", "none")
    assert first.returncode == 0
    assert harvester.rows("SELECT * FROM v_vanished") == [], "one 404 proves nothing"
    harvester.run(small, "backfill", "nginx", "--layers", "none")
    vanished = harvester.rows("SELECT kind, full_name FROM v_vanished ORDER BY kind")
    assert vanished[0] == ("repository", "library/nginx")
    assert {kind for kind, _ in vanished} == {"repository", "tag"}
    assert harvester.one("SELECT count(*) FROM v_tags WHERE full_name = 'library/nginx'") == 0
    small.world.restore_repository("library/nginx")
    harvester.run(small, "backfill", "nginx", "--layers", "none")
    assert harvester.rows("SELECT * FROM v_vanished") == []


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nginx@sha256:" + "a" * 64, "digest"),
        ("Nginx", "nginx"),
        ("ghcr.io/acme/web", "another registry"),
        ("a/b/c", "one namespace and one name"),
        ("nginx-", "cannot be"),
        ("--nonsense", "No such option"),
        ("nginx:la test", "cannot be a tag"),
        ("search:", "search:"),
        ("@missing.txt", "missing.txt"),
    ],
)
def test_what_cannot_exist_is_refused_before_anything_is_asked(
    harvester: Harvester, small: FakeHub, target: str, reason: str
) -> None:
    done = harvester.run(small, "backfill", "redis", target)
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not small.requests()
    assert harvester.one("SELECT count(*) FROM runs") == 0


def test_the_tools_around_it_answer_in_tables_and_in_json(harvester: Harvester, small: FakeHub) -> None:
    harvester.run(small, "backfill", "nginx")
    for command in (("status",), ("limits",), ("jobs", "list"), ("db", "current"), ("db", "check")):
        plain = harvester.run(None, *command)
        assert plain.returncode == 0, plain.stderr
        assert plain.stdout.strip()
        assert answer(harvester.run(None, *command, "--json")) is not None
    backup = harvester.run(None, "db", "backup", "copy.db")
    assert backup.returncode == 0, backup.stderr
    assert stat.S_IMODE(os.stat(harvester.folder / "copy.db").st_mode) == 0o600
    assert harvester.run(None, "db", "backup", "copy.db").returncode == 2, "a file that is there is not written over"
    missing = harvester.run(None, "status", "--database", "nowhere.db")
    assert missing.returncode == 2
    assert not (harvester.folder / "nowhere.db").exists(), "a question creates nothing"
