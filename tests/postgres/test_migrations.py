"""Migrations on a server: the same schema as the models, every step down and up again with rows in it, two at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, func, select

from harvester.errors import ConfigError, SchemaMismatch
from harvester.store import migrate
from harvester.store.engine import database_url, open_reader, open_writer
from harvester.store.tables import Base
from harvester.store.views import views
from tests.guards import seeded
from tests.guards.test_migrations import revisions, step
from tests.postgres.cluster import Cluster
from tests.postgres.copying import copy

# Name and definition of all that people and statements see.
_SCHEMA = """
    SELECT 'column ' || table_name || '.' || column_name,
        data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '') FROM information_schema.columns
        WHERE table_schema = 'public'
    UNION ALL SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'view ' || viewname, definition FROM pg_views WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
"""


def schema(engine: Engine) -> dict[str, str]:
    """All that the database defines, but for Alembic's own table."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(_SCHEMA).all()
    return {name: what for name, what in rows if "alembic" not in name}


def counts(connection: Connection) -> dict[str, int]:
    """Rows of every table that is there."""
    there = {
        row[0] for row in connection.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    }
    tables = [table for table in Base.metadata.sorted_tables if table.name in there]
    return {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Engine]:
    path = tmp_path / "harvester.db"
    engine = open_writer(database_url(str(path)))
    migrate.upgrade(engine)
    seeded.fill(str(path), 40)
    yield engine
    engine.dispose()


@pytest.fixture
def modelled(cluster: Cluster) -> Iterator[Engine]:
    """A database in which nothing is made yet."""
    engine = open_writer(database_url(cluster.url(cluster.create())))
    yield engine
    engine.dispose()


def test_an_upgraded_database_equals_the_models(engine: Engine, modelled: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    Base.metadata.create_all(modelled)
    for name, select_ in views("postgresql").items():
        with modelled.begin() as connection:
            connection.exec_driver_sql(f"CREATE VIEW {name} AS {select_}")
    expected, found = schema(modelled), schema(engine)
    assert {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)} == set()


def test_every_step_goes_down_and_up_again_with_rows_in_it(engine: Engine, lite: Engine) -> None:
    copy(lite, engine)
    before = schema(engine)
    with engine.connect() as connection:
        rows = counts(connection)
    assert set(rows) == set(Base.metadata.tables)
    assert all(rows.values())
    for revision in [*revisions()[-2::-1], "base"]:
        step(engine, revision, down=True)
        with engine.connect() as connection:
            assert migrate.current(connection) == (None if revision == "base" else revision)
            with pytest.raises(SchemaMismatch):
                migrate.check(connection)
            rows = {table: number for table, number in rows.items() if table in counts(connection)}
        if revision != "base":
            assert migrate.upgrade(engine) == "upgraded"
            assert schema(engine) == before
            with engine.connect() as connection:
                assert rows.items() <= counts(connection).items()
            step(engine, revision, down=True)
    assert schema(engine) == {}
    assert migrate.upgrade(engine) == "created"
    assert schema(engine) == before


def test_two_processes_that_upgrade_a_new_database_at_once_both_succeed(cluster: Cluster) -> None:
    url = cluster.url(cluster.create())
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert sorted(pool.map(upgraded, [url, url]), key=str) == [None, "created"]


def upgraded(url: str) -> str | None:
    """What had to be done."""
    engine = open_writer(database_url(url))
    try:
        return migrate.upgrade(engine)
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LC_COLLATE 'C' LC_CTYPE 'C'", "by the rules of ICU"),
        ("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'", "holds text as SQL_ASCII"),
    ],
)
def test_a_database_that_does_not_compare_bytes_is_refused_before_anything_is_made(
    cluster: Cluster, how: str, says: str
) -> None:
    import psycopg

    try:
        name = cluster.create(how)
    except psycopg.Error as error:
        pytest.skip(f"this server cannot have such a database: {error}")
    for opened in (open_writer, open_reader):
        engine = opened(database_url(cluster.url(name)))
        with pytest.raises(ConfigError, match=rf"{says}.*CREATE DATABASE .*LC_COLLATE 'C'.*TEMPLATE template0"):
            engine.connect()
        engine.dispose()
    with cluster.connect(name) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall() == [(0,)]


def test_a_reader_cannot_write(url: str) -> None:
    reader = open_reader(database_url(url))
    with reader.begin() as connection, pytest.raises(Exception, match="read-only transaction"):
        connection.exec_driver_sql("DELETE FROM jobs")
    reader.dispose()
