"""What the service manager is told, over the socket that it names (sd_notify(3)). Rank 2.

Without a socket nothing is said, and nothing that goes wrong in saying it is ever raised: a daemon that nobody watches works on.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Mapping

_LONGEST_S = 1.0
"""How long one message may wait for the service manager to read earlier ones."""

_log = logging.getLogger(__name__)


class Notifier:
    """One daemon's words to its service manager."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._watchdog_s = watchdog_s
        self._has_failed = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Notifier:
        """The notifier that the service manager's variables describe; a silent one where there are none."""
        usec = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_s = int(usec) / 1e6 if usec.isdecimal() and int(usec) > 0 and is_ours else None
        return cls(environ.get("NOTIFY_SOCKET") or None, watchdog_s)

    @property
    def watchdog_s(self) -> float | None:
        """Seconds within which `watchdog` has to be called again; null when nobody waits for this process."""
        return self._watchdog_s

    def ready(self, status: str) -> None:
        """Say that the start, or the reload, is over."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` has to follow, whatever came of it."""
        # Another clock than CLOCK_MONOTONIC would be a reload of some other time to the service manager.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """Say that everything that has to move does move."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str) -> None:
        """Say that the drain has begun."""
        self._send("STOPPING=1", _status(status))

    def extend_timeout(self, seconds: float) -> None:
        """Ask for that many seconds from now on for the start, reload or stop that is under way."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def _send(self, *assignments: str) -> None:
        if self._address is None:
            return
        # A leading `@` stands for the NUL byte of an abstract socket.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_LONGEST_S)
                sender.sendto("\n".join(assignments).encode(errors="replace"), address)
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                _log.warning("systemd.unreachable: %s: %s", self._address, error)


def is_under_systemd(environ: Mapping[str, str]) -> bool:
    """Whether what goes to standard error ends in the journal, or in whatever else a unit has put there."""
    try:
        stderr = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    # Shells in a desktop inherit both variables from the unit they run under, but their standard error is another.
    if journal := environ.get("JOURNAL_STREAM"):
        return journal == f"{stderr.st_dev}:{stderr.st_ino}"
    return bool(environ.get("INVOCATION_ID")) and not os.isatty(sys.stderr.fileno())


def _status(text: str) -> str:
    # A line break would begin another assignment.
    return f"STATUS={' '.join(text.split())}"
