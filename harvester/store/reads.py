"""Questions that the command line asks of the database. Rank 3. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from harvester.store import migrate
from harvester.store.engine import database_url, open_reader
from harvester.store.statements import Statement, select_in

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class JobCount:
    """Jobs of one kind in one state."""

    kind: str
    state: str
    jobs: int


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One bucket of the ledger; instants are epoch seconds."""

    budget: str
    route: str
    identity: str
    limit: int
    allowed: int
    window_s: float
    window_ends_at: float
    spent: int
    remaining: int | None
    not_before: float
    closed_reason: str | None
    source: str
    seen_at: float
    counted: int
    """What the far end had counted in this window, others included."""
    others: float
    """Requests per window of somebody else behind our address."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A listing that did not see everything."""

    kind: str
    subject: str
    reported_count: int | None
    rows: int
    stop_reason: str
    finished_at: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as its row has it."""

    id: int
    kind: str
    key: str
    state: str
    attempt: int
    run_at: str
    last_error: str | None
    finished_at: str | None


_JOB_COUNTS = Statement("", "SELECT kind, state, count(*) FROM jobs GROUP BY kind, state ORDER BY kind, state")
_BUDGETS = Statement(
    "",
    """
    SELECT budget, route, identity, limit_count, cap, window_s, window_ends_at, spent, remaining, not_before, closed_reason,
        source, seen_at, counted, others
    FROM budgets WHERE budget <> 'credential' AND (identity <> 'address' OR not_before > 0)
        AND (budget <> 'search' OR source = 'header')
    ORDER BY budget, route, identity
    """,
)
_INCOMPLETE = Statement(
    "most",
    """
    SELECT kind, subject, reported_count, rows, stop_reason, finished_at FROM v_incomplete
    ORDER BY finished_at DESC NULLS LAST LIMIT :most
    """,
)
_JOB = "SELECT id, kind, key, state, attempt, run_at, last_error, finished_at FROM jobs"
_JOBS = Statement("state most", f"{_JOB} WHERE state = :state ORDER BY id DESC LIMIT :most")
_ONE_JOB = Statement("id", f"{_JOB} WHERE id = :id")
_COUNTS = {
    "repositories": "SELECT count(*) FROM repositories",
    "tags": "SELECT count(*) FROM tags",
    "images": "SELECT count(*) FROM images",
    "layers": "SELECT count(*) FROM layers",
    "pull_history": "SELECT count(*) FROM pull_history",
    "listings": "SELECT count(*) FROM listings",
    "events": "SELECT count(*) FROM events",
}
_RUN_DEAD = Statement(
    "run_id",
    f"{_JOB} WHERE state = 'dead' AND id IN (SELECT job_id FROM run_jobs WHERE run_id = :run_id) ORDER BY id",
)
_RUN_INCOMPLETE = Statement(
    "run_id since no first_page low high",
    """
    SELECT l.kind, l.subject, l.reported_count, l.rows, l.stop_reason, l.finished_at FROM listings l
    WHERE l.finished_at IS NOT NULL AND l.started_at >= :since AND l.is_complete = :no AND l.stop_reason <> 'policy'
        AND (EXISTS (SELECT 1 FROM jobs j JOIN run_jobs r ON r.job_id = j.id
            WHERE j.key = l.walk_key || :first_page AND r.run_id = :run_id)
        OR (l.kind = 'tag_names' AND EXISTS (SELECT 1 FROM jobs j JOIN run_jobs r ON r.job_id = j.id AND r.run_id = :run_id
            WHERE j.key > l.walk_key || :low AND j.key < l.walk_key || :high)))
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.walk_key = l.walk_key AND n.id > l.id)
    ORDER BY l.id
    """,
)


def answer(database: str, ask: Callable[[Connection], Answer]) -> Answer:
    """What `ask` reads from the database as it stands. Raises `StoreError` without one, `SchemaMismatch` with another program's."""
    reader = open_reader(database_url(database))
    try:
        with reader.begin() as connection:
            migrate.check(connection)
            return ask(connection)
    finally:
        reader.dispose()


def refuse_other_programs(database: str) -> None:
    """Raise `StoreError` without a database, `SchemaMismatch` where it is not one that a harvester up to this one has made."""
    reader = open_reader(database_url(database))
    try:
        with reader.begin() as connection:
            if migrate.current(connection) not in migrate.REVISIONS:
                migrate.check(connection)
    finally:
        reader.dispose()


def job_counts(connection: Connection) -> list[JobCount]:
    """The queue by kind and state."""
    return [JobCount(*row) for row in _JOB_COUNTS.all(connection)]


def budgets(connection: Connection) -> list[BudgetState]:
    """The whole ledger."""
    return [BudgetState(*row) for row in _BUDGETS.all(connection)]


def incomplete(connection: Connection, most: int) -> list[Incomplete]:
    """Listings that are not complete, newest first."""
    return [Incomplete(*row) for row in _INCOMPLETE.all(connection, (most,))]


def jobs_in(connection: Connection, state: str, most: int) -> list[JobRow]:
    """Jobs in a state, newest first."""
    return [JobRow(*row) for row in _JOBS.all(connection, (state, most))]


def job(connection: Connection, job_id: int) -> JobRow | None:
    """One job; null when there is none of that id."""
    row = _ONE_JOB.first(connection, (job_id,))
    return None if row is None else JobRow(*row)


def row_counts(connection: Connection) -> dict[str, int]:
    """Rows of the tables that people ask about."""
    return {table: int(connection.exec_driver_sql(sql).scalar_one()) for table, sql in _COUNTS.items()}


def dead_of_run(connection: Connection, run_id: int) -> list[JobRow]:
    """The run's jobs that failed for good."""
    return [JobRow(*row) for row in _RUN_DEAD.all(connection, (run_id,))]


def incomplete_of_run(connection: Connection, run_id: int, since: str) -> list[Incomplete]:
    """The run's listings that did not see everything."""
    return [Incomplete(*row) for row in _RUN_INCOMPLETE.all(connection, (run_id, since, False, ":1", ":", ";"))]


# A repository that is live still, and a namespace of which one is, are not believed to be gone (`vanishing`).
_ABSENT_AGAIN = """
    SELECT subject FROM absences WHERE passes > 1 AND subject IN ({values})
        AND NOT EXISTS (SELECT 1 FROM repositories r WHERE r.full_name = subject AND r.gone_at IS NULL)
        AND NOT EXISTS (SELECT 1 FROM repositories r WHERE r.namespace = substr(subject, 1, length(subject) - 2)
            AND r.namespace || '/*' = subject AND r.gone_at IS NULL)
"""


def absent_again(connection: Connection, subjects: list[str]) -> list[str]:
    """Those of the subjects that answered 404 in more than one pass, and of which that is believed."""
    rows = select_in(connection, _ABSENT_AGAIN, subjects)
    again = {row[0] for row in rows}
    return [subject for subject in subjects if subject in again]


def as_dicts(rows: list[Any]) -> list[dict[str, Any]]:
    """Rows for `--json`."""
    return [asdict(row) for row in rows]
