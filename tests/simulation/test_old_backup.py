"""A backup of a week ago put in place: what the daemon then says of the days that it does not know, in virtual time."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harvester.clock import instant, seconds_of
from harvester.composition import open_store
from harvester.config import Settings
from harvester.daemon import Daemon
from harvester.doctor import examine
from harvester.store.upkeep import back_up
from harvester.systemd import Notifier
from harvester.timetable import Duty
from harvester.watch import watches
from tests.fakehub import FakeHub, Limits, World
from tests.fakehub.synthetic import build
from tests.simulation.far_end import Distance, far_end
from tests.simulation.virtual import START, VirtualClock, virtually
from tests.store.clocks import ManualClock
from tests.trials.service_week import LoopTimetable

DAY_S = 86_400.0
COPIED, RESTORED, END = 0.75 * DAY_S, 8 * DAY_S, 8.75 * DAY_S
"""Seconds after the start: when the backup was made, when it was put in place, when the days end."""

WEB = "acme/web"


class Unhurried(LoopTimetable):
    """Everything in its turn, but less often: days pass sooner."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        super().__init__([replace(duty, every_s=60 * duty.every_s) for duty in duties])


class Days:
    """The database that was restored, and that which was lost."""

    def __init__(self, folder: Path) -> None:
        self.lost, self.restored = folder / "lost.db", folder / "restored.db"
        self.hub: FakeHub = far_end(Limits(), lambda: START, World())
        self.slot_before = self.slot_after = ""
        self.asked_after: list[str] = []
        """Paths, from then on."""

    def rows(self, sql: str, *parameters: Any, lost: bool = False) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.lost if lost else self.restored)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def settings(self, database: Path) -> Settings:
        return Settings(
            database=str(database),
            hub_url=self.hub.hub_url,
            auth_url=self.hub.auth_url,
            registry_url=self.hub.registry_url,
            metrics_listen="off",
            watch=watches([{"target": "acme/", "every": "24h"}]),
        )

    async def live(self, clock: VirtualClock) -> None:
        world = World()
        self.hub = far_end(Limits(), clock.time, world)
        world.add_repository(WEB, pull_count=1000)
        for tag in ("steady", "moving", "vanishing"):
            self._push(clock, tag)
        life = asyncio.create_task(self._change(clock))
        first = self._serve(clock, self.lost)
        await clock.sleep(COPIED)
        back_up(str(self.lost), str(self.restored))
        await self._end(*first)
        [[self.slot_before]] = self.rows("SELECT next_check_at FROM watches")
        await clock.sleep(RESTORED - clock.monotonic())
        self.hub.journal.clear()
        second = self._serve(clock, self.restored)
        await clock.sleep(END - clock.monotonic())
        self.asked_after = [entry.path for entry in self.hub.journal]
        [[self.slot_after]] = self.rows("SELECT next_check_at FROM watches")
        life.cancel()
        await self._end(*second)

    def _serve(self, clock: VirtualClock, database: Path) -> tuple[Daemon, asyncio.Task[Any], Any]:
        settings = self.settings(database)
        far = Distance(self.hub, clock.time, random.Random(1))  # noqa: S311
        daemon = Daemon(
            lambda: (settings, None), settings, None, clock, Notifier(), inner=lambda _: far, timetable=Unhurried
        )
        engine = open_store(settings)
        return daemon, asyncio.create_task(daemon.serve(engine)), engine

    @staticmethod
    async def _end(daemon: Daemon, serving: asyncio.Task[Any], engine: Any) -> None:
        daemon.stop()
        await serving
        engine.dispose()

    def _push(self, clock: VirtualClock, tag: str) -> None:
        at = datetime.fromtimestamp(clock.time(), UTC)
        self.hub.world.push_tag(WEB, tag, [build(f"{tag} {clock.time()}")], pushed_at=at)

    async def _change(self, clock: VirtualClock) -> None:
        """Ten pulls an hour; in the week that nobody remembers a tag moves twice, one comes and one goes."""
        for hour in range(round(END / 3600)):
            if hour in (5 * 24, 7 * 24):
                self._push(clock, "moving")
            if hour == 6 * 24:
                self._push(clock, "coming")
                self.hub.world.delete_tag(WEB, "vanishing")
            self.hub.world.count_pulls(WEB, 10)
            await clock.sleep((hour + 1) * 3600 - clock.monotonic())


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    random.seed(1)
    found = Days(tmp_path_factory.mktemp("days"))
    virtually(found.live)
    return found


def at(seconds: float) -> str:
    return instant(int(START + seconds))


def test_an_interval_ends_where_it_was_last_seen_and_nothing_is_said_of_the_days_between(days: Days) -> None:
    rows = days.rows(
        "SELECT tag, digest IS NULL, seen_from, last_seen, seen_until, pushed_at FROM v_tag_timeline ORDER BY 1, 3"
    )
    of = {tag: [row[1:] for row in rows if row[0] == tag] for tag in ("steady", "moving", "vanishing", "coming")}
    [(_, seen_from, last_seen, seen_until, _)] = of["steady"]
    assert seen_from < at(COPIED) < at(RESTORED) <= last_seen
    assert seen_until is None
    before, now = of["moving"]
    assert before[2] < at(COPIED), "not seen so in the week"
    assert before[3] == now[1] >= at(RESTORED), "nobody saw it end before"
    assert now[4] == at(7 * DAY_S), "when it moved the far end says; what it was between its two moves nobody knows"
    [(_, seen_from, _, _, pushed_at)] = of["coming"]
    assert (seen_from >= at(RESTORED), pushed_at) == (True, at(6 * DAY_S))
    there, gone = of["vanishing"]
    assert there[2] < at(COPIED)
    assert (gone[0], there[3]) == (1, gone[1])
    assert gone[1] >= at(RESTORED)


def test_the_changes_of_these_days_are_told_once_as_far_as_they_are_known(days: Days) -> None:
    found = days.rows("SELECT kind, tag, observed_at, happened_at, detail FROM v_events ORDER BY 1")
    assert [row[:2] for row in found] == [("tag.gone", "vanishing"), ("tag.moved", "moving"), ("tag.new", "coming")]
    assert all(row[2] >= at(RESTORED) for row in found)
    gone, moved, new = found
    assert (gone[3], moved[3], new[3]) == (None, at(7 * DAY_S), at(6 * DAY_S))
    for _, _, _, _, detail in (gone, moved):
        assert json.loads(detail)["last_seen_before"] < at(COPIED)


def test_the_days_without_an_observation_have_no_pulls_and_the_first_one_after_them_is_a_gap(days: Days) -> None:
    found = days.rows("SELECT day, pulls, flag FROM v_pull_daily ORDER BY 1")
    restored = at(RESTORED)[:10]
    assert [row[0] for row in found if at(COPIED)[:10] < row[0] < restored] == []
    assert [row[2] for row in found if row[0] == restored] == ["gap"]
    assert {row[2] for row in found if row[0] != restored} == {None}
    [[of_day, of_week]] = days.rows("SELECT pulls_1d, pulls_7d FROM v_repositories")
    assert (of_day, of_week) == (None, None), "neither a day nor a week ago did anybody look"


def test_the_slots_are_kept_and_what_was_missed_is_made_up_for_once(days: Days) -> None:
    before, after = (seconds_of(one) for one in (days.slot_before, days.slot_after))
    assert before < START + RESTORED < START + END < after
    assert (after - before) % DAY_S == 0
    assert days.hub.journal
    assert {entry.status for entry in days.hub.journal} == {200, 404}
    lists = [path for path in days.asked_after if path == "/v2/namespaces/acme/repositories"]
    assert len(lists) == 2, "at once, and in the slot since"
    details = [path for path in days.asked_after if path.endswith("/tags/vanishing")]
    assert len(details) == 1


def test_the_doctor_finds_nothing(days: Days) -> None:
    clock = ManualClock()
    clock.set_wall(START + END)
    found = examine(days.settings(days.restored), clock, credential=None, is_offline=True)
    assert [one for one in found if one.level in ("error", "warning")] == []
