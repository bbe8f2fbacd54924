"""`doctor` on databases in every state that it tells of; each is made for real, and a sound one has nothing above a note."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harvester import __version__
from harvester.composition import hash_of
from harvester.config import Settings, load
from harvester.doctor import examine
from harvester.errors import ConfigError
from harvester.findings import Finding
from harvester.store import buckets, soundness, upkeep
from harvester.store.buckets import Bucket, Pace
from harvester.store.engine import database_url, open_reader
from harvester.store.moment import Moment
from tests.store.clocks import DAY, NOW, ManualClock
from tests.store.database import Database

HOUR = 3600


@pytest.fixture(autouse=True)
def sound(path: Path) -> Path:
    path.chmod(0o600)
    path.parent.chmod(0o700)
    return path


Doctor = Callable[..., list[Finding]]


@pytest.fixture
def doctor(path: Path, clock: ManualClock) -> Doctor:
    def look(credential: tuple[str, str] | ConfigError | None = None, **settings: Any) -> list[Finding]:
        chosen = Settings(**({"database": str(path), "contact": "me@example.org"} | settings))
        return examine(chosen, clock, credential=credential, is_offline=True)

    return look


def found(findings: list[Finding], part: str) -> Finding:
    """The one finding that says so."""
    [one] = [one for one in findings if part in one.what]
    assert one.level == "ok" or one.remedy, "what is wrong has a remedy"
    return one


def at(seconds: float) -> str:
    return Moment.of(NOW + seconds).text


def test_a_sound_database_has_nothing_above_a_note(doctor: Doctor) -> None:
    findings = doctor()
    assert {one.level for one in findings} == {"ok"}
    areas = ("configuration", "credentials", "database", "disk", "processes", "clock", "queue", "programs", "far end")
    assert {one.area for one in findings} == set(areas)


def test_nothing_is_written_and_no_database_is_made(doctor: Doctor, path: Path) -> None:
    before = path.read_bytes()
    doctor()
    missing = path.parent / "new" / "harvester.db"
    assert found(doctor(database=str(missing)), "there is no database").level == "error"
    assert path.read_bytes() == before
    assert not missing.parent.exists()


def test_the_worst_comes_first(doctor: Doctor, db: Database, path: Path) -> None:
    path.chmod(0o644)
    levels = [one.level for one in doctor(keep_free_mb=2**31, contact=None)]
    assert levels == sorted(levels, key=["error", "warning", "note", "ok"].index)
    assert set(levels) == {"error", "warning", "note", "ok"}


# Configuration and credentials.


def test_what_is_configured_is_shown_without_secrets(doctor: Doctor) -> None:
    findings = doctor(proxy="http://anna:geheim@proxy:3128", hub_per_minute=7, contact=None)
    shown = found(findings, "all else is the default").what
    assert "hub_per_minute = 7" in shown
    assert "proxy = http://***@proxy:3128" in shown
    assert "geheim" not in str(findings)
    assert found(findings, "whom to write to").level == "note"


def test_a_target_that_is_watched_twice(doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "harvester.toml"
    file.write_text('[[watch]]\ntarget = "nginx"\n[[watch]]\ntarget = "library/nginx"\nevery = "1h"\n')
    finding = found(doctor(watch=load(file=str(file), environment={}).watch), "is watched twice")
    assert (finding.level, finding.area) == ("warning", "configuration")
    file.write_text('[[watch]]\ntarget = "nginx"\n[[watch]]\ntarget = "nginx"\nlayers = "all"\n')
    assert not [one for one in doctor(watch=load(file=str(file), environment={}).watch) if "twice" in one.what]


def test_half_a_credential_and_a_token_file_that_others_can_read(doctor: Doctor, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("geheim")
    token.chmod(0o640)
    findings = doctor(ConfigError("DOCKERHUB_USERNAME is set without DOCKERHUB_TOKEN"), token_file=str(token))
    assert found(findings, "is set without").level == "error"
    assert found(findings, "can be read by others (mode 0640)").level == "warning"
    token.chmod(0o400)
    assert not [one for one in doctor(token_file=str(token)) if "can be read by others" in one.what]


def test_a_credential_that_was_refused_within_the_hour(doctor: Doctor, db: Database, clock: ManualClock) -> None:
    bucket = Bucket("credential", "-", hash_of("anna", "geheim"))
    with db.engine.begin() as connection:
        buckets.configure(connection, bucket, Pace(1, 3600.0), clock.time())
        buckets.close(connection, bucket, 3600.0, "refused", clock.time())
    clock.advance(600)
    finding = found(doctor(("anna", "geheim")), "the far end refused it; it is not tried again for 50 min")
    assert (finding.level, finding.area) == ("error", "credentials")
    assert not [one for one in doctor(("anna", "other")) if "refused it" in one.what]
    clock.advance(3600)
    assert not [one for one in doctor(("anna", "geheim")) if "refused it" in one.what]


# The file.


def test_rights_that_let_others_in(doctor: Doctor, path: Path) -> None:
    path.chmod(0o644)
    path.parent.chmod(0o755)
    assert found(doctor(), "is open to others (mode 0644)").level == "warning"
    path.chmod(0o640)
    assert found(doctor(), "is open to others (mode 0640)").level == "note"
    assert found(doctor(), "others may look into").level == "note"
    path.parent.chmod(0o777)
    assert found(doctor(), "others may replace the database").level == "warning"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_somebody_else(doctor: Doctor, path: Path) -> None:
    os.chown(path, 1, 1)
    assert found(doctor(), "and you are root").level == "warning"
    os.chown(path, 0, 0)
    beside = Path(f"{path}-wal")
    reader = open_reader(database_url(str(path)))
    with reader.connect() as connection:
        connection.exec_driver_sql("SELECT 1 FROM runs")
        beside.touch()
        os.chown(beside, 1, 1)
        assert found(doctor(), "harvester.db-wal belongs to").level == "error"
    reader.dispose()


@pytest.mark.parametrize(("kind", "is_far"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False)])
def test_a_network_file_system(path: Path, tmp_path: Path, kind: str, is_far: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/root / ext4 rw 0 0\nfar:/x {tmp_path} {kind} rw 0 0\nb {tmp_path}-other nfs rw 0 0\n")
    findings = list(soundness.of_file(path, wal_mb=1024, keep_free_mb=1, mounts=mounts))
    assert any("network file system" in one.what and one.level == "error" for one in findings) == is_far


def test_the_file_system_is_looked_up_in_the_kernels_own_table(path: Path) -> None:
    assert soundness._kind_of_disk(path, soundness.MOUNTS)


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("0004", "run `harvester db upgrade`"),
        ("0999", "newer than this program's"),
        ("x", "no harvester up to this one"),
    ],
)
def test_a_schema_of_another_program(doctor: Doctor, db: Database, revision: str, says: str) -> None:
    db.run("UPDATE alembic_version SET version_num = ?", revision)
    finding = found(doctor(), says)
    assert finding.level == "error"
    assert ("db backup" in (finding.remedy or "")) == (revision == "0004"), "of another program's no backup is made"


def test_a_file_that_is_no_database(doctor: Doctor, path: Path) -> None:
    path.write_bytes(b"not a database at all, but text of some length" * 100)
    assert found(doctor(), "is not an SQLite database").level == "error"


def test_a_damaged_file(doctor: Doctor, db: Database, path: Path) -> None:
    db.run("INSERT INTO walls SELECT 'tags', 'a' || value, 1, ? FROM json_each(?)", at(0), str(list(range(4000))))
    db.engine.dispose()
    db.reader.dispose()
    with sqlite3.connect(path) as connection:
        [[page, size]] = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'walls'"
        ).fetchall()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\0" * size)
    finding = next(one for one in doctor() if one.level == "error")
    assert "damaged" in finding.what or "malformed" in finding.what
    assert finding.area == "database"


def test_a_check_that_takes_too_long_is_given_up(db: Database, path: Path) -> None:
    db.run("INSERT INTO walls SELECT 'tags', 'a' || value, 1, ? FROM json_each(?)", at(0), str(list(range(20_000))))
    with db.reader.begin() as connection:
        [finding] = list(soundness.of_pages(connection, limit_s=-1.0))
    assert finding.level == "note"
    assert "was not through" in finding.what
    assert db.value("SELECT count(*) FROM walls") == 20_000, "the connection is as it was"


def test_a_journal_of_another_mode(doctor: Doctor, db: Database, path: Path) -> None:
    db.engine.dispose()
    db.reader.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    assert found(doctor(), "its journal is in the mode `delete`").level == "note"


@pytest.mark.parametrize(("wal_mb", "level"), [(0, "error"), (1, "warning"), (100, None)])
def test_a_log_that_has_grown(doctor: Doctor, db: Database, path: Path, wal_mb: int, level: str | None) -> None:
    with db.engine.connect() as holder:
        holder.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")
        holder.exec_driver_sql(
            "INSERT INTO walls SELECT 'tags', 'a' || value, 1, ? FROM json_each(?)",
            (at(0), str(list(range(12_000)))),
        )
        holder.commit()
        assert 500_000 < Path(f"{path}-wal").stat().st_size < 1_000_000
        findings = [one for one in doctor(wal_mb=wal_mb) if "harvester.db-wal has" in one.what]
    assert [one.level for one in findings] == ([level] if level else [])


def test_a_disk_that_is_nearly_full(doctor: Doctor, path: Path) -> None:
    disk = os.statvfs(path.parent)
    free_mb = disk.f_bavail * disk.f_frsize // 10**6
    assert found(doctor(keep_free_mb=free_mb * 2), "`storage.keep_free_mb` wants").level == "error"
    assert found(doctor(keep_free_mb=free_mb * 2 // 3), "nothing is asked").level == "warning"


def test_a_disk_without_inodes(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing short of a file system of its own has none left.
    monkeypatch.setattr(soundness, "FEW_INODES", 2**62)
    assert found(doctor(), "more files can be made").level == "warning"


def test_backups_that_have_ceased(doctor: Doctor, path: Path) -> None:
    folder = path.parent / "backups"
    assert not [one for one in doctor() if one.area == "backups"]
    folder.mkdir()
    assert found(doctor(), "there is none in").level == "warning"
    copy = folder / "harvester-2026-11-20.db"
    copy.touch()
    assert found(doctor(), "the newest of 1").level == "ok"
    old = copy.stat().st_mtime - 3 * DAY
    os.utime(copy, (old, old))
    assert found(doctor(), "is 72 h old").level == "warning"


def test_backups_of_a_database_of_another_name(path: Path) -> None:
    hub = path.rename(path.with_name("hub.db"))
    folder = path.parent / "backups"
    folder.mkdir()
    Path(upkeep.backup_in(str(folder), Moment.of(NOW))).touch()
    assert found(list(soundness.of_file(hub, wal_mb=100, keep_free_mb=0)), "the newest of 1").level == "ok"


# The work.


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


# Freshness.


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
