"""The server: its journal, its connections, its ports, its command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.fakehub import FakeHub, Fault, World, faults
from tests.system.fakehub.asking import CHECKOUT, TAGS


def test_journal_keeps_headers_and_filters(hub: FakeHub, client: httpx.Client) -> None:
    client.get(hub.hub_url + TAGS + "?page=2", headers={"X-Own": "yes", "User-Agent": "test/1"})
    hub.fault(Fault(faults.server_error()))
    client.get(hub.hub_url + "/v2/namespaces/acme/repositories/web")
    client.get(hub.auth_url + "/token?service=registry.docker.io")
    first = hub.journal[0]
    assert (first.host, first.method, first.path, first.query, first.status) == ("hub", "GET", TAGS, "page=2", 200)
    assert (first.headers["x-own"], first.headers["user-agent"], first.signed_in) == ("yes", "test/1", False)
    assert [entry.is_fault for entry in hub.journal] == [False, True, False]
    assert [entry.path for entry in hub.requests(host="auth")] == ["/token"]
    assert len(hub.requests(path_contains="/tags")) == 1
    hub.journal.clear()
    assert len(hub.journal) == 0


def test_many_connections_at_once(hub: FakeHub) -> None:
    def ask(number: int) -> set[int]:
        with httpx.Client(verify=False, trust_env=False) as client:
            return {client.get(f"{hub.hub_url}{TAGS}?page={number % 12 + 1}").status_code for _ in range(10)}

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == [{200}] * 16
    assert len(hub.journal) == 160


def test_environment_and_restart_on_the_same_ports(client: httpx.Client) -> None:
    with FakeHub(World.small()) as hub:
        ports, environment = hub.ports, hub.environment()
        assert environment["HARVESTER_HUB_URL"] == hub.hub_url
        assert environment.keys() == {"HARVESTER_HUB_URL", "HARVESTER_AUTH_URL", "HARVESTER_REGISTRY_URL"}
        with pytest.raises(OSError, match="address already in use"):
            FakeHub(World.small(), ports=ports).start()
    with FakeHub(World.small(), ports=ports) as hub:
        assert hub.environment() == environment
        assert client.get(hub.hub_url + TAGS).status_code == 200


def fakehub(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.fakehub", *arguments]
    return subprocess.Popen(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_command_line_runs_a_command(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    script = (
        "import os, sys, urllib.request as u\n"
        "asked = u.Request(os.environ['HARVESTER_HUB_URL'] + '/v2/namespaces/acme/repositories/web')\n"
        "print(u.build_opener(u.ProxyHandler({})).open(asked).headers['x-ratelimit-limit'])\n"
        "sys.exit(7)\n"
    )
    options = ("--hub-limit", "5", "--window", "2", "--journal", str(journal))
    with fakehub(*options, "--", sys.executable, "-c", script) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (7, "5\n")
    assert len(err.splitlines()) == 1
    assert "fake Docker Hub on loopback" in err
    assert json.loads(journal.read_text())["path"] == "/v2/namespaces/acme/repositories/web"


def test_command_line_forwards_an_interrupt() -> None:
    script = "import sys, time\nprint('up', flush=True)\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(130)"
    with fakehub("--", sys.executable, "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_command_line_serves_until_a_signal(client: httpx.Client) -> None:
    with fakehub("--no-limits", "--user", "someone", "--secret", "dckr_pat_x") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(7)]
        url = lines[0].split()[1]
        assert f"export HARVESTER_HUB_URL={url}" in lines
        answer = client.post(url + "/v2/auth/token", json={"identifier": "someone", "secret": "dckr_pat_x"})
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data", "nowhere.json.gz"),
        ("--data", "tests/__init__.py"),
        ("--user", "someone"),
        ("--", "no-such-command-anywhere"),
    ],
)
def test_command_line_refuses_in_one_line(arguments: tuple[str, ...]) -> None:
    with fakehub(*arguments) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith("fakehub: ")
