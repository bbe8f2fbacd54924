"""How far a run is: counts, a rate that is that of the last minute, and an estimate that promises nothing it cannot know."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from harvester.errors import Throttled, Unavailable
from harvester.jobs import KINDS, Args, Dead, Done, Harvest, Job, Outcome, Released, Retry, Snooze
from harvester.progress import BAR_S, LINE_S, LISTS, Progress
from harvester.store.runs import Left
from harvester.worker import Report
from tests.unit.clocks import ManualClock

DONE = Done(Harvest())
LAYERS = "images"
"""A kind whose answers bring nothing more."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def progress(clock: ManualClock) -> Progress:
    return Progress(clock, is_quiet=False)


def ended(progress: Progress, outcome: Outcome = DONE, **counts: int) -> None:
    """One job came to this end."""
    job = Job(1, "images", "images:x", Args(subject="a/b"), 1, "")
    error = None if isinstance(outcome, Done) else Unavailable()
    progress.report(Report(job=job, outcome=outcome, error=error, counts=Counter(counts)))


def steadily(progress: Progress, clock: ManualClock, *, jobs: int, every_s: float) -> None:
    """Jobs that end one after the other."""
    for _ in range(jobs):
        clock.advance(every_s)
        ended(progress)


def shown(progress: Progress, left: int, kind: str = LAYERS) -> str:
    """The text that stands beside the bar and in the log line."""
    progress.show([Left("ready", kind, left)] if left else [], in_hand=0)
    return progress._text()


def seconds_left(text: str) -> float | None:
    """What the text promises, in seconds; null where it promises nothing."""
    found = re.search(r"([\d.]+) (s|min|h) left", text)
    return float(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]] if found else None


def test_a_pause_is_said_once_for_what_was_under_way_together(
    progress: Progress, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    error = Throttled("told to wait", retry_after=60.0, status=429, budget="hub")
    for seconds in (60.0, 60.0, 61.0):
        progress.pause(seconds, error)
    clock.advance(60.0)
    progress.pause(60.0, error)
    progress.pause(60.0, Unavailable("it fails", status=503, budget="registry"))
    said = capsys.readouterr().out
    assert said.count("far_end.throttled") == 2
    assert said.count("far_end.failing") == 1
    assert "told to wait" in shown(progress, 1) or "it fails" in shown(progress, 1)


def test_a_short_pause_is_no_news(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.pause(2.0, Throttled("told to wait", retry_after=2.0, status=429, budget="hub"))
    assert capsys.readouterr().out == ""


def test_nothing_is_promised_before_anything_ended(progress: Progress) -> None:
    assert shown(progress, 1000) == "0 repositories, 0 tags, 0 images"


def test_one_end_is_no_rate(progress: Progress, clock: ManualClock) -> None:
    steadily(progress, clock, jobs=1, every_s=5)
    assert seconds_left(shown(progress, 1000)) is None


@pytest.mark.parametrize(
    ("every_s", "jobs", "left", "expected_s"),
    [(0.4, 200, 150, 60), (0.5, 240, 7200, 3600), (2.0, 60, 30, 60), (4.0, 30, 90, 360), (10.0, 12, 6, 60)],
)
def test_a_steady_rate_gives_an_estimate_within_a_fifth(
    progress: Progress, clock: ManualClock, every_s: float, jobs: int, left: int, expected_s: float
) -> None:
    steadily(progress, clock, jobs=jobs, every_s=every_s)
    assert seconds_left(shown(progress, left)) == pytest.approx(expected_s, rel=0.2)


def test_two_ends_make_no_rate_of_two_per_interval(progress: Progress, clock: ManualClock) -> None:
    steadily(progress, clock, jobs=2, every_s=10)
    promised = seconds_left(shown(progress, 6))
    assert promised is None or promised >= 50, "a job in ten seconds: six of them take a minute"


def test_jobs_that_end_together_promise_no_end_at_once(progress: Progress) -> None:
    for _ in range(20):
        ended(progress)
    promised = seconds_left(shown(progress, 10_000))
    assert promised is None or promised > 60, "twenty saved-up permits say nothing about ten thousand jobs"


def test_the_rate_is_that_of_the_last_minute(progress: Progress, clock: ManualClock) -> None:
    steadily(progress, clock, jobs=600, every_s=0.1)
    steadily(progress, clock, jobs=15, every_s=5)
    assert seconds_left(shown(progress, 12)) == pytest.approx(60, rel=0.2)


def test_an_estimate_grows_while_nothing_ends_and_goes_when_the_minute_is_over(
    progress: Progress, clock: ManualClock
) -> None:
    steadily(progress, clock, jobs=60, every_s=1)
    before = seconds_left(shown(progress, 60))
    clock.advance(30)
    later = seconds_left(shown(progress, 60))
    assert before is not None
    assert later is not None
    assert later > before
    clock.advance(60)
    assert seconds_left(shown(progress, 60)) is None


@pytest.mark.parametrize("kind", [*KINDS])
def test_an_estimate_is_a_lower_bound_while_answers_may_bring_more_work(
    kind: str, progress: Progress, clock: ManualClock
) -> None:
    steadily(progress, clock, jobs=30, every_s=1)
    text = shown(progress, 30, kind)
    assert seconds_left(text) is not None
    assert ("at least" in text) is (kind in LISTS)
    assert (kind in LISTS) is (kind not in {"images", "manifest"})


def test_a_mixed_rest_is_a_lower_bound_too(progress: Progress, clock: ManualClock) -> None:
    steadily(progress, clock, jobs=30, every_s=1)
    progress.show([Left("ready", "images", 30), Left("waiting", "tags.page", 1)], in_hand=0)
    assert "at least" in progress._text()


@pytest.mark.parametrize(
    ("left", "said"), [(30, "30 s left"), (89, "s left"), (150, "2 min left"), (7200, "2.0 h left"), (0, "0 s left")]
)
def test_a_duration_is_said_in_the_unit_that_fits(progress: Progress, clock: ManualClock, left: int, said: str) -> None:
    steadily(progress, clock, jobs=600, every_s=1)
    assert said in shown(progress, left)


def test_what_holds_the_run_back_is_said_and_forgotten_when_it_goes_on(progress: Progress, clock: ManualClock) -> None:
    steadily(progress, clock, jobs=2, every_s=1)
    progress.hold("hub", 45.0, "the hub budget of this window is spent")
    assert "the hub budget of this window is spent, opens in 45 s" in shown(progress, 10)
    ended(progress)
    assert "opens in" not in shown(progress, 9)


def test_a_moments_wait_is_not_worth_a_word(progress: Progress) -> None:
    progress.hold("hub", 1.9, "the hub budget is paced")
    assert "paced" not in shown(progress, 10)


def test_the_time_until_a_budget_opens_counts_down(progress: Progress, clock: ManualClock) -> None:
    progress.hold("hub", 300.0, "the hub budget of this window is spent")
    clock.advance(240)
    text = shown(progress, 10)
    assert "300 s" not in text
    assert "60 s" in text


def test_no_end_is_promised_before_the_budget_opens(progress: Progress, clock: ManualClock) -> None:
    steadily(progress, clock, jobs=60, every_s=1)
    progress.hold("pulls", 3600.0, "the pulls budget of this window is spent")
    promised = seconds_left(shown(progress, 60))
    assert promised is None or promised >= 3600


@pytest.mark.parametrize(
    ("left", "in_hand", "said"),
    [
        ([Left("waiting", "images", 3)], 0, "3 jobs wait for another try"),
        ([Left("waiting", "images", 2), Left("waiting", "tag", 1)], 0, "3 jobs wait for another try"),
        ([Left("running", "images", 3)], 0, "3 jobs are with another process"),
        ([Left("running", "images", 3)], 2, "1 jobs are with another process"),
    ],
)
def test_what_this_process_cannot_hurry_is_said_instead_of_an_estimate(
    progress: Progress, clock: ManualClock, left: list[Left], in_hand: int, said: str
) -> None:
    steadily(progress, clock, jobs=30, every_s=1)
    progress.show(left, in_hand=in_hand)
    assert said in progress._text()
    assert seconds_left(progress._text()) is None


@pytest.mark.parametrize(
    ("left", "in_hand"),
    [
        ([Left("running", "images", 3)], 3),
        ([Left("running", "images", 3), Left("ready", "images", 1)], 0),
        ([Left("waiting", "images", 3), Left("ready", "images", 1)], 0),
        ([Left("waiting", "images", 3), Left("running", "images", 1)], 1),
        ([], 0),
    ],
)
def test_work_that_goes_on_here_is_estimated(
    progress: Progress, clock: ManualClock, left: list[Left], in_hand: int
) -> None:
    steadily(progress, clock, jobs=30, every_s=1)
    progress.show(left, in_hand=in_hand)
    assert seconds_left(progress._text()) is not None


@pytest.mark.parametrize("outcome", [Snooze(5, "x"), Retry(5, "x"), Released()])
def test_what_will_be_tried_again_is_no_end(outcome: Outcome, progress: Progress, clock: ManualClock) -> None:
    for _ in range(10):
        clock.advance(1)
        ended(progress, outcome)
    assert progress.counts["jobs"] == 0
    assert seconds_left(shown(progress, 10)) is None


def test_counts_add_up_over_jobs_dead_ones_included(progress: Progress) -> None:
    ended(progress, repositories=1, tags=100)
    ended(progress, tags=50, images=3)
    ended(progress, Dead("no", Harvest()), tags=1)
    assert shown(progress, 0).startswith("1 repositories, 151 tags, 3 images")
    assert (progress.counts["jobs"], progress.counts["dead"]) == (3, 1)


def test_without_a_terminal_a_line_comes_now_and_then(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    with progress:
        assert progress.interval_s == LINE_S > BAR_S
    assert capsys.readouterr() == ("", "")
