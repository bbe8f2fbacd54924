"""The limits that the fake Hub keeps, and the fixed windows that count towards them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

RetryForm = Literal["seconds", "epoch", "date", "none"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every number that the fake Hub enforces; None switches one off together with its headers."""

    hub_per_minute: int | None = 180
    """Requests at the Hub host per window and anonymous address."""
    hub_per_minute_signed_in: int | None = None
    """The same per account; None takes the anonymous number."""
    hub_window_s: float = 60.0
    pulls: int | None = 100
    pulls_signed_in: int | None = 200
    pull_window_s: int = 3600
    anonymous_wall_tags: int | None = 1000
    anonymous_wall_repositories: int | None = 100
    search_wall: int | None = 10_000
    search_wall_status: int = 404
    retry_form: RetryForm = "seconds"
    """How a 429 of the Hub limiter says when to come back."""
    hub_token_life_s: int = 600
    registry_token_life_s: int = 300

    @classmethod
    def none(cls, **exceptions: Any) -> Limits:
        """No limiter, no limit header, no paging wall, except for what is named."""
        unlimited = cls(
            hub_per_minute=None,
            pulls=None,
            pulls_signed_in=None,
            anonymous_wall_tags=None,
            anonymous_wall_repositories=None,
            search_wall=None,
        )
        return replace(unlimited, **exceptions)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one caller stands in its window."""

    limit: int
    remaining: int
    reset_at: float
    now: float

    @property
    def reset_epoch(self) -> int:
        """The end of the window in whole Unix seconds, rounded up so that waiting for it is enough."""
        return math.ceil(self.reset_at)

    @property
    def wait_s(self) -> int:
        return max(1, math.ceil(self.reset_at - self.now))


class FixedWindows:
    """One counter per caller; a window opens with the first request after the one before it ended."""

    def __init__(self, window_s: float, clock: Callable[[], float]) -> None:
        self._window_s = window_s
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}

    def standing(self, caller: str, limit: int) -> Standing:
        """Where the caller stands, without counting anything."""
        with self._lock:
            now, opened_at, used = self._window(caller)
            return Standing(limit, max(0, limit - used), opened_at + self._window_s, now)

    def spend(self, caller: str, limit: int, count: int = 1) -> Standing:
        """Where the caller stands after `count` requests more."""
        with self._lock:
            now, opened_at, used = self._window(caller)
            self._windows[caller] = (opened_at, used + count)
            return Standing(limit, max(0, limit - used - count), opened_at + self._window_s, now)

    def _window(self, caller: str) -> tuple[float, float, int]:
        now = self._clock()
        opened_at, used = self._windows.get(caller, (now, 0))
        if now >= opened_at + self._window_s:
            return now, now, 0
        return now, opened_at, used
