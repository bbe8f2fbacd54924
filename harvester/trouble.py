"""What the far end refused to one route as a whole: how long to leave it alone, and when to give it up. Rank 3, pure.

Jobs are put off meanwhile and lose no attempt: they are not at fault, and they are not asked by another route.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from harvester.errors import Blocked, Denied, HarvesterError, Unreachable, WireError

log = structlog.get_logger(__name__)

STRIKES = 12
"""So many failures in a row are the far end's, not the jobs': no attempt is counted any more."""

FAILING_S = 900.0
"""A far end that fails for so long, without one answer, cannot be used."""

PATIENCE_AT_START_S = 3.0
PATIENCE_LATER_S = 120.0
"""How long a host may be unreachable before the route is given up: before anything was ever answered, and after."""


@dataclass(slots=True, kw_only=True)
class Trouble:
    """The failures of one route. Times are seconds of the monotonic clock."""

    route: str
    may_give_up: bool
    """Whether whoever waits would rather be told; else everything is waited out."""
    on_given_up: Callable[[Trouble], None]
    given_up: HarvesterError | None = None
    """Why this route cannot be used at all."""
    unreachable_since: float | None = None
    unreachable_times: int = 0
    has_answered: bool = False
    strikes: int = 0
    """Failures in a row, of whatever jobs, with no answer between them."""
    failing_since: float = 0.0
    pauses: int = 0
    blocked_until: float = 0.0
    blocks: int = 0

    def answered(self) -> None:
        """The far end gave what was asked for."""
        self.has_answered = True
        self.unreachable_since = None
        self.unreachable_times = 0
        self.strikes = 0

    def unreachable(self, error: Unreachable, now: float, *, is_closed: bool) -> float:
        """Seconds to leave the host alone; gives up when it has not answered for too long.

        What fails while the lane `is_closed` was under way before: it makes no pause longer.
        """
        if self.unreachable_since is None:
            self.unreachable_since = now
        if not is_closed:
            self.unreachable_times += 1
        patience = PATIENCE_LATER_S if self.has_answered else PATIENCE_AT_START_S
        if now - self.unreachable_since >= patience:
            self._give_up(error)
        return min(60.0, 2.0 ** (self.unreachable_times - 1))

    def strike(self, error: WireError, now: float, *, is_closed: bool) -> float:
        """Seconds to leave the far end alone: it fails whatever it is asked, so no single job is at fault. 0: not yet."""
        if self.strikes == 0:
            self.failing_since, self.pauses = now, 0
        self.strikes += 1
        if self.strikes < STRIKES:
            return 0.0
        if isinstance(error, Denied) or now - self.failing_since >= FAILING_S:
            self._give_up(error)
        if not is_closed:
            # What was under way together fails together: that is one more pause, not several.
            self.pauses += 1
        return min(300.0, 5.0 * 2.0 ** (self.pauses - 1))

    def blocked(self, seconds: float, now: float) -> float:
        """Seconds to stay away; gives up at the second block after a pause."""
        if now >= self.blocked_until:
            self.blocks += 1
            self.blocked_until = now + seconds
            log.warning("edge.blocked", route=self.route, pause_s=round(seconds), next="nothing is asked until then")
        if self.blocks > 1:
            self._give_up(Blocked("the edge refused again after a pause; ask less, or ask from elsewhere"))
        return self.blocked_until - now

    def _give_up(self, error: HarvesterError) -> None:
        if self.may_give_up and self.given_up is None:
            self.given_up = error
            self.on_given_up(self)
