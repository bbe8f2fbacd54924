"""What is watched: taken over from the configuration, due in slots, begun once, ended without losing a row."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from harvester.clock import instant, seconds_of
from harvester.jobs import Args, NewJob, manifest, repository, tags_page
from harvester.policy import LayerPolicy, TagPolicy
from harvester.request import Request
from harvester.store import queue, runs, watches
from harvester.store.moment import DAY_S, Moment
from harvester.watch import Watch
from harvester.watch import watches as read
from tests.store.database import Database

MIDNIGHT = 1_795_132_800 + DAY_S


def watched(*tables: dict[str, str]) -> tuple[Watch, ...]:
    return read(list(tables))


def ask(group: watches.Group) -> tuple[str, Sequence[NewJob]]:
    request = Request(group.targets, TagPolicy(group.tags), LayerPolicy(group.layers))
    return request.fingerprint(pulls=False), request.jobs(pulls=False)


def take_over(db: Database, at: float, *tables: dict[str, str]) -> watches.Taken:
    with db.engine.begin() as connection:
        return watches.take_over(connection, watched(*tables), Moment.of(at))


def begin(db: Database, at: float, **options: float) -> list[watches.Begun]:
    with db.engine.begin() as connection:
        return watches.begin_passes(connection, Moment.of(at), ask=ask, **options)  # type: ignore[arg-type]


def finish_all(db: Database, at: float) -> None:
    """As if every job had been done."""
    with db.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET state = 'done', finished_at = ?, lease_owner = NULL WHERE state <> 'done'", (instant(at),)
        )
        runs.finish_runs(connection, Moment.of(at), runs.unfinished(connection).ids)


def due_at(db: Database, target: str, column: str = "next_check_at") -> int | None:
    [[value]] = db.all(f"SELECT {column} FROM watches WHERE target = '{target}' AND ended_at IS NULL")
    return None if value is None else seconds_of(value)


def test_what_is_new_is_due_at_once_and_then_once_in_every_slot(db: Database) -> None:
    at = MIDNIGHT + 5000.0
    assert take_over(db, at, {"target": "acme/", "every": "24h"}) == watches.Taken(1, 0, 0, 0)
    [first] = begin(db, at)
    assert [str(target) for target in first.group.targets] == ["acme/*"]
    assert begin(db, at + 60) == [], "under way"
    slot = due_at(db, "acme/*")
    assert slot is not None
    assert at < slot <= at + DAY_S
    assert slot % DAY_S <= DAY_S * 5 / 6, "a pass that begins late in a UTC day would count its pulls for the next one"
    finish_all(db, at + 100)
    assert begin(db, slot - 1) == []
    [second] = begin(db, slot)
    assert second.run_id != first.run_id
    assert due_at(db, "acme/*") == slot + DAY_S, "the slots do not drift"


def test_what_was_missed_is_caught_up_once(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/", "every": "1h"})
    begin(db, MIDNIGHT)
    finish_all(db, MIDNIGHT + 10)
    late = MIDNIGHT + 9 * 3600 + 7
    [one] = begin(db, late)
    assert one.group.late_s > 7 * 3600
    finish_all(db, late + 10)
    assert begin(db, late + 11) == []
    due = due_at(db, "acme/*")
    assert due is not None
    assert late < due <= late + 3600


def test_a_pass_takes_what_was_stored_since_its_slot_began_and_no_older(db: Database) -> None:
    at = MIDNIGHT + 40_000.0
    take_over(db, at, {"target": "acme/", "every": "6h"})
    begin(db, at)
    [[fresh_after]] = db.all("SELECT DISTINCT fresh_after FROM jobs")
    assert at - 6 * 3600 < seconds_of(fresh_after) <= at
    due = due_at(db, "acme/*")
    assert due is not None
    assert seconds_of(fresh_after) == due - 6 * 3600


def test_repositories_of_one_namespace_are_one_pass_and_read_off_its_list(db: Database) -> None:
    take_over(db, MIDNIGHT, *({"target": f"acme/{name}"} for name in ("a", "b", "c")), {"target": "other/d"})
    begun = begin(db, MIDNIGHT)
    assert sorted(len(one.group.members) for one in begun) == [1, 3]
    assert sorted(row[0] for row in db.all("SELECT kind FROM jobs")) == ["namespace.page", "repository"]
    assert due_at(db, "acme/a") == due_at(db, "acme/c")


def test_what_is_no_longer_watched_is_not_asked_for_and_keeps_its_rows(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/"}, {"target": "other/d"})
    begin(db, MIDNIGHT)
    assert len(db.all("SELECT id FROM jobs")) == 2
    taken = take_over(db, MIDNIGHT + 5, {"target": "other/d"})
    assert (taken.ended, taken.cancelled) == (1, 1)
    assert [row[0] for row in db.all("SELECT key FROM jobs")] == ["repository:other/d::all:latest:free"]
    assert db.all("SELECT target, next_check_at FROM watches WHERE ended_at IS NOT NULL") == [("acme/*", None)]
    finish_all(db, MIDNIGHT + 10)
    assert begin(db, MIDNIGHT + 10 * DAY_S)[0].group.targets[0].subject == "other/d"


def test_one_of_several_that_are_watched_alike_is_no_longer_asked_for(db: Database) -> None:
    alike = [{"target": f"acme/{name}"} for name in ("a", "b")]
    take_over(db, MIDNIGHT, *alike, {"target": "other/c"})
    begin(db, MIDNIGHT)
    with db.engine.begin() as connection:
        # As the list of the namespace brings them, and a look at each.
        run = db.all("SELECT run_id FROM watches WHERE target = 'acme/a'")[0][0]
        found = [repository(Args(subject=f"acme/{name}", updated="2026-11-20T00:00:00Z")) for name in ("a", "b")]
        queue.enqueue(connection, found, Moment.of(MIDNIGHT), runs=[run], fresh_after=instant(MIDNIGHT))
        looks = [repository(Args(subject=f"acme/{name}", depth="look")) for name in ("a", "b")]
        queue.enqueue(connection, looks, Moment.of(MIDNIGHT), runs=(), fresh_after=instant(MIDNIGHT))
    assert take_over(db, MIDNIGHT + 5, alike[1], {"target": "other/c"}).cancelled == 2
    assert not db.all("SELECT key FROM jobs WHERE key LIKE '%acme/a:%'")
    assert len(db.all("SELECT key FROM jobs WHERE key LIKE '%acme/b:%'")) == 2
    assert take_over(db, MIDNIGHT + 6, {"target": "other/c"}, {"target": "acme/"}).cancelled <= 1, (
        "all of them are covered"
    )
    assert len(db.all("SELECT key FROM jobs WHERE key LIKE 'repository:acme/b:%'")) == 2


def test_a_walk_that_nobody_wants_the_rest_of_ends_as_a_decision(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/a"})
    begin(db, MIDNIGHT)
    page = tags_page(Args(subject="acme/a", page=2))
    with db.engine.begin() as connection:
        run = db.all("SELECT run_id FROM watches")[0][0]
        queue.enqueue(connection, [page], Moment.of(MIDNIGHT), runs=[run], fresh_after=instant(MIDNIGHT))
        connection.exec_driver_sql(
            "INSERT INTO listings (kind, subject, started_at, rows, is_complete, refused, walk_key) VALUES"
            " ('tags', 'acme/a', ?, 100, 0, 0, ?)",
            (instant(MIDNIGHT), page.key.rpartition(":")[0]),
        )
    assert db.all("SELECT stop_reason FROM v_incomplete") == [("open",)]
    take_over(db, MIDNIGHT + 5, {"target": "other/c"})
    assert db.all("SELECT stop_reason, is_complete FROM listings") == [("policy", 0)]
    assert db.all("SELECT stop_reason FROM v_incomplete") == []


def test_what_another_run_wants_too_is_not_cancelled(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/"})
    begin(db, MIDNIGHT)
    with db.engine.begin() as connection:
        request = Request(watched({"target": "acme/"})[0].targets, TagPolicy(), LayerPolicy())
        runs.begin_run(connection, "a backfill", request.jobs(pulls=False), Moment.of(MIDNIGHT + 1))
    assert take_over(db, MIDNIGHT + 5, {"target": "other/d"}).cancelled == 0
    assert len(db.all("SELECT id FROM jobs WHERE state = 'ready'")) == 1


def test_a_changed_cadence_keeps_the_row_and_dates_it_anew(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/", "every": "7d"})
    begin(db, MIDNIGHT)
    before = db.all("SELECT id FROM watches")
    taken = take_over(db, MIDNIGHT + 60, {"target": "acme/", "every": "1h", "fastest": "1h"})
    assert taken == watches.Taken(0, 1, 0, 0)
    assert db.all("SELECT id FROM watches") == before
    due = due_at(db, "acme/*")
    assert due is not None
    assert due <= MIDNIGHT + 60 + 3600
    assert due_at(db, "acme/*", "next_counts_at") is None


def test_pull_counts_are_due_daily_where_passes_are_further_apart(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/", "every": "7d"}, {"target": "search:redis", "every": "24h"})
    assert due_at(db, "search:redis", "next_counts_at") is None
    begin(db, MIDNIGHT)
    finish_all(db, MIDNIGHT + 5)
    due = due_at(db, "acme/*", "next_counts_at")
    assert due is not None
    with db.engine.begin() as connection:
        assert watches.begin_counts(connection, Moment.of(due - 1), ask=ask) == []
        [begun] = watches.begin_counts(connection, Moment.of(due), ask=ask)
    assert begun.group.targets[0].subject == "acme"
    assert due_at(db, "acme/*", "next_counts_at") == due + DAY_S


def test_the_latest_in_proportion_to_its_cadence_comes_first(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "slow/", "every": "24h"}, {"target": "fast/", "every": "1h"})
    begin(db, MIDNIGHT)
    finish_all(db, MIDNIGHT + 5)
    # Two hours late is little for the one, and much for the other.
    slow, fast = due_at(db, "slow/*"), due_at(db, "fast/*")
    assert slow is not None
    assert fast is not None
    at = max(slow, fast) + 7200
    [begun] = begin(db, at, most=1)
    assert begun.group.targets[0].subject == "fast"


def test_stretched_passes_are_further_apart_by_that_factor(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/", "every": "1h"})
    begin(db, MIDNIGHT, stretch=3.0)
    first = due_at(db, "acme/*")
    assert first is not None
    assert MIDNIGHT + 3600 < first <= MIDNIGHT + 1.5 * 3 * 3600
    finish_all(db, first - 60)
    begin(db, first, stretch=3.0)
    assert due_at(db, "acme/*") == first + 3 * 3600
    with db.engine.begin() as connection:
        assert watches.set_right(connection, Moment.of(first), stretch=3.0) == 0


@pytest.mark.parametrize("ahead", [3 * DAY_S, 400 * DAY_S])
def test_dates_of_a_clock_that_was_ahead_are_set_anew(db: Database, ahead: int) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/", "every": "24h"}, {"target": "other/", "every": "7d"})
    begin(db, MIDNIGHT + ahead)
    finish_all(db, MIDNIGHT + ahead + 5)
    with db.engine.begin() as connection:
        assert watches.set_right(connection, Moment.of(MIDNIGHT)) > 0
        assert watches.set_right(connection, Moment.of(MIDNIGHT)) == 0
    for target, every in (("acme/*", DAY_S), ("other/*", 7 * DAY_S)):
        due = due_at(db, target)
        assert due is not None
        assert MIDNIGHT < due <= MIDNIGHT + every


def test_the_sweep_sees_cheaply_that_nothing_is_due(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/"})

    def is_due(connection: Connection, at: float) -> bool:
        return watches.is_due(connection, Moment.of(at))

    with db.engine.begin() as connection:
        assert is_due(connection, MIDNIGHT)
    begin(db, MIDNIGHT)
    with db.engine.begin() as connection:
        assert not is_due(connection, MIDNIGHT + 60)
        assert queue.ready(connection, 10) == 1


def test_what_waits_for_pulls_holds_up_no_pass(db: Database) -> None:
    db.add(manifest(Args(subject="acme/a", digest="sha256:" + "0" * 64)))
    assert db.value("SELECT lane FROM jobs WHERE state = 'ready'") == "pulls"
    with db.engine.begin() as connection:
        assert queue.ready(connection, 10) == 0


def test_a_pass_of_which_only_pulls_are_left_does_not_hold_up_the_next(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/"})
    [first] = begin(db, MIDNIGHT)
    wanted = manifest(Args(subject="acme/a", digest="sha256:" + "0" * 64))
    db.add(wanted, runs=[first.run_id])
    db.run("UPDATE jobs SET state = 'done', finished_at = ? WHERE lane <> 'pulls'", instant(MIDNIGHT + 5))
    with db.engine.begin() as connection:
        backfill = runs.begin_run(connection, "a backfill", [wanted], Moment.of(MIDNIGHT + 6))
        assert runs.unfinished(connection).over
        assert runs.finish_runs(connection, Moment.of(MIDNIGHT + 7), runs.unfinished(connection).ids) == [first.run_id]
        assert not runs.finish_run(connection, backfill.id, Moment.of(MIDNIGHT + 7)), (
            "who asked for pulls waits for them"
        )
    [second] = begin(db, MIDNIGHT + DAY_S)
    assert second.run_id != first.run_id
    assert db.value("SELECT count(*) FROM jobs WHERE lane = 'pulls' AND state = 'ready'") == 1, "it is still asked for"


def test_what_waits_for_pulls_is_cancelled_with_the_last_watch_of_its_pass(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/a"}, {"target": "acme/b"})
    [one] = begin(db, MIDNIGHT)
    db.add(manifest(Args(subject="acme/a", digest="sha256:" + "0" * 64)), runs=[one.run_id])
    db.run("UPDATE jobs SET state = 'done', finished_at = ? WHERE lane <> 'pulls'", instant(MIDNIGHT + 5))
    with db.engine.begin() as connection:
        assert runs.finish_runs(connection, Moment.of(MIDNIGHT + 7), runs.unfinished(connection).ids) == [one.run_id]
    assert take_over(db, MIDNIGHT + 8, {"target": "acme/a"}).cancelled == 0
    assert take_over(db, MIDNIGHT + 9, {"target": "other/c"}).cancelled == 1


def test_counts_are_taken_daily_where_a_stretch_makes_passes_rarer_than_that(db: Database) -> None:
    take_over(db, MIDNIGHT, {"target": "acme/", "every": "12h"})
    begin(db, MIDNIGHT, stretch=3.0)
    due = due_at(db, "acme/*", "next_counts_at")
    assert due is not None
    assert MIDNIGHT < due <= MIDNIGHT + DAY_S
    with db.engine.begin() as connection:
        assert watches.set_right(connection, Moment.of(MIDNIGHT), stretch=3.0) == 0
        [begun] = watches.begin_counts(connection, Moment.of(due), ask=ask)
    assert begun.group.late_s == 0
    assert due_at(db, "acme/*", "next_counts_at") == due + DAY_S
    finish_all(db, due + 60)
    begin(db, MIDNIGHT + 3 * DAY_S)
    assert due_at(db, "acme/*", "next_counts_at") is None, "the passes are daily again"
