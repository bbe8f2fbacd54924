"""Who is told of events: the tables `[[notify]]`, checked. Rank 1.

A secret is never in such a table but in a file that the table names. No error says more of such a file than its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from harvester.checks import KeyRefused, printable, tables_of, web_address
from harvester.errors import ConfigError

Way = Literal["webhook", "command", "atom", "apprise"]

LONGEST_GLOB = 300
LONGEST_SECRET_FILE = 64 * 1024
"""Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """One receiver of events, and which events it wants."""

    name: str
    """What it is called in the database, in logs and in errors."""
    to: Way
    url: str | None = field(default=None, repr=False)
    url_file: str | None = None
    """A file with the address instead: those of chats are secrets."""
    secret_file: str | None = None
    """A file with the key that webhooks are signed with; null: they are not signed."""
    command: tuple[str, ...] = field(default=(), repr=False)
    file: str | None = None
    """Where the feed is written."""
    urls_file: str | None = None
    """A file with addresses in the form of Apprise, one per line."""
    kinds: tuple[str, ...] = ("*",)
    targets: tuple[str, ...] = ("*",)
    rank: int = 3
    """Events that are at least so urgent."""

    def wants(self, kind: str, full_name: str, rank: int) -> bool:
        """Whether it wants an event; `full_name` of the repository, `NAMESPACE/` for a namespace's, or what else it is about."""
        return rank <= self.rank and _matches(self.kinds, kind) and _matches(self.targets, full_name)


def notifies(value: Any, ranks: Mapping[str, int]) -> tuple[Notify, ...]:
    """The receivers that the tables describe; `ranks` are those of all kinds of events.

    Raises `TablesRefused` with all that is wrong, `ValueError` for what is no list.
    """
    found: dict[str, int] = {}

    def receiver(number: int, table: dict[str, Any]) -> Notify:
        if "to" not in table:
            raise KeyRefused("to", f"to: is missing; {_WAYS}")
        to = table["to"]
        _check_keys(to, table)
        one = Notify(**{"name": to, **table})
        if one.name in found:
            raise KeyRefused(
                "name", f"name: {one.name} is that of [[notify]] {found[one.name]} already; give each its own"
            )
        found[one.name] = number
        for glob in one.kinds:
            if not any(fnmatchcase(kind, glob) and rank <= one.rank for kind, rank in ranks.items()):
                ranked = "" if one.rank == max(ranks.values()) else f" of rank {one.rank} or more urgent"
                raise KeyRefused(
                    "kinds", f"kinds: no kind of event{ranked} matches `{glob}`; they are {', '.join(ranks)}"
                )
        return one

    return tables_of(value, _KEYS, receiver)


def secret_in(path: str, notifier: str) -> str:
    """The text of a file that holds a secret, without the white space around it. Raises `ConfigError` without any of it."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(LONGEST_SECRET_FILE + 1)
        text = raw.decode("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"notifier {notifier}: cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"notifier {notifier}: {path} is not UTF-8 text") from None
    if not text or len(raw) > LONGEST_SECRET_FILE:
        raise ConfigError(f"notifier {notifier}: {path} is {'empty' if not text else 'too large'}")
    return text


def address_of(notify: Notify) -> str:
    """Where a webhook goes. Raises `ConfigError` that says nothing of what is in the file."""
    if notify.url is not None:
        return notify.url
    assert notify.url_file is not None
    try:
        return web_address(secret_in(notify.url_file, notify.name))
    except ValueError as error:
        raise ConfigError(f"notifier {notify.name}: {notify.url_file}: {error}") from None


_OF: dict[Way, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "webhook": (("url", "url_file"), ("secret_file",)),
    "command": (("command",), ()),
    "atom": (("file",), ()),
    "apprise": (("urls_file",), ()),
}
"""Keys of which each way takes exactly one, and those that it may have besides."""

_FOR_ALL = frozenset({"name", "to", "kinds", "targets", "rank"})
_WAYS = "it is one of " + ", ".join(f"`{way}`" for way in get_args(Way))


def _check_keys(to: Way, table: Mapping[str, Any]) -> None:
    needed, besides = _OF[to]
    named = " or ".join(f"`{key}`" for key in needed)
    if strange := [key for key in table if key not in _FOR_ALL and key not in needed + besides]:
        raise KeyRefused(strange[0], f"{strange[0]}: goes with another `to`; `{to}` takes {named}")
    given = [key for key in needed if key in table]
    if not given:
        raise KeyRefused(needed[0], f"{needed[0]}: is missing; to `{to}` belongs {named}")
    if len(given) > 1:
        raise KeyRefused(given[1], f"{given[1]}: either {named}, not both")


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", value):
        raise ValueError("takes 1 to 64 of the lower-case letters, the digits, `.`, `_` and `-`, no sign first")
    return value


def _to(value: Any) -> Way:
    for way in get_args(Way):
        if value == way:
            return way  # type: ignore[no-any-return]
    raise ValueError(_WAYS)


def _command(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else []
    if not parts or not all(isinstance(part, str) and "\0" not in part for part in parts) or not parts[0].strip():
        raise ValueError(
            'takes a list of texts, the program and its arguments: ["logger", "-t", "harvester"]; no shell'
        )
    return tuple(parts)


def _globs(value: Any) -> tuple[str, ...]:
    globs = value if isinstance(value, list) else []
    if not globs or not all(isinstance(one, str) and one.isprintable() and one.strip() for one in globs):
        raise ValueError('takes a list of globs, such as ["library/*"]')
    if any(len(one) > LONGEST_GLOB for one in globs):
        raise ValueError(f"takes globs of at most {LONGEST_GLOB} characters")
    return tuple(one.strip() for one in globs)


def _targets(value: Any) -> tuple[str, ...]:
    globs = _globs(value)
    for one in globs:
        namespace, _, name = one.partition("/")
        if not any(sign in one for sign in "*?[") and not (namespace and name):
            raise ValueError(f"{one} is no full name: it takes globs such as `library/nginx` or `acme/*`")
    return globs


def _rank(value: Any) -> int:
    if isinstance(value, bool) or value not in (1, 2, 3) or not isinstance(value, int):
        raise ValueError("takes 1 (only what is to be looked at now), 2 or 3 (everything)")
    return value


@lru_cache(maxsize=1024)
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs))


def _matches(globs: tuple[str, ...], text: str) -> bool:
    return _pattern(globs).match(text) is not None


_KEYS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "to": _to,
    "url": web_address,
    "url_file": printable,
    "secret_file": printable,
    "command": _command,
    "file": printable,
    "urls_file": printable,
    "kinds": _globs,
    "targets": _targets,
    "rank": _rank,
}
"""The keys of a table, and what checks each of them."""
