"""Ranges of versions, and which tags are a version in them. Rank 0, pure.

Tags of Docker Hub are not strict semantic versions. Here a tag is a version when it is one to three numbers, with or without a
leading `v`, and after them nothing or a suffix that `-` begins: `7`, `v7.2`, `22.04`, `7.2.1-alpine3.19`, `8.0.0-rc1`. Missing
numbers are 0: `7.2` is `7.2.0`. What has a suffix, pre-releases too, is another edition: only a range that asks for it has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

Version = tuple[int, int, int]

_TAG = re.compile(r"v?([0-9]{1,128})(?:\.([0-9]{1,128})(?:\.([0-9]{1,128}))?)?(-.*)?\Z")
_BOUND = re.compile(r"(>=|<=|>|<|=|\^|~)?v?((?:[0-9]+|[xX*])(?:\.(?:[0-9]+|[xX*])){0,2})\Z")
_SUFFIX = re.compile(r"-[A-Za-z0-9._*?\[\]!-]*\Z")


@dataclass(frozen=True, slots=True)
class VersionRange:
    """All versions of one edition from `low` to below `high`."""

    text: str
    """The range in its one canonical form."""
    low: Version
    high: Version | None
    """The first version that is too high; null: none is."""
    suffix: str | None
    """A glob over what follows the numbers, the `-` included; null: nothing may follow them."""

    def has(self, tag: str) -> bool:
        """Whether this tag is a version in the range."""
        found = _TAG.match(tag)
        if found is None:
            return False
        major, minor, patch, suffix = found.groups()
        if (suffix is None) is not (self.suffix is None):
            return False
        version = (int(major), int(minor or 0), int(patch or 0))
        if version < self.low or (self.high is not None and version >= self.high):
            return False
        return suffix is None or self.suffix is None or fnmatchcase(suffix, self.suffix)


def is_exact(tag: str) -> bool:
    """Whether the tag names one release, all three numbers of it: what nobody expects to point elsewhere some day."""
    found = _TAG.match(tag)
    return found is not None and found[3] is not None


def parse_range(text: str) -> VersionRange:
    """The range that `text` names: bounds that all have to hold and, last, the glob of a suffix, parted by spaces or commas.

    Bounds read as npm reads them. Raises `ValueError` with one sentence.
    """
    parts = re.findall(r"(?:[<>=^~]+ +)?[^ ,]+", text)
    suffix = parts.pop() if len(parts) > 1 and _SUFFIX.match(parts[-1]) else None
    if not parts:
        raise ValueError("takes a range of versions, such as `>=7.2 <8`, `^1.24`, `~3.19` or `7.x`")
    bounds = [_bound(part.replace(" ", "")) for part in parts]
    low = max(bound.low for bound in bounds)
    high = min((bound.high for bound in bounds if bound.high is not None), default=None)
    if high is not None and high <= low:
        raise ValueError("no version is in that range")
    return VersionRange(" ".join([*(bound.text for bound in bounds), *([suffix] if suffix else [])]), low, high, suffix)


def _bound(text: str) -> VersionRange:
    found = _BOUND.match(text)
    operator, numbers = (found[1] or "=", found[2].split(".")) if found else ("", [])
    while numbers and numbers[-1] in ("x", "X", "*"):
        numbers.pop()
    if not operator or not all(number.isdecimal() for number in numbers) or (operator != "=" and not numbers):
        raise ValueError(
            f"`{text}` is no bound of a range of versions; bounds are `>=7.2`, `>7`, `<=7`, `<8`, `^1.24`, `~3.19`, `7.x`, `*`,"
            " and one glob of a suffix may come last: `-alpine*`"
        )
    given = [int(number) for number in numbers]
    low, high = _between(operator, given)
    written = ".".join(str(number) for number in given)
    if operator == "=":
        exact = len(given) == 3
        return VersionRange(written if exact else f"{written}.x" if given else "*", low, high, None)
    return VersionRange(operator + written, low, high, None)


def _between(operator: str, given: Sequence[int]) -> tuple[Version, Version | None]:
    """The first version that a bound lets in, and the first above it that is too high."""
    start = (*given, 0, 0, 0)[:3]
    low = (start[0], start[1], start[2])
    match operator:
        case ">=":
            return low, None
        case ">":
            return _after(given), None
        case "<":
            return (0, 0, 0), low
        case "<=":
            return (0, 0, 0), _after(given)
        case "~":
            return low, _after(given[:2])
        case "^":
            leading = next((place for place, number in enumerate(given) if number), len(given) - 1)
            return low, _after(given[: leading + 1])
        case _:
            return low, _after(given) if given else None


def _after(given: Sequence[int]) -> Version:
    """The first version that does not begin with these numbers and is above those that do."""
    end = (*given[:-1], given[-1] + 1, 0, 0)[:3]
    return (end[0], end[1], end[2])
