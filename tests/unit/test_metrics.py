"""What `/metrics` shows: names and labels from closed sets, counts of what was reported, gauges of the last reading."""

from __future__ import annotations

import ast
import threading
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harvester import __version__
from harvester.errors import Unavailable
from harvester.gate import Gate
from harvester.jobs import KINDS, Args, Dead, Done, Harvest, Job, Outcome, Released, Retry, Snooze
from harvester.metrics import METRICS, OUTCOMES, SORTS, Metrics, status_class
from harvester.store.checkpoints import Wal
from harvester.store.engine import database_url
from harvester.store.gauges import BudgetGauge, Files, Gauges, Overdue
from harvester.store.moment import Moment
from harvester.wire.permits import Budget
from harvester.worker import Report
from tests.unit.clocks import ManualClock

STORE = Path(__file__).resolve().parents[2] / "harvester" / "store"
AT = Moment.of(1_795_190_400)
BUDGET = BudgetGauge(
    budget="hub",
    route="direct",
    identity="anonymous",
    limit=180,
    reserve=4,
    spent=20,
    remaining=160,
    opens_in_s=30.5,
)
WHOLE = Gauges(
    at=AT,
    jobs={("images", "ready"): 7, ("tags.page", "dead"): 2},
    oldest_ready_s={"hub": 12.0},
    budgets=(BUDGET,),
    watches=3,
    overdue={
        "watch": Overdue(number=1, lag_s=50, lag_ratio=0.5),
        "repository": Overdue(number=9, lag_s=90, lag_ratio=2),
    },
    incomplete={"wall": 5, "open": 1},
    undelivered={"waiting": 4, "dead": 6},
    processes={"run": 1},
    files=Files(database=1000, wal=200, free=3000),
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics(clock: ManualClock) -> Metrics:
    return Metrics(clock, revision="0005")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Name and labels of every sample, and its value; none is there twice."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for one in family.samples:
            key = (one.name, tuple(sorted(one.labels.items())))
            assert key not in found
            found[key] = one.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((f"harvester_{name}", tuple(sorted(labels.items()))))


def ended(outcome: Outcome, **counts: int) -> Report:
    job = Job(1, "tags.page", "x", Args(subject="a/b"), 1, "")
    return Report(job=job, outcome=outcome, error=Unavailable(), counts=Counter(counts))


def test_names_are_ours_in_base_units_and_told_once() -> None:
    names = [one.name for one in METRICS]
    assert len(names) == len(set(names))
    assert all(name.startswith("harvester_") for name in names)
    assert all(one.name.endswith("_total") is (one.kind == "counter") for one in METRICS)
    assert not any(unit in name for name in names for unit in ("_ms", "_minutes", "_mb", "_kb", "_percent", "_hours"))
    assert all(one.text.endswith(".") for one in METRICS)


def test_what_is_shown_is_what_is_named_with_its_labels_and_kind(metrics: Metrics) -> None:
    metrics.follow(last_commit=lambda: 0.0, is_ready=lambda: None, stretch=lambda: 1.0)
    metrics.bound(wal_bytes=1, free_bytes=2)
    metrics.watch(Gate(database_url("none.db"), ManualClock(), wal_mb=0, keep_free_mb=0))
    metrics.show(WHOLE)
    shown = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for one in family.samples for label in one.labels} - {"le"}
        shown[name] = (family.type, labels)
    assert shown == {one.name: (one.kind, set(one.labels)) for one in METRICS}


def test_jobs_are_counted_by_how_they_ended(metrics: Metrics) -> None:
    for outcome in (Done(Harvest()), Done(Harvest()), Snooze(1, "x"), Retry(1, "x"), Dead("x", Harvest()), Released()):
        metrics.report(ended(outcome))
    found = {
        outcome: value(metrics, "jobs_settled_total", kind="tags.page", lane="hub", outcome=outcome)
        for outcome in OUTCOMES.values()
    }
    assert found == {"done": 2, "put_off": 1, "retry": 1, "dead": 1, "released": 1}


def test_every_outcome_has_a_name() -> None:
    assert set(OUTCOMES) == set(get_args(Outcome))


def test_rows_are_counted_by_their_sort(metrics: Metrics) -> None:
    metrics.report(ended(Done(Harvest()), settled=1, tags=100, images=3))
    metrics.report(ended(Done(Harvest()), settled=1, tags=20))
    assert value(metrics, "rows_stored_total", sort="tags") == 120
    assert value(metrics, "rows_stored_total", sort="images") == 3
    assert value(metrics, "rows_stored_total", sort="refused") == 0
    assert value(metrics, "rows_stored_total", sort="settled") is None


def test_every_sort_that_the_store_counts_by_is_shown() -> None:
    counted = set()
    for node in ast.walk(ast.parse((STORE / "harvest.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("counts", "stored.counts"):
            counted |= {one.value for one in ast.walk(node.slice) if isinstance(one, ast.Constant)} - {"detail"}
    assert counted == set(SORTS)


def test_a_request_is_counted_by_budget_and_class_of_status_with_its_time(metrics: Metrics) -> None:
    for status, seconds in ((200, 0.2), (204, 0.3), (404, 0.1), (429, 0.05), (503, 31.0), (101, 1.0)):
        metrics.answered("hub", status, seconds)
    metrics.answered("pulls", None, 10.0)
    metrics.answered("pulls", None, 10.0)
    counts = {
        status: value(metrics, "request_duration_seconds_count", budget="hub", status=status)
        for status in ("2xx", "3xx", "4xx", "429", "5xx", "other")
    }
    assert counts == {"2xx": 2, "3xx": None, "4xx": 1, "429": 1, "5xx": 1, "other": 1}
    assert value(metrics, "request_duration_seconds_sum", budget="hub", status="2xx") == pytest.approx(0.5)
    assert value(metrics, "request_duration_seconds_bucket", budget="hub", status="2xx", le="0.25") == 1
    assert value(metrics, "request_failures_total", budget="pulls") == 2
    assert value(metrics, "request_failures_total", budget="hub") == 0


@pytest.mark.parametrize(
    ("status", "found"),
    [(200, "2xx"), (307, "3xx"), (400, "4xx"), (428, "4xx"), (429, "429"), (599, "5xx"), (600, "other"), (0, "other")],
)
def test_the_class_of_a_status(status: int, found: str) -> None:
    assert status_class(status) == found


def test_what_can_be_counted_is_there_from_the_start(metrics: Metrics) -> None:
    """An increase from nothing is none to Prometheus."""
    for budget in get_args(Budget):
        assert value(metrics, "request_failures_total", budget=budget) == 0
        assert value(metrics, "request_duration_seconds_count", budget=budget, status="429") == 0
    for kind, (lane, _) in KINDS.items():
        assert value(metrics, "jobs_settled_total", kind=kind, lane=lane, outcome="dead") == 0


def test_a_reading_is_shown_as_it_is(metrics: Metrics, clock: ManualClock) -> None:
    metrics.show(WHOLE)
    clock.advance(7)
    of_budget = {"budget": "hub", "route": "direct", "identity": "anonymous"}
    found = samples(metrics)

    def shown(name: str, **labels: str) -> float | None:
        return found.get((f"harvester_{name}", tuple(sorted(labels.items()))))

    assert shown("jobs", kind="images", state="ready") == 7
    assert shown("jobs", kind="tags.page", state="dead") == 2
    assert shown("jobs", kind="images", state="dead") == 0, "none is a number too"
    assert shown("oldest_ready_job_seconds", lane="hub") == 12
    assert shown("oldest_ready_job_seconds", lane="pulls") == 0
    assert shown("budget_limit", **of_budget) == 180
    assert shown("budget_reserve", **of_budget) == 4
    assert shown("budget_spent", **of_budget) == 20
    assert shown("budget_remaining", **of_budget) == 160
    assert shown("budget_opens_in_seconds", **of_budget) == 30.5
    assert shown("watches") == 3
    assert shown("overdue", sort="repository") == 9
    assert shown("freshness_lag_seconds", sort="watch") == 50
    assert shown("freshness_lag_ratio", sort="repository") == 2
    assert shown("incomplete_listings", reason="wall") == 5
    assert shown("incomplete_listings", reason="error") == 0
    assert shown("undelivered_events", state="dead") == 6
    assert shown("processes", command="run") == 1
    assert shown("processes", command="backfill") == 0
    assert (shown("database_bytes"), shown("wal_bytes"), shown("disk_free_bytes")) == (1000, 200, 3000)
    assert shown("gauges_age_seconds") == 7


def test_the_next_reading_takes_the_place_of_the_one_before(metrics: Metrics) -> None:
    metrics.show(WHOLE)
    metrics.show(Gauges(at=AT))
    assert value(metrics, "jobs", kind="images", state="ready") == 0
    assert value(metrics, "budget_limit", budget="hub", route="direct", identity="anonymous") is None
    assert value(metrics, "database_bytes") is None, "a database without a file has no size, not 0"


def test_before_the_first_reading_no_gauge_pretends_to_know(metrics: Metrics) -> None:
    names = {name for name, _ in samples(metrics)}
    assert not names & {"harvester_jobs", "harvester_watches", "harvester_gauges_age_seconds", "harvester_ready"}
    assert "harvester_writer_idle_seconds" not in names


def test_what_changes_by_itself_is_looked_at_when_it_is_shown(metrics: Metrics, clock: ManualClock) -> None:
    ready: list[str | None] = ["starting"]
    committed, stretch = [0.0], [1.0]
    metrics.follow(last_commit=lambda: committed[0], is_ready=lambda: ready[0], stretch=lambda: stretch[0])
    metrics.bound(wal_bytes=1 << 30, free_bytes=5)
    clock.advance(100)
    assert value(metrics, "uptime_seconds") == 100
    assert value(metrics, "writer_idle_seconds") == 100
    assert value(metrics, "ready") == 0
    assert value(metrics, "cadence_stretch") == 1
    ready[0], committed[0], stretch[0] = None, 98.0, 2.5
    assert value(metrics, "cadence_stretch") == 2.5
    assert value(metrics, "ready") == 1
    assert value(metrics, "writer_idle_seconds") == 2
    assert value(metrics, "wal_limit_bytes") == 1 << 30
    assert value(metrics, "disk_reserve_bytes") == 5
    assert value(metrics, "build_info", version=__version__, revision="0005") == 1


def test_two_of_them_do_not_share_their_counts(clock: ManualClock, metrics: Metrics) -> None:
    other = Metrics(clock, revision="0005")
    other.report(ended(Done(Harvest()), tags=1))
    assert value(metrics, "rows_stored_total", sort="tags") == 0


def test_a_scrape_meanwhile_sees_one_reading_or_the_other_and_never_a_part(metrics: Metrics) -> None:
    few = Gauges(at=AT, watches=1, undelivered={"waiting": 1})
    many = Gauges(at=AT, watches=2, undelivered={"waiting": 2})
    metrics.show(few)
    is_over = threading.Event()

    def change() -> None:
        while not is_over.is_set():
            metrics.show(many)
            metrics.show(few)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(50):
            found = samples(metrics)
            watches = found["harvester_watches", ()]
            assert watches == found["harvester_undelivered_events", (("state", "waiting"),)]
    finally:
        is_over.set()
        thread.join()


def test_what_the_gate_knows_is_shown_from_when_there_is_one(
    metrics: Metrics, clock: ManualClock, tmp_path: Path
) -> None:
    names = ("harvester_wal_pinned_seconds", "harvester_claims_closed")
    assert not any(name.encode() in metrics.text() for name in names)
    database = tmp_path / "harvester.db"
    gate = Gate(database_url(str(database)), clock, wal_mb=1, keep_free_mb=0)
    metrics.watch(gate)
    gate.wal = Wal(2_000_000, 95.0)
    assert b"harvester_wal_pinned_seconds 95.0\n" in metrics.text()
    assert b"harvester_claims_closed 0.0\n" in metrics.text()
    Path(f"{database}-wal").write_bytes(bytes(1_100_000))
    assert gate.closed_reason() is not None
    assert b"harvester_claims_closed 1.0\n" in metrics.text()
