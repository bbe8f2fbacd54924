"""A server that ends connections, or whose lock another holds: what was not committed is said to be so, and the next try works."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from harvester.errors import StoreUnusable
from harvester.store import server
from harvester.store.engine import database_url, open_writer
from harvester.store.writer import Writer
from tests.store.clocks import ManualClock

ADD = "INSERT INTO walls VALUES ('tags', 'anonymous', 1000, '2026-11-20T16:00:00Z')"
END_ME = "SELECT pg_terminate_backend(pg_backend_pid())"
ENDS_AT_COMMIT = (
    "CREATE FUNCTION end_me() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid());"
    " RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER end_me AFTER INSERT ON walls DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION end_me()",
)


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    """A writer with connections of its own."""
    own = open_writer(database_url(url))
    writer = Writer(own, ManualClock(), "one")
    yield writer
    writer.close()
    own.dispose()


def walls(engine: Engine) -> int:
    with engine.begin() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM walls").scalar_one())


def add(connection: Connection) -> None:
    connection.exec_driver_sql(ADD)


def add_and_end(connection: Connection) -> None:
    add(connection)
    connection.exec_driver_sql(END_ME)


@pytest.mark.parametrize("at_commit", [False, True])
def test_a_transaction_whose_connection_is_lost_has_not_been_and_the_next_one_is(
    engine: Engine, writer: Writer, at_commit: bool
) -> None:
    if at_commit:
        with engine.begin() as connection:
            for statement in ENDS_AT_COMMIT:
                connection.exec_driver_sql(statement)

    async def lose() -> None:
        with pytest.raises(StoreUnusable, match="the database cannot be written: "):
            await writer.call(add if at_commit else add_and_end)
        assert walls(engine) == 0
        if at_commit:
            with engine.begin() as connection:
                connection.exec_driver_sql("DROP TRIGGER end_me ON walls")
        await writer.call(add)

    asyncio.run(lose())
    assert walls(engine) == 1


def test_a_server_that_only_reads_now_is_no_fault_of_a_row(engine: Engine, writer: Writer) -> None:
    def add_where_nothing_may(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        add(connection)

    async def refused() -> None:
        with pytest.raises(StoreUnusable, match=r"the database cannot be written: .*read-only transaction"):
            await writer.call(add_where_nothing_may)
        await writer.call(add)

    asyncio.run(refused())
    assert walls(engine) == 1


def test_who_writes_waits_longer_than_one_time_out_for_another(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The writer connects when it is first asked for something.
    monkeypatch.setattr(server, "LOCK_TIMEOUT_MS", 50)

    async def wait() -> None:
        with engine.begin() as connection:
            added = asyncio.ensure_future(writer.call(add))
            done, _ = await asyncio.wait([added], timeout=0.5)
            assert not done
            assert connection.exec_driver_sql("SELECT count(*) FROM walls").scalar_one() == 0
        await added

    asyncio.run(wait())
    assert walls(engine) == 1
