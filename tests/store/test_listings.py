"""Walks of lists: what they met, how they ended, whether they saw everything."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.jobs import Args, Dead, Done, Harvest, namespace_page, walk_key
from harvester.records import Drifted, Refused, WalkStep
from harvester.store import queue
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, job, seen, step, tag, tags

SPACE = walk_key("namespace.page", Args(subject="grafana"))


def tag_page(*names: str, is_first: bool = False, **changes: Any) -> tuple[Any, ...]:
    """A page of tags and the walk's step; the number in a name is that of its digest."""
    return tags(*[tag(name, int(name)) for name in names]), step(is_first=is_first, **changes)


def space(*names: str, is_first: bool = False, **changes: Any) -> WalkStep:
    full_names = tuple(f"grafana/{name}" for name in names)
    return step(is_first=is_first, walk=SPACE, kind="namespace", subject="grafana", names=full_names, **changes)


def listing(db: Database) -> tuple[Any, ...]:
    return db.one("SELECT rows, reported_count, stop_reason, is_complete FROM listings ORDER BY id DESC LIMIT 1")


def incomplete(db: Database) -> list[tuple[Any, ...]]:
    return db.all("SELECT kind, subject, stop_reason FROM v_incomplete")


def test_a_walk_of_one_page_that_saw_everything_is_complete(db: Database) -> None:
    db.keep(*tag_page("1", "2", is_first=True, reported_count=2, stop_reason="end"))
    assert listing(db) == (2, 2, "end", 1)
    assert incomplete(db) == []


def test_an_empty_list_is_not_believed_where_tags_are_known(db: Database) -> None:
    db.keep(*tag_page("1", "2", is_first=True, reported_count=2, stop_reason="end"))
    for later in (10, 20):
        db.keep(*tag_page(is_first=True, reported_count=0, stop_reason="end"), at=NOW + later)
        assert listing(db) == (0, 0, "error", 0)
    assert db.one("SELECT count(*) FROM tags WHERE gone_at IS NULL") == (2,)


def test_an_empty_list_is_not_believed_where_there_were_rows(db: Database) -> None:
    db.keep(space("agent", is_first=True, reported_count=1, stop_reason="end"))
    for later in (10, 20):
        db.keep(space(is_first=True, reported_count=0, stop_reason="end"), at=NOW + later)
        assert listing(db) == (0, 0, "error", 0)


def test_a_list_that_never_had_rows_is_complete_without_any(db: Database) -> None:
    for later in (0, 10):
        db.keep(space(is_first=True, reported_count=0, stop_reason="end"), at=NOW + later)
        assert listing(db) == (0, 0, "end", 1)


def test_a_walk_goes_on_over_its_pages(db: Database) -> None:
    db.keep(*tag_page("1", "2", is_first=True, reported_count=3, next_page="page=2"))
    assert db.one("SELECT next_page, finished_at, rows FROM listings") == ("page=2", None, 2)
    db.keep(*tag_page("3", reported_count=3, stop_reason="end"), at=NOW + 5)
    assert listing(db) == (3, 3, "end", 1)
    assert db.one("SELECT next_page, started_at, finished_at FROM listings") == (None, db.now.text, db.in_s(5))


def test_names_are_counted_once_across_pages_that_overlap(db: Database) -> None:
    db.keep(*tag_page("1", "2", is_first=True, reported_count=4, next_page="page=2"))
    db.keep(*tag_page("2", "3", reported_count=4, stop_reason="end"))
    assert listing(db) == (3, 4, "end", 0), "one tag slipped past between the pages"


def test_names_are_counted_once_although_another_walk_of_the_repository_met_them_in_between(db: Database) -> None:
    db.keep(*tag_page("1", "2", is_first=True, reported_count=4, next_page="page=2"))
    db.keep(*tag_page("1", "2", is_first=True, walk="another", reported_count=4, next_page="page=2"))
    db.keep(*tag_page("2", "3", reported_count=4, stop_reason="end"))
    found = db.one("SELECT rows, is_complete FROM listings WHERE walk_key <> 'another'")
    assert found == (3, 0), "one tag was never met"


def test_names_of_a_namespace_are_counted_once_across_pages_that_overlap(db: Database) -> None:
    db.keep(space("a", "b", is_first=True, reported_count=4, next_page="page=2"))
    db.keep(space("b", "c", "c", reported_count=4, stop_reason="end"))
    assert listing(db) == (3, 4, "end", 0)


def test_a_name_twice_on_one_page_is_one_name(db: Database) -> None:
    db.keep(*tag_page("1", "1", is_first=True, reported_count=2, stop_reason="end"))
    assert listing(db) == (1, 2, "end", 0)


def test_tags_known_from_an_earlier_walk_count_for_the_new_one(db: Database) -> None:
    for moment in (NOW, NOW + DAY):
        db.keep(*tag_page("1", "2", is_first=True, reported_count=2, stop_reason="end"), at=moment)
        assert listing(db) == (2, 2, "end", 1)


def test_the_last_page_s_count_is_the_one_that_matters(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=9, next_page="page=2"))
    db.keep(*tag_page("2", reported_count=2, stop_reason="end"))
    assert listing(db) == (2, 2, "end", 0), "the list moved while it was read: one may have slipped from page to page"


def test_a_list_of_which_a_name_was_deleted_while_it_was_read_is_not_complete(db: Database) -> None:
    db.keep(*tag_page("1", "2", is_first=True, reported_count=4, next_page="page=2"))
    db.keep(*tag_page("4", reported_count=3, stop_reason="end"))
    assert listing(db) == (3, 3, "end", 0)


def test_a_list_that_never_tells_its_count_is_not_complete(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=None, stop_reason="end"))
    assert listing(db) == (1, None, "end", 0)


def test_a_page_without_a_count_leaves_the_known_one(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=9, next_page="page=2"))
    db.keep(step(is_first=False, stop_reason="end"))
    assert listing(db) == (1, 9, "end", 0)


def test_fewer_rows_than_reported_are_not_complete(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=101, stop_reason="end"))
    assert listing(db) == (1, 101, "end", 0)
    assert incomplete(db) == [("tags", NGINX, "end")]


def test_rows_of_which_the_far_end_reports_none_are_not_complete(db: Database) -> None:
    db.keep(*tag_page("1", "2", is_first=True, stop_reason="end", reported_count=0))
    assert db.one("SELECT rows, is_complete FROM listings") == (2, 0)


def test_refused_rows_are_counted_and_make_the_walk_incomplete(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=2, refused=1, next_page="page=2"))
    db.keep(*tag_page("2", reported_count=2, stop_reason="end"))
    assert listing(db) == (2, 2, "error", 0)
    assert db.value("SELECT refused FROM listings") == 1


@pytest.mark.parametrize("reason", ["wall", "denied", "error", "throttled"])
def test_a_walk_that_was_cut_short_is_incomplete_however_much_it_saw(db: Database, reason: str) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=1, stop_reason=reason))
    assert listing(db) == (1, 1, reason, 0)
    assert incomplete(db) == [("tags", NGINX, reason)]


def test_a_walk_that_the_policy_ended_is_not_complete_and_not_reported_as_incomplete(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=9, stop_reason="policy"))
    assert listing(db) == (1, 9, "policy", 0)
    assert incomplete(db) == []


def test_an_empty_list_of_which_nothing_was_reported_is_complete(db: Database) -> None:
    db.keep(step(is_first=True, reported_count=0, stop_reason="end"))
    assert listing(db) == (0, 0, "end", 1)


def test_an_open_walk_that_was_abandoned_is_closed_by_the_next_one(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=2, next_page="page=2"))
    db.keep(*tag_page("1", "2", is_first=True, reported_count=2, stop_reason="end"), at=NOW + 100)
    rows = db.all("SELECT stop_reason, is_complete, next_page, finished_at FROM listings ORDER BY id")
    assert rows == [("error", 0, None, db.in_s(100)), ("end", 1, None, db.in_s(100))]


def test_an_open_walk_of_another_list_is_left_open(db: Database) -> None:
    db.keep(space("a", is_first=True, reported_count=2, next_page="page=2"))
    db.keep(*tag_page("1", is_first=True, reported_count=1, stop_reason="end"))
    assert db.value("SELECT finished_at FROM listings WHERE kind = 'namespace'") is None


def test_an_incomplete_walk_is_reported_until_a_later_one_says_otherwise(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=5, stop_reason="wall"))
    db.keep(*tag_page("1", is_first=True, reported_count=5, next_page="page=2"), at=NOW + DAY)
    assert ("tags", NGINX, "wall") in incomplete(db), "a walk under way proves nothing"
    assert ("tags", NGINX, "open") in incomplete(db), "and it is itself not complete yet"
    db.keep(*tag_page("2", "3", "4", "5", reported_count=5, stop_reason="end"), at=NOW + DAY)
    assert incomplete(db) == []


def test_a_walk_of_a_policy_does_not_hide_that_the_whole_walk_was_cut_short(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=5, stop_reason="wall"))
    db.keep(*tag_page("1", is_first=True, walk="another", stop_reason="policy"), at=NOW + DAY)
    assert incomplete(db) == [("tags", NGINX, "wall")]


def test_of_two_incomplete_walks_the_newer_one_is_reported(db: Database) -> None:
    db.keep(*tag_page("1", is_first=True, reported_count=5, stop_reason="wall"))
    db.keep(*tag_page("1", is_first=True, reported_count=5, stop_reason="denied"), at=NOW + DAY)
    assert incomplete(db) == [("tags", NGINX, "denied")]


def test_only_a_complete_walk_of_all_tags_says_when_they_were_walked(db: Database) -> None:
    db.keep(
        seen(), *tag_page("1", is_first=True, reported_count=5, stop_reason="error", updated="2026-01-01T00:00:00Z")
    )
    assert db.one("SELECT tags_walked_at, tags_last_updated FROM repositories") == (None, None)
    db.keep(*tag_page("1", is_first=True, reported_count=2, next_page="page=2"), at=NOW + 10)
    last = tag_page("2", reported_count=2, stop_reason="end", updated="2026-01-01T00:00:00Z")
    db.keep(*last, at=NOW + 20)
    found = db.one("SELECT tags_walked_at, tags_last_updated FROM repositories")
    assert found == (db.in_s(10), "2026-01-01T00:00:00Z"), "as of its first page"


def test_a_walk_as_far_as_the_wall_is_a_walk_though_not_a_complete_one(db: Database) -> None:
    db.keep(seen(), *tag_page("1", is_first=True, reported_count=5, stop_reason="wall", updated="2026-01-01T00:00:00Z"))
    found = db.one("SELECT tags_walked_at, tags_last_updated FROM repositories")
    assert found == (db.now.text, "2026-01-01T00:00:00Z"), "asked again it would see no more"
    assert incomplete(db) == [("tags", NGINX, "wall")]


def test_names_of_the_newest_walk_only_are_kept(db: Database) -> None:
    db.keep(space("a", "b", is_first=True, reported_count=2, stop_reason="end"))
    db.keep(space("b", "c", is_first=True, reported_count=2, stop_reason="end"), at=NOW + DAY)
    assert db.all("SELECT name FROM listing_names ORDER BY name") == [("grafana/b",), ("grafana/c",)]


def test_refused_rows_leave_evidence_behind(db: Database) -> None:
    refused = Refused(path="$.results[3].name", reason="not a tag", sample='{"name": "a b\u2028"}')
    db.keep(seen())
    db.keep(Drifted(subject=NGINX, url="/v2/x", refused=refused))
    kind, repository_id, happened_at = db.one("SELECT kind, repository_id, happened_at FROM events")
    assert (kind, repository_id, happened_at) == ("drift", 1, None)
    detail = db.one("SELECT detail ->> 'path', detail ->> 'reason', detail ->> 'sample' FROM events")
    assert detail == ("$.results[3].name", "not a tag", '{"name": "a b\u2028"}')


def test_a_page_that_died_and_was_tried_again_belongs_to_its_walk(db: Database) -> None:
    """Page 3 fails: pages 1 and 2 are kept, and the walk goes on at 3."""
    run = db.begin_run("a", namespace_page(Args(subject="grafana", page=2, query="page=2")))
    db.keep(space("a", is_first=True, reported_count=2, next_page="page=2"))
    page = db.claim_one()
    db.end(page, Dead("Drift: why", Harvest(records=(space(stop_reason="error"),))))
    with db.engine.begin() as connection:
        assert queue.revive(connection, page.id, db.now)
    [again] = db.claim(run_id=run.id)
    db.end(again, Done(Harvest(records=(space("b", reported_count=2, stop_reason="end"),))))
    assert listing(db) == (2, 2, "end", 1)
    assert db.all("SELECT name FROM listing_names ORDER BY name") == [("grafana/a",), ("grafana/b",)]


def test_jobs_of_these_walks_have_the_walk_s_key() -> None:
    assert namespace_page(Args(subject="grafana", page=7)).key == f"{SPACE}:7"
    assert job("nginx").key == "repository:library/nginx::all:latest:free"
