"""A delivery on a test's database, under a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Engine

from harvester.config import Settings
from harvester.delivery import Delivery, opened
from harvester.notify import Notify
from harvester.store.writer import Writer
from tests.store.clocks import LoneClock
from tests.store.database import OWNER, Database
from tests.store.delivery.deliveries import Open
from tests.store.makers import seen, tag, tags


@pytest.fixture
def clock() -> LoneClock:
    return LoneClock()


@pytest.fixture
def known(db: Database) -> Database:
    """Two tags of nginx, and no event yet."""
    db.keep(seen(), tags(tag("1.27", 1), tag("1.28", 2)))
    return db


@pytest.fixture
def deliver(known: Database, engine: Engine, clock: LoneClock) -> Open:
    """A process of its own, as it were: opens the receivers, and enrols them."""

    @asynccontextmanager
    async def opening(*notify: Notify) -> AsyncIterator[Delivery]:
        writer = Writer(engine, clock, OWNER)
        try:
            async with opened(Settings(notify=notify, contact="ops"), writer, known.reader, clock) as delivery:
                await delivery.enrol()
                yield delivery
        finally:
            writer.close()

    return opening
