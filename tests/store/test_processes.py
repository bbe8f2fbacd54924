"""Who works on the database, and that its schema is not changed under them."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from harvester.errors import SchemaMismatch, StoreError
from harvester.store import migrate, processes
from harvester.store.processes import Process
from tests.store.clocks import DAY, ManualClock
from tests.store.database import Database

OWNER = "alpha:123:0a1b2c3d"
OTHER = "fe80::1:77:ffffffff"


def announce(db: Database, owner: str = OWNER, name: str = "run", version: str = "0.1.0") -> None:
    with db.engine.begin() as connection:
        processes.announce(connection, owner, name, version, db.now)


def at_work(db: Database) -> list[Process]:
    with db.reader.begin() as connection:
        return processes.at_work(connection, db.now)


def renew(db: Database, owner: str = OWNER) -> bool:
    with db.engine.begin() as connection:
        return processes.renew(connection, owner, db.now)


def step_down(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).resolve().parents[2] / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_who_is_announced_is_at_work_until_it_leaves(db: Database) -> None:
    announce(db)
    announce(db, OTHER, "backfill")
    first, second = at_work(db)
    assert (first.command, first.version, first.host, first.pid) == ("run", "0.1.0", "alpha", "123")
    assert (second.command, second.host, second.pid) == ("backfill", "fe80::1", "77")
    assert first.started_at == first.seen_at == db.now.text
    with db.engine.begin() as connection:
        processes.leave(connection, OWNER)
    assert [one.owner for one in at_work(db)] == [OTHER]


def test_who_does_not_renew_counts_for_a_minute_and_who_does_for_ever(db: Database, clock: ManualClock) -> None:
    announce(db)
    announce(db, OTHER)
    began = db.now.text
    for _ in range(7):
        clock.advance(10)
        assert renew(db)
    assert [one.owner for one in at_work(db)] == [OWNER]
    assert at_work(db)[0].started_at == began
    clock.advance(60)
    assert [one.owner for one in at_work(db)] == [OWNER]
    clock.advance(1)
    assert at_work(db) == []


def test_what_was_written_before_the_clock_was_set_back_does_not_count(db: Database, clock: ManualClock) -> None:
    announce(db)
    clock.set_wall(clock.time() - 60)
    assert len(at_work(db)) == 1
    clock.set_wall(clock.time() - 1)
    assert at_work(db) == []
    assert renew(db)
    assert len(at_work(db)) == 1


@pytest.mark.parametrize("seconds", [DAY + 1, -DAY - 1])
def test_rows_that_were_not_seen_for_a_day_go_when_the_next_one_comes(
    db: Database, clock: ManualClock, seconds: int
) -> None:
    announce(db)
    clock.set_wall(clock.time() + (seconds - 1 if seconds > 0 else seconds + 1))
    announce(db, OTHER)
    assert db.value("SELECT count(*) FROM processes") == 2
    clock.set_wall(clock.time() + (1 if seconds > 0 else -1))
    announce(db, OTHER)
    assert db.all("SELECT owner FROM processes") == [(OTHER,)]
    assert not renew(db), "who was forgotten is told so"


def test_an_upgrade_is_refused_while_another_version_works(db: Database, clock: ManualClock) -> None:
    announce(db, version="0.0.9")
    with pytest.raises(StoreError) as refusal:
        migrate.upgrade(db.engine, clock, version="0.1.0")
    assert not isinstance(refusal.value, SchemaMismatch)
    for word in ("`harvester run` 0.0.9", "host alpha", "pid 123", "version 0.1.0", "stop that first"):
        assert word in refusal.value.message
    assert migrate.upgrade(db.engine, clock, version="0.0.9") is None
    assert migrate.upgrade(db.engine, clock) is None, "who only works on it changes nothing"
    clock.advance(61)
    assert migrate.upgrade(db.engine, clock, version="0.1.0") is None


def test_a_migration_waits_for_everybody_of_whatever_version(
    db: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(db, version="0.1.0")
    monkeypatch.setattr(migrate, "HEAD", "0006")
    for version in (None, "0.1.0", "0.2.0"):
        with pytest.raises(SchemaMismatch, match=r"at revision 0005, older than .* 0006.*`harvester run` 0\.1\.0"):
            migrate.upgrade(db.engine, clock, version=version)
    assert db.value("SELECT version_num FROM alembic_version") == "0005"


def test_a_database_that_knows_no_processes_is_upgraded(db: Database, clock: ManualClock) -> None:
    step_down(db.engine, "0004")
    assert db.all("SELECT name FROM sqlite_master WHERE name = 'processes'") == []
    assert migrate.upgrade(db.engine, clock, version="9") == "upgraded"
    assert at_work(db) == []


def test_a_database_of_a_newer_program_is_named_so(db: Database, clock: ManualClock) -> None:
    db.run("UPDATE alembic_version SET version_num = '0042'")
    with pytest.raises(SchemaMismatch, match=r"0042, newer than this program's 0005; upgrade harvester"):
        migrate.upgrade(db.engine, clock)
