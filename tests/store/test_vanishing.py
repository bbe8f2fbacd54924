"""What a namespace lacks: asked for by name, believed by the second 404, and never where a third of it is missing at once."""

from __future__ import annotations

import pytest

from harvester.store.vanishing import ASKED_AT_ONCE, SAMPLED
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import seen, tag, tags
from tests.store.spaces import REGISTERED, events, gone, kinds, listed, missing, names, row, space_missing

ALL = names(*range(1, 11))


@pytest.fixture(autouse=True)
def _known(db: Database) -> None:
    listed(db, ALL, day=-1)


def test_what_a_complete_list_lacks_is_asked_for_and_goes_by_the_second_404(db: Database) -> None:
    assert listed(db, ALL[1:], day=0) == ALL[:1]
    assert gone(db) == []
    missing(db, ALL[0], day=0)
    assert gone(db) == []
    assert listed(db, ALL[1:], day=1) == ALL[:1]
    missing(db, ALL[0], day=1)
    assert gone(db) == ALL[:1]
    assert listed(db, ALL[1:], day=2) == [], "what is gone is asked for no more"
    assert kinds(db) == [("repository.gone", ALL[0])]


def test_going_leaves_the_last_known_state_as_evidence_and_takes_the_tags_along(db: Database) -> None:
    db.keep(seen(ALL[0], pull_count=41), tags(tag("latest", 1), tag("1", 1), repository=ALL[0]))
    listed(db, ALL[1:], day=1)
    missing(db, ALL[0], day=1)
    missing(db, ALL[0], day=2)
    missing(db, ALL[0], day=3)
    assert events(db, "repository.gone") == [
        (
            "repository.gone",
            ALL[0],
            {
                "pull_count": 41,
                "tags": 2,
                "last_seen_before": db.now.text,
                "first_missing_at": db.in_s(DAY),
                "passes": 2,
                "date_registered": REGISTERED,
            },
        )
    ]
    assert db.value("SELECT count(*) FROM tags WHERE gone_at IS NULL") == 0


def test_a_list_that_is_not_complete_says_nothing_of_what_it_lacks(db: Database) -> None:
    assert listed(db, ALL[1:], day=0, count=10) == []
    assert listed(db, ALL[1:], day=1, stop_reason="wall") == []
    assert listed(db, ALL[1:], day=2, refused=1) == []
    assert listed(db, ALL[1:], day=3, stop_reason="policy") == []
    assert db.value("SELECT count(*) FROM absences") == 0


def test_a_list_that_was_read_without_a_login_says_nothing_of_private_ones(db: Database) -> None:
    db.keep(seen(ALL[0], is_private=True))
    db.keep(seen(ALL[1], is_private=False))
    assert listed(db, ALL[2:], day=1) == [ALL[1]]
    assert listed(db, ALL[2:], day=2, identity="account") == ALL[:2]


def test_what_was_seen_since_the_walk_began_is_not_missing(db: Database) -> None:
    db.keep(seen(ALL[0]), at=NOW + 1)
    assert listed(db, ALL[1:], day=0) == []


def test_what_was_seen_in_the_second_in_which_the_walk_began_may_be_missing(db: Database) -> None:
    """A pass may begin within the second in which the one before it ended."""
    db.keep(seen(ALL[0]))
    assert listed(db, ALL[1:], day=0) == ALL[:1]


def test_a_list_that_lacks_it_is_no_404(db: Database) -> None:
    for day in range(6):
        listed(db, ALL[1:], day=day)
    assert gone(db) == []
    missing(db, ALL[0], day=6)
    assert gone(db) == [], "the first 404 is a first one, whatever the list lacked before"


def test_an_answer_by_name_takes_the_suspicion_back(db: Database) -> None:
    listed(db, ALL[1:], day=0)
    db.keep(seen(ALL[0]))
    assert db.value("SELECT count(*) FROM absences") == 0


def test_only_so_many_are_asked_for_in_one_pass_and_the_confirmed_make_room(db: Database) -> None:
    many = names(*range(1, 100)) + [f"acme/s{number:03}" for number in range(400)]
    listed(db, many, day=0)
    lacking = 120
    asked = listed(db, many[lacking:], day=1)
    assert len(asked) == ASKED_AT_ONCE
    missing(db, *asked, day=1)
    again = listed(db, many[lacking:], day=2)
    assert again == asked, "what answered 404 is confirmed first"
    missing(db, *again, day=2)
    assert gone(db) == asked
    assert listed(db, many[lacking:], day=3) == sorted(set(many[:lacking]) - set(asked))


def test_a_third_of_a_namespace_at_once_is_an_alarm_and_no_fact(db: Database) -> None:
    assert listed(db, ALL[4:], day=0) == ALL[:4]
    missing(db, *ALL[:4], day=0)
    listed(db, ALL[4:], day=1)
    missing(db, *ALL[:4], day=1)
    assert gone(db) == []
    assert events(db) == [
        ("namespace.vanishing", None, {"namespace": "acme", "missing": 4, "known": 10, "sample": ALL[:4]})
    ]
    assert db.value("SELECT rank FROM events") == 1


@pytest.mark.parametrize(
    ("known", "lost", "is_alarm"),
    [(9, 3, True), (6, 2, True), (2, 2, True), (7, 2, False), (10, 3, False), (2, 1, False)],
)
def test_a_third_and_two_at_the_least_are_an_alarm(db: Database, known: int, lost: int, is_alarm: bool) -> None:
    db.run("UPDATE repositories SET gone_at = ? WHERE full_name > ?", db.now.text, ALL[known - 1])
    listed(db, ALL[:known], day=0)
    for day in (1, 2):
        listed(db, ALL[lost:known], day=day)
        missing(db, *ALL[:lost], day=day)
    assert gone(db) == [*([] if is_alarm else ALL[:lost]), *ALL[known:]]
    assert ("namespace.vanishing" in {kind for kind, _ in kinds(db)}) is is_alarm


def test_an_alarm_that_lasts_four_passes_over_three_days_becomes_a_fact(db: Database) -> None:
    for day in (0, 1, 2):
        listed(db, ALL[5:], day=day)
        missing(db, *ALL[:5], day=day)
        assert gone(db) == []
    listed(db, ALL[5:], day=3)
    missing(db, *ALL[:5], day=3)
    assert gone(db) == ALL[:5]
    assert [kind for kind, _ in kinds(db)] == ["namespace.vanishing"] + ["repository.gone"] * 5


def test_four_passes_within_a_day_are_not_enough(db: Database) -> None:
    for day in (0, 0.2, 0.4, 0.6, 0.8):
        listed(db, ALL[5:], day=day)
        missing(db, *ALL[:5], day=day)
    assert gone(db) == []


def test_three_days_with_three_passes_are_not_enough(db: Database) -> None:
    for day in (0, 2, 4):
        missing(db, *ALL[:5], day=day)
    assert gone(db) == []


def test_an_alarm_asks_for_ten_by_name_until_it_has_lasted(db: Database) -> None:
    many = names(*range(1, 61))
    listed(db, many, day=0)
    sampled = set()
    for day in (1, 2, 3):
        asked = listed(db, many[40:], day=day)
        assert len(asked) == SAMPLED
        sampled.update(asked)
        missing(db, *asked, day=day)
    assert len(sampled) == SAMPLED, "the same ones, to gather evidence"
    asked = listed(db, many[40:], day=4)
    assert len(asked) == 40
    missing(db, *asked, day=4)
    assert set(gone(db)) == sampled, "the others have answered 404 in one pass only"
    missing(db, *listed(db, many[40:], day=5), day=5)
    assert gone(db) == many[:40]
    assert [kind for kind, _ in kinds(db)].count("namespace.vanishing") == 1


def test_an_alarm_ends_when_they_are_there_again_and_the_next_one_is_told_of(db: Database) -> None:
    for day in (0, 1, 2):
        listed(db, ALL[5:], day=day)
        missing(db, *ALL[:5], day=day)
    listed(db, ALL, day=2.5)
    assert db.value("SELECT count(*) FROM absences") == 0
    for day in (3, 4, 5):
        listed(db, ALL[5:], day=day)
        missing(db, *ALL[:5], day=day)
    assert gone(db) == []
    assert [kind for kind, _ in kinds(db)] == ["namespace.vanishing"] * 2


def test_repositories_named_one_by_one_raise_the_alarm_too(db: Database) -> None:
    for day in (0, 1, 2):
        missing(db, *ALL[:4], day=day)
    assert gone(db) == []
    assert kinds(db) == [("namespace.vanishing", None)]
    missing(db, *ALL[:4], day=3)
    assert gone(db) == ALL[:4]


def test_a_namespace_that_answers_404_is_an_alarm(db: Database) -> None:
    many = names(*range(1, 31))
    listed(db, many, day=-0.5)
    asked = space_missing(db, day=0)
    assert len(asked) == SAMPLED
    missing(db, *asked, day=0)
    missing(db, *space_missing(db, day=1), day=1)
    assert gone(db) == []
    [(_, _, detail)] = events(db, "namespace.%")
    assert (detail["missing"], detail["known"]) == (30, 30)
    for day in (2, 3, 4):
        missing(db, *space_missing(db, day=day), day=day)
    assert gone(db) == many


def test_a_namespace_of_one_goes_as_one_repository_does(db: Database) -> None:
    db.run("UPDATE repositories SET gone_at = ? WHERE full_name > ?", db.now.text, ALL[0])
    assert space_missing(db, day=0) == ALL[:1]
    missing(db, ALL[0], day=0)
    missing(db, *space_missing(db, day=1), day=1)
    assert gone(db) == ALL
    assert [kind for kind, _ in kinds(db)] == ["repository.gone"]


def test_the_404_of_a_namespace_long_ago_does_not_shorten_the_alarm(db: Database) -> None:
    db.run("INSERT INTO absences VALUES ('acme/*', ?, ?, 9)", db.in_s(-30 * DAY), db.in_s(-20 * DAY))
    listed(db, ALL, day=0)
    missing(db, *space_missing(db, day=1), day=1)
    missing(db, *space_missing(db, day=2), day=2)
    assert gone(db) == []
    assert kinds(db) == [("namespace.vanishing", None)]


def test_an_empty_list_is_not_believed_and_asks_for_a_sample(db: Database) -> None:
    asked = listed(db, [], day=0)
    assert asked == ALL
    missing(db, *asked, day=0)
    missing(db, *listed(db, [], day=1), day=1)
    assert gone(db) == []
    assert [kind for kind, _ in kinds(db)].count("namespace.vanishing") == 1


def test_a_404_does_not_count_in_a_pass_in_which_the_list_fails(db: Database) -> None:
    missing(db, ALL[0], day=0)
    listed(db, ALL[1:], day=1, stop_reason="error")
    missing(db, ALL[0], day=1)
    assert gone(db) == []
    missing(db, ALL[0], day=2)
    assert gone(db) == ALL[:1], "nothing speaks against this one"


def test_a_run_of_404s_of_many_namespaces_is_not_believed_while_nothing_else_is_answered(db: Database) -> None:
    alone = [f"owner{number}/tool" for number in range(12)]
    for one in alone:
        db.keep(row(one))
    missing(db, *alone, day=1)
    missing(db, *alone, day=2)
    assert gone(db) == []
    missing(db, *alone, day=3)
    missing(db, *alone, day=4.1)
    assert gone(db) == sorted(alone), "in four passes over three days"


def test_a_run_of_404s_is_believed_where_much_else_is_answered(db: Database) -> None:
    alone = [f"owner{number}/tool" for number in range(12)]
    for one in alone:
        db.keep(row(one))
    missing(db, *alone, day=1)
    for number in range(6):
        listed(db, ALL, day=2 + number / 10000)
    missing(db, *alone, day=2)
    assert gone(db) == sorted(alone)


def test_a_404_that_is_older_than_what_is_stored_says_nothing(db: Database) -> None:
    db.keep(seen(ALL[0]))
    missing(db, ALL[0], day=-0.5)
    assert db.value("SELECT count(*) FROM absences") == 0


def test_a_repeated_harvest_tells_nothing_twice(db: Database) -> None:
    for day in (0, 0, 1, 1, 2, 2, 3, 3, 4):
        listed(db, ALL[5:], day=day)
        missing(db, *ALL[:5], day=day)
        missing(db, *ALL[:5], day=day)
    assert [kind for kind, _ in kinds(db)] == ["namespace.vanishing"] + ["repository.gone"] * 5
