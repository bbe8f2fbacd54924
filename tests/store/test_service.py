"""What `status` says of the service: watches, their lag, and work of which the rows are gone."""

from __future__ import annotations

from harvester.clock import instant
from harvester.store import service
from harvester.store.service import Freshness, Pruned, WatchState
from tests.store.clocks import DAY, NOW
from tests.store.database import Database


def at(seconds: float) -> str:
    return instant(NOW + seconds)


def watch(db: Database, target: str, due: float, *, begun: float | None = None, over: float | None = None) -> None:
    run_id = None
    if begun is not None:
        ended = None if over is None else at(over)
        sql = "INSERT INTO runs (fingerprint, started_at, pass_began_at, finished_at) VALUES (?, ?, ?, ?)"
        db.run(sql, target, at(begun), at(begun), ended)
        run_id = db.value("SELECT max(id) FROM runs")
    db.run(
        "INSERT INTO watches (target, tags, layers, every_s, fastest_s, place, since, next_check_at, run_id)"
        " VALUES (?, 'all', 'latest', 3600, 60, 0, ?, ?, ?)",
        *(target, at(-DAY), at(due), run_id),
    )


def freshness(db: Database) -> Freshness:
    with db.reader.begin() as connection:
        return service.freshness(connection, db.now)


def test_nothing_watched_is_no_lag(db: Database) -> None:
    assert freshness(db) == Freshness(0, 0, 0, 0, None)


def test_watches_are_due_under_way_or_neither(db: Database) -> None:
    watch(db, "a/later", 60, begun=-100, over=-50)
    watch(db, "a/due", -500, begun=-4000, over=-3900)
    watch(db, "a/new", -20)
    watch(db, "a/busy", -9000, begun=-8000)
    watch(db, "a/ended", -90_000)
    db.run("UPDATE watches SET ended_at = ? WHERE target = 'a/ended'", at(0))
    assert freshness(db) == Freshness(4, 2, 1, 500, None)
    with db.reader.begin() as connection:
        found = service.watches(connection, db.now, 20)
    assert [(one.target, one.overdue_s) for one in found] == [
        *(("a/busy", 0), ("a/due", 500), ("a/new", 20), ("a/later", 0)),
    ]
    assert found[0] == WatchState("a/busy", "all", "latest", 3600, at(-9000), 0, at(-8000), None)
    assert found[1].pass_finished_at == at(-3900)
    assert (found[2].pass_began_at, found[2].pass_finished_at) == (None, None)


def test_a_repository_that_is_due_for_longer_is_the_longest_lag(db: Database) -> None:
    watch(db, "a/due", -500)
    db.run(
        "INSERT INTO repositories (namespace, name, full_name, is_official, first_seen_at, last_seen_at, chapter, next_check_at)"
        " VALUES ('a', 'b', 'a/b', 0, ?, ?, 1, ?)",
        *(at(0), at(0), at(-700)),
    )
    assert freshness(db).lag_s == 700


def test_what_was_pruned_in_the_last_week_is_summed_by_kind(db: Database) -> None:
    for day, kind, state, jobs in (
        ("2026-11-20", "images", "done", 5),
        ("2026-11-13", "images", "done", 7),
        ("2026-11-13", "images", "dead", 1),
        ("2026-11-12", "images", "done", 100),
        ("2026-11-19", "tag", "done", 2),
    ):
        db.run(
            "INSERT INTO work_days (day, kind, state, jobs, attempts) VALUES (?, ?, ?, ?, ?)",
            day,
            kind,
            state,
            jobs,
            jobs,
        )
    with db.reader.begin() as connection:
        assert service.pruned(connection, db.now) == [Pruned("images", 12, 1, 13), Pruned("tag", 2, 0, 2)]
