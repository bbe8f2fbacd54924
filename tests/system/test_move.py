"""The service moved to another machine as the guide says it: stopped, copied, started there. Two folders stand for two machines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fakehub import FakeHub, Limits, World
from tests.system.conftest import Harvester, differences, repeated
from tests.system.service import configure, served

DAILY = '[[watch]]\ntarget = "official"\nevery = "24h"\nlayers = "all"\n'
OFTEN = '[[watch]]\ntarget = "official"\nevery = "5s"\nlayers = "all"\n'

SLOTS = "SELECT target, since, next_check_at, run_id FROM watches"
LEDGER = 'SELECT budget, route, identity, "limit", window_s, spent FROM budgets ORDER BY 1, 2, 3'
INTERVALS = "SELECT full_name, tag, digest, seen_from, pushed_at FROM v_tag_timeline"


@pytest.fixture
def new(tmp_path: Path) -> Harvester:
    """The machine that is moved to."""
    folder = tmp_path / "new"
    folder.mkdir()
    return Harvester(folder)


def put_in_place(old: Harvester, new: Harvester) -> None:
    """A backup made on the old machine, and nothing else of what lies there, as the database of the new one."""
    (old.folder / "backups").mkdir()
    done = old.run(None, "db", "backup", "backups", "--keep", "7")
    assert done.returncode == 0, done.stderr
    [backup] = (old.folder / "backups").iterdir()
    shutil.copy(backup, new.database)
    shutil.copy(old.folder / "harvester.toml", new.folder)


def at_work(one: Harvester) -> list[dict[str, Any]]:
    """The processes that `status` tells of."""
    found: list[dict[str, Any]] = json.loads(one.run(None, "status", "--json").stdout)["processes"]
    return found


def complaints(one: Harvester) -> list[str]:
    """What the doctor warns of."""
    found = json.loads(one.run(None, "doctor", "--offline", "--json").stdout)
    return [finding["what"] for finding in found if finding["level"] in ("warning", "error")]


def passed(one: Harvester) -> bool:
    return one.rows("SELECT 1 FROM runs WHERE finished_at IS NOT NULL") != []


def test_the_new_machine_goes_on_where_the_old_one_stopped(
    harvester: Harvester, new: Harvester, small: FakeHub
) -> None:
    configure(harvester.folder, DAILY)
    with served(harvester, small) as service:
        service.wait_for(lambda: passed(harvester))
        assert service.end() == 0
    before, slots, intervals = harvester.content(), harvester.rows(SLOTS), set(harvester.rows(INTERVALS))
    assert before["layers"]
    put_in_place(harvester, new)
    assert new.rows(LEDGER) == harvester.rows(LEDGER)
    shutil.rmtree(harvester.folder / "backups")
    harvester.database.unlink()
    small.journal.clear()
    with served(new, small) as service:
        service.until("daemon.ready")
        service.wait_for(lambda: len(at_work(new)) == 1)
        assert str(service.process.pid) in json.dumps(at_work(new))
        assert complaints(new) == []
        assert new.rows(SLOTS) == slots, "the next pass is due when it was"
        assert differences(before, new.content()) == {}
        assert [entry.path for entry in small.journal if entry.host == "hub"] == [], "nothing is asked before that"
        small.world.push_tag("library/nginx", "latest")
        configure(new.folder, OFTEN)
        service.process.send_signal(1)
        service.wait_for(lambda: new.rows("SELECT 1 FROM v_events WHERE kind = 'tag.moved'") != [])
        assert service.end() == 0
    assert new.rows("SELECT DISTINCT full_name, tag FROM v_events") == [("library/nginx", "latest")]
    assert intervals < set(new.rows(INTERVALS))
    assert new.one("SELECT count(*) FROM jobs WHERE state IN ('running', 'dead')") == 0
    assert {entry.status for entry in small.journal} == {200}


def test_a_copy_of_a_daemon_at_work_that_is_killed_then_is_worked_on_by_nobody_else(
    harvester: Harvester, new: Harvester
) -> None:
    configure(harvester.folder, DAILY)
    with FakeHub(World.small(), limits=Limits(hub_per_minute=600)) as hub:
        with served(harvester, hub) as service:
            service.wait_for(lambda: harvester.one("SELECT count(*) FROM jobs WHERE state = 'done'") >= 15)
            put_in_place(harvester, new)
            assert len(at_work(harvester)) == 1
        assert at_work(new) == []
        assert not passed(new)
        stored = new.one("SELECT count(*) FROM harvested_digests")
        new.expire_leases()
        asked = len(hub.requests())
        with served(new, hub) as service:
            service.until("daemon.ready")
            assert complaints(new) == []
            service.wait_for(lambda: passed(new))
            assert service.end() == 0
        digests = new.one("SELECT count(*) FROM harvested_digests")
        images = [entry.path for entry in list(hub.requests())[asked:] if entry.path.endswith("/images")]
        assert stored < digests
        assert len(images) <= digests - stored, "of what the copy has nothing is asked again"
        assert not [times for times in repeated(hub).values() if times > 2]
        assert 429 not in {entry.status for entry in hub.journal}
    assert new.one("SELECT count(*) FROM repositories") == 10
    assert new.one("SELECT count(*) FROM jobs WHERE state IN ('running', 'ready', 'waiting', 'dead')") == 0
