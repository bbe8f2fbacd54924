"""Where misfortunes are tried: a far end whose tags move all the time, a real daemon, and what is stored against what there was."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from tests.fakehub import FakeHub, Limits, World

LIMITS = Limits(hub_per_minute=6000, pulls=100_000)
REPOSITORIES = 8
TAGS = ("latest", "1.0.0", "1.1.0", "edge")
MOVE_S = 0.7
"""A tag moves so often, any of all."""

EVERY_S = 5
LOST_S = 4.0
"""What the far end answered so long before a kill need not be stored: it was on its way, or in a batch."""

SETTLE_S = 75.0
"""After the trouble: twice a lease, and a pass."""


CONFIG = f"""
[metrics]
listen = "off"
[storage]
keep_free_mb = {{keep_free_mb}}
[[watch]]
target = "acme/"
every = "{EVERY_S}s"
"""


def tell(text: str) -> None:
    """A line at once: whoever waits for minutes wants to see where it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(slots=True)
class Stretch:
    """A true interval of one tag."""

    digest: str
    since: float
    until: float | None = None


class Moving:
    """A far end whose tags move at random moments, and the truth about it."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311
        self.world = World()
        self.truth: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._move, daemon=True)
        for number in range(REPOSITORIES):
            self.world.add_repository(f"acme/service-{number}")
            for tag in TAGS:
                self._push(f"acme/service-{number}", tag)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _move(self) -> None:
        while not self._stop.wait(self._chance.expovariate(1 / MOVE_S)):
            self._push(f"acme/service-{self._chance.randrange(REPOSITORIES)}", self._chance.choice(TAGS))

    def _push(self, full_name: str, tag: str) -> None:
        with self.world.lock:
            now = time.time()
            pushed = self.world.push_tag(full_name, tag, pushed_at=datetime.fromtimestamp(now, UTC))
            assert pushed.digest is not None
            stretches = self.truth[full_name, tag]
            if stretches:
                stretches[-1].until = time.time()
            stretches.append(Stretch(pushed.digest, now))


@dataclass
class Daemon:
    """`harvester run`, its log lines with the second at which they came, and when it was killed."""

    folder: Path
    environment: dict[str, str]
    lines: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    process: subprocess.Popen[str] = field(init=False)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-m",
                "harvester",
                "run",
                "--config",
                "harvester.toml",
                "--log-format",
                "json",
            ],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True).start()

    def kill(self) -> None:
        self.kills.append(time.time())
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)

    def until(self, is_so: Callable[[], bool], seconds: float) -> float | None:
        """How long it took until something was so; null where it was not so in time."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if is_so():
                return time.monotonic() - began
            time.sleep(0.2)
        return None

    def said(self, event: str) -> int:
        return sum(line.get("event") == event for _, line in list(self.lines))

    def _listen(self, written: TextIO) -> None:
        with written:
            for text in written:
                line = json.loads(text) if text.startswith("{") else {"event": text.rstrip(), "level": "TEXT"}
                self.lines.append((time.monotonic() - self.began, line))


@dataclass
class Stage:
    """One trial: a folder, a far end, a daemon."""

    name: str
    folder: Path
    moving: Moving
    hub: FakeHub
    daemon: Daemon
    faults: list[str] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.folder / "harvester.db"

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    def current(self) -> bool:
        """Whether every tag is stored as the far end has it now."""
        stored = {
            (full_name, tag): digest
            for full_name, tag, digest in self.rows(
                "SELECT r.full_name, t.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id"
            )
        }
        return stored == {key: stretches[-1].digest for key, stretches in self.moving.truth.items()}

    def note(self, text: str) -> None:
        tell(f"  [{time.monotonic() - self.daemon.began:6.1f} s] {text}")

    def expect(self, is_so: bool, fault: str) -> None:
        if not is_so:
            self.faults.append(fault)


@contextmanager
def stage(
    name: str, seed: int, folder: Path, *, keep_free_mb: int = 0, env: dict[str, str] | None = None
) -> Iterator[Stage]:
    """The far end moving, the daemon not yet started; at the end the daemon is killed if it still runs."""
    tell(f"\n{name}")
    (folder / "harvester.toml").write_text(CONFIG.format(keep_free_mb=keep_free_mb), encoding="utf-8")
    moving = Moving(seed)
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if key in os.environ}
    with FakeHub(moving.world, limits=LIMITS) as hub:
        daemon = Daemon(folder, {**kept, **hub.environment(), **(env or {})})
        one = Stage(name, folder, moving, hub, daemon)
        moving.start()
        try:
            yield one
        finally:
            if daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()
            if one.hub is not hub:
                one.hub.stop()


def settle(one: Stage, *, is_same: bool = True) -> None:
    """Nothing moves any more: the daemon has to know all of it, end when it is told to, and leave a sound file."""
    pid = one.daemon.process.pid
    one.moving.stop()
    took = one.daemon.until(one.current, SETTLE_S)
    one.expect(took is not None, f"after {SETTLE_S:.0f} s not everything is known as it is")
    one.note(
        f"all {len(one.moving.truth)} tags are known as they are: {'no' if took is None else f'after {took:.1f} s'}"
    )
    if is_same:
        one.expect(one.daemon.process.poll() is None, "the daemon has ended")
        one.note(f"the same process goes on: {one.daemon.process.poll() is None} (pid {pid})")
    one.expect((code := one.daemon.end()) == 0, f"exit code {code}")
    verdict = one.rows("PRAGMA integrity_check")
    one.expect(verdict == [("ok",)], f"integrity_check: {verdict}")
    dead = one.rows("SELECT kind, key, last_error FROM jobs WHERE state = 'dead'")
    one.expect(not dead, f"dead jobs: {dead[:3]}")
    running = one.rows("SELECT count(*) FROM jobs WHERE state = 'running'")
    one.expect(running == [(0,)], f"jobs still held: {running}")
    twice = one.rows(
        "SELECT kind, tag_id, detail, count(*) FROM events GROUP BY kind, repository_id, tag_id, detail HAVING count(*) > 1"
    )
    one.expect(not twice, f"events told twice: {twice[:3]}")
    one.expect(not [e for e in one.hub.journal if e.status == 429], "the far end's limit was passed")


def judge(one: Stage) -> None:
    """Every interval that an undisturbed answer showed is stored once, and nothing that never was."""
    stored: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for full_name, tag, digest, seen_from in one.rows(
        "SELECT r.full_name, t.name, h.digest, h.seen_from FROM tag_history h JOIN tags t ON t.id = h.tag_id"
        " JOIN repositories r ON r.id = t.repository_id ORDER BY h.seen_from"
    ):
        stored[full_name, tag].append((digest, seen_from))
    asked: dict[str, list[float]] = defaultdict(list)
    for entry in one.hub.journal:
        parts = entry.path.rstrip("/").split("/")
        if entry.status == 200 and parts[-1] == "tags" and "repositories" in parts:
            asked["acme/" + parts[-2]].append(entry.at)
    must = shown = 0
    for key, stretches in one.moving.truth.items():
        rows = stored[key]
        digests = [digest for digest, _ in rows]
        one.expect(len(digests) == len(set(digests)), f"{key}: an interval is stored twice")
        for stretch in stretches:
            until = stretch.until if stretch.until is not None else time.time() + 1
            answers = [at for at in asked[key[0]] if stretch.since + 0.05 < at < until - 0.05]
            sure = [at for at in answers if not any(at <= kill < at + LOST_S for kill in one.daemon.kills)]
            shown += bool(answers)
            must += bool(sure)
            if sure and stretch.digest not in digests:
                one.faults.append(f"{key}: {stretch.digest[:19]} was shown at {sure[:3]} and is not stored")
        true = {stretch.digest: stretch for stretch in stretches}
        for digest, seen_from in rows:
            found = true.get(digest)
            if found is None or not (int(found.since) <= seen_from <= (found.until or time.time()) + 1):
                one.faults.append(f"{key}: {digest} from {seen_from} on never was so")
    intervals = sum(len(rows) for rows in stored.values())
    moves = one.rows("SELECT count(*) FROM events WHERE kind = 'tag.moved'")[0][0]
    one.expect(
        moves == intervals - len(stored),
        f"{moves} events tag.moved for {intervals - len(stored)} moves that are stored",
    )
    layers = sum(e.status == 200 and e.path.endswith("/images") for e in one.hub.journal)
    digests = one.rows("SELECT count(*) FROM harvested_digests")[0][0]
    again = layers - digests
    total = sum(len(stretches) for stretches in one.moving.truth.values())
    one.note(
        f"{total} true intervals, {shown} of them in an answer, {must} in one that no kill followed; {intervals} stored,"
        f" {moves} events tag.moved; {len(one.hub.journal)} requests, {layers} of them for the layers of {digests} digests"
    )
    one.expect(again <= 4 * len(one.daemon.kills), f"{again} requests for layers were made again")


def told(one: Stage) -> None:
    """What the daemon said, job lines left out, equal ones in a row once."""
    tell("  what it said:")
    counts: Counter[str] = Counter()
    last, number, first = "", 0, 0.0

    def out() -> None:
        if last:
            tell(f"    {first:6.1f} s  {last}{f'  ({number} times)' if number > 1 else ''}")

    for at, line in one.daemon.lines:
        event = line["event"]
        if event.startswith(("job.", "pass.", "looks.", "counts.")) and line.get("level") in ("info", "debug"):
            counts[event] += 1
            continue
        rest = {
            k: v
            for k, v in line.items()
            if k not in ("event", "level", "timestamp", "owner", "run", "job", "attempt", "lane")
        }
        text = f"{line.get('level', '')} {event} {json.dumps(rest) if rest else ''}".strip()
        if text == last:
            number += 1
            continue
        out()
        last, number, first = text, 1, at
    out()
    tell(f"    besides: {', '.join(f'{event} {number}' for event, number in sorted(counts.items()))}")
    for fault in one.faults[:20]:
        tell(f"  FAULT: {fault}")
    tell(f"  {one.name}: {'GOOD' if not one.faults else f'{len(one.faults)} FAULTS'}")
