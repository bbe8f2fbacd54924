"""Where a digest was seen: indexes, images, layers and configs, now and in every interval that is over."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.records import Absent, LayersSeen, NamesSeen
from tests.store.clocks import NOW
from tests.store.database import Database
from tests.store.makers import NGINX, digest, image, layer, platform, seen, step, tag, tags

ARM = {"architecture": "arm64"}


def places(db: Database, number: int) -> list[tuple[Any, ...]]:
    """(kind, tag, platform, from, until, ended) in seconds after the start; no place twice."""
    rows = db.all(
        "SELECT kind, tag, platform, CAST(strftime('%s', seen_from) AS INTEGER) - ?,"
        " CAST(strftime('%s', seen_until) AS INTEGER) - ?, ended FROM v_digest_whereis WHERE digest = ?"
        " ORDER BY tag, seen_from, platform",
        NOW,
        NOW,
        digest(number),
    )
    assert len(set(rows)) == len(rows)
    return rows


def lose(db: Database, name: str, at: float) -> None:
    """Two 404s of the tag in two passes, the second at this time."""
    absent = Absent(repository=NGINX, tag=name)
    db.keep(absent, at=at - 5)
    db.keep(absent, at=at)


def test_what_tags_pointed_to_is_an_index_or_an_image(db: Database) -> None:
    db.keep(tags(tag("multi", 1, platform(2), platform(3, **ARM)), tag("single", 4, platform(4))))
    assert places(db, 1) == [("index", "multi", None, 0, None, None)]
    assert places(db, 4) == [("image", "single", "linux/amd64", 0, None, None)]


def test_an_image_is_found_in_the_interval_that_shows_it_and_in_those_that_did(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3, **ARM))))
    db.keep(tags(tag("latest", 4, platform(2), platform(5, **ARM))), at=NOW + 100)
    db.keep(tags(tag("latest", 6, platform(7))), at=NOW + 200)
    both = [
        ("image", "latest", "linux/amd64", 0, 100, "moved"),
        ("image", "latest", "linux/amd64", 100, 200, "moved"),
    ]
    assert places(db, 2) == both
    assert places(db, 3) == [("image", "latest", "linux/arm64", 0, 100, "moved")]
    assert places(db, 7) == [("image", "latest", "linux/amd64", 200, None, None)]


def test_what_one_tag_tells_of_an_index_holds_for_every_tag_that_showed_it(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3, **ARM)), tag("1.27", 1)))
    db.keep(tags(tag("latest", 4, platform(5), platform(6, **ARM))), at=NOW + 100)
    assert places(db, 2) == [
        ("image", "1.27", "linux/amd64", 0, None, None),
        ("image", "latest", "linux/amd64", 0, 100, "moved"),
    ]


def test_an_index_that_comes_back_is_in_both_intervals(db: Database) -> None:
    for after, number in ((0, 1), (100, 10), (200, 1)):
        db.keep(tags(tag("latest", number, platform(number + 1), platform(number + 2, **ARM))), at=NOW + after)
    assert places(db, 2) == [
        ("image", "latest", "linux/amd64", 0, 100, "moved"),
        ("image", "latest", "linux/amd64", 200, None, None),
    ]


def test_a_tag_that_went_away_keeps_its_places_and_says_how_they_ended(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3, **ARM))))
    lose(db, "latest", NOW + 100)
    assert places(db, 1) == [("index", "latest", None, 0, 100, "gone")]
    assert places(db, 2) == [("image", "latest", "linux/amd64", 0, 100, "gone")]


def test_a_tag_that_is_back_by_name_only_keeps_what_it_showed_before(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3, **ARM))))
    lose(db, "latest", NOW + 100)
    by_name = step(is_first=True, kind="tag_names", walk=f"tag_names:{NGINX}", reported_count=1, stop_reason="end")
    db.keep(NamesSeen(repository=NGINX, names=("latest",)), by_name, at=NOW + 200)
    assert db.value("SELECT count(*) FROM tag_images") == 0
    assert places(db, 2) == [("image", "latest", "linux/amd64", 0, 100, "gone")]


def test_layers_and_configs_are_where_their_images_are(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3, **ARM))))
    layers = (layer(20), layer(21), layer(None), layer(20))
    found = (
        image(2, *layers, config_digest=digest(30)),
        image(3, layer(21), platform=platform(3, **ARM), config_digest=digest(31)),
    )
    db.keep(LayersSeen(repository=NGINX, tag="latest", tag_digest=digest(1), images=found))
    db.keep(tags(tag("latest", 4, platform(5))), at=NOW + 100)
    amd, arm = (("latest", f"linux/{one}64", 0, 100, "moved") for one in ("amd", "arm"))
    assert places(db, 20) == [("layer", *amd)], "a layer of two steps is at one place"
    assert places(db, 21) == [("layer", *amd), ("layer", *arm)]
    assert places(db, 30) == [("config", *amd)]
    assert places(db, 31) == [("config", *arm)]


def test_one_config_or_layer_in_two_images_of_a_platform_is_at_one_place(db: Database) -> None:
    db.keep(tags(tag("latest", 1, platform(2), platform(3))))
    found = tuple(image(number, layer(20), config_digest=digest(30)) for number in (2, 3))
    db.keep(LayersSeen(repository=NGINX, tag="latest", tag_digest=digest(1), images=found))
    assert places(db, 20) == [("layer", "latest", "linux/amd64", 0, None, None)]
    assert places(db, 30) == [("config", "latest", "linux/amd64", 0, None, None)]


def test_the_layers_of_a_single_image_are_in_the_intervals_of_its_digest(db: Database) -> None:
    db.keep(tags(tag("latest", 2, platform(2))))
    db.keep(LayersSeen(repository=NGINX, tag="latest", tag_digest=digest(2), images=(image(2, layer(20)),)))
    db.keep(tags(tag("latest", 3, platform(3))), at=NOW + 100)
    assert places(db, 2) == [("image", "latest", "linux/amd64", 0, 100, "moved")]
    assert places(db, 20) == [("layer", "latest", "linux/amd64", 0, 100, "moved")]
    assert db.all("SELECT * FROM indexes") == [], "an image is no index of itself"


def test_a_tag_without_a_digest_shows_its_images_since_nobody_knows_when(db: Database) -> None:
    db.keep(tags(tag("old", None, platform(2), platform(3, **ARM), last_pushed="2015-01-01T00:00:00Z")))
    assert places(db, 2) == [("image", "old", "linux/amd64", None, None, None)]
    kept = db.one("SELECT last_seen, pushed_at FROM v_digest_whereis WHERE digest = ?", digest(3))
    assert kept == (db.now.text, "2015-01-01T00:00:00Z")
    lose(db, "old", NOW + 100)
    assert places(db, 2) == [("image", "old", "linux/amd64", None, 100, "gone")]


def test_the_last_sight_of_an_open_interval_is_that_of_its_tag(db: Database) -> None:
    db.keep(tags(tag("latest", 1, last_pushed="2026-11-20T15:00:00Z")))
    db.keep(tags(tag("latest", 1)), at=NOW + 50)
    kept = db.one("SELECT last_seen, pushed_at FROM v_digest_whereis WHERE digest = ?", digest(1))
    assert kept == (db.in_s(50), "2026-11-20T15:00:00Z")


def test_an_index_is_kept_once_whichever_tags_move_on_from_it(db: Database) -> None:
    multi = (platform(2), platform(3, **ARM))
    for after, (number, platforms) in enumerate(((1, multi), (4, (platform(5),)), (1, multi), (6, ()))):
        db.keep(tags(tag("a", number, *platforms), tag("b", number, *platforms)), at=NOW + 100 * after)
    assert db.all("SELECT digest FROM indexes ORDER BY digest") == [(digest(1),), (digest(4),)]
    assert db.all(
        "SELECT x.digest, i.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id"
        " JOIN images i ON i.id = ii.image_id ORDER BY 1, 2"
    ) == [(digest(1), digest(2)), (digest(1), digest(3)), (digest(4), digest(5))]


@pytest.mark.parametrize("number", [None, 1])
def test_of_a_tag_without_a_digest_or_without_images_nothing_is_kept(db: Database, number: int | None) -> None:
    images = [platform(2)] if number is None else []
    db.keep(tags(tag("latest", number, *images)))
    db.keep(tags(tag("latest", 9, platform(8))), at=NOW + 100)
    assert db.all("SELECT * FROM indexes") == []


def test_a_gone_repository_takes_its_tags_along_and_what_came_back_has_not_vanished(db: Database) -> None:
    db.keep(tags(tag("a", 1), tag("b", 2)))
    absent = Absent(repository=NGINX)
    db.keep(absent, at=NOW + 10)
    db.keep(absent, at=NOW + 100)
    vanished = "SELECT kind, tag, gone_at, last_digest FROM v_vanished ORDER BY kind, tag"
    gone = db.in_s(100)
    assert db.all(vanished) == [
        ("repository", None, gone, None),
        ("tag", "a", gone, digest(1)),
        ("tag", "b", gone, digest(2)),
    ]
    db.keep(seen(), tags(tag("a", 3)), at=NOW + 200)
    assert db.all(vanished) == [("tag", "b", gone, digest(2))]
