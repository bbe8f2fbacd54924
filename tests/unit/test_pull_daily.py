"""`v_pull_daily`: what it says of small series made by hand, and of every recorded one."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection

from harvester.clock import instant
from harvester.store import migrate
from harvester.store.engine import database_url, open_writer

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "pull-history.json.gz"
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
    "a plateau and the jump after it": (
        [100, 110, 110, 110, 180, 190],
        [None, 10, 0, 0, 70, 10],
        [None, None, "plateau", None, "jump", None],
    ),
    "a plateau to the end": ([100, 110, 110], [None, 10, 0], [None, None, "plateau"]),
    "counts that never moved": ([5, 5, 5], [None, 0, 0], [None, None, None]),
    "a first pull is no jump": ([5, 5, 5, 6, 7], [None, 0, 0, 1, 1], [None, None, None, None, None]),
    "a decrease": ([100, 110, 90, 95], [None, 10, -20, 5], [None, None, "decrease", None]),
    "a decrease over a gap": ([100, None, None, None, 90], [None, -10], [None, "decrease"]),
    "a jump over a gap": ([1, 2, 2, None, None, None, 50], [None, 1, 0, 48], [None, None, "plateau", "gap"]),
    "the 32-bit ceiling and what is above it": (
        [CEILING - 5, CEILING, CEILING, CEILING + 9, CEILING + 20],
        [None, 5, 0, 9, 11],
        [None, "ceiling", "ceiling", "jump", None],
    ),
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


# The recorded series.


class Series(NamedTuple):
    """A recorded series: seconds and counts, one per second at the most."""

    full_name: str
    points: list[tuple[int, int]]


def seconds(stamp: str) -> int:
    """A recorded time or day as epoch seconds."""
    found = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def recorded_series() -> list[Series]:
    if not RECORDED.is_file():
        return []
    with gzip.open(RECORDED, "rt", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return [
        Series(one["repository"], sorted({seconds(stamp): count for stamp, count in one["points"]}.items()))
        for one in found["series"]
    ]


def expected(points: list[tuple[int, int]]) -> list[tuple[str, int | None, int | None]]:
    """Day, pulls and elapsed seconds, counted the plain way."""
    last = {instant(at)[:10]: (at, count) for at, count in points}
    rows: list[tuple[str, int | None, int | None]] = []
    before: tuple[int, int] | None = None
    for day, (at, count) in last.items():
        rows.append((day, None, None) if before is None else (day, count - before[1], at - before[0]))
        before = (at, count)
    return rows


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded pull counts are not beside this checkout")
def test_every_recorded_series_goes_through_the_view(connection: Connection) -> None:
    series = recorded_series()
    assert len(series) == 26
    for one in series:
        observed(connection, one.full_name, one.points)
    rows = daily(connection)
    for one in series:
        mine = [row for row in rows if row.full_name == one.full_name]
        assert [(row.day, row.pulls, row.elapsed_s) for row in mine] == expected(one.points), one.full_name
        ends = {instant(at)[:10]: count for at, count in one.points}
        for before, row in pairwise(mine):
            pulls, elapsed_s = row.pulls or 0, row.elapsed_s or 0
            assert (row.flag == "ceiling") is (ends[row.day] == CEILING)
            assert (row.flag == "decrease") is (pulls < 0 and ends[row.day] != CEILING)
            assert row.flag != "gap" or elapsed_s > 2 * DAY
            assert row.flag != "plateau" or (pulls == 0 and (before.pulls or 0) > 0)
            assert row.flag != "jump" or (pulls > 0 and before.pulls == 0)
    found = Counter((row.full_name, row.flag) for row in rows if row.flag)
    assert found["library/redis", "ceiling"] > 200
    assert found["library/redis", "decrease"] >= 1
    assert found["library/mongo", "ceiling"] > 50
    assert found["library/cassandra", "plateau"] >= 1
    assert found["library/cassandra", "jump"] >= 1
    assert found["kwdb/release", "decrease"] == 1
    assert max(count for one in series for _, count in one.points) > 2**32
