"""What days of work came to, counted when the rows of their jobs go. Rank 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from harvester.store.statements import Statement


class Ended(NamedTuple):
    """A job that is done or dead, of which the row goes."""

    kind: str
    state: str
    day: str
    """The UTC day on which it ended, `2026-11-20`."""
    attempts: int


_COUNT = Statement(
    "day kind state jobs attempts",
    """
    INSERT INTO work_days (day, kind, state, jobs, attempts) VALUES (:day, :kind, :state, :jobs, :attempts)
    ON CONFLICT (day, kind, state) DO UPDATE SET
        jobs = work_days.jobs + excluded.jobs, attempts = work_days.attempts + excluded.attempts
    """,
)


def count(connection: Connection, ended: Iterable[Ended]) -> None:
    """Add these jobs to their days; in the transaction that deletes them."""
    jobs: Counter[tuple[str, str, str]] = Counter()
    attempts: Counter[tuple[str, str, str]] = Counter()
    for one in ended:
        key = (one.day, one.kind, one.state)
        jobs[key] += 1
        attempts[key] += one.attempts
    _COUNT.many(connection, [(*key, number, attempts[key]) for key, number in sorted(jobs.items())])
