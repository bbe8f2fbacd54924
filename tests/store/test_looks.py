"""Which repositories are due for a look: once, the latest first, whatever the clock does."""

from __future__ import annotations

import pytest

from tests.store.clocks import DAY
from tests.store.database import Database
from tests.store.watched import HOUR, Watched


@pytest.fixture
def watched(db: Database) -> Watched:
    return Watched(db)


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
