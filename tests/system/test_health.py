"""The local port, on a real socket: its three answers, and callers that say nothing, too much, or come by the thousand."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
import structlog
from structlog.testing import capture_logs

from harvester import health
from harvester.health import LONGEST_S, MOST_CONNECTIONS, HealthServer
from tests.unit.clocks import ManualClock

METRICS = b"# TYPE harvester_ready gauge\nharvester_ready 1.0\n"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


class Subject:
    """What the server asks, and time for it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.alive: str | None = None
        self.ready: str | None = None
        self.text: Callable[[], bytes] = lambda: METRICS

    def metrics(self) -> bytes:
        return self.text()

    @contextmanager
    def served(self, listen: str = "127.0.0.1:0") -> Iterator[HealthServer]:
        server = HealthServer(
            listen, self.metrics, lambda: self.alive, lambda: self.ready, monotonic=self.clock.monotonic
        )
        assert server.start()
        try:
            yield server
        finally:
            server.close()


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Subject:
    monkeypatch.setattr(health, "LOOK_S", 0.01)
    return Subject()


def parts(server: HealthServer) -> tuple[str, int]:
    host, _, port = server.address.rpartition(":")
    return host.strip("[]"), int(port)


def connected(server: HealthServer) -> socket.socket:
    return socket.create_connection(parts(server), timeout=20)


def raw(server: HealthServer, request: bytes) -> bytes:
    """All that comes back."""
    with connected(server) as one:
        one.sendall(request)
        return read_all(one)


def read_all(one: socket.socket) -> bytes:
    found = b""
    try:
        while part := one.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection(*parts(server), timeout=20)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def wait_for(what: Callable[[], bool]) -> None:
    """Until it is so: the server's own threads make it so."""
    deadline = threading.Event()
    for _ in range(2000):
        if what():
            return
        deadline.wait(0.005)
    raise AssertionError("it never came about")


def test_the_metrics_are_what_the_caller_gives_as_text(subject: Subject) -> None:
    with subject.served() as server:
        status, headers, body = ask(server, "/metrics")
    assert (status, body) == (200, METRICS)
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["content-length"] == str(len(METRICS))


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_verdict_is_a_status_and_one_line(subject: Subject, path: str) -> None:
    with subject.served() as server:
        assert ask(server, path)[::2] == (200, b"ok\n")
        subject.alive = subject.ready = "the writer has not\ncommitted for 70 s"
        assert ask(server, path)[::2] == (503, b"the writer has not committed for 70 s\n")


def test_alive_and_ready_are_two_questions(subject: Subject) -> None:
    subject.ready = "the schema is being upgraded"
    with subject.served() as server:
        assert ask(server, "/healthz")[0] == 200
        assert ask(server, "/readyz")[0] == 503


def test_a_query_is_ignored(subject: Subject) -> None:
    with subject.served() as server:
        assert ask(server, "/healthz?verbose=1")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "/health", "/..%2f", "/metricsx"])
def test_whatever_else_is_asked_is_not_here(subject: Subject, path: str) -> None:
    with subject.served() as server:
        status, _, body = ask(server, path)
    assert status == 404
    assert body == b"not here; there are /metrics, /healthz, /readyz\n"


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/nothing"])
def test_a_head_has_the_same_head_and_no_body(subject: Subject, path: str) -> None:
    with subject.served() as server:
        status, headers, body = ask(server, path)
        of_head = ask(server, path, "HEAD")
    assert of_head[0] == status
    assert of_head[1]["content-length"] == headers["content-length"] == str(len(body))
    assert of_head[2] == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_done_but_reading(subject: Subject, method: str) -> None:
    with subject.served() as server:
        status, headers, body = ask(server, "/metrics", method)
    assert (status, body) == (405, b"Method Not Allowed\n")
    assert headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "request_line", [b"nonsense\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"GET /" + b"x" * 70_000 + b"\r\n\r\n"]
)
def test_what_cannot_be_read_is_refused_in_one_line(subject: Subject, request_line: bytes) -> None:
    with subject.served() as server:
        answer = raw(server, request_line)
        assert b"<html" not in answer.lower()
        assert METRICS not in answer
        assert ask(server, "/metrics")[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/nothing", "/healthz"])
def test_no_answer_tells_of_python(subject: Subject, path: str) -> None:
    with subject.served() as server:
        answers = [raw(server, f"{line}\r\nHost: x\r\n\r\n".encode()) for line in (f"GET {path} HTTP/1.1", "x")]
    assert answers[0].startswith(b"HTTP/1.0 ")
    assert b"Server: harvester\r\n" in answers[0]
    assert not any(b"python" in answer.lower() for answer in answers)


def test_a_question_that_fails_is_an_error_of_this_answer_only(subject: Subject) -> None:
    def broken() -> bytes:
        raise RuntimeError("broken")

    with subject.served() as server, capture_logs() as lines:
        subject.text = broken
        assert ask(server, "/metrics")[::2] == (500, b"failed; see the log\n")
        subject.text = lambda: METRICS
        assert ask(server, "/metrics")[0] == 200
    assert [(line["event"], line["path"]) for line in lines if line["log_level"] == "error"] == [
        ("metrics.failed", "/metrics")
    ]


def test_many_at_one_time_are_all_answered(subject: Subject) -> None:
    found: list[int] = []
    with subject.served() as server:
        threads = [threading.Thread(target=lambda: found.append(ask(server, "/metrics")[0])) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [200] * 12
        wait_for(lambda: server.connections == 0)


def test_who_says_nothing_is_cut_off_after_a_while(subject: Subject) -> None:
    with subject.served() as server, connected(server) as silent:
        wait_for(lambda: server.connections == 1)
        subject.clock.advance(LONGEST_S - 0.1)
        assert ask(server, "/healthz")[0] == 200
        wait_for(lambda: server.connections == 1)
        subject.clock.advance(0.2)
        assert silent.recv(1) == b""
        wait_for(lambda: server.connections == 0)


def test_who_says_a_byte_now_and_then_is_cut_off_as_well(subject: Subject) -> None:
    with subject.served() as server, connected(server) as slow:
        slow.sendall(b"G")
        wait_for(lambda: server.connections == 1)
        for byte in b"ET":
            subject.clock.advance(LONGEST_S * 0.45)
            slow.sendall(bytes([byte]))
        subject.clock.advance(LONGEST_S * 0.2)
        assert read_all(slow) == b""
        wait_for(lambda: server.connections == 0)


def test_who_does_not_read_the_answer_is_cut_off_as_well(subject: Subject) -> None:
    subject.text = lambda: b"x" * 50_000_000
    with subject.served() as server, connected(server) as deaf:
        deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_for(lambda: server.connections == 1)
        subject.clock.advance(LONGEST_S + 1)
        wait_for(lambda: server.connections == 0)
        assert len(read_all(deaf)) < 50_000_000


def test_a_thousand_that_say_nothing_keep_nobody_out_and_leave_nothing_behind(subject: Subject) -> None:
    threads = threading.active_count()
    with subject.served() as server, ExitStack() as held:
        for number in range(1000):
            try:
                held.enter_context(connected(server))
            except OSError:
                break
            if number % 250 == 249:
                assert ask(server, "/healthz")[0] == 200
                assert server.connections <= MOST_CONNECTIONS
        wait_for(lambda: threading.active_count() <= threads + 1 + MOST_CONNECTIONS)
        subject.clock.advance(LONGEST_S + 1)
        wait_for(lambda: server.connections == 0)
        wait_for(lambda: threading.active_count() == threads + 1)
        assert ask(server, "/metrics")[0] == 200
    assert threading.active_count() == threads


def test_closing_does_not_wait_for_who_says_nothing(subject: Subject) -> None:
    with ExitStack() as held:
        with subject.served() as server:
            silent = held.enter_context(connected(server))
            wait_for(lambda: server.connections == 1)
            address = parts(server)
        assert silent.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
        assert (server.address, server.connections) == ("", 0)


def test_closing_twice_or_before_the_start_is_nothing(subject: Subject) -> None:
    server = HealthServer("127.0.0.1:0", lambda: METRICS, lambda: None, lambda: None)
    server.close()
    assert server.start()
    server.close()
    server.close()


@pytest.mark.parametrize("listen", ["127.0.0.1:{port}", "localhost:{port}"])
def test_a_busy_port_is_a_line_in_the_log_and_no_error(subject: Subject, listen: str) -> None:
    with subject.served() as first, capture_logs() as lines:
        second = HealthServer(listen.format(port=parts(first)[1]), lambda: b"", lambda: None, lambda: None)
        assert second.start() is False
        assert ask(first, "/healthz")[0] == 200
        second.close()
    [line] = [line for line in lines if line["log_level"] == "warning"]
    assert (line["event"], line["reason"]) == ("metrics.not_served", "Address already in use")


@pytest.mark.parametrize("listen", ["203.0.113.9:9464", "[2001:db8::9]:9464", "[bad:1"])
def test_an_address_that_is_not_ours_is_a_line_in_the_log_too(listen: str) -> None:
    with capture_logs() as lines:
        assert HealthServer(listen, lambda: b"", lambda: None, lambda: None).start() is False
    assert [line["event"] for line in lines] == ["metrics.not_served"]
    assert lines[0]["listen"] == listen


def test_off_is_off() -> None:
    with capture_logs() as lines:
        server = HealthServer("off", lambda: b"", lambda: None, lambda: None)
        assert server.start() is False
        assert server.address == ""
    assert [(line["event"], line["log_level"]) for line in lines] == [("metrics.off", "info")]


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 on loopback")
def test_ipv6(subject: Subject) -> None:
    with subject.served("[::1]:0") as server:
        assert server.address.startswith("[::1]:")
        assert ask(server, "/readyz")[0] == 200


def test_nothing_is_written_for_a_scrape(subject: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    with capture_logs() as lines, subject.served() as server:
        ask(server, "/metrics")
        raw(server, b"nonsense\r\n\r\n")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert [line["event"] for line in lines] == ["metrics.served"]
    assert logging.getLogger("harvester").handlers == []
