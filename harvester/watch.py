"""What is kept up to date: the tables `[[watch]]`, checked. Rank 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harvester.checks import LONGEST_S, KeyRefused, duration, printable, tables_of
from harvester.errors import ConfigError
from harvester.policy import LayerPolicy, TagPolicy
from harvester.targets import Target, parse_targets

SHORTEST_S = 5
"""Seconds between two looks, at the least; how many there really are, the far end's limits decide."""

FASTEST_PART = 12
"""A repository that changes often is looked at so many times in `every` at the most, unless `fastest` says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Something that is kept up to date."""

    target: str
    """As the operator wrote it."""
    targets: tuple[Target, ...]
    """What that names: one target, or all of a file's."""
    tags: TagPolicy = field(default_factory=TagPolicy)
    layers: LayerPolicy = field(default_factory=LayerPolicy)
    every: int = 86_400
    """Seconds from one harvest of it to the next: nothing of it is looked at less often."""
    fastest: int | None = None
    """Seconds from one look at a repository to the next, at the least; null: a twelfth of `every`."""

    @property
    def fastest_s(self) -> int:
        """`fastest`, or what it is where nobody said."""
        return self.fastest if self.fastest is not None else max(SHORTEST_S, self.every // FASTEST_PART)


def watches(value: Any) -> tuple[Watch, ...]:
    """The watches of the tables. Raises `TablesRefused` with all that is wrong, `ValueError` for what is no list."""
    checks: dict[str, Callable[[Any], Any]] = {
        "target": printable,
        "tags": _tags,
        "layers": _layers,
        "every": _span,
        "fastest": _span,
    }
    return tables_of(value, checks, _watch)


def _watch(number: int, row: dict[str, Any]) -> Watch:
    if "target" not in row:
        raise KeyRefused("target", "target: is missing")
    try:
        targets = parse_targets([row["target"]])
    except ConfigError as error:
        raise KeyRefused("target", f"target: {error}") from error
    if not targets:
        raise KeyRefused("target", f"target: {row['target']} lists none")
    watch = Watch(targets=targets, **row)
    if watch.fastest_s > watch.every:
        raise KeyRefused("fastest", "fastest: is longer than `every`; leave it out, or make it as long at the most")
    return watch


def _tags(value: Any) -> TagPolicy:
    return TagPolicy.parse(printable(value), option="tags:")


def _layers(value: Any) -> LayerPolicy:
    return LayerPolicy.parse(printable(value), option="layers:")


def _span(value: Any) -> int:
    seconds = duration(value)
    if seconds is None or not SHORTEST_S <= seconds <= LONGEST_S:
        raise ValueError("takes a number with `s`, `m`, `h` or `d`, such as `24h`, from 5s to 365d")
    return seconds
