"""Lists that are not what they seem: pages that are empty, repeated, cut, counted wrongly (wire reference, 3.3, 22)."""

from __future__ import annotations

from tests.fakehub import Limits, Switches, World, faults
from tests.fakehub.faults import Occasion
from tests.fakehub.messages import Reply, json_reply
from tests.system.refusal_table.edge import NO_ABSENCE, NOTHING_LOST, moved_and
from tests.system.refusal_table.stage import ONE, TAGS, Refused, Stage
from tests.system.refusal_table.words import BAD_ROW, gave_up, incomplete

SEARCH = ("backfill", "search:web", "--layers", "none")
SEARCH_PAGES = "/v2/search/"
NOTHING: dict[str, object] = {"count": 0, "next": None, "previous": None, "results": []}
PAGE_2 = r"web/tags\?.*\bpage=2\b"
PAGE_3_AT = "/v2/namespaces/acme/repositories/web/tags?ordering=last_updated&page=3&page_size=100"
SEARCH_AT = "/v2/search/repositories/?query=web&page_size=100"
SEARCH_JOB = "search.page:web:all:none:free:1"
PAGE_3 = r"web/tags\?.*\bpage=3\b"


def _long(tags: int) -> World:
    world = World()
    world.add_repository("acme/web", tags=tags)
    return world


def _endless(occasion: Occasion) -> Reply:
    page = int(occasion.request.parameter("page") or 1)
    following = f"{occasion.base_url}{occasion.request.path}?page={page + 1}&page_size=100"
    return json_reply(200, {"count": 3, "next": following, "previous": None, "results": []})


def _resumes_at_page_3(stage: Stage) -> None:
    """The command once more, after the operator has revived what was dead."""
    [[job]] = stage.rows("SELECT id FROM jobs WHERE state = 'dead'")
    said = stage.said[-1]
    stage.hub.clear_faults()
    stage.hub.journal.clear()
    stage.run("jobs", "retry", str(job))
    stage.run(*ONE)
    stage.said.append(said)
    assert len(stage.asked(PAGE_3)) == 1
    assert len(stage.asked(TAGS)) == 1, "what was read is not asked again"
    assert stage.listing() == ("end", 1)


def _no_images(stage: Stage) -> None:
    stage.hub.world.push_tag("acme/web", "1.1")

    def emptied(page: dict[str, list[dict[str, object]]]) -> None:
        for row in page["results"]:
            row["images"] = []

    stage.fault(faults.mutated(emptied), TAGS)


def _platforms_stay(stage: Stage) -> None:
    tags = dict(stage.rows("SELECT tag, platforms FROM v_tags WHERE full_name = 'acme/web'"))
    assert tags["1.0"]
    assert tags["latest"]


ROWS = (
    Refused(
        name="404-past-the-end",
        sent="404 for the second page of a list that has become shorter",
        did="ends the list there, as incomplete; nothing is gone (trap 17)",
        seen=(incomplete("tags of acme/web", "100 of 101", "end"),),
        exit_code=1,
        arm=lambda stage: stage.fault(
            faults.status(404, {"message": "httperror 404: object not found", "errinfo": {}}), PAGE_2
        ),
        asked=2,
        job=("tags.page", "done", 1),
        listing=("end", 0),
        stored=NO_ABSENCE | {"SELECT count(*) FROM tags": 100},
        world=lambda: _long(101),
    ),
    Refused(
        name="200-tags-two-pages",
        sent="200 rows in pages of 100",
        did="asks for two pages, not for a third (trap 16)",
        arm=lambda stage: None,
        asked=2,
        listing=("end", 1),
        world=lambda: _long(200),
    ),
    Refused(
        name="404-past-the-search",
        sent="404 past the search's window",
        did="ends the list there, as incomplete",
        seen=(incomplete("search of web", "100 of 110", "end"),),
        exit_code=1,
        arm=lambda stage: None,
        watch=SEARCH_PAGES,
        asked=2,
        stored={"SELECT stop_reason FROM v_incomplete": "end", "SELECT count(*) FROM repositories": 100},
        command=("backfill", "search:web", "--layers", "none", "--tags", "newest:1"),
        world=lambda: World.search_hits("web", 110),
        limits=Limits(hub_per_minute=100_000, search_wall=100),
    ),
    Refused(
        name="403-past-the-search",
        sent="403 past the search's window",
        did="ends the list there, as cut by the wall; never asks it again (trap 17)",
        seen=(incomplete("search of web", "100 of 110", "wall"),),
        exit_code=1,
        arm=lambda stage: None,
        watch=SEARCH_PAGES,
        asked=2,
        stored={"SELECT stop_reason FROM v_incomplete": "wall", "SELECT count(*) FROM repositories": 100},
        command=("backfill", "search:web", "--layers", "none", "--tags", "newest:1"),
        world=lambda: World.search_hits("web", 110),
        limits=Limits(hub_per_minute=100_000, search_wall=100, search_wall_status=403),
    ),
    Refused(
        name="empty-list-where-tags-were",
        sent="200 with a count of 0 and no rows, for tags that are known",
        did="believes it neither complete nor a deletion (trap 19)",
        seen=(incomplete("tags of acme/web", "0 of 0", "error"),),
        exit_code=1,
        arm=moved_and(faults.status(200, NOTHING)),
        asked=1,
        job=("tags.page", "done", 1),
        listing=("error", 0),
        stored=NOTHING_LOST,
        before=(ONE,),
    ),
    Refused(
        name="empty-search-where-hits-were",
        sent="200 with a count of 0 and no rows, for a search that had hits: an endpoint that died",
        did="believes it neither complete nor a deletion (trap 19)",
        seen=(incomplete("search of web", "0 of 0", "error"),),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.status(200, NOTHING), SEARCH_PAGES),
        watch=SEARCH_PAGES,
        asked=1,
        stored=NOTHING_LOST | {"SELECT stop_reason FROM v_incomplete WHERE kind = 'search'": "error"},
        command=SEARCH,
        before=(SEARCH,),
    ),
    Refused(
        name="search-without-a-body",
        sent="200 without a body for a search, as the search that was shut down in 2024 answers",
        did="asks once more, then gives the job up; the list is no empty one (trap 19)",
        seen=gave_up(
            f"Drift: an empty body (200 {SEARCH_AT})",
            incomplete("search of web", "0 of ?", "error"),
            BAD_ROW,
            tries=2,
            job=SEARCH_JOB,
        ),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.empty_ok(), SEARCH_PAGES, times=None),
        watch=SEARCH_PAGES,
        asked=2,
        job=("search.page", "dead", 2),
        stored=NOTHING_LOST | {"SELECT stop_reason FROM v_incomplete WHERE kind = 'search'": "error"},
        command=SEARCH,
        before=(SEARCH,),
    ),
    Refused(
        name="empty-page-with-next",
        sent="200 with `results: []` and `next` set, once",
        did="follows `next`; the 100 rows that it did not see make the list incomplete",
        seen=(incomplete("tags of acme/web", "20 of 120", "end"),),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.empty_page(), TAGS),
        asked=2,
        listing=("end", 0),
        stored=NO_ABSENCE | {"SELECT count(*) FROM tags": 20},
        world=lambda: _long(120),
    ),
    Refused(
        name="empty-pages-for-good",
        sent="200 with `results: []` and `next` set, on every page",
        did="stops after 21 pages: no list is that long for 3 tags",
        seen=(incomplete("tags of acme/web", "0 of 3", "error"),),
        exit_code=1,
        arm=lambda stage: stage.fault(_endless, TAGS, times=None),
        asked=21,
        listing=("error", 0),
        stored=NO_ABSENCE,
    ),
    Refused(
        name="next-is-itself",
        sent="`next` is the address of the page itself",
        did="keeps the rows, follows it nowhere",
        seen=(incomplete("tags of acme/web", "100 of 120", "error"), BAD_ROW),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.next_is_same(), TAGS, times=None),
        asked=1,
        job=("tags.page", "done", 1),
        listing=("error", 0),
        stored=NO_ABSENCE | {"SELECT count(*) FROM tags": 100},
        world=lambda: _long(120),
    ),
    Refused(
        name="next-is-elsewhere",
        sent="`next` is at another host",
        did="keeps the rows, follows it nowhere",
        seen=(incomplete("tags of acme/web", "100 of 120", "error"), BAD_ROW),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.next_is("http://127.0.0.1:9/v2/x?page=2"), TAGS),
        asked=1,
        listing=("error", 0),
        stored=NO_ABSENCE | {"SELECT count(*) FROM tags": 100},
        world=lambda: _long(120),
    ),
    Refused(
        name="count-too-large",
        sent="a count of 5, and 3 rows",
        did="keeps the rows; the list ended early",
        seen=(incomplete("tags of acme/web", "3 of 5", "end"),),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.mutated(lambda page: page | {"count": 5}), TAGS),
        asked=1,
        listing=("end", 0),
        stored=NO_ABSENCE | {"SELECT count(*) FROM tags": 3},
    ),
    Refused(
        name="count-too-small",
        sent="a count of 2, and 3 rows",
        did="keeps all three; the list is complete: its count is a hint",
        arm=lambda stage: stage.fault(faults.mutated(lambda page: page | {"count": 2}), TAGS),
        asked=1,
        listing=("end", 1),
        stored=NO_ABSENCE | {"SELECT count(*) FROM tags": 3},
    ),
    Refused(
        name="page-size-ignored",
        sent="pages of 25 where 100 rows were asked for",
        did="follows `next`; the list is complete",
        arm=lambda stage: None,
        asked=5,
        listing=("end", 1),
        world=lambda: _long(120),
        switches=Switches(fixed_page_size=25),
    ),
    Refused(
        name="images-empty",
        sent="`images: []` for tags whose platforms are known",
        did="keeps the platforms of every tag whose digest is the same",
        arm=_no_images,
        asked=1,
        listing=("end", 1),
        check=_platforms_stay,
        before=(ONE,),
    ),
    Refused(
        name="one-bad-row",
        sent="a row without a name among three",
        did="keeps the two others, and a sample of the third as evidence",
        seen=(incomplete("tags of acme/web", "2 of 3", "error"), BAD_ROW),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.field_dropped("name"), TAGS),
        asked=1,
        listing=("error", 0),
        stored=NO_ABSENCE | {"SELECT count(*) FROM tags": 2, "SELECT count(*) FROM events WHERE kind = 'drift'": 1},
    ),
    Refused(
        name="page-3-fails",
        sent="503 for the third page of three, for good",
        did="keeps the two others; `jobs retry` and the same command go on at the third (trap 13)",
        seen=gave_up(
            f"Unavailable: The far end failed: 503 Service Error (503 {PAGE_3_AT})",
            incomplete("tags of acme/web", "200 of 250", "error"),
            tries=5,
            job="tags.page:acme/web:all:none:free:3",
        ),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.server_error(503), PAGE_3, times=None),
        watch=PAGE_3,
        asked=5,
        job=("tags.page", "dead", 5),
        listing=("error", 0),
        stored=NO_ABSENCE | {"SELECT count(*) FROM tags": 200},
        check=_resumes_at_page_3,
        world=lambda: _long(250),
    ),
)
