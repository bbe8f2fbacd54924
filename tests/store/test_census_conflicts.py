"""What must not be taken for known: walks that failed half way, lists that disagree, names instead of tags, other runs' work."""

from __future__ import annotations

from harvester.jobs import Args, holes, tag_names, tags_page
from harvester.jobs import tag as tag_job
from harvester.records import Absent, TagsSeen
from harvester.store.moment import Moment
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, digest
from tests.store.test_census import ARGS, THREE, census, page, stop_of, tag, walked

MOVED = tuple(
    tag(name, number, f"2026-11-2{day}T12:00:00Z") for name, number, day in (("c", 13, 0), ("b", 12, 0), ("a", 11, 0))
)


def test_rows_of_a_walk_that_failed_half_way_are_not_taken_for_known(db: Database) -> None:
    walked(db, *THREE)
    assert page(db, *MOVED[:2], count=3, at=NOW + DAY).follow_ups
    # Its second page failed for good; the next pass finds the first page as it is stored.
    assert page(db, *MOVED[:2], count=3, at=NOW + 2 * DAY).follow_ups, "the rest may have moved too"
    assert stop_of(db) == (None, 0)


def test_a_page_of_news_alone_never_ends_a_walk(db: Database) -> None:
    walked(db, *THREE)
    old = tag("c", 9, "2026-11-03T00:00:00Z"), tag("b", 8, "2026-11-02T00:00:00Z")
    assert page(db, *old, count=3, at=NOW + DAY).follow_ups


def test_a_walk_for_a_part_ends_only_where_the_same_walk_came_to_its_end_before(db: Database) -> None:
    part = tags_page(Args(subject=NGINX, tags="*-x", layers="none", updated="2026-11-20T10:00:00Z"))
    db.keep()
    page(db, *THREE, count=3, new=part, stop_reason="policy", next_page=None, next_offset=None)
    assert page(db, *THREE[:2], count=3, new=part, at=NOW + DAY).follow_ups == ()
    page(db, *MOVED[:2], count=3, new=part, at=NOW + 2 * DAY, stop_reason="denied", next_page=None, next_offset=None)
    assert page(db, *MOVED[:2], count=3, new=part, at=NOW + 3 * DAY).follow_ups, "that one failed half way"


def test_holes_do_not_wait_for_jobs_of_a_run_that_nobody_works_on(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d")
    db.begin_run("interrupted", tags_page(Args(subject=NGINX, page=2, query="page=2")))
    fill = db.begin_run("fill", holes(Args(subject=NGINX, layers="none", fill="anonymous")))
    [job] = db.claim(run_id=fill.id)
    assert db.known([job]) == []
    assert {one.kind for one in db.claim(run_id=fill.id)} == {"tag", "holes"}


def test_holes_wait_for_the_walk_of_their_own_run(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d")
    walk = tags_page(Args(subject=NGINX, page=2, query="page=2"))
    run = db.begin_run("fill", holes(Args(subject=NGINX, layers="none", fill="anonymous")), walk)
    jobs = {job.kind: job for job in db.claim(run_id=run.id)}
    assert db.known([jobs["holes"]]) == []
    assert db.one("SELECT state FROM jobs WHERE kind = 'holes'") == ("waiting",)


def test_a_name_is_no_answer_to_a_question_for_the_tag(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d")
    run = db.begin_run("a", tag_job(Args(subject=NGINX, tag="d")))
    [job] = db.claim(run_id=run.id)
    assert db.known([job]) == [job]


def test_a_description_from_before_the_list_of_names_is_kept(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d", at=NOW + 10)
    db.keep(TagsSeen(repository=NGINX, tags=(tag("d", 4),), source="listing"), at=NOW + 5)
    assert db.one("SELECT digest, is_name_only FROM tags WHERE name = 'd'") == (digest(4), None)


def test_where_the_registry_lists_what_the_hub_has_not_nothing_is_closed_again_and_again(db: Database) -> None:
    walked(db, *THREE)
    for day in range(1, 6):
        census(db, "a", "b", "c", "ghost", at=NOW + day * DAY)
        db.keep(
            Absent(repository=NGINX, tag="ghost"), at=NOW + day * DAY + 60, fresh_after=Moment.of(NOW + day * DAY).text
        )
    assert db.all("SELECT * FROM v_vanished") == []
    assert db.all("SELECT tag FROM v_holes") == [("ghost",)]
    assert db.all("SELECT count(*) FROM tag_history") == [(3,)]


def test_what_came_back_and_went_again_is_still_known_by_its_last_digest(db: Database) -> None:
    walked(db, *THREE)
    for day, names in ((1, "ab"), (2, "abc"), (3, "ab")):
        census(db, *names, at=NOW + day * DAY)
        if "c" not in names:
            db.keep(Absent(repository=NGINX, tag="c"), at=NOW + day * DAY + 60)
    assert db.all("SELECT tag, last_digest FROM v_vanished") == [("c", digest(3))]


def test_an_empty_list_is_no_word_against_any_tag(db: Database) -> None:
    walked(db, *THREE)
    census(db, at=NOW + DAY)
    db.keep(Absent(repository=NGINX, tag="c"), at=NOW + 2 * DAY)
    assert db.all("SELECT * FROM v_vanished") == [], "a first 404 is remembered, no more"


def test_another_run_of_the_pass_hears_of_the_new_names_too(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d", at=NOW + DAY)
    args = Args(subject=NGINX, layers="all", updated=ARGS.updated)
    made = tag_names(args)
    db.clock.advance(DAY)
    run = db.begin_run("b", made)
    [claimed] = db.claim(lane="registry", run_id=run.id)
    assert db.known([claimed]) == []
    [walk] = [one for one in db.claim(run_id=run.id) if one.kind == "tags.page"]
    assert walk.args.has_news
    assert db.known([walk]) == [walk], "the pages are walked"


def test_a_complete_walk_that_lacks_what_the_list_of_names_lacks_closes_it(db: Database) -> None:
    tags = [tag(f"t{number:02}", number) for number in range(30)]
    walked(db, *tags)
    census(db, *[one.name for one in tags[:10]], at=NOW + DAY)
    found = page(db, *tags[:5], count=10, at=NOW + DAY + 1)
    assert found.follow_ups, "so many are missing that the pages are read to their end"
    page(db, *tags[:10], count=10, at=NOW + DAY + 2, stop_reason="end", next_page=None, next_offset=None)
    assert db.all("SELECT count(*) FROM v_vanished") == [(20,)]
    assert db.all("SELECT DISTINCT source FROM tag_history WHERE digest IS NULL") == [("names",)]


def test_of_a_tag_that_is_being_asked_for_the_answer_decides_and_no_two_lists(db: Database) -> None:
    tags = [tag(f"t{number:02}", number) for number in range(30)]
    walked(db, *tags)
    census(db, *[one.name for one in tags[:10]], at=NOW + DAY)
    db.add(tag_job(Args(subject=NGINX, tag="t20", layers="none")))
    page(db, *tags[:10], count=10, at=NOW + DAY + 2, stop_reason="end", next_page=None, next_offset=None)
    assert db.all("SELECT name FROM tags WHERE gone_at IS NULL AND name >= 't10'") == [("t20",)]


def test_walks_of_the_same_key_supersede_what_they_could_not_finish(db: Database) -> None:
    part = tags_page(Args(subject=NGINX, tags="*-x", layers="none"))
    page(db, *THREE, count=3, new=part, stop_reason="denied", next_page=None, next_offset=None)
    assert db.all("SELECT stop_reason FROM v_incomplete") == [("denied",)]
    page(db, *THREE, count=3, new=part, at=NOW + DAY, stop_reason="policy", next_page=None, next_offset=None)
    assert db.all("SELECT stop_reason FROM v_incomplete") == []


def test_what_was_pushed_beyond_the_wall_is_not_known_by_the_next_walk(db: Database) -> None:
    walked(db, *THREE)
    # More was pushed than the wall shows: this walk ends there without having met what it knew.
    page(db, *MOVED[:2], count=3, at=NOW + DAY, stop_reason="wall", next_page=None, next_offset=None)
    found = page(db, tag("c", 23, "2026-11-22T12:00:00Z"), MOVED[1], count=3, at=NOW + 2 * DAY)
    assert [job.kind for job in found.follow_ups] == ["tags.page"]
    assert stop_of(db) == (None, 0)


def test_a_404_that_came_before_the_suspicion_does_not_keep_a_tag_alive(db: Database) -> None:
    walked(db, *THREE)
    db.keep(Absent(repository=NGINX, tag="c"), at=NOW + DAY)
    for day in (2, 3):
        census(db, "a", "b", at=NOW + day * DAY)
        db.keep(Absent(repository=NGINX, tag="c"), at=NOW + day * DAY + 60, fresh_after=Moment.of(NOW + day * DAY).text)
    assert db.all("SELECT tag FROM v_vanished") == [("c",)]


def test_a_complete_walk_closes_nothing_that_the_registry_lists(db: Database) -> None:
    walked(db, *THREE)
    for day in range(1, 6):
        census(db, "a", "b", "c", "ghost", at=NOW + day * DAY)
        db.keep(
            Absent(repository=NGINX, tag="ghost"), at=NOW + day * DAY + 60, fresh_after=Moment.of(NOW + day * DAY).text
        )
        page(db, *THREE, count=3, at=NOW + day * DAY + 90, stop_reason="end", next_page=None, next_offset=None)
    assert db.all("SELECT count(*) FROM v_vanished") == [(0,)]
    assert db.all("SELECT count(*) FROM tag_history") == [(3,)]


def test_names_that_only_the_registry_has_do_not_keep_walks_from_their_end(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "ghost", at=NOW + DAY)
    found = page(db, tag("c", 23, "2026-11-20T12:00:00Z"), THREE[1], count=3, at=NOW + DAY)
    assert (found.follow_ups, stop_of(db)) == ((), ("known", 1))
    assert db.all("SELECT tag FROM v_holes") == [("ghost",)]


def test_what_was_seen_last_is_never_seen_earlier(db: Database) -> None:
    walked(db, *THREE)
    census(db, "a", "b", "c", "d", at=NOW + 10)
    db.keep(TagsSeen(repository=NGINX, tags=(tag("d", 4),), source="listing"), at=NOW + 5)
    assert db.one("SELECT first_seen_at <= last_seen_at FROM tags WHERE name = 'd'") == (1,)
