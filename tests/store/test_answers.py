"""The questions of `whois` and `events`: digests by their beginning, places in their order, events as they are asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harvester.events import NewEvent
from harvester.records import Absent, LayersSeen
from harvester.store import answers
from harvester.store.change_log import append_events
from tests.store.clocks import NOW
from tests.store.database import Database
from tests.store.makers import NGINX, digest, image, layer, platform, tag, tags


def matching(db: Database, prefix: str, most: int = 10) -> list[str]:
    with db.reader.begin() as connection:
        return answers.matching(connection, prefix, most)


def places(db: Database, number: int, most: int = answers.NO_LIMIT) -> answers.Places:
    with db.reader.begin() as connection:
        return answers.places(connection, digest(number), most)


def changes(db: Database, since: float, **values: Any) -> answers.Changes:
    asked: dict[str, Any] = {"rank": 3, "passes": lambda change: True} | values
    with db.reader.begin() as connection:
        return answers.changes(connection, db.in_s(since), **asked)


def test_a_digest_of_any_kind_is_found_by_its_beginning(db: Database) -> None:
    def named(letter: str) -> str:
        return f"sha256:{letter * 64}"

    db.run("INSERT INTO images (digest, kind, config_digest) VALUES (?, 'image', ?)", named("a"), named("b"))
    db.run("INSERT INTO layers (digest, first_seen_at) VALUES (?, ?)", named("c"), db.now.text)
    db.run("INSERT INTO indexes (digest) VALUES (?)", named("d"))
    db.keep(tags(tag("latest", 1)))
    for letter in "abcd":
        assert matching(db, f"sha256:{letter * 12}") == [named(letter)]
        assert matching(db, named(letter)) == [named(letter)]
    assert matching(db, "sha256:000000000000") == [digest(1)]
    assert matching(db, "sha256:") == [digest(1), *map(named, "abcd")]
    assert matching(db, "sha256:", 2) == [digest(1), named("a")]
    assert matching(db, "sha256:ab") == []


def test_a_digest_in_several_tables_is_one(db: Database) -> None:
    db.keep(tags(tag("latest", 2, platform(2))))
    assert matching(db, digest(2)) == [digest(2)]


def test_what_is_still_so_comes_first_then_the_names(db: Database) -> None:
    db.keep(tags(*[tag(name, 1) for name in "cab"]))
    db.keep(tags(tag("a", 2)), at=NOW + 10)
    found = places(db, 1)
    assert [(one.tag, one.until) for one in found.shown] == [("b", None), ("c", None), ("a", db.in_s(10))]
    assert found.total == 3


def test_all_places_are_counted_however_few_are_shown(db: Database) -> None:
    db.keep(tags(*[tag(f"t{number:02}", 1) for number in range(30)]))
    found = places(db, 1, 4)
    assert (found.total, [one.tag for one in found.shown]) == (30, ["t00", "t01", "t02", "t03"])
    assert places(db, 2) == answers.Places(0, [])


def test_a_place_says_all_that_is_known_of_it(db: Database) -> None:
    arm = platform(3, architecture="arm64", variant="v8")
    for at in (NOW, NOW + 5):
        latest = tag("latest", 1, platform(2), arm, last_pushed="2026-11-20T15:00:00Z", last_updater="me")
        db.keep(tags(latest), at=at)
    both = (image(2, layer(20)), image(3, layer(20), platform=arm))
    db.keep(LayersSeen(repository=NGINX, tag="latest", tag_digest=digest(1), images=both))
    for at in (NOW + 50, NOW + 100):
        db.keep(Absent(repository=NGINX, tag="latest"), at=at)
    [one] = places(db, 20).shown
    assert one == answers.Place(
        kind="layer",
        repository=NGINX,
        tag="latest",
        platforms=["linux/amd64", "linux/arm64/v8"],
        first_seen=db.now.text,
        last_seen=db.in_s(5),
        until=db.in_s(100),
        ended="gone",
        pushed_at="2026-11-20T15:00:00Z",
        last_updater="me",
    )


@pytest.fixture
def logged(db: Database) -> Database:
    db.keep(tags(tag("latest", 1)))
    [repository_id] = db.one("SELECT id FROM repositories")
    [tag_id] = db.one("SELECT id FROM tags")
    kinds = ["tag.moved", "tag.gone", "tag.overwritten", "tag.moved", "repository.described"]
    for minute, kind in enumerate(kinds):
        db.clock.set_wall(NOW + 60 * minute)
        of_tag = tag_id if kind.startswith("tag") else None
        with db.engine.begin() as connection:
            new = NewEvent(kind=kind, repository_id=repository_id, tag_id=of_tag, detail={"n": minute})
            append_events(connection, [new], db.now)
    db.clock.set_wall(NOW)
    return db


def test_the_most_urgent_events_come_first_then_the_newest(logged: Database) -> None:
    found = changes(logged, 0)
    assert [(one.rank, one.kind, one.detail["n"]) for one in found.shown] == [
        (1, "tag.overwritten", 2),
        (2, "tag.gone", 1),
        (3, "repository.described", 4),
        (3, "tag.moved", 3),
        (3, "tag.moved", 0),
    ]
    first, described = found.shown[0], found.shown[2]
    assert (first.repository, first.tag, first.observed_at) == (NGINX, "latest", logged.in_s(120))
    assert (described.repository, described.tag) == (NGINX, None)


ASKED: dict[str, tuple[float, dict[str, Any], int, list[int]]] = {
    "since then": (60, {}, 4, [2, 1, 4, 3]),
    "since later": (61, {}, 3, [2, 4, 3]),
    "of a rank": (0, {"rank": 2}, 2, [2, 1]),
    "few": (0, {"most": 2}, 5, [2, 1]),
    "of a kind": (0, {"passes": lambda change: change.kind == "tag.moved"}, 2, [3, 0]),
    "few of a kind": (0, {"passes": lambda change: change.kind == "tag.moved", "most": 1}, 2, [3]),
}


@pytest.mark.parametrize("asked", ASKED)
def test_events_are_those_that_were_asked_for(logged: Database, asked: str) -> None:
    since, values, total, shown = ASKED[asked]
    found = changes(logged, since, **values)
    assert (found.total, [one.detail["n"] for one in found.shown]) == (total, shown)


def test_two_events_of_one_second_keep_the_newest_first(db: Database) -> None:
    with db.engine.begin() as connection:
        append_events(connection, [NewEvent(kind="drift", detail={"n": n}) for n in range(3)], db.now)
    assert [one.detail["n"] for one in changes(db, 0).shown] == [2, 1, 0]


@pytest.mark.parametrize("stored", ["[1, 2]", '"text"', "5"])
def test_evidence_of_another_shape_is_kept(db: Database, stored: str) -> None:
    db.run("INSERT INTO events (observed_at, kind, detail) VALUES (?, 'drift', ?)", db.now.text, stored)
    assert changes(db, 0).shown[0].detail == {"detail": json.loads(stored)}
