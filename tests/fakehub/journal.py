"""The record of every request that reached the fake Hub."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO, overload

from tests.fakehub.messages import Budget, Host


@dataclass(frozen=True, slots=True)
class Entry:
    """One request and what became of it."""

    at: float
    host: Host
    method: str
    path: str
    query: str
    status: int
    signed_in: bool
    headers: dict[str, str]
    budget: Budget
    address: str = "127.0.0.1"
    is_fault: bool = False
    """True when a scripted fault answered."""

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class Journal(Sequence[Entry]):
    """A list of entries that is safe to read while the server appends; iteration walks a snapshot."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._file: TextIO | None = path.open("a", encoding="utf-8", buffering=1) if path else None

    def append(self, entry: Entry) -> None:
        with self._lock:
            self._entries.append(entry)
            if self._file is not None:
                self._file.write(_line(entry))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        """Finish the journal file; the entries stay readable."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        with self._lock:
            return self._entries[index]

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(list(self._entries))


def _line(entry: Entry) -> str:
    """One JSON line, with the credential left out: journal files get shown around."""
    document = asdict(entry)
    headers = dict(entry.headers)
    if "authorization" in headers:
        headers["authorization"] = headers["authorization"].partition(" ")[0] + " ***"
    document["headers"] = headers
    return json.dumps(document) + "\n"
