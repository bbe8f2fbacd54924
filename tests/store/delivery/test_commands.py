"""Commands: the event on their standard input, failures, and the end of those that hang."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from harvester import receivers
from harvester.notify import Notify
from tests.store.clocks import LoneClock
from tests.store.database import Database
from tests.store.delivery.deliveries import KEY, Open
from tests.store.makers import NGINX
from tests.store.test_outbox import happen

pytestmark = pytest.mark.anyio


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


async def test_a_command_finds_the_event_on_its_standard_input(
    known: Database, deliver: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKERHUB_TOKEN", KEY)
    text = "import os, sys; open(sys.argv[1], 'a').write(sys.stdin.read() + str('DOCKERHUB_TOKEN' in os.environ))"
    command = (*program(text), str(tmp_path / "out $HOME; `id`"))
    async with deliver(Notify(name="journal", to="command", command=command)) as delivery:
        happen(known, NGINX, f"{NGINX}:1.27")
        [served] = await delivery.round()
        assert served.delivered == 2
        assert delivery.transport is None
    first, second, rest = (tmp_path / "out $HOME; `id`").read_text().split("\n")
    assert '"id": 1' in first
    assert second.startswith("False{")
    assert '"tag": "1.27"' in second
    assert rest == "False"
    assert known.value("SELECT count(*) FROM budgets") == 0


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (program("raise SystemExit(3)"), "the command ended with 3"),
        (program("import os; os.kill(os.getpid(), 15)"), "the command ended by signal 15"),
        (("/no/such/program",), "the command cannot be started: No such file or directory"),
    ],
)
async def test_a_command_that_fails_is_tried_again(
    known: Database, deliver: Open, clock: LoneClock, command: tuple[str, ...], says: str
) -> None:
    async with deliver(Notify(name="journal", to="command", command=command)) as delivery:
        happen(known, NGINX)
        [served] = await delivery.round()
        assert (served.failed, served.dead, served.last_error) == (1, 0, says)
        assert known.one("SELECT state, attempt, run_at FROM deliveries") == ("waiting", 1, known.in_s(30))


async def test_a_command_that_hangs_is_killed_with_all_it_began(
    known: Database, deliver: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "COMMAND_S", 3.0)
    held = tmp_path / "held"
    os.mkfifo(held)
    reading = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    text = f"""if True:
        import os, subprocess, sys
        writing = os.open({str(held)!r}, os.O_WRONLY)
        os.write(writing, b"both")
        subprocess.run([sys.executable, "-c", "import time; time.sleep(90)"], pass_fds=[writing])
    """
    async with deliver(Notify(name="journal", to="command", command=program(text))) as delivery:
        happen(known, NGINX)
        [served] = await delivery.round()
    assert served.last_error == "the command did not end within 3 s and was killed"
    with os.fdopen(reading, "rb") as file:
        async with asyncio.timeout(30):
            # The end of it comes when nobody holds the other end any more.
            assert await asyncio.to_thread(file.read) == b"both"
