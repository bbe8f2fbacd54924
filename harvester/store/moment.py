"""One observation's instant in both of the forms that the tables hold. Rank 3."""

from __future__ import annotations

from dataclasses import dataclass

from harvester.clock import instant

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant, truncated to whole seconds UTC."""

    seconds: int
    text: str

    @classmethod
    def of(cls, seconds: float) -> Moment:
        """The moment of an epoch time in seconds."""
        return cls(int(seconds), instant(seconds))
