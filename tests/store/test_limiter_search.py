"""Search in the limiter: one budget with the Hub's until headers show that it has its own."""

from __future__ import annotations

import pytest

from harvester.errors import Throttled
from harvester.limiter import Limiter
from harvester.store import reads
from harvester.store.buckets import Pace
from harvester.store.writer import Writer
from harvester.wire.permits import Budget, Reading
from tests.store.clocks import LoneClock, ManualClock
from tests.store.database import Database

pytestmark = pytest.mark.anyio

PACES: dict[Budget, Pace] = {
    "hub": Pace(150, 60.0, share=0.98),
    "search": Pace(150, 60.0, share=0.98, only_if_told=True),
}


@pytest.fixture
def clock() -> ManualClock:
    return LoneClock()


@pytest.fixture
async def limiter(writer: Writer, clock: ManualClock) -> Limiter:
    limiter = Limiter(writer=writer, clock=clock, paces=PACES, identity="anonymous")
    await limiter.open()
    return limiter


async def search(limiter: Limiter, limit: int, remaining: int) -> None:
    for budget in ("hub", "search"):
        await limiter.take(budget)
    limiter.ended(("hub", "search"))
    limiter.observe("search", Reading(limit=limit, remaining=remaining, resets_in_s=60.0))


async def detail(limiter: Limiter, remaining: int) -> None:
    await limiter.take("hub")
    limiter.ended(("hub",))
    limiter.observe("hub", Reading(limit=180, remaining=remaining, resets_in_s=60.0))


async def test_search_with_the_hubs_limit_corrects_the_hubs_bucket(limiter: Limiter, db: Database) -> None:
    await detail(limiter, 179)
    await search(limiter, 180, 178)
    await limiter.flush()
    row = "SELECT counted, answered, source FROM budgets WHERE budget = ?"
    assert db.one(row, "hub") == (2, 2, "header")
    assert db.one(row, "search") == (0, 0, "configuration")
    with db.reader.begin() as connection:
        assert [one.budget for one in reads.budgets(connection)] == ["hub"]


async def test_search_with_another_limit_has_a_bucket_of_its_own_and_counts_in_the_hubs(
    limiter: Limiter, db: Database
) -> None:
    await detail(limiter, 179)
    await search(limiter, 30, 29)
    await search(limiter, 30, 28)
    await limiter.flush()
    row = "SELECT limit_count, counted, spent, answered FROM budgets WHERE budget = ?"
    assert db.one(row, "hub") == (180, 1, 3, 3)
    assert db.one(row, "search")[:2] == (30, 2)
    with db.reader.begin() as connection:
        assert [one.budget for one in reads.budgets(connection)] == ["hub", "search"]


async def test_a_refused_search_closes_the_hub_while_they_are_one(limiter: Limiter) -> None:
    await detail(limiter, 179)
    await search(limiter, 180, 178)
    await limiter.close(("search",), 60, "429")
    with pytest.raises(Throttled):
        await limiter.take("hub")


async def test_a_refused_search_closes_search_alone_where_it_has_its_own_limit(limiter: Limiter) -> None:
    await detail(limiter, 179)
    await search(limiter, 30, 0)
    await limiter.close(("search",), 60, "429")
    await limiter.take("hub")
    with pytest.raises(Throttled) as refusal:
        await limiter.take("search")
    assert refusal.value.budget == "search"


async def test_a_search_that_is_refused_before_the_hub_was_heard_closes_the_hub(limiter: Limiter) -> None:
    await search(limiter, 600, 0)
    await limiter.close(("search",), 60, "429")
    with pytest.raises(Throttled):
        await limiter.take("hub")
