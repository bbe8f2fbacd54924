"""What changed at the far end: the kinds of events, how urgent each is, and one with its evidence. Rank 1.

What a thing looks like at first sight is no event. An event is written in the transaction that stores the change it tells of: once,
whatever is repeated.
"""

from __future__ import annotations

from typing import Any

import msgspec

RANKS: dict[str, int] = {
    "tag.overwritten": 1,
    "tag.pusher_changed": 1,
    "repository.replaced": 1,
    "namespace.vanishing": 1,
    "repository.gone": 2,
    "repository.returned": 2,
    "repository.deprecated": 2,
    "tag.gone": 2,
    "tag.returned": 2,
    "tag.platforms_lost": 2,
    "tag.size_jumped": 2,
    "pulls.anomalous": 2,
    "repository.new": 3,
    "repository.described": 3,
    "tag.new": 3,
    "tag.moved": 3,
    "listing.cut_short": 3,
    "drift": 3,
}
"""Every kind; 1: look at it now (what attacks on a supply chain look like), 2: worth knowing, 3: the run of things."""


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change, to be appended."""

    kind: str
    repository_id: int | None = None
    tag_id: int | None = None
    happened_at: str | None = None
    """The far end's own date of it, where there is one."""
    detail: dict[str, Any] = {}
    """The evidence: what was so before and what is so now."""

    @property
    def rank(self) -> int:
        """1 to 3, the most urgent first."""
        return RANKS[self.kind]
