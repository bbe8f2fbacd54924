"""Whether there is room to store what would be asked: the log's bound and the disk's reserve. Rank 4.

A closed gate stops nothing that is under way; it keeps new work from being claimed.
"""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.engine import URL

from harvester.clock import Clock
from harvester.errors import StoreError
from harvester.store.checkpoints import SHRINK_BYTES, Checkpoints, Wal

log = structlog.get_logger(__name__)

LOOK_S = 30.0
"""Seconds between two looks at the log."""

WARN_S = 60.0

MEGABYTE = 10**6

ABOVE = 1.05
"""The disk counts as having room again when so many times the reserve is free, so that it does not open and close every second."""


class Gate:
    """Open while what is asked can be stored."""

    def __init__(self, url: URL, clock: Clock, *, wal_mb: int, keep_free_mb: int) -> None:
        """Closed while the log is larger than `wal_mb` or fewer than `keep_free_mb` are free; 0: no such bound."""
        self._wal_bytes = wal_mb * MEGABYTE
        self._keep_free_bytes = keep_free_mb * MEGABYTE
        self._shrink_bytes = min(SHRINK_BYTES, self._wal_bytes // 2) if wal_mb else SHRINK_BYTES
        self.wal = Wal()
        """The log at the last look."""
        self._checkpoints = Checkpoints(url, clock, shrink_bytes=self._shrink_bytes)
        self._clock = clock
        self._is_full = False
        self._closed: str | None = None
        self._warned_at: float | None = None

    @property
    def is_closed(self) -> bool:
        """As it was when it was last asked about."""
        return self._closed is not None

    async def look(self) -> Wal:
        """Copy and cut the log, warn once a minute at most of who is in the way. Raises `StoreUnusable`."""
        self.wal = await asyncio.to_thread(self._checkpoints.look)
        now = self._clock.monotonic()
        is_news = self._warned_at is None or now - self._warned_at >= WARN_S
        if self.wal.pinned_s > 0 and self.wal.size_bytes > self._shrink_bytes and is_news:
            self._warned_at = now
            log.warning(
                "wal.pinned",
                size_mb=round(self.wal.size_bytes / MEGABYTE),
                bound_mb=self._wal_bytes // MEGABYTE or None,
                pinned_s=round(self.wal.pinned_s),
                readers=", ".join(map(str, self.wal.readers)) or "a reader that has just ended",
                next="the log beside the database grows until that reader ends its transaction: let it end, or end it",
            )
        self.closed_reason()
        return self.wal

    async def keep_looking(self) -> None:
        """Look every `LOOK_S`, for ever. What is wrong with the database is said once: who writes to it hears of it."""
        said = ""
        while True:
            try:
                await self.look()
                said = ""
            except StoreError as error:
                if error.message != said:
                    log.warning("wal.not_copied", reason=error.message)
                said = error.message
            await self._clock.sleep(LOOK_S)

    def closed_reason(self) -> str | None:
        """Why nothing may be claimed now; null when there is room. Costs two system calls; says so when it changes."""
        reason = self._reason()
        if reason is not None and self._closed is None:
            log.warning("storage.closed", reason=reason, next="nothing more is asked until there is room")
        elif reason is None and self._closed is not None:
            log.info("storage.open", after=self._closed)
        self._closed = reason
        return reason

    def free_bytes(self) -> int | None:
        """What is left of the disk; null where there is no telling."""
        return self._checkpoints.free_bytes()

    def _reason(self) -> str | None:
        size = self._checkpoints.size_bytes()
        if self._wal_bytes and size > self._wal_bytes:
            return (
                f"the log beside the database is {size // MEGABYTE} MB, more than storage.wal_mb"
                f" ({self._wal_bytes // MEGABYTE})"
            )
        free = self._checkpoints.free_bytes() if self._keep_free_bytes else None
        wanted = self._keep_free_bytes * (ABOVE if self._is_full else 1)
        self._is_full = free is not None and free < wanted
        if free is not None and self._is_full:
            return (
                f"the disk of the database has {free // MEGABYTE} MB left, less than storage.keep_free_mb"
                f" ({self._keep_free_bytes // MEGABYTE})"
            )
        return None
