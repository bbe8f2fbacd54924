"""Real minutes of a real process that is killed and started again.

`python -m tests.simulation.real_minutes --minutes 20 --restarts 5`
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fakehub import FakeHub, Limits, World
from tests.simulation.harvest import Asked, Course

PER_MINUTE = 180
WINDOW_S = 60.0
END_S = 15.0
"""How long a process that was asked to end may take."""


def harvest(minutes: float, restarts: int) -> Course:
    """The course of a backfill that has more to do than the minutes allow, killed so many times in mid-window."""
    limits = Limits(hub_per_minute=PER_MINUTE, anonymous_wall_repositories=None)
    # A detail and a page of tags each.
    world = World.namespace("acme", int(PER_MINUTE * (minutes + 2) / 2))
    began = time.time()
    with FakeHub(world, limits=limits) as hub, tempfile.TemporaryDirectory() as folder:
        for number in range(restarts + 1):
            process = _started(hub, Path(folder))
            # Half a window off, so that no kill falls between two windows.
            until = began + minutes * 60 * (number + 1) / (restarts + 1) - (WINDOW_S / 2 if number < restarts else 0)
            try:
                code = process.wait(timeout=max(1.0, until - time.time()))
                raise SystemExit(f"the backfill ended by itself with {code}")
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(END_S)
        course = Course(PER_MINUTE, WINDOW_S)
        for entry in hub.journal:
            if entry.budget != "none":
                course.asked.append(Asked(entry.at - began, True, entry.status == 429))
    return course


def _started(hub: FakeHub, folder: Path) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-m", "harvester", "backfill", "acme/", "--layers", "none", "--quiet"]
    return subprocess.Popen(command, env={**kept, **hub.environment()}, cwd=folder)


def main() -> None:
    """Print what was used of each window, the refusals and the share of the budget."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.real_minutes")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--restarts", type=int, default=5)
    options = parser.parse_args()
    course = harvest(options.minutes, options.restarts)
    end_s = options.minutes * 60
    for began, requests in course.windows():
        part = "" if began + WINDOW_S <= end_s else "  (not over)"
        sys.stdout.write(f"window at {began:7.1f} s: {requests:4d} of {PER_MINUTE}{part}\n")
    sys.stdout.write(f"refused: {course.refused()}\n")
    sys.stdout.write(f"used of the full windows: {course.use(0, end_s):.1%}\n")


if __name__ == "__main__":
    main()
