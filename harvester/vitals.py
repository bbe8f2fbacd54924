"""Whether the service is well, and how it says so: to the service manager, to `/healthz`, to `/readyz`. Rank 7.

Well is what commits and renews its leases: a process that merely exists proves nothing. It is read from other threads as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harvester.clock import Clock
from harvester.store.gauges import Gauges
from harvester.store.queue import LEASE_S

Stage = Literal["starting", "working", "reloading", "waiting", "stopping"]

SILENT_S = 90.0
"""Without a commit for so long the service is not alive: each of its own is five seconds after the one before."""


@dataclass(slots=True)
class Vitals:
    """Signs of life of one daemon; instants are seconds of the monotonic clock."""

    clock: Clock
    stage: Stage = "starting"
    committed_at: float = 0.0
    """When the writer last committed something."""
    renewed_at: float | None = None
    """When the worker last renewed its leases; null: there is no worker."""
    trouble: str = ""
    """Why it waits."""
    targets: int = 0
    stretch: float = 1.0
    gauges: Gauges | None = None
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.committed_at = self.clock.monotonic()

    def is_moving(self, within_s: float) -> bool:
        """Whether the writer has committed within that time, and leases are renewed where any are held."""
        now = self.clock.monotonic()
        is_renewed = self.renewed_at is None or now - self.renewed_at < LEASE_S
        return now - self.committed_at < within_s and is_renewed

    def why_not_alive(self) -> str | None:
        """Null: it commits; else since when it does not."""
        silent = self.clock.monotonic() - self.committed_at
        if silent < SILENT_S:
            return None
        return f"nothing was committed for {silent:.0f} s" + (f": {self.trouble}" if self.trouble else "")

    def why_not_ready(self) -> str | None:
        """Null: it works, or drains what it has begun; else what it does instead."""
        if self.stage == "working":
            return self.why_not_alive()
        return f"{self.stage}: {self.trouble}" if self.trouble else self.stage

    @property
    def text(self) -> str:
        """One line for people."""
        parts = [f"{self.targets} targets watched"]
        if self.stage != "working":
            parts.insert(0, f"{self.stage}: {self.trouble}" if self.trouble else self.stage)
        if self.gauges is not None:
            jobs = dict.fromkeys(("ready", "waiting", "running", "dead"), 0)
            for (_, state), number in self.gauges.jobs.items():
                jobs[state] = jobs.get(state, 0) + number
            parts.append("jobs: " + ", ".join(f"{number} {state}" for state, number in jobs.items()))
            lag = max((one.lag_s for one in self.gauges.overdue.values()), default=0.0)
            if lag >= 60:
                parts.append(f"{lag / 60:.0f} min behind")
            if incomplete := sum(self.gauges.incomplete.values()):
                parts.append(f"{incomplete} incomplete lists")
        if self.stretch > 1:
            parts.append(f"every cadence stretched by {self.stretch:.1f}")
        return "; ".join(parts)
