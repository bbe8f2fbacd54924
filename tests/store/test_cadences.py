"""Which repositories are covered by watches, what looks have shown of them, and how often each is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.records import Absent
from harvester.store import cadences
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import seen, step
from tests.store.watched import HOUR, Watched


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
