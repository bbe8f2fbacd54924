"""Repositories and their pull counts, as they are kept over time."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harvester.clock import instant
from harvester.records import Absent, RepositorySeen
from harvester.store.moment import Moment
from harvester.store.repositories import store_repositories
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, seen, tag, tags

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "pull-history.json.gz"
MOST_BYTES_PER_ROW = 24


def history(db: Database) -> list[tuple[Any, ...]]:
    return db.all("SELECT observed_at - ?, pull_count FROM pull_history ORDER BY 1", NOW)


def test_first_seen_stays_and_last_seen_moves(db: Database) -> None:
    db.keep(seen())
    db.clock.advance(100)
    db.keep(seen())
    assert db.one("SELECT first_seen_at, last_seen_at FROM repositories") == (db.in_s(-100), db.now.text)


def test_ids_never_change(db: Database) -> None:
    db.keep(seen(), tags(tag("latest", 1)))
    before = db.all("SELECT r.id, t.id FROM repositories r JOIN tags t ON t.repository_id = r.id")
    db.clock.advance(100)
    db.keep(seen(pull_count=8), tags(tag("latest", 2)))
    assert db.all("SELECT r.id, t.id FROM repositories r JOIN tags t ON t.repository_id = r.id") == before


def test_nothing_known_is_overwritten_by_nothing(db: Database) -> None:
    db.keep(seen(description="web", star_count=3, is_private=False, status=1, categories="[]", storage_size=0))
    db.clock.advance(1)
    db.keep(seen(source="listing"))
    kept = db.one("SELECT description, star_count, is_private, status, categories, storage_size FROM repositories")
    assert kept == ("web", 3, 0, 1, "[]", 0)


def test_what_is_known_is_overwritten_by_what_is_new_zero_and_empty_text_included(db: Database) -> None:
    db.keep(seen(description="web", star_count=3))
    db.clock.advance(1)
    db.keep(seen(description="", star_count=0, pull_count=0))
    assert db.one("SELECT description, star_count, pull_count FROM repositories") == ("", 0, 0)


REGISTERED = "2015-01-01T00:00:00Z"


def test_an_older_observation_fills_in_what_no_newer_one_said_and_changes_nothing_else(db: Database) -> None:
    db.keep(seen(pull_count=9, description="new", date_registered=REGISTERED))
    columns = "SELECT description, pull_count, last_seen_at, gone_at FROM repositories"
    before = db.one(columns)
    late = seen(pull_count=1, description="old", full_description="long", date_registered=REGISTERED)
    db.keep(late, at=NOW - 60)
    assert db.one(columns) == before
    assert db.one("SELECT full_description, first_seen_at FROM repositories") == ("long", instant(NOW - 60))


def test_an_older_observation_of_another_registration_fills_in_nothing(db: Database) -> None:
    db.keep(seen(date_registered="2026-11-01T00:00:00Z"))
    before = db.one("SELECT * FROM repositories")
    db.keep(seen(full_description="of somebody else", date_registered=REGISTERED), at=NOW - 60)
    assert db.one("SELECT * FROM repositories") == before


def test_a_late_answer_brings_back_no_repository_that_has_gone_since(db: Database) -> None:
    db.keep(seen(), at=NOW - 200)
    for at in (NOW - 10, NOW):
        db.keep(Absent(repository=NGINX), at=at)
    assert db.value("SELECT gone_at FROM repositories") == instant(NOW)
    db.keep(seen(), at=NOW - 100)
    assert db.value("SELECT gone_at FROM repositories") == instant(NOW)
    assert db.value("SELECT count(*) FROM absences") == 1
    db.keep(seen(), at=NOW + 100)
    assert db.value("SELECT gone_at FROM repositories") is None


def test_one_repository_seen_by_search_listing_and_detail_is_one_row(db: Database) -> None:
    for source in ("search", "listing", "detail"):
        db.keep(seen(source=source))
    db.keep(tags(tag("latest", 1)))
    assert db.one("SELECT full_name, is_official FROM repositories") == (NGINX, 1)


def test_only_a_detail_counts_as_a_detail(db: Database) -> None:
    db.keep(seen(source="listing", last_modified="2026-01-01T00:00:00Z"))
    assert db.one("SELECT detailed_at, detail_last_modified FROM repositories") == (None, None)
    db.keep(seen(last_modified="2026-01-02T00:00:00Z"))
    found = db.one("SELECT detailed_at, detail_last_modified FROM repositories")
    assert found == (db.now.text, "2026-01-02T00:00:00Z")


@pytest.mark.parametrize(("source", "is_revived"), [("detail", True), ("listing", True), ("search", False)])
def test_a_gone_repository_is_revived_by_proof_and_never_by_a_search(
    db: Database, source: str, is_revived: bool
) -> None:
    db.keep(seen())
    db.run("UPDATE repositories SET gone_at = ?", db.now.text)
    db.clock.advance(10)
    db.keep(seen(source=source))
    assert (db.value("SELECT gone_at FROM repositories") is None) is is_revived


def test_the_first_pull_count_of_a_utc_day_is_kept(db: Database) -> None:
    midnight = NOW + 8 * 3600
    for moment, count in ((NOW, 100), (NOW + 60, 101), (midnight - 1, 102), (midnight, 103), (midnight + 1, 104)):
        db.keep(seen(pull_count=count), at=moment)
    assert history(db) == [(0, 100), (8 * 3600, 103)]
    assert db.value("SELECT pull_count FROM repositories") == 104


def test_decreases_and_counts_beyond_32_bits_are_kept(db: Database) -> None:
    counts = [2_147_483_647, 4_344_853_773, 2**62, 2**63 - 1, 3974, 0]
    for day, count in enumerate(counts):
        db.keep(seen(pull_count=count), at=NOW + day * DAY)
    assert [count for _, count in history(db)] == counts


def test_the_source_of_an_observation_is_kept(db: Database) -> None:
    for day, source in enumerate(("detail", "listing", "search")):
        db.keep(seen(source=source), at=NOW + day * DAY)
    assert db.all("SELECT source FROM v_pull_history ORDER BY observed_at") == [("detail",), ("listing",), ("search",)]


def synthetic() -> Iterator[tuple[int, list[RepositorySeen]]]:
    """500 repositories, 200 days: 100,000 observations, day by day as a harvester writes them."""
    for day in range(200):
        rows = [
            seen(f"a/r{number}", pull_count=1_000_000 * number + 7919 * day, star_count=number % 900)
            for number in range(500)
        ]
        yield NOW + day * DAY + day * 37 % 3600, rows


def recorded() -> Iterator[tuple[int, list[RepositorySeen]]]:
    """The recorded series, every sample; only the first of a day may be kept."""
    with gzip.open(RECORDED, "rt") as file:
        series = json.load(file)["series"]
    samples: dict[int, list[RepositorySeen]] = {}
    for one in series:
        for when, count in one["points"]:
            stamp = when if "T" in when else f"{when}T12:00:00Z"
            moment = int(datetime.fromisoformat(stamp).timestamp())
            samples.setdefault(moment, []).append(seen(one["repository"], pull_count=count, star_count=100))
    yield from sorted(samples.items())


def bytes_per_row(db: Database) -> float:
    rows = db.value("SELECT count(*) FROM pull_history")
    assert rows > 5_000
    return float(db.value("SELECT sum(pgsize) FROM dbstat WHERE name = 'pull_history'")) / float(rows)


def test_an_observation_takes_at_most_24_bytes_where_many_repositories_are_observed_day_by_day(db: Database) -> None:
    with db.engine.begin() as connection:
        for moment, rows in synthetic():
            store_repositories(connection, [row.repository for row in rows], Moment.of(moment))
    assert db.value("SELECT count(*) FROM pull_history") == 100_000
    assert bytes_per_row(db) <= MOST_BYTES_PER_ROW


@pytest.mark.skipif(not RECORDED.is_file(), reason="no recorded series here")
def test_the_recorded_series_are_kept_one_count_a_day_in_full_width_and_24_bytes(db: Database) -> None:
    days: dict[tuple[str, int], int] = {}
    with db.engine.begin() as connection:
        for moment, rows in recorded():
            store_repositories(connection, [row.repository for row in rows], Moment.of(moment))
            for row in rows:
                days.setdefault((row.repository.full_name, moment // DAY), row.repository.pull_count)
    found = db.all(
        "SELECT r.full_name, p.observed_at / 86400, p.pull_count FROM pull_history p"
        " JOIN repositories r ON r.id = p.repository_id"
    )
    assert {(name, day): count for name, day, count in found} == days
    assert max(days.values()) > 2**32
    assert bytes_per_row(db) <= MOST_BYTES_PER_ROW
