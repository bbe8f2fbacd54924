"""What a person asks for: targets and the files that list them. Rank 1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harvester.errors import ConfigError, NameRefused
from harvester.names import OFFICIAL, parse_reference

FILES_DEEP = 5
"""How deep files of targets may name one another."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One thing to harvest, in its one canonical form."""

    kind: Literal["repository", "tag", "namespace", "search"]
    subject: str
    """Full name of the repository, the namespace, or the query."""
    tag: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "tag":
                return f"{self.subject}:{self.tag}"
            case "namespace":
                return f"{self.subject}/*"
            case "search":
                return f"search:{self.subject}"
            case _:
                return self.subject


def parse_targets(texts: Iterable[str]) -> tuple[Target, ...]:
    """The targets that the texts name: files opened, duplicates folded, sorted. Raises `ConfigError` for the first bad one."""
    return tuple(sorted(set(_expanded(texts, depth=0))))


def parse_target(text: str) -> Target:
    """The target that one text names. Raises `NameRefused`."""
    text = text.strip()
    if text == "official":
        return Target("namespace", OFFICIAL)
    if text.startswith("search:"):
        query = " ".join(text.removeprefix("search:").split())
        if not query or not query.isprintable() or len(query) > 200:
            raise NameRefused(f"{text}: `search:` takes a query of 1 to 200 printable characters")
        return Target("search", query)
    reference = parse_reference(text)
    if reference.name is None:
        return Target("namespace", reference.namespace)
    if reference.tag is None:
        return Target("repository", reference.repository.full_name)
    return Target("tag", reference.repository.full_name, reference.tag)


def _expanded(texts: Iterable[str], depth: int) -> Iterable[Target]:
    for text in texts:
        if not text.startswith("@"):
            yield parse_target(text)
        elif depth >= FILES_DEEP:
            raise ConfigError(f"{text}: files of targets name one another more than {FILES_DEEP} deep")
        else:
            yield from _expanded(_lines(Path(text[1:])), depth + 1)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the targets in {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the targets in {path}: not UTF-8 text") from error
    # A query may hold the character: it begins a comment at the start of a line and after a space.
    lines = [re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.splitlines()]
    return [line for line in lines if line]
