"""The limiter as the transport asks it: waits, refusals, readings, several instances on one file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Engine

from harvester.errors import Denied, Throttled
from harvester.limiter import Limiter
from harvester.store.buckets import BURST, FIRST_BLOCK_S, PATIENCE_S, Pace
from harvester.store.writer import Writer
from harvester.wire.permits import Budget, Reading
from tests.store.clocks import LoneClock, ManualClock
from tests.store.database import Database

pytestmark = pytest.mark.anyio

PACES: dict[Budget, Pace] = {"hub": Pace(150, 60.0, share=0.98), "pulls": Pace(0, 3600.0, ceiling=0)}


@pytest.fixture
def clock() -> ManualClock:
    return LoneClock()


async def opened(writer: Writer, clock: ManualClock, paces: dict[Budget, Pace] | None = None) -> Limiter:
    limiter = Limiter(writer=writer, clock=clock, paces=paces or PACES, identity="anonymous")
    await limiter.open()
    return limiter


@pytest.fixture
async def limiter(writer: Writer, clock: ManualClock) -> Limiter:
    return await opened(writer, clock)


@pytest.fixture
async def second_writer(engine: Engine, clock: ManualClock) -> AsyncIterator[Writer]:
    writer = Writer(engine, clock, "second")
    yield writer
    await asyncio.to_thread(writer.close)


async def sent_at(clock: ManualClock, seconds: float, *limiters: Limiter) -> list[float]:
    """When requests went out, asked for in turns and without a pause for that long."""
    start, sent = clock.elapsed, list[float]()
    while clock.elapsed - start < seconds:
        for limiter in limiters:
            try:
                await limiter.take("hub")
            except Throttled as refusal:
                clock.advance(min(refusal.retry_after, seconds))
            else:
                sent.append(clock.elapsed - start)
    return [at for at in sent if at < seconds]


async def test_twenty_go_out_at_once_and_the_rest_evenly(limiter: Limiter, clock: ManualClock) -> None:
    times = await sent_at(clock, 20, limiter)
    assert times[: BURST + 1] == [pytest.approx(0.0, abs=0.001)] * BURST + [pytest.approx(0.4, abs=0.001)]
    gaps = [after - before for before, after in zip(times[BURST:], times[BURST + 1 :], strict=False)]
    assert gaps == [pytest.approx(0.4, abs=0.01)] * len(gaps)


async def test_two_limiters_on_one_file_never_go_over_the_cap_together(
    limiter: Limiter, second_writer: Writer, clock: ManualClock
) -> None:
    times = await sent_at(clock, 59.9, limiter, await opened(second_writer, clock))
    assert 148 <= len(times) <= 150


async def test_restarts_do_not_go_over_the_cap(writer: Writer, clock: ManualClock) -> None:
    times: list[float] = []
    while (start := clock.elapsed) < 60:
        times += [start + at for at in await sent_at(clock, 6, await opened(writer, clock))]
    assert 140 <= sum(1 for at in times if at < 60) <= 150


async def test_a_short_wait_is_slept_and_a_long_one_is_a_refusal(limiter: Limiter, clock: ManualClock) -> None:
    await limiter.close(("hub",), PATIENCE_S - 0.1, "soon")
    await limiter.take("hub")
    assert clock.elapsed == pytest.approx(PATIENCE_S - 0.1)
    await limiter.close(("hub",), PATIENCE_S + 0.1, "later")
    with pytest.raises(Throttled, match="later") as refusal:
        await limiter.take("hub")
    assert refusal.value.retry_after == pytest.approx(PATIENCE_S + 0.1)
    assert refusal.value.budget == "hub"
    assert clock.elapsed == pytest.approx(PATIENCE_S - 0.1), "nobody slept on it"


async def test_a_closure_is_seen_by_another_process_and_after_a_restart(
    limiter: Limiter, second_writer: Writer, clock: ManualClock
) -> None:
    other = await opened(second_writer, clock)
    await other.take("hub")
    await limiter.close(("hub",), 3600, "429")
    for one in (other, await opened(second_writer, clock)):
        with pytest.raises(Throttled) as refusal:
            await one.take("hub")
        assert refusal.value.retry_after == pytest.approx(3600)


async def test_a_block_discards_what_was_fetched_ahead(writer: Writer, clock: ManualClock) -> None:
    limiter = await opened(writer, clock, {"hub": Pace(60_000, 60.0)})
    for _ in range(BURST + 5):
        await limiter.take("hub")
    assert await limiter.block(("hub",), "edge") == FIRST_BLOCK_S
    with pytest.raises(Throttled):
        await limiter.take("hub")


async def test_pulls_of_nothing_let_nothing_out(limiter: Limiter) -> None:
    with pytest.raises(Denied) as refusal:
        await limiter.take("pulls")
    assert refusal.value.budget == "pulls"
    await limiter.take("hub")


async def test_pulls_of_nothing_let_nothing_out_although_an_earlier_run_was_told_of_some(
    writer: Writer, clock: ManualClock
) -> None:
    before = await opened(writer, clock, {"pulls": Pace(50, 3600.0, share=0.5)})
    await before.take("pulls")
    before.observe("pulls", Reading(limit=100, remaining=99, window_s=21_600.0))
    await before.flush()
    after = await opened(writer, clock, {"pulls": Pace(0, 3600.0, ceiling=0)})
    with pytest.raises((Denied, Throttled)):
        await after.take("pulls")


async def test_a_reading_lowers_the_pace_at_the_next_request(limiter: Limiter, db: Database) -> None:
    await limiter.take("hub")
    limiter.observe("hub", Reading(limit=60, remaining=59, window_s=60.0, resets_in_s=60.0))
    await limiter.take("hub")
    assert db.one("SELECT cap, source FROM budgets WHERE budget = 'hub'") == (58, "header")


async def test_readings_that_no_request_carried_are_written_down_at_the_end(limiter: Limiter, db: Database) -> None:
    limiter.observe("hub", Reading(limit=60, remaining=0, window_s=60.0, resets_in_s=30.0))
    await limiter.flush()
    assert db.value("SELECT not_before FROM budgets WHERE budget = 'hub'") > 0


async def test_a_reading_counts_from_the_moment_at_which_it_came(limiter: Limiter, clock: ManualClock) -> None:
    await limiter.take("hub")
    limiter.observe("hub", Reading(limit=180, remaining=0, window_s=60.0, resets_in_s=5.0))
    clock.advance(9)
    await limiter.take("hub")
    assert clock.elapsed == pytest.approx(9), "the window that was spent is over by now"


async def test_many_who_ask_at_once_are_served_in_turn_and_none_twice(
    limiter: Limiter, db: Database, clock: ManualClock
) -> None:
    await asyncio.gather(*[limiter.take("hub") for _ in range(25)])
    assert db.value("SELECT spent FROM budgets WHERE budget = 'hub'") == 25
    assert clock.elapsed >= 5 * 0.4 - 0.01


async def test_permits_fetched_ahead_and_not_used_are_given_up(writer: Writer, clock: ManualClock) -> None:
    limiter = await opened(writer, clock, {"hub": Pace(6000, 60.0)})
    for _ in range(50):
        await limiter.take("hub")
    clock.advance(5)
    start = clock.elapsed
    for _ in range(BURST + 100):
        await limiter.take("hub")
    assert clock.elapsed - start >= 0.9, "what was saved up is twenty, not twenty and the block"


async def test_a_clock_set_back_two_hours_stalls_nobody(limiter: Limiter, clock: ManualClock) -> None:
    await sent_at(clock, 30, limiter)
    clock.set_wall(clock.time() - 7200)
    start = clock.elapsed
    await limiter.take("hub")
    assert clock.elapsed - start <= PATIENCE_S
