"""What all walks of lists share: how a page is recorded, when it is the last, what remains of a walk that failed. Rank 4."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

import msgspec

from harvester.errors import Blocked, Denied, Drift, Throttled
from harvester.jobs import Args, Harvest, Job, Kind, NewJob, after_names, repositories, walk_key
from harvester.records import Drifted, Refused, StopReason, WalkKind, WalkStep

WALKS: dict[Kind, WalkKind] = {
    "tags.page": "tags",
    "tag_names": "tag_names",
    "namespace.page": "namespace",
    "search.page": "search",
}

PAGE = 100
"""Rows asked for; the far end's most (wire reference, 3.3)."""

SAMPLES_KEPT = 5
"""Refused rows of one page whose evidence is kept; all of them are counted."""


def step(
    job: Job,
    *,
    names: Sequence[str] = (),
    reported_count: int | None = None,
    refused: int = 0,
    stop_reason: StopReason | None,
    next_page: str | None = None,
    signed_in: bool = False,
    may_end_known: bool = False,
    is_wall_certain: bool = True,
) -> WalkStep:
    """The record of one page of the walk that `job` belongs to."""
    return WalkStep(
        walk=walk_key(job.kind, job.args),
        is_first=job.args.page == 1,
        kind=WALKS[job.kind],
        subject=job.args.subject,
        names=tuple(names),
        reported_count=reported_count,
        refused=refused,
        stop_reason=stop_reason,
        next_page=next_page,
        updated=job.args.updated,
        is_whole=is_whole(job.args),
        may_end_known=may_end_known,
        identity="account" if signed_in else "anonymous",
        # A wall that is only guessed is not to be remembered.
        offset=offset_of(job.args.query) if is_wall_certain else 0,
        next_offset=offset_of(next_page) if next_page else None,
    )


def is_whole(args: Args) -> bool:
    """Whether a walk asks for all of a repository's tags."""
    return args.tags == "all" and args.name_filter is None


def offset_of(query: str | None) -> int:
    """Rows before the page that a query asks for; 0 where it does not tell."""
    asked = parse_qs(query or "")
    try:
        page, size = int(asked.get("page", ["1"])[0]), int(asked.get("page_size", [str(PAGE)])[0])
    except ValueError:
        return 0
    return max(0, page - 1) * max(0, size)


def following(args: Args, query: str, *, rows: int) -> Args:
    """The arguments of the page after this one."""
    return msgspec.structs.replace(args, page=args.page + 1, query=query, rows=args.rows + rows)


def goes_in_circles(page: int, reported_count: int | None) -> bool:
    """Whether a walk has asked for far more pages than its list can have, at ten rows a page (wire reference, 22.3)."""
    return page > 20 + (reported_count or 0) // 10


def drifted(subject: str, url: str, refused: Sequence[Refused]) -> tuple[Drifted, ...]:
    """The evidence of rows that were refused."""
    return tuple(Drifted(subject=subject, url=url, refused=one) for one in refused[:SAMPLES_KEPT])


def _why(error: BaseException) -> StopReason:
    match error:
        case Denied():
            return "denied"
        case Throttled() | Blocked():
            return "throttled"
        case _:
            return "error"


def abandoned(job: Job, error: BaseException) -> Harvest:
    """What is kept of a job that failed for good: the walk's end with its reason, and the evidence."""
    records: list[WalkStep | Drifted] = []
    if job.kind in WALKS:
        records.append(step(job, stop_reason=_why(error)))
    if isinstance(error, Drift):
        refused = Refused(path=error.path, reason=error.message, sample=error.sample)
        records.append(Drifted(subject=job.args.subject, url=error.url, refused=refused))
    follow_ups: tuple[NewJob, ...] = ()
    if job.kind == "tag_names":
        # Without a census the walk of the pages still tells what is there.
        follow_ups = after_names(job.args, (), has_holes=False)
    elif job.kind == "namespace.page" and job.args.only:
        # What the list does not show is asked for by name.
        names = job.args.missing if job.args.page > 1 else job.args.only
        follow_ups = repositories(job.args, [(name, None, None) for name in names])
    return Harvest(records=tuple(records), follow_ups=follow_ups)
