"""APScheduler works in silence: what holds a duty up says so itself."""

from __future__ import annotations

import logging

import pytest

from harvester.timetable import Duty, Timetable


@pytest.mark.anyio
async def test_a_duty_that_is_still_under_way_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        raise AssertionError("never begun")

    timetable = Timetable([Duty("slow", 3600.0, act)])
    logging.getLogger("apscheduler.scheduler").warning("skipped: maximum number of running instances reached")
    logging.getLogger("apscheduler.scheduler").error("something is wrong")
    timetable.stop()
    assert [record.message for record in caplog.records] == ["something is wrong"]
