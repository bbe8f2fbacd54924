"""A real `harvester run` in misfortune: killed again and again, a full disk, a locked database, no network, clocks that jump.

`python -m tests.trials.misfortunes [kills disk locked network clock] [--kills 50] [--seed 1] [--seconds N]`

The far end is a fake Hub on loopback whose tags move all the time; the daemon is a process of its own with cadences of seconds and
real time. What would take an hour or a day takes a minute or some, unless `--seconds` says how long it is to last. Each prints
what the daemon said (job lines left out, equal lines once with their number), whether the same process went on, and what is stored
against what there was.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fakehub import FakeHub
from tests.store.holding import WRITING, held
from tests.trials.misfortune_stage import LIMITS, Stage, judge, settle, stage, told

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
IN_NAMESPACE = "HARVESTER_TRIAL_MAY_MOUNT"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
MOUNT = shutil.which("mount") or "/bin/mount"


def kills(folder: Path, seed: int, number: int, *, rest_s: float = 45.0) -> Stage:
    """Killed with -9 at random moments, started again at once."""
    chance = random.Random(f"kills {seed}")  # noqa: S311
    with stage(f"killed {number} times", seed, folder) as one:
        for _ in range(number):
            one.daemon.start()
            time.sleep(chance.uniform(0.3, 9))
            one.daemon.kill()
        one.note(f"killed {number} times; started once more")
        one.daemon.start()
        time.sleep(rest_s)
        settle(one)
        judge(one)
        errors = [line for _, line in one.daemon.lines if line.get("level") in ("error", "critical", "TEXT")]
        one.expect(not errors, f"errors: {errors[:3]}")
        # Of fifty starts the last one is told.
        starts = [place for place, (_, line) in enumerate(one.daemon.lines) if line["event"] == "daemon.ready"]
        one.daemon.lines = one.daemon.lines[starts[-1] :]
        told(one)
    return one


def disk(folder: Path, seed: int, seconds: float = 75.0) -> Stage:
    """Another program fills the disk; then there is room again."""
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=True)
    with stage(f"disk full for {seconds:.0f} s", seed, folder, keep_free_mb=1) as one:
        one.daemon.start()
        one.daemon.until(lambda: one.daemon.said("pass.begun") >= 3, 60)
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            end = time.monotonic() + seconds
            one.note("the disk is full from now on")
            while time.monotonic() < end:
                # What is freed is taken as well.
                with_room = True
                while with_room:
                    try:
                        with_room = file.write(bytes(4096)) == 4096
                    except OSError:
                        with_room = False
                time.sleep(0.2)
        ballast.unlink()
        one.note("there is room again")
        passes = one.daemon.said("pass.begun")
        again = one.daemon.until(lambda: one.daemon.said("pass.begun") > passes + 1, 120)
        one.note(f"the second pass after that began after {again and round(again, 1)} s")
        settle(one)
        judge(one)
        told(one)
    return one


def locked(folder: Path, seed: int, seconds: float = 60.0) -> Stage:
    """Another program holds the right to write for a minute."""
    with stage(f"database locked for {seconds:.0f} s", seed, folder) as one:
        one.daemon.start()
        one.daemon.until(lambda: one.daemon.said("pass.begun") >= 3, 60)
        with held(one.database, WRITING):
            one.note("locked from now on")
            time.sleep(seconds)
        one.note("let go")
        passes = one.daemon.said("pass.begun")
        again = one.daemon.until(lambda: one.daemon.said("pass.begun") > passes + 1, 120)
        one.note(f"the second pass after that began after {again and round(again, 1)} s")
        settle(one)
        judge(one)
        told(one)
    return one


def network(folder: Path, seed: int, seconds: float = 180.0) -> Stage:
    """Nobody answers for a while."""
    with stage(f"no network for {seconds:.0f} s", seed, folder) as one:
        one.daemon.start()
        one.daemon.until(lambda: one.daemon.said("pass.begun") >= 3, 60)
        ports, entries = one.hub.ports, list(one.hub.journal)
        one.hub.stop()
        one.note("connections are refused from now on")
        time.sleep(seconds)
        one.hub = FakeHub(one.moving.world, limits=LIMITS, ports=ports)
        one.hub.start()
        one.note("it answers again")
        first = one.daemon.until(lambda: len(one.hub.journal) > 0, 1000)
        one.note(f"asked again after {first and round(first, 1)} s")
        settle(one)
        for entry in entries:
            one.hub.journal.append(entry)
        judge(one)
        told(one)
    return one


def clock(folder: Path, seed: int, seconds: float = 60.0) -> Stage:
    """The clock two hours back, then two hours ahead of the true time, then right again; the clock that only grows is true."""
    stamp = folder / "faketime"
    stamp.write_text("+0\n", encoding="ascii")
    env = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    probe = "import time; print(time.time(), time.monotonic())"
    stamp.write_text("-7200\n", encoding="ascii")
    wall, grows = map(float, subprocess.check_output([sys.executable, "-c", probe], env={**os.environ, **env}).split())
    assert abs(time.time() - 7200 - wall) < 60, "the wall clock is not moved"
    assert abs(time.monotonic() - grows) < 60, "the clock that only grows is moved as well"
    stamp.write_text("+0\n", encoding="ascii")
    with stage("clock two hours back, two hours ahead, right again", seed, folder, env=env) as one:
        one.daemon.start()
        one.daemon.until(lambda: one.daemon.said("pass.begun") >= 3, 60)
        for text in ("-7200", "+7200", "+0"):
            moves = one.rows("SELECT count(*) FROM events WHERE kind = 'tag.moved'")[0][0]
            passes = one.daemon.said("pass.begun")
            staged = stamp.with_name("staged")
            staged.write_text(f"{text}\n", encoding="ascii")
            staged.replace(stamp)
            one.note(f"the clock is {text} s from the true time from now on")
            again = one.daemon.until(lambda passes=passes: one.daemon.said("pass.begun") > passes + 1, 120)  # type: ignore[misc]
            one.note(f"the second pass after that began after {again and round(again, 1)} s")
            one.expect(again is not None and again < 60, f"no second pass within a minute at {text}")
            time.sleep(seconds)
            now = one.rows("SELECT count(*) FROM events WHERE kind = 'tag.moved'")[0][0]
            one.note(f"{now - moves} moves were noticed meanwhile")
            one.expect(now > moves, f"no move was noticed at {text}")
        settle(one)
        told(one)
    return one


def main(arguments: Sequence[str]) -> int:
    """Run the trials that are named, or all; 1 where any found a fault."""
    options = argparse.ArgumentParser(prog="python -m tests.trials.misfortunes", description=__doc__.splitlines()[0])
    every = ("kills", "disk", "locked", "network", "clock")
    options.add_argument("trials", nargs="*", choices=[*every, []], default=list(every))
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--seconds", type=float, help="how long the disk is full, or any other but the kills lasts")
    wanted = options.parse_args(arguments)
    if "disk" in wanted.trials and IN_NAMESPACE not in os.environ:
        # Mounts of our own, which end with us.
        os.environ[IN_NAMESPACE] = "1"
        os.execvp(NAMESPACE[0], [*NAMESPACE, sys.executable, "-m", "tests.trials.misfortunes", *arguments])  # noqa: S606
    stages: list[Stage] = []
    for name in wanted.trials:
        with tempfile.TemporaryDirectory(prefix=f"misfortune-{name}-", ignore_cleanup_errors=True) as folder:
            if name == "kills":
                stages.append(kills(Path(folder), wanted.seed, wanted.kills))
            else:
                trial = {"disk": disk, "locked": locked, "network": network, "clock": clock}[name]
                lasting = {} if wanted.seconds is None else {"seconds": wanted.seconds}
                stages.append(trial(Path(folder), wanted.seed, **lasting))
    return 1 if any(one.faults for one in stages) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
