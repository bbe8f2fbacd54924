"""`harvester doctor` as a command: exit codes, and what it asks of the far end."""

from __future__ import annotations

import json
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.fakehub import FakeHub, Fault, Limits, Occasion, Reply, World
from tests.system.conftest import FAST, Harvester

LOGIN = {"DOCKERHUB_USERNAME": "someone", "DOCKERHUB_TOKEN": "dckr_pat_wrong"}


@pytest.fixture(autouse=True)
def private(harvester: Harvester) -> None:
    harvester.database.chmod(0o600)
    harvester.folder.chmod(0o700)


def findings(
    harvester: Harvester, hub: FakeHub | None, *arguments: str, code: int = 0, env: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    done = harvester.run(hub, "doctor", "--json", *arguments, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def of(found: list[dict[str, Any]], area: str) -> list[tuple[str, str]]:
    return [(one["level"], one["what"]) for one in found if one["area"] == area]


def test_a_harvested_database_and_a_far_end_that_answers_have_nothing_above_a_note(
    harvester: Harvester, small: FakeHub
) -> None:
    assert harvester.run(small, "backfill", "nginx", "hello-world").returncode == 0
    before = len(small.requests())
    found = findings(harvester, small)
    assert {one["level"] for one in found} <= {"ok", "note"}
    assert of(found, "far end") == [("ok", "the Hub answers"), ("ok", "the registry answers")]
    assert ("ok", "within 30 s of the far end's") in of(found, "clock")
    asked = [(entry.method, entry.target.partition("?")[0]) for entry in small.requests()[before:]]
    assert asked == [
        ("GET", "/v2/namespaces/library/repositories/hello-world"),
        ("GET", "/token"),
        ("GET", "/v2/library/hello-world/tags/list"),
    ]
    rows = dict(harvester.rows("SELECT budget, sum(spent) FROM budgets GROUP BY budget"))
    assert rows["pulls"] == 0


def test_offline_asks_nothing(harvester: Harvester, small: FakeHub) -> None:
    found = findings(harvester, small, "--offline")
    assert of(found, "far end") == [("ok", "nothing was asked (`--offline`)")]
    assert not small.requests()
    assert harvester.one("SELECT count(*) FROM budgets") == 0


def test_the_lines_for_people(harvester: Harvester) -> None:
    done = harvester.run(None, "doctor", "--offline")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("note     configuration  the far end cannot tell whom to write to")
    assert lines[1] == f"{'':23} -> set `contact` to an address or a web page of yours"
    assert lines[2].startswith("ok ")


def test_a_configuration_that_is_wrong_is_a_finding_with_its_line(harvester: Harvester) -> None:
    (harvester.folder / "harvester.toml").write_text('[[watch]]\ntarget = "@targets.txt"\n')
    [one] = findings(harvester, None, "--offline", code=1)
    assert (one["level"], one["area"]) == ("error", "configuration")
    assert "line 2: [[watch]] 1: target: cannot read the targets in targets.txt" in one["what"]


def test_a_missing_database_is_an_error_and_stays_missing(harvester: Harvester, small: FakeHub) -> None:
    found = findings(harvester, small, "--database", "other.db", code=1)
    assert of(found, "database")[0][0] == "error"
    assert of(found, "far end") == [("note", "nothing was asked: the budgets are in the database")]
    assert not (harvester.folder / "other.db").exists()
    assert not small.requests()


def test_a_far_end_that_cannot_be_reached(harvester: Harvester) -> None:
    nowhere = {f"HARVESTER_{one}_URL": "http://127.0.0.1:1" for one in ("HUB", "AUTH", "REGISTRY")}
    found = findings(harvester, None, code=1, env=nowhere)
    assert [level for level, _ in of(found, "far end")] == ["error", "error"]
    assert "no connection" in of(found, "far end")[0][1]


def test_a_far_end_that_fails_and_one_that_throttles(harvester: Harvester) -> None:
    with FakeHub(World.small(), limits=FAST) as hub:
        hub.fault(Fault(lambda _: Reply(503), target="/v2/library/hello-world/tags/list", times=None))
        found = findings(harvester, hub, code=1)
    assert [level for level, _ in of(found, "far end")] == ["error", "ok"]
    with FakeHub(World.small(), limits=Limits(hub_per_minute=1)) as hub:
        hub.hub_api.spend(5)
        found = findings(harvester, hub)
        assert [level for level, _ in of(found, "far end")] == ["note", "ok"]
        assert len(hub.requests()) <= 3
        found = findings(harvester, hub)
        assert "nothing: it goes on in" in str(found)


def test_a_login_that_is_refused(harvester: Harvester, small: FakeHub) -> None:
    found = findings(harvester, small, code=1, env=LOGIN)
    assert any(level == "error" and "refused it" in what for level, what in of(found, "credentials"))
    asked = len(small.requests())
    found = findings(harvester, small, code=1, env=LOGIN)
    assert any(level == "error" and "not tried again" in what for level, what in of(found, "credentials"))
    assert len(small.requests()) == asked
    assert LOGIN["DOCKERHUB_TOKEN"] not in str(found)


@pytest.mark.parametrize(("by", "level"), [(-120, "warning"), (7200, "error")])
def test_a_clock_that_is_not_the_far_ends(harvester: Harvester, by: int, level: str) -> None:
    def off(occasion: Occasion) -> Reply:
        normal = occasion.normal()
        return replace(normal, headers=(*(h for h in normal.headers if h[0].lower() != "date"), ("date", _date(by))))

    with FakeHub(World.small(), limits=FAST) as hub:
        hub.fault(Fault(off, times=None))
        found = findings(harvester, hub, code=int(level == "error"))
    [what] = [what for found_level, what in of(found, "clock") if found_level == level]
    assert ("behind" if by > 0 else "ahead of") in what


def _date(by: int) -> str:
    import time

    return formatdate(time.time() + by, usegmt=True)


def test_each_way_out_is_asked_by(harvester: Harvester, small: FakeHub, tmp_path: Path) -> None:
    (harvester.folder / "harvester.toml").write_text(
        '[[egress]]\nname = "one"\n[[egress]]\nname = "two"\naddress = "127.0.0.2"\n'
    )
    found = findings(harvester, small)
    assert [what for _, what in of(found, "far end")] == [
        *("the Hub answers by route one", "the registry answers by route one"),
        *("the Hub answers by route two", "the registry answers by route two"),
    ]
