"""Makes the database of a release: see the package."""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests.fakehub import FakeHub, Limits, World
from tests.store.releases import FOLDER

CHECKOUT = Path(__file__).resolve().parents[3]


def harvested(program: Path, database: Path) -> None:
    """Two passes over a small world that changes between them."""
    world = World.small()
    world.add_repository("umbrella/one", tags=["latest", "1.0", "0.9"])
    with FakeHub(world, limits=Limits(hub_per_minute=100_000)) as hub:
        _harvest(program, database, hub)
        world.push_tag("umbrella/one", "latest")
        world.push_tag("umbrella/one", "1.0")
        world.delete_tag("umbrella/one", "0.9")
        world.add_repository("umbrella/two", tags=2)
        _harvest(program, database, hub)


def _harvest(program: Path, database: Path, hub: FakeHub) -> None:
    environment = {**os.environ, **hub.environment(), "PYTHONPATH": str(program), "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = ("umbrella/", "hello-world", "search:nginx", "umbrella/nowhere", "--quiet", "--database", str(database))
    done = subprocess.run(
        [sys.executable, "-m", "harvester", "backfill", *arguments],
        env=environment,
        cwd=program,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, 1), "2 to 4: it could not harvest"


def dumped(database: Path) -> tuple[str, str]:
    """The revision, and the SQL that makes the database once more."""
    with closing(sqlite3.connect(database)) as connection:
        [[revision]] = connection.execute("SELECT version_num FROM alembic_version")
        return revision, "\n".join(connection.iterdump()) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.store.releases")
    parser.add_argument("--program", type=Path, default=CHECKOUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "harvester.db"
        harvested(options.program.resolve(), database)
        revision, text = dumped(database)
    [version] = re.findall(r'__version__ = "(.+)"', (options.program / "harvester" / "__init__.py").read_text("utf-8"))
    file = FOLDER / f"{version}-{revision}.sql"
    file.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{file.name}: {len(text)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
