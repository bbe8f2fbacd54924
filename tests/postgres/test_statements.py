"""Every statement of the store is one that the server understands, and what runs all the time finds its rows by an index."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.dialects import postgresql

from harvester import store
from harvester.store import migrate
from harvester.store.engine import database_url, open_writer
from harvester.store.statements import Statement
from tests.guards import seeded
from tests.guards.acts import ACTS
from tests.guards.plans import BIG
from tests.postgres.cluster import Cluster
from tests.postgres.copying import copy

ROWS = 300
FOR_FILES = {"sqlite"}
"""Keys of what is written once for each sort of database; that of SQLite is none of a server's."""


def statements() -> dict[str, Statement]:
    """Every statement that a module of the store holds, by its place."""
    found: dict[str, Statement] = {}
    for module in pkgutil.iter_modules(store.__path__):
        if module.name == "server_values":
            continue
        for name, value in vars(importlib.import_module(f"harvester.store.{module.name}")).items():
            found |= {f"{module.name}.{place}": one for place, one in _within(name, value)}
    return found


def _within(name: str, value: object) -> Iterator[tuple[str, Statement]]:
    if isinstance(value, Statement):
        yield name, value
    elif isinstance(value, dict):
        for key, one in value.items():
            if key not in FOR_FILES:
                yield from _within(f"{name}[{key}]", one)
    elif isinstance(value, tuple | list):
        for place, one in enumerate(value):
            yield from _within(f"{name}[{place}]", one)


STATEMENTS = statements()


@pytest.fixture(scope="module")
def filled(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database with rows in every table."""
    path = tmp_path_factory.mktemp("filled") / "harvester.db"
    lite = open_writer(database_url(str(path)))
    migrate.upgrade(lite)
    seeded.fill(str(path), ROWS)
    engine = open_writer(database_url(cluster.url(cluster.create(template=template))))
    copy(lite, engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    yield engine
    lite.dispose()
    engine.dispose()


def test_the_statements_are_found() -> None:
    assert len(STATEMENTS) > 200
    assert {"queue._ADD", "answers._MATCHING", "answers._PLACES_OF[postgresql]"} <= STATEMENTS.keys()


@pytest.mark.parametrize("place", STATEMENTS)
def test_the_server_plans_it_whatever_its_parameters_are(filled: Engine, place: str) -> None:
    """Each parameter without a value, so that the server has to know its type by itself, as it has to where it is null."""
    statement = STATEMENTS[place]
    dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    sql = str(text(statement._sql).compile(dialect=dialect))
    nulls = ", ".join(["NULL"] * len(statement._parameters))
    with filled.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(f"PREPARE asked AS {sql}".encode())
        driver.execute(f"EXPLAIN EXECUTE asked{f'({nulls})' if nulls else ''}")
        driver.rollback()
        driver.execute("DEALLOCATE ALL")
        driver.commit()


@pytest.fixture
def connection(filled: Engine) -> Iterator[Connection]:
    """A transaction of which the server tells every plan, and that leaves nothing behind."""
    with filled.connect() as connection, connection.begin() as transaction:
        try:
            connection.exec_driver_sql("LOAD 'auto_explain'")
        except Exception as error:
            pytest.skip(f"this server tells no plans: {error}")
        for setting in (
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_level = 'log'",
            "client_min_messages = 'log'",
            # A few hundred rows are read faster than an index: this shows whether there is one that would do.
            "enable_seqscan = off",
            "jit = off",
        ):
            connection.exec_driver_sql(f"SET LOCAL {setting}")
        yield connection
        transaction.rollback()


READS_ALL = {"events since then": "`v_events` compares instants as the text that it shows"}
"""What has no index to go by on a server, and why that is so."""


@pytest.mark.parametrize("act", sorted(ACTS.keys() - READS_ALL.keys()))
def test_what_runs_all_the_time_can_be_answered_by_an_index(connection: Connection, act: str) -> None:
    plans: list[str] = []
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.add_notice_handler(lambda notice: plans.append(notice.message_primary))
    do, _ = ACTS[act]
    do(connection)
    # The last plan is told when the next statement comes.
    connection.exec_driver_sql("SELECT 1")
    assert plans
    scanned = [(table, plan) for plan in plans for table in re.findall(r"Seq Scan on (\w+)", plan) if table in BIG]
    assert scanned == [], scanned[0][1]
