"""`harvester` with a stopwatch on its writer: `python -m tests.trials.timed FILE ARGUMENT...`.

A line for each transaction and each plan of holes goes to the file: what it was, its seconds, and the peak of memory in KiB so far.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from harvester.cli import main
from harvester.store import freshness
from harvester.store.holes import next_slice
from harvester.store.writer import Writer


def _timed(what: str, function: Callable[..., Any], file: TextIO) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        began = time.monotonic()
        try:
            return function(*args)
        finally:
            file.write(f"{what} {time.monotonic() - began:.4f} {_peak_kib()}\n")

    return run


def _peak_kib() -> int:
    """The high-water mark of this very program: `ru_maxrss` of a child is at least what its parent held."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    with Path(sys.argv[1]).open("a", encoding="ascii", buffering=1) as stopwatch:
        Writer._transaction = _timed("transaction", Writer._transaction, stopwatch)  # type: ignore[method-assign]
        freshness.next_slice = _timed("plan", next_slice, stopwatch)  # type: ignore[attr-defined]
        sys.argv = ["harvester", *sys.argv[2:]]
        main()
