"""A refusal as a value, and the stage on which it is played: the real command, in this process, under a time that jumps."""

from __future__ import annotations

import io
import logging
import random
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog

from harvester.cli import main
from harvester.store import migrate
from harvester.store.engine import database_url, open_writer
from tests.fakehub import FakeHub, Fault, Limits, Switches, World
from tests.fakehub.faults import Answer
from tests.fakehub.journal import Entry
from tests.fakehub.messages import Host
from tests.system.refusal_table.standing_time import StandingTime

PASS_S = 60.0
"""Seconds between the end of one command and the start of the next."""

SECRET = "dckr_pat_right"
TAGS = r"repositories/web/tags\?"
DETAIL = r"repositories/web$"
IMAGES = r"/images$"
MANIFEST = r"/manifests/"
ONE = ("backfill", "acme/web", "--layers", "none")
PULLS = ("backfill", "acme/web", "--layers", "latest", "--pulls", "10")


def a_world() -> World:
    """Two repositories of three tags each."""
    world = World()
    world.add_repository("acme/web", tags=["1.0", "1.1", "latest"])
    world.add_repository("acme/api", tags=["1.0", "1.1", "latest"])
    return world


@dataclass(frozen=True)
class Said:
    """What one run of the command said, and its exit code."""

    exit_code: int
    lines: tuple[str, ...]
    """Standard error, without times of day, without the lines that only show progress."""
    printed: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The far end, the database and the command between them."""

    hub: FakeHub
    time: StandingTime
    folder: Path
    patch: pytest.MonkeyPatch
    said: list[Said] = field(default_factory=list)

    def run(self, *command: str, secret: str | None = None) -> Said:
        """Run the command to its end."""
        login = {"DOCKERHUB_USERNAME": "someone", "DOCKERHUB_TOKEN": secret} if secret else {}
        for name in ("DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN", "DOCKERHUB_TOKEN_FILE"):
            self.patch.delenv(name, raising=False)
        for name, value in {**self.hub.environment(), **login}.items():
            self.patch.setenv(name, value)
        self.patch.setattr(sys, "argv", ["harvester", *command])
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        assert "Traceback" not in err.getvalue(), err.getvalue()
        code = ended.value.code
        assert isinstance(code, int)
        said = Said(code, lines_of(err.getvalue()), out.getvalue())
        self.said.append(said)
        return said

    def fault(self, answer: Answer, target: str, *, times: int | None = 1, skip: int = 0, host: Host = "hub") -> Fault:
        """Let the far end answer this way to requests whose path matches."""
        return self.hub.fault(Fault(answer, host=host, target=target, times=times, skip=skip))

    def asked(self, target: str = "", *, host: Host | None = None) -> list[Entry]:
        """Requests whose path matches, in the order of arrival."""
        return [entry for entry in self.hub.requests(host=host) if re.search(target, entry.target)]

    def pauses(self, target: str, *, host: Host | None = None) -> list[int]:
        """Whole seconds between each of these requests and the next."""
        times = [entry.at for entry in self.asked(target, host=host)]
        return [int(after - before) for before, after in pairwise(times)]

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "harvester.db")) as connection:
            return connection.execute(query).fetchall()

    def one(self, query: str) -> Any:
        [[value]] = self.rows(query)
        return value

    def job(self, kind: str) -> tuple[str, int]:
        """State and counted attempts of the last job of a kind."""
        state, attempt = self.rows(f"SELECT state, attempt FROM jobs WHERE kind = '{kind}' ORDER BY id DESC LIMIT 1")[0]
        return state, attempt

    def listing(self, kind: str = "tags", subject: str = "acme/web") -> tuple[str, int]:
        """Why the last walk of a list ended, and whether it claims to be complete."""
        query = f"""SELECT stop_reason, is_complete FROM listings WHERE kind = '{kind}' AND subject = '{subject}'
            ORDER BY id DESC LIMIT 1"""
        stop_reason, is_complete = self.rows(query)[0]
        return stop_reason, is_complete


Arm = Callable[[Stage], object]
"""Makes the far end refuse."""

Check = Callable[[Stage], None]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One refusal: the first three texts are for people, the rest is what they are held to."""

    name: str
    sent: str
    did: str
    seen: tuple[str, ...] = ()
    """Every line on standard error of the last run, in order."""
    exit_code: int = 0
    arm: Arm
    watch: str = TAGS
    """The requests that are counted, as a regular expression."""
    asked: int
    """How often they were made."""
    pauses: tuple[int, ...] | None = None
    """Whole seconds between them; null where several are under way at once."""
    job: tuple[str, str, int] | None = None
    """Kind, state and counted attempts of the last job of that kind."""
    listing: tuple[str, int] | None = None
    """Why the last walk of the tags of `acme/web` ended, and whether it claims to be complete."""
    stored: dict[str, Any] = field(default_factory=dict)
    """Questions to the database, each for one value, and the answers."""
    check: Check = lambda stage: None
    """What else is held to be so."""
    command: tuple[str, ...] = ONE
    before: tuple[tuple[str, ...], ...] = ()
    """Commands that run undisturbed, before the far end refuses."""
    passes: int = 1
    """How often the command runs while it does."""
    secret: str | None = None
    world: Callable[[], World] = a_world
    limits: Limits = field(default_factory=lambda: Limits(hub_per_minute=100_000, pulls=100_000))
    switches: Switches = field(default_factory=Switches)

    def judge(self, stage: Stage) -> None:
        """Whether the harvester did what the row says: the far end's journal and the database are asked."""
        assert len(stage.asked(self.watch)) == self.asked
        if self.pauses is not None:
            assert tuple(stage.pauses(self.watch)) == self.pauses, (stage.pauses(self.watch), self.pauses)
        if self.job is not None:
            assert (self.job[0], *stage.job(self.job[0])) == self.job
        if self.listing is not None:
            assert stage.listing() == self.listing
        for query, value in self.stored.items():
            assert stage.one(query) == value, query
        self.check(stage)
        assert stage.said[-1].exit_code == self.exit_code
        assert stage.said[-1].lines == self.seen


def migrated(folder: Path) -> Path:
    """An empty database with the whole schema."""
    path = folder / "template.db"
    engine = open_writer(database_url(str(path)))
    migrate.upgrade(engine)
    engine.dispose()
    return path


@contextmanager
def played(row: Refused, template: Path) -> Iterator[Stage]:
    """The stage after the row's commands have run."""
    time = StandingTime()
    hub = FakeHub(row.world(), limits=row.limits, switches=row.switches, users={"someone": SECRET}, clock=time.time)
    with tempfile.TemporaryDirectory() as made, _logging_kept(), hub, pytest.MonkeyPatch.context() as patch:
        folder = Path(made)
        shutil.copy(template, folder / "harvester.db")
        patch.chdir(folder)
        # The program spares itself collections for its life; here it is only a guest.
        patch.setattr("harvester.backfill._spare_collections", lambda: None)
        time.rule(patch)
        random.seed(1)
        stage = Stage(hub=hub, time=time, folder=folder, patch=patch)
        for command in row.before:
            assert stage.run(*command, secret=row.secret).exit_code == 0
            hub.journal.clear()
            time.let_pass(PASS_S)
        row.arm(stage)
        for number in range(row.passes):
            time.let_pass(PASS_S if number else 0.0)
            stage.run(*row.command, secret=row.secret)
        yield stage


@contextmanager
def _logging_kept() -> Iterator[None]:
    """What the command does to the logging of its process is undone."""
    root = logging.getLogger()
    handlers, level, own = root.handlers[:], root.level, logging.getLogger("harvester").level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("harvester").setLevel(own)
        structlog.reset_defaults()
        for name, module in list(sys.modules.items()):
            # A logger keeps the configuration of its first use.
            if name.startswith("harvester") and "bind" in getattr(getattr(module, "log", None), "__dict__", {}):
                vars(module.log).pop("bind")


_VARYING = (
    (re.compile(r"in_s=\d+"), "in_s=N"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:N"),
    (re.compile(r"sha256/[0-9a-f]{2}/[0-9a-f]{64}"), "sha256/N"),
    (re.compile(r"\?expires=\S+version=3"), ""),
    (re.compile(r"repository-\d{4}"), "repository-N"),
    (re.compile(r"tags/[\w.]+/images"), "tags/N/images"),
)
"""What is another number at each run: jittered waits, and which of several went first."""

_LOGGED = re.compile(r"^\S+Z \[(\w+) *\] (\S+) +(.*)$")


def lines_of(text: str) -> tuple[str, ...]:
    """Standard error as the rows have it."""
    lines: list[str] = []
    for line in text.splitlines():
        logged = _LOGGED.match(line)
        if logged and logged[2] == "backfill.progress":
            continue
        shown = f"{logged[2]} {logged[3]}" if logged else line
        for varies, instead in _VARYING:
            shown = varies.sub(instead, shown)
        lines.append(shown)
    return tuple(lines)
