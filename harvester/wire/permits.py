"""What the transport asks of a limiter. Rank 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Budget = Literal["hub", "search", "registry", "pulls", "tokens", "logins", "webhooks"]
"""Hub API; of it the search; free registry requests; manifest GETs; registry tokens; Hub logins (wire reference, 13).

The last one is not Docker Hub's: what is sent to the operator's own receivers."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer's headers say of the budget it was counted in (wire reference, 13.1 and 13.2)."""

    limit: int | None = None
    remaining: int | None = None
    window_s: float | None = None
    resets_in_s: float | None = None
    """Seconds until the window ends, by the far end's own clock."""
    is_free: bool = False
    """A success without these headers where they are due: it is not limited (wire reference, 13.2)."""


class Permits(Protocol):
    """A limiter, as the transport sees it. Every request there is asks it first."""

    async def take(self, budget: Budget) -> None:
        """Return when one request may be sent. Raises `Throttled` where that would take longer than a moment."""
        ...

    def observe(self, budget: Budget, reading: Reading) -> None:
        """Take note of what an answer's headers said."""
        ...

    def ended(self, budgets: tuple[Budget, ...]) -> None:
        """Take note that a request which was counted in these budgets is over, whatever became of it."""
        ...

    async def close(self, budgets: tuple[Budget, ...], seconds: float, reason: str) -> None:
        """Let nothing of these budgets out for that long: the far end said no."""
        ...

    async def block(self, budgets: tuple[Budget, ...], reason: str) -> float:
        """The edge refused: close these budgets for a long time, longer at each repetition; the seconds chosen."""
        ...
