"""Of walks of long ago those go whose row nobody needs: whatever asks for walks gets the answer that it got before."""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

import harvester.store
from harvester.clock import instant
from harvester.jobs import Args, NewJob
from harvester.store import (
    absences,
    cadences,
    facts,
    freshness,
    holes,
    listings,
    reads,
    retention,
    statements,
    stops,
    tag_changes,
    vanishing,
    walk_events,
)
from harvester.store.retention import AT_ONCE
from tests.store.clocks import DAY
from tests.store.database import Database
from tests.store.makers import seen
from tests.store.test_retention import KEEP, tidy

REPOSITORY = "acme/web"
ALL, NEWEST, PART = (f"tags.page:{REPOSITORY}:{policy}" for policy in ("all", "newest%3A5", "filter x"))
NAMES = f"tag_names:{REPOSITORY}"
LISTS = {ALL: "tags", NEWEST: "tags", PART: "tags", NAMES: "tag_names", "namespace.page:acme": "namespace"} | {
    f"search.page:web:{policy}": "search" for policy in ("all", "newest")
}
"""What is walked, and its kind."""

SUBJECTS = {"tags": REPOSITORY, "tag_names": REPOSITORY, "namespace": "acme", "search": "web"}

ENDS = (
    *[("end", 10, 10)] * 6,
    *(("end", 9, 10), ("end", 9, 10), ("end", 8, 10), ("end", 0, 0), ("end", 0, 10)),
    *(("known", 3, 10), ("known", 3, 9), ("wall", 9, 20), ("policy", 5, 10), ("policy", 0, None), ("error", 4, 10)),
    *(("error", 0, None), ("denied", 0, None), ("throttled", 2, 10), (None, 4, 10)),
)
"""How walks end: why, how many rows, how many the far end counts; more often whole than not."""


NEWEST_ROWS = 3
"""The newest walks of all stay, however old they are: here fewer than there are, or nothing would go."""


class Row(NamedTuple):
    """A walk that has begun at this time."""

    walk_key: str
    began: int
    end: tuple[str | None, int, int | None]
    updated: int | None
    """The repository's date, where it is a walk of tags."""


def store(db: Database, row: Row, *names: str) -> None:
    stop, rows, count = row.end
    kind = LISTS[row.walk_key]
    updated = instant(row.updated) if kind == "tags" and row.updated is not None else None
    db.run(
        "INSERT INTO listings (kind, subject, repository_id, started_at, finished_at, reported_count, first_count, rows,"
        " stop_reason, is_complete, refused, walk_key, subject_updated)"
        " VALUES (?, ?, (SELECT id FROM repositories WHERE full_name = ?), ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        kind, SUBJECTS[kind], SUBJECTS[kind],
        instant(row.began), None if stop is None else instant(row.began + 60), count, count, rows, stop,
        (stop == "end" and rows == count) or (stop == "known" and count == 10), row.walk_key, updated,
    )  # fmt: skip
    for name in names:
        db.run("INSERT INTO listing_names SELECT max(id), ? FROM listings", name)


def lived(db: Database, seed: int) -> None:
    """Half a year of walks of all kinds, the last ones a while ago or of this day."""
    chance = random.Random(seed)  # noqa: S311
    db.run("DELETE FROM listing_names")
    db.run("DELETE FROM listings")
    at = db.now.seconds - chance.choice([100, 180, 300]) * DAY
    last = db.now.seconds - chance.choice([60, 40 * DAY, 85 * DAY, 95 * DAY])
    updated, walked = at - DAY, chance.sample(sorted(LISTS), chance.choice([1, 2, 2, 3, len(LISTS)]))
    ends = chance.sample(ENDS, chance.randint(1, 4))
    is_pushed, is_gone, longest = chance.choice([0.1, 0.5]), chance.choice([0, 0.1]), chance.choice([2, 9, 30]) * DAY
    while at < last:
        if chance.random() < is_pushed:
            updated = at - chance.randint(0, 3600)
        if chance.random() < is_gone:
            db.run("UPDATE listings SET subject_updated = NULL WHERE kind = 'tags'")
        key, end = chance.choice(walked), chance.choice(ends)
        names = ("acme/web", "acme/api") if key.startswith("search") and chance.random() < 0.1 else ()
        store(db, Row(key, at, end, chance.choice([updated] * 9 + [None])), *names)
        at += chance.randint(60, longest)


# Whoever asks for walks, by the name of its statement, and what it asks.
Asked = Iterator[tuple[Any, ...]]


def each(statement: statements.Statement, *parameters: tuple[Any, ...]) -> Callable[[Connection], Asked]:
    return lambda connection: ((row, *statement.all(connection, row)) for row in parameters)


def readers(db: Database) -> dict[str, Callable[[Connection], Asked]]:
    """Every statement that reads walks, with what it may be asked."""
    keys, kinds = sorted(LISTS), sorted(SUBJECTS.items())
    times = [instant(db.now.seconds - days * DAY) for days in (0, 10, 45, 89, 92, 120, 200, 365)]
    # A repository's date runs on: what is asked is whether a walk has seen the present one.
    present = db.value("SELECT max(subject_updated) FROM listings")
    # One that is under way, and those that a page that is tried again goes on with.
    [newest] = db.one("SELECT COALESCE(max(id), 0) FROM listings")
    cut = instant(db.now.seconds - 90 * DAY)
    open_ids = [newest + 1, *[row[0] for row in db.all("SELECT id FROM listings WHERE finished_at >= ?", cut)]]
    facts_of = Args(subject="", tags="newest:5")
    since = instant(db.now.seconds - facts.LOOKED_BACK_S)
    return {
        "absences._IS_LISTED": lambda c: ((at, absences._IS_LISTED.first(c, (REPOSITORY, "x", at))) for at in times),
        "cadences._LAST_WALK": each(cadences._LAST_WALK, ("web",)),
        "cadences._OF_SEARCH": lambda c: ((cadences._hits(c, "web"),) for _ in "1"),
        "facts._CHANGES": lambda c: ((facts.facts_of(c, [REPOSITORY], facts_of, db.now),) for _ in "1"),
        "facts._HITS": each(facts._HITS, ("web",)),
        "facts._REPORTED": lambda c: ((kind, facts.reported(c, kind, [subject])) for kind, subject in kinds),
        "facts._WALKED_AGAIN": each(facts._WALKED_AGAIN, (since, 100_000, 300)),
        "facts._WALKS": lambda c: ((row,) for row in statements.select_in(c, facts._WALKS, keys)),
        "freshness._LAST_WALK": each(freshness._LAST_WALK, (REPOSITORY,)),
        "freshness._SAME_WALK": each(freshness._SAME_WALK, *[(key, present, True) for key in keys]),
        "freshness._WALK": each(freshness._WALK, *[(key, at) for key in keys for at in times]),
        "holes._CENSUS": each(holes._CENSUS, *[(REPOSITORY, at) for at in times]),
        "holes._WALK_KEY": each(holes._WALK_KEY, (REPOSITORY,)),
        "listings._HAD_ROWS": each(listings._HAD_ROWS, *[(key,) for key in keys]),
        "listings._OPEN": each(listings._OPEN, *[(key,) for key in keys]),
        "reads._RUN_INCOMPLETE": lambda c: ((at, reads.incomplete_of_run(c, 1, at)) for at in times),
        "stops._BEFORE": each(stops._BEFORE, *[(key, one) for key in keys for one in open_ids]),
        "stops._LAST_WALK": each(stops._LAST_WALK, *[(REPOSITORY, one) for one in open_ids]),
        "tag_changes._BASELINE": each(tag_changes._BASELINE, (1,)),
        "tag_changes._NAMES_KNOWN": each(tag_changes._NAMES_KNOWN, (1, True)),
        "vanishing._LIST_OF_PASS": each(vanishing._LIST_OF_PASS, *[("acme", at) for at in times]),
        "vanishing._WALKS_OF_PASS": each(vanishing._WALKS_OF_PASS, *[(NEWEST_ROWS, at) for at in times]),
        "walk_events._BEFORE": each(
            walk_events._BEFORE, *[(*one, listing, True) for one in kinds for listing in open_ids]
        ),
        "walk_events._WALKED_WHOLE": each(walk_events._WALKED_WHOLE, *[(*one, True) for one in kinds]),
    }


ABOUT_ONE = {
    *("listings._COMPLETE", "vanishing._LISTING", "walk_events._LISTING"),
    *("forgetting._LISTINGS", "forgetting._STRAY_LISTINGS", "listings._FORGET_OLD_NAMES", "retention._IS_OVER"),
    *("retention._LISTINGS", "retention._NEWEST_LISTING", "future._REPOSITORIES"),
}
"""These read a walk that has just ended, or look for walks in order to remove or mend them, and whatever has names."""


def test_no_statement_that_reads_walks_was_overlooked(db: Database) -> None:
    found = set()
    for module in pkgutil.iter_modules(harvester.store.__path__):
        held = vars(importlib.import_module(f"harvester.store.{module.name}"))
        for name, value in held.items():
            sql = value._sql if isinstance(value, statements.Statement) else value
            if (
                isinstance(sql, str)
                and re.search(r"\b(FROM|JOIN) listings\b", sql)
                and "DELETE FROM listings" not in sql
            ):
                found.add(f"{module.name}.{name}")
    assert found == ABOUT_ONE | set(readers(db))


def answers(db: Database) -> dict[str, Any]:
    asked = readers(db)
    with db.reader.begin() as connection:
        said: dict[str, Any] = {name: list(ask(connection)) for name, ask in asked.items()}
    said["v_incomplete"] = db.all("SELECT * FROM v_incomplete ORDER BY 1, 2, 6")
    said["the clock"] = db.all("SELECT max(started_at), max(finished_at), max(id) FROM listings")
    said["names"] = db.all(
        "SELECT l.walk_key, l.id, n.name FROM listing_names n JOIN listings l ON l.id = n.listing_id"
    )
    return said


@pytest.fixture
def known(db: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """With the repository, and an unfinished run that has walked all lists."""
    monkeypatch.setattr(retention, "LOOKED_BACK", NEWEST_ROWS)
    db.keep(seen(REPOSITORY), seen("acme/api"))
    db.begin_run("one", *[NewJob("tags.page", f"{key}:1", Args(subject=REPOSITORY)) for key in LISTS])
    return db


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_whoever_asks_for_walks_gets_the_same_answer_as_before(known: Database, seed: int) -> None:
    lived(known, seed)
    db = known
    young = db.all("SELECT * FROM listings WHERE finished_at IS NULL OR finished_at >= ?", db.in_s(-90 * DAY))
    number = db.value("SELECT count(*) FROM listings")
    before = answers(db)
    removed = tidy(db, "listings").removed["listings"]
    after = answers(db)
    assert {name: (before[name], after[name]) for name in before if before[name] != after[name]} == {}
    assert db.value("SELECT count(*) FROM listings") == number - removed
    assert db.all("SELECT * FROM listings WHERE finished_at IS NULL OR finished_at >= ?", db.in_s(-90 * DAY)) == young
    assert tidy(db, "listings").removed == {"listings": 0}


WHOLE, SHORT, EMPTY = ("end", 10, 10), ("end", 9, 10), ("end", 0, 0)
KNOWN, NOT_ALL = ("known", 3, 10), ("known", 3, 9)


@pytest.mark.parametrize(
    ("ends", "stay"),
    [
        ([WHOLE], "0"),
        ([WHOLE] * 2, "01"),
        ([WHOLE] * 4, "03"),
        ([WHOLE] * 3 + [("error", 0, None)] + [WHOLE] * 3, "036"),
        ([("error", 0, None), ("error", 0, 10)] * 3, "0145"),
        ([KNOWN, NOT_ALL] * 3, "0145"),
        ([EMPTY, WHOLE, EMPTY, EMPTY], "013"),
        ([SHORT] * 4, "0123"),
        ([WHOLE, WHOLE, (None, 4, 10), (None, 4, 10), WHOLE], "0234"),
    ],
)
def test_the_first_and_the_last_walk_of_each_end_stay(
    known: Database, ends: list[tuple[str | None, int, int | None]], stay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOOKED_BACK", 0)
    long_ago = known.now.seconds - 200 * DAY
    for number, end in enumerate(ends):
        store(known, Row(ALL, long_ago + number * DAY, end, long_ago - DAY))
    tidy(known, "listings")
    assert "".join(str(row[0] - 1) for row in known.all("SELECT id FROM listings ORDER BY id")) == stay


def test_a_walk_that_saw_less_goes_when_the_repository_has_been_pushed_to_since(known: Database) -> None:
    long_ago = known.now.seconds - 200 * DAY
    for number in range(6):
        store(known, Row(ALL, long_ago + number * DAY, SHORT, long_ago + number // 3 * DAY))
    store(known, Row(NAMES, known.now.seconds, WHOLE, None))
    assert tidy(known, "listings").removed == {"listings": 2}
    assert known.all("SELECT id FROM listings WHERE walk_key = ? ORDER BY id", ALL) == [(1,), (4,), (5,), (6,)]


def test_walks_without_a_date_do_not_stand_for_those_with_one(known: Database) -> None:
    long_ago = known.now.seconds - 200 * DAY
    for number in range(6):
        store(known, Row(ALL, long_ago + number * DAY, WHOLE, long_ago if number < 3 else None))
    for _ in range(3):
        store(known, Row(NAMES, known.now.seconds, WHOLE, None))
    tidy(known, "listings")
    assert known.all("SELECT id FROM listings WHERE walk_key = ? ORDER BY id", ALL) == [(1,), (3,), (4,), (6,)]


def test_a_walk_of_which_a_page_was_tried_again_lately_is_not_old(known: Database) -> None:
    long_ago = known.now.seconds - 200 * DAY
    for number in range(8):
        store(known, Row(ALL, long_ago + number * DAY, ("error", 4, 10), None))
    known.run("UPDATE listings SET finished_at = ? WHERE id = 3", known.in_s(-89 * DAY))
    assert tidy(known, "listings").removed == {"listings": 3}
    assert known.value("SELECT count(*) FROM listings WHERE id = 3") == 1


def test_many_walks_go_in_steps_and_those_that_are_kept_for_ever_are_not_looked_at(known: Database) -> None:
    long_ago = known.now.seconds - 200 * DAY
    rows = ((*[instant(long_ago + number)] * 2, f"tags.page:a/r{number % 50}:all") for number in range(3 * AT_ONCE))
    with known.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO listings (kind, subject, started_at, finished_at, rows, reported_count, stop_reason, is_complete, refused,"
            " walk_key) VALUES ('tags', 'a/r', ?, ?, 3, 3, 'end', 1, 0, ?)",
            list(rows),
        )
    assert tidy(known, keep=replace(KEEP, listings_s=None)).removed.get("listings") is None
    assert tidy(known, "listings").removed == {"listings": 3 * AT_ONCE - 2 * 50}
    assert known.value("SELECT count(DISTINCT walk_key) FROM listings") == 50
