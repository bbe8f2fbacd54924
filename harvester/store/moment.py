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


def text_of(value: object) -> str:
    """A stored instant as text: PostgreSQL's driver gives a datetime where statements run on its cursor."""
    return value if isinstance(value, str) else Moment.of(value.timestamp()).text  # type: ignore[attr-defined]
