"""What the operator reads, word for word; the rows put it together from these."""

from __future__ import annotations

TAGS_JOB = "tags.page:acme/web:all:none:free:1"
TAGS_JOB_SIGNED_IN = "tags.page:acme/web:all:none:free:fill:1"
"""With a login holes are filled."""
TAGS_AT = "/v2/namespaces/acme/repositories/web/tags?page_size=100&ordering=last_updated"
WEB_JOB = "repository:acme/web::all:none:free"
WEB_AT = "/v2/namespaces/acme/repositories/web"

BAD_ROW = "refused: 1 rows of impossible shape or value; samples are in the table `events`, kind `drift`"
NOT_THERE = "not there: acme/web (404; remembered, asked again in the next pass)"
NOT_THERE_AGAIN = "not there: acme/web (404, and it was missing before; marked as gone, its rows stay)"
GAVE_UP_AT_THE_EDGE = (
    "harvester: the edge refused again after a pause; ask less, or ask from elsewhere; nothing is lost, "
    "the same command goes on"
)
_HINT = "check DOCKERHUB_USERNAME and DOCKERHUB_TOKEN, or go on without; nothing is lost"


def throttled(seconds: int, what: str, at: str = TAGS_AT) -> str:
    """The far end told a class of requests to wait."""
    reason = f"Told to wait {seconds} s: the limit {what} (429 {at})"
    return f"far_end.throttled pause_s={seconds} reason={reason!r}"


def blocked(seconds: int) -> str:
    """The edge refused."""
    return f"edge.blocked next='nothing is asked until then' pause_s={seconds} route=direct"


def retried(reason: str, *, times: int = 1, job: str = TAGS_JOB) -> tuple[str, ...]:
    """A job is tried again, so many times."""
    return tuple(f"job.retry attempt={n} in_s=N key={job} reason={reason!r}" for n in range(1, times + 1))


def gave_up(reason: str, *between: str, tries: int = 1, job: str = TAGS_JOB) -> tuple[str, ...]:
    """A job is given up after so many tries; `between` stands before it in the summary."""
    dead = f"job.dead attempt={tries} key={job} reason={reason!r}"
    return (*retried(reason, times=tries - 1, job=job), dead, *between, f"failed: {job}: {reason}")


def incomplete(what: str, rows: str, why: str) -> str:
    """A list did not see everything."""
    reasons = {
        "wall": "cut by the wall for anonymous clients (wall); a login lifts it",
        "end": "the list ended early (end); its count was larger",
        "denied": "the far end did not allow it (denied)",
        "error": "rows were refused, a page failed or a list that had rows is empty (error); see `harvester status`",
    }
    told = "a search shows no more than that (wall)" if what.startswith("search") and why == "wall" else reasons[why]
    return f"incomplete: {what}: {rows} rows, {told}"


NO_TAGS = incomplete("tags of acme/web", "0 of ?", "error")
TAGS_DENIED = incomplete("tags of acme/web", "0 of ?", "denied")


def shelved(reason: str) -> str:
    """The credential was refused just now."""
    return f"harvester: {reason}; {_HINT}"


def still_shelved(minutes: int) -> str:
    """The credential was refused less than an hour ago."""
    return (
        f"harvester: the far end refused these credentials; they are not tried again for {minutes} min. Check "
        "DOCKERHUB_USERNAME and DOCKERHUB_TOKEN, or go on without"
    )
