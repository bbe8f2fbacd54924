"""Pages of namespaces and searches, and the detail of a repository."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.errors import Denied, Drift, Gone, Unavailable, Walled
from harvester.handlers import abandoned, handle
from harvester.jobs import Args, Harvest, Job, namespace_page, search_page, tags_page
from harvester.records import Absent, Drifted, Repository, RepositorySeen, WalkStep
from tests.handlers.far_end import FarEnd, claimed, job, page, refused

pytestmark = pytest.mark.anyio


def row(name: str, namespace: str = "grafana", **changes: Any) -> Repository:
    values: dict[str, Any] = {"source": "listing", "pull_count": 1} | changes
    return Repository(namespace=namespace, name=name, **values)


def walk(harvest: Harvest) -> WalkStep:
    [step] = [record for record in harvest.records if isinstance(record, WalkStep)]
    return step


def subjects(harvest: Harvest) -> list[str]:
    return [follow.args.subject for follow in harvest.follow_ups if follow.kind == "repository"]


def pages(harvest: Harvest) -> list[Job]:
    return [claimed(follow) for follow in harvest.follow_ups if follow.kind in ("namespace.page", "search.page")]


LISTS: dict[str, Job] = {
    "a namespace": claimed(namespace_page(Args(subject="grafana", layers="1.*", tags="newest:5"))),
    "a search": claimed(search_page(Args(subject="grafana", layers="1.*", tags="newest:5"))),
}
SECOND: dict[str, Job] = {
    "a namespace": claimed(namespace_page(Args(subject="grafana", page=2, query="page=2", rows=99))),
    "a search": claimed(search_page(Args(subject="grafana", page=2, query="page=2", rows=100))),
}
each_list = pytest.mark.parametrize("first", LISTS.values(), ids=LISTS.keys())
each_second = pytest.mark.parametrize("second", SECOND.values(), ids=SECOND.keys())


@each_list
async def test_every_row_is_kept_and_asked_about_and_the_next_page_follows(first: Job) -> None:
    found = page(row("a"), row("b"), reported_count=3, next_page="page=2&x=y")
    harvest = await handle(first, FarEnd(found).clients)
    kept = [record.repository.full_name for record in harvest.records if isinstance(record, RepositorySeen)]
    assert (kept, subjects(harvest)) == (["grafana/a", "grafana/b"], ["grafana/a", "grafana/b"])
    assert (walk(harvest).names, walk(harvest).reported_count) == (("grafana/a", "grafana/b"), 3)
    assert (walk(harvest).is_first, walk(harvest).stop_reason) == (True, None)
    [following] = pages(harvest)
    assert (following.args.page, following.args.query, following.args.rows) == (2, "page=2&x=y", 2)
    assert {(follow.args.tags, follow.args.layers) for follow in harvest.follow_ups} == {("newest:5", "1.*")}


@each_second
async def test_the_last_page_ends_the_walk(second: Job) -> None:
    far_end = FarEnd(page(row("c"), reported_count=100))
    harvest = await handle(second, far_end.clients)
    assert far_end.asked[0][1]["page_query"] == "page=2"
    assert (walk(harvest).is_first, walk(harvest).stop_reason, pages(harvest)) == (False, "end", [])
    assert walk(harvest).walk == second.key.rpartition(":")[0]


@each_second
async def test_the_wall_ends_the_walk_with_its_reason(second: Job) -> None:
    harvest = await handle(second, FarEnd(Walled(status=403)).clients)
    assert (walk(harvest).stop_reason, len(harvest.records), harvest.follow_ups) == ("wall", 1, ())


@each_second
async def test_a_404_past_the_last_page_is_the_end(second: Job) -> None:
    harvest = await handle(second, FarEnd(Gone(status=404)).clients)
    assert (walk(harvest).stop_reason, len(harvest.records)) == ("end", 1)


@each_list
async def test_a_server_s_failure_is_no_empty_list(first: Job) -> None:
    with pytest.raises(Unavailable):
        await handle(first, FarEnd(Unavailable()).clients)


@each_list
async def test_a_list_that_leads_on_for_ever_is_left_with_an_error(first: Job) -> None:
    here = first
    for number in range(1, 100):
        found = page(row("a"), reported_count=1, next_page=f"page={number}")
        harvest = await handle(here, FarEnd(found).clients)
        if not (following := pages(harvest)):
            break
        [here] = following
    assert (walk(harvest).stop_reason, here.args.page) == ("error", 21)


@each_list
async def test_refused_rows_are_counted_and_leave_evidence(first: Job) -> None:
    found = page(row("a"), refused=tuple(refused(number) for number in range(7)), reported_count=8)
    harvest = await handle(first, FarEnd(found).clients)
    assert walk(harvest).refused == 7
    assert len([record for record in harvest.records if isinstance(record, Drifted)]) == 5


@each_list
async def test_a_repository_twice_on_a_page_is_asked_about_once(first: Job) -> None:
    harvest = await handle(first, FarEnd(page(row("a"), row("a"), reported_count=2)).clients)
    assert subjects(harvest) == ["grafana/a"]


async def test_a_404_of_a_namespace_is_its_absence() -> None:
    harvest = await handle(LISTS["a namespace"], FarEnd(Gone(status=404)).clients)
    assert harvest == Harvest(records=(Absent(repository="grafana/*"),))


@pytest.mark.parametrize(
    ("signed_in", "rows", "query"),
    [
        (False, 100, "page=2&page_size=99"),
        (True, 100, "page=2&page_size=100"),
        # A far end that ignores the size has not served what lies before that offset.
        (False, 25, "page=2&page_size=100"),
    ],
)
async def test_a_second_page_of_a_namespace_begins_below_the_anonymous_wall(
    signed_in: bool, rows: int, query: str
) -> None:
    found = page(*[row(f"r{n}") for n in range(rows)], reported_count=250, next_page="page=2&page_size=100")
    harvest = await handle(LISTS["a namespace"], FarEnd(found, signed_in=signed_in).clients)
    [following] = pages(harvest)
    assert following.args.query == query


async def test_what_a_namespace_says_of_changes_travels_with_the_job() -> None:
    changed = row("a", last_updated="2026-01-01T00:00:00Z", last_modified="2026-02-02T00:00:00Z")
    harvest = await handle(LISTS["a namespace"], FarEnd(page(changed)).clients)
    [follow] = harvest.follow_ups
    assert (follow.args.updated, follow.args.modified) == ("2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z")


async def test_a_search_past_its_window_ends_at_a_wall() -> None:
    harvest = await handle(SECOND["a search"], FarEnd(Denied(status=403)).clients)
    assert (walk(harvest).stop_reason, len(harvest.records)) == ("wall", 1)


@pytest.mark.parametrize("asked", [LISTS["a search"], LISTS["a namespace"], SECOND["a namespace"]])
async def test_a_refusal_anywhere_else_is_a_refusal(asked: Job) -> None:
    with pytest.raises(Denied):
        await handle(asked, FarEnd(Denied(status=403)).clients)


async def test_a_repository_s_tags_follow_its_detail() -> None:
    found = row("a", source="detail", last_updated="2026-01-01T00:00:00Z")
    asked = job("repository", "grafana/a", tags="1.*", layers="all", modified="x")
    harvest = await handle(asked, FarEnd(found).clients)
    assert harvest.records == (RepositorySeen(repository=found),)
    wanted = Args(subject="grafana/a", tags="1.*", layers="all", updated="2026-01-01T00:00:00Z")
    assert harvest.follow_ups == (tags_page(wanted),)


async def test_the_one_tag_that_was_named_follows_the_detail() -> None:
    asked = job("repository", "grafana/a", tag="1.27")
    harvest = await handle(asked, FarEnd(row("a", source="detail")).clients)
    assert [(follow.kind, follow.args.tag) for follow in harvest.follow_ups] == [("tag", "1.27")]


async def test_a_404_of_a_repository_is_its_absence_and_nothing_follows() -> None:
    harvest = await handle(job("repository", "grafana/a"), FarEnd(Gone(status=404)).clients)
    assert harvest == Harvest(records=(Absent(repository="grafana/a"),))


@pytest.mark.parametrize(("error", "reason"), [(Denied(), "denied"), (Drift("shape", path="$.x", sample="{"), "error")])
def test_a_page_that_failed_for_good_leaves_the_end_of_its_walk(error: Exception, reason: str) -> None:
    for asked in (*LISTS.values(), *SECOND.values(), claimed(tags_page(Args(subject="library/nginx")))):
        assert walk(abandoned(asked, error)).stop_reason == reason


def test_drift_leaves_its_evidence_whatever_was_asked() -> None:
    error = Drift("another shape", path="$.x", sample='{"x": 1}', url="/v2/y")
    [evidence] = abandoned(job("repository", "grafana/a"), error).records
    assert isinstance(evidence, Drifted)
    found = (evidence.subject, evidence.url, evidence.refused.path, evidence.refused.sample)
    assert found == ("grafana/a", "/v2/y", "$.x", '{"x": 1}')


def test_a_job_that_failed_for_good_and_walked_nothing_leaves_nothing() -> None:
    assert abandoned(job("repository", "grafana/a"), Unavailable()) == Harvest()
