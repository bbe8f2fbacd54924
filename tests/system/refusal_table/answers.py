"""Failures and answers that are none: 5xx, a 200 with something else, connections that break (wire reference, 20.1, 20.3)."""

from __future__ import annotations

from tests.fakehub import World, faults
from tests.fakehub.faults import Answer
from tests.system.refusal_table.edge import API_KEPT, BOTH, NO_ABSENCE, NOTHING_LOST, moved_and
from tests.system.refusal_table.stage import DETAIL, ONE, TAGS, Refused, Stage
from tests.system.refusal_table.words import BAD_ROW, NO_TAGS, TAGS_AT, WEB_AT, WEB_JOB, gave_up, retried

EMPTY, NOT_JSON, OTHER = "Drift: an empty body", "Drift: Input data was truncated", "Drift: a page without results"
PROTOCOL = "Unavailable: the connection failed: RemoteProtocolError"
READ = "Unavailable: the connection failed: ReadError"
LATE = "Unavailable: the connection failed: ReadTimeout"
EVERYWHERE = "The far end failed: 503 Service Error (503 /v2/namespaces/acme/repositories/repository-N)"
[FAILED_EVERYWHERE] = retried(f"Unavailable: {EVERYWHERE}", job="repository:acme/repository-N::all:none:free")
PAGE = "Unavailable: a page in place of JSON: 504 Gateway Time-out"


def _status(code: int) -> Refused:
    return Refused(
        name=f"{code}-twice",
        sent=f"{code}, an HTML page, twice, then 200",
        did="asks again after growing waits; each try is counted, nothing is gone",
        seen=retried(f"Unavailable: The far end failed: {code} Service Error ({code} {TAGS_AT})", times=2),
        arm=lambda stage: stage.fault(faults.server_error(code), TAGS, times=2),
        asked=3,
        pauses=(5, 20),
        job=("tags.page", "done", 3),
        listing=("end", 1),
        stored=NO_ABSENCE,
    )


def _passing(
    name: str,
    sent: str,
    answer: Answer,
    seconds: int,
    reason: str,
    *,
    status: str = "200 ",
    did: str = "asks once more after a pause",
) -> Refused:
    return Refused(
        name=f"{name}-once",
        sent=f"{sent}, once",
        did=did,
        seen=retried(f"{reason} ({status}{TAGS_AT})"),
        arm=lambda stage: stage.fault(answer, TAGS),
        asked=2,
        pauses=(seconds,),
        job=("tags.page", "done", 2),
        listing=("end", 1),
        stored=NO_ABSENCE,
    )


def _lasting(
    name: str, sent: str, answer: Answer, reason: str, *between: str, status: str = "200 ", asked: int = 2
) -> Refused:
    return Refused(
        name=f"{name}-for-good",
        sent=f"{sent}, for good, for tags that are known",
        did=f"gives the job up after {asked} tries; the list says `error`, every known tag stays (trap 4)",
        seen=gave_up(f"{reason} ({status}{TAGS_AT})", *between, tries=asked),
        exit_code=1,
        arm=moved_and(answer),
        asked=asked,
        job=("tags.page", "dead", asked),
        listing=("error", 0),
        stored=NOTHING_LOST,
        before=(ONE,),
    )


def _fails_at_all(stage: Stage) -> None:
    assert 900 <= stage.time.time() - stage.asked()[0].at < 2400


def _many() -> World:
    return World.namespace("acme", 20)


SERVER = (
    *[_status(code) for code in (500, 502, 503, 504, 520)],
    Refused(
        name="503-one-repository",
        sent="503 for one repository, for good",
        did="gives up that job after five tries, about six minutes; the others are stored",
        seen=gave_up(f"Unavailable: The far end failed: 503 Service Error (503 {WEB_AT})", tries=5, job=WEB_JOB),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.server_error(503), DETAIL, times=None),
        watch=DETAIL,
        asked=5,
        job=None,
        stored=NO_ABSENCE | API_KEPT | {"SELECT attempt FROM jobs WHERE state = 'dead'": 5},
        command=BOTH,
    ),
    Refused(
        name="503-everything",
        sent="503 for whatever is asked, for good",
        did="holds no job to blame: after twelve failures it pauses, after a quarter of an hour it gives up; no job is dead",
        seen=(
            FAILED_EVERYWHERE,
            *(f"far_end.failing pause_s={n} reason={EVERYWHERE!r}" for n in (5, 10, 20)),
            f"{FAILED_EVERYWHERE} repeated=10",
            *(f"far_end.failing pause_s={n} reason={EVERYWHERE!r}" for n in (40, 80, 160, 300, 300, 300)),
            f"harvester: {EVERYWHERE}; nothing is lost, the same command goes on",
        ),
        exit_code=4,
        arm=lambda stage: stage.fault(faults.server_error(503), "", times=None, skip=1),
        watch="^/v2/namespaces/acme/repositories\\?",
        asked=1,
        stored=NO_ABSENCE | {"SELECT count(*) FROM jobs WHERE state = 'dead'": 0},
        check=_fails_at_all,
        command=("backfill", "acme/", "--layers", "none"),
        world=_many,
    ),
)

BODIES = (
    _passing(
        "200-html",
        "200 with an HTML page",
        faults.html_ok(),
        5,
        PAGE,
        did="takes it for an outage: asks again after a wait",
    ),
    _passing("200-empty", "200 without a body", faults.empty_ok(), 30, EMPTY),
    _passing("200-not-json", "200 with JSON that breaks off", faults.not_json(), 30, NOT_JSON),
    _passing("200-object", "200 with `{}`", faults.status(200, {}), 30, OTHER),
    _passing("200-other-shape", "200 with another shape", faults.other_shape(), 30, OTHER),
    _lasting("200-html", "200 with an HTML page", faults.html_ok(), PAGE, NO_TAGS, asked=5),
    _lasting("200-empty", "200 without a body", faults.empty_ok(), EMPTY, NO_TAGS, BAD_ROW),
    _lasting("200-object", "200 with `{}`", faults.status(200, {}), OTHER, NO_TAGS, BAD_ROW),
    _lasting("200-other-shape", "200 with another shape", faults.other_shape(), OTHER, NO_TAGS, BAD_ROW),
    Refused(
        name="200-too-large",
        sent="200 whose small body inflates to 16 MB",
        did="stops reading at 8 MiB, gives the job up",
        seen=gave_up(f"TooLarge: the body is larger than 8388608 bytes (200 {TAGS_AT})", NO_TAGS),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.gzip_bomb(16), TAGS),
        asked=1,
        job=("tags.page", "dead", 1),
        stored=NO_ABSENCE,
    ),
    Refused(
        name="200-other-repository",
        sent="200 about another repository than was asked for",
        did="stores none of it: asks once more, then gives the job up",
        seen=gave_up(f"Drift: another repository than the one asked for (200 {WEB_AT})", BAD_ROW, tries=2, job=WEB_JOB),
        exit_code=1,
        arm=lambda stage: stage.fault(faults.field_set("name", "api"), DETAIL, times=None),
        watch=DETAIL,
        asked=2,
        stored=NO_ABSENCE | {"SELECT count(*) FROM repositories": 0},
    ),
)

CONNECTIONS = (
    _passing("cut", "a body that breaks off", faults.cut_short(), 5, PROTOCOL, status=""),
    _passing("reset", "a connection that is reset", faults.connection_reset(), 5, READ, status=""),
    _passing("closed", "a connection that is closed", faults.connection_closed(), 5, PROTOCOL, status=""),
    _passing("no-http", "bytes that are no HTTP", faults.raw(b"HTP/9 nonsense\n\n"), 5, PROTOCOL, status=""),
    _passing(
        "hang", "no answer at all", faults.hang(), 35, LATE, status="", did="waits 30 s, not longer, and asks again"
    ),
    _lasting("cut", "a body that breaks off", faults.cut_short(), PROTOCOL, NO_TAGS, status="", asked=5),
)

ROWS = (*SERVER, *BODIES, *CONNECTIONS)
