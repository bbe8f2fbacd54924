"""`doctor` on the work: who does it, what failed, what is late, who is not told."""

from __future__ import annotations

import pytest

from harvester import __version__
from harvester.store import buckets
from harvester.store.buckets import Bucket, Pace
from tests.store.clocks import DAY, NOW, ManualClock
from tests.store.database import Database
from tests.store.doctor.findings import HOUR, Doctor, at, found


def working(db: Database, owner: str, command: str = "run", version: str = __version__, seen: float = 0.0) -> None:
    db.run(
        "INSERT INTO processes (owner, command, version, started_at, seen_at) VALUES (?, ?, ?, ?, ?)",
        owner,
        command,
        version,
        at(-HOUR),
        at(seen),
    )


def test_who_is_at_work(doctor: Doctor, db: Database) -> None:
    working(db, "here:1:a", seen=-61)
    assert found(doctor(), "nobody works").level == "ok"
    working(db, "here:2:b")
    assert found(doctor(), f"`harvester run` {__version__} (host here, pid 2) is at work since").level == "ok"
    working(db, "here:3:c", "backfill", "0.0.1")
    assert found(doctor(), "`harvester backfill` 0.0.1").level == "warning"
    assert not [one for one in doctor() if "more than one daemon" in one.what]
    working(db, "there:4:d")
    assert found(doctor(), "more than one daemon").level == "warning"


def test_rows_that_are_stamped_with_the_future(doctor: Doctor, db: Database) -> None:
    insert = (
        "INSERT INTO repositories (id, namespace, name, full_name, is_official, first_seen_at, last_seen_at, chapter)"
    )
    db.run(f"{insert} VALUES (1, 'a', 'b', 'a/b', 0, ?, ?, 1)", at(0), at(299))
    assert found(doctor(), "no row is stamped").level == "ok"
    db.run(f"{insert} VALUES (2, 'a', 'c', 'a/c', 0, ?, ?, 1)", at(0), at(301))
    db.run("INSERT INTO pull_history VALUES (2, ?, 1, 1, 1)", NOW + DAY)
    finding = found(doctor(), "stamped with the future")
    assert finding.level == "warning"
    assert "1 in repositories, 1 in pull_history" in finding.what


def job(db: Database, state: str, run_at: float = 0.0, *, error: str | None = None, lease: float | None = None) -> None:
    held = (None, None) if lease is None else ("gone:1:a", at(lease))
    over = at(0) if state in ("done", "dead") else None
    number = db.value("SELECT count(*) FROM jobs")
    db.run(
        """INSERT INTO jobs (kind, lane, key, args, priority, state, run_at, attempt, max_attempts, last_error, lease_owner,
        lease_until, fresh_after, created_at, finished_at) VALUES ('tag', 'hub', ?, '{}', 1, ?, ?, 1, 5, ?, ?, ?, ?, ?, ?)""",
        *(f"k{number}", state, at(run_at), error, *held, at(0), at(0), over),
    )


def test_jobs_that_failed_by_reason(doctor: Doctor, db: Database) -> None:
    for reason in ("bad answer", "bad answer", "not allowed", None):
        job(db, "dead", error=reason)
    finding = found(doctor(), "4 jobs failed for good")
    assert finding.level == "warning"
    assert "2 x bad answer; 1 x no reason is known; 1 x not allowed" in finding.what
    assert not [one for one in doctor() if "no job failed" in one.what]


def test_jobs_that_nobody_asks(doctor: Doctor, db: Database) -> None:
    job(db, "ready", -HOUR)
    assert found(doctor(), "none is stuck").level == "ok"
    job(db, "ready", -2 * DAY)
    assert found(doctor(), "1 jobs could have been asked since").level == "note"
    working(db, "here:2:b")
    assert found(doctor(), "1 jobs could have been asked since").level == "warning"


def test_jobs_that_are_put_off_for_ever(doctor: Doctor, db: Database) -> None:
    job(db, "waiting", DAY - 60)
    assert found(doctor(), "none is stuck").level == "ok"
    job(db, "waiting", 300 * DAY)
    assert found(doctor(), "1 jobs are put off until").level == "warning"


def test_leases_of_nobody(doctor: Doctor, db: Database) -> None:
    job(db, "running", lease=30)
    assert found(doctor(), "none is stuck").level == "ok"
    job(db, "running", lease=-30)
    assert found(doctor(), "1 jobs were being asked by a process that ended").level == "note"
    job(db, "running", lease=DAY)
    assert found(doctor(), "2 jobs were being asked"), "one by a clock that was ahead"


@pytest.mark.parametrize(("seconds", "level"), [(60.0, "note"), (900.0, "warning"), (-1.0, None)])
def test_budgets_that_are_closed(
    doctor: Doctor, db: Database, clock: ManualClock, seconds: float, level: str | None
) -> None:
    bucket = Bucket("hub", "direct", "anonymous")
    with db.engine.begin() as connection:
        buckets.configure(connection, bucket, Pace(180, 60.0), clock.time())
        buckets.close(connection, bucket, seconds, "blocked by the edge", clock.time())
    findings = [one for one in doctor() if "hub is closed until" in one.what]
    assert [one.level for one in findings] == ([level] if level else [])
    assert all("blocked by the edge" in one.what for one in findings)


def watched(
    db: Database, *, due: float, every: int = DAY, begun: float | None = None, over: float | None = None
) -> None:
    run_id = None
    if begun is not None:
        ended = None if over is None else at(over)
        db.run(
            "INSERT INTO runs (fingerprint, started_at, pass_began_at, finished_at) VALUES ('f', ?, ?, ?)",
            at(begun),
            at(begun),
            ended,
        )
        run_id = db.value("SELECT max(id) FROM runs")
    db.run(
        "INSERT INTO watches (target, tags, layers, every_s, fastest_s, place, since, next_check_at, run_id) "
        "VALUES ('library/nginx', 'all', 'latest', ?, 60, 0, ?, ?, ?)",
        *(every, at(-9 * DAY), at(due), run_id),
    )


@pytest.mark.parametrize(("due", "is_told"), [(HOUR, False), (-5 * HOUR, False), (-7 * HOUR, True)])
def test_watches_that_are_overdue(doctor: Doctor, db: Database, due: float, is_told: bool) -> None:
    watched(db, due=due, begun=-DAY, over=-DAY + 60)
    findings = [one for one in doctor() if "watches are overdue" in one.what]
    assert [one.level for one in findings] == ["warning"] * is_told
    if is_told:
        assert "library/nginx by 7.0 h, and no daemon is at work" in findings[0].what
        working(db, "here:2:b")
        assert "no daemon" not in found(doctor(), "watches are overdue").what


def test_what_is_watched_and_not_there(doctor: Doctor, db: Database) -> None:
    watched(db, due=HOUR, begun=-DAY, over=-DAY + 60)
    db.run("UPDATE watches SET target = 'grafanna/*'")
    db.run("INSERT INTO absences VALUES ('grafanna/*', ?, ?, 3)", at(-2 * DAY), at(-HOUR))
    finding = found(doctor(), "not there")
    assert finding.level == "warning"
    assert f"grafanna/* is watched, and the far end has said since {at(-2 * DAY)}" in finding.what
    db.run(
        "INSERT INTO repositories (namespace, name, full_name, is_official, first_seen_at, last_seen_at)"
        " VALUES ('grafanna', 'a', 'grafanna/a', 0, ?, ?)",
        *(at(-DAY), at(-DAY)),
    )
    assert not [one for one in doctor() if "not there" in one.what], "an alarm, and no absence"


@pytest.mark.parametrize(("begun", "is_told"), [(-1.9 * DAY, False), (-2.1 * DAY, True)])
def test_passes_that_never_end(doctor: Doctor, db: Database, begun: float, is_told: bool) -> None:
    watched(db, due=-DAY, begun=begun)
    findings = [one for one in doctor() if "passes take longer" in one.what]
    assert [one.level for one in findings] == ["warning"] * is_told
    assert not [one for one in doctor() if "watches are overdue" in one.what], "it waits for its own pass"


def test_lists_that_are_not_complete_by_reason(doctor: Doctor, db: Database) -> None:
    for number, reason in enumerate(("wall", "wall", "error", "policy")):
        db.run(
            "INSERT INTO listings (kind, subject, started_at, finished_at, rows, stop_reason, is_complete, refused, walk_key)"
            " VALUES ('tags', ?, ?, ?, 1, ?, 0, 0, ?)",
            *(f"a/r{number}", at(-60), at(0), reason, f"w{number}"),
        )
    assert found(doctor(), "2 lists are incomplete (wall)").level == "note"
    assert found(doctor(), "1 list is incomplete (error)").level == "warning"
    assert not [one for one in doctor() if "policy" in one.what]


def test_receivers_that_do_not_take_events(doctor: Doctor, db: Database) -> None:
    db.run(
        "INSERT INTO events (id, observed_at, kind, detail) VALUES (1, ?, 'tag.new', '{}'), (2, ?, 'tag.new', '{}')",
        at(0),
        at(0),
    )
    insert = "INSERT INTO deliveries (notifier, event_id, subject, state, run_at, last_error, finished_at) VALUES"
    db.run(f"{insert} ('fine', 1, 'a', 'waiting', ?, NULL, NULL)", at(0))
    assert not [one for one in doctor() if one.area == "receivers"]
    db.run(f"{insert} ('ops', 1, 'a', 'waiting', ?, 'it answered 500', NULL)", at(0))
    assert found(doctor(), "ops: 1 events wait, 0 were given up: it answered 500").level == "warning"
    db.run(f"{insert} ('ops', 2, 'a', 'dead', ?, 'it answered 410', ?)", at(0), at(0))
    assert "1 were given up" in found(doctor(), "ops: ").what
