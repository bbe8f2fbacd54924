"""No token is ever persisted: there is no column for one, no job carries one, and a run signed in leaves none in the file."""

from __future__ import annotations

import re
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
from tests.fakehub import FakeHub

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
