"""Tags, the images they point to, and the intervals of their history."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.clock import instant
from harvester.records import Absent, Platform
from tests.store.clocks import NOW
from tests.store.database import Database
from tests.store.makers import digest, platform, seen, tag, tags


def history(db: Database, name: str = "latest") -> list[tuple[Any, ...]]:
    """(digest's number, from, until), in seconds after the start."""
    rows = db.all(
        "SELECT h.digest, h.seen_from - ?, h.seen_until - ? FROM tag_history h JOIN tags t ON t.id = h.tag_id"
        " WHERE t.name = ? ORDER BY h.seen_from",
        NOW,
        NOW,
        name,
    )
    return [(digest and int(digest[7:], 16), since, until) for digest, since, until in rows]


def images_of(db: Database, name: str = "latest") -> list[int]:
    rows = db.all(
        "SELECT i.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id JOIN images i ON i.id = ti.image_id"
        " WHERE t.name = ? ORDER BY ti.position",
        name,
    )
    return [int(row[0][7:], 16) for row in rows]


def lose(db: Database, at: float) -> None:
    """Two 404s of the tag in two passes, the second at this time."""
    absent = Absent(repository="library/nginx", tag="latest")
    db.run("DELETE FROM absences")
    db.keep(absent, at=at - 5)
    db.keep(absent, at=at)


def test_a_new_tag_opens_an_interval(db: Database) -> None:
    db.keep(tags(tag("latest", 1, last_pushed="2026-11-20T15:59:00Z")))
    assert history(db) == [(1, 0, None)]
    assert db.one("SELECT pushed_at, source FROM tag_history") == (NOW - 60, "listing")


def test_a_moved_tag_closes_its_interval_and_opens_the_next(db: Database) -> None:
    db.keep(tags(tag("latest", 1)))
    db.keep(tags(tag("latest", 2), source="detail"), at=NOW + 100)
    assert history(db) == [(1, 0, 100), (2, 100, None)]
    assert db.value("SELECT digest FROM tags") == digest(2)


def test_the_same_digest_pushed_again_opens_nothing(db: Database) -> None:
    db.keep(tags(tag("latest", 1, last_pushed="2026-11-20T15:00:00Z")))
    db.keep(tags(tag("latest", 1, last_pushed="2026-11-20T15:30:00Z")), at=NOW + 100)
    assert history(db) == [(1, 0, None)]
    assert db.value("SELECT last_pushed FROM tags") == "2026-11-20T15:30:00Z"


def test_a_digest_that_comes_back_later_gets_an_interval_of_its_own(db: Database) -> None:
    for moment, number in ((0, 1), (100, 2), (200, 1)):
        db.keep(tags(tag("latest", number)), at=NOW + moment)
    assert history(db) == [(1, 0, 100), (2, 100, 200), (1, 200, None)]


def test_two_changes_in_one_second_end_as_one(db: Database) -> None:
    db.keep(tags(tag("latest", 1)))
    db.keep(tags(tag("latest", 2)), at=NOW + 100.1)
    db.keep(tags(tag("latest", 3)), at=NOW + 100.9)
    assert history(db) == [(1, 0, 100), (3, 100, None)]


def test_a_tag_that_went_and_came_back_has_the_gap_in_its_history(db: Database) -> None:
    db.keep(tags(tag("latest", 1)))
    lose(db, NOW + 100)
    assert history(db) == [(1, 0, 100), (None, 100, None)]
    db.keep(tags(tag("latest", 1)), at=NOW + 200)
    assert history(db) == [(1, 0, 100), (None, 100, 200), (1, 200, None)]
    assert db.value("SELECT gone_at FROM tags") is None


def test_a_tag_that_came_back_without_a_digest_is_not_shown_as_gone(db: Database) -> None:
    db.keep(tags(tag("latest", 1)))
    lose(db, NOW + 100)
    db.keep(tags(tag("latest")), at=NOW + 200)
    assert db.value("SELECT gone_at FROM tags") is None
    assert (None, 100, None) not in history(db)


def test_an_answer_without_a_digest_says_nothing_of_it(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2))))
    db.keep(tags(tag("latest")), at=NOW + 100)
    assert (history(db), images_of(db)) == ([(1, 0, None)], [2])
    assert db.value("SELECT digest FROM tags") == digest(1)


def test_a_digest_that_becomes_known_later_opens_the_first_interval(db: Database) -> None:
    db.keep(tags(tag("latest")))
    assert history(db) == []
    db.keep(tags(tag("latest", 1)), at=NOW + 100)
    assert history(db) == [(1, 100, None)]


def test_an_older_answer_fills_in_what_was_before_and_changes_nothing_newer(db: Database) -> None:
    db.keep(tags(tag("latest", 2, platform(20))), at=NOW + 100)
    now = "SELECT digest, last_seen_at, gone_at FROM tags"
    before = db.one(now)
    db.keep(tags(tag("latest", 1, platform(10))), at=NOW + 99)
    assert db.one(now) == before
    assert (history(db), images_of(db)) == ([(1, 99, 100), (2, 100, None)], [20])
    assert db.value("SELECT first_seen_at FROM tags") == instant(NOW + 99)
    assert not db.all("SELECT * FROM events")


def test_nothing_known_of_a_tag_is_overwritten_by_nothing(db: Database) -> None:
    db.keep(tags(tag("latest", 1, full_size=0, last_pulled="2026-01-01T00:00:00Z", last_updater="me")))
    db.clock.advance(10)
    db.keep(tags(tag("latest", 1)))
    kept = db.one("SELECT full_size, last_pulled, last_updater, first_seen_at, last_seen_at FROM tags")
    assert kept == (0, "2026-01-01T00:00:00Z", "me", db.in_s(-10), db.now.text)


def test_an_empty_list_of_images_does_not_erase_the_known_ones(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3))))
    db.keep(tags(tag("latest", 1)), at=NOW + 100)
    assert images_of(db) == [2, 3]


def test_an_empty_list_does_not_erase_the_images_of_a_tag_that_came_back_unchanged(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3))))
    lose(db, NOW + 100)
    db.keep(tags(tag("latest", 1)), at=NOW + 200)
    assert images_of(db) == [2, 3]


def test_a_moved_tag_has_the_images_of_its_new_digest_only(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3))))
    db.keep(tags(tag("latest", 4, platform(3), platform(5))), at=NOW + 100)
    assert images_of(db) == [3, 5]
    assert db.value("SELECT count(*) FROM images") == 3, "an image stays, whoever points to it"


def test_two_tags_on_one_digest_share_its_images(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2)), tag("1.27", 1, platform(2))))
    assert (images_of(db), images_of(db, "1.27")) == ([2], [2])
    assert db.value("SELECT count(*) FROM images") == 1


def test_one_digest_twice_in_a_tag_is_one_image_of_it(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2, status="active"), platform(2))))
    assert db.all("SELECT status FROM tag_images") == [("active",)]


@pytest.mark.parametrize("kind", ["image", "attestation", "artifact"])
def test_the_kind_of_an_image_is_kept(db: Database, kind: str) -> None:
    db.keep(tags(tag("latest", 1, platform(2, kind=kind, os=None, architecture=None))))
    assert db.value("SELECT kind FROM images") == kind


def test_attestations_are_no_platforms_of_a_tag(db: Database) -> None:
    beside = platform(3, kind="attestation", os="unknown", architecture="unknown")
    db.keep(tags(tag("latest", 1, platform(2, variant="v8", architecture="arm64"), beside)))
    assert db.value("SELECT platforms FROM v_tags") == "linux/arm64/v8"


def test_what_an_earlier_answer_left_out_of_an_image_is_filled_in_and_nothing_else_changes(db: Database) -> None:
    db.keep(tags(tag("a", 1, Platform(digest=digest(2), kind="image"))))
    db.keep(tags(tag("b", 1, platform(2, size=5))))
    db.keep(tags(tag("c", 1, platform(2, size=6, os="windows", architecture="arm64"))))
    assert db.one("SELECT os, architecture, size FROM images") == ("linux", "amd64", 5)


def test_a_size_of_zero_is_stored_as_sent(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2, size=0))))
    assert db.one("SELECT i.size, ti.size FROM images i JOIN tag_images ti ON ti.image_id = i.id") == (0, 0)


def test_the_case_of_a_tag_s_name_makes_another_tag(db: Database) -> None:
    db.keep(tags(tag("Latest", 1), tag("latest", 2)))
    assert db.all("SELECT name, digest FROM tags ORDER BY name") == [("Latest", digest(1)), ("latest", digest(2))]


def test_push_pull_and_first_seen_are_kept_apart(db: Database) -> None:
    db.keep(tags(tag("latest", 1, last_pushed="2026-01-01T00:00:00Z", last_updated="2026-01-02T00:00:00Z")))
    kept = db.one("SELECT last_pushed, last_updated, last_pulled, first_seen_at FROM tags")
    assert kept == ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", None, db.now.text)


def test_a_page_of_more_tags_than_one_statement_takes_is_stored_whole(db: Database) -> None:
    db.keep(tags(*[tag(f"t{number}", number) for number in range(2000)]))
    db.keep(tags(*[tag(f"t{number}", number + 1) for number in range(2000)]), at=NOW + 1)
    assert db.one("SELECT count(*), count(seen_until) FROM tag_history") == (4000, 2000)


def test_tags_of_a_repository_that_was_never_seen_make_its_row(db: Database) -> None:
    db.keep(tags(tag("latest", 1), repository="grafana/grafana"))
    assert db.one("SELECT full_name, is_official, pull_count FROM repositories") == ("grafana/grafana", 0, None)
    db.keep(seen("grafana/grafana"))
    assert db.value("SELECT pull_count FROM repositories") == 7


def test_a_late_sight_takes_back_no_later_404(db: Database) -> None:
    db.keep(tags(tag("latest", 1)), at=NOW - 200)
    db.keep(Absent(repository="library/nginx", tag="latest"), at=NOW)
    db.keep(tags(tag("latest", 1)), at=NOW - 100)
    assert db.value("SELECT count(*) FROM absences") == 1
    db.keep(tags(tag("latest", 1)), at=NOW + 1)
    assert db.value("SELECT count(*) FROM absences") == 0


def test_images_without_a_digest_for_them_are_not_those_of_the_digest_that_is_known(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(10), platform(11))))
    db.keep(tags(tag("latest", None, platform(20), platform(21))), at=NOW + 1)
    assert images_of(db) == [10, 11]
