"""Refusals of the four limiters: the Hub API's, the pulls', abuse, and failed logins (wire reference, 13)."""

from __future__ import annotations

from email.utils import formatdate

from tests.fakehub import Limits, World, faults
from tests.fakehub.faults import Answer, Occasion
from tests.fakehub.messages import Headers, Reply, json_reply
from tests.fakehub.registry import PULL_LIMIT_TEXT
from tests.store.clocks import NOW
from tests.system.refusal_table.stage import IMAGES, MANIFEST, ONE, SECRET, TAGS, Refused, Stage
from tests.system.refusal_table.words import shelved, still_shelved, throttled

ALL_LAYERS = ("backfill", "acme/web", "--layers", "all", "--pulls", "100")
LOGIN = "^/v2/auth/token"
TOKEN = r"^/token\?"
EVERYTHING = "on everything from this address"
REFUSED = "the far end refused the credentials; they are not tried again within the hour"
LOCKED = "too many failed login attempts for username or IP address"
IMAGES_AT = "/v2/repositories/acme/web/tags/N/images"
MANIFEST_AT = "/v2/acme/web/manifests/sha256:N"
TOKEN_AT = "/token?service=registry.docker.io&scope=repository:acme/web:pull"
UNDER_WAY = 5
"""Requests that may have been sent already when the answer to another one comes."""

TO_THE_LEDGER = f"(b.not_before - {NOW + 1000})"
"""Seconds from the first request to the opening of a budget."""

NEVER_DEAD = {"SELECT count(*) FROM jobs WHERE state = 'dead'": 0, "SELECT count(*) FROM absences": 0}


def _limited(name: str, value: str) -> Answer:
    """The Hub limiter's 429 with one header; a number behind a plus sign is counted from now."""

    def answer(occasion: Occasion) -> Reply:
        at = int(occasion.now) + int(value[1:]) if value[:1] in ("+", "@") else 0
        text = {"+": str(at), "@": formatdate(at, usegmt=True)}.get(value[:1], value)
        headers: Headers = ((name, text),) if name else ()
        return json_reply(429, {"detail": "Rate limit exceeded", "error": False}, headers=headers)

    return answer


def _hub(name: str, sent: str, header: str, value: str, seconds: int) -> Refused:
    return Refused(
        name=f"hub-limit-{name}",
        sent=f"429 of the Hub API, {sent}",
        did=f"asks nothing of the Hub API for {seconds} s, then the same once; no attempt is counted",
        seen=(throttled(seconds, "of the Hub API"),),
        arm=lambda stage: stage.fault(_limited(header, value), TAGS),
        asked=2,
        pauses=(seconds,),
        job=("tags.page", "done", 1),
        listing=("end", 1),
        stored=NEVER_DEAD
        | {
            "SELECT closed_reason FROM budgets WHERE budget = 'hub'": f"Told to wait {seconds} s: the limit of the Hub API",
            f"SELECT abs({TO_THE_LEDGER} - {seconds}) < 1 FROM budgets b WHERE budget = 'hub'": 1,
        },
    )


def _goes_on_elsewhere(stage: Stage) -> None:
    refused, *_, last = [entry.at for entry in stage.asked(IMAGES) if entry.status != 200] + [stage.time.time()]
    pulls = [entry for entry in stage.asked(MANIFEST) if entry.at < refused + 10_000]
    assert pulls, "manifests were pulled while the Hub API was closed"
    assert last - refused >= 10_800


def _hub_went_on(stage: Stage) -> None:
    refused = next(entry.at for entry in stage.asked(MANIFEST) if entry.status == 429)
    hub = [entry.at for entry in stage.asked(host="hub")]
    assert max(hub) < refused + 60, "the Hub API was not held back"
    assert len(stage.asked(IMAGES)) == 40
    later = [entry.at for entry in stage.asked(MANIFEST) if entry.at > refused]
    assert min(later) >= refused + 3600


def _everything_paused(stage: Stage) -> None:
    entries = stage.asked()
    place, refused = next((number, entry) for number, entry in enumerate(entries) if entry.status == 429)
    meanwhile = [entry for entry in entries[place + 1 :] if entry.at < refused.at + 60]
    assert len(meanwhile) <= UNDER_WAY
    assert len(entries) - place > 10 * UNDER_WAY, "much was left to do, at every host"


def _nothing_was_refused(stage: Stage) -> None:
    assert not [entry for entry in stage.asked() if entry.status == 429]


def _a_second_window(stage: Stage) -> None:
    _nothing_was_refused(stage)
    assert stage.time.time() - stage.asked()[0].at >= 60


def _refused_an_hour_ago(stage: Stage) -> None:
    stage.run(*ONE, secret="dckr_pat_wrong")
    stage.time.let_pass(3660)


def _wide() -> World:
    """Enough tags that much is left to do wherever the far end refuses."""
    world = World()
    world.add_repository("acme/web", tags=40)
    return world


def _many() -> World:
    return World.namespace("acme", 24)


HUB = (
    _hub("seconds", "`Retry-After: 40`", "retry-after", "40", 40),
    _hub("date", "`Retry-After` as an HTTP date 40 s on", "retry-after", "@40", 40),
    _hub("epoch", "`Retry-After` as a Unix time 40 s on", "retry-after", "+40", 40),
    _hub("x-epoch", "`X-Retry-After` as a Unix time 40 s on", "x-retry-after", "+40", 40),
    _hub("x-seconds", "`X-Retry-After: 40`", "x-retry-after", "40", 40),
    _hub("reset", "only `X-RateLimit-Reset` 25 s on", "x-ratelimit-reset", "+25", 25),
    _hub("silent", "no header at all", "", "", 60),
    _hub("nonsense", "`Retry-After: soon`", "retry-after", "soon", 60),
    _hub("long", "`Retry-After: 10800`", "retry-after", "10800", 10_800),
    Refused(
        name="hub-limit-five-times",
        sent="429 of the Hub API five times running, `Retry-After: 10`, then 200",
        did="waits each time; the job's attempt is still 1, nothing is dead or remembered as absent (trap 3)",
        seen=(throttled(10, "of the Hub API"),) * 5,
        arm=lambda stage: stage.fault(faults.rate_limited(10), TAGS, times=5),
        asked=6,
        pauses=(10,) * 5,
        job=("tags.page", "done", 1),
        listing=("end", 1),
        stored=NEVER_DEAD,
    ),
    Refused(
        name="hub-limit-parks-its-class",
        sent="429 of the Hub API, `Retry-After: 10800`, while manifests are still to be pulled",
        did="waits the three hours, uncapped; the pulls go on meanwhile (trap 11)",
        seen=(throttled(10_800, "of the Hub API", IMAGES_AT),),
        arm=lambda stage: stage.fault(faults.rate_limited(10_800), IMAGES, skip=1),
        watch=IMAGES,
        asked=4,
        stored=NEVER_DEAD,
        check=_goes_on_elsewhere,
        command=ALL_LAYERS,
    ),
    Refused(
        name="hub-limit-remaining-0",
        sent="200 with `X-RateLimit-Remaining: 0` at the twentieth of 49 requests",
        did="takes it for what it is, waits for the reset, is never refused",
        arm=lambda stage: None,
        watch="",
        asked=49,
        stored=NEVER_DEAD,
        check=_a_second_window,
        command=("backfill", "acme/", "--layers", "none"),
        world=_many,
        limits=Limits(hub_per_minute=20),
    ),
)

PULLS = (
    Refused(
        name="pull-limit",
        sent="429 `TOOMANYREQUESTS` on a manifest",
        did="pulls nothing for the window of an hour; the Hub API goes on at once",
        seen=(throttled(3600, "on pulls", MANIFEST_AT),),
        arm=lambda stage: stage.fault(faults.pull_limited(), MANIFEST, host="registry"),
        watch=MANIFEST,
        asked=41,
        job=("manifest", "done", 1),
        stored=NEVER_DEAD,
        check=_hub_went_on,
        command=ALL_LAYERS,
        world=_wide,
    ),
    Refused(
        name="pull-limit-with-window",
        sent="429 `TOOMANYREQUESTS` on a manifest, `RateLimit-Limit: 100;w=7200`",
        did="pulls nothing for two hours, as the header says",
        seen=(throttled(7200, "on pulls", MANIFEST_AT),),
        arm=lambda stage: stage.fault(
            faults.status(
                429,
                {"errors": [{"code": "TOOMANYREQUESTS", "message": PULL_LIMIT_TEXT}]},
                headers=(("ratelimit-limit", "100;w=7200"),),
            ),
            MANIFEST,
            host="registry",
        ),
        watch=MANIFEST,
        asked=41,
        job=("manifest", "done", 1),
        stored=NEVER_DEAD,
        command=ALL_LAYERS,
        world=_wide,
    ),
    Refused(
        name="pull-limit-never-met",
        sent="nothing: `--pulls` was not given",
        did="asks the registry for no manifest at all (trap 12)",
        arm=lambda stage: None,
        watch=MANIFEST,
        asked=0,
        check=_nothing_was_refused,
        command=("backfill", "acme/web", "--layers", "all"),
    ),
)

ABUSE = (
    Refused(
        name="abuse-hub",
        sent="429 in plain text from the Hub, `Retry-After: 60`",
        did="asks no host anything for 60 s, then goes on",
        seen=(throttled(60, EVERYTHING, IMAGES_AT),),
        arm=lambda stage: stage.fault(faults.abuse_limited(60), IMAGES, skip=10),
        watch=IMAGES,
        asked=41,
        stored=NEVER_DEAD,
        check=_everything_paused,
        command=ALL_LAYERS,
        world=_wide,
    ),
    Refused(
        name="abuse-registry",
        sent="429 in plain text from the registry, `Retry-After: 60`",
        did="asks no host anything for 60 s, the Hub neither",
        seen=(throttled(60, EVERYTHING, MANIFEST_AT),),
        arm=lambda stage: stage.fault(faults.abuse_limited(60), MANIFEST, host="registry"),
        watch=IMAGES,
        asked=40,
        stored=NEVER_DEAD,
        check=_everything_paused,
        command=ALL_LAYERS,
        world=_wide,
    ),
    Refused(
        name="abuse-token-server",
        sent="429 in plain text from the token server, no `Retry-After`",
        did="asks no host anything for 60 s",
        seen=(throttled(60, EVERYTHING, TOKEN_AT),),
        arm=lambda stage: stage.fault(faults.abuse_limited(None), TOKEN, host="auth"),
        watch=IMAGES,
        asked=40,
        stored=NEVER_DEAD,
        check=_everything_paused,
        command=ALL_LAYERS,
        world=_wide,
    ),
    Refused(
        name="abuse-bare-line-feeds",
        sent="429 whose header lines end in bare line feeds, as the abuse limit of 2020 sent it",
        did="reads it all the same: asks no host anything for 60 s",
        seen=(throttled(60, EVERYTHING),),
        arm=lambda stage: stage.fault(
            faults.raw(
                b"HTTP/1.1 429 Too Many Requests\nContent-Type: text/plain\nRetry-After: 60\nContent-Length: 28\n\n"
                b"Too Many Requests (HAP429).\n"
            ),
            TAGS,
        ),
        asked=2,
        pauses=(60,),
        stored=NEVER_DEAD,
        job=("tags.page", "done", 1),
    ),
)

LOGINS = (
    Refused(
        name="login-401",
        sent="401 to the login",
        did="asks nothing else; one login, the credential shelved",
        seen=(shelved(f"{REFUSED} (401 /v2/auth/token)"),),
        exit_code=4,
        arm=lambda stage: None,
        watch="",
        asked=1,
        secret="dckr_pat_wrong",
    ),
    Refused(
        name="login-401-restart",
        sent="401 to the login; the command is started three times within the hour",
        did="the restarts ask nothing: one login in all",
        seen=(still_shelved(58),),
        exit_code=4,
        arm=lambda stage: None,
        watch="",
        asked=1,
        passes=3,
        secret="dckr_pat_wrong",
    ),
    Refused(
        name="login-401-an-hour-later",
        sent="401 to the login; the command is started again after 61 minutes",
        did="one login then, no more",
        seen=(shelved(f"{REFUSED} (401 /v2/auth/token)"),),
        exit_code=4,
        arm=_refused_an_hour_ago,
        watch="",
        asked=2,
        pauses=(3660,),
        secret="dckr_pat_wrong",
    ),
    Refused(
        name="login-locked",
        sent="429 `too many failed login attempts` to the login",
        did="asks nothing else, however often it is started: one login, the credential shelved (trap 10)",
        seen=(still_shelved(59),),
        exit_code=4,
        arm=lambda stage: stage.fault(faults.failed_logins(), LOGIN, times=None),
        watch="",
        asked=1,
        passes=2,
        secret=SECRET,
    ),
    Refused(
        name="login-once",
        sent="200 to the login, while 24 repositories want it at once",
        did="logs in once (trap 10)",
        arm=lambda stage: None,
        watch=LOGIN,
        asked=1,
        command=("backfill", "acme/", "--layers", "none"),
        world=_many,
        secret=SECRET,
    ),
    Refused(
        name="token-401",
        sent="401 of the token server to the login that the Hub had taken",
        did="one request with it, the credential shelved",
        seen=(still_shelved(59),),
        exit_code=4,
        arm=lambda stage: stage.fault(
            faults.status(401, {"details": "incorrect username or password"}), TOKEN, host="auth", times=None
        ),
        watch=TOKEN,
        asked=1,
        command=ALL_LAYERS,
        passes=2,
        secret=SECRET,
    ),
    Refused(
        name="token-locked",
        sent="429 `too many failed login attempts` of the token server",
        did="one request with it, the credential shelved",
        seen=(shelved(f"{LOCKED} (429 {TOKEN_AT})"),),
        exit_code=4,
        arm=lambda stage: stage.fault(faults.failed_logins(), TOKEN, host="auth", times=None),
        watch=TOKEN,
        asked=1,
        command=ALL_LAYERS,
        secret=SECRET,
    ),
)

ROWS = (*HUB, *PULLS, *ABUSE, *LOGINS)
