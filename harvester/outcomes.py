"""One line in the log for each job's end. Rank 6; for the service and for the one-shot harvest alike.

A far end that is down fails hundreds of jobs in the same way: the first of them is told at once, the others by their number.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import structlog

from harvester.clock import Clock
from harvester.errors import Blocked, HarvesterError, Throttled, Unreachable
from harvester.jobs import Dead, Done, Job, Released, Retry, Snooze
from harvester.worker import Report

log = structlog.get_logger(__name__)

REPEATED_S = 30.0
"""Equal errors are told once in this time."""


@dataclass(slots=True)
class _Told:
    """An error that was told, and how often the same came again."""

    until: float
    """Monotonic: the same is told again from then on."""
    repeated: int = 0
    level: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, Any] = field(default_factory=dict)
    """What was bound to the last one."""


class Outcomes:
    """Tells what became of jobs; ids come from what the worker has bound."""

    def __init__(self, clock: Clock, *, level: int = logging.INFO) -> None:
        """What went well, or is only put off, is told at this `level` of the standard library."""
        self._clock = clock
        self._level = level
        self._told: dict[tuple[object, ...], _Told] = {}

    def note(self, report: Report) -> None:
        """Tell one job's end."""
        self.tell_repeated()
        ids = {"key": report.job.key, "attempt": report.job.attempt}
        match report.outcome:
            case Done():
                stored = {sort: n for sort, n in report.counts.items() if n and sort != "settled"}
                log.log(self._level, "job.done", **ids, **({"stored": stored} if stored else {}))
            case Released():
                log.debug("job.released", **ids)
            case Dead(reason=reason):
                self._tell(logging.ERROR, "job.dead", report, ids | {"reason": reason})
            case Retry(seconds=seconds, reason=reason):
                self._tell(logging.WARNING, "job.retry", report, ids | {"in_s": round(seconds), "reason": reason})
            case Snooze(seconds=seconds, reason=reason):
                self._tell(self._level, "job.put_off", report, ids | {"in_s": round(seconds), "reason": reason})

    def tell_repeated(self, *, is_last: bool = False) -> None:
        """Tell what was held back for long enough, or with `is_last` all of it."""
        now = self._clock.monotonic()
        # Those that were told first stand first.
        while self._told and (is_last or next(iter(self._told.values())).until <= now):
            error = next(iter(self._told))
            told = self._told.pop(error)
            if told.repeated:
                with structlog.contextvars.bound_contextvars(**told.ids):
                    log.log(told.level, str(error[0]), **told.fields, repeated=told.repeated)
                if not is_last:
                    self._told[error] = _Told(now + REPEATED_S)

    def _tell(self, level: int, event: str, report: Report, fields: dict[str, Any]) -> None:
        error = (event, *_kind_of(report.job, report.error, fields["reason"]))
        told = self._told.get(error)
        if told is None:
            self._told[error] = _Told(self._clock.monotonic() + REPEATED_S)
            log.log(level, event, **fields)
            return
        told.repeated += 1
        told.level, told.fields, told.ids = level, fields, structlog.contextvars.get_contextvars()


class FarEnd:
    """Tells once when the far end ceases to answer, and once when it answers again."""

    def __init__(self) -> None:
        self._away: str | None = None

    def note(self, report: Report) -> None:
        """Look at one job's end."""
        error = report.error
        is_away = isinstance(error, Unreachable | Blocked) or (
            isinstance(error, Throttled) and error.status is not None
        )
        if isinstance(report.outcome, Snooze) and is_away:
            kind = type(error).__name__
            if self._away != kind:
                self._away = kind
                seconds = round(report.outcome.seconds)
                log.warning("far_end.away", reason=report.outcome.reason, in_s=seconds, next="asked again by itself")
        elif self._away is not None and isinstance(report.outcome, Done) and error is None:
            log.info("far_end.answers", after=self._away)
            self._away = None


def _kind_of(job: Job, error: BaseException | None, reason: str) -> tuple[object, ...]:
    """What makes two errors equal: not the address that was asked, nor the job; but each attempt is news."""
    message = error.message if isinstance(error, HarvesterError) else reason
    return job.kind, job.attempt, type(error).__name__, message
