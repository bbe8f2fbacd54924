"""Pages of tags and single tags: which rows are kept, what follows, how a walk ends."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.errors import DeadEndpoint, Denied, Gone, Throttled, Unavailable, Walled
from harvester.handlers import handle
from harvester.jobs import Args, Harvest, Job, tags_page
from harvester.names import RepositoryName
from harvester.records import Absent, Drifted, Tag, TagsSeen, WalkStep
from tests.handlers.far_end import FarEnd, claimed, digest, job, page, refused, tag

pytestmark = pytest.mark.anyio

NGINX = "library/nginx"


def walk(harvest: Harvest) -> WalkStep:
    [step] = [record for record in harvest.records if isinstance(record, WalkStep)]
    return step


def names(harvest: Harvest) -> list[str]:
    return [row.name for record in harvest.records if isinstance(record, TagsSeen) for row in record.tags]


def next_page(harvest: Harvest) -> Job:
    [new] = [follow for follow in harvest.follow_ups if follow.kind == "tags.page"]
    return claimed(new)


def digests(harvest: Harvest) -> list[str | None]:
    return [follow.args.digest for follow in harvest.follow_ups if follow.kind == "images"]


async def ask(*answers: object, **args: Any) -> tuple[Harvest, FarEnd]:
    far_end = FarEnd(*answers)
    return await handle(job("tags.page", NGINX, **args), far_end.clients), far_end


class Hub(FarEnd):
    """Serves tags in the order that is asked for, by its own reading of what the order's name means."""

    def __init__(self, *rows: Tag, newest_first: str = "last_updated", page_size: int | None = None) -> None:
        super().__init__(None)
        self.rows = sorted(rows, key=lambda row: row.last_updated or "", reverse=True)
        self.newest_first = newest_first
        self.most = page_size

    async def tags_page(self, name: RepositoryName, **options: Any) -> Any:
        """Pages are numbered; a page's size and order travel in the query of the one before."""
        self.asked.append(((name,), options))
        number, size, ordering = 1, self.most or options["page_size"], options["ordering"]
        if options["page_query"]:
            number, size, ordering = [int(part) if part.isdecimal() else part for part in options["page_query"].split()]
        rows = self.rows if ordering == self.newest_first else self.rows[::-1]
        start = (number - 1) * size
        more = f"{number + 1} {size} {ordering}" if start + size < len(rows) else None
        return page(*rows[start : start + size], reported_count=len(rows), next_page=more)


async def walked(hub: Hub, tags: str) -> tuple[list[str], list[WalkStep]]:
    """Every tag and every step of a walk, from its first page to its end."""
    todo, found, steps = [claimed(tags_page(Args(subject=NGINX, tags=tags)))], list[str](), list[WalkStep]()
    while todo:
        assert len(hub.asked) < 50, "the walk does not end"
        harvest = await handle(todo.pop(), hub.clients)
        found += names(harvest)
        steps += [record for record in harvest.records if isinstance(record, WalkStep)]
        todo += [claimed(follow) for follow in harvest.follow_ups if follow.kind == "tags.page"]
    return found, steps


async def test_a_page_is_kept_and_the_next_one_follows() -> None:
    harvest, far_end = await ask(page(tag("a", 1), tag("b", 2), reported_count=3, next_page="page=2"))
    assert far_end.asked[0][0] == (RepositoryName("library", "nginx"),)
    assert far_end.asked[0][1]["page_size"] == 100
    assert names(harvest) == ["a", "b"]
    step = walk(harvest)
    assert (step.is_first, step.reported_count, step.stop_reason, step.next_page) == (True, 3, None, "page=2")
    following = next_page(harvest)
    assert (following.args.page, following.args.query, following.args.rows) == (2, "page=2", 2)


async def test_the_next_page_is_asked_for_by_the_query_that_the_far_end_gave() -> None:
    harvest, far_end = await ask(page(tag("c", 3), reported_count=3), page=2, query="page=2&cursor=x", rows=2)
    assert far_end.asked[0][1]["page_query"] == "page=2&cursor=x"
    assert (walk(harvest).is_first, walk(harvest).stop_reason) == (False, "end")
    assert harvest.follow_ups == ()


async def test_pages_of_one_walk_belong_to_one_walk() -> None:
    first, _ = await ask(page(tag("a", 1), reported_count=2, next_page="page=2"), layers="none")
    second = await handle(next_page(first), FarEnd(page(tag("b", 2), reported_count=2)).clients)
    assert walk(second).walk == walk(first).walk


async def test_two_hundred_tags_are_two_requests() -> None:
    hub = Hub(*[tag(f"t{number}", number, number % 28 + 1) for number in range(200)])
    found, steps = await walked(hub, "all")
    assert (len(hub.asked), len(set(found))) == (2, 200)
    assert [step.stop_reason for step in steps] == [None, "end"]


async def test_the_wall_ends_a_walk_with_its_reason() -> None:
    harvest, _ = await ask(Walled(status=403), page=11, query="page=11")
    assert (walk(harvest).stop_reason, harvest.follow_ups) == ("wall", ())
    assert len(harvest.records) == 1


async def test_a_404_of_the_first_page_ends_the_walk_and_calls_nothing_absent() -> None:
    harvest, _ = await ask(Gone(status=404))
    [record] = harvest.records
    assert isinstance(record, WalkStep)
    assert (record.stop_reason, harvest.follow_ups) == ("error", ())


@pytest.mark.parametrize(("policy", "reason"), [("all", "end"), ("1.*", "policy")])
async def test_a_404_past_the_last_page_is_the_end_and_nothing_is_absent(policy: str, reason: str) -> None:
    harvest, _ = await ask(Gone(status=404), page=3, query="page=3", tags=policy)
    assert walk(harvest).stop_reason == reason
    assert len(harvest.records) == 1


@pytest.mark.parametrize("error", [Unavailable(), Denied(), DeadEndpoint(), Throttled(retry_after=1.0)])
@pytest.mark.parametrize("number", [1, 2])
async def test_no_other_error_becomes_an_empty_list(error: Exception, number: int) -> None:
    with pytest.raises(type(error)):
        await ask(error, page=number)


async def test_an_empty_list_is_the_end_of_it() -> None:
    harvest, _ = await ask(page())
    assert (walk(harvest).stop_reason, walk(harvest).reported_count) == ("end", 0)


async def test_a_list_that_leads_on_for_ever_is_left_with_an_error() -> None:
    here = job("tags.page", NGINX)
    for number in range(1, 200):
        harvest = await handle(here, FarEnd(page(tag("a", 1), reported_count=1, next_page=f"page={number}")).clients)
        if walk(harvest).stop_reason is not None:
            break
        here = next_page(harvest)
    assert (walk(harvest).stop_reason, here.args.page) == ("error", 21)
    assert not [follow for follow in harvest.follow_ups if follow.kind == "tags.page"]


async def test_a_long_list_of_small_pages_is_no_circle() -> None:
    hub = Hub(*[tag(f"t{number}", number) for number in range(400)], page_size=10)
    found, steps = await walked(hub, "all")
    assert (len(found), steps[-1].stop_reason) == (400, "end")


async def test_refused_rows_are_counted_and_five_of_a_page_leave_their_evidence() -> None:
    harvest, _ = await ask(page(tag("a", 1), refused=tuple(refused(number) for number in range(8)), reported_count=9))
    assert walk(harvest).refused == 8
    evidence = [record for record in harvest.records if isinstance(record, Drifted)]
    assert [one.refused.path for one in evidence] == [f"$.results[{number}]" for number in range(5)]
    assert {one.subject for one in evidence} == {NGINX}


@pytest.mark.parametrize(
    ("layers", "wanted"), [("none", []), ("latest", [1]), ("all", [1, 2, 3]), ("1.*", [2]), ("[Ll]*", [1, 3])]
)
async def test_layers_follow_for_the_tags_that_the_policy_names(layers: str, wanted: list[int]) -> None:
    rows = (tag("latest", 1), tag("1.27", 2), tag("Latest", 3), tag("nothing"))
    harvest, _ = await ask(page(*rows), layers=layers)
    assert digests(harvest) == [digest(number) for number in wanted]


async def test_layers_of_one_digest_are_asked_once_however_many_tags_it_has() -> None:
    harvest, _ = await ask(page(tag("a", 1), tag("b", 1), tag("c", 1)), layers="all")
    assert digests(harvest) == [digest(1)]


async def test_a_glob_is_sent_as_a_filter_and_applied_to_the_rows() -> None:
    rows = (tag("3.20-alpine", 1), tag("alpine", 2), tag("3.20-alpine-slim", 3))
    harvest, far_end = await ask(page(*rows), tags="*-alpine", layers="all")
    assert far_end.asked[0][1]["name_filter"] == "-alpine"
    assert (names(harvest), digests(harvest)) == (["3.20-alpine"], [digest(1)])
    assert walk(harvest).stop_reason == "policy"


async def test_newest_n_asks_for_no_more_than_n_and_ends_by_policy() -> None:
    hub = Hub(*[tag(f"t{day}", day, day) for day in range(1, 21)])
    found, steps = await walked(hub, "newest:5")
    assert found == ["t20", "t19", "t18", "t17", "t16"]
    assert hub.asked[0][1]["page_size"] == 5
    assert [step.stop_reason for step in steps] == ["policy"]


async def test_newest_n_goes_over_pages_and_stops_in_the_middle_of_one() -> None:
    hub = Hub(*[tag(f"t{day}", day, day) for day in range(1, 26)], page_size=10)
    found, steps = await walked(hub, "newest:15")
    assert (len(found), found[-1], len(hub.asked)) == (15, "t11", 2)
    assert steps[-1].stop_reason == "policy"


async def test_newest_n_that_stops_in_the_middle_of_the_last_page_ends_by_policy() -> None:
    hub = Hub(*[tag(f"t{day}", day, day) for day in range(1, 21)], page_size=10)
    found, steps = await walked(hub, "newest:15")
    assert len(found) == 15
    assert steps[-1].stop_reason == "policy", "five tags were left out on purpose"


async def test_newest_n_of_a_repository_with_fewer_tags_saw_everything() -> None:
    hub = Hub(tag("a", 1, 1), tag("b", 2, 2))
    found, steps = await walked(hub, "newest:5")
    assert (found, steps[-1].stop_reason) == (["b", "a"], "end")


@pytest.mark.parametrize("newest", [1, 2, 5, 12])
async def test_newest_n_finds_the_newest_whichever_way_the_far_end_reads_the_order(newest: int) -> None:
    hub = Hub(*[tag(f"t{day}", day, day) for day in range(1, 21)], newest_first="-last_updated", page_size=None)
    found, steps = await walked(hub, f"newest:{newest}")
    assert found == [f"t{day}" for day in range(20, 20 - newest, -1)]
    assert steps[-1].stop_reason == "policy"


@pytest.mark.parametrize(
    ("tags", "found", "name_filter"),
    [
        ("newest:3,*-alpine", ["2.19-alpine", "2.17-alpine", "2.15-alpine"], "-alpine"),
        ("newest:3,re:2[.][0-9]+", ["2.18", "2.16", "2.14"], "2"),
        ("newest:3,semver:<=2.16", ["2.16", "2.14", "2.12"], None),
        ("newest:3,semver:2.x -alpine*", ["2.19-alpine", "2.17-alpine", "2.15-alpine"], "-alpine"),
    ],
)
async def test_newest_n_of_a_filter_are_the_newest_of_those_that_it_lets_in(
    tags: str, found: list[str], name_filter: str | None
) -> None:
    rows = [tag(f"2.{day}" + ("-alpine" if day % 2 else ""), day, day) for day in range(1, 20)]
    hub = Hub(*rows, page_size=4)
    assert (await walked(hub, tags))[0] == found
    assert hub.asked[0][1]["name_filter"] == name_filter
    one_page = Hub(*rows)
    names_found, steps = await walked(one_page, tags)
    assert (names_found, steps[-1].stop_reason) == (found, "policy")
    assert one_page.asked[0][1]["page_size"] == 100, "a page of three would be full of others"


@pytest.mark.parametrize("tags", ["re:2.*", "semver:2.x", "newest:5,re:2.*", "newest:5,semver:2.x", "newest:5,2.*"])
@pytest.mark.parametrize("ends", ["with a page", "with a 404"])
async def test_a_walk_by_a_filter_never_says_that_it_saw_the_whole_list(tags: str, ends: str) -> None:
    if ends == "with a page":
        harvest, _ = await ask(page(tag("2.1", 1)), tags=tags)
    else:
        harvest, _ = await ask(Gone(status=404), tags=tags, page=2, query="page=2")
    assert walk(harvest).stop_reason == "policy"
    assert not walk(harvest).is_whole


async def test_newest_n_takes_the_rows_as_they_come_where_dates_do_not_tell() -> None:
    same = [tag(f"t{number}", number, 7) for number in range(1, 9)]
    found, _ = await walked(Hub(*same), "newest:3")
    assert len(found) == 3


async def test_a_wrong_order_is_tried_the_other_way_round_once_only() -> None:
    rows = (tag("old", 1, 1), tag("new", 2, 2))
    first, _ = await ask(page(*rows, next_page="page=2", reported_count=9), tags="newest:2")
    assert first.records == ()
    again = next_page(first)
    assert (again.args.oldest_first, again.args.page) == (True, 1)
    far_end = FarEnd(page(*rows, next_page="page=2", reported_count=9))
    second = await handle(again, far_end.clients)
    assert far_end.asked[0][1]["ordering"] == "-last_updated"
    assert (names(second), walk(second).stop_reason) == (["old", "new"], "policy")


async def test_one_tag_is_kept_and_its_layers_follow() -> None:
    far_end = FarEnd(tag("1.27", 5))
    harvest = await handle(job("tag", NGINX, tag="1.27", layers="all"), far_end.clients)
    assert far_end.asked[0][0] == (RepositoryName("library", "nginx"), "1.27")
    assert harvest.records == (TagsSeen(repository=NGINX, tags=(tag("1.27", 5),), source="detail"),)
    assert digests(harvest) == [digest(5)]


async def test_a_404_of_one_tag_is_the_absence_of_that_tag_only() -> None:
    harvest = await handle(job("tag", NGINX, tag="1.27"), FarEnd(Gone(status=404)).clients)
    assert harvest == Harvest(records=(Absent(repository=NGINX, tag="1.27"),))
