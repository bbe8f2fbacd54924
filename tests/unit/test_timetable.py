"""Duties: done at once and again, however one of them ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from harvester.errors import StoreUnusable
from harvester.timetable import Duty, Timetable


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


async def test_each_duty_is_done_when_it_starts_and_when_the_clock_has_jumped() -> None:
    done: asyncio.Queue[str] = asyncio.Queue()
    timetable = Timetable([Duty(name, 3600.0, lambda name=name: done.put(name)) for name in ("one", "two")])  # type: ignore[misc]
    timetable.start()
    try:
        async with asyncio.timeout(20):
            assert sorted([await done.get(), await done.get()]) == ["one", "two"]
            timetable.set_right()
            assert sorted([await done.get(), await done.get()]) == ["one", "two"]
    finally:
        timetable.stop()
    timetable.stop()


async def test_a_duty_that_fails_is_said_and_ends_nothing() -> None:
    async def locked() -> None:
        raise StoreUnusable("the database cannot be written: it is locked")

    async def mistaken() -> None:
        raise KeyError("nothing")

    with capture_logs() as lines:
        sweep = Duty("sweep", 1.0, locked)
        await sweep.once()
        await sweep.once()
        await Duty("tidy", 1.0, mistaken).once()
    assert [(line["event"], line["duty"], line["log_level"]) for line in lines] == [
        ("duty.put_off", "sweep", "warning"),
        ("duty.failed", "tidy", "error"),
    ]
    assert lines[0]["reason"] == "the database cannot be written: it is locked"


async def test_a_duty_that_is_still_under_way_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    begun: asyncio.Queue[None] = asyncio.Queue()

    async def act() -> None:
        await begun.put(None)
        await asyncio.Event().wait()

    timetable = Timetable([Duty("slow", 1.0, act), Duty("quick", 1.0, lambda: begun.put(None))])
    timetable.start()
    # By the third time of the quick one, the slow one has been due again.
    for _ in range(4):
        await begun.get()
    timetable.stop()
    assert not caplog.records


@pytest.mark.anyio
async def test_what_is_stopped_twice_or_told_of_a_clock_that_jumped_raises_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = asyncio.Event()

    async def act() -> None:
        begun.set()
        await asyncio.Event().wait()

    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    timetable = Timetable([Duty("slow", 3600.0, act)])
    timetable.start()
    timetable.set_right()
    await begun.wait()
    timetable.stop()
    timetable.stop()
    for _ in range(5):
        await asyncio.sleep(0)
    timetable.set_right()
    assert not raised
    assert not caplog.records, "a duty that was cut short is no error"
