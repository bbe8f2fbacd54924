"""A simulated day of saturated work, alone and beside others: `python -m tests.simulation.day --hours 24`."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.simulation.harvest import Course, Plan, simulated
from tests.simulation.others import bursts, poisson, quarters

MIDDLE_S = 1931.0
"""A moment in the middle of some window."""


def plans(hours: float) -> dict[str, Plan]:
    """Every case by its name."""
    restarts = tuple(hours * 3600 * part / 6 + MIDDLE_S for part in range(5))
    found = {
        "18/min alone": Plan(hours=hours, per_minute=18),
        "18/min alone, five restarts": Plan(hours=hours, per_minute=18, restarts=restarts),
        "18/min alone, two processes": Plan(hours=hours, per_minute=18, processes=2),
        "180/min alone, five restarts": Plan(hours=hours, restarts=restarts),
    }
    for limit in (18, 180):
        small, large = max(1, round(limit / 36)), max(2, round(limit / 9))
        for name, shape in (
            ("others at random", poisson),
            (f"others in bursts of {small} to {large}", bursts(small, large)),
            ("others by the quarter hour", quarters),
        ):
            found[f"{limit}/min, {name}"] = Plan(hours=hours, per_minute=limit, others=shape)
    found["18/min, others in bursts of 5 to 20"] = Plan(hours=hours, per_minute=18, others=bursts(5, 20))
    return found


def told(name: str, plan: Plan, course: Course, real_s: float) -> str:
    """One line of figures."""
    end_s = plan.hours * 3600
    left = course.limit * end_s / course.window_s - course.theirs(0, end_s)
    return (
        f"{name:40s} {course.ours(0, end_s):7d} {course.theirs(0, end_s):7d} {course.refused() / plan.hours:8.2f}"
        f" {course.use(0, end_s):7.1%} {max(ours for _, ours in course.windows()):5d} {course.ours(0, end_s) / left:8.1%}"
        f" {course.longest_silence(0, end_s):8.0f} {real_s:7.1f}"
    )


def main() -> None:
    """Run the cases that the command line names, and print their figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.day", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    options = parser.parse_args()
    heads = ("ours", "theirs", "429/h", "window", "most", "of left", "silence", "real s")
    sys.stdout.write(f"{'':40s} {heads[0]:>7s} {heads[1]:>7s} {heads[2]:>8s} {heads[3]:>7s} {heads[4]:>5s}")
    sys.stdout.write(f" {heads[5]:>8s} {heads[6]:>8s} {heads[7]:>7s}\n")
    for name, plan in plans(options.hours).items():
        if options.only in name:
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                course = simulated(plan, Path(folder) / "harvester.db")
                sys.stdout.write(told(name, plan, course, time.monotonic() - began) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
