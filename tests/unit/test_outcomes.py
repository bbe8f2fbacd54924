"""One line for each job's end: its event, its level, its ids; and of errors that are equal one line in half a minute."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from harvester.errors import Throttled, Unavailable
from harvester.jobs import Args, Dead, Done, Harvest, Job, Kind, Outcome, Released, Retry, Snooze
from harvester.log import configure
from harvester.outcomes import REPEATED_S, Outcomes
from harvester.worker import Report
from tests.unit.clocks import ManualClock

DONE = Done(Harvest())
FAILED = Unavailable("The far end failed: 503", url="/v2/x", status=503)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outcomes(clock: ManualClock) -> Outcomes:
    return Outcomes(clock)


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    structlog.reset_defaults()
    with capture_logs() as found:
        yield found  # type: ignore[misc]


def ended(
    outcome: Outcome,
    error: BaseException | None = None,
    *,
    number: int = 1,
    attempt: int = 1,
    kind: Kind = "images",
    **counts: int,
) -> Report:
    job = Job(number, kind, f"{kind}:{number}", Args(subject="a/b"), attempt, "")
    return Report(job=job, outcome=outcome, error=error, counts=Counter(counts))


def retry(number: int, **changes: Any) -> Report:
    error = Unavailable("The far end failed: 503", url=f"/v2/{number}", status=503)
    return ended(Retry(1.0, f"Unavailable: {error}"), error, number=number, **changes)


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (ended(DONE, settled=1, tags=3, refused=0), {"event": "job.done", "log_level": "info", "stored": {"tags": 3}}),
        (ended(DONE, settled=1), {"event": "job.done", "log_level": "info"}),
        (ended(Released()), {"event": "job.released", "log_level": "debug"}),
        (
            ended(Dead("Denied: no", Harvest())),
            {"event": "job.dead", "log_level": "error", "reason": "Denied: no"},
        ),
        (
            ended(Retry(15.7, "Unavailable: x"), FAILED),
            {"event": "job.retry", "log_level": "warning", "in_s": 16, "reason": "Unavailable: x"},
        ),
        (
            ended(Snooze(60.0, "Throttled: x"), Throttled("x", retry_after=60)),
            {"event": "job.put_off", "log_level": "info", "in_s": 60, "reason": "Throttled: x"},
        ),
    ],
    ids=["done", "done without rows", "released", "dead", "retry", "put off"],
)
def test_each_end_is_one_line(
    outcomes: Outcomes, lines: list[dict[str, Any]], report: Report, line: dict[str, Any]
) -> None:
    outcomes.note(report)
    assert lines == [{"key": "images:1", "attempt": 1, **line}]


def test_the_level_of_what_went_well_is_a_parameter(clock: ManualClock, lines: list[dict[str, Any]]) -> None:
    outcomes = Outcomes(clock, level=logging.DEBUG)
    for outcome in (DONE, Snooze(1.0, "x"), Retry(1.0, "x"), Dead("x", Harvest())):
        outcomes.note(ended(outcome))
    assert [line["log_level"] for line in lines] == ["debug", "debug", "warning", "error"]


def test_equal_errors_are_told_once_and_then_by_their_number(
    outcomes: Outcomes, clock: ManualClock, lines: list[dict[str, Any]]
) -> None:
    for number in range(1, 19):
        outcomes.note(retry(number))
    assert [line["key"] for line in lines] == ["images:1"]
    clock.advance(REPEATED_S - 1)
    outcomes.note(ended(DONE))
    assert len(lines) == 2
    clock.advance(1)
    outcomes.note(ended(DONE))
    told = lines[2]
    assert (told["event"], told["repeated"], told["key"]) == ("job.retry", 17, "images:18")
    assert told["reason"].endswith("/v2/18)")
    assert lines[3]["event"] == "job.done"


def test_after_its_number_was_told_the_same_is_held_back_again(
    outcomes: Outcomes, clock: ManualClock, lines: list[dict[str, Any]]
) -> None:
    for number in range(1, 91):
        outcomes.note(retry(number))
        clock.advance(1)
    outcomes.tell_repeated(is_last=True)
    assert [line.get("repeated", 1) for line in lines] == [1, 29, 30, 30]
    assert sum(line.get("repeated", 1) for line in lines) == 90, "none is lost"


def test_an_error_that_does_not_come_again_leaves_no_line_behind(
    outcomes: Outcomes, clock: ManualClock, lines: list[dict[str, Any]]
) -> None:
    outcomes.note(retry(1))
    clock.advance(REPEATED_S)
    outcomes.tell_repeated()
    outcomes.tell_repeated(is_last=True)
    assert len(lines) == 1
    assert outcomes._told == {}
    outcomes.note(retry(2))
    assert [line["key"] for line in lines] == ["images:1", "images:2"]


@pytest.mark.parametrize(
    "other",
    [
        retry(2, attempt=2),
        retry(2, kind="repository"),
        ended(Dead("Unavailable: x", Harvest()), FAILED, number=2),
        ended(Retry(1.0, "x"), Unavailable("The far end failed: 500", url="/v2/1", status=500), number=2),
        ended(Retry(1.0, "x"), Throttled("The far end failed: 503", retry_after=1), number=2),
    ],
    ids=["another attempt", "another kind", "another end", "another message", "another error"],
)
def test_errors_that_differ_are_told_each(outcomes: Outcomes, lines: list[dict[str, Any]], other: Report) -> None:
    outcomes.note(retry(1))
    outcomes.note(other)
    assert len(lines) == 2


def test_an_unknown_error_is_told_apart_by_its_text(outcomes: Outcomes, lines: list[dict[str, Any]]) -> None:
    for text in ("one", "two", "one"):
        outcomes.note(ended(Retry(1.0, f"ValueError: {text}"), ValueError(text)))
    assert [line["reason"] for line in lines] == ["ValueError: one", "ValueError: two"]


def test_what_is_told_later_has_the_ids_of_the_job_it_tells_of(
    outcomes: Outcomes, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    root, own = logging.getLogger(), logging.getLogger("harvester")
    before = root.handlers[:], root.level, own.level
    try:
        configure(form="json", is_quiet=False)
        for number in (1, 2, 3):
            with structlog.contextvars.bound_contextvars(job=number, lane="hub", owner="me"):
                outcomes.note(retry(number))
        clock.advance(REPEATED_S)
        with structlog.contextvars.bound_contextvars(job=4, lane="hub", owner="me"):
            outcomes.note(ended(DONE, number=4))
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        own.setLevel(before[2])
        logging.captureWarnings(False)
        structlog.reset_defaults()
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["job"], line["key"], line.get("repeated")) for line in found] == [
        ("job.retry", 1, "images:1", None),
        ("job.retry", 3, "images:3", 2),
        ("job.done", 4, "images:4", None),
    ]
