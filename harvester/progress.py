"""How far a run is, for the person who waits: a bar on a terminal, a log line now and then elsewhere. Rank 6."""

from __future__ import annotations

import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from harvester.clock import Clock
from harvester.errors import Throttled, WireError
from harvester.jobs import Dead, Done
from harvester.store.queue import LEASE_S
from harvester.store.runs import Left
from harvester.worker import Report

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

log = structlog.get_logger(__name__)

BAR_S = 1.0
LINE_S = 10.0
RATE_OVER_S = 60.0
"""The rate is that of the last minute: a budget's window."""

SHORTEST_WATCH_S = 2.0
SHORTEST_HOLD_S = 2.0
SHORTEST_PAUSE_S = 5.0
"""A wait that the far end caused and that is shorter than this is no news."""

LISTS = frozenset({"search.page", "namespace.page", "repository", "tag_names", "tag", "tags.page", "holes"})
"""Kinds whose answers bring more work: while one is left, the estimate is a lower bound."""


@dataclass(slots=True)
class Progress:
    """Counts of one run in this process, shown while it goes on."""

    clock: Clock
    is_quiet: bool
    counts: Counter[str] = field(default_factory=Counter)
    _held_by: str = ""
    _held_until: float = 0.0
    _paused_until: dict[str, float] = field(default_factory=dict)
    _left: int = 0
    _may_grow: bool = True
    _elsewhere: int = 0
    _is_put_off: bool = False
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=4096))
    _bar: Bar | None = None

    def __enter__(self) -> Self:
        if not self.is_quiet and sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.completed}/{task.total} jobs"),
                BarColumn(),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._bar.add_task("", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def interval_s(self) -> float:
        """Seconds from one show to the next."""
        return LINE_S if self._bar is None else BAR_S

    def report(self, report: Report) -> None:
        """Count one job's end."""
        self.counts.update(report.counts)
        if isinstance(report.outcome, Done | Dead):
            self.counts["jobs"] += 1
            self._ends.append(self.clock.monotonic())
            self._held_until = 0.0
        if isinstance(report.outcome, Dead):
            self.counts["dead"] += 1

    def hold(self, budget: str, seconds: float, reason: str) -> None:
        """Note which budget holds the run back."""
        self._held_by = reason
        self._held_until = self.clock.monotonic() + seconds

    def pause(self, seconds: float, error: WireError) -> None:
        """Say that the far end makes a budget wait: once for what was under way together."""
        budget, until = error.budget or "", self.clock.monotonic() + seconds
        self.hold(budget, seconds, error.message)
        if seconds >= SHORTEST_PAUSE_S and until > self._paused_until.get(budget, 0.0) + SHORTEST_PAUSE_S:
            self._paused_until[budget] = until
            event = "far_end.throttled" if isinstance(error, Throttled) else "far_end.failing"
            log.warning(event, pause_s=round(seconds), reason=str(error))

    def show(self, left: list[Left], *, in_hand: int) -> None:
        """Show the state, with what is left to do and how much of that this process holds."""
        self._left = sum(one.count for one in left)
        elsewhere = sum(one.count for one in left if one.state == "running") - in_hand
        self._elsewhere = elsewhere if elsewhere > 0 and all(one.state == "running" for one in left) else 0
        self._is_put_off = bool(left) and not in_hand and all(one.state == "waiting" for one in left)
        self._may_grow = any(one.kind in LISTS for one in left)
        if self._bar is not None:
            [task] = self._bar.task_ids
            total = self.counts["jobs"] + self._left
            self._bar.update(task, completed=self.counts["jobs"], total=total, description=self._text())
        elif self.counts["jobs"]:
            log.info("backfill.progress", jobs_done=self.counts["jobs"], jobs_left=self._left, now=self._text())

    def _text(self) -> str:
        parts = [
            f"{self.counts['repositories']} repositories, {self.counts['tags']} tags, {self.counts['images']} images"
        ]
        held = max(0.0, self._held_until - self.clock.monotonic())
        if self._elsewhere:
            parts.append(
                f"{self._elsewhere} jobs are with another process; if it has ended, they are free in {LEASE_S} s"
            )
        elif self._is_put_off:
            parts.append(f"{self._left} jobs wait for another try")
        elif (rate := self._rate()) > 0:
            parts.append(f"{rate * 60:.0f}/min")
            bound = "at least " if self._may_grow else ""
            parts.append(f"{bound}{_duration(held + self._left / rate)} left")
        if held >= SHORTEST_HOLD_S:
            parts.append(f"{self._held_by}, opens in {_duration(held)}")
        return " · ".join(parts)

    def _rate(self) -> float:
        """Jobs ended per second over the last minute."""
        now = self.clock.monotonic()
        while self._ends and self._ends[0] < now - RATE_OVER_S:
            self._ends.popleft()
        watched = now - self._ends[0] if self._ends else 0.0
        # Too little to tell a rate from: the first answers of a burst promise too much.
        return (len(self._ends) - 1) / watched if watched >= SHORTEST_WATCH_S else 0.0


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
