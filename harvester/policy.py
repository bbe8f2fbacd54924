"""Which tags are wanted, and whose layers. Rank 1, pure.

Both policies are kept as a text in one canonical form (`newest:50`, `*-alpine`, `semver:>=7.2 <8`): that text travels in job
arguments and keys. What it says about names is read once per text, however many policies and names there are.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Literal

from harvester.errors import ConfigError
from harvester.versions import parse_range

MOST_NEWEST = 1_000_000
LONGEST = 200
"""Characters of a pattern or a range."""

_GLOB_TEXT = re.compile(r"[A-Za-z0-9._*?\[\]!^-]{1,128}\Z")
_GLOB_WILD = re.compile(r"[*?]|\[!?\]?[^]]*\]?")


@dataclass(frozen=True, slots=True)
class TagPolicy:
    """`all`, `newest:N`, a filter by name (a glob, `re:PATTERN`, `semver:RANGE`), or the newest of those: `newest:N,FILTER`."""

    text: str = "all"

    @classmethod
    def parse(cls, text: str, option: str = "--tags") -> TagPolicy:
        """The policy that `text` names; raises `ConfigError`, which begins with `option`."""
        try:
            return cls(_tag_policy(text))
        except ValueError as error:
            raise ConfigError(f"{option} {_shown(text)}: {error}") from error

    @property
    def newest(self) -> int | None:
        """How many of the newest tags that the name lets in are wanted; null: no such bound."""
        return _read(self.text)[0]

    @property
    def glob(self) -> str | None:
        """The glob over tag names; null when names are not filtered, or by other means."""
        names = _read(self.text)[1]
        return names.text if names is not None and names.kind == "glob" else None

    @property
    def is_whole(self) -> bool:
        """Whether every tag is wanted."""
        return self.text == "all"

    @property
    def is_filtered(self) -> bool:
        """Whether some names are not wanted: who walks by this policy does not see the whole list."""
        return _read(self.text)[1] is not None

    def wants(self, tag: str) -> bool:
        """Whether the name alone lets this tag in."""
        names = _read(self.text)[1]
        return names is None or names.lets_in(tag)

    @property
    def name_filter(self) -> str | None:
        """The longest literal that all names hold that are let in, for the far end's substring filter (wire reference, 3.4)."""
        names = _read(self.text)[1]
        return None if names is None else names.literal


@dataclass(frozen=True, slots=True)
class LayerPolicy:
    """`none`, `latest` (the tag of that name and nothing else), `all`, or a filter by name as in `TagPolicy`."""

    text: str = "latest"

    @classmethod
    def parse(cls, text: str, option: str = "--layers") -> LayerPolicy:
        """The policy that `text` names; raises `ConfigError`, which begins with `option`."""
        if text in ("none", "latest", "all"):
            return cls(text)
        try:
            return cls(_filter(text, "`none`, `latest`, `all`, ").text)
        except ValueError as error:
            raise ConfigError(f"{option} {_shown(text)}: {error}") from error

    def wants(self, tag: str) -> bool:
        """Whether the layers of this tag are wanted."""
        if self.text in ("none", "all"):
            return self.text == "all"
        return _filter(self.text).lets_in(tag)


@dataclass(frozen=True, slots=True)
class _Filter:
    """A filter by name, read."""

    kind: Literal["glob", "re", "semver"]
    text: str
    """In its canonical form, the kind included."""
    lets_in: Callable[[str], bool]
    literal: str | None
    """What every name that is let in holds for certain."""


def _tag_policy(text: str) -> str:
    """The text in its canonical form; raises `ValueError`."""
    if not text.startswith("newest:"):
        return text if text == "all" else _filter(text, "`all`, `newest:N`, ").text
    number, comma, names = text.removeprefix("newest:").partition(",")
    if len(number) > 8 or not number.isdecimal() or not 1 <= int(number) <= MOST_NEWEST:
        raise ValueError(
            f"`newest:` takes a whole number from 1 to {MOST_NEWEST}, then nothing or a comma and a filter"
        )
    is_bare = not comma or names == "all"
    return f"newest:{int(number)}" + ("" if is_bare else f",{_filter(names, 'after the comma ').text}")


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[int | None, _Filter | None]:
    """What a canonical text says: how many of the newest, and which names."""
    newest, names = None, text
    if text.startswith("newest:"):
        number, _, names = text.removeprefix("newest:").partition(",")
        newest = int(number)
    return newest, None if names in ("", "all") else _filter(names)


@lru_cache(maxsize=1024)
def _filter(text: str, besides: str = "") -> _Filter:
    """The filter that `text` names; raises `ValueError` with one sentence, with what may stand there besides."""
    if text.startswith("re:"):
        pattern = _pattern(text.removeprefix("re:"))
        return _Filter("re", text, lambda tag: pattern.fullmatch(tag) is not None, _literal_of_pattern(pattern.pattern))
    if text.startswith("semver:"):
        if len(text) > LONGEST:
            raise ValueError(f"`semver:` takes a range of at most {LONGEST} characters")
        versions = parse_range(text.removeprefix("semver:"))
        literal = None if versions.suffix is None else _literal_of_glob(versions.suffix)
        return _Filter("semver", f"semver:{versions.text}", versions.has, literal)
    if not _GLOB_TEXT.match(text):
        raise ValueError(f"takes {besides}`re:PATTERN`, `semver:RANGE` or a glob over tag names")
    glob = re.compile(translate(text))
    return _Filter("glob", text, lambda tag: glob.match(tag) is not None, _literal_of_glob(text))


def _pattern(text: str) -> re.Pattern[str]:
    if not text or len(text) > LONGEST or not text.isprintable():
        raise ValueError(f"`re:` takes a pattern of 1 to {LONGEST} printable characters")
    try:
        with warnings.catch_warnings():
            # What a later Python will read differently must not change its meaning in silence.
            warnings.simplefilter("error")
            return re.compile(text)
    except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"the pattern does not compile: {error}") from error


def _literal_of_glob(glob: str) -> str | None:
    return max(_GLOB_WILD.split(glob), key=len) or None


_PATTERN_TOKEN = re.compile(
    r"""(?P<literal>[A-Za-z0-9_-]|\\[.-])
    | (?P<group>\((?:\?:|(?!\?))) | (?P<end>\)) | (?P<either>\|)
    | (?P<repeat>[*+?]|\{[0-9,]*\})
    | (?P<other>[.^$]|\\[dDsSwWbB]|\[\^?\]?(?:[^]\\]|\\.)*\])
    """,
    re.VERBOSE,
)


def _literal_of_pattern(pattern: str) -> str | None:
    """The longest run of plain characters outside groups; null where the pattern has what is not understood here."""
    pieces, depth, place = [""], 0, 0
    while place < len(pattern):
        token = _PATTERN_TOKEN.match(pattern, place)
        if token is None or (token.lastgroup == "either" and not depth):
            return None
        place = token.end()
        match token.lastgroup:
            case "literal" if not depth:
                pieces[-1] += token[0][-1]
                continue
            case "group":
                depth += 1
            case "end":
                depth -= 1
            case "repeat":
                # It may say that the character before it is not there at all.
                pieces[-1] = pieces[-1][:-1]
        pieces.append("")
    return max(pieces, key=len) or None


def _shown(text: str) -> str:
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")
