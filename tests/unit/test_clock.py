"""Instants as text, and the two clocks."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.clock import Clock, SystemClock, instant, seconds_of
from harvester.store.moment import Moment
from tests.unit.clocks import NOON, ManualClock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (0.999_999, "1970-01-01T00:00:00Z"),
        (NOON, "2026-11-20T16:00:00Z"),
        (NOON + 0.999, "2026-11-20T16:00:00Z"),
        (NOON + 1, "2026-11-20T16:00:01Z"),
        (1_709_164_800, "2024-02-29T00:00:00Z"),
        (2**31, "2038-01-19T03:14:08Z"),
        (2**32, "2106-02-07T06:28:16Z"),
    ],
)
def test_an_instant_is_utc_in_whole_seconds_truncated(seconds: float, text: str) -> None:
    assert instant(seconds) == text
    assert seconds_of(text) == int(seconds)
    assert Moment.of(seconds) == Moment(int(seconds), text)


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Pacific/Kiritimati"])
def test_the_machines_time_zone_changes_no_instant(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert instant(NOON) == "2026-11-20T16:00:00Z"
        assert seconds_of("2026-11-20T16:00:00Z") == NOON
    finally:
        monkeypatch.undo()
        time.tzset()


SECONDS = st.integers(min_value=0, max_value=253_402_300_799)


@given(SECONDS, SECONDS)
def test_instants_come_back_and_sort_as_text_as_they_do_in_time(one: int, other: int) -> None:
    assert seconds_of(instant(one)) == one
    assert (instant(one) < instant(other)) == (one < other)
    assert len(instant(one)) == 20


def test_the_systems_clock_tells_the_machines_time() -> None:
    clock: Clock = SystemClock()
    before = time.time()
    assert before <= clock.time() <= time.time()
    ticks = clock.monotonic()
    asyncio.run(clock.sleep(0))
    assert clock.monotonic() >= ticks


def test_a_manual_clock_moves_only_when_told() -> None:
    manual = ManualClock()
    clock: Clock = manual
    assert (clock.time(), clock.monotonic()) == (NOON, 0.0)
    manual.advance(60)
    asyncio.run(clock.sleep(2.5))
    assert (clock.time(), clock.monotonic()) == (NOON + 62.5, 62.5)
