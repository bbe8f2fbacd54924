"""The recorded pull series: kept exactly, flagged as counted a second way, and drawn as the README shows it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.fakehub import World
from tests.simulation.virtual import VirtualClock, virtually
from tests.trials.passes import DATA, Trial
from tests.trials.pull_series import (
    CEILING,
    DAY_S,
    FILE,
    Outcome,
    daily,
    expected,
    kept,
    main,
    opened,
    recorded,
    store,
    tried,
)

README = Path(__file__).parents[2] / "README.md"
needs_recordings = pytest.mark.skipif(not (DATA / FILE).is_file(), reason="the recorded pull counts are elsewhere")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return {one.full_name: one for one in tried(DATA, tmp_path_factory.mktemp("series"))}


@needs_recordings
def test_every_observation_is_kept_and_every_flag_is_as_it_was_counted_a_second_way(
    outcomes: dict[str, Outcome],
) -> None:
    assert len(outcomes) == 26
    assert sum(one.observations for one in outcomes.values()) > 100_000
    assert {name: one.wrong for name, one in outcomes.items() if one.wrong} == {}


@needs_recordings
def test_thinning_takes_most_observations_of_finer_series_and_changes_no_day(outcomes: dict[str, Outcome]) -> None:
    assert "days after thinning" not in [wrong for one in outcomes.values() for wrong in one.wrong]
    assert outcomes["library/redis"].thinned == 16272, "of 17791"
    assert sum(one.thinned > 0 for one in outcomes.values()) == 8


@needs_recordings
def test_the_known_oddities_of_the_series_are_flagged(outcomes: dict[str, Outcome]) -> None:
    total: Counter[str] = sum((one.flags for one in outcomes.values()), Counter())
    assert total["decrease"] == 3
    assert (outcomes["library/redis"].flags["ceiling"], outcomes["library/mongo"].flags["ceiling"]) == (239, 105)
    assert {name for name, one in outcomes.items() if one.doubled} == {
        *("falcosecurity/falcosidekick", "kwdb/kwdb", "kwdb/kwdb_comp_env", "kwdb/release")
    }
    assert [outcomes[f"library/{name}"].flags["jump"] for name in ("redis", "mongo", "cassandra")] == [3, 3, 2]
    for name in ("cassandra", "elasticsearch", "mongo", "mysql", "redis"):
        assert outcomes[f"library/{name}"].flags["plateau"] >= 20
        assert outcomes[f"library/{name}"].flags["jump"] >= 2
    for name in ("issif/sysdig", "issif/tcpdump", "issif/cercat", "kwdb/kwdb_comp_env", "neonvariant/mythicmate"):
        assert not outcomes[name].flags, "a repository with few pulls is not frozen when a day passes without one"


@needs_recordings
def test_alarms_are_a_handful_a_year(outcomes: dict[str, Outcome]) -> None:
    for name, one in outcomes.items():
        assert one.events.total() <= 5 * max(1.0, one.days / 365), name
    assert outcomes["library/redis"].events.keys() >= {"ceiling", "jump", "plateau"}
    assert outcomes["kwdb/release"].events == {"decrease": 1}


@needs_recordings
def test_a_lie_in_the_table_would_be_seen(tmp_path: Path) -> None:
    [one] = [one for one in recorded() if one.full_name == "kwdb/release"]
    with opened(tmp_path / "harvester.db") as connection:
        store(connection, [one], 0)
        assert (kept(connection, one.full_name), daily(connection, one.full_name)) == (one.points, expected(one.points))
        connection.exec_driver_sql("UPDATE pull_history SET pull_count = 12 WHERE pull_count = 3974")
        assert kept(connection, one.full_name) != one.points
        assert daily(connection, one.full_name) != expected(one.points)


def test_the_second_count_knows_the_ceiling_chapters_and_gaps() -> None:
    points = [
        (0, 5),
        (DAY_S, CEILING),
        (4 * DAY_S, CEILING + 9),
        (7 * DAY_S, CEILING + 10),
        (8 * DAY_S, 3),
        (9 * DAY_S, 2),
    ]
    rows = expected(points, chapters=[8 * DAY_S])
    assert [row.flag for row in rows] == [None, "ceiling", "jump", "gap", "chapter", "decrease"]
    assert [row.pulls for row in rows] == [None, CEILING - 5, 9, 1, None, -1]


def test_without_the_recordings_it_says_where_they_were_looked_for(tmp_path: Path) -> None:
    said: list[str] = []
    assert main(["--data", str(tmp_path)], say=said.append) == 2
    assert said == [f"there is no {FILE} in {tmp_path}: name its folder with --data"]


# What the README shows.


def shown() -> tuple[str, str]:
    """The statement and its output, as the README has them."""
    found = re.search(
        r"```sql\n(WITH [^`]*?FROM v_pull_daily[^`]*)```\n+```\n([^`]*)```", README.read_text(encoding="utf-8")
    )
    assert found is not None
    return found[1], found[2]


@needs_recordings
def test_the_readme_shows_what_its_statement_draws(tmp_path: Path) -> None:
    statement, drawn = shown()
    with opened(tmp_path / "harvester.db") as connection:
        store(connection, [one for one in recorded() if one.full_name == "library/redis"], 0)
        rows = connection.exec_driver_sql(statement.strip().rstrip(";")).all()
    assert "\n".join("|".join(str(value) for value in row).rstrip() for row in rows) == drawn.strip()


# Passes within one day.


@pytest.mark.parametrize("target", ["acme/", "acme/repository-0001"])
@pytest.mark.parametrize(("pull_interval", "kept_of_three"), [("1d", 1), ("1h", 3), ("0", 3)])
def test_passes_of_one_day_keep_as_many_observations_as_the_interval_allows(
    tmp_path: Path, target: str, pull_interval: str, kept_of_three: int
) -> None:
    async def passes(clock: VirtualClock) -> list[tuple[int, int]]:
        world = World.namespace("acme", 3)
        trial = Trial(world, tmp_path, clock, pull_interval=pull_interval)
        # Half past midnight, so that the passes are of one day.
        await clock.sleep(DAY_S + 1800 - clock.time() % DAY_S)
        for number in range(3):
            world.change_repository("acme/repository-0001", pull_count=1000 + number)
            await trial.backfill(target)
            await clock.sleep(2 * 3600)
        return trial.rows(
            "SELECT p.observed_at / 86400, p.pull_count FROM pull_history p JOIN repositories r ON r.id = p.repository_id"
            " WHERE r.full_name = 'acme/repository-0001' ORDER BY p.observed_at"
        )

    rows = virtually(passes)
    # Of every one of them: those of the list, and those of the detail that was asked for after it.
    counts = list(dict.fromkeys(count for _, count in rows)) if pull_interval == "0" else [count for _, count in rows]
    assert counts == [1000, 1001, 1002][:kept_of_three]
    assert len({day for day, _ in rows}) == 1
