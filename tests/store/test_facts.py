"""What the store knows of repositories before a pass: how often they change, what is stored, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from harvester.clock import instant
from harvester.forecast import Facts
from harvester.jobs import Args, tags_page, walk_key
from harvester.policy import LayerPolicy
from harvester.records import Absent, Image, LayersSeen, Tag
from harvester.store import facts
from harvester.store.moment import Moment
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, digest, image, platform, seen, step, tag, tags

LATEST = LayerPolicy("latest")


def of(db: Database, *names: str, at: float = NOW, **wanted: Any) -> list[Facts]:
    with db.reader.begin() as connection:
        return facts.facts_of(connection, names or (NGINX,), Args(subject="", **wanted), Moment.of(at))


def usual(db: Database, layers: str = "latest", at: float = NOW) -> facts.Usual:
    with db.reader.begin() as connection:
        return facts.usual(connection, LayerPolicy(layers), Moment.of(at))


def looked(
    db: Database,
    at: float,
    pushed: float,
    found: Sequence[Tag] = (),
    *,
    name: str = NGINX,
    modified: float | None = None,
    wanted: str = "all",
) -> None:
    """One pass: the detail, and a walk of all tags, of which so many are there."""
    walk = walk_key("tags.page", Args(subject=name, tags=wanted))
    dates = {"last_updated": instant(pushed), "last_modified": None if modified is None else instant(modified)}
    page = tags(*found, repository=name)
    is_whole = wanted == "all"
    walked = step(
        is_first=True,
        walk=walk,
        subject=name,
        updated=instant(pushed),
        reported_count=len(found),
        is_whole=is_whole,
        stop_reason="end" if is_whole else "policy",
    )
    db.keep(seen(name, **dates), page, walked, at=at)


def pushed_tag(name: str, number: int, at: float) -> Tag:
    return tag(name, number, platform(number), last_pushed=instant(at))


def test_what_is_known_after_a_walk(db: Database) -> None:
    looked(db, NOW, NOW - 3 * DAY, [tag("latest", 1), tag("1.0", 1), tag("0.9", 2)], modified=NOW - 9 * DAY)
    [found] = of(db, at=NOW + 2 * DAY)
    assert (found.full_name, found.tags, found.is_detailed, found.is_walked) == (NGINX, 3, True, True)
    assert (found.is_modified, found.has_news, found.days, found.modified_days) == (False, False, 2.0, 9.0)
    assert (found.pushes, found.watched_days, found.unharvested) == (0, 1.0, 1)


def test_a_push_of_the_day_before_the_first_sight_counts_like_one_that_was_seen(db: Database) -> None:
    looked(db, NOW, NOW - 3600, [tag("latest", 1)])
    looked(db, NOW, NOW - DAY - 3600, [tag("latest", 2)], name="acme/older")
    found = {one.full_name: (one.pushes, one.watched_days) for one in of(db, NGINX, "acme/older")}
    assert found == {NGINX: (1, 1.0), "acme/older": (0, 1.0)}


def test_the_time_before_the_first_walk_was_not_watched(db: Database) -> None:
    db.keep(seen(source="listing", last_updated=instant(NOW - 90 * DAY)), at=NOW - 60 * DAY)
    looked(db, NOW, NOW - 10 * DAY, [tag("latest", 1)])
    [found] = of(db)
    assert (found.pushes, found.watched_days) == (0, 1.0)


def test_each_pass_that_found_a_push_counts_once(db: Database) -> None:
    looked(db, NOW, NOW - 5 * DAY, [tag("latest", 1)])
    for day in (2, 5):
        looked(db, NOW + day * DAY, NOW + day * DAY - 60, [tag("latest", day), tag(f"1.{day}", day)])
    # Walked again, though nothing was pushed.
    looked(db, NOW + 9 * DAY, NOW + 5 * DAY - 60, [tag("latest", 5)])
    [found] = of(db, at=NOW + 10 * DAY)
    assert (found.pushes, found.watched_days) == (2, 10.0)


def test_what_is_long_ago_does_not_count(db: Database) -> None:
    looked(db, NOW, NOW - 3600, [tag("latest", 1)])
    looked(db, NOW + DAY, NOW + DAY - 60, [tag("latest", 2)])
    looked(db, NOW + 50 * DAY, NOW + 50 * DAY - 60, [tag("latest", 3)])
    [found] = of(db, at=NOW + 50 * DAY)
    assert (found.pushes, found.watched_days) == (1, 30.0)


def test_what_a_list_showed_since_the_walk_is_news(db: Database) -> None:
    looked(db, NOW, NOW - DAY, [tag("latest", 1)], modified=NOW - DAY)
    db.keep(seen(source="listing", last_updated=instant(NOW + 60), last_modified=instant(NOW + 60)), at=NOW + DAY)
    [found] = of(db, at=NOW + DAY)
    assert found.has_news
    assert found.is_modified
    assert found.days == 0


def test_an_empty_repository_and_one_without_dates_never_tell_that_nothing_changed(db: Database) -> None:
    db.keep(seen(), tags(), step(is_first=True, updated=None, reported_count=0, stop_reason="end", is_whole=True))
    [found] = of(db)
    assert found.is_walked
    assert found.has_news
    assert found.is_modified


def test_who_is_gone_or_was_never_there_is_known_not_to_be_there(db: Database) -> None:
    db.keep(seen("acme/was"), at=NOW)
    for day in (1, 2):
        db.keep(Absent(repository="acme/was"), Absent(repository="acme/never"), at=NOW + day * DAY)
    found = of(db, "acme/was", "acme/never", "acme/stranger", at=NOW + 2 * DAY)
    assert sorted((one.full_name, one.is_there) for one in found) == [("acme/never", False), ("acme/was", False)]


@pytest.mark.parametrize(
    ("layers", "unharvested"), [("none", 0), ("latest", 1), ("all", 3), ("1.*", 2), ("re:1[.]0", 1), ("9.*", 0)]
)
def test_digests_that_are_wanted_and_were_not_asked_for(db: Database, layers: str, unharvested: int) -> None:
    looked(db, NOW, NOW, [tag("latest", 1), tag("edge", 1), tag("1.0", 2), tag("1.1", 3), tag("0.9", 4), tag("x")])
    db.keep(LayersSeen(repository=NGINX, tag="0.9", tag_digest=digest(4), images=(image(4),)))
    [found] = of(db, layers=layers)
    assert found.unharvested == unharvested


def test_images_that_were_never_pulled(db: Database) -> None:
    several = tag("latest", 9, platform(1), platform(2), platform(3, kind="attestation"))
    looked(db, NOW, NOW, [several, tag("1.0", 8, platform(1), platform(4))])
    pulled: Image = image(2, config_digest=digest(77))
    db.keep(LayersSeen(repository=NGINX, tag=None, tag_digest=None, images=(pulled,)))
    with db.reader.begin() as connection:
        counts = [facts.unpulled(connection, [NGINX], LayerPolicy(text)) for text in ("none", "latest", "all", "1.*")]
    assert counts == [0, 1, 2, 2]


def test_a_walk_by_another_policy_is_none_of_this_one(db: Database) -> None:
    looked(db, NOW, NOW - DAY, [tag("1.0", 1), tag("1.1", 2)], wanted="1.*")
    [whole], [same], [other] = of(db), of(db, tags="1.*"), of(db, tags="newest:5")
    assert (whole.is_walked, same.is_walked, other.is_walked) == (False, True, False)
    assert (same.rows, same.has_news) == (2, False)
    assert (
        walk_key("tags.page", Args(subject=NGINX, tags="1.*")) + ":1" == tags_page(Args(subject=NGINX, tags="1.*")).key
    )


def test_tags_that_vanished_while_it_was_watched(db: Database) -> None:
    looked(db, NOW, NOW, [tag("latest", 1), tag("1.0", 2), tag("1.1", 3)])
    for day in (1, 2):
        db.keep(Absent(repository=NGINX, tag="1.0"), at=NOW + day * DAY)
    [found] = of(db, at=NOW + 2 * DAY)
    assert (found.tags, found.lost) == (2, 1)


def test_without_a_walk_there_is_nothing_usual(db: Database) -> None:
    db.keep(seen())
    assert usual(db) == facts.Usual(None, None, None)


def test_what_was_pushed_together_the_last_time_will_be_again(db: Database) -> None:
    looked(
        db,
        NOW,
        NOW - 5 * DAY,
        [
            pushed_tag("latest", 1, NOW - 5 * DAY),
            pushed_tag("2.0", 2, NOW - 5 * DAY - 60),
            pushed_tag("1.0", 3, NOW - 60 * DAY),
        ],
    )
    looked(db, NOW, NOW - 5 * DAY, [pushed_tag("4", 4, NOW - 5 * DAY)], name="acme/one")
    assert usual(db) == facts.Usual(tags=2.0, digests=0.5, moved=0.5)
    assert usual(db, "all") == facts.Usual(tags=2.0, digests=2.0, moved=1.5)


def test_what_moved_in_the_passes_that_found_a_push_is_what_moves(db: Database) -> None:
    looked(db, NOW, NOW - DAY, [tag("latest", 1), tag("1.0", 2)])
    looked(db, NOW + DAY, NOW + DAY - 60, [tag("latest", 3), tag("1.0", 4), tag("1.1", 3)])
    looked(db, NOW + 2 * DAY, NOW + 2 * DAY - 60, [tag("latest", 3), tag("1.0", 5), tag("1.1", 3)])
    at = NOW + 2 * DAY
    assert usual(db, at=at).moved == 0.5
    assert usual(db, "all", at=at).moved == 1.5


def test_lists_as_they_were_met_last(db: Database) -> None:
    for name, day in (("acme/a", 1), ("acme/b", 3), ("acme/c", 2), ("other/d", 1)):
        db.keep(seen(name, last_updated=instant(NOW - day * DAY)))
    for kind, subject, count in (("namespace", "acme", 250), ("namespace", "acme", 251), ("search", "acme", 7)):
        listed = step(
            is_first=True,
            walk=f"{kind}:{subject}",
            kind=kind,
            subject=subject,
            reported_count=count,
            stop_reason="end",
            names=["acme/a", "acme/c"],
        )
        db.keep(listed)
    with db.reader.begin() as connection:
        assert facts.members(connection, ["acme", "nobody"]) == {"acme": ["acme/a", "acme/c", "acme/b"]}
        assert facts.reported(connection, "namespace", ["acme", "nobody"]) == {"acme": 251}
        assert facts.reported(connection, "search", ["acme"]) == {"acme": 7}
        assert sorted(facts.hits(connection, "acme")) == ["acme/a", "acme/c"]
        assert facts.hits(connection, "nothing") == []
