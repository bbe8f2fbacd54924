"""Which repositories are watched, what looks have shown of them, and when each is looked at next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import Connection

from harvester.clock import instant, seconds_of
from harvester.records import Absent
from harvester.store import cadences, looks
from harvester.store.cadences import Replanned, Step
from harvester.store.looks import Look
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import seen, step

HOUR = 3600
A_LOT = 3.0
"""Requests per second that the Hub allows."""


class Watched:
    """A database with watches; what a scheduler does to them, by one short call each."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def watch(
        self, target: str, *, every: int = DAY, fastest: int = 2 * HOUR, layers: str = "latest", **more: Any
    ) -> int:
        columns = {
            "target": target,
            "tags": "all",
            "layers": layers,
            "every_s": every,
            "fastest_s": fastest,
            "place": 0,
        }
        columns |= {"since": self.db.now.text} | more
        marks = ", ".join("?" for _ in columns)
        self.db.run(f"INSERT INTO watches ({', '.join(columns)}) VALUES ({marks})", *columns.values())
        return int(self.db.value("SELECT max(id) FROM watches"))

    def see(self, *names: str, age: float | None = 100 * DAY, **more: Any) -> None:
        """A sight of repositories whose last push is that old."""
        updated = None if age is None else instant(self.db.clock.time() - age)
        self.db.keep(*(seen(name, last_updated=updated, **more) for name in names))

    def cover(self) -> int:
        return self._do(cadences.cover)

    def observe(self) -> int:
        return self._do(lambda c: cadences.observe(c, self.db.now))

    def replan(self, per_s: float = A_LOT) -> Replanned:
        with self.db.reader.begin() as connection:
            found = cadences.replan(connection, self.db.now, per_s)
        self._all(found.steps)
        return found

    def due(self, most: int = 100) -> list[Look]:
        with self.db.engine.begin() as connection:
            return looks.due_looks(connection, self.db.now, most)

    def covered(self) -> dict[str, int]:
        sql = "SELECT r.full_name, c.watch_id FROM cadences c JOIN repositories r ON r.id = c.repository_id ORDER BY 1"
        return {str(name): int(watch) for name, watch in self.db.all(sql)}

    def habit(self, name: str) -> tuple[float, float, float]:
        checks, changes, observed = self.db.one(
            "SELECT checks, changes, observed_s FROM cadences c JOIN repositories r ON r.id = c.repository_id"
            " WHERE full_name = ?",
            name,
        )
        return float(checks), float(changes), float(observed)

    def interval(self, name: str) -> int:
        return int(
            self.db.value(
                "SELECT interval_s FROM cadences c JOIN repositories r ON r.id = c.repository_id WHERE full_name = ?",
                name,
            )
        )

    def in_s(self, name: str) -> int | None:
        """Seconds until the next look between passes."""
        found = self.db.value("SELECT next_check_at FROM repositories WHERE full_name = ?", name)
        return None if found is None else seconds_of(found) - int(self.db.clock.time())

    def _do(self, read: Callable[[Connection], Iterable[Step]]) -> int:
        with self.db.reader.begin() as connection:
            steps = list(read(connection))
        return self._all(steps)

    def _all(self, steps: Iterable[Step]) -> int:
        rows = 0
        for one in steps:
            with self.db.engine.begin() as connection:
                rows += one(connection)
        return rows


@pytest.fixture
def watched(db: Database) -> Watched:
    return Watched(db)


def search_walk(db: Database, *names: str, stop: str | None, is_first: bool = True) -> None:
    """A page of a search and the hits on it."""
    page = step(
        is_first=is_first,
        walk="search.page:prometheus:all:latest:free",
        kind="search",
        subject="prometheus",
        names=names,
        reported_count=len(names),
        stop_reason=stop,
    )
    db.keep(*(seen(name, source="search") for name in names), page)


# What is covered.


def test_what_each_kind_of_target_covers(watched: Watched, db: Database) -> None:
    watched.see("library/nginx", "a/one", "a/two", "b/gone", "b/there", "c/single", "d/unwatched")
    search_walk(db, "p/hit", "a/one", stop="end")
    db.run("UPDATE repositories SET gone_at = ? WHERE full_name = 'b/gone'", db.now.text)
    alone, namespace, other = watched.watch("library/nginx"), watched.watch("a/*"), watched.watch("b/*")
    watched.watch("b/gone")
    watched.watch("c/single:latest")
    search = watched.watch("search:prometheus", every=2 * DAY)
    watched.watch("d/*", ended_at=db.now.text)
    watched.cover()
    expected = {"a/one": namespace, "a/two": namespace, "b/there": other, "library/nginx": alone, "p/hit": search}
    assert watched.covered() == expected
    assert watched.cover() == 0, "nothing is written twice"


def test_of_several_watches_the_one_with_the_shortest_every_counts(watched: Watched, db: Database) -> None:
    watched.see("a/one", "a/two")
    slow = watched.watch("a/*")
    watched.cover()
    watched.observe()
    db.clock.advance(DAY)
    watched.see("a/one", "a/two", age=HOUR)
    watched.observe()
    habit = watched.habit("a/one")
    quick = watched.watch("a/one", every=HOUR, fastest=HOUR)
    watched.cover()
    assert watched.covered() == {"a/one": quick, "a/two": slow}
    assert watched.habit("a/one") == habit, "what is known of it stays"
    db.run("UPDATE watches SET ended_at = ? WHERE id = ?", db.now.text, quick)
    watched.cover()
    assert watched.covered() == {"a/one": slow, "a/two": slow}


def test_what_is_watched_no_longer_has_no_next_look(watched: Watched, db: Database) -> None:
    watched.see("a/one", "b/one", age=HOUR)
    first = watched.watch("a/*")
    watched.watch("b/*")
    watched.cover()
    watched.replan()
    assert watched.in_s("a/one") is not None
    db.run("UPDATE watches SET ended_at = ? WHERE id = ?", db.now.text, first)
    db.clock.advance(DAY)
    assert [look.target.subject for look in watched.due()] == ["b/one"], "even before the cover is renewed"
    watched.cover()
    assert list(watched.covered()) == ["b/one"]
    assert watched.in_s("a/one") is None
    db.run("DELETE FROM cadences")
    db.run("UPDATE watches SET ended_at = ?", db.now.text)
    watched.cover()
    assert watched.in_s("b/one") is None, "a date that nobody answers for"
    db.run("UPDATE repositories SET next_check_at = ?", db.now.text)
    watched.watch("b/*")
    watched.cover()
    assert list(watched.covered()) == ["b/one"]


def test_a_search_that_is_under_way_or_failed_takes_nothing_away(watched: Watched, db: Database) -> None:
    watched.watch("search:prometheus")
    search_walk(db, "p/one", "p/two", stop=None)
    watched.cover()
    assert list(watched.covered()) == ["p/one", "p/two"], "what the first walk has met so far"
    search_walk(db, "p/one", "p/two", "p/three", stop="end")
    watched.cover()
    assert list(watched.covered()) == ["p/one", "p/three", "p/two"]
    db.clock.advance(DAY)
    search_walk(db, "p/one", "p/new", stop=None)
    watched.cover()
    assert list(watched.covered()) == ["p/new", "p/one", "p/three", "p/two"], (
        "the names of the old walk are gone by now"
    )
    search_walk(db, "p/two", stop="error", is_first=False)
    watched.cover()
    assert list(watched.covered()) == ["p/new", "p/one", "p/three", "p/two"]
    search_walk(db, "p/one", "p/new", stop="end")
    watched.cover()
    assert list(watched.covered()) == ["p/new", "p/one"]


def test_a_repository_that_went_is_covered_no_longer_by_a_search_under_way_either(
    watched: Watched, db: Database
) -> None:
    watched.watch("search:prometheus")
    search_walk(db, "p/one", "p/two", stop=None)
    watched.cover()
    db.run("UPDATE repositories SET gone_at = ? WHERE full_name = 'p/two'", db.now.text)
    watched.cover()
    assert list(watched.covered()) == ["p/one"]


# What looks show.


def test_looks_are_noted_once_each_with_what_they_found(watched: Watched, db: Database) -> None:
    watched.watch("a/*")
    watched.see("a/one", age=10 * DAY)
    watched.cover()
    assert watched.observe() == 1
    assert watched.habit("a/one") == (0, 0, 0), "the first look is nothing to compare with"
    db.clock.advance(DAY)
    watched.see("a/one", age=11 * DAY, source="listing")
    watched.observe()
    assert watched.observe() == 0
    assert watched.habit("a/one") == (1, 0, DAY)
    db.clock.advance(DAY)
    watched.see("a/one", age=HOUR)
    watched.observe()
    checks, changes, observed = watched.habit("a/one")
    assert changes == 1
    assert observed == pytest.approx(DAY * 0.905 + HOUR, rel=0.001)
    assert checks == pytest.approx(1.905, rel=0.001)


def test_a_search_hit_is_no_look(watched: Watched, db: Database) -> None:
    watched.watch("a/*")
    watched.see("a/one", age=10 * DAY)
    watched.cover()
    watched.observe()
    db.clock.advance(DAY)
    db.keep(seen("a/one", source="search"))
    assert watched.observe() == 0
    assert watched.habit("a/one") == (0, 0, 0)


def test_neither_is_an_answer_that_it_is_not_there(watched: Watched, db: Database) -> None:
    watched.watch("a/*")
    watched.see("a/one")
    watched.cover()
    watched.observe()
    db.clock.advance(DAY)
    db.keep(Absent(repository="a/one"))
    assert watched.observe() == 0


def test_a_pass_that_saw_it_puts_the_next_look_off(watched: Watched, db: Database) -> None:
    watched.watch("a/*")
    watched.see("a/one", "a/quiet", age=HOUR)
    watched.cover()
    watched.replan()
    interval = watched.interval("a/one")
    due, other = watched.in_s("a/one"), watched.in_s("a/quiet")
    assert due is not None
    assert other is not None
    db.clock.advance(due - 60)
    watched.see("a/one", age=HOUR)
    watched.observe()
    found = watched.in_s("a/one")
    assert found is not None
    assert 0.89 * interval < found < 1.11 * interval
    assert watched.in_s("a/quiet") == other - due + 60, "the other was not seen"


# How the budget is shared out.


def test_what_changes_often_and_what_matters_is_looked_at_between_passes(watched: Watched, db: Database) -> None:
    for n in range(30):
        watched.see(f"a/old{n}", age=(200 + 50 * n) * DAY)
        watched.watch(f"a/old{n}")
    watched.see("a/young", age=HOUR)
    watched.see("a/popular", age=HOUR, pull_count=10**9)
    watched.watch("a/young")
    watched.watch("a/popular")
    watched.cover()
    a_little = (watched.replan().demand_per_s + 8 / DAY) / 0.9
    found = watched.replan(a_little)
    assert (found.repositories, found.stretch) == (32, 1)
    assert 0 < found.looks_per_s <= found.capacity_per_s - found.demand_per_s
    assert watched.interval("a/old1") == DAY
    assert watched.in_s("a/old1") is None, "its passes suffice"
    assert 2 * HOUR <= watched.interval("a/popular") < watched.interval("a/young") < DAY
    due = watched.in_s("a/young")
    assert due is not None
    assert 0 < due <= 1.1 * watched.interval("a/young")
    assert found.shortest_s == watched.interval("a/popular")
    again = watched.replan(a_little)
    assert again.steps == (), "nothing is written that stays about as it was"


def test_a_habit_decides_and_not_the_last_push_alone(watched: Watched, db: Database) -> None:
    watched.see("a/daily", "a/once", age=HOUR)
    watched.watch("a/daily")
    watched.watch("a/once")
    watched.cover()
    watched.observe()
    for _ in range(20):
        db.clock.advance(DAY)
        watched.see("a/daily", age=HOUR)
        watched.see("a/once", age=db.clock.time() - NOW + HOUR)
        watched.observe()
    watched.replan()
    assert watched.interval("a/daily") <= DAY / 2
    assert watched.interval("a/once") == DAY


def test_a_namespace_whose_repositories_change_alike_is_looked_at_by_its_list(watched: Watched, db: Database) -> None:
    names = [f"a/r{n}" for n in range(5)]
    watched.see(*names, age=HOUR)
    watched.see("b/one", age=HOUR)
    watched.watch("a/*")
    watched.watch("b/one")
    watched.cover()
    watched.replan()
    interval = watched.interval("a/r0")
    assert interval < DAY
    assert {watched.interval(name) for name in names} == {interval}
    assert len({watched.in_s(name) for name in names}) == 1, "together, so that one list shows them"
    db.clock.advance(DAY)
    found = {str(look.target): look for look in watched.due()}
    assert sorted(found) == ["a/*", "b/one"]
    assert watched.due() == []
    following = {watched.in_s(name) for name in names}
    assert len(following) == 1
    assert 0.89 * interval < following.pop() < 1.11 * interval  # type: ignore[operator]


def test_a_namespace_in_which_one_changes_is_looked_at_by_that_one(watched: Watched, db: Database) -> None:
    for n in range(250):
        watched.see(f"a/old{n}", age=(2000 + 5 * n) * DAY)
    watched.see("a/young", age=HOUR)
    watched.watch("a/*")
    watched.cover()
    watched.observe()
    for _ in range(9):
        db.clock.advance(DAY)
        for n in range(250):
            watched.see(f"a/old{n}", age=db.clock.time() - NOW + (2000 + 5 * n) * DAY)
        watched.see("a/young", age=HOUR)
        watched.observe()
    watched.replan()
    assert watched.interval("a/young") < DAY
    assert watched.interval("a/old0") == DAY
    db.clock.advance(DAY)
    assert [str(look.target) for look in watched.due()] == ["a/young"]


def test_looks_that_are_due_in_a_namespace_are_one_look_at_its_list_where_that_is_less(
    watched: Watched, db: Database
) -> None:
    watched.see(*(f"a/r{n}" for n in range(101)), age=HOUR)
    watched.watch("a/*")
    watched.cover()
    for due, expected in ((2, ["a/r0", "a/r1"]), (3, ["a/*"])):
        db.run("UPDATE cadences SET interval_s = ?", HOUR)
        db.run("UPDATE repositories SET next_check_at = ?", db.in_s(5 * HOUR))
        db.run(f"UPDATE repositories SET next_check_at = ? WHERE id <= {due}", db.in_s(-60))
        assert [str(look.target) for look in watched.due()] == expected
        assert db.value("SELECT count(*) FROM repositories WHERE next_check_at = ?", db.in_s(5 * HOUR)) == 101 - due


def test_looks_cost_no_more_than_the_passes_leave(watched: Watched, db: Database) -> None:
    watched.see(*(f"a/r{n}" for n in range(200)), age=HOUR)
    for n in range(200):
        watched.watch(f"a/r{n}")
    watched.cover()
    free = watched.replan()
    assert free.looks_per_s == pytest.approx(free.demand_per_s, rel=0.1), "as many again as the passes"
    tight = watched.replan(1.25 * free.demand_per_s / 0.9)
    assert tight.looks_per_s <= 0.25 * tight.demand_per_s * 1.001
    assert tight.demand_per_s == free.demand_per_s
    over = watched.replan(free.demand_per_s / 2 / 0.9)
    assert over.stretch == pytest.approx(2)
    assert over.looks_per_s == over.between == 0
    assert db.value("SELECT count(*) FROM repositories WHERE next_check_at IS NOT NULL") == 0
    assert db.value("SELECT count(*) FROM cadences WHERE interval_s < 86400") == 0


@pytest.mark.parametrize(
    ("target", "more", "a_day"),
    [
        ("a/r1", {}, 1),
        ("a/r1", {"every": DAY // 2}, 2),
        ("a/*", {}, 3),
        ("a/r1:latest", {}, 2),
        ("search:prometheus", {}, 253),
        ("a/*", {"every": 7 * DAY, "next_counts_at": "2026-11-21T00:00:00Z"}, 3 / 7 + 3),
    ],
)
def test_what_passes_are_taken_to_cost(
    watched: Watched, db: Database, target: str, more: dict[str, Any], a_day: float
) -> None:
    names = [f"a/r{n}" for n in range(250)]
    if target.startswith("search:"):
        search_walk(db, *names, stop="end")
    watched.see(*names, age=100_000 * DAY / 10)
    watched.watch(target, **more)
    watched.cover()
    assert watched.replan().demand_per_s * DAY == pytest.approx(a_day, rel=0.05)


def test_nothing_that_is_watched_costs_nothing(watched: Watched) -> None:
    found = watched.replan()
    assert (found.demand_per_s, found.stretch, found.shortest_s, found.steps) == (0, 1, None, ())


def test_another_every_takes_effect(watched: Watched, db: Database) -> None:
    watched.see("a/one", age=900 * DAY)
    watched.watch("a/*")
    watched.cover()
    for every in (DAY, DAY - HOUR, 7 * DAY, HOUR):
        db.run("UPDATE watches SET every_s = ?, fastest_s = ?", every, HOUR)
        watched.replan(1 / every)
        assert watched.interval("a/one") == every


# What is due.


def test_due_looks_come_once_with_their_policies_and_the_next_date_is_set(watched: Watched, db: Database) -> None:
    watched.see("a/one", age=HOUR)
    watch = watched.watch("a/*", layers="all")
    watched.cover()
    watched.replan()
    assert watched.due() == []
    interval = watched.interval("a/one")
    db.clock.advance(int(1.2 * interval))
    [look] = watched.due()
    assert (look.target.subject, look.tags, look.layers, look.interval_s, look.watch_id) == (
        "a/one",
        "all",
        "all",
        interval,
        watch,
    )
    assert watched.due() == []
    following = watched.in_s("a/one")
    assert following is not None
    assert 0.89 * interval < following < 1.11 * interval


def test_the_most_overdue_by_their_own_interval_come_first(watched: Watched, db: Database) -> None:
    watched.see("a/slow", "a/quick", "a/gone", age=HOUR)
    for name in ("a/slow", "a/quick", "a/gone"):
        watched.watch(name)
    watched.cover()
    watched.replan()
    db.clock.advance(DAY)
    for name, interval, late in (("a/slow", 10 * HOUR, 2 * HOUR), ("a/quick", 2 * HOUR, HOUR), ("a/gone", HOUR, HOUR)):
        repository = db.value("SELECT id FROM repositories WHERE full_name = ?", name)
        db.run("UPDATE cadences SET interval_s = ? WHERE repository_id = ?", interval, repository)
        db.run("UPDATE repositories SET next_check_at = ? WHERE id = ?", db.in_s(-late), repository)
    db.run("UPDATE repositories SET gone_at = ? WHERE full_name = 'a/gone'", db.now.text)
    assert [(look.target.subject, look.late_s) for look in watched.due(1)] == [("a/quick", HOUR)]
    assert [look.target.subject for look in watched.due(5)] == ["a/slow"]


def test_a_pass_that_comes_soon_takes_the_turn(watched: Watched, db: Database) -> None:
    watched.see("a/one", age=HOUR)
    watched.watch("a/*")
    watched.cover()
    watched.replan()
    interval = watched.interval("a/one")
    db.clock.advance(2 * interval)
    db.run("UPDATE watches SET next_check_at = ?", db.in_s(1.2 * interval))
    assert len(watched.due()) == 1
    following = watched.in_s("a/one")
    assert following is not None
    assert 2.09 * interval < following < 2.31 * interval


@pytest.mark.parametrize("jump", [-400 * DAY, -2 * HOUR, 2 * HOUR, 400 * DAY])
def test_a_clock_that_jumps_makes_no_burst_and_loses_no_look(watched: Watched, db: Database, jump: int) -> None:
    watched.see("a/one", "a/two", age=HOUR)
    watched.watch("a/*")
    watched.cover()
    watched.replan()
    db.clock.set_wall(db.clock.time() + jump)
    intervals = max(watched.interval("a/one"), watched.interval("a/two"))
    watched.observe()
    watched.replan()
    total = len(watched.due())
    assert total <= 2, "each once at the most"
    for name in ("a/one", "a/two"):
        due = watched.in_s(name)
        if due is not None:
            assert due <= 3 * max(intervals, watched.interval(name))
    assert watched.due() == []


def test_a_date_that_a_clock_set_ahead_is_brought_back(watched: Watched, db: Database) -> None:
    watched.see("a/one", age=HOUR)
    watched.watch("a/*")
    watched.cover()
    watched.replan()
    interval = watched.interval("a/one")
    db.run("UPDATE repositories SET next_check_at = ?", db.in_s(400 * DAY))
    watched.replan()
    due = watched.in_s("a/one")
    assert due is not None
    assert due <= 1.1 * interval


def test_a_name_registered_anew_is_looked_at_again(watched: Watched, db: Database) -> None:
    watched.see("a/one", age=HOUR, date_registered="2020-01-01T00:00:00Z")
    watched.watch("a/*")
    watched.cover()
    watched.replan()
    db.clock.advance(HOUR)
    watched.see("a/one", age=60, date_registered="2026-11-20T16:59:00Z")
    assert watched.in_s("a/one") is None
    watched.observe()
    watched.replan()
    assert watched.in_s("a/one") is not None


# What is written in steps.


def test_steps_are_small_and_a_repository_that_was_forgotten_meanwhile_is_left_out(
    watched: Watched, db: Database
) -> None:
    watched.see(*(f"a/r{n}" for n in range(cadences.PART + 1)), age=HOUR)
    watched.watch("a/*")
    with db.reader.begin() as connection:
        steps = cadences.cover(connection)
    assert len(steps) == 2
    db.run("DELETE FROM pull_history")
    db.run("DELETE FROM repositories WHERE full_name = 'a/r7'")
    for one in steps:
        with db.engine.begin() as connection:
            one(connection)
    assert len(watched.covered()) == cadences.PART


def test_what_was_read_earlier_undoes_nothing_that_was_written_since(watched: Watched, db: Database) -> None:
    watched.see("a/one", age=HOUR)
    watched.watch("a/*")
    watched.cover()
    watched.observe()
    watched.replan()
    db.clock.advance(DAY)
    watched.see("a/one", age=HOUR)
    with db.reader.begin() as connection:
        [late] = cadences.observe(connection, db.now)
    db.clock.advance(DAY)
    watched.see("a/one", age=5 * HOUR)
    watched.observe()
    habit, due = watched.habit("a/one"), watched.in_s("a/one")
    with db.engine.begin() as connection:
        late(connection)
    assert (watched.habit("a/one"), watched.in_s("a/one")) == (habit, due)


def test_a_watch_that_ended_is_planned_no_longer_before_the_cover_is_renewed(watched: Watched, db: Database) -> None:
    watched.see("a/one", age=HOUR)
    watched.watch("a/*", ended_at=None)
    watched.cover()
    db.run("UPDATE watches SET ended_at = ?", db.now.text)
    assert watched.replan().repositories == 0
    db.clock.advance(DAY)
    watched.see("a/one", age=HOUR)
    assert watched.observe() == 1
