"""No secret gets out: no column is for one, no job carries one, a run that has all kinds leaves none in files, logs or metrics."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine

from harvester import records
from harvester.backfill import backfill
from harvester.clock import SystemClock
from harvester.config import Settings
from harvester.jobs import Args
from harvester.policy import LayerPolicy, TagPolicy
from harvester.request import Request
from harvester.store import migrate
from harvester.store.engine import database_url, open_writer
from harvester.targets import parse_targets
from tests.fakehub import FakeHub, Fault, Limits, World, faults
from tests.proxy import Proxy
from tests.receiver import Receiver

SECRETIVE = re.compile(r"token|secret|passw|credential|authori[sz]|bearer|jwt|cookie|api_?key", re.IGNORECASE)
SECRET = "dckr_pat_the-operators-own"
TOKEN_LIKE = re.compile(rb"eyJ[\w-]{8,}|dckr_\w+|[Bb]earer |[Bb]asic ")


def columns(engine: Engine) -> set[str]:
    """Table or view and column, of everything in the database."""
    with engine.connect() as connection:
        return {
            f"{table}.{column}"
            for (table,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            for _, column, *_ in connection.exec_driver_sql(f"PRAGMA table_info({table})")
        }


def test_no_table_or_view_has_a_column_for_a_secret(tmp_path: Path) -> None:
    engine = open_writer(database_url(str(tmp_path / "harvester.db")))
    migrate.upgrade(engine)
    found = columns(engine)
    engine.dispose()
    assert "jobs.args" in found
    assert "v_tags.digest" in found
    assert [column for column in found if SECRETIVE.search(column)] == []


def test_no_record_and_no_job_has_a_field_for_a_secret() -> None:
    structs = [
        one for one in [*vars(records).values(), Args] if isinstance(one, type) and issubclass(one, msgspec.Struct)
    ]
    assert len(structs) > 10
    fields = [f"{one.__name__}.{field}" for one in structs for field in one.__struct_fields__]
    assert [field for field in fields if SECRETIVE.search(field)] == []


@pytest.mark.parametrize("secret", [SECRET, "dckr_pat_a-wrong-one"], ids=["accepted", "refused"])
def test_a_run_that_signs_in_leaves_no_token_in_the_file(tmp_path: Path, secret: str) -> None:
    path = tmp_path / "harvester.db"
    with FakeHub(users={"anna": SECRET}) as far_end:
        settings = Settings(
            database=str(path),
            hub_url=far_end.hub_url,
            auth_url=far_end.auth_url,
            registry_url=far_end.registry_url,
            username="anna",
            pulls=5,
        )
        request = Request(parse_targets(["busybox:1.37"]), TagPolicy("all"), LayerPolicy("all"), is_quiet=True)
        summary = backfill(request, settings, SystemClock(), credential=("anna", secret))
        assert far_end.requests(path_contains="/auth/token"), "it signed in"
    assert (summary.fatal is None) is (secret == SECRET)
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"anonymous" in held or b"account" in held, "the ledger is in the file"
    assert TOKEN_LIKE.findall(held) == []


ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "the-proxys-password-1a2b"
SIGNING_KEY = "the-webhooks-key-3c4d"
HOOK_PATH = "very-secret-path"

FAULTS = [
    Fault(faults.server_error(503), target="/repositories/nginx$"),
    Fault(faults.connection_reset(), target="/repositories/web$"),
    Fault(faults.status(403, {"detail": "no"}), target="/repositories/reports$", times=None),
    Fault(faults.field_set("last_updated", "never"), target="/nginx/tags"),
    Fault(faults.cut_short(), target="/web/tags"),
]


def kinds_of_lines(log: str) -> set[str]:
    """Every line is one object without colours that has an event, a level and an instant in UTC; the events."""
    assert "\x1b" not in log
    lines = [json.loads(line) for line in log.splitlines()]
    for line in lines:
        assert line["level"] in ("debug", "info", "warning", "error"), line
        assert line["event"]
        assert line["timestamp"].endswith("Z")
    return {str(line["event"]) for line in lines}


@pytest.mark.parametrize("secret", [SECRET, "dckr_pat_a-wrong-one"], ids=["accepted", "refused"])
def test_a_process_that_has_secrets_of_all_kinds_shows_none_of_them_anywhere(tmp_path: Path, secret: str) -> None:
    """Signed in, by a proxy with a password, telling a webhook that fails, while the far end fails in many ways, all logged."""
    made = World.small()
    limits = Limits(hub_per_minute=100_000, pulls=100_000)
    with FakeHub(made, limits=limits, users={"anna": SECRET}) as far_end, Proxy() as proxy, Receiver() as receiver:
        receiver.status = lambda event: 500
        for fault in FAULTS:
            far_end.fault(fault)
        address = f"http://someone:{PASSWORD}@127.0.0.1:{proxy.port}"
        (tmp_path / "token").write_text(secret)
        (tmp_path / "hook").write_text(receiver.url)
        (tmp_path / "key").write_text(SIGNING_KEY)
        (tmp_path / "harvester.toml").write_text(
            f"""
            proxy = "{address}"
            [auth]
            username = "anna"
            token_file = "token"
            [limits]
            pulls = 100000
            [[notify]]
            name = "ops"
            to = "webhook"
            url_file = "hook"
            secret_file = "key"
            """
        )
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-m",
                "tests.guards.watched",
                "nginx",
                "acme/web",
                "initech/reports",
                "nobody/nothing",
            ],
            env={**kept, **far_end.environment(), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        wire = "".join(str(entry) for entry in receiver.journal)
        basic = base64.b64encode(f"someone:{PASSWORD}".encode()).decode()
        assert proxy.authorizations, done.stderr
        assert set(proxy.authorizations) == {f"Basic {basic}"}, "the password was used"
        assert far_end.requests(path_contains="/auth/token"), "it signed in"
    assert done.returncode == 0, done.stderr
    said = kinds_of_lines(done.stderr)
    if secret == SECRET:
        assert {"job.done", "job.retry", "job.dead", "notify.failed"} <= said
        assert HOOK_PATH in wire
        assert "signature" in wire
    assert "harvester_jobs_settled_total" in done.stdout
    for name in ("token", "hook", "key", "harvester.toml"):
        (tmp_path / name).unlink()
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert len(held) > 100_000
    texts = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode(), "files": held}
    for place, text in texts.items():
        for one in (secret, SECRET, PASSWORD, basic, SIGNING_KEY, HOOK_PATH):
            assert one.encode() not in text, f"{one} is in {place}"
        assert TOKEN_LIKE.findall(text) == [], place
