"""`harvester forget`: as if it had never been harvested, whoever works meanwhile and whenever it is killed."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakehub import FakeHub, Limits, World
from tests.system.conftest import FAST, PATIENCE_S, Harvester, differences

KILLED_AFTER = """
import os, sys
from harvester.store import forgetting
from harvester.store.engine import database_url, open_writer
from harvester.targets import parse_target
left = int(sys.argv[3])
def step(found):
    global left
    left -= 1
    if left == 0:
        os._exit(9)
forgetting.forget(open_writer(database_url(sys.argv[1])), parse_target(sys.argv[2]), step)
"""


def _world() -> World:
    world = World.small()
    for number in range(4):
        world.add_repository(f"umbrella/service-{number}", tags=25)
    return world


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Harvester, Harvester, World]:
    """All of a small world harvested; the same without `umbrella`; and the world."""
    whole, without = (Harvester(tmp_path_factory.mktemp(name)) for name in ("whole", "without"))
    with FakeHub(_world(), limits=FAST) as hub:
        assert whole.run(hub, "backfill", "official", "umbrella/", "--layers", "all").returncode == 0
        assert without.run(hub, "backfill", "official", "--layers", "all").returncode == 0
    return whole, without, _world()


@pytest.fixture
def whole(worlds: tuple[Harvester, Harvester, World], tmp_path: Path) -> Harvester:
    folder = tmp_path / "whole"
    folder.mkdir()
    shutil.copy(worlds[0].database, folder)
    return Harvester(folder)


def _sound(harvester: Harvester) -> None:
    assert harvester.one("PRAGMA integrity_check") == "ok"
    assert harvester.rows("PRAGMA foreign_key_check") == []


def _unused(harvester: Harvester) -> list[int]:
    """Images, layers, instructions and indexes that nothing refers to."""
    return [
        harvester.one(f"SELECT count(*) FROM {query}")
        for query in (
            "images i WHERE NOT EXISTS (SELECT 1 FROM tag_images t WHERE t.image_id = i.id)"
            " AND NOT EXISTS (SELECT 1 FROM index_images x WHERE x.image_id = i.id)",
            "layers WHERE id NOT IN (SELECT layer_id FROM image_layers WHERE layer_id IS NOT NULL)",
            "instructions WHERE id NOT IN (SELECT instruction_id FROM image_layers WHERE instruction_id IS NOT NULL)",
            "indexes x WHERE NOT EXISTS (SELECT 1 FROM tag_history h WHERE h.digest = x.digest)",
        )
    ]


def test_a_namespace_goes_as_if_it_had_never_been_harvested(
    worlds: tuple[Harvester, Harvester, World], whole: Harvester
) -> None:
    assert whole.content() != worlds[1].content()
    dry = json.loads(whole.run(None, "forget", "umbrella/", "--dry-run", "--json").stdout)["rows"]
    assert (dry["repositories"], dry["tags"]) == (4, 100)
    assert whole.content() == worlds[0].content(), "nothing went"
    done = whole.run(None, "forget", "umbrella/", "--yes", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)["rows"]
    assert {table: rows[table] for table in dry} == dry, "what was said before"
    assert not differences(worlds[1].content(), whole.content())
    _sound(whole)
    assert _unused(whole) == [0, 0, 0, 0]
    again = whole.run(None, "forget", "umbrella/", "--yes")
    assert again.stdout.endswith("umbrella/*: nothing was stored\n")


def test_what_was_forgotten_is_harvested_anew_with_its_layers(
    worlds: tuple[Harvester, Harvester, World], whole: Harvester
) -> None:
    assert whole.run(None, "forget", "umbrella/*", "--yes").returncode == 0
    with FakeHub(worlds[2], limits=FAST) as hub:
        assert whole.run(hub, "backfill", "official", "umbrella/", "--layers", "all").returncode == 0
    ours, theirs = whole.content(), worlds[0].content()
    for one in (ours, theirs):
        # The official ones were looked at twice.
        one.pop("listings")
    assert not differences(theirs, ours)


@pytest.mark.parametrize("steps", [1, 2, 5, 9])
def test_a_kill_at_any_moment_leaves_a_sound_file_and_the_second_call_finishes(
    worlds: tuple[Harvester, Harvester, World], whole: Harvester, steps: int
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER, str(whole.database), "umbrella/", str(steps)],
        timeout=PATIENCE_S,
        check=False,
    )
    assert killed.returncode == 9
    _sound(whole)
    assert whole.run(None, "forget", "umbrella/", "--yes").returncode == 0
    assert not differences(worlds[1].content(), whole.content())
    assert _unused(whole) == [0, 0, 0, 0]


def test_a_backfill_of_the_same_goes_on_undisturbed(harvester: Harvester) -> None:
    with FakeHub(_world(), limits=Limits(hub_per_minute=1500)) as hub:
        process = harvester.start(hub, "backfill", "official", "umbrella/", "--layers", "all")
        rounds = 0
        while process.poll() is None:
            done = harvester.run(None, "forget", "umbrella/", "--yes")
            assert done.returncode == 0, done.stderr
            rounds += 1
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert rounds > 3
    assert "FOREIGN KEY" not in errors
    assert "Traceback" not in errors
    assert process.returncode in (0, 1), errors
    assert harvester.one("SELECT count(*) FROM jobs WHERE state = 'dead'") == 0
    assert harvester.one("SELECT count(*) FROM tags t JOIN repositories r ON r.id = t.repository_id") > 0
    _sound(harvester)


def test_one_tag_goes_and_its_neighbours_stay(whole: Harvester) -> None:
    [(name, digest)] = whole.rows(
        "SELECT t.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id"
        " WHERE r.full_name = 'umbrella/service-1' ORDER BY t.name LIMIT 1"
    )
    assert whole.run(None, "forget", f"umbrella/service-1:{name}", "--yes").returncode == 0
    left = whole.rows(
        "SELECT count(*), sum(t.name = '" + name + "') FROM tags t JOIN repositories r ON r.id = t.repository_id"
        " WHERE r.full_name = 'umbrella/service-1'"
    )
    assert left == [(24, 0)]
    assert whole.one(f"SELECT count(*) FROM tag_history WHERE digest = '{digest}'") == 0
    assert whole.one(f"SELECT count(*) FROM harvested_digests WHERE digest = '{digest}'") == 0
    _sound(whole)
    assert _unused(whole) == [0, 0, 0, 0]


def test_a_search_goes_and_what_it_found_stays(harvester: Harvester, small: FakeHub) -> None:
    assert harvester.run(small, "backfill", "search:nginx").returncode in (0, 1)
    assert harvester.one("SELECT count(*) FROM listings WHERE kind = 'search'") == 1
    repositories = harvester.one("SELECT count(*) FROM repositories")
    assert harvester.run(None, "forget", "search:nginx", "--yes").returncode == 0
    assert harvester.one("SELECT count(*) FROM listings WHERE kind = 'search'") == 0
    assert harvester.one("SELECT count(*) FROM repositories") == repositories > 0


@pytest.mark.parametrize("target", ["umbrella/", "umbrella/service-2", "umbrella/service-2:1.0"])
@pytest.mark.parametrize("watch", ["umbrella/*", "umbrella/service-2", "umbrella/service-2:1.0"])
def test_what_is_watched_is_refused(whole: Harvester, target: str, watch: str) -> None:
    before = whole.content()
    (whole.folder / "harvester.toml").write_text(f'[[watch]]\ntarget = "{watch}"\n', encoding="utf-8")
    done = whole.run(None, "forget", target, "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert f"harvester.toml names {watch} in `[[watch]]`; take it out there first" in line
    (whole.folder / "harvester.toml").unlink()
    whole.change(
        "INSERT INTO watches (target, tags, layers, every_s, fastest_s, place, since)"
        f" VALUES ('{watch}', 'all', 'latest', 1, 1, 0, '2026-11-20T16:00:00Z')"
    )
    done = whole.run(None, "forget", target, "--yes")
    assert done.returncode == 2
    assert f"`harvester run` has read {watch}" in done.stderr
    assert whole.content() == before
    whole.change("UPDATE watches SET ended_at = '2026-11-20T17:00:00Z'")
    assert whole.run(None, "forget", target, "--yes").returncode == 0


def test_what_a_watched_search_covers_is_refused(whole: Harvester) -> None:
    whole.change(
        "INSERT INTO watches (id, target, tags, layers, every_s, fastest_s, place, since)"
        " VALUES (7, 'search:service', 'all', 'latest', 1, 1, 0, '2026-11-20T16:00:00Z')"
    )
    whole.change(
        "INSERT INTO cadences (repository_id, watch_id, interval_s, checks, changes, observed_s)"
        " SELECT id, 7, 1, 0, 0, 0 FROM repositories WHERE full_name = 'umbrella/service-2'"
    )
    for target in ("umbrella/service-2", "umbrella/"):
        done = whole.run(None, "forget", target, "--yes")
        assert (done.returncode, "search:service" in done.stderr) == (2, True)
    assert whole.run(None, "forget", "umbrella/service-1", "--yes").returncode == 0


def test_nobody_is_asked_without_a_terminal(whole: Harvester) -> None:
    before = whole.content()
    done = whole.run(None, "forget", "umbrella/")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "4 repositories" in line
    assert "--yes" in line
    assert whole.content() == before


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 130, 4), (b"y\n", 0, 0)])
def test_on_a_terminal_it_asks(whole: Harvester, answer: bytes, code: int, left: int) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        whole.command("forget", "umbrella/"),
        env=whole.environment(None),
        cwd=whole.folder,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    os.write(ours, answer)
    _, errors = process.communicate(timeout=PATIENCE_S)
    os.close(ours)
    assert b"4 repositories" in errors
    assert process.returncode == code
    with closing(sqlite3.connect(whole.database)) as connection:
        [[found]] = connection.execute("SELECT count(*) FROM repositories WHERE namespace = 'umbrella'")
    assert found == left


def test_a_file_of_targets_is_refused_and_says_why(whole: Harvester) -> None:
    refused = whole.run(None, "forget", "@targets.txt", "--yes")
    assert refused.returncode == 2
    assert "one target at a time" in refused.stderr


def test_what_would_go_names_what_only_removing_shows(whole: Harvester) -> None:
    told = whole.run(None, "forget", "umbrella/", "--dry-run").stdout
    assert "and images, layers and instructions that nothing else has, would go" in told
