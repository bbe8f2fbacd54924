"""What all walks of lists share: how a page is recorded, when it is the last, what remains of a walk that failed. Rank 4."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harvester.errors import Denied, Drift
from harvester.jobs import Args, Harvest, Job, Kind, walk_key
from harvester.records import Drifted, Refused, StopReason, WalkKind, WalkStep

WALKS: dict[Kind, WalkKind] = {"tags.page": "tags", "namespace.page": "namespace", "search.page": "search"}

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
        is_whole=job.args.tags == "all",
    )


def following(args: Args, query: str, *, rows: int) -> Args:
    """The arguments of the page after this one."""
    return msgspec.structs.replace(args, page=args.page + 1, query=query, rows=args.rows + rows)


def goes_in_circles(page: int, reported_count: int | None) -> bool:
    """Whether a walk has asked for far more pages than its list can have, at ten rows a page (wire reference, 22.3)."""
    return page > 20 + (reported_count or 0) // 10


def drifted(subject: str, url: str, refused: Sequence[Refused]) -> tuple[Drifted, ...]:
    """The evidence of rows that were refused."""
    return tuple(Drifted(subject=subject, url=url, refused=one) for one in refused[:SAMPLES_KEPT])


def abandoned(job: Job, error: BaseException) -> Harvest:
    """What is kept of a job that failed for good: the walk's end with its reason, and the evidence."""
    records: list[WalkStep | Drifted] = []
    if job.kind in WALKS:
        records.append(step(job, stop_reason="denied" if isinstance(error, Denied) else "error"))
    if isinstance(error, Drift):
        refused = Refused(path=error.path, reason=error.message, sample=error.sample)
        records.append(Drifted(subject=job.args.subject, url=error.url, refused=refused))
    return Harvest(records=tuple(records))
