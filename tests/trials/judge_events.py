"""What the log of events says against what is stored and was shown: each change once, and nothing without a change."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.trials.judge import Difference, Judge

LENIENT = ("drift", "listing.cut_short", "pulls.anomalous", "namespace.vanishing")
"""Kinds that are about the far end's behaviour: they are counted and not judged."""


class Logged(NamedTuple):
    """One event."""

    kind: str
    at: int
    full_name: str | None
    tag: str | None
    happened_at: str | None
    detail: str

    @property
    def subject(self) -> str:
        return f"{self.full_name}:{self.tag}" if self.tag else str(self.full_name)


@dataclass(slots=True)
class Events:
    """What the comparison found."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


def judged_events(judge: Judge) -> Events:
    """All events but those of the far end's own behaviour."""
    return Events()
