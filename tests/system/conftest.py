"""Real processes against the fake Hub: how tests start `harvester` and look at what it stored."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakehub import FakeHub, Limits, World

PATIENCE_S = 120
RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "official-2018.json.gz"

FAST = Limits(hub_per_minute=100_000, pulls=100_000)
"""Budgets that hold nothing back, headers and walls as ever."""


@dataclass(frozen=True)
class Harvester:
    """The command, on a database of this test's own."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "harvester.db"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "harvester", *arguments]

    def environment(self, hub: FakeHub | None, extra: dict[str, str] | None = None) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if key in os.environ}
        return {**kept, **(hub.environment() if hub else {}), **(extra or {})}

    def run(
        self,
        hub: FakeHub | None,
        *arguments: str,
        env: dict[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; nothing it prints may be a traceback."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(hub, env),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            preexec_fn=preexec_fn,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start(self, hub: FakeHub | None, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(hub),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()

    def one(self, query: str) -> Any:
        [[value]] = self.rows(query)
        return value

    def change(self, statement: str) -> None:
        """Alter rows as another program would."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement)

    def expire_leases(self) -> None:
        """As if the time that a lease lasts had passed since its process was killed."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("UPDATE jobs SET lease_until = '2000-01-01T00:00:00Z' WHERE state = 'running'")

    def content(self) -> dict[str, list[Any]]:
        """Everything that was learnt, without ids and without the instants of the learning."""
        return {name: self.rows(query) for name, query in CONTENT.items()}


CONTENT = {
    "repositories": """SELECT full_name, description, full_description, pull_count, star_count, last_updated, last_modified,
        date_registered, status, is_private, categories, storage_size, gone_at, tags_last_updated
        FROM repositories ORDER BY full_name""",
    "tags": """SELECT r.full_name, t.name, t.digest, t.media_type, t.full_size, t.status, t.last_pushed, t.last_updater, t.gone_at
        FROM tags t JOIN repositories r ON r.id = t.repository_id ORDER BY 1, 2""",
    "tag_images": "SELECT * FROM v_tag_images ORDER BY full_name, tag, image_digest",
    "images": "SELECT digest, kind, os, architecture, size, layers_from FROM images ORDER BY digest",
    "layers": """SELECT i.digest, s.step, l.digest, l.size, n.text FROM images i JOIN image_layers s ON s.image_id = i.id
        LEFT JOIN layers l ON l.id = s.layer_id LEFT JOIN instructions n ON n.id = s.instruction_id ORDER BY 1, 2""",
    "tag_history": """SELECT r.full_name, t.name, h.digest, h.pushed_at, h.seen_until FROM tag_history h
        JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id ORDER BY 1, 2, h.seen_from""",
    "pull_history": """SELECT r.full_name, p.pull_count, p.star_count FROM pull_history p
        JOIN repositories r ON r.id = p.repository_id ORDER BY 1""",
    "listings": "SELECT kind, subject, reported_count, rows, stop_reason, is_complete FROM listings ORDER BY 1, 2",
    "harvested_digests": "SELECT digest FROM harvested_digests ORDER BY 1",
}


def differences(expected: dict[str, list[Any]], found: dict[str, list[Any]]) -> dict[str, dict[str, list[Any]]]:
    """By table, the rows that only one of two contents has: short enough to read in a failed run's output."""
    return {
        name: {
            "missing": [row for row in expected[name] if row not in found[name]],
            "unexpected": [row for row in found[name] if row not in expected[name]],
        }
        for name in expected
        if expected[name] != found[name]
    }


def repeated(hub: FakeHub) -> dict[tuple[str, str, str], int]:
    """Requests that were made more than once."""
    asked = Counter((entry.host, entry.method, entry.target) for entry in hub.requests())
    return {key: times for key, times in asked.items() if times > 1}


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The summary that `--json` prints."""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with the whole schema, made once: migrating costs more than most tests."""
    made = Harvester(tmp_path_factory.mktemp("template"))
    assert made.run(None, "db", "upgrade").returncode == 0
    return made.database


@pytest.fixture
def harvester(tmp_path: Path, migrated: Path) -> Harvester:
    shutil.copy(migrated, tmp_path / migrated.name)
    return Harvester(tmp_path)


@pytest.fixture
def small() -> Iterator[FakeHub]:
    with FakeHub(World.small(), limits=FAST, users={"someone": "dckr_pat_right"}) as hub:
        yield hub
