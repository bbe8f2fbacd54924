"""What answered 404: a first time, again, and no longer."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.clock import instant
from harvester.records import Absent
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, digest, seen, tag, tags

REPOSITORY = Absent(repository=NGINX)
LATEST = Absent(repository=NGINX, tag="latest")


@pytest.fixture(autouse=True)
def _known(db: Database) -> None:
    db.keep(seen(), tags(tag("latest", 1), tag("1.27", 1)), at=NOW - DAY)


def missing(db: Database, absent: Absent, day: float, *, pass_began: float | None = None) -> None:
    """A 404 on that day, met in a pass that began a minute before it or when said."""
    began = day * DAY - 60 if pass_began is None else pass_began * DAY
    db.keep(absent, at=NOW + day * DAY, fresh_after=instant(NOW + began))


def gone(db: Database) -> tuple[Any, list[str]]:
    """When the repository went, and which of its tags are gone."""
    names = db.all("SELECT name FROM tags WHERE gone_at IS NOT NULL ORDER BY name")
    return db.value("SELECT gone_at FROM repositories"), [row[0] for row in names]


def test_a_first_404_is_remembered_and_changes_nothing(db: Database) -> None:
    missing(db, REPOSITORY, 0)
    assert gone(db) == (None, [])
    found = db.one("SELECT subject, first_missing_at, last_missing_at, passes FROM absences")
    assert found == (NGINX, db.now.text, db.now.text, 1)


def test_a_second_404_of_the_same_pass_changes_nothing(db: Database) -> None:
    missing(db, REPOSITORY, 0)
    missing(db, REPOSITORY, 1, pass_began=-1)
    assert gone(db) == (None, [])
    assert db.value("SELECT passes FROM absences") == 1


def test_a_second_404_in_a_later_pass_makes_a_repository_gone_and_closes_its_tags(db: Database) -> None:
    missing(db, REPOSITORY, 0)
    missing(db, REPOSITORY, 1)
    assert gone(db) == (db.in_s(DAY), ["1.27", "latest"])
    intervals = db.all("SELECT digest, seen_from - ?, seen_until - ? FROM tag_history ORDER BY tag_id, 2", NOW, NOW)
    assert intervals == [(digest(1), -DAY, DAY), (None, DAY, None)] * 2
    vanished = db.all("SELECT kind, tag, last_digest FROM v_vanished ORDER BY kind, tag")
    assert vanished == [("repository", None, None), ("tag", "1.27", digest(1)), ("tag", "latest", digest(1))]


def test_a_third_404_does_not_move_the_time_at_which_it_went(db: Database) -> None:
    for day in (0, 1, 2):
        missing(db, REPOSITORY, day)
    assert gone(db)[0] == db.in_s(DAY)
    assert db.value("SELECT count(*) FROM tag_history") == 4


def test_a_tag_goes_alone(db: Database) -> None:
    missing(db, LATEST, 0)
    missing(db, LATEST, 1)
    assert gone(db) == (None, ["latest"])


def test_the_404_of_a_tag_and_that_of_its_repository_are_two_things(db: Database) -> None:
    missing(db, LATEST, 0)
    missing(db, REPOSITORY, 1)
    assert gone(db) == (None, [])


def test_a_name_that_was_never_known_is_remembered_without_a_row(db: Database) -> None:
    for day in (0, 1):
        missing(db, Absent(repository="library/never"), day)
    assert db.value("SELECT passes FROM absences") == 2
    assert db.value("SELECT count(*) FROM repositories") == 1


def test_a_later_answer_revives_a_repository_and_starts_the_count_again(db: Database) -> None:
    missing(db, REPOSITORY, 0)
    missing(db, REPOSITORY, 1)
    db.keep(seen(), at=NOW + 2 * DAY)
    assert gone(db) == (None, ["1.27", "latest"]), "the tags are not proven yet"
    missing(db, REPOSITORY, 3)
    assert gone(db)[0] is None, "one 404 after an answer is a first one"


def test_a_search_result_is_no_answer_about_an_absence(db: Database) -> None:
    missing(db, REPOSITORY, 0)
    db.keep(seen(source="search"), at=NOW + DAY / 2)
    missing(db, REPOSITORY, 1)
    assert gone(db)[0] == db.in_s(DAY)


def test_a_later_answer_revives_a_tag(db: Database) -> None:
    missing(db, LATEST, 0)
    missing(db, LATEST, 1)
    db.keep(tags(tag("latest", 1)), at=NOW + 2 * DAY)
    assert gone(db) == (None, [])


@pytest.mark.parametrize("source", ["listing", "detail"])
def test_one_404_of_a_tag_after_an_answer_is_a_first_one_again(db: Database, source: str) -> None:
    missing(db, LATEST, 0)
    db.keep(tags(tag("latest", 1), source=source), at=NOW + DAY)
    missing(db, LATEST, 2)
    assert gone(db) == (None, [])


def test_a_tag_that_its_list_shows_is_not_gone_because_its_layers_are_not_there(db: Database) -> None:
    for day in (0, 1, 2):
        db.keep(tags(tag("latest", 1)), at=NOW + day * DAY)
        missing(db, LATEST, day + 0.001)
    assert gone(db) == (None, [])


def test_nothing_but_404_makes_anything_gone(db: Database) -> None:
    for day in range(5):
        db.keep(tags(), at=NOW + day * DAY)
    assert gone(db) == (None, [])


def test_tags_that_were_seen_after_their_repository_had_gone_are_closed_by_the_next_404(db: Database) -> None:
    for day in (0, 1):
        missing(db, REPOSITORY, day)
    db.keep(tags(tag("latest", 1)), at=NOW + DAY + 10)
    assert gone(db)[1] == ["1.27"]
    missing(db, REPOSITORY, 1.001, pass_began=1)
    assert gone(db)[1] == ["1.27"], "in the same pass the two contradict one another"
    missing(db, REPOSITORY, 2)
    assert gone(db)[1] == ["1.27", "latest"]
