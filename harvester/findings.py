"""What a look at the installation came to, one finding each. Rank 0."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note", "ok"]

LEVELS: tuple[Level, ...] = ("error", "warning", "note", "ok")
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    """`error`: it does not work; `warning`: something is lost or will fail; `note`: worth knowing; `ok`: as it should be."""
    area: str
    """What it is about: `configuration`, `database`, `far end` and so on."""
    what: str
    remedy: str | None = None
    """What to do about it."""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by level, those of one level in their order."""
    return sorted(findings, key=lambda one: LEVELS.index(one.level))
