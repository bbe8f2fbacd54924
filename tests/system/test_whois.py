"""`harvester whois` and `harvester events` as processes: what they print, refuse and exit with."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from harvester.cli.events import instant_since
from harvester.clock import instant
from harvester.errors import ConfigError
from tests.fakehub import FakeHub
from tests.system.conftest import Harvester, answer

NOW = 1_795_190_400
"""2026-11-20T16:00:00Z."""

HOUR_AGO = "UPDATE tag_history SET seen_from = seen_from - 3600"


def execute(harvester: Harvester, *statements: str) -> None:
    with closing(sqlite3.connect(harvester.database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def digest_of_latest(harvester: Harvester) -> str:
    found: str = harvester.one("SELECT digest FROM v_tags WHERE full_name = 'library/nginx' AND tag = 'latest'")
    return found


def image_of_latest(harvester: Harvester) -> str:
    found: str = harvester.one(
        "SELECT image_digest FROM v_tag_images WHERE full_name = 'library/nginx' AND tag = 'latest'"
        " AND kind = 'image' ORDER BY platform LIMIT 1"
    )
    return found


def test_an_image_of_an_index_that_a_tag_moved_on_from_is_found(harvester: Harvester, small: FakeHub) -> None:
    assert harvester.run(small, "backfill", "nginx").returncode == 0
    old, image = digest_of_latest(harvester), image_of_latest(harvester)
    layer: str = harvester.one(
        "SELECT digest FROM v_layers WHERE repo_name = 'library/nginx' AND tag_name = 'latest' ORDER BY layer_index DESC LIMIT 1"
    )
    execute(harvester, HOUR_AGO)
    small.world.push_tag("library/nginx", "latest")
    assert harvester.run(small, "backfill", "nginx").returncode == 0
    assert digest_of_latest(harvester) != old
    for digest, kind in ((old, "index"), (image, "image"), (layer, "layer")):
        found = answer(harvester.run(None, "whois", digest, "--json"))
        assert found["digest"] == digest
        over = [one for one in found["shown"] if one["tag"] == "latest" and one["until"] is not None]
        assert [(one["kind"], one["repository"], one["ended"]) for one in over] == [(kind, "library/nginx", "moved")]
        assert found["places"] == len(found["shown"])


def test_whois_prints_a_line_for_each_place(harvester: Harvester, small: FakeHub) -> None:
    harvester.run(small, "backfill", "nginx")
    execute(harvester, "UPDATE tag_history SET last_updater = char(27) || '[31mme'")
    image = image_of_latest(harvester)
    done = harvester.run(None, "whois", image.removeprefix("sha256:")[:12])
    assert (done.returncode, done.stderr) == (0, "")
    title, heads, *lines = done.stdout.splitlines()
    assert title.startswith(f"{image}: {len(lines)} place")
    for word in ("kind", "repository", "tag", "platform", "first seen", "last seen", "until", "pushed", "by"):
        assert word in heads
    assert "created" not in done.stdout
    [latest] = [line for line in lines if " latest " in line]
    assert latest.startswith("image  library/nginx")
    assert "still so" in latest
    assert latest.endswith("?[31mme"), "what the far end says is no order to the terminal"


def test_places_beyond_the_limit_are_counted(harvester: Harvester, small: FakeHub) -> None:
    harvester.run(small, "backfill", "nginx", "--layers", "none")
    execute(harvester, f"UPDATE tag_history SET digest = 'sha256:{'a' * 64}'")
    total = harvester.one("SELECT count(*) FROM tag_history")
    assert total > 3
    done = harvester.run(None, "whois", "a" * 64, "--limit", "2")
    assert len(done.stdout.splitlines()) == 2 + 2
    assert f"{total} places" in done.stdout
    assert f"{total - 2} more" in done.stderr
    assert len(harvester.run(None, "whois", "a" * 64, "--limit", "0").stdout.splitlines()) == 2 + total


def test_an_unknown_digest_is_an_answer(harvester: Harvester) -> None:
    done = harvester.run(None, "whois", "a" * 64)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"not known: no digest in harvester.db begins with sha256:{'a' * 64}\n"
    assert answer(harvester.run(None, "whois", "a" * 64, "--json")) == {
        "digest": f"sha256:{'a' * 64}",
        "places": 0,
        "shown": [],
    }


def test_a_digest_that_no_tag_showed_is_known_all_the_same(harvester: Harvester) -> None:
    execute(
        harvester,
        f"INSERT INTO layers (digest, first_seen_at) VALUES ('sha256:{'a' * 64}', '2026-11-20T16:00:00Z')",
    )
    done = harvester.run(None, "whois", "a" * 12)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("known, but no tag")


@pytest.mark.parametrize(
    ("digest", "reason"),
    [
        ("sha256:" + "A" * 64, f"did you mean `sha256:{'a' * 64}`?"),
        ("A" * 12, f"did you mean `{'a' * 12}`?"),
        ("a" * 11, "not a digest"),
        ("sha256:" + "a" * 65, "not a digest"),
        ("nginx", "not a digest"),
        ("nginx@sha256:" + "a" * 64, f"name the digest alone, without the repository (`sha256:{'a' * 64}`)"),
        ("0" * 12, "2 digests begin so: sha256:" + "0" * 63 + "1, sha256:" + "0" * 63 + "2"),
    ],
)
def test_what_names_no_one_digest_is_wrong_usage(harvester: Harvester, digest: str, reason: str) -> None:
    execute(harvester, *[f"INSERT INTO indexes (digest) VALUES ('sha256:{n:064x}')" for n in (1, 2)])
    done = harvester.run(None, "whois", digest)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_many_digests_that_begin_so_are_not_all_named(harvester: Harvester) -> None:
    execute(harvester, *[f"INSERT INTO indexes (digest) VALUES ('sha256:{n:064x}')" for n in range(9)])
    done = harvester.run(None, "whois", "0" * 12)
    assert done.returncode == 2
    assert "more than 5 digests begin so" in done.stderr
    assert done.stderr.count("sha256:") == 5


@pytest.mark.parametrize("command", [("whois", "a" * 64), ("events",)])
def test_a_missing_database_is_one_line_and_is_not_created(harvester: Harvester, command: tuple[str, ...]) -> None:
    done = harvester.run(None, *command, "--database", "nowhere.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "harvester: there is no database at nowhere.db; `harvester backfill TARGET` creates one\n"
    assert not (harvester.folder / "nowhere.db").exists()


@pytest.fixture
def eventful(harvester: Harvester) -> Harvester:
    seen = "'2026-11-20T16:00:00Z'"
    event = "INSERT INTO events (observed_at, kind, repository_id, tag_id, detail, rank) VALUES"
    execute(
        harvester,
        "INSERT INTO repositories (id, namespace, name, full_name, is_official, first_seen_at, last_seen_at)"
        f" VALUES (1, 'library', 'nginx', 'library/nginx', 1, {seen}, {seen})",
        f"INSERT INTO tags (id, repository_id, name, first_seen_at, last_seen_at) VALUES (1, 1, '1.27', {seen}, {seen})",
        f"""{event} ('2026-11-20T16:00:00Z', 'tag.overwritten', 1, 1,
            '{{"digest_before":"sha256:{"a" * 64}","digest":"sha256:{"b" * 64}"}}', 1)""",
        f"""{event} ('2026-11-21T16:00:00Z', 'repository.described', 1, NULL,
            '{{"description_before":"old","description":"new"}}', 3)""",
        f"""{event} ('2026-11-22T16:00:00Z', 'namespace.vanishing', NULL, NULL,
            '{{"namespace":"bitnami","missing":90,"known":200}}', 1)""",
    )
    return harvester


SINCE = ("--since", "2026-11-01")


def test_events_are_a_line_each_the_most_urgent_first(eventful: Harvester) -> None:
    done = eventful.run(None, "events", *SINCE)
    assert (done.returncode, done.stderr) == (0, "")
    heads, *lines = done.stdout.splitlines()
    assert heads.split() == ["observed", "rank", "kind", "what", "evidence"]
    assert [line.split(maxsplit=4) for line in lines] == [
        [
            *("2026-11-22T16:00:00Z", "urgent", "namespace.vanishing", "bitnami/"),
            "90 of 200 repositories missing at once",
        ],
        [
            *("2026-11-20T16:00:00Z", "urgent", "tag.overwritten", "library/nginx:1.27"),
            "a version is another image now, from aaaaaaaaaaaa to bbbbbbbbbbbb",
        ],
        ["2026-11-21T16:00:00Z", "routine", "repository.described", "library/nginx", '"new", was "old"'],
    ]


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (("--kind", "tag.*"), ["tag.overwritten"]),
        (("--kind", "tag.*", "--kind", "*.described"), ["tag.overwritten", "repository.described"]),
        (("--target", "nginx*"), ["tag.overwritten", "repository.described"]),
        (("--target", "bitnami/*"), ["namespace.vanishing"]),
        (("--rank", "2"), ["namespace.vanishing", "tag.overwritten"]),
        (("--since", "2026-11-21T16:00:00Z"), ["namespace.vanishing", "repository.described"]),
    ],
)
def test_events_are_chosen(eventful: Harvester, options: tuple[str, ...], kinds: list[str]) -> None:
    found = answer(eventful.run(None, "events", *SINCE, *options, "--json"))
    assert [one["kind"] for one in found["shown"]] == kinds
    assert found["events"] == len(kinds)


def test_events_beyond_the_limit_are_counted(eventful: Harvester) -> None:
    done = eventful.run(None, "events", *SINCE, "--limit", "1")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "... and 2 more (`--limit 0` shows all)\n"


def test_no_event_is_an_answer(harvester: Harvester) -> None:
    done = harvester.run(None, "events", *SINCE)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no such event since 2026-11-01T00:00:00Z\n"
    assert json.loads(harvester.run(None, "events", *SINCE, "--json").stdout)["shown"] == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("7d", NOW - 7 * 86_400), ("12h", NOW - 43_200), ("90m", NOW - 5400), ("2w", NOW - 14 * 86_400), ("0s", NOW)),
        *(("2026-11-20", NOW - 57_600), ("2026-11-20T16:00:00Z", NOW), ("2026-11-20T17:00:00+01:00", NOW)),
        *(("2026-11-20T16:00:00", NOW), ("999999w", 0), ("0001-01-01", 0)),
    ],
)
def test_since_is_a_span_or_an_instant(text: str, seconds: int) -> None:
    assert instant_since(text, NOW) == instant(seconds)


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-7d", "7 days", "yesterday", "2026-13-01", "7y", "9999-12-31T23:59:59-05:00"]
)
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(ConfigError, match="--since"):
        instant_since(text, NOW)


def test_a_bad_since_is_one_line(harvester: Harvester) -> None:
    done = harvester.run(None, "events", "--since", "yesterday")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_kind_that_there_is_not_is_wrong_usage(harvester: Harvester) -> None:
    done = harvester.run(None, "events", "--kind", "tag.*", "--kind", "tagg.*")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("harvester: --kind tagg.*: there is no such kind of event; there are drift, ")
    assert len(done.stderr.splitlines()) == 1
