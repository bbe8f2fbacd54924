"""What has grown old goes, some hundred rows at a time. Rank 3. Each step runs inside a transaction of the writer.

A round goes through its parts by their keys and remembers where it stands, so a step looks at a bounded number of rows whatever it
finds. What nothing else could tell again is kept: jobs are counted by the day before they go, those of unfinished runs stay; of
each day the pull counts stay that `v_pull_daily` is made of; of the walks of a list those stay that anything still asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from sqlalchemy import Connection

from harvester.checks import duration
from harvester.clock import instant
from harvester.store import work_days
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.statements import Statement
from harvester.store.vanishing import LOOKED_BACK
from harvester.store.work_days import Ended

AT_ONCE = 500
"""Rows that one step removes at the most."""

LOOKED_AT = 2000
"""Observations of pull counts that one step looks at."""

RUNS_AT_ONCE = 100
"""Runs that one step removes at the most: whether a watch refers to one, all watches are asked."""

HOPS = 200
"""Repositories, or lists, that one step goes to."""

Part: TypeAlias = Literal["jobs", "runs", "pulls", "deliveries", "names", "listings"]
"""Jobs that have ended, runs without any job left, observations of pull counts, deliveries that arrived, names that walks met, and
walks of lists."""

PARTS: tuple[Part, ...] = ("jobs", "runs", "pulls", "deliveries", "names", "listings")

_Place: TypeAlias = tuple[int, int]
_START: _Place = (0, 0)


@dataclass(frozen=True, slots=True)
class Keep:
    """How long rows stay, in seconds; null: for ever."""

    jobs_s: int | None
    pulls_s: int | None
    deliveries_s: int | None
    listings_s: int | None

    @classmethod
    def of(cls, jobs: str, pulls: str, deliveries: str, listings: str) -> Keep:
        """As the configuration says it: `30d`, `forever`."""
        return cls(duration(jobs), duration(pulls), duration(deliveries), duration(listings))

    def seconds(self, part: Part) -> int | None:
        """Runs and the names that walks met go with the jobs that were about them."""
        of_parts: dict[Part, int | None] = {
            "pulls": self.pulls_s,
            "deliveries": self.deliveries_s,
            "listings": self.listings_s,
        }
        return of_parts.get(part, self.jobs_s)


@dataclass(frozen=True, slots=True)
class Round:
    """How far a round came. A step returns the next one: where its transaction fails, the old one still holds."""

    keep: Keep
    now: Moment
    left: tuple[Part, ...]
    """The part that is gone through now, and those after it."""
    thinned_before: int = 0
    """Seconds; pull counts observed before that were gone through by an earlier round."""
    place: _Place = _START
    removed: dict[Part, int] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether all parts are gone through."""
        return not self.left

    @property
    def thins_before(self) -> int:
        """Seconds; the midnight before which this round thins pull counts: whole days only."""
        kept = self.keep.pulls_s
        return 0 if kept is None else (self.now.seconds - kept) // DAY_S * DAY_S


def begin(keep: Keep, now: Moment, *, parts: tuple[Part, ...] = PARTS, thinned_before: int = 0) -> Round:
    """A round over these parts, without what is kept for ever.

    With `thinned_before`, the `thins_before` of a round that is over, only the days since that one are looked at for pull counts.
    """
    fresh = Round(keep, now, tuple(part for part in parts if keep.seconds(part) is not None))
    # A clock that was ahead then says nothing of the days in between.
    return replace(fresh, thinned_before=thinned_before if thinned_before <= fresh.thins_before else 0)


def step(connection: Connection, current: Round) -> Round:
    """Remove some rows, `AT_ONCE` at the most, and say where the round stands then."""
    if current.is_over:
        return current
    part = current.left[0]
    removed, place = _PARTS[part](connection, current)
    total = current.removed | {part: current.removed.get(part, 0) + removed}
    if place is None:
        return replace(current, left=current.left[1:], place=_START, removed=total)
    return replace(current, place=place, removed=total)


def _before(current: Round) -> str:
    seconds = current.keep.seconds(current.left[0])
    assert seconds is not None
    return instant(current.now.seconds - seconds)


# Jobs of an unfinished run stay: what it has settled is not asked again; and those of one that ended lately, on which whoever began
# it looks back. Of what failed for good the last failure stays, until the same is asked with better success: a far end that refuses
# for weeks leaves one row for each question and not one for each pass. The success stays as long as the failure has to, or nothing
# would tell then that it was made good; of equal jobs, which may be many, that failure is the oldest.
_JOBS = Statement(
    "after before most",
    """
    SELECT j.id, j.kind, j.state, j.finished_at, j.attempt, j.created_at,
        CASE WHEN j.finished_at < :before AND ((j.state = 'done' AND NOT EXISTS (
                SELECT 1 FROM jobs d JOIN run_jobs l ON l.job_id = d.id JOIN runs r ON r.id = l.run_id
                WHERE d.id = (SELECT min(o.id) FROM jobs o WHERE o.key = j.key) AND d.state = 'dead'
                    AND (r.finished_at IS NULL OR r.finished_at >= :before)))
            OR (j.state = 'dead' AND EXISTS (
                SELECT 1 FROM jobs n WHERE n.key = j.key AND n.state IN ('done', 'dead')
                    AND (n.finished_at > j.finished_at OR (n.finished_at = j.finished_at AND n.id > j.id)))))
            AND NOT EXISTS (
                SELECT 1 FROM run_jobs l JOIN runs r ON r.id = l.run_id
                WHERE l.job_id = j.id AND (r.finished_at IS NULL OR r.finished_at >= :before))
            THEN 1 ELSE 0 END
    FROM jobs j WHERE j.id > :after ORDER BY j.id LIMIT :most
    """,
)
_DROP_LINKS = Statement("id", "DELETE FROM run_jobs WHERE job_id = :id")
_DROP_JOB = Statement("id", "DELETE FROM jobs WHERE id = :id")


def _jobs(connection: Connection, current: Round) -> tuple[int, _Place | None]:
    before = _before(current)
    rows = _JOBS.all(connection, (current.place[0], before, AT_ONCE))
    old = [row for row in rows if row[6]]
    work_days.count(connection, [Ended(row[1], row[2], text_of(row[3])[:10], int(row[4])) for row in old])
    ids = [(row[0],) for row in old]
    _DROP_LINKS.many(connection, ids)
    _DROP_JOB.many(connection, ids)
    # Ids grow with time: what was added later than that has not ended long ago.
    is_over = len(rows) < AT_ONCE or text_of(rows[-1][5]) >= before
    return len(ids), None if is_over else (int(rows[-1][0]), 0)


# The runs of watches as one set, made once a step: watches have no index by run.
_RUNS = Statement(
    "after before most",
    """
    SELECT r.id, CASE WHEN r.finished_at < :before AND NOT EXISTS (SELECT 1 FROM run_jobs l WHERE l.run_id = r.id)
        AND r.id NOT IN (SELECT w.run_id FROM watches w WHERE w.run_id IS NOT NULL) THEN 1 ELSE 0 END
    FROM runs r WHERE r.id > :after ORDER BY r.id LIMIT :most
    """,
)
_DROP_RUN = Statement("id", "DELETE FROM runs WHERE id = :id")


def _runs(connection: Connection, current: Round) -> tuple[int, _Place | None]:
    rows = _RUNS.all(connection, (current.place[0], _before(current), AT_ONCE))
    ids = [(row[0],) for row in rows if row[1]]
    _DROP_RUN.many(connection, ids[:RUNS_AT_ONCE])
    if len(ids) > RUNS_AT_ONCE:
        return RUNS_AT_ONCE, (int(ids[RUNS_AT_ONCE - 1][0]), 0)
    return len(ids), None if len(rows) < AT_ONCE else (int(rows[-1][0]), 0)


_NEXT_REPOSITORY = Statement("after", "SELECT min(id) FROM repositories WHERE id > :after")

# Of a UTC day two stay: the one that is kept where there is one a day (`pulls`: the first, what a search showed only where there is
# nothing else), and the last one, by which `v_pull_daily` measures the day. Which these are does not change when others go.
_OBSERVATIONS = Statement(
    "repository_id since before most",
    """
    SELECT p.observed_at, CASE WHEN EXISTS (
            SELECT 1 FROM pull_history n WHERE n.repository_id = p.repository_id AND n.observed_at > p.observed_at
                AND n.observed_at < p.observed_at - p.observed_at % 86400 + 86400)
        AND EXISTS (
            SELECT 1 FROM pull_history b WHERE b.repository_id = p.repository_id
                AND b.observed_at >= p.observed_at - p.observed_at % 86400
                AND b.observed_at < p.observed_at - p.observed_at % 86400 + 86400
                AND (b.source <> 3 OR p.source = 3) AND (b.observed_at < p.observed_at OR (b.source <> 3 AND p.source = 3)))
        THEN 1 ELSE 0 END
    FROM pull_history p WHERE p.repository_id = :repository_id AND p.observed_at >= :since AND p.observed_at < :before
    ORDER BY p.observed_at LIMIT :most
    """,
)
_DROP_OBSERVATION = Statement(
    "repository_id observed_at",
    "DELETE FROM pull_history WHERE repository_id = :repository_id AND observed_at = :observed_at",
)


def _pulls(connection: Connection, current: Round) -> tuple[int, _Place | None]:
    repository_id, since = current.place
    left = LOOKED_AT
    old: list[tuple[int, int]] = []
    place: _Place | None = None
    for _ in range(HOPS):
        if since == 0:
            [[following]] = _NEXT_REPOSITORY.all(connection, (repository_id,))
            if following is None:
                place = None
                break
            repository_id, since = int(following), current.thinned_before
        most = min(left, AT_ONCE - len(old))
        rows = _OBSERVATIONS.all(connection, (repository_id, since, current.thins_before, most))
        old += [(repository_id, row[0]) for row in rows if row[1]]
        left -= len(rows)
        since = int(rows[-1][0]) + 1 if len(rows) == most else 0
        place = (repository_id, since)
        if left <= 0 or len(old) >= AT_ONCE:
            break
    _DROP_OBSERVATION.many(connection, old)
    return len(old), place


# What the receiver has been looked at for never comes back: rows are added for later events only (`outbox.enrol`).
_DELIVERIES = Statement(
    "after before most",
    """
    SELECT d.id, CASE WHEN d.state = 'done' AND d.finished_at < :before
        AND d.event_id <= (SELECT n.last_event_id FROM notifiers n WHERE n.name = d.notifier) THEN 1 ELSE 0 END
    FROM deliveries d WHERE d.id > :after ORDER BY d.id LIMIT :most
    """,
)
_DROP_DELIVERY = Statement("id", "DELETE FROM deliveries WHERE id = :id AND state = 'done'")


def _deliveries(connection: Connection, current: Round) -> tuple[int, _Place | None]:
    rows = _DELIVERIES.all(connection, (current.place[0], _before(current), AT_ONCE))
    ids = [(row[0],) for row in rows if row[1]]
    _DROP_DELIVERY.many(connection, ids)
    return len(ids), None if len(rows) < AT_ONCE else (int(rows[-1][0]), 0)


_NEXT_LIST = Statement("after", "SELECT min(listing_id) FROM listing_names WHERE listing_id > :after")

# Read again are the names of a walk of a part of the tags (`freshness`), of the last walk of a search (`facts`), and of a namespace
# or a search by whoever asks for it in the same pass, or tries a page of it again. Those of a walk that fills holes: by nobody.
_IS_OVER = Statement(
    "listing_id before pass_began_at low high",
    """
    SELECT 1 FROM listings l WHERE l.id = :listing_id AND l.finished_at < :before AND l.started_at < :pass_began_at
        AND (l.kind = 'namespace' OR (l.kind = 'tags' AND l.walk_key LIKE '%\\:filter %')
            OR (l.kind = 'search' AND EXISTS (SELECT 1 FROM listings n WHERE n.kind = l.kind AND n.subject = l.subject
                AND n.id > l.id AND n.finished_at IS NOT NULL)))
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.key > l.walk_key || :low AND j.key < l.walk_key || :high
            AND j.state <> 'done')
    """,
)
_FIRST_PASS = Statement("", "SELECT min(pass_began_at) FROM runs WHERE finished_at IS NULL")
_NAMES = Statement("listing_id most", "SELECT name FROM listing_names WHERE listing_id = :listing_id LIMIT :most")
_DROP_NAME = Statement("listing_id name", "DELETE FROM listing_names WHERE listing_id = :listing_id AND name = :name")


def _names(connection: Connection, current: Round) -> tuple[int, _Place | None]:
    before, listing_id, old = _before(current), current.place[0], 0
    [[first]] = _FIRST_PASS.all(connection)
    pass_began_at = before if first is None else text_of(first)
    for _ in range(HOPS):
        [[following]] = _NEXT_LIST.all(connection, (listing_id,))
        if following is None:
            return old, None
        if _IS_OVER.first(connection, (following, before, pass_began_at, ":", ":~")) is None:
            listing_id = int(following)
            continue
        names = _NAMES.all(connection, (following, AT_ONCE - old))
        old += _DROP_NAME.many(connection, [(following, row[0]) for row in names])
        if old >= AT_ONCE:
            break
        listing_id = int(following)
    return old, (listing_id, 0)


# Whoever reads walks asks for the newest one, or the first, that ended in some way: of the old ones of each walk and end these two
# answer for all. A walk that saw less than was counted is believed when another of the same date saw as little (`freshness`).
_ALIKE = """
    {0}.walk_key = l.walk_key AND {0}.stop_reason = l.stop_reason AND {0}.is_complete = l.is_complete
        AND ({0}.rows > 0) = (l.rows > 0) AND ({0}.reported_count IS NULL) = (l.reported_count IS NULL)
        AND ({0}.subject_updated IS NULL) = (l.subject_updated IS NULL)
"""
_LISTINGS = Statement(
    "after newest before most",
    f"""
    SELECT l.id, l.started_at, CASE WHEN l.finished_at < :before AND l.id <= :newest
        AND EXISTS (SELECT 1 FROM listings n WHERE {_ALIKE.format("n")}
            AND n.started_at >= l.started_at AND n.id > l.id AND n.finished_at < :before
            AND (l.stop_reason <> 'end' OR l.is_complete OR l.subject_updated IS NULL OR n.subject_updated > l.subject_updated))
        AND EXISTS (SELECT 1 FROM listings o WHERE {_ALIKE.format("o")} AND o.started_at <= l.started_at AND o.id < l.id)
        AND NOT EXISTS (SELECT 1 FROM listing_names m WHERE m.listing_id = l.id)
        THEN 1 ELSE 0 END
    FROM listings l WHERE l.id > :after ORDER BY l.id LIMIT :most
    """,
)
_NEWEST_LISTING = Statement("", "SELECT COALESCE(max(id), 0) FROM listings")
_DROP_LISTING = Statement("id", "DELETE FROM listings WHERE id = :id")


def _listings(connection: Connection, current: Round) -> tuple[int, _Place | None]:
    before = _before(current)
    [[newest]] = _NEWEST_LISTING.all(connection)
    rows = _LISTINGS.all(connection, (current.place[0], int(newest) - LOOKED_BACK, before, AT_ONCE))
    ids = [(row[0],) for row in rows if row[2]]
    _DROP_LISTING.many(connection, ids)
    # What began later than that has not ended for long either.
    is_over = len(rows) < AT_ONCE or text_of(rows[-1][1]) >= before
    return len(ids), None if is_over else (int(rows[-1][0]), 0)


_PARTS: dict[Part, Callable[[Connection, Round], tuple[int, _Place | None]]] = {
    "jobs": _jobs,
    "runs": _runs,
    "pulls": _pulls,
    "deliveries": _deliveries,
    "names": _names,
    "listings": _listings,
}
