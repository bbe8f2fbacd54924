"""A server for all tests here, and a migrated database for each; without a server they are skipped, and say why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from harvester.store import migrate
from harvester.store.engine import database_url, open_writer
from tests.postgres.cluster import Cluster, NoServer, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    try:
        with running() as found:
            yield found
    except NoServer as reason:
        pytest.skip(f"no PostgreSQL to test with: {reason}")


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    """A database with the whole schema: a copy costs less than migrating."""
    name = cluster.create()
    engine = open_writer(database_url(cluster.url(name)))
    migrate.upgrade(engine)
    engine.dispose()
    return name


@pytest.fixture
def name(cluster: Cluster, template: str) -> str:
    """An empty database with the whole schema."""
    return cluster.create(template=template)


@pytest.fixture
def url(cluster: Cluster, name: str) -> str:
    return cluster.url(name)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_writer(database_url(url))
    yield engine
    engine.dispose()
