"""The command line of the fake Hub: serve until told to stop, or around one command."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tests.fakehub.limits import Limits
from tests.fakehub.server import FakeHub
from tests.fakehub.world import World

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def parser() -> argparse.ArgumentParser:
    """The options; the command after `--` is split off beforehand."""
    options = argparse.ArgumentParser(
        prog="python -m tests.fakehub",
        usage="%(prog)s [options] [-- COMMAND ...]",
        description="A fake Docker Hub on loopback. With a command: run it against the server and take its exit code.",
    )
    options.add_argument(
        "--data", action="append", type=Path, default=[], metavar="FILE", help="recorded data (.json.gz)"
    )
    options.add_argument("--hub-limit", type=int, metavar="N", help="Hub API requests per window (180)")
    options.add_argument("--window", type=float, metavar="S", help="length of the Hub API window in seconds (60)")
    options.add_argument("--pull-limit", type=int, metavar="N", help="pulls per window, signed in or not (100)")
    options.add_argument("--no-limits", action="store_true", help="no limiter, no limit headers, no paging wall")
    options.add_argument("--user", help="a name that may sign in")
    options.add_argument("--secret", help="its password or access token")
    options.add_argument(
        "--journal", type=Path, metavar="FILE", help="append every request to this file, a JSON line each"
    )
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    own, command = list(arguments), []
    if "--" in own:
        place = own.index("--")
        own, command = own[:place], own[place + 1 :]
    options = parser().parse_args(own)
    if (options.user is None) != (options.secret is None):
        return _refuse("--user and --secret go together")
    world = World() if options.data else World.small()
    for path in options.data:
        try:
            world |= World.recorded(path)
        except OSError as error:
            return _refuse(f"cannot read {path}: {error.strerror or error}")
        except (EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError):
            return _refuse(f"{path} is not recorded data (gzip JSON with repositories in it)")
    users = {options.user: options.secret} if options.user is not None else {}
    try:
        hub = FakeHub(world, limits=_limits(options), users=users, journal_path=options.journal)
    except OSError as error:
        return _refuse(f"cannot write the journal: {error}")
    print("This is a fake Docker Hub on loopback; nothing here reaches the network.", file=sys.stderr, flush=True)
    with hub:
        return _run(hub, command) if command else _serve(hub)


def _refuse(message: str) -> int:
    print(f"fakehub: {message}", file=sys.stderr)
    return 2


def _limits(options: argparse.Namespace) -> Limits:
    limits = Limits.none() if options.no_limits else Limits()
    if options.hub_limit is not None:
        limits = replace(limits, hub_per_minute=options.hub_limit)
    if options.window is not None:
        limits = replace(limits, hub_window_s=options.window)
    if options.pull_limit is not None:
        limits = replace(limits, pulls=options.pull_limit, pulls_signed_in=options.pull_limit)
    return limits


def _serve(hub: FakeHub) -> int:
    stopping = threading.Event()
    for number in STOPPING_SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
    for name, url in (
        ("hub", hub.hub_url),
        ("auth", hub.auth_url),
        ("registry", hub.registry_url),
        ("cdn", hub.cdn_url),
    ):
        print(f"{name:9}{url}")
    for name, value in hub.environment().items():
        print(f"export {name}={value}")
    sys.stdout.flush()
    stopping.wait()
    return 0


def _run(hub: FakeHub, command: Sequence[str]) -> int:
    try:
        # A process group of its own: an interrupt from the terminal reaches the command once, through here.
        child = subprocess.Popen(command, env=os.environ | hub.environment(), process_group=0)
    except OSError as error:
        return _refuse(f"cannot run {command[0]}: {error.strerror}")

    def forward(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in STOPPING_SIGNALS:
        signal.signal(number, forward)
    code = child.wait()
    return code if code >= 0 else 128 - code
