"""`doctor` as a whole: what a sound database says, the configuration, the credentials."""

from __future__ import annotations

from pathlib import Path

from harvester.composition import hash_of
from harvester.config import load
from harvester.errors import ConfigError
from harvester.store import buckets
from harvester.store.buckets import Bucket, Pace
from tests.store.clocks import ManualClock
from tests.store.database import Database
from tests.store.doctor.findings import Doctor, found


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
