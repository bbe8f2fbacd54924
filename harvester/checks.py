"""What a value in the configuration may be, and how it reads where it may not. Rank 0, pure.

Every check takes what TOML or the environment gave and returns it in its one form, or raises `ValueError` with a sentence that
repeats nothing secret: an address may hold a password.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, urlsplit

from harvester.errors import ConfigError

Built = TypeVar("Built")

LONGEST_S = 365 * 86_400
"""Seconds that most durations may be at the most."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def unknown_key(key: str, known: list[str]) -> str:
    """What is said of a key that is not known, with the nearest one that is."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return f"unknown setting `{key}`, did you mean `{near[0]}`?"


def printable(value: Any) -> str:
    """A text in one line."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("takes a text")
    if not value.isprintable():
        raise ValueError("has characters that cannot be printed")
    return value.strip()


def duration(value: Any) -> int | None:
    """Seconds of a text such as `90s`, `15m`, `24h` or `7d`; null for anything else."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", value) if isinstance(value, str) else None
    return int(found[1]) * _UNITS[found[2]] if found else None


def web_address(value: Any) -> str:
    """An http or https address as it is written, without a user and a password in it."""
    text = printable(value)
    parts = address_parts(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("takes an http or https address")
    if parts.username or parts.password:
        raise ValueError("takes an address without a user name or password in it")
    return text


def address_parts(text: str) -> SplitResult:
    """An address in its parts."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        # Without the words of the library: they repeat the whole address, its password too.
        raise ValueError("takes an address with a plain host name and, if any, a port from 1 to 65535") from None
    return parts


class KeyRefused(ValueError):
    """What a key of a table takes, or that it is missing; `key` is the one that it is about."""

    def __init__(self, key: str, says: str) -> None:
        super().__init__(says)
        self.key = key


class Wrong(NamedTuple):
    """What is wrong with one table of a list."""

    number: int
    """Of the table, from 1."""
    key: str | None
    """The key that it is about; null for the table itself."""
    says: str


class TablesRefused(ValueError):
    """All that is wrong with the tables of a list."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        super().__init__("; ".join(f"{one.number}: {one.says}" for one in wrong))
        self.wrong = tuple(wrong)


def tables_of(
    value: Any, checks: Mapping[str, Callable[[Any], Any]], build: Callable[[int, dict[str, Any]], Built]
) -> tuple[Built, ...]:
    """What `build` makes of each table's number and checked values; it raises `KeyRefused` for what does not go together.

    Raises `TablesRefused` with all that is wrong with any of the tables, `ValueError` for what is no list.
    """
    if not isinstance(value, list):
        raise ValueError("takes a list of tables: two brackets around its name, and under that its keys")
    found: list[Built] = []
    wrong: list[Wrong] = []
    for number, table in enumerate(value, 1):
        if not isinstance(table, dict):
            wrong.append(Wrong(number, None, f"takes a table with the keys {', '.join(f'`{key}`' for key in checks)}"))
            continue
        row, refused = _row(table, checks)
        if not refused:
            try:
                found.append(build(number, row))
            except KeyRefused as error:
                refused = [(error.key, str(error))]
        wrong += [Wrong(number, key, says) for key, says in refused]
    if wrong:
        raise TablesRefused(wrong)
    return tuple(found)


def _row(
    table: Mapping[str, Any], checks: Mapping[str, Callable[[Any], Any]]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The checked values of a table, and what is wrong with which of its keys."""
    row: dict[str, Any] = {}
    wrong: list[tuple[str, str]] = []
    for key, one in table.items():
        if key not in checks:
            wrong.append((key, unknown_key(key, list(checks))))
            continue
        try:
            row[key] = checks[key](one)
        except ValueError as error:
            wrong.append((key, f"{key}: {error}"))
        except ConfigError as error:
            wrong.append((key, str(error)))
    return row, wrong
