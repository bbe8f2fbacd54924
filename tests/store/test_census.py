"""The registry's names against the stored tags: holes, suspicions, returns; and when a walk may end."""

from __future__ import annotations

import pytest

from harvester.jobs import Args, Harvest, Job, NewJob, repository, tag_names, tags_page
from harvester.records import Absent, NamesSeen, Tag, TagsSeen, WalkStep
from harvester.store.harvest import Stored, store_harvest
from harvester.store.moment import Moment
from harvester.store.tags import close_tags
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, digest, seen

ARGS = Args(subject=NGINX, layers="none", updated="2026-11-20T10:00:00Z")
PAGE = tags_page(ARGS)
WALK = PAGE.key.rpartition(":")[0]


def tag(name: str, number: int, pushed: str = "2026-11-01T00:00:00Z") -> Tag:
    return Tag(name=name, digest=digest(number), last_pushed=pushed, last_updated=pushed)


def settle(db: Database, new: NewJob, *records: object, at: float = NOW, follow_ups: tuple[NewJob, ...] = ()) -> Stored:
    """Store one job's harvest as a worker's would be, in a pass of that instant."""
    when = Moment.of(at)
    job = Job(1, new.kind, new.key, new.args, 1, when.text)
    with db.engine.begin() as connection:
        harvest = Harvest(records=records, follow_ups=follow_ups)  # type: ignore[arg-type]
        return store_harvest(connection, job, harvest, when)


def page(db: Database, *tags: Tag, count: int, at: float = NOW, new: NewJob = PAGE, **values: object) -> Stored:
    """One page of a walk that has another page after it, unless told otherwise."""
    step = {"next_page": "page=2", "next_offset": 100, "stop_reason": None, "may_end_known": True} | values
    walk = WalkStep(
        walk=new.key.rpartition(":")[0],
        is_first=True,
        kind="tags",
        subject=NGINX,
        reported_count=count,
        updated=new.args.updated,
        is_whole=new.args.tags == "all",
        **step,  # type: ignore[arg-type]
    )
    following = tags_page(Args(subject=NGINX, layers="none", tags=new.args.tags, page=2, query="page=2"))
    follow_ups = (following,) if walk.stop_reason is None else ()
    records = (TagsSeen(repository=NGINX, tags=tags, source="listing"), walk)
    return settle(db, new, *records, at=at, follow_ups=follow_ups)


def census(db: Database, *names: str, at: float = NOW, args: Args = ARGS) -> Stored:
    walk = WalkStep(
        walk=f"tag_names:{NGINX}",
        is_first=True,
        kind="tag_names",
        subject=NGINX,
        reported_count=len(names),
        stop_reason="end",
    )
    return settle(db, tag_names(args), NamesSeen(repository=NGINX, names=names), walk, at=at)


def walked(db: Database, *tags: Tag) -> None:
    """A first walk that saw everything."""
    db.keep(seen())
    page(db, *tags, count=len(tags), stop_reason="end", next_page=None, next_offset=None)


def stop_of(db: Database) -> tuple[object, ...]:
    return db.one("SELECT stop_reason, is_complete FROM listings WHERE kind = 'tags' ORDER BY id DESC LIMIT 1")


@pytest.mark.parametrize(("when", "kind"), [(NOW, "tags.page"), (NOW - 60, "tag_names")], ids=["this pass", "earlier"])
def test_a_census_comes_before_a_walk_only_where_tags_were_stored_before_the_pass(
    db: Database, when: float, kind: str
) -> None:
    db.keep(seen(), TagsSeen(repository=NGINX, tags=(tag("latest", 1),), source="detail"), at=when)
    detail = repository(Args(subject=NGINX))
    assert [new.kind for new in settle(db, detail, seen(), follow_ups=(PAGE,)).follow_ups] == [kind]


THREE = (tag("c", 3, "2026-11-03T00:00:00Z"), tag("b", 2, "2026-11-02T00:00:00Z"), tag("a", 1, "2026-11-01T00:00:00Z"))


def test_a_walk_ends_where_nothing_is_new_and_the_count_agrees(db: Database) -> None:
    walked(db, *THREE)
    found = page(db, *THREE[:2], count=3, at=NOW + DAY)
    assert (found.follow_ups, stop_of(db)) == ((), ("known", 1))


def test_a_walk_ends_on_the_page_whose_rest_is_known_by_the_far_ends_own_dates(db: Database) -> None:
    walked(db, *THREE)
    moved = tag("c", 9, "2026-11-20T11:00:00Z")
    found = page(db, moved, THREE[1], count=3, at=NOW + DAY)
    assert (found.follow_ups, stop_of(db)) == ((), ("known", 1))


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        (THREE[:2], 4),
        ((tag("c", 9, "2026-11-20T11:00:00Z"),), 3),
        ((THREE[1], tag("c", 9, "2026-11-20T11:00:00Z")), 3),
        ((THREE[1], tag("a", 9, "2026-11-01T12:00:00Z")), 3),
        ((tag("c", 9, "2026-11-20T12:00:00Z"), tag("b", 2, "2026-11-20T11:00:00Z")), 3),
    ],
    ids=["the count differs", "only news", "news after what is known", "news of old dates", "known but pushed again"],
)
def test_a_walk_goes_on_while_anything_may_be_new(db: Database, rows: tuple[Tag, ...], count: int) -> None:
    walked(db, *THREE)
    found = page(db, *rows, count=count, at=NOW + DAY)
    assert [job.args.page for job in found.follow_ups] == [2]
    assert stop_of(db) == (None, 0)


def test_a_walk_goes_on_where_the_list_does_not_run_newest_first_or_rows_were_refused(db: Database) -> None:
    walked(db, *THREE)
    assert page(db, *THREE[:2], count=3, at=NOW + DAY, may_end_known=False).follow_ups
    assert page(db, *THREE[:2], count=3, at=NOW + DAY, refused=1).follow_ups


def test_a_list_that_was_never_walked_whole_is_not_taken_for_known(db: Database) -> None:
    db.keep(seen())
    census(db, "a", "b", "c")
    page(db, *THREE[:2], count=3, stop_reason="policy", next_page=None, next_offset=None)
    assert page(db, *THREE[:2], count=3, at=NOW + DAY).follow_ups


def test_names_that_no_page_showed_are_holes_and_a_list_with_holes_is_not_complete(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d", at=NOW + DAY)
    assert db.all("SELECT tag FROM v_holes") == [("d",)]
    assert db.all("SELECT count(*) FROM tag_history") == [(3,)]
    page(db, *THREE[:2], count=4, at=NOW + DAY)
    assert stop_of(db) == ("known", 0)
    page(db, tag("d", 4, "2026-11-20T11:00:00Z"), *THREE[:2], count=4, at=NOW + 2 * DAY)
    assert (stop_of(db), db.all("SELECT tag FROM v_holes")) == (("known", 1), [])


def test_a_missing_name_is_suspected_asked_about_and_closed_by_one_404(db: Database) -> None:
    walked(db, *THREE)
    found = census(db, "a", "b", at=NOW + DAY)
    assert [(job.kind, job.args.tag) for job in found.follow_ups] == [("tag", "c"), ("tags.page", None)]
    assert db.all("SELECT * FROM v_vanished") == []
    db.keep(Absent(repository=NGINX, tag="c"), at=NOW + DAY)
    assert db.all("SELECT tag, last_digest FROM v_vanished") == [("c", digest(3))]
    assert db.all("SELECT digest, source FROM tag_history WHERE seen_until IS NULL ORDER BY 1 LIMIT 1") == [
        (None, "detail")
    ]


def test_a_suspect_does_not_spoil_the_count(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", at=NOW + DAY)
    page(db, THREE[1], count=2, at=NOW + DAY)
    assert stop_of(db) == ("known", 1)


def test_a_suspicion_ends_with_the_next_list_that_has_the_name(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", at=NOW + DAY)
    found = census(db, "a", "b", "c", at=NOW + 2 * DAY)
    assert [job.kind for job in found.follow_ups] == ["tags.page"]
    assert db.all("SELECT * FROM absences") == []


def test_an_answer_that_came_before_what_is_stored_suspects_nobody(db: Database) -> None:
    walked(db, *THREE)
    page(db, tag("new", 7, "2026-11-20T15:00:00Z"), count=4, at=NOW + 100)
    census(db, "a", "b", "c", at=NOW + 50)
    assert db.all("SELECT * FROM absences") == []


def test_a_name_that_came_back_is_there_again_with_an_unknown_digest(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", at=NOW + DAY)
    db.keep(Absent(repository=NGINX, tag="c"), at=NOW + DAY)
    census(db, "a", "b", "c", at=NOW + 2 * DAY)
    assert db.all("SELECT digest, gone_at, is_name_only FROM tags WHERE name = 'c'") == [(None, None, 1)]
    assert db.all("SELECT count(*) FROM v_tag_timeline WHERE tag = 'c' AND seen_until IS NULL") == [(0,)]


def test_a_census_under_a_policy_keeps_only_names_that_are_wanted(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d-alpine", "d", args=Args(subject=NGINX, tags="*-alpine", layers="none"), at=NOW + DAY)
    assert db.all("SELECT tag FROM v_holes") == [("d-alpine",)]


def test_where_the_wall_stands_is_learned_and_the_next_walk_ends_before_it(db: Database) -> None:
    walked(db, *THREE)
    beyond = tags_page(Args(subject=NGINX, layers="none", page=11, query="page=11&page_size=100"))
    step = WalkStep(
        walk=WALK, is_first=False, kind="tags", subject=NGINX, stop_reason="wall", offset=1000, identity="anonymous"
    )
    found = settle(db, beyond, step)
    assert [job.kind for job in found.follow_ups] == ["tag_names"], "what lies beyond has names at least"
    found = page(db, tag("z", 26, "2026-11-20T15:00:00Z"), count=5000, at=NOW + DAY, next_offset=1000)
    assert (stop_of(db), [job.kind for job in found.follow_ups]) == (("wall", 0), ["tag_names"])
    with_login = page(
        db, tag("y", 25, "2026-11-21T15:00:00Z"), count=5000, at=NOW + DAY, next_offset=1000, identity="account"
    )
    assert [job.args.page for job in with_login.follow_ups] == [2]
    later = page(db, tag("x", 24, "2026-11-28T15:00:00Z"), count=5000, at=NOW + 8 * DAY, next_offset=1000)
    assert [job.args.page for job in later.follow_ups] == [2], "after a week it is put to the test again"


def test_where_most_names_are_missing_a_few_are_asked_about_and_none_is_closed(db: Database) -> None:
    walked(db, *[tag(f"t{number:02}", number) for number in range(60)])
    found = census(db, "t00", at=NOW + DAY)
    assert len([job for job in found.follow_ups if job.kind == "tag"]) == 10
    assert db.all("SELECT count(*) FROM tags WHERE gone_at IS NOT NULL") == [(0,)]


def test_an_empty_list_of_names_is_not_believed_where_tags_are_stored(db: Database) -> None:
    walked(db, *THREE)
    census(db, at=NOW + DAY)
    assert db.one("SELECT stop_reason, is_complete FROM listings WHERE kind = 'tag_names'") == ("error", 0)


@pytest.mark.parametrize(("hours", "is_gone"), [(1, True), (11, True), (13, False)])
def test_a_404_confirms_only_what_a_list_lacked_lately(db: Database, hours: int, is_gone: bool) -> None:
    walked(db, *THREE)
    census(db, "a", "b", at=NOW + DAY)
    later = NOW + DAY + hours * 3600
    db.keep(Absent(repository=NGINX, tag="c"), at=later, fresh_after=Moment.of(NOW + DAY).text)
    assert db.value("SELECT gone_at IS NOT NULL FROM tags WHERE name = 'c'") == is_gone
    db.keep(Absent(repository=NGINX, tag="c"), at=later + DAY)
    assert db.value("SELECT gone_at IS NOT NULL FROM tags WHERE name = 'c'") == 1


def test_a_404_from_before_a_tag_was_seen_says_nothing(db: Database) -> None:
    walked(db, *THREE)
    for ago in (2, 1):
        db.keep(Absent(repository=NGINX, tag="c"), at=NOW - ago * DAY)
    assert db.value("SELECT gone_at FROM tags WHERE name = 'c'") is None
    assert not db.all("SELECT * FROM absences")


def _went(db: Database, *at: float) -> None:
    walked(db, *THREE)
    for when in at:
        with db.engine.begin() as connection:
            close_tags(connection, 1, Moment.of(when), source="names", name="c")


def _chain(db: Database) -> list[tuple[object, ...]]:
    query = """SELECT h.seen_from - ?, h.seen_until - ?, h.digest FROM tag_history h JOIN tags t ON t.id = h.tag_id
        WHERE t.name = 'c' ORDER BY h.seen_from"""
    return db.all(query, int(NOW), int(NOW))


def _present(db: Database) -> tuple[object, ...]:
    return db.one("SELECT digest, is_name_only, gone_at IS NOT NULL FROM tags WHERE name = 'c'")


def test_what_was_seen_before_a_tag_went_does_not_describe_it_since_its_name_is_back(db: Database) -> None:
    _went(db, NOW + 100)
    census(db, "a", "b", "c", at=NOW + 200)
    db.keep(TagsSeen(repository=NGINX, tags=(tag("c", 3, "2026-11-03T00:00:00Z"),), source="listing"), at=NOW + 50)
    assert _chain(db) == [(0, 100, digest(3)), (100, 200, None)]
    assert _present(db) == (None, 1, 0)
    assert db.all("SELECT kind FROM events") == [("tag.gone",)]


def test_what_was_seen_between_the_end_of_a_tag_and_its_name_begins_the_interval(db: Database) -> None:
    _went(db, NOW + 100)
    census(db, "a", "b", "c", at=NOW + 200)
    for _ in range(2):
        db.keep(TagsSeen(repository=NGINX, tags=(tag("c", 4),), source="listing"), at=NOW + 150)
    assert _chain(db) == [(0, 100, digest(3)), (100, 150, None), (150, None, digest(4))]
    assert _present(db) == (digest(4), None, 0)
    assert db.all("SELECT kind FROM events") == [("tag.gone",), ("tag.returned",)]


def test_a_name_of_the_second_in_which_the_tag_went_does_not_bring_it_back(db: Database) -> None:
    _went(db, NOW + 100)
    census(db, "a", "b", "c", at=NOW + 100)
    assert _chain(db) == [(0, 100, digest(3)), (100, None, None)]
    assert _present(db) == (digest(3), None, 1)


def test_a_late_list_of_names_does_not_bring_back_what_was_missing_after_it(db: Database) -> None:
    _went(db, NOW + 100, NOW + 300)
    for _ in range(2):
        census(db, "a", "b", "c", at=NOW + 200)
    assert _chain(db) == [(0, 100, digest(3)), (100, 200, None), (300, None, None)]
    assert _present(db) == (digest(3), None, 1)
    assert db.value("SELECT gone_at FROM tags WHERE name = 'c'") == db.in_s(300)


def test_a_tag_that_went_before_it_was_described_returns_and_is_not_new(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d", at=NOW + DAY)
    with db.engine.begin() as connection:
        close_tags(connection, 1, Moment.of(NOW + 2 * DAY), source="names", name="d")
    census(db, "a", "b", "c", "d", at=NOW + 3 * DAY)
    page(db, *THREE, tag("d", 4), count=4, at=NOW + 3 * DAY + 1, stop_reason="end", next_page=None, next_offset=None)
    assert db.all("SELECT kind FROM events") == [("tag.gone",), ("tag.returned",)]


def test_a_tag_that_is_back_without_a_digest_points_to_none_until_it_is_said(db: Database) -> None:
    _went(db, NOW + 100)
    db.keep(TagsSeen(repository=NGINX, tags=(Tag(name="c"),), source="listing"), at=NOW + 200)
    assert _present(db) == (None, None, 0)
    db.keep(TagsSeen(repository=NGINX, tags=(THREE[0],), source="listing"), at=NOW + 300)
    assert _present(db) == (digest(3), None, 0)
    assert _chain(db) == [(0, 100, digest(3)), (100, 200, None), (300, None, digest(3))]


@pytest.mark.parametrize("is_described", [True, False], ids=["without a digest", "a name only"])
def test_a_late_404_does_not_end_what_was_seen_later_without_a_digest(db: Database, is_described: bool) -> None:
    walked(db, *THREE)
    if is_described:
        db.keep(TagsSeen(repository=NGINX, tags=(Tag(name="d"),), source="listing"), at=NOW + 200)
    else:
        census(db, "a", "b", "c", "d", at=NOW + 200)
    for _ in range(2):
        with db.engine.begin() as connection:
            close_tags(connection, 1, Moment.of(NOW + 100), source="names", name="d")
    assert db.one("SELECT gone_at FROM tags WHERE name = 'd'") == (None,)
    assert db.one("SELECT seen_from - ?, seen_until - ? FROM tag_history WHERE digest IS NULL", NOW, NOW) == (100, 200)


def test_a_late_404_of_the_second_of_a_sight_is_stored_beside_it(db: Database) -> None:
    walked(db, *THREE)
    db.keep(TagsSeen(repository=NGINX, tags=(THREE[0],), source="listing"), at=NOW + 20)
    with db.engine.begin() as connection:
        close_tags(connection, 1, Moment.of(NOW), source="names", name="c")
    assert _chain(db) == [(0, None, digest(3))]


def test_a_late_page_says_earlier_when_a_name_was_first_there(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d", at=NOW + 200)
    db.keep(TagsSeen(repository=NGINX, tags=(tag("d", 4),), source="listing"), at=NOW + 100)
    assert db.value("SELECT first_seen_at FROM tags WHERE name = 'd'") == db.in_s(100)


def test_a_late_digest_from_before_the_end_is_not_that_of_a_tag_that_is_back_without_one(db: Database) -> None:
    _went(db, NOW + 100)
    for at in (NOW + 200, NOW + 50):
        db.keep(
            TagsSeen(
                repository=NGINX, tags=(Tag(name="c", digest=digest(3) if at < NOW + 100 else None),), source="listing"
            ),
            at=at,
        )
    assert _present(db) == (None, None, 0)
