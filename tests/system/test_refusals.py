"""What the far end refuses, what the harvester does then, and what the operator sees: one row each, on a real far end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fakehub import FakeHub, Fault, faults
from tests.fakehub.faults import Answer
from tests.system.conftest import PATIENCE_S, Harvester
from tests.system.refusal_table.__main__ import told
from tests.system.refusal_table.rows import ROWS
from tests.system.refusal_table.stage import Refused, Stage, lines_of, migrated, played
from tests.system.refusal_table.standing_time import StandingTime

BY_NAME = {row.name: row for row in ROWS}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated(tmp_path_factory.mktemp("template"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_refusal(row: Refused, template: Path) -> None:
    with played(row, template) as stage:
        row.judge(stage)


def test_every_row_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(ROWS)


@pytest.mark.parametrize("name", ["login-401", "wall", "403-repository", "one-bad-row", "404-past-the-end"])
def test_a_process_of_its_own_says_the_same(
    harvester: Harvester, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows in which nothing is waited for, across the boundary of a process."""
    row = BY_NAME[name]
    login = {"DOCKERHUB_USERNAME": "someone", "DOCKERHUB_TOKEN": row.secret} if row.secret else {}
    with FakeHub(row.world(), limits=row.limits, switches=row.switches, users={"someone": "dckr_pat_right"}) as hub:
        row.arm(Stage(hub=hub, time=StandingTime(), folder=tmp_path, patch=monkeypatch))
        done = harvester.run(hub, *row.command, env=login)
    assert lines_of(done.stderr) == row.seen
    assert done.returncode == row.exit_code


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (faults.edge_code(), "edge.blocked next='nothing is asked until then' pause_s=900"),
        (faults.rate_limited(10_800), "far_end.throttled pause_s=10800"),
    ],
    ids=["edge", "hub-limit"],
)
def test_a_long_wait_is_said_when_it_begins_and_can_be_interrupted(
    harvester: Harvester, small: FakeHub, answer: Answer, said: str
) -> None:
    small.fault(Fault(answer, times=None))
    process = harvester.start(small, "backfill", "nginx", "--layers", "none")
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=PATIENCE_S)
    assert lines_of(first)[0].startswith(said)
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "interrupted: the same command goes on from here"
    assert harvester.one("SELECT count(*) FROM jobs WHERE state IN ('dead', 'running')") == 0


def test_the_table_that_is_written_down_is_the_one_that_is_played() -> None:
    written = Path(__file__).with_name("refusal_table") / "table.md"
    assert written.read_text(encoding="utf-8") == told(), "`python -m tests.system.refusal_table` prints it"
