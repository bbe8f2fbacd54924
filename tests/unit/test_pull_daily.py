"""`v_pull_daily`: what it says of small series made by hand; of the recorded ones, `tests/trials/test_pull_series.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Connection

from harvester.clock import instant
from harvester.store import migrate
from harvester.store.engine import database_url, open_writer

DAY = 86_400
MONDAY = 1_795_132_800
"""2026-11-20T00:00:00Z."""
CEILING = 2**31 - 1


class Daily(NamedTuple):
    """A row of the view."""

    full_name: str
    day: str
    pulls: int | None
    elapsed_s: int | None
    flag: str | None


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A transaction on a migrated database."""
    engine = open_writer(database_url(str(tmp_path / "harvester.db")))
    migrate.upgrade(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def observed(connection: Connection, full_name: str, points: Sequence[tuple[int, int]]) -> None:
    """A repository with these observations: seconds and pull count."""
    namespace, _, name = full_name.partition("/")
    seen = instant(MONDAY)
    row = connection.exec_driver_sql(
        "INSERT INTO repositories (namespace, name, full_name, is_official, first_seen_at, last_seen_at)"
        " VALUES (?, ?, ?, 0, ?, ?) RETURNING id",
        (namespace, name, full_name, seen, seen),
    ).one()
    connection.exec_driver_sql(
        "INSERT INTO pull_history (repository_id, observed_at, pull_count, source) VALUES (?, ?, ?, 1)",
        [(row[0], seconds, count) for seconds, count in points],
    )


def daily(connection: Connection) -> list[Daily]:
    rows = connection.exec_driver_sql(
        "SELECT full_name, day, pulls, elapsed_s, flag FROM v_pull_daily ORDER BY full_name, day"
    )
    return [Daily(*row) for row in rows]


# Counts on days 0, 1, 2, ...; None is a day without an observation. What the view says of each observed day.
SERIES: dict[str, tuple[list[int | None], list[int | None], list[str | None]]] = {
    "one day": ([7], [None], [None]),
    "growth": ([100, 110, 125, 126], [None, 10, 15, 1], [None, None, None, None]),
    "a missing day is no gap": ([100, None, 120], [None, 20], [None, None]),
    "two missing days are": ([100, None, None, 130, 140], [None, 30, 10], [None, "gap", None]),
    "counts that never moved": ([5, 5, 5], [None, 0, 0], [None, None, None]),
    "a first pull is no jump": ([5, 5, 5, 6, 7], [None, 0, 0, 1, 1], [None, None, None, None, None]),
    "a decrease": ([100, 110, 90, 95], [None, 10, -20, 5], [None, None, "decrease", None]),
    "a decrease over a gap": ([100, None, None, None, 90], [None, -10], [None, "decrease"]),
    "the 32-bit ceiling and what is above it": (
        [CEILING - 5, CEILING, CEILING, CEILING + 9, CEILING + 20],
        [None, 5, 0, 9, 11],
        [None, "ceiling", "ceiling", "jump", None],
    ),
    "the ceiling at first sight, and lifted in a gap": (
        [CEILING, None, None, None, CEILING + 9],
        [None, 9],
        ["ceiling", "jump"],
    ),
    "lowered from the ceiling": ([CEILING, 700, 800], [None, 700 - CEILING, 100], ["ceiling", "decrease", None]),
    "one below the ceiling": ([CEILING - 9, CEILING - 1], [None, 8], [None, None]),
    "above 2**32": ([2**32 - 1, 2**32, 2**33, 2**53 + 1], [None, 1, 2**32, 2**53 + 1 - 2**33], [None] * 4),
    "the largest number": ([2**63 - 2, 2**63 - 1], [None, 1], [None, None]),
}


@pytest.mark.parametrize("case", SERIES)
def test_a_series_is_flagged_where_it_is_odd_and_nowhere_else(connection: Connection, case: str) -> None:
    counts, pulls, flags = SERIES[case]
    days = [number for number, count in enumerate(counts) if count is not None]
    observed(connection, "a/b", [(MONDAY + d * DAY + 3600, c) for d in days if (c := counts[d]) is not None])
    # A neighbour whose days would show through if one series ran into the other.
    observed(connection, "a/c", [(MONDAY + 3600, 1), (MONDAY + DAY + 3600, 3)])
    rows = [row for row in daily(connection) if row.full_name == "a/b"]
    assert [row.pulls for row in rows] == pulls
    assert [row.flag for row in rows] == flags
    assert [row.day for row in rows] == [instant(MONDAY + day * DAY)[:10] for day in days]
    assert [row.elapsed_s for row in rows] == [None, *((b - a) * DAY for a, b in pairwise(days))][: len(days)]


def test_the_last_observation_of_a_utc_day_stands_for_it(connection: Connection) -> None:
    points = [(MONDAY, 10), (MONDAY + 5, 11), (MONDAY + DAY - 1, 15), (MONDAY + DAY, 16), (MONDAY + 2 * DAY - 1, 30)]
    observed(connection, "a/b", points)
    assert daily(connection) == [
        Daily("a/b", "2026-11-20", None, None, None),
        Daily("a/b", "2026-11-21", 15, DAY, None),
    ]


def test_a_gap_begins_above_two_days(connection: Connection) -> None:
    observed(connection, "a/exact", [(MONDAY, 1), (MONDAY + 2 * DAY, 2)])
    observed(connection, "a/longer", [(MONDAY, 1), (MONDAY + 2 * DAY + 1, 2)])
    assert [(row.full_name, row.flag) for row in daily(connection) if row.pulls] == [
        ("a/exact", None),
        ("a/longer", "gap"),
    ]


def test_repositories_do_not_mix(connection: Connection) -> None:
    for number in range(3):
        observed(connection, f"a/r{number}", [(MONDAY + day * DAY, 10**number * day) for day in range(4)])
    assert {(row.full_name, row.pulls) for row in daily(connection) if row.pulls is not None} == {
        ("a/r0", 1),
        ("a/r1", 10),
        ("a/r2", 100),
    }


def test_counts_above_two_to_the_32_are_intact_in_the_table_and_its_view(connection: Connection) -> None:
    observed(connection, "library/redis", [(MONDAY, 4_344_853_773), (MONDAY + DAY, 2**62 + 1)])
    for table in ("pull_history", "v_pull_history"):
        counts = connection.exec_driver_sql(f"SELECT pull_count FROM {table} ORDER BY observed_at").scalars().all()
        assert list(counts) == [4_344_853_773, 2**62 + 1]


# Freezes: each after thirty days of a hundred and twenty to a hundred and thirty pulls, or of what is said.
REGULAR = [120 + day % 11 for day in range(30)]
FREEZES: dict[str, tuple[Sequence[int], Sequence[int | None], Sequence[str | None]]] = {
    "a day without a pull, and what comes in after it": (REGULAR, [0, 250, 125], ["plateau", "jump", None]),
    "nobody knows what of the first gain belongs to the freeze": (
        REGULAR,
        [0, 0, 60, 125],
        ["plateau"] * 2 + ["jump", None],
    ),
    "next to nothing trickles": (REGULAR, [0, 1, 2, 0, 1, 125], ["plateau"] * 5 + ["jump"]),
    "a trickle for weeks does not become usual": (
        [10_000 * one for one in REGULAR],
        [1] * 25 + [2_000_000],
        ["plateau"] * 25 + ["jump"],
    ),
    "a freeze of half a year": (REGULAR, [0] * 180 + [20_000, 125], ["plateau"] * 180 + ["jump", None]),
    "half a year at the ceiling, and a part of a day above it": (
        [120] * 100,
        [CEILING - 13_000, *[0] * 180, 40, 125],
        ["ceiling"] * 181 + ["jump", None],
    ),
    "a second freeze": (
        REGULAR,
        [0] * 9 + [50, 125, 0, 0, 125],
        ["plateau"] * 9 + ["jump", None, "plateau", "plateau", "jump"],
    ),
    "a freeze that is cut by a gap": (REGULAR, [0, None, None, None, 0, 125], ["plateau", "plateau", "jump"]),
    "a jump over a gap": (REGULAR, [0, None, None, 900], ["plateau", "jump"]),
    "a gap": (REGULAR, [None, None, 400, 125], ["gap", None]),
    "a slow day": (REGULAR, [2, 125], [None, None]),
    "too little history": ([120] * 6, [0, 0, 0, 250], [None] * 4),
    "just enough": ([120] * 7, [0, 250], ["plateau", "jump"]),
    "a small one that never missed a day": ([11] * 30, [0, 22], ["plateau", "jump"]),
    "a smaller one after a while": ([3] * 30, [0, 0, 0, 0, 3], [None, None, None, "plateau", "jump"]),
    "twenty pulls in all": ([1, 0, 0, 0, 2] * 7, [0] * 20 + [1], [None] * 21),
    "no pulls on Sundays": ([400, 390, 410, 380, 420, 90, 0] * 4, [400, 390, 410, 380, 420, 90], [None] * 6),
    "no pulls on week-ends": ([40, 39, 41, 38, 42, 0, 0] * 5, [40, 39, 41, 38, 42, 0, 0, 40], [None] * 8),
    "a fast growth": ([2**day for day in range(20)], [2**20, 2**21], [None, None]),
    "a single burst": ([3] * 20 + [9000] + [3] * 9, [0, 3, 0, 3], [None] * 4),
    "counts above two to the 32": ([2**31 + day for day in range(30)], [0, 2**33], ["plateau", "jump"]),
}


@pytest.mark.parametrize("case", FREEZES)
def test_a_freeze_is_told_by_what_the_repository_usually_gains(connection: Connection, case: str) -> None:
    before, gains, flags = FREEZES[case]
    count, points = 1000, [(MONDAY, 1000)]
    for day, gained in enumerate([*before, *gains], 1):
        if gained is not None:
            count += gained
            points.append((MONDAY + day * DAY, count))
    observed(connection, "a/b", points)
    rows = [(row.pulls, row.flag) for row in daily(connection)][len(before) + 1 :]
    assert rows == list(zip([one for one in gains if one is not None], flags, strict=True))


def test_what_comes_later_does_not_change_what_was_said_of_a_day(connection: Connection) -> None:
    gains = [*REGULAR, 0, 0, 300, *REGULAR, 2, 0, -5, 100, *REGULAR[:9], 0, 125]
    points = [(MONDAY + day * DAY, 1000 + sum(gains[:day])) for day in range(len(gains) + 1)]
    for number, end in enumerate(range(1, len(points) + 1, 3)):
        observed(connection, f"a/r{number}", points[:end])
    whole = [row[1:] for row in daily(connection) if row.full_name == f"a/r{number}"]
    for other in range(number):
        mine = [row[1:] for row in daily(connection) if row.full_name == f"a/r{other}"]
        assert mine == whole[: len(mine)]


def chapter(connection: Connection, full_name: str, number: int, ended: int) -> None:
    """What the name was before ended at that second."""
    connection.exec_driver_sql(
        "INSERT INTO chapters (repository_id, chapter, first_seen_at, last_seen_at, ended_at, tag_count)"
        " SELECT id, ?, first_seen_at, last_seen_at, ?, 0 FROM repositories WHERE full_name = ?",
        (number, instant(ended), full_name),
    )


def test_a_new_registration_begins_a_new_count(connection: Connection) -> None:
    gains = [*REGULAR, 0, 40, 0, 0, *REGULAR[:8], 0]
    points = [(MONDAY + day * DAY, 1000 + sum(gains[:day])) for day in range(len(gains) + 1)]
    for name in ("a/b", "a/c"):
        observed(connection, name, points)
    chapter(connection, "a/b", 1, MONDAY + 31 * DAY + 1)
    # Between two observations none of which it touches, and at the very second of one.
    chapter(connection, "a/b", 2, MONDAY + 33 * DAY)
    mine = [row for row in daily(connection) if row.full_name == "a/b"]
    assert [(row.pulls, row.elapsed_s, row.flag) for row in mine[30:36]] == [
        (REGULAR[-1], DAY, None),
        (0, DAY, "plateau"),
        (None, DAY, "chapter"),
        (None, DAY, "chapter"),
        (0, DAY, None),
        (REGULAR[0], DAY, None),
    ]
    assert [row.flag for row in mine[36:]] == [None] * 7 + ["plateau"], "a usual rate is that of one chapter"
    assert {row.flag for row in daily(connection) if row.full_name == "a/c"} == {None, "plateau", "jump"}


def test_a_new_count_that_begins_higher_has_its_own_usual_rate(connection: Connection) -> None:
    gains = [*REGULAR, 9_000_000, *REGULAR[:9], 0, 250]
    observed(connection, "a/b", [(MONDAY + day * DAY, 1000 + sum(gains[:day])) for day in range(len(gains) + 1)])
    chapter(connection, "a/b", 1, MONDAY + 31 * DAY)
    flags = [row.flag for row in daily(connection)]
    assert flags[31:] == ["chapter", *[None] * 9, "plateau", "jump"]


def test_pulls_of_the_last_days_are_not_counted_across_a_new_registration(connection: Connection) -> None:
    now = connection.exec_driver_sql("SELECT CAST(strftime('%s', 'now') AS INTEGER)").scalar_one()
    observed(connection, "a/b", [(now - 60 - day * DAY, 5000 - 10 * day) for day in range(40)])
    question = "SELECT pulls_1d, pulls_7d, pulls_30d FROM v_repositories"
    assert tuple(connection.exec_driver_sql(question).one()) == (10, 70, 300)
    chapter(connection, "a/b", 1, now - 3 * DAY)
    assert tuple(connection.exec_driver_sql(question).one()) == (10, None, None)


def test_every_observation_of_a_day_counts_as_a_sample(connection: Connection) -> None:
    points = [(MONDAY, 5), (MONDAY + DAY, 6), (MONDAY + DAY + 1, 6), (MONDAY + 2 * DAY, 7)]
    observed(connection, "a/b", points)
    rows = connection.exec_driver_sql("SELECT pull_count, samples FROM v_pull_daily ORDER BY day").all()
    assert [tuple(row) for row in rows] == [(5, 1), (6, 2), (7, 1)]
