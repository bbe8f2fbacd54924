"""`harvester run` as an operator runs it: started, reloaded, disturbed, stopped."""

from __future__ import annotations

import signal
from pathlib import Path

from harvester.store.engine import database_url, open_writer
from tests.fakehub import FakeHub, Limits, World
from tests.guards.test_migrations import step
from tests.system.conftest import FAST, Harvester, repeated
from tests.system.service import configure, served

QUICK = '[[watch]]\ntarget = "{}"\nevery = "5s"\n'


def test_what_is_watched_is_harvested_again_and_again_until_sigterm(harvester: Harvester, small: FakeHub) -> None:
    configure(harvester.folder, QUICK.format("official"))
    with served(harvester, small) as service:
        service.until("daemon.ready")
        first = service.until("pass.begun")
        assert first["targets"] == ["library/*"]
        service.until("pass.begun")
        small.world.push_tag("library/nginx", "latest")
        pushed = small.world.find("library/nginx")
        assert pushed is not None
        service.until("pass.begun")
        service.until("pass.begun")
        assert service.end() == 0
    assert service.said("daemon.stopping")
    stored = harvester.one("SELECT digest FROM v_tags WHERE full_name = 'library/nginx' AND tag = 'latest'")
    assert stored == pushed.tags["latest"].digest
    assert harvester.one("SELECT count(*) FROM jobs WHERE state = 'running'") == 0
    assert harvester.one("SELECT count(*) FROM repositories") == 10
    assert {entry.status for entry in small.journal} == {200}


def test_a_reload_takes_effect_and_a_bad_file_is_refused_whole(harvester: Harvester, small: FakeHub) -> None:
    file = configure(harvester.folder, QUICK.format("nginx"))
    with served(harvester, small) as service:
        service.until("pass.begun", targets=["library/nginx"])
        file.write_text(QUICK.format("redis") + QUICK.format("alpine").replace("every", "evry"), encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        refused = service.until("config.refused")
        assert "harvester.toml" in refused["reason"]
        assert "evry" in refused["reason"]
        service.until("pass.begun", targets=["library/nginx"])
        file.write_text(QUICK.format("redis"), encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        service.until("config.reloaded")
        taken = service.until("watches.taken_over")
        assert (taken["added"], taken["ended"]) == (1, 1)
        service.until("pass.begun", targets=["library/redis"])
        small.journal.clear()
        service.until("pass.begun", targets=["library/redis"])
        service.until("pass.begun", targets=["library/redis"])
        assert service.end() == 0
    assert all("nginx" not in entry.path for entry in small.journal)
    assert harvester.one("SELECT count(*) FROM v_tags WHERE full_name = 'library/nginx'") > 0, "its rows stay"


def test_a_second_sigterm_hurries(harvester: Harvester) -> None:
    configure(harvester.folder, QUICK.format("official"))
    slow = Limits(hub_per_minute=6)
    with FakeHub(World.small(), limits=slow) as hub, served(harvester, hub) as service:
        service.until("pass.begun")
        service.process.send_signal(signal.SIGTERM)
        service.until("daemon.stopping")
        assert service.end() == 0
    assert harvester.one("SELECT count(*) FROM jobs WHERE state = 'running'") == 0, "given back"


def test_ctrl_c_ends_it_with_130(harvester: Harvester, small: FakeHub) -> None:
    configure(harvester.folder, QUICK.format("nginx"))
    with served(harvester, small) as service:
        service.until("daemon.ready")
        assert service.end(signal.SIGINT) == 130


def test_an_older_database_is_refused_with_3_unless_it_may_migrate(harvester: Harvester, small: FakeHub) -> None:
    configure(harvester.folder, QUICK.format("nginx"))
    assert harvester.run(small, "db", "upgrade").returncode == 0
    engine = open_writer(database_url(str(harvester.database)))
    step(engine, "0004", down=True)
    engine.dispose()
    refused = harvester.run(small, "run")
    assert refused.returncode == 3
    assert "db upgrade" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    with served(harvester, small, "--migrate") as service:
        service.until("pass.begun")
        assert service.end() == 0


def test_wrong_credentials_are_said_and_it_goes_on_anonymously(harvester: Harvester) -> None:
    configure(harvester.folder, QUICK.format("nginx"))
    wrong = {"DOCKERHUB_USERNAME": "anna", "DOCKERHUB_TOKEN": "dckr_pat_wrong"}
    with (
        FakeHub(World.small(), limits=FAST, users={"anna": "dckr_pat_right"}) as hub,
        served(harvester, hub, env=wrong) as service,
    ):
        service.until("credentials.refused")
        service.until("daemon.ready", login=False)
        service.until("pass.begun")
        service.until("pass.begun")
        assert service.end() == 0
        logins = [entry for entry in hub.journal if entry.path == "/v2/auth/token"]
        assert len(logins) == 1, "tried once"
    assert harvester.one("SELECT count(*) FROM v_tags WHERE full_name = 'library/nginx'") > 0
    assert all("dckr_pat_wrong" not in str(line) for line in service.lines)


def test_two_daemons_by_mistake_share_work_and_budget(harvester: Harvester) -> None:
    configure(harvester.folder, '[[watch]]\ntarget = "official"\nevery = "20s"\nlayers = "all"\n')
    with (
        FakeHub(World.small(), limits=Limits(hub_per_minute=600)) as hub,
        served(harvester, hub) as one,
        served(harvester, hub) as other,
    ):
        one.until("daemon.ready")
        other.until("daemon.ready")
        one.wait_for(lambda: harvester.one("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") >= 2)
        assert one.end() == 0
        assert other.end() == 0
        images = [entry.path for entry in hub.requests(host="hub") if entry.path.endswith("/images")]
        assert len(images) == len(set(images)), "no layer is asked for twice"
        assert not [entry for entry in hub.journal if entry.status == 429]
    assert harvester.one("PRAGMA integrity_check") == "ok"


def test_a_daemon_and_a_backfill_ask_nothing_twice(harvester: Harvester) -> None:
    configure(harvester.folder, '[[watch]]\ntarget = "official"\nevery = "24h"\nlayers = "all"\n')
    with FakeHub(World.small(), limits=Limits(hub_per_minute=1200)) as hub, served(harvester, hub) as service:
        service.until("pass.begun")
        done = harvester.run(hub, "backfill", "official", "--layers", "all", "--config", "none.toml")
        assert done.returncode == 2, "a file that is not there"
        done = harvester.run(hub, "backfill", "official", "--layers", "all")
        assert done.returncode == 0, done.stderr
        assert service.end() == 0
        assert not repeated(hub)
    assert harvester.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0


def test_a_reload_that_only_opening_shows_to_be_wrong_is_refused_too(harvester: Harvester, small: FakeHub) -> None:
    file = configure(harvester.folder, QUICK.format("nginx"))
    with served(harvester, small) as service:
        service.until("pass.begun", targets=["library/nginx"])
        file.write_text(QUICK.format("redis") + '[[notify]]\nto = "webhook"\nurl_file = "nowhere"\n', encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        refused = service.until("config.refused")
        assert "nowhere" in refused["reason"]
        service.until("daemon.ready")
        service.until("pass.begun", targets=["library/nginx"])
        assert service.end() == 0
    assert harvester.one("SELECT count(*) FROM watches WHERE target = 'library/redis'") == 0


def test_two_reloads_at_once_of_what_cannot_be_opened_leave_the_old_one_in_force(
    harvester: Harvester, small: FakeHub
) -> None:
    file = configure(harvester.folder, QUICK.format("nginx"))
    with served(harvester, small) as service:
        service.until("pass.begun")
        file.write_text(QUICK.format("redis") + '[[notify]]\nto = "webhook"\nurl_file = "nowhere"\n', encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        service.until("config.reloaded")
        service.process.send_signal(signal.SIGHUP)
        service.until("config.refused")
        service.until("daemon.ready")
        service.until("pass.begun", targets=["library/nginx"])
        assert service.end() == 0
    assert len(service.said("config.reloaded")) == 2


def test_a_reload_during_the_start_waits_for_it(harvester: Harvester, small: FakeHub) -> None:
    configure(harvester.folder, QUICK.format("nginx"))
    assert harvester.run(small, "db", "upgrade").returncode == 0
    engine = open_writer(database_url(str(harvester.database)))
    with served(harvester, small) as service:
        blocked = Path(f"/proc/{service.process.pid}/status")
        with engine.begin():
            service.wait_for(lambda: "SigBlk:\t0000000000000001" in blocked.read_text())
            service.process.send_signal(signal.SIGHUP)
        service.until("config.reloaded")
        service.until("pass.begun")
        assert service.end() == 0
    engine.dispose()


def test_a_far_end_that_is_away_is_said_once_and_waited_for(harvester: Harvester) -> None:
    configure(harvester.folder, QUICK.format("nginx"))
    with FakeHub(World.small(), limits=FAST) as hub:
        ports = hub.environment()
    with served(harvester, None, env=ports) as service:
        away = service.until("far_end.away")
        assert away["in_s"] > 0
        assert service.end() == 0
    assert len(service.said("far_end.away")) == 1


def test_where_nothing_is_watched_it_says_in_which_file(harvester: Harvester) -> None:
    missing = harvester.run(None, "run")
    assert missing.returncode == 2
    assert "to harvester.toml, which is not there" in missing.stderr
    configure(harvester.folder, 'contact = "me@example.org"\n')
    assert harvester.run(None, "run").stderr.rstrip().endswith("with a `target` to harvester.toml")
