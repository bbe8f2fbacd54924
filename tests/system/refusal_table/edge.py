"""The edge and rights: 400, 401, 403 (wire reference, 3.5, 11.4, 20)."""

from __future__ import annotations

from tests.fakehub import Limits, World, faults
from tests.fakehub.faults import Answer
from tests.system.refusal_table.stage import (
    DETAIL,
    IMAGES,
    MANIFEST,
    ONE,
    PULLS,
    SECRET,
    TAGS,
    Arm,
    Check,
    Refused,
    Stage,
)
from tests.system.refusal_table.words import (
    GAVE_UP_AT_THE_EDGE,
    TAGS_AT,
    TAGS_DENIED,
    WEB_AT,
    WEB_JOB,
    blocked,
    gave_up,
    incomplete,
    retried,
)

BOTH = ("backfill", "acme/web", "acme/api", "--layers", "none")
NO_ABSENCE = {"SELECT count(*) FROM absences": 0, "SELECT count(*) FROM v_vanished": 0}
NOTHING_LOST = NO_ABSENCE | {"SELECT count(*) FROM v_tags WHERE full_name = 'acme/web'": 3}
API_KEPT = {"SELECT count(*) FROM v_tags WHERE full_name = 'acme/api'": 3}
DENIED = {"message": "access to the resource is forbidden with personal access token", "errinfo": {}}
EXPIRED = {"detail": "Invalid or expired token"}


def moved_and(answer: Answer, target: str = TAGS) -> Arm:
    """Another `latest`, so that the next pass asks for the tags again, and this answer to that."""

    def arm(stage: Stage) -> None:
        stage.hub.world.push_tag("acme/web", "latest")
        stage.fault(answer, target, times=None)

    return arm


def _logins(number: int) -> Check:
    def check(stage: Stage) -> None:
        assert len(stage.asked("/v2/auth/token")) == number
        assert "authorization" in stage.asked(TAGS)[0].headers

    return check


def _ends_anonymous(stage: Stage) -> None:
    assert ["authorization" in entry.headers for entry in stage.asked(TAGS)] == [True, True, False]


def _hub_went_on(stage: Stage) -> None:
    refused = next(entry.at for entry in stage.asked(MANIFEST) if entry.status == 403)
    assert all(entry.at < refused + 60 for entry in stage.asked(host="hub"))


EDGE = (
    Refused(
        name="edge-html",
        sent="403, an HTML page `Just a moment...`, once",
        did="asks the Hub nothing for 15 minutes, then goes on",
        seen=(blocked(900),),
        arm=lambda stage: stage.fault(faults.edge_challenge(), TAGS),
        asked=2,
        pauses=(900,),
        job=("tags.page", "done", 1),
        listing=("end", 1),
        stored=NO_ABSENCE,
    ),
    Refused(
        name="edge-code",
        sent="403, the text `error code: 1010`, once",
        did="asks the Hub nothing for 15 minutes, then goes on",
        seen=(blocked(900),),
        arm=lambda stage: stage.fault(faults.edge_code(), TAGS),
        asked=2,
        pauses=(900,),
        job=("tags.page", "done", 1),
        listing=("end", 1),
        stored=NO_ABSENCE,
    ),
    Refused(
        name="edge-twice",
        sent="403 of the edge, and again after the pause",
        did="gives up with everything kept; the pause that the next start keeps is 30 minutes",
        seen=(blocked(900), blocked(1800), GAVE_UP_AT_THE_EDGE),
        exit_code=4,
        arm=lambda stage: stage.fault(faults.edge_challenge(), TAGS, times=None),
        asked=2,
        pauses=(900,),
        job=("tags.page", "waiting", 0),
        stored=NO_ABSENCE
        | {
            "SELECT CAST(round(not_before - seen_at) AS integer) FROM budgets WHERE budget = 'hub' AND identity = 'address'": 1800
        },
    ),
    Refused(
        name="edge-restarts",
        sent="403 of the edge for good; the command is started twice",
        did="keeps the pause of the first start, and widens it: 15, 30, 60 minutes",
        seen=(blocked(3600), blocked(7200), GAVE_UP_AT_THE_EDGE),
        exit_code=4,
        arm=lambda stage: stage.fault(faults.edge_code(), TAGS, times=None),
        asked=4,
        pauses=(900, 1800, 3600),
        passes=2,
        stored=NO_ABSENCE,
    ),
    Refused(
        name="edge-registry",
        sent="403 of the edge before the registry, once",
        did="asks the registry nothing for 15 minutes; the Hub goes on",
        seen=(blocked(900),),
        arm=lambda stage: stage.fault(faults.edge_code(), MANIFEST, host="registry"),
        watch=IMAGES,
        asked=1,
        stored=NO_ABSENCE,
        check=_hub_went_on,
        command=PULLS,
    ),
)

RIGHTS = (
    Refused(
        name="403-behind-a-redirect",
        sent="403 in plain text from the store that the registry redirects to",
        did="takes it for an outage of that store, not for a block: asks the registry once more",
        seen=retried(
            "Unavailable: the host that a redirect led to failed (403 /registry-v2/acme/web/blobs/sha256/N/data)",
            job="manifest:sha256:N",
        ),
        arm=lambda stage: stage.fault(faults.status(403, "no"), "", host="cdn"),
        watch=MANIFEST,
        asked=2,
        pauses=(5,),
        job=("manifest", "done", 2),
        stored=NO_ABSENCE,
        command=PULLS,
    ),
    Refused(
        name="wall",
        sent="403 `pagination offset too large for anonymous requests` at the second page of a namespace",
        did="never asks it again; the rows before it are kept, the list says `wall`",
        seen=(incomplete("namespace of acme", "100 of 105", "wall"),),
        exit_code=1,
        arm=lambda stage: None,
        watch="^/v2/namespaces/acme/repositories\\?",
        asked=2,
        stored={
            "SELECT stop_reason FROM v_incomplete": "wall",
            "SELECT count(*) FROM repositories": 100,
            "SELECT count(*) FROM jobs WHERE state = 'dead'": 0,
        },
        command=("backfill", "acme/", "--layers", "none"),
        world=lambda: World.namespace("acme", 105),
        limits=Limits(hub_per_minute=100_000, anonymous_wall_repositories=99),
    ),
    Refused(
        name="403-repository",
        sent="403 in JSON for a repository: not allowed",
        did="never asks it again; the job is dead with its reason, the rest is stored",
        seen=gave_up(f"Denied: {DENIED['message']} (403 {WEB_AT})", job=WEB_JOB),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.status(403, DENIED), DETAIL, times=None),
        watch=DETAIL,
        asked=1,
        stored=NO_ABSENCE | API_KEPT | {"SELECT count(*) FROM jobs WHERE state = 'dead'": 1},
        command=BOTH,
    ),
    Refused(
        name="403-tags",
        sent="403 in JSON for a list of tags",
        did="never asks it again; the list says `denied`, the tags known before stay",
        seen=gave_up(f"Denied: {DENIED['message']} (403 {TAGS_AT})", TAGS_DENIED),
        exit_code=1,
        arm=moved_and(faults.status(403, DENIED), TAGS),
        asked=1,
        job=("tags.page", "dead", 1),
        listing=("denied", 0),
        stored=NOTHING_LOST,
        before=(ONE,),
    ),
    Refused(
        name="400",
        sent="400 `Invalid ordering value`",
        did="never asks it again; the job is dead with its reason",
        seen=gave_up(f"Denied: Invalid ordering value (400 {TAGS_AT})", TAGS_DENIED),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.status(400, {"fields": {}, "text": "Invalid ordering value"}), TAGS),
        asked=1,
        job=("tags.page", "dead", 1),
        stored=NO_ABSENCE,
    ),
    Refused(
        name="401-anonymous",
        sent="401 for public data to a request without a token",
        did="never asks it again",
        seen=gave_up(f"Denied: A valid token is wanted: {EXPIRED['detail']} (401 {TAGS_AT})", TAGS_DENIED),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.status(401, EXPIRED), TAGS, times=None),
        asked=1,
        job=("tags.page", "dead", 1),
        stored=NO_ABSENCE,
    ),
    Refused(
        name="401-stale",
        sent="401 to a token of the Hub, once",
        did="drops the token, logs in once more, asks once more",
        arm=lambda stage: stage.fault(faults.status(401, EXPIRED), TAGS),
        asked=2,
        job=("tags.page", "done", 1),
        listing=("end", 1),
        check=_logins(2),
        secret=SECRET,
    ),
    Refused(
        name="401-stale-twice",
        sent="401 to a token of the Hub, and to a new one",
        did="goes on without any: public data stays readable; no third login",
        arm=lambda stage: stage.fault(faults.status(401, EXPIRED), TAGS, times=2),
        asked=3,
        job=("tags.page", "done", 1),
        listing=("end", 1),
        check=_ends_anonymous,
        secret=SECRET,
    ),
    Refused(
        name="401-registry-once",
        sent="401 to a token of the registry that had been good",
        did="drops it, gets one new token, asks once more",
        arm=lambda stage: stage.fault(
            faults.status(401, {"errors": [{"code": "UNAUTHORIZED"}]}), MANIFEST, host="registry", skip=1
        ),
        watch=r"^/token\?",
        asked=2,
        job=("manifest", "done", 1),
        command=("backfill", "acme/web", "--layers", "all", "--pulls", "10"),
    ),
    Refused(
        name="401-registry",
        sent="401 of the registry to each new token: no such repository, or no right to it",
        did="one new token for each manifest, never a second try",
        seen=gave_up(
            "Denied: A valid token is wanted: no (401 /v2/acme/web/manifests/sha256:N)", job="manifest:sha256:N"
        ),
        exit_code=1,
        arm=lambda stage: stage.fault(
            faults.status(401, {"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}),
            MANIFEST,
            host="registry",
            times=None,
        ),
        watch=MANIFEST,
        asked=1,
        job=("manifest", "dead", 1),
        stored=NO_ABSENCE,
        command=PULLS,
    ),
)

ROWS = (*EDGE, *RIGHTS)
