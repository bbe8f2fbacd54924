"""Kills, signals, two at once, a full disk: nothing lost, nothing twice, one line that says what happened."""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.fakehub import FakeHub, Limits, World
from tests.system.conftest import FAST, PATIENCE_S, Harvester, differences, repeated

IN_FLIGHT = 4
"""Requests that can be under way at one time: what one kill may cost."""

SLOW_ENOUGH = Limits(hub_per_minute=1200)
"""Twenty a second: a process can be caught in the middle."""


def _world() -> World:
    world = World.small()
    for number in range(30):
        world.add_repository(f"umbrella/service-{number:02}", tags=4)
    return world


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[World], Harvester]:
    def harvest(world: World) -> Harvester:
        alone = Harvester(tmp_path_factory.mktemp("undisturbed"))
        with FakeHub(world, limits=FAST) as hub:
            assert alone.run(hub, "backfill", "official", "umbrella/", "--layers", "all").returncode == 0
        return alone

    return harvest


def _until(hub: FakeHub, requests: int, process: subprocess.Popen[str]) -> None:
    """Return when the far end has seen so many requests, or the process has ended."""
    while len(hub.journal) < requests:
        try:
            process.wait(timeout=0.005)
        except subprocess.TimeoutExpired:
            continue
        return


def test_three_kills_lose_nothing_and_repeat_what_was_under_way(
    harvester: Harvester, undisturbed: Callable[[World], Harvester]
) -> None:
    world = _world()
    expected = undisturbed(world).content()
    command = ("backfill", "official", "umbrella/", "--layers", "all")
    with FakeHub(world, limits=SLOW_ENOUGH) as hub:
        for _ in range(3):
            process = harvester.start(hub, *command)
            _until(hub, len(hub.journal) + 30, process)
            process.kill()
            process.communicate(timeout=PATIENCE_S)
            assert process.returncode == -signal.SIGKILL
            harvester.expire_leases()
        done = harvester.run(hub, *command)
        assert done.returncode == 0, done.stderr
        assert "went on" in done.stdout
        again = repeated(hub)
    assert not differences(expected, harvester.content())
    assert set(again.values()) <= {2}
    assert len(again) <= 3 * IN_FLIGHT
    assert harvester.one("PRAGMA integrity_check") == "ok"


def test_ctrl_c_drains_exits_130_and_the_same_command_goes_on(
    harvester: Harvester, undisturbed: Callable[[World], Harvester]
) -> None:
    world = _world()
    expected = undisturbed(world).content()
    command = ("backfill", "official", "umbrella/", "--layers", "all")
    with FakeHub(world, limits=SLOW_ENOUGH) as hub:
        process = harvester.start(hub, *command)
        _until(hub, 40, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert "the same command goes on" in errors
        assert harvester.one("SELECT count(*) FROM jobs WHERE state = 'running'") == 0, "what was held is given back"
        assert harvester.run(hub, *command).returncode == 0
        assert not repeated(hub), "a drained process finishes what it asked"
    assert not differences(expected, harvester.content())


def test_two_backfills_of_overlapping_targets_share_the_work(
    harvester: Harvester, undisturbed: Callable[[World], Harvester]
) -> None:
    world = _world()
    expected = undisturbed(world).content()
    with FakeHub(world, limits=SLOW_ENOUGH) as hub:
        first = harvester.start(hub, "backfill", "official", "umbrella/", "--layers", "all")
        second = harvester.start(hub, "backfill", "nginx", "official", "umbrella/*", "redis:latest", "--layers", "all")
        for process in (first, second):
            _, errors = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, errors
        assert not repeated(hub)
        assert not [entry for entry in hub.requests() if entry.status == 429]
    assert not differences(expected, harvester.content())


def test_the_same_command_twice_at_once_is_one_run(harvester: Harvester) -> None:
    with FakeHub(_world(), limits=SLOW_ENOUGH) as hub:
        processes = [harvester.start(hub, "backfill", "umbrella/", "--layers", "none") for _ in range(2)]
        for process in processes:
            _, errors = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, errors
        assert not repeated(hub)
    assert harvester.one("SELECT count(*) FROM runs") == 1


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(harvester: Harvester, small: FakeHub) -> None:
    size = harvester.database.stat().st_size

    def fill_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40_000, size + 40_000))

    full = harvester.run(small, "backfill", "official", "--layers", "all", preexec_fn=fill_the_disk)
    assert full.returncode == 1
    assert "the database cannot be written" in full.stderr
    assert harvester.one("SELECT count(*) FROM jobs WHERE state = 'dead'") == 0, "no job's fault"
    harvester.expire_leases()
    assert harvester.run(small, "backfill", "official", "--layers", "all").returncode == 0
    assert harvester.one("PRAGMA integrity_check") == "ok"


def test_an_unreachable_hub_is_one_line_and_exit_4(harvester: Harvester) -> None:
    done = harvester.run(None, "backfill", "nginx", "redis", env={"HARVESTER_HUB_URL": "http://127.0.0.1:9"})
    assert done.returncode == 4
    assert len([line for line in done.stderr.splitlines() if "no connection" in line]) == 1
    assert harvester.one("SELECT count(*) FROM jobs WHERE state IN ('dead', 'running')") == 0, "nothing is lost"


def test_wrong_credentials_are_exit_4_and_not_tried_again(harvester: Harvester, small: FakeHub) -> None:
    wrong = {"DOCKERHUB_USERNAME": "someone", "DOCKERHUB_TOKEN": "dckr_pat_wrong"}
    for _ in range(2):
        done = harvester.run(small, "backfill", "nginx", env=wrong)
        assert done.returncode == 4
        assert "credentials" in done.stderr
    assert len(small.requests(path_contains="/v2/auth/token")) == 1, "a restart does not try them again"
    assert harvester.run(small, "backfill", "nginx").returncode == 0, "without them it goes on"


def test_a_secret_appears_nowhere_but_where_it_belongs(harvester: Harvester, small: FakeHub) -> None:
    secret = "dckr_pat_right"
    done = harvester.run(
        small,
        "backfill",
        "acme/web:latest",
        "--pulls",
        "9",
        env={"DOCKERHUB_USERNAME": "someone", "DOCKERHUB_TOKEN": secret},
    )
    assert done.returncode == 0, done.stderr
    tokens = {
        entry.headers["authorization"].split()[-1] for entry in small.requests() if "authorization" in entry.headers
    }
    assert len(tokens) >= 3, "the Hub's token, the registry's and the Basic login"
    files = [path for path in harvester.folder.iterdir() if path.is_file()]
    for text in (secret, *tokens):
        assert text not in done.stdout + done.stderr
        for file in files:
            assert text.encode() not in file.read_bytes(), file.name
        assert not [entry for entry in small.requests() if text in entry.target]
