"""What the daemon tells the service manager, over a socket of the test's own."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakehub import FakeHub
from tests.system.conftest import PATIENCE_S, Harvester
from tests.system.service import configure, served

WATCHED = '[[watch]]\ntarget = "nginx"\nevery = "10s"\n'


class Manager:
    """The other end of the socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE_S)
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"}
        self.heard: list[dict[str, str]] = []

    def until(self, name: str) -> dict[str, str]:
        """The next message with an assignment of that name."""
        while True:
            text = self._socket.recv(8192).decode()
            self.heard.append(dict(line.split("=", 1) for line in text.splitlines()))
            if name in self.heard[-1]:
                return self.heard[-1]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_ready_status_watchdog_reload_and_stop(harvester: Harvester, small: FakeHub, manager: Manager) -> None:
    file = configure(harvester.folder, WATCHED)
    with served(harvester, small, env=manager.environment) as service:
        ready = manager.until("READY")
        assert ready["STATUS"] == "1 targets watched"
        assert "RELOADING" not in ready
        manager.until("WATCHDOG")
        assert "jobs: " in manager.until("STATUS")["STATUS"]

        for text, refused in ((WATCHED.replace("nginx", "redis"), False), ("[[watch]]\ntarget = 1\n", True)):
            file.write_text(text, encoding="utf-8")
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            service.process.send_signal(signal.SIGHUP)
            reloading = manager.until("RELOADING")
            assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            again = manager.until("READY")
            assert ("refused" in again["STATUS"]) is refused

        service.process.send_signal(signal.SIGTERM)
        manager.until("STOPPING")
        assert service.ended() == 0
