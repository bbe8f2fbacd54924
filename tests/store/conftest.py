"""One migrated database per session; each test works on a copy of the file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from harvester.store import migrate
from harvester.store.engine import database_url, open_reader, open_writer
from harvester.store.writer import Writer
from tests.store.clocks import ManualClock
from tests.store.database import OWNER, Database


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    engine = open_writer(database_url(str(path)))
    migrate.upgrade(engine)
    engine.dispose()
    assert not path.with_name("template.db-wal").exists(), "the copy would miss what is in the log"
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(template, tmp_path / "harvester.db"))


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_writer(database_url(str(path)))
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def db(path: Path, engine: Engine, clock: ManualClock) -> Iterator[Database]:
    reader = open_reader(engine.url)
    yield Database(path, engine, reader, clock)
    reader.dispose()


@pytest.fixture
def writer(engine: Engine, clock: ManualClock) -> Iterator[Writer]:
    writer = Writer(engine, clock, OWNER)
    yield writer
    writer.close()
