"""The log beside the database (`-wal`): copied into the file, shrunk, and who keeps it from starting over. Rank 3.

A reader keeps what was committed since it began from being copied, so the log grows with every write until it ends. Whoever looks
here never waits for it: a look takes a connection of its own, and no writer waits for a look longer than `PATIENCE_S`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from harvester.clock import Clock
from harvester.errors import StoreUnusable
from harvester.store.engine import FileIdentity, identity_of, lost_file

SHRINK_BYTES = 64 * 2**20
"""A log larger than this is cut to nothing as soon as all of it is copied."""

PATIENCE_S = 0.25
"""How long a cut waits for readers that are about to end; writers wait for it meanwhile."""

LOCKS = Path("/proc/locks")

_READ_MARKS = range(123, 128)
"""Bytes of the index (`-shm`) that readers lock while they read."""

_GENERATION = slice(12, 24)
"""Of the log's head: the number of times that it has started over, and its salts."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A process that reads, as far as it can be told."""

    pid: int | None
    """Null where Linux does not tell."""
    command: str | None
    age_s: float
    """Since when it has been seen reading at every look: it may have begun before."""

    def __str__(self) -> str:
        age = f"for {self.age_s:.0f} s or longer"
        if self.pid is None:
            return f"a reader {age}"
        name = "this very process" if self.pid == os.getpid() else f"process {self.pid}"
        return f"{name} ({self.command}) {age}" if self.command else f"{name} {age}"


@dataclass(frozen=True, slots=True)
class Wal:
    """The log as a look found and left it."""

    size_bytes: int = 0
    pinned_s: float = 0.0
    """Since when it could not start over because somebody reads; 0 where nobody is in its way."""
    readers: tuple[Reader, ...] = ()
    """Who reads while it is pinned, the longest first."""


class Checkpoints:
    """Looks at the log of one database; one instance looks at a time."""

    def __init__(self, url: URL, clock: Clock, *, shrink_bytes: int = SHRINK_BYTES) -> None:
        """Of the database as it is now: another file in its place is none of ours. No look does anything for other databases."""
        self.path = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
        self._clock = clock
        self._shrink_bytes = shrink_bytes
        self._identity: FileIdentity | None = None if self.path is None else identity_of(self.path)
        self._generation = b""
        self._frames = 0
        self._pinned_since: float | None = None
        self._seen: dict[int | None, float] = {}

    def size_bytes(self) -> int:
        """The log's size now; 0 without one."""
        return 0 if self.path is None else _size(self._log)

    def free_bytes(self) -> int | None:
        """What is left to us on the disk that the database is on; null where there is no telling."""
        if self.path is None:
            return None
        try:
            disk = os.statvfs(self.path.parent)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize

    def look(self) -> Wal:
        """Copy what can be copied, cut the log where it is large and all copied, and say who is in the way. Blocks: use a thread.

        Raises `StoreUnusable` when the database is not there any more, or cannot be written.
        """
        if self.path is None:
            return Wal()
        if identity_of(self.path) != self._identity:
            raise lost_file(self.path)
        try:
            is_pinned = self._checkpoint(self.path)
        except sqlite3.Error as error:
            raise StoreUnusable(f"the log of {self.path} cannot be copied into it: {error}") from error
        now = self._clock.monotonic()
        if not is_pinned:
            self._pinned_since = None
            self._seen.clear()
            return Wal(self.size_bytes())
        if self._pinned_since is None:
            self._pinned_since = now
        return Wal(self.size_bytes(), now - self._pinned_since, self._readers(now))

    @property
    def _log(self) -> Path:
        return Path(f"{self.path}-wal")

    def _checkpoint(self, path: Path) -> bool:
        """Whether somebody keeps the log from starting over; since when is forgotten where it is somebody else than before."""
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=PATIENCE_S)
        ) as connection:
            is_busy, frames, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if is_busy:
                # Another connection copies at this moment: what was known before stands.
                return self._pinned_since is not None
            generation = _head(self._log)[_GENERATION]
            # Who has read since the last look has begun before the frames that were there then.
            if generation != self._generation or copied > self._frames:
                self._pinned_since = None
            self._generation, self._frames = generation, frames
            if copied < frames:
                return True
            if _size(self._log) <= self._shrink_bytes:
                return False
            [is_busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return bool(is_busy)

    def _readers(self, now: float) -> tuple[Reader, ...]:
        holders = self._holders()
        self._seen = {pid: self._seen.get(pid, now) for pid in holders}
        found = [Reader(pid, _command(pid), now - since) for pid, since in self._seen.items()]
        # Our own reads take moments; what is seen of them once is no news.
        return tuple(
            sorted(
                (one for one in found if one.pid != os.getpid() or one.age_s > 0),
                key=lambda one: one.age_s,
                reverse=True,
            )
        )

    def _holders(self) -> set[int | None]:
        """Processes that hold a read mark; a null where Linux does not say which."""
        try:
            index = Path(f"{self.path}-shm").stat()
            lines = LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return {None}
        device = f"{os.major(index.st_dev):02x}:{os.minor(index.st_dev):02x}:{index.st_ino}"
        holders: set[int | None] = set()
        for line in lines:
            # 3: POSIX  ADVISORY  READ 8757 fe:00:2508233 123 123
            words = line.split()
            if len(words) == 8 and words[1] == "POSIX" and words[5] == device and words[6] != "EOF":
                first, last = int(words[6]), int(words[7]) if words[7] != "EOF" else _READ_MARKS[-1]
                if first <= _READ_MARKS[-1] and last >= _READ_MARKS[0]:
                    pid = int(words[4])
                    holders.add(pid if pid > 0 else None)
        return holders


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _head(log: Path) -> bytes:
    """The log's head. SQLite holds no locks on this file, which closing it here could drop."""
    try:
        with log.open("rb") as file:
            return file.read(_GENERATION.stop)
    except OSError:
        return b""


def _command(pid: int | None) -> str | None:
    if pid is None:
        return None
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() or None
    return None
