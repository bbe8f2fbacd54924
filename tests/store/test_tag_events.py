"""Events of tags: silent at first sight, once for each change, with the evidence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harvester.records import Absent, NamesSeen, Tag
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, digest, platform, seen, step, tag, tags

BEFORE = "2026-11-01T00:00:00Z"
SINCE = "2026-11-21T00:00:00Z"


def shown(name: str, number: int, *platforms: Any, pushed: str = BEFORE, **changes: Any) -> Tag:
    return tag(name, number, *platforms, last_pushed=pushed, last_updater="ada", **changes)


def walked(db: Database, *of_page: Tag, at: float = NOW, stop: str = "end", count: int | None = None) -> None:
    """A walk of all tags, seen whole unless told otherwise."""
    end = step(is_first=True, stop_reason=stop, reported_count=count or len(of_page), updated=BEFORE)
    db.keep(seen(), tags(*of_page), end, at=at)


def events(db: Database) -> list[str]:
    rows = db.all("SELECT e.kind, t.name FROM events e LEFT JOIN tags t ON t.id = e.tag_id ORDER BY e.id")
    return [f"{kind} {name}" for kind, name in rows]


def detail(db: Database, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(db.value("SELECT detail FROM events WHERE kind = ?", kind))
    return found


def test_the_first_sight_of_a_repository_is_silent_however_many_pages_it_has(db: Database) -> None:
    db.keep(seen(), tags(shown("a", 1)), step(is_first=True, stop_reason=None, reported_count=2, updated=BEFORE))
    db.keep(tags(shown("b", 2)), step(is_first=False, stop_reason="end", reported_count=2, updated=BEFORE))
    assert db.value("SELECT is_complete FROM listings") == 1
    assert events(db) == []


def test_a_tag_that_a_complete_walk_did_not_show_is_new(db: Database) -> None:
    walked(db, shown("a", 1))
    for _ in range(2):
        walked(db, shown("a", 1), shown("b", 2, pushed=SINCE), at=NOW + DAY)
    assert events(db) == ["tag.new b"]
    assert detail(db, "tag.new") == {"digest": digest(2), "pushed_at": SINCE}
    assert db.one("SELECT happened_at, rank FROM events") == (SINCE, 3)


def test_a_tag_that_an_incomplete_walk_left_out_is_new_to_the_complete_one_before(db: Database) -> None:
    walked(db, shown("a", 1))
    walked(db, shown("a", 1), count=2, at=NOW + DAY)
    walked(db, shown("a", 1), shown("b", 2, pushed=BEFORE), at=NOW + 2 * DAY)
    assert events(db) == ["tag.new b"]


@pytest.mark.parametrize(("pushed", "expected"), [(SINCE, ["tag.new b"]), (BEFORE, [])], ids=["pushed since", "older"])
def test_beyond_a_wall_a_tag_is_new_only_if_it_was_pushed_since(db: Database, pushed: str, expected: list[str]) -> None:
    walked(db, shown("a", 1), stop="wall", count=9)
    walked(db, shown("a", 1), shown("b", 2, pushed=pushed), stop="wall", count=9, at=NOW + DAY)
    assert events(db) == expected


def test_an_old_tag_that_is_pushed_again_is_not_new_where_a_policy_left_it_out(db: Database) -> None:
    walked(db, shown("c", 3), shown("b", 2), stop="policy", count=9)
    walked(db, shown("a", 1, pushed=SINCE), shown("c", 3), stop="policy", count=9, at=NOW + DAY)
    assert events(db) == []


def test_a_tag_whose_name_the_first_census_knew_is_not_new_when_it_is_described(db: Database) -> None:
    walked(db, shown("a", 1), stop="wall", count=9)
    names = step(is_first=True, walk="names", kind="tag_names", stop_reason="end", reported_count=2)
    db.keep(NamesSeen(repository=NGINX, names=("a", "hole")), names, at=NOW + 60)
    walked(db, shown("a", 1), shown("hole", 2, pushed=SINCE), stop="wall", count=9, at=NOW + DAY)
    assert events(db) == []


@pytest.mark.parametrize("days", [(0, 1), (1,)], ids=["a later census", "the first one, after a complete walk"])
def test_a_tag_that_a_census_names_first_is_new_when_it_is_described(db: Database, days: tuple[int, ...]) -> None:
    walked(db, shown("a", 1))
    for day in days:
        listed = ("a", "b")[: day + 1]
        names = step(is_first=True, walk="names", kind="tag_names", stop_reason="end", reported_count=len(listed))
        db.keep(NamesSeen(repository=NGINX, names=listed), names, at=NOW + 60 + day * DAY)
    assert events(db) == [], "a name alone tells of no push"
    walked(db, shown("a", 1), shown("b", 2, pushed=SINCE), at=NOW + DAY + 70)
    assert events(db) == ["tag.new b"]


def test_a_tag_asked_for_by_name_is_silent_at_first_sight_and_told_when_it_moves(db: Database) -> None:
    db.keep(tags(shown("latest", 1), source="detail"))
    assert events(db) == []
    for _ in range(2):
        db.keep(tags(shown("latest", 2, pushed=SINCE), source="detail"), at=NOW + DAY)
    assert events(db) == ["tag.moved latest"]
    assert detail(db, "tag.moved") == {
        "digest_before": digest(1),
        "digest": digest(2),
        "last_updater_before": "ada",
        "last_updater": "ada",
        "pushed_at": SINCE,
        "last_seen_before": db.now.text,
    }


@pytest.mark.parametrize(
    ("name", "is_overwritten"),
    [("1.27.3", True), ("v1.27.3-alpine", True), ("1.27", False), ("latest", False), ("bookworm", False)],
)
def test_a_version_that_points_elsewhere_is_overwritten(db: Database, name: str, is_overwritten: bool) -> None:
    db.keep(tags(shown(name, 1)))
    db.keep(tags(shown(name, 2)), at=NOW + DAY)
    assert events(db) == [f"tag.moved {name}", *([f"tag.overwritten {name}"] if is_overwritten else [])]
    assert db.value("SELECT min(rank) FROM events") == (1 if is_overwritten else 3)


@pytest.mark.parametrize("number", [1, 2], ids=["same digest", "another"])
def test_another_pusher_is_told_whatever_was_pushed(db: Database, number: int) -> None:
    db.keep(tags(shown("latest", 1)))
    db.keep(tags(tag("latest", number, last_pushed=SINCE, last_updater="mallory")), at=NOW + DAY)
    db.keep(tags(tag("latest", number, last_pushed=SINCE, last_updater="mallory")), at=NOW + 2 * DAY)
    assert [event for event in events(db) if "pusher" in event] == ["tag.pusher_changed latest"]
    found = detail(db, "tag.pusher_changed")
    assert (found["last_updater_before"], found["last_updater"]) == ("ada", "mallory")


def test_platforms_that_a_move_lost_are_named(db: Database) -> None:
    arm = {"architecture": "arm64", "variant": "v8"}
    attestation = {"kind": "attestation", "os": "unknown", "architecture": "unknown"}
    db.keep(tags(shown("latest", 1, platform(10), platform(11, **arm), platform(12, **attestation))))
    db.keep(tags(shown("latest", 2, platform(20))), at=NOW + DAY)
    assert detail(db, "tag.platforms_lost")["platforms_lost"] == ["linux/arm64/v8"]


def test_a_move_that_shows_no_images_lost_none(db: Database) -> None:
    db.keep(tags(shown("latest", 1, platform(10))))
    db.keep(tags(shown("latest", 2)), at=NOW + DAY)
    assert events(db) == ["tag.moved latest"]


@pytest.mark.parametrize(
    ("before", "now", "has_jumped"),
    [
        (10_000_000, 20_000_001, True),
        (20_000_001, 10_000_000, True),
        (10_000_000, 20_000_000, False),
        (1_000, 900_000, False),
        (0, 90_000_000, False),
        (None, 90_000_000, False),
    ],
)
def test_a_size_that_jumped(db: Database, before: int | None, now: int, has_jumped: bool) -> None:
    db.keep(tags(shown("latest", 1, full_size=before)))
    db.keep(tags(shown("latest", 2, full_size=now)), at=NOW + DAY)
    assert ("tag.size_jumped latest" in events(db)) is has_jumped


def test_a_tag_that_goes_and_comes_back_with_something_else(db: Database) -> None:
    walked(db, shown("1.27.3", 1), shown("a", 9))
    absent = Absent(repository=NGINX, tag="1.27.3")
    for day in (1, 2, 3):
        db.keep(absent, at=NOW + day * DAY)
    assert events(db) == ["tag.gone 1.27.3"]
    assert detail(db, "tag.gone")["digest_before"] == digest(1)
    for day in (4, 5):
        walked(db, shown("1.27.3", 2, pushed=SINCE), shown("a", 9), at=NOW + day * DAY)
    assert events(db) == ["tag.gone 1.27.3", "tag.returned 1.27.3", "tag.overwritten 1.27.3"]
    assert detail(db, "tag.returned")["digest_before"] == digest(1)


def test_a_tag_that_comes_back_by_name_is_told_when_it_is_described(db: Database) -> None:
    walked(db, shown("1.27.3", 1), shown("a", 9))
    for day in (1, 2):
        db.keep(Absent(repository=NGINX, tag="1.27.3"), at=NOW + day * DAY)
    names = step(is_first=True, walk="names", kind="tag_names", stop_reason="end", reported_count=2)
    db.keep(NamesSeen(repository=NGINX, names=("1.27.3", "a")), names, at=NOW + 3 * DAY)
    assert events(db) == ["tag.gone 1.27.3"]
    walked(db, shown("1.27.3", 2, pushed=SINCE), shown("a", 9), at=NOW + 3 * DAY + 60)
    assert events(db) == ["tag.gone 1.27.3", "tag.returned 1.27.3", "tag.overwritten 1.27.3"]
    told = detail(db, "tag.returned")
    assert told["digest_before"] == digest(1)
    assert [text[:10] for text in (told["last_seen_before"], told["gone_since"])] == ["2026-11-20", "2026-11-22"]


def test_a_repository_that_goes_takes_its_tags_along_without_a_word_of_each(db: Database) -> None:
    walked(db, shown("a", 1), shown("b", 2))
    for day in (1, 2):
        db.keep(Absent(repository=NGINX), at=NOW + day * DAY)
    assert db.value("SELECT count(*) FROM tags WHERE gone_at IS NULL") == 0
    assert not [event for event in events(db) if event.startswith("tag.")]
    walked(db, shown("a", 1), shown("b", 3, pushed=SINCE), shown("c", 4, pushed=SINCE), at=NOW + 3 * DAY)
    assert not [event for event in events(db) if event.startswith("tag.")], (
        "what it shows on its return is a first sight"
    )


def test_a_late_answer_is_no_event(db: Database) -> None:
    db.keep(tags(shown("latest", 1)), at=NOW + DAY)
    db.keep(tags(shown("latest", 2)), at=NOW)
    assert events(db) == []
