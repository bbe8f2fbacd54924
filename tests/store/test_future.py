"""A clock that was far ahead and is set back: what it stamped is moved back, and everything goes on as if it had been right."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harvester.clock import instant
from harvester.healing import heal_future
from harvester.records import Absent
from harvester.store import future
from harvester.store.columns import InstantType
from harvester.store.moment import Moment
from harvester.store.tables import Base
from harvester.store.writer import Writer
from tests.store.chains import BROKEN
from tests.store.clocks import DAY, NOW, ManualClock
from tests.store.database import Database
from tests.store.makers import NGINX, digest, job, seen, step, tag, tags
from tests.store.test_any_order import Seen, content, differences, lives_of, observations, store, stored

YEAR = 365 * DAY


def heal(db: Database, now: float | None = None) -> dict[str, int]:
    """As `heal_future` does, part by part; the clock is as given, or the test's."""
    moment = db.now if now is None else Moment.of(now)
    with db.engine.begin() as connection:
        found = future.ahead(connection, moment)
    if found is None:
        return {}
    moved: dict[str, int] = {}
    for part in found.parts:
        with db.engine.begin() as connection:
            counts = future.move_back(connection, found, part)
        moved = {table: moved.get(table, 0) + counts[table] for table in moved.keys() | counts.keys()}
    for _ in range(50):
        with db.engine.begin() as connection:
            counts = future.move_rest(connection, found)
        if not counts:
            break
        moved = {table: moved.get(table, 0) + counts[table] for table in moved.keys() | counts.keys()}
    else:
        pytest.fail("it does not end")
    return moved


def as_ahead(one: Seen, by: float) -> Seen:
    return one._replace(at=one.at + by)


@pytest.mark.parametrize("seed", range(20))
def test_what_was_harvested_with_a_clock_ahead_is_in_the_end_as_if_it_had_been_right(db: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    answers = observations(chance, lives_of(chance))
    first, second = sorted((chance.randrange(5, 40), chance.randrange(41, len(answers))))
    right = stored(db, answers[:second])
    whole = stored(db, answers)
    stored(db, [*answers[:first], *(as_ahead(one, YEAR) for one in answers[first:second])])
    now = answers[second - 1].at
    with db.reader.begin() as connection:
        assert future.stamped(connection, Moment.of(now))
        found = future.ahead(connection, Moment.of(now))
    # The last answer may have said nothing new, and left no stamp.
    assert found is not None
    now -= YEAR - found.by_s
    assert heal(db, now)
    with db.reader.begin() as connection:
        assert future.stamped(connection, Moment.of(now)) == {}
    assert db.all(BROKEN) == []
    assert_same(right, content(db))
    assert heal(db, now) == {}, "once is enough"
    for one in answers[second:]:
        store(db, one)
    assert db.all(BROKEN) == []
    assert_same(whole, content(db))


def assert_same(expected: dict[str, list[Any]], found: dict[str, list[Any]]) -> None:
    # The first observation under the wrong clock was not of the same UTC day as the last one before it: both are kept.
    pulls, more = set(expected["pull_history"]), set(found["pull_history"])
    assert pulls <= more
    assert len(more - pulls) <= 1
    assert not differences(expected | {"pull_history": []}, found | {"pull_history": []})


@pytest.mark.parametrize("seed", range(10))
def test_two_clocks_that_were_ahead_by_different_times_leave_the_order_and_every_interval(
    db: Database, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    answers = observations(chance, lives_of(chance))
    right = stored(db, answers)
    ahead = [
        *answers[:20],
        *(as_ahead(one, YEAR) for one in answers[20:35]),
        *(as_ahead(one, 3 * YEAR) for one in answers[35:]),
    ]
    stored(db, ahead)
    heal(db, answers[-1].at)
    assert db.all(BROKEN) == []
    found = content(db)
    for table, columns in (("tag_history", (0, 3, 4, 6, 7)), ("tags", (0, 1, 2, 3, 4))):
        assert [[row[c] for c in columns] for row in found[table]] == [
            [row[c] for c in columns] for row in right[table]
        ]
    with db.reader.begin() as connection:
        assert future.stamped(connection, Moment.of(answers[-1].at)) == {}


def test_without_it_nothing_is_brought_up_to_date(db: Database, clock: ManualClock) -> None:
    clock.set_wall(NOW + YEAR)
    db.keep(seen(pull_count=7), tags(tag("latest", 1)))
    clock.set_wall(NOW)
    clock.advance(DAY)
    db.keep(seen(pull_count=9), tags(tag("latest", 2)))
    assert db.one("SELECT pull_count, (SELECT digest FROM tags) FROM repositories") == (7, digest(1))
    clock.advance(1)
    heal(db)
    clock.advance(DAY)
    db.keep(seen(pull_count=9), tags(tag("latest", 2)))
    assert db.one("SELECT pull_count, (SELECT digest FROM tags) FROM repositories") == (9, digest(2))
    assert db.all(BROKEN) == []


def test_dates_of_the_far_end_and_events_are_left_as_they_are(db: Database, clock: ManualClock) -> None:
    pushed = instant(NOW + 2 * YEAR)
    db.keep(seen(), tags(tag("latest", 1)))
    clock.set_wall(NOW + YEAR)
    db.keep(
        seen(last_updated=pushed, last_modified=pushed, date_registered=pushed),
        tags(tag("latest", 2, last_pushed=pushed, last_updated=pushed, last_pulled=pushed)),
    )
    events = db.all("SELECT * FROM events ORDER BY id")
    clock.set_wall(NOW + 60)
    heal(db)
    assert db.one("SELECT last_updated, last_modified, date_registered FROM repositories") == (pushed,) * 3
    assert db.one("SELECT last_updated, last_pushed, last_pulled FROM tags") == (pushed,) * 3
    assert db.value("SELECT pushed_at FROM tag_history WHERE seen_until IS NULL") == int(NOW + 2 * YEAR)
    assert db.all("SELECT * FROM events ORDER BY id") == events
    assert events


def test_a_404_before_and_one_after_are_no_two_passes_where_they_were_one(db: Database, clock: ManualClock) -> None:
    """What decides on deletions keeps its order: the pass, the 404 that it met, and what is seen now."""
    db.keep(seen())
    clock.set_wall(NOW + YEAR)
    began = instant(NOW + YEAR - 60)
    db.add(job("nginx"), fresh_after=began)
    db.keep(Absent(repository=NGINX), fresh_after=began)
    clock.advance(100)
    db.keep(seen("a/b"))
    clock.set_wall(NOW + 120)
    heal(db)
    pass_began = db.job(job("nginx").key)["fresh_after"]
    assert db.one("SELECT passes, last_missing_at >= ? FROM absences", pass_began) == (1, 1)
    db.keep(Absent(repository=NGINX), fresh_after=pass_began)
    assert db.value("SELECT gone_at FROM repositories WHERE full_name = 'library/nginx'") is None
    clock.advance(DAY)
    db.keep(Absent(repository=NGINX))
    assert db.value("SELECT gone_at FROM repositories WHERE full_name = 'library/nginx'") is not None


def test_a_walk_that_was_under_way_is_no_reason_to_close_what_it_met(db: Database, clock: ManualClock) -> None:
    clock.set_wall(NOW + YEAR)
    db.keep(step(is_first=True, reported_count=2, next_page="page=2"), tags(tag("a", 1)))
    clock.advance(30)
    clock.set_wall(NOW + 60)
    heal(db)
    began, met = db.one("SELECT l.started_at, t.last_seen_at FROM listings l, tags t")
    assert began <= met <= db.now.text
    clock.advance(30)
    db.keep(step(is_first=False, reported_count=2, stop_reason="end"), tags(tag("b", 2)))
    assert db.one("SELECT is_complete, rows FROM listings") == (1, 2)
    assert db.all("SELECT gone_at FROM tags") == [(None,), (None,)]


def test_jobs_runs_budgets_and_walls_go_on(db: Database, clock: ManualClock) -> None:
    db.run(
        "INSERT INTO budgets (budget, route, identity, limit_count, cap, window_s, window_ends_at, spent, next_at, not_before,"
        " refusals, source, seen_at) VALUES ('credential', '-', 'x', 1, 1, 3600, 0, 0, 0, ?, 0, 'configuration', ?)",
        *(NOW + YEAR + 3600.0, NOW + YEAR + 0.0),
    )
    db.run("INSERT INTO walls VALUES ('tags', 'anonymous', 1000, ?)", instant(NOW + YEAR))
    clock.set_wall(NOW + YEAR)
    run = db.begin_run("f", job("a"), job("b"), job("c"))
    held = db.claim(wanted=1)[0]
    put_off = db.keys("ready")[0]
    db.run("UPDATE jobs SET state = 'waiting', run_at = ? WHERE key = ?", instant(NOW + YEAR + DAY), put_off)
    clock.set_wall(NOW + 100)
    assert db.promote() == 0
    heal(db)
    assert db.promote() == 1
    clock.advance(1)
    assert db.rescue() == 1
    assert len(db.claim()) == 3 - (db.job(held.key)["state"] == "waiting")
    assert db.value("SELECT pass_began_at FROM runs WHERE id = ?", run.id) == instant(NOW + 100)
    assert {row[0] for row in db.all("SELECT fresh_after FROM jobs")} == {instant(NOW + 100)}
    assert db.one("SELECT not_before, seen_at FROM budgets") == (NOW + 3700.0, NOW + 100.0)
    assert db.value("SELECT learned_at FROM walls") == instant(NOW + 100)


def test_due_dates_are_moved_only_where_no_cadence_makes_them(db: Database, clock: ManualClock) -> None:
    for number in (1, 2, 3):
        db.keep(seen(f"a/r{number}"))
    db.run(
        "INSERT INTO watches (id, target, tags, layers, every_s, fastest_s, place, since)"
        " VALUES (1, 'a/*', 'all', 'none', ?, 60, 0, ?)",
        *(DAY, instant(NOW)),
    )
    db.run("INSERT INTO cadences SELECT id, 1, 60, 1, 1, 1, NULL, NULL FROM repositories WHERE id < 3")
    due = [instant(NOW + DAY), instant(NOW + YEAR), instant(NOW + 300 * DAY)]
    for number, at in enumerate(due, 1):
        db.run("UPDATE repositories SET next_check_at = ? WHERE id = ?", at, number)
    db.run("UPDATE repositories SET detailed_at = ? WHERE id = 3", instant(NOW + YEAR))
    heal(db)
    found = [row[0] for row in db.all("SELECT next_check_at FROM repositories ORDER BY id")]
    assert found == [due[0], instant(NOW), due[2]]


def test_nothing_is_moved_while_clocks_are_as_far_apart_as_they_may_be(db: Database, clock: ManualClock) -> None:
    clock.set_wall(NOW + future.SLACK_S)
    db.keep(seen(), tags(tag("latest", 1)))
    clock.set_wall(NOW)
    assert heal(db) == {}


@pytest.mark.anyio
async def test_the_daemon_heals_in_parts_and_says_how_many_rows(
    db: Database, writer: Writer, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    clock.set_wall(NOW + YEAR)
    for number in range(future.AT_ONCE * 2 + 1):
        db.keep(seen(f"a/r{number}"), tags(tag("latest", number), repository=f"a/r{number}"))
    clock.set_wall(NOW)
    moved = await heal_future(writer, db.reader, clock)
    assert moved == {"repositories": 41, "tags": 41, "tag_history": 41, "pull_history": 41}
    said = capsys.readouterr()
    assert "clock.rows_moved_back" in said.out + said.err
    assert await heal_future(writer, db.reader, clock) == {}


@pytest.mark.anyio
@pytest.mark.parametrize("far", ["last_updated", "last_pushed", "last_pulled"])
async def test_a_clock_that_is_behind_by_the_far_ends_own_dates_moves_nothing(
    db: Database, writer: Writer, clock: ManualClock, capsys: pytest.CaptureFixture[str], far: str
) -> None:
    for day in range(5):
        changes = {far: instant(NOW)} if day == 0 else {}
        db.keep(seen(pull_count=day), tags(tag("latest", day + 1, **changes)))
        clock.advance(DAY)
    before = content(db)
    for now in (300, NOW - YEAR, NOW - future.BEHIND_S - 1):
        clock.set_wall(now)
        assert await heal_future(writer, db.reader, clock) == {}
        said = capsys.readouterr()
        assert "clock.behind" in said.out + said.err
    assert content(db) == before
    clock.set_wall(NOW)
    assert await heal_future(writer, db.reader, clock)


def test_a_date_of_the_far_end_after_all_that_was_stamped_proves_nothing(db: Database, clock: ManualClock) -> None:
    clock.set_wall(NOW + YEAR)
    db.keep(seen(last_updated=instant(NOW + 70 * YEAR)), tags(tag("latest", 1, last_updated=instant(NOW - DAY))))
    clock.set_wall(NOW)
    assert heal(db)


LEFT = {
    **dict.fromkeys(
        [
            *("repositories.last_updated", "repositories.last_modified", "repositories.date_registered"),
            *("repositories.detail_last_modified", "repositories.tags_last_updated", "listings.subject_updated"),
            *("tags.last_updated", "tags.last_pushed", "tags.last_pulled", "tag_images.last_pulled"),
            *("tag_images.last_pushed", "images.created_at", "chapters.date_registered", "cadences.seen_updated"),
        ],
        "the far end's own",
    ),
    **dict.fromkeys(["events.observed_at", "events.happened_at"], "append-only"),
    **dict.fromkeys(["processes.started_at", "processes.seen_at"], "what is not of now is not believed"),
    **dict.fromkeys(["watches.next_check_at", "watches.next_counts_at"], "looked at anew by the daemon itself"),
    "jobs.lease_until": "a lease that is longer than any is taken back",
    "notifiers.enrolled_at": "nothing depends on it",
}
SPECIAL = {"repositories.next_check_at", "jobs.run_at", "deliveries.run_at"}


def test_every_instant_of_the_schema_is_moved_or_left_for_a_reason() -> None:
    known = {
        f"{one.table}.{column}" for one in (*future._OF_REPOSITORY, *future._ALONE) for column in one.columns
    } | SPECIAL
    every = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, InstantType)
    }
    assert known | LEFT.keys() == every
    assert not known & LEFT.keys()
