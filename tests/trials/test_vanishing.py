"""Two thirds of a namespace go at once: days of passes until that is a fact, and what they cost."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.fakehub import World
from tests.simulation.virtual import VirtualClock, virtually
from tests.trials.passes import Trial

DAY_S = 86_400.0
LOST = 40


async def _lost(folder: Path, clock: VirtualClock) -> tuple[list[int], list[int], Trial]:
    """Details asked for on each day, and how many repositories are gone after it."""
    world = World.namespace("acme", 60)
    trial = Trial(world, folder, clock)
    await trial.backfill("acme/")
    for number in range(1, LOST + 1):
        world.delete_repository(f"acme/repository-{number:04}")
    asked, gone = [], []
    for day in range(1, 8):
        await clock.sleep(day * DAY_S - clock.monotonic())
        asked.append((await trial.backfill("acme/")).kinds["details"])
        gone.append(trial.one("SELECT count(*) FROM repositories WHERE gone_at IS NOT NULL"))
    return asked, gone, trial


def test_a_catalogue_that_is_removed_becomes_a_fact_after_four_passes_over_three_days(tmp_path: Path) -> None:
    asked, gone, trial = virtually(partial(_lost, tmp_path))
    assert asked == [10, 10, 10, LOST, LOST - 10, 0, 0]
    assert gone == [0, 0, 0, 10, LOST, LOST, LOST]
    kinds = dict(trial.rows("SELECT kind, count(*) FROM events WHERE kind NOT LIKE 'tag.%' GROUP BY kind"))
    assert kinds == {"namespace.vanishing": 1, "repository.gone": LOST}
    assert trial.one("SELECT count(*) FROM tags WHERE gone_at IS NULL") == 60 - LOST
