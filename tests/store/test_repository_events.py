"""What repositories and walks of lists tell: silent at first sight, once afterwards."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from harvester.events import sentence
from harvester.jobs import Args, Dead, Done, Harvest, namespace_page
from harvester.records import Drifted, Refused
from harvester.store import queue
from harvester.store.sightings import is_deprecated
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, seen, step, tag, tags
from tests.store.spaces import REGISTERED, events, kinds, listed, missing, names, row

CATALOG = Path(__file__).parents[3] / "shared" / "data" / "catalog-2024.json.gz"
WEB = "acme/r01"


# New.


def test_a_repository_is_new_where_its_list_was_seen_whole_before(db: Database) -> None:
    listed(db, names(1, 2), day=0)
    assert kinds(db) == []
    listed(db, [*names(1, 2), row("acme/r03", date_registered="2026-11-20T17:00:00Z")], day=1)
    evidence = {
        "list": "namespace",
        "subject": "acme",
        "not_there_at": db.now.text,
        "date_registered": "2026-11-20T17:00:00Z",
        "pull_count": 7,
    }
    assert events(db) == [("repository.new", "acme/r03", evidence)]
    assert db.value("SELECT happened_at FROM events") == "2026-11-20T17:00:00Z"
    listed(db, names(1, 2, 3), day=2)
    assert len(events(db)) == 1


def test_a_list_that_was_never_seen_whole_has_nothing_new(db: Database) -> None:
    listed(db, names(1, 2), day=0, stop_reason="wall", count=9)
    listed(db, names(1, 2, 3), day=1)
    assert "repository.new" not in {kind for kind, _ in kinds(db)}


def test_a_list_of_two_pages_has_nothing_new_on_its_second(db: Database) -> None:
    listed(db, names(1, 2), day=0, count=4, stop_reason=None, next_page="page=2")
    listed(db, names(3, 4), day=0, is_first=False)
    assert kinds(db) == []


def test_a_repository_that_was_asked_for_by_name_is_not_new(db: Database) -> None:
    listed(db, names(1, 2), day=0)
    db.keep(seen("acme/r03"), at=NOW + 1)
    listed(db, names(1, 2, 3), day=1)
    assert kinds(db) == []


def test_a_list_of_something_else_says_nothing(db: Database) -> None:
    listed(db, names(1, 2), day=0)
    listed(db, ["other/r01"], day=1, subject="other", walk="namespace.page:other")
    assert kinds(db) == []


# Returned.


def test_a_return_is_told_once_and_a_search_is_no_return(db: Database) -> None:
    db.keep(seen(WEB, date_registered=REGISTERED))
    missing(db, WEB, day=1)
    missing(db, WEB, day=2)
    db.keep(seen(WEB, source="search"), at=NOW + 3 * DAY)
    assert db.value("SELECT gone_at IS NOT NULL FROM repositories")
    for later in (4, 4, 5):
        db.keep(seen(WEB, pull_count=8, date_registered=REGISTERED), at=NOW + later * DAY)
    assert kinds(db) == [("repository.gone", WEB), ("repository.returned", WEB)]
    [_, (_, _, detail)] = events(db)
    assert (detail["gone_since"], detail["pull_count_before"], detail["pull_count"]) == (db.in_s(2 * DAY + 1), 7, 8)


def test_an_answer_from_before_it_went_does_not_bring_it_back(db: Database) -> None:
    db.keep(seen(WEB))
    missing(db, WEB, day=1)
    missing(db, WEB, day=2)
    db.keep(seen(WEB), at=NOW + 1.5 * DAY)
    assert db.value("SELECT gone_at FROM repositories") == db.in_s(2 * DAY + 1)
    assert kinds(db) == [("repository.gone", WEB)]


def test_an_answer_from_before_a_404_does_not_take_it_back(db: Database) -> None:
    db.keep(seen(WEB))
    missing(db, WEB, day=1)
    db.keep(seen(WEB), at=NOW + 0.5 * DAY)
    assert db.value("SELECT passes FROM absences") == 1


# Described.


def test_another_description_is_told_once_with_both_texts(db: Database) -> None:
    db.keep(row(WEB, description="a door"))
    for later in (1, 2, 3):
        db.keep(row(WEB, description="a gate", last_modified="2026-11-20T00:00:00Z"), at=NOW + later)
    detail = {"description_before": "a door", "description": "a gate"}
    assert events(db) == [("repository.described", WEB, detail)]
    assert db.value("SELECT happened_at FROM events") == "2026-11-20T00:00:00Z"


def test_of_the_long_description_the_lengths_are_told(db: Database) -> None:
    db.keep(seen(WEB, date_registered=REGISTERED, full_description="x" * 20_000))
    db.keep(seen(WEB, date_registered=REGISTERED, full_description="y" * 21_000), at=NOW + 1)
    detail = {"full_description_length_before": 20_000, "full_description_length": 21_000}
    assert events(db) == [("repository.described", WEB, detail)]


def test_a_description_that_becomes_known_or_is_not_said_or_is_older_is_no_change(db: Database) -> None:
    db.keep(row(WEB))
    db.keep(row(WEB, description="a door"), at=NOW + 10)
    db.keep(row(WEB), at=NOW + 20)
    db.keep(row(WEB, description="a gate"), at=NOW + 5)
    assert kinds(db) == []
    assert db.value("SELECT description FROM repositories") == "a door"


def test_what_a_search_says_is_no_change_and_changes_nothing(db: Database) -> None:
    db.keep(seen(WEB, source="search", description="as it was"))
    assert db.value("SELECT description FROM repositories") == "as it was"
    db.keep(row(WEB, description="a door"), at=NOW + 1)
    db.keep(seen(WEB, source="search", description="as it was"), at=NOW + 2)
    db.keep(row(WEB, description="a door"), at=NOW + 3)
    assert kinds(db) == []
    assert db.value("SELECT description FROM repositories") == "a door"


# Deprecated.


def test_a_description_that_begins_to_say_deprecated_is_told_once(db: Database) -> None:
    texts = ["PHP web server", 'DEPRECATED; use "php" instead', "DEPRECATED; use php instead", "Back", "DEPRECATED; no"]
    for later, text in enumerate(texts):
        db.keep(row(WEB, description=text), at=NOW + later)
    assert [kind for kind, _ in kinds(db)].count("repository.described") == 4
    evidence = {"said_by": "description", "text": texts[1]}
    assert events(db, "repository.deprecated") == [("repository.deprecated", WEB, evidence)]


def test_the_long_description_may_say_so_and_the_short_one_then_says_nothing_new(db: Database) -> None:
    notice = (
        "<!--\nThis file is generated\n-->\n\n# **DEPRECATION NOTICE**\n\nThis image is deprecated in favor of another."
    )
    db.keep(seen(WEB, date_registered=REGISTERED, description="a door", full_description="# door"))
    db.keep(seen(WEB, date_registered=REGISTERED, description="a door", full_description=notice), at=NOW + 1)
    db.keep(row(WEB, description="DEPRECATED; a door"), at=NOW + 2)
    [(_, _, detail)] = events(db, "repository.deprecated")
    assert detail["said_by"] == "full_description"
    assert detail["text"].startswith("# **DEPRECATION NOTICE**")


def test_a_long_description_that_said_so_at_first_sight_makes_the_short_one_no_news(db: Database) -> None:
    db.keep(seen(WEB, date_registered=REGISTERED, description="a door", full_description="# DEPRECATION NOTICE"))
    db.keep(row(WEB, description="DEPRECATED; a door"), at=NOW + 1)
    assert kinds(db) == [("repository.described", WEB)]


def test_what_is_deprecated_at_first_sight_is_silent(db: Database) -> None:
    db.keep(row(WEB, description="DEPRECATED; a door"))
    db.keep(row(WEB, description="DEPRECATED; a gate"), at=NOW + 1)
    assert kinds(db) == [("repository.described", WEB)]


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ('DEPRECATED (upstream); use "traefik" instead', True),
        ("[DEPRECATED] The project has been renamed", True),
        ("\U0001f6d1 DEPRECATED Bitnami container image", True),
        ("**Deprecated**: Image for", True),
        ("DEPRECATION NOTICE: This image", True),
        ("TO_BE_DEPRECATED please start using", False),
        ("This repo will be deprecated in 6.0", False),
        ("Deprecatedness of things", False),
        ("", False),
        (None, False),
    ],
)
def test_how_deprecation_is_said(text: str | None, is_so: bool) -> None:
    assert is_deprecated(text) is is_so


@pytest.mark.skipif(not CATALOG.is_file(), reason="no recorded catalogue here")
def test_the_recorded_official_images_that_are_deprecated_are_found_and_no_others() -> None:
    snapshots = json.loads(gzip.decompress(CATALOG.read_bytes()))["snapshots"]
    official = {r["name"]: r["description"] for s in snapshots for r in s["repositories"] if r["is_official"]}
    found = {name for name, text in official.items() if is_deprecated(text)}
    assert found == {name for name, text in official.items() if "deprecated" in (text or "").lower()}
    assert len(found) > 30


# Lists cut short.


def cut(db: Database) -> list[tuple[str, str]]:
    return [(detail["stop_reason_before"], detail["stop_reason"]) for _, _, detail in events(db, "listing.cut_short")]


def test_a_walk_that_is_cut_short_after_a_whole_one_is_told_once_per_change(db: Database) -> None:
    listed(db, names(1, 2), day=0)
    for day, reason in enumerate(["wall", "wall", "denied", "denied", "wall"], 1):
        listed(db, names(1), day=day, count=2, stop_reason=reason)
    assert cut(db) == [("end", "wall"), ("wall", "denied"), ("denied", "wall")]
    listed(db, names(1, 2), day=6)
    listed(db, names(1), day=7, count=2, stop_reason="wall")
    assert cut(db)[3:] == [("end", "wall")]
    [_, _, _, (_, _, detail)] = events(db, "listing.cut_short")
    assert (detail["kind"], detail["subject"], detail["rows"], detail["reported_count"]) == ("namespace", "acme", 1, 2)
    assert (detail["is_complete_before"], detail["rows_before"], detail["reported_count_before"]) == (True, 2, 2)


@pytest.mark.parametrize("reason", ["wall", "error", "throttled"])
def test_the_first_walk_of_a_list_is_silent(db: Database, reason: str) -> None:
    listed(db, names(1), day=0, count=2, stop_reason=reason)
    assert kinds(db) == []


def test_policy_and_what_is_known_are_no_cuts_and_hide_none(db: Database) -> None:
    db.keep(tags(tag("1", 1)), step(is_first=True, reported_count=5, stop_reason="wall"))
    for later, reason in ((10, "policy"), (20, "known"), (30, "wall")):
        db.keep(tags(tag("1", 1)), step(is_first=True, reported_count=5, stop_reason=reason), at=NOW + later)
    assert kinds(db) == []


def test_a_page_that_dies_twice_in_one_walk_is_told_once(db: Database) -> None:
    listed(db, names(1, 2), day=-1)
    db.begin_run("a", namespace_page(Args(subject="acme", page=2, query="page=2")))
    listed(db, names(1), day=0, count=2, stop_reason=None, next_page="page=2")
    walk = namespace_page(Args(subject="acme")).key.removesuffix(":1")
    ending = step(is_first=False, walk=walk, kind="namespace", subject="acme", stop_reason="error")
    for _ in range(2):
        page = db.claim_one()
        db.end(page, Dead("Drift: why", Harvest(records=(ending,))))
        with db.engine.begin() as connection:
            assert queue.revive(connection, page.id, db.now)
    assert cut(db) == [("end", "error")]
    page = db.claim_one()
    db.end(page, Done(Harvest()))


# Drift.


def drift(number: int, *, reason: str = "not a tag", subject: str = NGINX) -> Drifted:
    refused = Refused(path=f"$.results[{number}].name", reason=reason, sample="{}")
    return Drifted(subject=subject, url="/v2/x", refused=refused)


def test_a_broken_field_is_told_once_a_week_for_each_subject_and_reason(db: Database) -> None:
    db.keep(seen())
    db.keep(drift(0), drift(1), drift(7))
    for day in (1, 6):
        db.keep(drift(3), at=NOW + day * DAY)
    [(kind, full_name, detail)] = events(db)
    assert (kind, full_name, detail["rows"], detail["path"]) == ("drift", NGINX, 3, "$.results[0].name")
    db.keep(drift(0, reason="too large"), drift(0, subject="library/redis"), at=NOW + 10)
    assert len(events(db)) == 3
    db.keep(drift(0), at=NOW + 8 * DAY)
    assert len(events(db)) == 4


# As they are told to people: by the names that the evidence really has.


def said(db: Database) -> list[str]:
    return [sentence(kind, detail) for kind, _, detail in events(db)]


def test_another_description_is_said_with_both_texts(db: Database) -> None:
    db.keep(row(WEB, description="a door"))
    db.keep(row(WEB, description="DEPRECATED; use a gate"), at=NOW + 1)
    assert said(db) == ['"DEPRECATED; use a gate", was "a door"', '"DEPRECATED; use a gate"']


def test_another_long_description_is_not_said_to_be_none(db: Database) -> None:
    for later, text in enumerate(("x" * 20_000, "y" * 21_000)):
        db.keep(seen(WEB, date_registered=REGISTERED, full_description=text), at=NOW + later)
    assert said(db) == ["full description of 21,000 characters, was 20,000"]


def test_a_return_is_said_with_its_counts(db: Database) -> None:
    db.keep(seen(WEB, date_registered=REGISTERED))
    missing(db, WEB, day=1)
    missing(db, WEB, day=2)
    db.keep(seen(WEB, pull_count=8, date_registered=REGISTERED), at=NOW + 3 * DAY)
    assert said(db)[1] == (
        f"8 pulls (before: 7), gone since {db.in_s(2 * DAY + 1)}, last seen {db.now.text}, registered {REGISTERED}"
    )


def test_a_list_cut_short_is_said_with_its_reason(db: Database) -> None:
    listed(db, names(1, 2), day=0)
    listed(db, names(1), day=1, stop_reason="wall", count=9)
    assert said(db) == ["namespace, 1 of 9 rows, ended by wall"]
