"""Names that are registered anew: what they were before is kept apart, and nothing of it is left in what they are now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harvester.jobs import Args, repository
from harvester.records import NamesSeen
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import digest, seen, step, tag, tags
from tests.store.spaces import REGISTERED, events, kinds, listed, missing, names, row

WEB = "acme/r01"
ANEW = "2026-11-19T08:00:00Z"
EARLIER = "2015-05-05T05:05:05Z"
OTHERS = names(*range(2, 13))
WALK = f"tags.page:{WEB}:all:latest:free"


@pytest.fixture(autouse=True)
def _known(db: Database) -> None:
    """One repository among others of its namespace, with all that can be known of it."""
    listed(db, [WEB, *OTHERS], day=-2)
    db.keep(web(date_registered=REGISTERED), at=NOW - DAY)
    db.keep(
        tags(tag("latest", 1), tag("1.0", 1), repository=WEB),
        step(
            is_first=True,
            walk=WALK,
            subject=WEB,
            reported_count=2,
            stop_reason="end",
            updated="2026-11-01T00:00:00Z",
        ),
        at=NOW - DAY,
    )


def web(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "pull_count": 5000,
        "star_count": 9,
        "description": "The front door",
        "full_description": "# web",
        "hub_user": "alice",
        "categories": '[{"name":"Web","slug":"web"}]',
        "storage_size": 123,
        "last_modified": "2024-10-16T13:48:34Z",
        "last_updated": "2026-11-01T00:00:00Z",
    }
    return seen(WEB, **(values | changes))


def stored(db: Database) -> dict[str, Any]:
    with db.reader.begin() as connection:
        found = connection.exec_driver_sql("SELECT * FROM repositories WHERE full_name = ?", (WEB,))
        return dict(found.mappings().one())


def chapters(db: Database) -> list[tuple[Any, ...]]:
    return db.all(
        "SELECT chapter, first_seen_at, last_seen_at, ended_at, date_registered FROM chapters ORDER BY chapter"
    )


@pytest.mark.parametrize("source", ["detail", "listing"])
def test_a_later_registration_begins_a_chapter_and_keeps_the_last_state_of_the_old_one(
    db: Database, source: str
) -> None:
    before = stored(db)
    db.keep(seen(WEB, source=source, pull_count=3, date_registered=ANEW))
    with db.reader.begin() as connection:
        [chapter] = [dict(one) for one in connection.exec_driver_sql("SELECT * FROM chapters").mappings()]
    assert chapter == {
        "repository_id": before["id"],
        "chapter": 1,
        "first_seen_at": before["first_seen_at"],
        "last_seen_at": before["last_seen_at"],
        "ended_at": db.now.text,
        "date_registered": REGISTERED,
        "hub_user": "alice",
        "description": "The front door",
        "pull_count": 5000,
        "star_count": 9,
        "tag_count": 2,
    }
    now = stored(db)
    assert (now["id"], now["chapter"], now["first_seen_at"]) == (before["id"], 2, before["first_seen_at"])
    assert (now["pull_count"], now["date_registered"]) == (3, ANEW)
    old = "description full_description hub_user categories storage_size star_count last_updated last_modified".split()
    assert {column: now[column] for column in old} == dict.fromkeys(old), "nothing of the old one is left"


def test_its_tags_are_closed_in_the_same_transaction_and_their_history_says_so(db: Database) -> None:
    db.keep(web(date_registered=ANEW))
    assert db.value("SELECT count(*) FROM tags WHERE gone_at IS NULL") == 0
    intervals = db.all("SELECT tag, digest, seen_until FROM v_tag_timeline ORDER BY tag, seen_from")
    assert intervals == [
        ("1.0", digest(1), db.now.text),
        ("1.0", None, None),
        ("latest", digest(1), db.now.text),
        ("latest", None, None),
    ]


def test_the_event_has_both_sides(db: Database) -> None:
    db.keep(web(date_registered=ANEW, pull_count=3, hub_user="mallory"))
    assert events(db) == [
        (
            "repository.replaced",
            WEB,
            {
                "chapter": 2,
                "date_registered_before": REGISTERED,
                "date_registered": ANEW,
                "hub_user_before": "alice",
                "hub_user": "mallory",
                "pull_count_before": 5000,
                "pull_count": 3,
                "tags_closed": 2,
                "last_seen_before": db.in_s(-DAY),
                "gone_since": None,
                "shown_by": "detail",
            },
        )
    ]
    assert db.one("SELECT rank, happened_at FROM events WHERE kind = 'repository.replaced'") == (1, ANEW)


def test_detail_and_tags_are_harvested_anew(db: Database) -> None:
    """The dates that would say that nothing has changed may well be the same."""
    known = Args(subject=WEB, modified="2024-10-16T13:48:34Z", updated="2026-11-01T00:00:00Z")
    db.add(repository(known), fresh_after=db.in_s(-60))
    [job] = db.claim()
    assert db.known([job]) == []
    db.run("DELETE FROM jobs")
    listed(db, [row(WEB, date_registered=ANEW), *map(row, OTHERS)], day=0)
    db.clock.advance(10)
    db.add(repository(known), fresh_after=db.in_s(-60))
    [job] = db.claim()
    assert db.known([job]) == [job]
    assert db.value("SELECT count(*) FROM listings WHERE kind = 'tags' AND subject_updated IS NOT NULL") == 0
    assert stored(db)["tags_walked_at"] is None


def test_seen_again_it_stays_in_its_chapter(db: Database) -> None:
    for later in range(3):
        db.keep(web(date_registered=ANEW), at=NOW + later)
    db.keep(seen(WEB, source="search", pull_count=1), at=NOW + 5)
    db.keep(seen(WEB, pull_count=1), at=NOW + 6)
    assert len(chapters(db)) == 1
    assert kinds(db) == [("repository.replaced", WEB)]


def test_each_chapter_begins_where_the_one_before_it_ended(db: Database) -> None:
    first = stored(db)["first_seen_at"]
    db.keep(web(date_registered=ANEW))
    db.keep(web(date_registered="2026-11-25T00:00:00Z"), at=NOW + 6 * DAY)
    assert chapters(db) == [
        (1, first, db.in_s(-DAY), db.now.text, REGISTERED),
        (2, db.now.text, db.now.text, db.in_s(6 * DAY), ANEW),
    ]
    assert stored(db)["chapter"] == 3


@pytest.mark.parametrize("age", [1, 3600])
def test_an_older_observation_never_begins_a_chapter(db: Database, age: int) -> None:
    db.keep(web(date_registered=REGISTERED))
    before = stored(db)
    db.keep(web(date_registered=ANEW, pull_count=1), at=NOW - age)
    assert (chapters(db), stored(db)) == ([], before)


def test_of_two_answers_within_one_second_neither_begins_a_chapter(db: Database) -> None:
    db.keep(web(date_registered=REGISTERED))
    before = stored(db)
    db.keep(web(date_registered=ANEW))
    assert (chapters(db), stored(db)) == ([], before)
    db.keep(web(date_registered=ANEW), at=NOW + 1)
    assert len(chapters(db)) == 1


def test_a_list_that_lags_behind_shows_nothing_and_has_the_detail_asked_for(db: Database) -> None:
    db.keep(web(date_registered=ANEW))
    db.keep(row(WEB, date_registered=REGISTERED, pull_count=1), at=NOW + 10)
    assert len(chapters(db)) == 1
    found = stored(db)
    assert (found["date_registered"], found["pull_count"], found["detail_last_modified"]) == (ANEW, 5000, None)


def test_a_repository_that_a_lagging_list_shows_is_not_missing_from_it(db: Database) -> None:
    db.keep(web(date_registered=ANEW))
    shown = [row(WEB, date_registered=REGISTERED), *map(row, OTHERS)]
    assert WEB in listed(db, shown, day=1) or db.value("SELECT count(*) FROM absences") == 0
    assert db.value("SELECT count(*) FROM absences") == 0


def test_a_detail_that_lags_behind_shows_nothing_for_a_day(db: Database) -> None:
    db.keep(web(date_registered=ANEW))
    db.keep(web(date_registered=REGISTERED), at=NOW + 3600)
    assert (len(chapters(db)), stored(db)["date_registered"]) == (1, ANEW)
    db.keep(web(date_registered=REGISTERED), at=NOW + DAY + 1)
    assert (len(chapters(db)), stored(db)["date_registered"]) == (2, REGISTERED)


def test_an_earlier_registration_that_was_never_seen_is_another_one_too(db: Database) -> None:
    db.keep(web(date_registered=EARLIER))
    assert stored(db)["chapter"] == 2


def test_what_only_a_search_has_shown_has_no_chapter_to_end(db: Database) -> None:
    db.keep(seen("acme/found", source="search"))
    db.keep(seen("acme/found", date_registered=ANEW), at=NOW + 1)
    assert chapters(db) == []
    assert kinds(db) == []


def test_what_was_gone_returns_by_the_same_date_and_is_replaced_by_another(db: Database) -> None:
    for name in (WEB, OTHERS[0]):
        missing(db, name, day=0)
        missing(db, name, day=1)
    db.keep(web(date_registered=REGISTERED), at=NOW + 2 * DAY)
    db.keep(row(OTHERS[0], date_registered=ANEW), at=NOW + 2 * DAY)
    assert kinds(db)[2:] == [("repository.returned", WEB), ("repository.replaced", OTHERS[0])]
    assert db.value("SELECT count(*) FROM repositories WHERE gone_at IS NOT NULL") == 0
    [detail] = [json.loads(one[0]) for one in db.all("SELECT detail FROM events WHERE kind = 'repository.replaced'")]
    assert (detail["gone_since"], detail["tags_closed"]) == (db.in_s(DAY + 1), 0)


def test_absences_of_old_tags_are_not_held_against_new_ones(db: Database) -> None:
    db.run("INSERT INTO absences VALUES (?, ?, ?, 1)", f"{WEB}:latest", db.in_s(-DAY), db.in_s(-DAY))
    db.keep(web(date_registered=ANEW))
    assert db.value("SELECT count(*) FROM absences") == 0


def test_a_third_of_a_namespace_with_other_dates_is_the_far_end_and_not_the_world(db: Database) -> None:
    everything = [WEB, *OTHERS]
    shown = [row(name, date_registered=ANEW, pull_count=99) for name in everything]
    listed(db, shown, day=0)
    assert chapters(db) == []
    assert db.all("SELECT DISTINCT date_registered, pull_count FROM repositories") == [(REGISTERED, 99)]
    [(kind, _, detail)] = events(db)
    assert kind == "drift"
    assert (detail["subject"], detail["rows"], detail["known"]) == ("acme", 12, 12)
    listed(db, shown, day=1)
    assert len(events(db)) == 1


def test_one_by_one_the_third_of_a_day_is_doubted(db: Database) -> None:
    db.run("UPDATE repositories SET gone_at = ? WHERE full_name > 'acme/r06'", db.now.text)
    for number, name in enumerate(names(1, 2, 3, 4), 1):
        db.keep(seen(name, date_registered=ANEW), at=NOW + number)
    assert db.value("SELECT count(*) FROM chapters") == 2
    assert [kind for kind, _ in kinds(db)] == ["repository.replaced"] * 2 + ["drift"]


def test_other_dates_of_a_third_that_last_three_days_are_believed(db: Database) -> None:
    shown = [row(name, date_registered=ANEW) for name in [WEB, *OTHERS]]
    for day in (0, 1, 2):
        listed(db, shown, day=day)
        assert chapters(db) == []
    listed(db, shown, day=3)
    assert len(chapters(db)) == 12


def test_what_was_gone_may_all_come_back_under_other_dates(db: Database) -> None:
    db.run("UPDATE repositories SET gone_at = ?", db.in_s(-1))
    listed(db, [row(name, date_registered=ANEW) for name in [WEB, *OTHERS]], day=0)
    assert len(chapters(db)) == 12


@pytest.mark.parametrize("is_gone", [False, True], ids=["registered anew", "gone"])
def test_what_a_late_page_shows_first_of_the_old_registration_ended_with_it(db: Database, is_gone: bool) -> None:
    if is_gone:
        missing(db, WEB, day=1)
        missing(db, WEB, day=2)
        at = NOW + 2 * DAY + 1
    else:
        at = NOW + DAY
        db.keep(web(date_registered=ANEW), at=at)
        end = step(is_first=True, walk=WALK, subject=WEB, reported_count=0, stop_reason="end", updated=ANEW)
        db.keep(tags(tag("new", 3), repository=WEB), end, at=at)
    before = db.all("SELECT kind FROM events")
    for _ in range(2):
        db.keep(tags(tag("old", 9), repository=WEB), at=at - 5)
    db.keep(NamesSeen(repository=WEB, names=("old", "older")), names_of(WEB), at=at - 4)
    assert db.one("SELECT gone_at FROM tags WHERE name = 'old'") == (db.in_s(at - NOW),)
    assert db.all(
        "SELECT seen_from, seen_until, h.digest FROM tag_history h JOIN tags t ON t.id = h.tag_id WHERE name = 'old'"
        " ORDER BY seen_from"
    ) == [(int(at) - 5, int(at), digest(9)), (int(at), None, None)]
    assert db.all("SELECT name FROM tags WHERE gone_at IS NULL") == ([] if is_gone else [("new",)])
    assert db.all("SELECT kind FROM events") == before


def names_of(full_name: str) -> Any:
    return step(
        is_first=True,
        walk=f"tag_names:{full_name}",
        kind="tag_names",
        subject=full_name,
        reported_count=2,
        stop_reason="end",
    )
