"""Where in a TOML text its keys, tables and elements of lists stand. Rank 0, pure.

For text that `tomllib` takes. Where the text cannot be followed, what stands beyond that has no line: never a wrong one.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect
from contextlib import suppress
from typing import TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value, and the numbers of elements, from 0: `("watch", 2, "layers")`."""

_TEXT = r'"""(?:\\.|(?!""")[^\\])*"{3,5}|' + r"'''(?:(?!''').)*'{3,5}|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'"
_STRING = re.compile(_TEXT, re.DOTALL)
_KEY = re.compile(_TEXT + r"|[^\s.=\[\]{},\"'#]+", re.DOTALL)
_BARE = re.compile(r"[^,\[\]{}#\n]+")
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")


def lines_of(text: str) -> dict[Place, int]:
    """The line, from 1, in which each key of the text and each element of a list begins; of a table, its head's."""
    scan = _Scan(text)
    with suppress(_Lost, RecursionError, tomllib.TOMLDecodeError):
        scan.document()
    return scan.found


def line_of(lines: dict[Place, int], place: Place) -> int | None:
    """The line of that place or of the innermost one around it that is known; null where none is."""
    return next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)


class _Lost(Exception):
    """The text goes on in a way that is not known."""


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._lists: dict[Place, int] = {}
        """How many tables each list of tables has so far."""
        self.found: dict[Place, int] = {}

    def document(self) -> None:
        table: Place = ()
        while self._skip(_BLANK) < len(self._text):
            line = self._line()
            if self._takes("[["):
                table = self._inside(*self._keys())
                self._note(table[:-1], line)
                self._lists[table] = number = self._lists.get(table, -1) + 1
                self.found.setdefault(table, line)
                table = (*table, number)
                self.found[table] = line
                self._expect("]]")
            elif self._takes("["):
                table = self._inside(*self._keys())
                self._note(table, line)
                # It may have been named before, as the parent of another one: here is its own head.
                self.found[table] = line
                self._expect("]")
            else:
                self._statement(table)

    def _statement(self, table: Place) -> None:
        line = self._line()
        place = (*table, *self._keys())
        self._note(place, line, len(table))
        self._expect("=")
        self._value(place)

    def _value(self, place: Place) -> None:
        self._skip(_SPACE)
        if self._takes("["):
            number = 0
            while not self._closes("]"):
                self.found[*place, number] = self._line()
                self._value((*place, number))
                self._separate("]")
                number += 1
        elif self._takes("{"):
            while not self._closes("}"):
                self._statement(place)
                self._separate("}")
        elif not (self._matches(_STRING) or self._matches(_BARE)):
            raise _Lost

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            part = self._matches(_KEY)
            if not part:
                raise _Lost
            keys.append(str(tomllib.loads(f"key = {part}")["key"]) if part[0] in "\"'" else part)
            self._skip(_SPACE)
            if not self._takes("."):
                return keys

    def _inside(self, *keys: str) -> Place:
        """The place that a head names: of a list of tables on the way, the last table is meant."""
        place: Place = ()
        for number, key in enumerate(keys):
            place = (*place, key)
            if number < len(keys) - 1 and place in self._lists:
                place = (*place, self._lists[place])
        return place

    def _note(self, place: Place, line: int, known: int = 0) -> None:
        for end in range(known + 1, len(place) + 1):
            self.found.setdefault(place[:end], line)

    def _line(self) -> int:
        return bisect(self._ends, self._at - 1) + 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        self._matches(pattern)
        return self._at

    def _matches(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _takes(self, sign: str) -> bool:
        is_there = self._text.startswith(sign, self._at)
        self._at += len(sign) * is_there
        return is_there

    def _closes(self, sign: str) -> bool:
        self._skip(_BLANK)
        return self._takes(sign)

    def _separate(self, end: str) -> None:
        self._skip(_BLANK)
        if not self._takes(",") and not self._text.startswith(end, self._at):
            raise _Lost

    def _expect(self, sign: str) -> None:
        self._skip(_SPACE)
        if not self._takes(sign):
            raise _Lost
