"""How everything stands now, for whoever watches the service. Rank 3. Reads only.

A reading costs what is live: it reads tables of a few rows, or indexes that hold live, dead or overdue rows and nothing else, so a
database of any size is read in the same time. The one exception, the lists that are not complete, is read every few minutes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection

from harvester.clock import seconds_of
from harvester.store import reads
from harvester.store.moment import Moment, text_of
from harvester.store.processes import at_work
from harvester.store.statements import Statement

Due = Literal["watch", "repository"]
"""What has a date at which it is due."""

INCOMPLETE_EVERY_S = 300
"""Of 100,000 walks those that are not complete are found in 45 ms, of 1.5 million in half a second."""

MOST_OVERDUE = 1000
"""Repositories, the longest overdue, whose lag is measured against their intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetGauge:
    """One bucket of the ledger as it stands now."""

    budget: str
    route: str
    identity: str
    limit: int
    """Requests in a window."""
    reserve: int
    """Of these, what is left to others."""
    spent: int
    """In this window, by everybody as far as the far end told; 0 when no window is open."""
    remaining: int
    """What the far end, or else the ledger, would still allow in this window; the reserve is part of it."""
    opens_in_s: float
    """Seconds until it opens again; 0: it is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """How late things are of which the date has passed."""

    number: int = 0
    lag_s: float = 0.0
    """Of the one that is due for longest."""
    lag_ratio: float = 0.0
    """The greatest lag, in intervals of its own: at 1 its last look is twice as old as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Sizes in bytes; null: the database is no file of this machine."""

    database: int | None = None
    wal: int | None = None
    free: int | None = None
    """What is left on the disk for who works here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """One reading."""

    at: Moment
    jobs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Live and dead jobs by kind and state; where there are none, nothing."""
    oldest_ready_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds since the oldest ready job of each lane was due."""
    budgets: tuple[BudgetGauge, ...] = ()
    watches: int = 0
    """In force."""
    overdue: Mapping[Due, Overdue] = field(default_factory=dict)
    incomplete: Mapping[str, int] = field(default_factory=dict)
    """Lists that are not complete, by the reason why they ended."""
    incomplete_at: int = 0
    """Epoch seconds at which these were counted."""
    undelivered: Mapping[str, int] = field(default_factory=dict)
    """Events in the outbox, by state: `waiting`, `dead`."""
    processes: Mapping[str, int] = field(default_factory=dict)
    """Processes at work on this database, by command."""
    files: Files = field(default_factory=Files)


# A statement for each state, with the state in its text: so each is answered by an index of that state alone.
_JOBS = {
    state: Statement("", f"SELECT kind, count(*) FROM jobs WHERE state = '{state}' GROUP BY kind")
    for state in ("waiting", "ready", "running", "dead")
}
_OLDEST = Statement("", "SELECT lane, min(run_at) FROM jobs WHERE state = 'ready' GROUP BY lane")
_WATCHES = Statement("", "SELECT next_check_at, every_s FROM watches WHERE ended_at IS NULL")
_OVERDUE = Statement(
    "now",
    "SELECT count(*), min(next_check_at) FROM repositories WHERE next_check_at IS NOT NULL AND next_check_at <= :now",
)
_LATEST = Statement(
    "now most",
    """
    SELECT o.next_check_at, c.interval_s FROM (SELECT id, next_check_at FROM repositories
        WHERE next_check_at IS NOT NULL AND next_check_at <= :now ORDER BY next_check_at LIMIT :most) o
    JOIN cadences c ON c.repository_id = o.id
    """,
)
_INCOMPLETE = Statement("", "SELECT stop_reason, count(*) FROM v_incomplete GROUP BY stop_reason")
_UNDELIVERED = {
    state: Statement("", f"SELECT count(*) FROM deliveries WHERE state = '{state}'") for state in ("waiting", "dead")
}


def read_gauges(connection: Connection, now: Moment, *, earlier: Gauges | None = None) -> Gauges:
    """How everything stands now. Of an `earlier` reading, the incomplete lists are taken over for `INCOMPLETE_EVERY_S` seconds."""
    jobs = {(kind, state): int(number) for state, ask in _JOBS.items() for kind, number in ask.all(connection)}
    incomplete, counted_at = _incomplete(connection, now, earlier)
    return Gauges(
        at=now,
        jobs=jobs,
        oldest_ready_s={lane: _since(due, now) for lane, due in _OLDEST.all(connection)},
        budgets=tuple(_budget(one, now.seconds) for one in reads.budgets(connection)),
        **_freshness(connection, now),
        incomplete=incomplete,
        incomplete_at=counted_at,
        undelivered={state: int(ask.all(connection)[0][0]) for state, ask in _UNDELIVERED.items()},
        processes=Counter(one.command for one in at_work(connection, now)),
        files=_files(connection),
    )


def _since(then: Any, now: Moment) -> float:
    # The wall clock may have been set back since then.
    return float(max(0, now.seconds - seconds_of(text_of(then))))


def _incomplete(connection: Connection, now: Moment, earlier: Gauges | None) -> tuple[Mapping[str, int], int]:
    if earlier is not None and 0 <= now.seconds - earlier.incomplete_at < INCOMPLETE_EVERY_S:
        return earlier.incomplete, earlier.incomplete_at
    return {reason: int(number) for reason, number in _INCOMPLETE.all(connection)}, now.seconds


def _budget(one: reads.BudgetState, now: float) -> BudgetGauge:
    is_over = one.window_ends_at <= now
    spent = 0 if is_over else max(one.spent, one.counted)
    remaining = max(0, one.limit - spent)
    if not is_over and one.remaining is not None:
        remaining = min(remaining, one.remaining)
    return BudgetGauge(
        budget=one.budget,
        route=one.route,
        identity=one.identity,
        limit=one.limit,
        reserve=max(0, one.limit - one.allowed),
        spent=spent,
        remaining=remaining,
        opens_in_s=max(0.0, one.not_before - now),
    )


def _freshness(connection: Connection, now: Moment) -> dict[str, Any]:
    watches = _WATCHES.all(connection)
    late = [(_since(due, now), every_s) for due, every_s in watches if due is not None and text_of(due) <= now.text]
    [[number, oldest]] = _OVERDUE.all(connection, (now.text,))
    ratios = [_since(due, now) / interval for due, interval in _LATEST.all(connection, (now.text, MOST_OVERDUE))]
    return {
        "watches": len(watches),
        "overdue": {
            "watch": Overdue(
                number=len(late),
                lag_s=max((lag for lag, _ in late), default=0.0),
                lag_ratio=max((lag / every_s for lag, every_s in late), default=0.0),
            ),
            "repository": Overdue(
                number=int(number),
                lag_s=0.0 if oldest is None else _since(oldest, now),
                lag_ratio=max(ratios, default=0.0),
            ),
        },
    }


def _files(connection: Connection) -> Files:
    url = connection.engine.url
    if url.get_backend_name() != "sqlite" or not url.database:
        return Files()
    disk = os.statvfs(os.path.dirname(os.path.abspath(url.database)))
    return Files(database=_size(url.database), wal=_size(f"{url.database}-wal"), free=disk.f_bavail * disk.f_frsize)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
