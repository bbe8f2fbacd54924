"""What is done again and again, and APScheduler that does it. Rank 2.

The schedule lives in memory only: what has to survive a restart is a date in the database. A duty that takes longer than its
interval is not begun a second time meanwhile; what was missed is caught up once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from harvester.errors import StoreError

log = structlog.get_logger(__name__)

_SCHEDULING = logging.getLogger(f"{__name__}.apscheduler")
# Else a warning for every duty that is still under way when it is due again: who holds it up says so itself.
_SCHEDULING.setLevel(logging.ERROR)


@dataclass(slots=True)
class Duty:
    """Something to do every so many seconds."""

    name: str
    every_s: float
    act: Callable[[], Awaitable[object]]
    _said: str = ""

    async def once(self) -> None:
        """Do it. A database that cannot be used now, or a mistake of ours, is said once and leaves the next time untouched."""
        try:
            await self.act()
            self._said = ""
        except StoreError as error:
            if self._said != error.message:
                log.warning("duty.put_off", duty=self.name, reason=error.message, next="tried again")
            self._said = error.message
        except Exception as error:
            if self._said != repr(error):
                log.error("duty.failed", duty=self.name, reason=repr(error), exc_info=True)
            self._said = repr(error)


class Timetable:
    """Duties, done by APScheduler on the running event loop."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = tuple(duties)
        # An error for every duty that `stop` has cut short; all that goes wrong in one, the duty has said.
        logging.getLogger("apscheduler.executors").setLevel(logging.CRITICAL)
        self._is_on = False
        self._scheduler = AsyncIOScheduler(
            logger=_SCHEDULING,
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Begin with every duty at once, one after the other."""
        for place, duty in enumerate(self._duties):
            # Two daemons that were started together shall not act together for ever.
            trigger = IntervalTrigger(seconds=max(1, round(duty.every_s)), jitter=max(1, round(duty.every_s / 10)))
            first = datetime.now(UTC) + timedelta(seconds=place * 0.1)
            self._scheduler.add_job(duty.once, trigger, id=duty.name, next_run_time=first)
        self._scheduler.start()
        self._is_on = True

    def set_right(self) -> None:
        """Begin anew from the present moment: the clock has jumped, and dates that were set before it say nothing."""
        if not self._is_on:
            return
        for duty in self._duties:
            trigger = IntervalTrigger(seconds=max(1, round(duty.every_s)), jitter=max(1, round(duty.every_s / 10)))
            self._scheduler.modify_job(duty.name, trigger=trigger, next_run_time=datetime.now(UTC))

    def stop(self) -> None:
        """Begin nothing more; what is under way is cut short, and what it has handed to the writer is written."""
        # The scheduler still counts as running until the loop comes round again.
        if self._is_on:
            self._is_on = False
            self._scheduler.shutdown(wait=False)
