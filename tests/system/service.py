"""`harvester run` as a real process: its configuration, its log lines as they come, its signals."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakehub import FakeHub
from tests.system.conftest import PATIENCE_S, Harvester

Line = dict[str, Any]


@dataclass
class Service:
    """One running daemon."""

    process: subprocess.Popen[str]
    lines: list[Line] = field(default_factory=list)
    _written: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        # Read as it is written, whatever a test waits for: a daemon whose pipe is full stands still.
        threading.Thread(target=self._listen, name="listener", daemon=True).start()

    def until(self, event: str, **values: Any) -> Line:
        """The next log line of this event, and with these values; the process must not end before."""
        for line in self._read():
            if line.get("event") == event and all(line.get(key) == value for key, value in values.items()):
                return line
        raise AssertionError(f"ended with {self.process.wait()} before {event} {values}: {self.lines[-10:]}")

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Return when something is so; the process must not end before."""
        while not is_so():
            try:
                ended = self.process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            self.ended()
            raise AssertionError(f"ended with {ended}: {self.lines[-10:]}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Its exit code, when it ends."""
        for _ in self._read():
            continue
        return self.process.wait(timeout=PATIENCE_S)

    def said(self, event: str) -> list[Line]:
        """The lines of that event so far."""
        return [line for line in self.lines if line.get("event") == event]

    def _read(self) -> Iterator[Line]:
        for text in iter(self._written.get, None):
            assert not text.startswith("Traceback"), text + "".join(iter(self._written.get, None))
            line = json.loads(text) if text.startswith("{") else {"event": text.strip()}
            self.lines.append(line)
            yield line
        self._written.put(None)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as written:
            for text in written:
                self._written.put(text)
        self._written.put(None)


def configure(folder: Path, text: str) -> Path:
    """The configuration of a daemon in this folder."""
    file = folder / "harvester.toml"
    file.write_text(text, encoding="utf-8")
    return file


@contextmanager
def served(
    harvester: Harvester, hub: FakeHub | None, *options: str, env: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """A daemon on the test's database, killed at the end if it still runs, and after a while if a test hangs."""
    process = subprocess.Popen(
        harvester.command("run", "--log-format", "json", *options),
        env={**harvester.environment(hub, {"HARVESTER_METRICS": "off"}), **(env or {})},
        cwd=harvester.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    patience = threading.Timer(PATIENCE_S, process.kill)
    patience.start()
    try:
        yield Service(process)
    finally:
        patience.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
