"""Which tags are wanted, and whose layers. Rank 1, pure.

Both policies are kept as the text the operator wrote (`newest:50`, `*-alpine`): that text travels in job arguments and keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harvester.errors import ConfigError

_GLOB_TEXT = re.compile(r"[A-Za-z0-9._*?\[\]!^-]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class TagPolicy:
    """`all`, `newest:N` or a glob over tag names."""

    text: str = "all"

    @classmethod
    def parse(cls, text: str) -> TagPolicy:
        """The policy that `text` names; raises `ConfigError`."""
        if text.startswith("newest:"):
            number = text.removeprefix("newest:")
            if not number.isdecimal() or not 1 <= int(number) <= 1_000_000:
                raise ConfigError(f"--tags {text}: `newest:` takes a whole number from 1 to 1000000")
            return cls(f"newest:{int(number)}")
        if text != "all":
            _check_glob("--tags", text, "`all`, `newest:N` or a glob")
        return cls(text)

    @property
    def newest(self) -> int | None:
        """How many of the newest tags are wanted; null: no such bound."""
        return int(self.text.removeprefix("newest:")) if self.text.startswith("newest:") else None

    @property
    def glob(self) -> str | None:
        """The glob over tag names; null when there is none."""
        return None if self.text == "all" or self.text.startswith("newest:") else self.text

    def wants(self, tag: str) -> bool:
        """Whether the name alone lets this tag in."""
        return self.glob is None or fnmatchcase(tag, self.glob)

    @property
    def name_filter(self) -> str | None:
        """The longest literal piece of the glob, for the far end's substring filter (wire reference, 3.4)."""
        if self.glob is None:
            return None
        pieces = re.split(r"[*?]|\[[^]]*\]?", self.glob)
        longest = max(pieces, key=len)
        return longest or None


@dataclass(frozen=True, slots=True)
class LayerPolicy:
    """`none`, `latest` (the tag of that name and nothing else), `all`, or a glob over tag names."""

    text: str = "latest"

    @classmethod
    def parse(cls, text: str) -> LayerPolicy:
        """The policy that `text` names; raises `ConfigError`."""
        if text not in ("none", "latest", "all"):
            _check_glob("--layers", text, "`none`, `latest`, `all` or a glob")
        return cls(text)

    def wants(self, tag: str) -> bool:
        """Whether the layers of this tag are wanted."""
        if self.text in ("none", "all"):
            return self.text == "all"
        return fnmatchcase(tag, self.text)


def _check_glob(option: str, text: str, choices: str) -> None:
    if not _GLOB_TEXT.match(text):
        raise ConfigError(f"{option} {text!r}: takes {choices} over tag names")
