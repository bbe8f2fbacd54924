"""What the service manager is told: read from a real datagram socket, by path and in the abstract namespace."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harvester import systemd
from harvester.systemd import Notifier, is_under_systemd

OURS = str(os.getpid())
ANOTHER = str(os.getppid())


class ServiceManager:
    """The other end: a socket, and the variables that name it."""

    def __init__(self, address: str) -> None:
        self.environment = {"NOTIFY_SOCKET": address}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.settimeout(5)

    def told(self) -> list[str]:
        """The assignments of the next message."""
        return self.socket.recv(4096).decode().split("\n")

    def is_told_nothing(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        return False


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceManager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@harvester-test-{os.getpid()}"
    found = ServiceManager(address)
    yield found
    found.socket.close()


def test_each_message_says_what_it_is_for(manager: ServiceManager) -> None:
    notifier = Notifier.from_environment(manager.environment)
    notifier.ready("3 repositories watched")
    assert manager.told() == ["READY=1", "STATUS=3 repositories watched"]
    notifier.status("2 jobs running")
    assert manager.told() == ["STATUS=2 jobs running"]
    notifier.watchdog()
    assert manager.told() == ["WATCHDOG=1"]
    notifier.stopping("draining 2 jobs")
    assert manager.told() == ["STOPPING=1", "STATUS=draining 2 jobs"]
    notifier.extend_timeout(1.5)
    assert manager.told() == ["EXTEND_TIMEOUT_USEC=1500000"]


def test_a_reload_says_when_it_began_by_the_clock_of_the_service_manager(manager: ServiceManager) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier.from_environment(manager.environment).reloading()
    first, second = manager.told()
    assert first == "RELOADING=1"
    name, _, usec = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(usec) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_is_one_line_whatever_is_in_it(manager: ServiceManager) -> None:
    Notifier.from_environment(manager.environment).status("tags of naïve/app:\nMAINPID=1\r\n\n ")
    assert manager.told() == ["STATUS=tags of naïve/app: MAINPID=1"]
    Notifier.from_environment(manager.environment).ready("half a character: \udc80")
    assert manager.told() == ["READY=1", "STATUS=half a character: ?"]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_a_socket_there_is_silence(
    environment: Mapping[str, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a socket was opened"))
    notifier = Notifier.from_environment(environment)
    notifier.ready("ready")
    notifier.stopping("stopping")
    assert caplog.records == []


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody-listens-here", "vsock:2:1", f"/{'x' * 200}", "/a\0b"])
def test_an_error_is_logged_once_and_never_raised(address: str, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.ready("ready")
    notifier.watchdog()
    notifier.stopping("stopping")
    [line] = caplog.records
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith(f"systemd.unreachable: {address}: ")


def test_what_is_said_after_an_error_arrives(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.status("lost")
    manager = ServiceManager(address)
    notifier.status("heard")
    assert manager.told() == ["STATUS=heard"]
    manager.socket.close()


def test_a_service_manager_that_does_not_read_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "_LONGEST_S", 0.01)
    manager = ServiceManager(str(tmp_path / "notify"))
    manager.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    notifier = Notifier.from_environment(manager.environment)
    for _ in range(2000):
        notifier.status("x" * 500)
        if caplog.records:
            break
    assert ["timed out" in line.getMessage() for line in caplog.records] == [True]
    manager.socket.close()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "180000000"}, 180.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": OURS}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": ANOTHER}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_the_watchdog_is_ours_when_it_waits_for_this_process(
    environment: Mapping[str, str], watchdog_s: float | None
) -> None:
    assert Notifier.from_environment(environment).watchdog_s == watchdog_s


def test_the_journal_is_known_by_the_stream_that_standard_error_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stderr").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        found = os.fstat(file.fileno())
        assert is_under_systemd({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not is_under_systemd({"JOURNAL_STREAM": "1:2", "INVOCATION_ID": "5f3c"})
        assert is_under_systemd({"INVOCATION_ID": "5f3c"})
        assert not is_under_systemd({})


def test_a_terminal_inside_a_unit_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, terminal = os.openpty()
    with os.fdopen(leader), os.fdopen(terminal, "w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        assert not is_under_systemd({"INVOCATION_ID": "5f3c"})


def test_no_standard_error_at_all_is_no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert not is_under_systemd({"INVOCATION_ID": "5f3c", "JOURNAL_STREAM": "1:2"})
