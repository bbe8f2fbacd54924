"""Every number that the service shows of itself, in the form that Prometheus reads. Rank 6; imported by `run` alone.

Names stand in `METRICS` and nowhere else. Labels come from closed sets: no name of a repository, and nothing else that grows with
what is harvested. What is shown is what was counted or read before: a scrape asks neither the network nor the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from harvester import __version__
from harvester.clock import Clock
from harvester.gate import Gate
from harvester.jobs import KINDS, Dead, Done, Outcome, Released, Retry, Snooze
from harvester.records import StopReason
from harvester.store.gauges import Due, Gauges
from harvester.wire.permits import Budget
from harvester.worker import Report

Samples: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels, and the number."""

STATES = ("waiting", "ready", "running", "dead")
REASONS = (*get_args(StopReason), "open")
OUTCOMES: dict[type[Outcome], str] = {
    Done: "done",
    Snooze: "put_off",
    Retry: "retry",
    Dead: "dead",
    Released: "released",
}
SORTS = ("repositories", "listed", "tags", "names", "images", "without_layers", "absent", "refused")
"""What a job's harvest is counted by."""

STATUSES = ("2xx", "3xx", "4xx", "429", "5xx", "other")

_LANES = tuple(dict.fromkeys(lane for lane, _ in KINDS.values()))
_DUE: tuple[Due, ...] = get_args(Due)

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of the histogram: the transport gives up after 60."""


@dataclass(frozen=True, slots=True)
class Named:
    """One metric."""

    name: str
    """As it is shown; of a histogram without the endings that Prometheus gives it."""
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    text: str


_SETTLED = Named("harvester_jobs_settled_total", "counter", ("kind", "lane", "outcome"), "Jobs by how they ended.")
_STORED = Named("harvester_rows_stored_total", "counter", ("sort",), "What finished jobs found, by its sort.")
_REQUESTS = Named(
    "harvester_request_duration_seconds",
    "histogram",
    ("budget", "status"),
    "Requests that were answered: from the permit to the end of the body.",
)
_FAILURES = Named(
    "harvester_request_failures_total", "counter", ("budget",), "Requests that were sent and got no answer."
)
_BUDGET = ("budget", "route", "identity")

_READ: dict[Named, Callable[[Gauges], Samples]] = {
    Named("harvester_jobs", "gauge", ("kind", "state"), "Jobs that are live or dead."): lambda read: (
        ((kind, state), read.jobs.get((kind, state), 0)) for kind in KINDS for state in STATES
    ),
    Named(
        "harvester_oldest_ready_job_seconds", "gauge", ("lane",), "Since when the oldest ready job is due; 0: none is."
    ): lambda read: (((lane,), read.oldest_ready_s.get(lane, 0)) for lane in _LANES),
    Named("harvester_budget_limit", "gauge", _BUDGET, "Requests in a window."): lambda read: (
        ((one.budget, one.route, one.identity), one.limit) for one in read.budgets
    ),
    Named("harvester_budget_reserve", "gauge", _BUDGET, "Of the limit, what is left to others."): lambda read: (
        ((one.budget, one.route, one.identity), one.reserve) for one in read.budgets
    ),
    Named("harvester_budget_spent", "gauge", _BUDGET, "Requests in this window, by everybody."): lambda read: (
        ((one.budget, one.route, one.identity), one.spent) for one in read.budgets
    ),
    Named("harvester_budget_remaining", "gauge", _BUDGET, "Of the limit, what is not spent."): lambda read: (
        ((one.budget, one.route, one.identity), one.remaining) for one in read.budgets
    ),
    Named(
        "harvester_budget_opens_in_seconds", "gauge", _BUDGET, "Until nothing is asked of it; 0: it is open."
    ): lambda read: (((one.budget, one.route, one.identity), one.opens_in_s) for one in read.budgets),
    Named("harvester_watches", "gauge", (), "Watches in force."): lambda read: [((), read.watches)],
    Named(
        "harvester_overdue", "gauge", ("sort",), "Watches and repositories of which the date has passed."
    ): lambda read: (((sort,), read.overdue[sort].number if sort in read.overdue else 0) for sort in _DUE),
    Named(
        "harvester_freshness_lag_seconds", "gauge", ("sort",), "How long the most overdue one is due."
    ): lambda read: (((sort,), read.overdue[sort].lag_s if sort in read.overdue else 0) for sort in _DUE),
    Named(
        "harvester_freshness_lag_ratio",
        "gauge",
        ("sort",),
        "The greatest lag in intervals of its own; 1: what is known is twice as old as it should be.",
    ): lambda read: (((sort,), read.overdue[sort].lag_ratio if sort in read.overdue else 0) for sort in _DUE),
    Named(
        "harvester_incomplete_listings", "gauge", ("reason",), "Lists that were not seen whole, by why they ended."
    ): lambda read: (((reason,), read.incomplete.get(reason, 0)) for reason in REASONS),
    Named("harvester_undelivered_events", "gauge", ("state",), "Events in the outbox."): lambda read: (
        ((state,), read.undelivered.get(state, 0)) for state in ("waiting", "dead")
    ),
    Named("harvester_processes", "gauge", ("command",), "Processes at work on this database."): lambda read: (
        ((command,), read.processes.get(command, 0)) for command in ("run", "backfill")
    ),
    Named("harvester_database_bytes", "gauge", (), "Size of the database's file."): lambda read: _known(
        read.files.database
    ),
    Named("harvester_wal_bytes", "gauge", (), "Size of the file beside the database."): lambda read: _known(
        read.files.wal
    ),
    Named("harvester_disk_free_bytes", "gauge", (), "What is left on the disk of the database."): lambda read: _known(
        read.files.free
    ),
}
"""What a reading of the database shows."""

_BUILD = Named(
    "harvester_build_info", "gauge", ("version", "revision"), "Always 1; the program's version, the schema's."
)
_UPTIME = Named("harvester_uptime_seconds", "gauge", (), "Since the start.")
_IDLE = Named("harvester_writer_idle_seconds", "gauge", (), "Since the last commit.")
_AGE = Named("harvester_gauges_age_seconds", "gauge", (), "Since the gauges were read.")
_READY = Named("harvester_ready", "gauge", (), "1: `/readyz` says yes; 0: it does not.")
_STRETCH = Named(
    "harvester_cadence_stretch",
    "gauge",
    (),
    "By how much every pass is further apart than configured; 1: as configured.",
)
_WAL_LIMIT = Named("harvester_wal_limit_bytes", "gauge", (), "`storage.wal_mb` in bytes.")
_PINNED = Named("harvester_wal_pinned_seconds", "gauge", (), "Since a reader keeps that file from starting over.")
_CLOSED = Named(
    "harvester_claims_closed", "gauge", (), "1: nothing is asked, because it could not be stored; 0: it is."
)
_KEEP_FREE = Named("harvester_disk_reserve_bytes", "gauge", (), "`storage.keep_free_mb` in bytes.")

_OF_THE_PROCESS = (
    Named("harvester_process_cpu_seconds_total", "counter", (), "CPU time of the process."),
    Named("harvester_process_resident_memory_bytes", "gauge", (), "Memory of the process."),
    Named("harvester_process_virtual_memory_bytes", "gauge", (), "Address space of the process."),
    Named("harvester_process_start_time_seconds", "gauge", (), "When the process began, since the epoch."),
    Named("harvester_process_open_fds", "gauge", (), "Files and sockets that are open."),
    Named("harvester_process_max_fds", "gauge", (), "Files and sockets that may be open."),
)
"""Read from `/proc` by the library; not on macOS."""

METRICS: tuple[Named, ...] = (
    *(_SETTLED, _STORED, _REQUESTS, _FAILURES),
    *_READ,
    *(_BUILD, _UPTIME, _IDLE, _AGE, _READY, _STRETCH, _WAL_LIMIT, _PINNED, _CLOSED, _KEEP_FREE),
    *_OF_THE_PROCESS,
)


def status_class(status: int) -> str:
    """The class that a status is counted in; the limiter's word, 429, is one of its own."""
    if status == 429:
        return "429"
    return f"{status // 100}xx" if 200 <= status < 600 else "other"


class Metrics:
    """The numbers of this process. Every method may be called from any thread."""

    def __init__(self, clock: Clock, *, revision: str) -> None:
        """`revision` is the schema's."""
        # A sample of when each series began: noise here, and for the whole library or not at all.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._began = clock.monotonic()
        self._revision = revision
        self._read: tuple[Gauges, float] | None = None
        self._last_commit: Callable[[], float] | None = None
        self._is_ready: Callable[[], str | None] | None = None
        self._stretch: Callable[[], float] | None = None
        self._bounds: tuple[float, float] | None = None
        self._gate: Gate | None = None
        self._registry = CollectorRegistry()
        ProcessCollector(namespace="harvester", registry=self._registry)
        self._settled = Counter(_SETTLED.name, _SETTLED.text, _SETTLED.labels, registry=self._registry)
        self._stored = Counter(_STORED.name, _STORED.text, _STORED.labels, registry=self._registry)
        self._failures = Counter(_FAILURES.name, _FAILURES.text, _FAILURES.labels, registry=self._registry)
        self._requests = Histogram(
            _REQUESTS.name, _REQUESTS.text, _REQUESTS.labels, registry=self._registry, buckets=SECONDS
        )
        # An increase from nothing is none to Prometheus: what can be counted begins with 0.
        for kind, (lane, _) in KINDS.items():
            for outcome in OUTCOMES.values():
                self._settled.labels(kind, lane, outcome)
        for sort in SORTS:
            self._stored.labels(sort)
        for budget in get_args(Budget):
            self._failures.labels(budget)
            for status in ("2xx", "429"):
                self._requests.labels(budget, status)
        self._registry.register(_Now(self._gauges))

    def follow(
        self, *, last_commit: Callable[[], float], is_ready: Callable[[], str | None], stretch: Callable[[], float]
    ) -> None:
        """Show these from now on: when the writer committed last, in seconds of the monotonic clock, what `/readyz` says, and by
        how much cadences are stretched.
        """
        self._last_commit, self._is_ready, self._stretch = last_commit, is_ready, stretch

    def bound(self, *, wal_bytes: int, free_bytes: int) -> None:
        """Show these bounds of the configuration from now on."""
        self._bounds = (wal_bytes, free_bytes)

    def watch(self, gate: Gate) -> None:
        """Show what this gate knows from now on."""
        self._gate = gate

    def report(self, report: Report) -> None:
        """Count one job's end."""
        kind = report.job.kind
        self._settled.labels(kind, KINDS[kind][0], OUTCOMES[type(report.outcome)]).inc()
        for sort in SORTS:
            if number := report.counts.get(sort, 0):
                self._stored.labels(sort).inc(number)

    def answered(self, budget: Budget, status: int | None, seconds: float) -> None:
        """Count one request, with the status of its answer, or none."""
        if status is None:
            self._failures.labels(budget).inc()
        else:
            self._requests.labels(budget, status_class(status)).observe(seconds)

    def show(self, gauges: Gauges) -> None:
        """Show this reading from now on, all of it at once."""
        self._read = (gauges, self._clock.monotonic())

    def text(self) -> bytes:
        """All of it, as `/metrics` answers."""
        return generate_latest(self._registry)

    def _gauges(self) -> Iterator[tuple[Named, Samples]]:
        now, read = self._clock.monotonic(), self._read
        yield _BUILD, [((__version__, self._revision), 1)]
        yield _UPTIME, [((), now - self._began)]
        if self._last_commit is not None:
            yield _IDLE, [((), max(0.0, now - self._last_commit()))]
        if self._is_ready is not None:
            yield _READY, [((), self._is_ready() is None)]
        if self._stretch is not None:
            yield _STRETCH, [((), self._stretch())]
        if self._bounds is not None:
            yield _WAL_LIMIT, [((), self._bounds[0])]
            yield _KEEP_FREE, [((), self._bounds[1])]
        if (gate := self._gate) is not None:
            yield _PINNED, [((), gate.wal.pinned_s)]
            yield _CLOSED, [((), gate.is_closed)]
        if read is not None:
            gauges, at = read
            yield _AGE, [((), now - at)]
            for named, samples in _READ.items():
                yield named, samples(gauges)


class _Now:
    """What is asked for its value whenever it is shown."""

    def __init__(self, gauges: Callable[[], Iterable[tuple[Named, Samples]]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for named, samples in self._gauges():
            family = GaugeMetricFamily(named.name, named.text, labels=named.labels)
            for labels, value in samples:
                family.add_metric(labels, float(value))
            yield family


def _known(value: int | None) -> Samples:
    return [] if value is None else [((), value)]
