"""Objects and paths: 301, 302, 404, 405, 410 (wire reference, 3.1, 20)."""

from __future__ import annotations

from tests.fakehub import faults
from tests.fakehub.faults import Answer, Occasion
from tests.fakehub.messages import Reply
from tests.system.refusal_table.edge import NO_ABSENCE, NOTHING_LOST, moved_and
from tests.system.refusal_table.stage import (
    DETAIL,
    IMAGES,
    MANIFEST,
    ONE,
    PULLS,
    SECRET,
    TAGS,
    Refused,
    Stage,
)
from tests.system.refusal_table.words import (
    BAD_ROW,
    NO_TAGS,
    NOT_THERE,
    NOT_THERE_AGAIN,
    TAGS_AT,
    TAGS_JOB_SIGNED_IN,
    WEB_JOB,
    gave_up,
)

WITHDRAWN = "the far end withdrew this endpoint; it is not asked again"
QUERY = "page_size=100&ordering=last_updated"
LEGACY_TAGS = r"/v2/repositories/acme/web/tags/\?"
ANY_TAGS = r"web/tags/?\?"


def _elsewhere(path: str) -> Answer:
    def answer(occasion: Occasion) -> Reply:
        return faults.redirect(occasion.base_url + path, code=301)(occasion)

    return answer


def _pages(stage: Stage) -> None:
    assert "(1 redirects)" in stage.said[-1].printed


def _no_credential_at_the_cdn(stage: Stage) -> None:
    assert not stage.asked(host="cdn")


def _deleted(stage: Stage) -> None:
    stage.hub.world.delete_repository("acme/web")


PATHS = (
    Refused(
        name="404-object",
        sent="404 `object not found` for a repository that was there, in one pass",
        did="remembers it; nothing is gone",
        seen=(NOT_THERE,),
        arm=_deleted,
        watch=DETAIL,
        asked=1,
        stored={
            "SELECT passes FROM absences": 1,
            "SELECT count(*) FROM v_vanished": 0,
            "SELECT count(*) FROM v_tags WHERE full_name = 'acme/web'": 3,
        },
        before=(ONE,),
    ),
    Refused(
        name="404-object-twice",
        sent="404 `object not found` for it again, in a later pass",
        did="repository and tags are gone, with the time; the rows stay",
        seen=(NOT_THERE_AGAIN,),
        arm=_deleted,
        watch=DETAIL,
        asked=2,
        passes=2,
        stored={
            "SELECT count(*) FROM v_vanished": 4,
            "SELECT count(*) FROM tags WHERE gone_at IS NOT NULL": 3,
        },
        before=(ONE,),
    ),
    Refused(
        name="404-path",
        sent="404, an HTML page, for every path of the newer family",
        did="asks by the older family's paths, and remembers that",
        arm=lambda stage: setattr(stage.hub.switches, "namespaces_family", False),
        watch=LEGACY_TAGS,
        asked=1,
        listing=("end", 1),
        stored=NO_ABSENCE,
    ),
    Refused(
        name="404-blocked-address",
        sent="404, an HTML page, for every path of a repository that is known, in two passes",
        did="tries both families five times, then gives the job up; nothing is gone or remembered as absent",
        seen=gave_up("Unavailable: no known path serves this (404 /v2/repositories/acme/web/)", tries=5, job=WEB_JOB),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.missing_page(), "acme/(repositories/)?web", times=None),
        watch="acme/(repositories/)?web",
        asked=20,
        job=("repository", "dead", 5),
        stored=NOTHING_LOST,
        before=(ONE,),
        passes=2,
    ),
    Refused(
        name="404-manifest",
        sent="404 `MANIFEST_UNKNOWN`: the image went away between two requests",
        did="leaves it at what the Hub said of it",
        arm=lambda stage: stage.fault(
            faults.status(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]}), MANIFEST, host="registry"
        ),
        watch=IMAGES,
        asked=1,
        job=("manifest", "done", 1),
        stored=NO_ABSENCE,
        command=PULLS,
    ),
    Refused(
        name="404-tag-twice",
        sent="404 `object not found` for one tag that was there, in two passes",
        did="the tag is gone at the second, its repository and the other tags are not",
        seen=("not there: acme/web:1.0 (404, and it was missing before; marked as gone, its rows stay)",),
        arm=lambda stage: stage.hub.world.delete_tag("acme/web", "1.0"),
        watch="tags/1.0$",
        asked=2,
        job=("tag", "done", 1),
        stored={"SELECT tag FROM v_vanished": "1.0", "SELECT count(*) FROM v_tags": 2},
        command=("backfill", "acme/web:1.0", "--layers", "none"),
        before=(ONE,),
        passes=2,
    ),
    Refused(
        name="405",
        sent="405 on a path of the newer family",
        did="asks by the older family's path",
        arm=lambda stage: stage.fault(faults.status(405, {"detail": "no"}), TAGS, times=None),
        watch=ANY_TAGS,
        asked=2,
        listing=("end", 1),
    ),
    Refused(
        name="410",
        sent="410 on the paths of both families for tags",
        did="never asks for lists of tags again; what was known stays",
        seen=gave_up(f"DeadEndpoint: {WITHDRAWN} (410 /v2/repositories/acme/web/tags/?{QUERY})", NO_TAGS),
        exit_code=1,
        arm=moved_and(faults.status(410, {"message": "gone"}), ANY_TAGS),
        watch=ANY_TAGS,
        asked=2,
        job=("tags.page", "dead", 1),
        listing=("error", 0),
        stored=NOTHING_LOST,
        before=(ONE,),
    ),
    Refused(
        name="301",
        sent="301 to the same host, as for a slash that is missing",
        did="follows it; the summary counts the request",
        arm=lambda stage: stage.fault(_elsewhere("/v2/repositories/acme/web/"), DETAIL),
        watch="",
        asked=3,
        listing=("end", 1),
        check=_pages,
    ),
    Refused(
        name="302-other-host",
        sent="302 to another host, to a request with a token",
        did="does not follow it, the token goes nowhere else; asks once more, then gives the job up",
        seen=gave_up(
            f"Drift: a redirect to another origin (302 {TAGS_AT})", NO_TAGS, BAD_ROW, tries=2, job=TAGS_JOB_SIGNED_IN
        ),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.redirect(f"{stage.hub.cdn_url}/v2/x"), TAGS, times=None),
        asked=2,
        job=("tags.page", "dead", 2),
        listing=("error", 0),
        stored=NO_ABSENCE,
        check=_no_credential_at_the_cdn,
        secret=SECRET,
    ),
    Refused(
        name="302-circle",
        sent="302 to itself",
        did="follows three times, asks once more the same way, then gives the job up",
        seen=gave_up(f"Drift: more than 3 redirects ({TAGS_AT})", NO_TAGS, BAD_ROW, tries=2),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.redirect_loop(), TAGS, times=None),
        asked=8,
        job=("tags.page", "dead", 2),
        stored=NO_ABSENCE,
    ),
)

ROWS = PATHS
