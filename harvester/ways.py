"""The ways to the far end: one per lane and egress route, with its slots, what is claimed for it, and when it is closed. Rank 4."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from harvester.errors import Blocked, Throttled, Unreachable
from harvester.jobs import KINDS, Harvest, Job, Lane, NewJob, shard
from harvester.trouble import Trouble

log = structlog.get_logger(__name__)

SLOTS: dict[Lane, int] = {"hub": 4, "search": 1, "registry": 2, "pulls": 1}
"""Jobs of a lane that ask the far end by one route at one time: a handful of connections is the fastest setting there is."""

LEAST_AHEAD: dict[Lane, int] = {"hub": 8, "search": 8, "registry": 24, "pulls": 8}
MOST_AHEAD = 64
"""Jobs claimed beyond the free slots, so that one claim serves several: the more, the faster they are used up.

A claim is for more than half of the least: as many jobs as a lane has priorities, so that each of them may have one. Of the
registry's enough are claimed for a token to serve ten of them.
"""

QUICK_S = 1.0
SLOW_S = 2.0
"""Claims nearer than the one to each other take more jobs, claims further apart than the other take fewer."""

WITHOUT_NAMES_S = 300.0
"""A registry that is closed for so long is done without where only names of tags were wanted of it."""

OUT_OF_REACH_S = 30.0
"""So is one that could not be reached for so long; less than a route is given time in all."""


def _expect_nothing(jobs: Sequence[Job]) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Route:
    """One way out, as far as the worker cares: who asks by it, and for which parts of all namespaces."""

    name: str
    shards: tuple[int, ...] | None
    """Null: for all of them."""
    handle: Callable[[Job], Awaitable[Harvest]]
    expect: Callable[[Sequence[Job]], None] = _expect_nothing
    """Told of what was claimed and comes soon."""


@dataclass(slots=True)
class Way:
    """One lane of one route: its slots, and what is claimed for them."""

    lane: Lane
    route: Route
    trouble: Trouble
    """The whole route's."""
    slots: asyncio.Semaphore
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    closed_until: float = 0.0
    peek_at: float = 0.0
    unreached_since: float | None = None
    silence: Exception | None = None
    silent_until: float = 0.0
    """Until then nobody is asked for the names of tags, for that reason."""
    is_hinted: bool = False
    """Whether our own work has brought jobs for it."""
    ahead: int = 0
    claimed_at: float = 0.0

    def takes(self, new: NewJob) -> bool:
        """Whether this is the way that the job will go."""
        return KINDS[new.kind][0] == self.lane and (self.route.shards is None or shard(new) in self.route.shards)

    def is_silent(self, now: float) -> bool:
        """Whether nobody is to be asked for the names of tags now."""
        return self.silence is not None and now < self.silent_until

    def answered(self) -> None:
        """The far end gave an answer by this way."""
        self.trouble.answered()
        self.unreached_since = self.silence = None

    def pace_claims(self, now: float) -> None:
        """Take more jobs at a time the sooner they are used up."""
        since, self.claimed_at = now - self.claimed_at, now
        if since < QUICK_S:
            self.ahead = min(MOST_AHEAD, self.ahead * 2)
        elif since > SLOW_S:
            self.ahead = max(LEAST_AHEAD[self.lane], self.ahead // 2)

    def does_without_names(self, error: Exception, now: float, hub: Way) -> bool:
        """Whether tags are read off their pages alone: the registry is out of reach for long, and the Hub is not."""
        if isinstance(error, Unreachable):
            self.unreached_since = now if self.unreached_since is None else self.unreached_since
            is_long = now - self.unreached_since >= OUT_OF_REACH_S
        else:
            is_long = isinstance(error, Blocked) or (
                isinstance(error, Throttled) and error.retry_after >= WITHOUT_NAMES_S
            )
        if not is_long or not self.trouble.has_answered or now < hub.closed_until:
            return False
        if not self.is_silent(now):
            log.warning("registry.silent", reason=str(error), next="tags are read off their pages alone")
        self.silence, self.silent_until = error, now + WITHOUT_NAMES_S
        return True

    def close(self, until: float) -> None:
        """Ask nothing before that time."""
        self.closed_until = max(self.closed_until, until)
