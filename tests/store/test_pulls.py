"""Pull counts over time: what is kept whatever the order, and what is told of as anomalous."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from harvester.clock import seconds_of
from harvester.records import Repository
from harvester.store.moment import Moment
from harvester.store.repositories import store_repositories
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, seen

HOUR = 3600
MIDNIGHT = NOW - NOW % DAY
CEILING = 2**31 - 1


def store(db: Database, count: int, at: int, interval_s: int = DAY, **changes: Any) -> None:
    with db.engine.begin() as connection:
        store_repositories(connection, [seen(pull_count=count, **changes).repository], Moment.of(at), interval_s)


def history(db: Database) -> list[tuple[Any, ...]]:
    return db.all("SELECT observed_at - ?, pull_count FROM pull_history ORDER BY 1", MIDNIGHT)


# What is kept.


def test_an_earlier_observation_of_the_day_that_comes_late_takes_the_place_of_the_later_one(db: Database) -> None:
    store(db, 100, MIDNIGHT + 60, star_count=5)
    store(db, 99, MIDNIGHT, source="listing")
    store(db, 90, MIDNIGHT - 1)
    store(db, 101, MIDNIGHT + DAY - 1)
    assert history(db) == [(-1, 90), (0, 99)]
    assert db.all("SELECT star_count, source FROM v_pull_history ORDER BY observed_at DESC LIMIT 1") == [
        (None, "listing")
    ]


@pytest.mark.parametrize(
    ("interval_s", "kept"),
    [
        (DAY, [0]),
        (HOUR, [0, HOUR, 2 * HOUR]),
        (90 * 60, [0, 90 * 60]),
        (0, [0, HOUR - 1, HOUR, 90 * 60, 2 * HOUR]),
        (7 * DAY, [0]),
    ],
)
def test_the_earliest_of_each_period_is_kept(db: Database, interval_s: int, kept: list[int]) -> None:
    for at in (0, HOUR - 1, HOUR, 90 * 60, 2 * HOUR):
        store(db, at, MIDNIGHT + at, interval_s)
    assert history(db) == [(at, at) for at in kept]


def test_what_a_search_showed_gives_way_to_any_other_observation_of_the_day(db: Database) -> None:
    store(db, 100, MIDNIGHT - DAY, source="listing")
    for at, count, source in ((60, 40, "search"), (HOUR, 110, "listing"), (0, 30, "search"), (2 * HOUR, 111, "detail")):
        store(db, count, MIDNIGHT + at, source=source)
    assert history(db) == [(-DAY, 100), (HOUR, 110)]
    store(db, 120, MIDNIGHT + DAY, source="search")
    assert history(db)[-1] == (DAY, 120), "better than nothing"


def test_what_a_finer_interval_has_kept_stays_when_it_is_made_coarser(db: Database) -> None:
    for hour in (1, 2, 3):
        store(db, hour, MIDNIGHT + hour * HOUR, HOUR)
    store(db, 4, MIDNIGHT + 4 * HOUR)
    store(db, 0, MIDNIGHT)
    assert history(db) == [(0, 0), (2 * HOUR, 2), (3 * HOUR, 3)]


OBSERVED = st.tuples(
    st.integers(0, 2),
    st.integers(0, 3 * DAY // 1200).map(lambda number: number * 1200),
    st.integers(0, 5),
    st.sampled_from([None, 0, 7]),
    st.sampled_from(["detail", "listing", "search"]),
)


def rows_after(engine: Engine, observations: list[tuple[Any, ...]], interval_s: int) -> list[tuple[Any, ...]]:
    """What the table holds after these observations, in this order; nothing of it stays."""
    with engine.connect() as connection, connection.begin() as transaction:
        for number, at, count, stars, source in observations:
            one = Repository(namespace="a", name=f"r{number}", source=source, pull_count=count, star_count=stars)
            store_repositories(connection, [one], Moment.of(MIDNIGHT + at), interval_s)
        rows = connection.exec_driver_sql(
            "SELECT r.full_name, p.observed_at, p.pull_count, p.star_count, p.source"
            " FROM pull_history p JOIN repositories r ON r.id = p.repository_id ORDER BY 1, 2"
        ).all()
        transaction.rollback()
    return [tuple(row) for row in rows]


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(OBSERVED, min_size=1, max_size=15), st.sampled_from([0, HOUR, DAY]), st.randoms(use_true_random=False))
def test_the_same_observations_in_any_order_and_twice_give_the_same_history(
    engine: Engine, observations: list[tuple[Any, ...]], interval_s: int, chance: random.Random
) -> None:
    again = observations + chance.choices(observations, k=5)
    chance.shuffle(again)
    first = rows_after(engine, sorted(observations, key=lambda one: one[1]), interval_s)
    assert rows_after(engine, again, interval_s) == first
    periods = {(one[0], one[1] // max(interval_s, 1)) for one in observations}
    assert len(first) == len(periods)
    for number, period in periods:
        of_period = [one for one in observations if (one[0], one[1] // max(interval_s, 1)) == (number, period)]
        _, earliest = min((one[4] == "search", one[1]) for one in of_period)
        assert (f"a/r{number}", MIDNIGHT + earliest) in [row[:2] for row in first]


def test_of_one_second_the_better_source_is_kept_and_then_the_lower_count(db: Database) -> None:
    kept = []
    for source, count in (("search", 2), ("listing", 6), ("listing", 5), ("detail", 9), ("listing", 1), ("detail", 9)):
        store(db, count, MIDNIGHT, source=source)
        kept.append(db.one("SELECT pull_count, source FROM v_pull_history"))
    assert kept == [(2, "search"), (6, "listing"), (5, "listing"), *[(9, "detail")] * 3]


def test_a_repository_that_is_twice_on_a_page_is_kept_once_by_the_same_rule(db: Database) -> None:
    page = [seen(pull_count=count, source="listing").repository for count in (5, 6)]
    for at in (MIDNIGHT + 60, MIDNIGHT):
        with db.engine.begin() as connection:
            store_repositories(connection, page, Moment.of(at))
    assert history(db) == [(0, 5)]


# What is told.


def observe(db: Database, counts: list[int], *, start: int = MIDNIGHT, step: int = DAY, interval_s: int = DAY) -> None:
    """One observation after the other."""
    for number, count in enumerate(counts):
        store(db, count, start + number * step, interval_s)


def told(db: Database) -> list[tuple[int, Any]]:
    """Day and flag of each event."""
    rows = db.all("SELECT observed_at, detail FROM events WHERE kind = 'pulls.anomalous' ORDER BY id")
    return [((seconds_of(at) - MIDNIGHT) // DAY, json.loads(detail)["flag"]) for at, detail in rows]


def grown(days: int, start: int = 1_000_000) -> list[int]:
    """Counts that grow by about five thousand a day."""
    counts = [start]
    for day in range(days):
        counts.append(counts[-1] + 4800 + 400 * (day % 2))
    return counts


def after(counts: list[int], *more: int) -> list[int]:
    """The counts and what is gained after them."""
    for gained in more:
        counts = [*counts, counts[-1] + gained]
    return counts


CASES: dict[str, tuple[list[int], list[tuple[int, Any]]]] = {
    "first sight": ([5_000_000], []),
    "as usual": (grown(40), []),
    "too little history": (after(grown(6), 500_000), []),
    "just enough": (after(grown(7), 500_000), [(8, None)]),
    "much more": (after(grown(30), 90_000, 5000), [(31, None)]),
    "much more, for good": (after(grown(30), *[90_000] * 5), [(31, None)]),
    "much less": (after(grown(30), 900, 5000), [(31, None)]),
    "much less, for good": (after(grown(30), *[900] * 5), [(31, None)]),
    "a decrease": (after(grown(30), -1, 5000, -70_000), [(31, "decrease"), (33, "decrease")]),
    "a freeze and its end": (after(grown(30), 0, 0, 0, 5000), [(31, "plateau")]),
    "a freeze in which next to nothing trickles": (after(grown(30), 0, 1, 3, 0, 5000), [(31, "plateau")]),
    "a freeze and its catch-up": (after(grown(30), 0, 0, 0, 20_000, 5000), [(31, "plateau"), (34, "jump")]),
    "two freezes": (after(grown(30), 0, 0, 5000, 0, 0, 5000), [(31, "plateau"), (34, "plateau")]),
    "the ceiling": (
        after(grown(30, CEILING - 160_000), *[CEILING - grown(30, CEILING - 160_000)[-1], *[0] * 80, 70_000, 5000]),
        [(31, "ceiling"), (112, "jump")],
    ),
    "tiny counts": (after([5 * day for day in range(30)], 900, 0, 0, 400), []),
    "a quiet one that is found": (after(list(range(30)), 5000), [(30, None)]),
    "noise": (after([1_000_000], *[2000, 9000, 4000, 12_000, 1000, 7000] * 5, 40_000, 900), []),
    "few gains in many days": (after([1_000_000], *[0, 0, 0, 20_000] * 5, 900_000), []),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_usual_is_told_once(db: Database, case: str) -> None:
    counts, expected = CASES[case]
    observe(db, counts)
    assert told(db) == expected


def test_an_event_has_the_evidence(db: Database) -> None:
    observe(db, after(grown(30), 90_000))
    row = db.one("SELECT rank, full_name, happened_at, observed_at, detail FROM v_events")
    assert row[:4] == (2, NGINX, None, Moment.of(MIDNIGHT + 31 * DAY).text)
    assert json.loads(row[4]) == {
        "flag": None,
        "pull_count": grown(30)[-1] + 90_000,
        "pulls": 90_000,
        "elapsed_s": DAY,
        "rate": 90_000.0,
        "usual_rate": 5000.0,
        "bounds": [1666.7, 15_000.0],
        "rates": 28,
    }


def test_a_longer_wait_is_no_higher_rate(db: Database) -> None:
    observe(db, grown(30))
    store(db, grown(30)[-1] + 50_000, MIDNIGHT + 40 * DAY)
    assert told(db) == []


def test_the_same_observation_again_a_later_one_of_the_day_and_a_late_one_are_not_told(db: Database) -> None:
    observe(db, grown(30))
    for _ in range(2):
        store(db, 9_000_000, MIDNIGHT + 31 * DAY)
    assert told(db) == [(31, None)]
    store(db, 90_000_000, MIDNIGHT + 31 * DAY + HOUR)
    store(db, 90_000_000, MIDNIGHT + 31 * DAY - 2 * HOUR - DAY)
    store(db, 1, MIDNIGHT - DAY)
    assert told(db) == [(31, None)]


def test_what_replaces_a_later_observation_of_its_day_is_not_told(db: Database) -> None:
    observe(db, grown(30), start=MIDNIGHT + HOUR)
    store(db, 9_000_000, MIDNIGHT + 30 * DAY)
    assert history(db)[-1] == (30 * DAY, 9_000_000)
    assert told(db) == []


def test_a_search_is_no_ground_for_an_alarm(db: Database) -> None:
    observe(db, grown(30))
    store(db, 9_000_000, MIDNIGHT + 31 * DAY, source="search")
    assert told(db) == []


@pytest.mark.parametrize("interval_s", [0, 2 * HOUR])
def test_a_finer_interval_tells_a_day_once_and_by_days(db: Database, interval_s: int) -> None:
    wave = [0, 0, 0, 300, 700, 900, 900, 700, 500, 400, 300, 200]
    observe(db, after([1_000_000], *wave * 14), step=2 * HOUR, interval_s=interval_s)
    assert told(db) == []
    last = db.value("SELECT max(pull_count) FROM pull_history")
    observe(
        db, after([last], *[20_000] * 30), start=MIDNIGHT + 14 * DAY + 2 * HOUR, step=2 * HOUR, interval_s=interval_s
    )
    assert told(db) == [(15, None)]


def test_what_is_not_kept_is_not_told(db: Database) -> None:
    week = 7 * DAY
    start = MIDNIGHT - MIDNIGHT % week
    observe(db, after(grown(10), 500_000), start=start, step=week, interval_s=week)
    assert len(told(db)) == 1
    for day in (1, 2):
        store(db, 90_000_000, start + 11 * week + day * DAY, week)
    assert len(told(db)) == 1


def test_two_observations_around_midnight_make_no_rate(db: Database) -> None:
    observe(db, grown(30), start=MIDNIGHT + DAY - 60)
    store(db, grown(30)[-1] + 5000, MIDNIGHT + 31 * DAY + 60)
    assert told(db) == []


def test_a_new_registration_begins_a_new_history(db: Database) -> None:
    observe(db, grown(30))
    db.run(
        "INSERT INTO chapters (repository_id, chapter, first_seen_at, last_seen_at, ended_at, tag_count)"
        " SELECT id, 1, first_seen_at, last_seen_at, ?, 0 FROM repositories",
        Moment.of(MIDNIGHT + 31 * DAY).text,
    )
    observe(db, grown(5, 0), start=MIDNIGHT + 31 * DAY)
    assert told(db) == []


def test_each_of_a_page_is_judged_by_its_own_history(db: Database) -> None:
    names = [f"a/r{number}" for number in range(120)]
    for day, count in enumerate(after(grown(10), 5000)):
        page = [
            seen(name, source="listing", pull_count=count + (100_000 if day == 11 and name in names[50:53] else 0))
            for name in names[: 119 if day == 0 else 120]
        ]
        with db.engine.begin() as connection:
            store_repositories(connection, [one.repository for one in page], Moment.of(MIDNIGHT + day * DAY))
    rows = db.all("SELECT full_name FROM v_events WHERE kind = 'pulls.anomalous' ORDER BY id")
    assert sorted(name for (name,) in rows) == names[50:53]
