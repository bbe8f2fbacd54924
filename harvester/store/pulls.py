"""Pull counts over time: which observations are kept, and which of them are told of as anomalous. Rank 3.

Of each period the earliest observation is kept, in whatever order they arrive, one of a search only where there is no other; the
same observations give the same rows. Told of
is what is newer than all that was stored, once a UTC day at the most, measured against the first observations of the days before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from sqlalchemy import Connection

from harvester.clock import seconds_of
from harvester.events import NewEvent
from harvester.pull_rates import APART_S, CEILING, SMALLEST, Anomaly, anomaly
from harvester.records import Repository
from harvester.store.change_log import append_events
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.statements import Statement, select_in

SOURCES = {"detail": 1, "listing": 2, "search": 3}
"""`pull_history.source`; the view has the words."""

_LOOKED_BACK_S = 28 * DAY_S
_DAYS_READ = 56

_Observed: TypeAlias = tuple[int, int, int, int | None, int]
"""A row of `pull_history`."""

# The order of the parameters is that of the marks: `select_in` knows no names.
_STORED = """
    SELECT r.full_name, r.id, k.observed_at, k.source, (SELECT max(p.observed_at) FROM pull_history p WHERE p.repository_id = r.id)
    FROM repositories r LEFT JOIN pull_history k ON k.repository_id = r.id AND k.observed_at = (
        SELECT min(p.observed_at) FROM pull_history p WHERE p.repository_id = r.id AND p.observed_at >= {} AND p.observed_at < {})
    WHERE r.full_name IN ({values})
"""

# Of two observations of one second the better source is kept, then the lower count, which is the earlier one of a count that grows:
# which of them arrived first decides nothing.
_KEEP = Statement(
    "repository_id observed pull_count star_count source",
    """
    INSERT INTO pull_history (repository_id, observed_at, pull_count, star_count, source)
    VALUES (:repository_id, :observed, :pull_count, :star_count, :source)
    ON CONFLICT (repository_id, observed_at) DO UPDATE SET
        pull_count = excluded.pull_count, star_count = excluded.star_count, source = excluded.source
    WHERE (excluded.source, excluded.pull_count, -COALESCE(excluded.star_count, -1))
        < (pull_history.source, pull_history.pull_count, -COALESCE(pull_history.star_count, -1))
    """,
)

_REPLACE = Statement(
    "repository_id kept observed pull_count star_count source",
    """
    UPDATE pull_history SET observed_at = :observed, pull_count = :pull_count, star_count = :star_count, source = :source
    WHERE repository_id = :repository_id AND observed_at = :kept AND NOT EXISTS (
        SELECT 1 FROM pull_history p WHERE p.repository_id = :repository_id AND p.observed_at = :observed)
    """,
)

# The newest observation that makes a rate with one of now, and the earliest of the four weeks before it.
_BEFORE = """
    SELECT n.repository_id, n.observed_at, n.pull_count, o.observed_at, o.pull_count
    FROM repositories r
    JOIN pull_history n ON n.repository_id = r.id AND n.observed_at = (
        SELECT max(p.observed_at) FROM pull_history p WHERE p.repository_id = r.id AND p.observed_at < {})
    JOIN pull_history o ON o.repository_id = r.id AND o.observed_at = (
        SELECT min(p.observed_at) FROM pull_history p WHERE p.repository_id = r.id AND p.observed_at >= n.observed_at - {})
    WHERE r.id IN ({values})
"""

# The first observations of days, the newest first; of a time at the ceiling the last one only, for nothing is learnt from it.
_DAYS = Statement(
    "repository_id seen newest_at most",
    """
    SELECT p.observed_at, p.pull_count FROM pull_history p
    WHERE p.repository_id = :repository_id AND p.observed_at <= :seen
        AND (p.pull_count <> 2147483647 OR p.observed_at >= :newest_at) AND NOT EXISTS (
        SELECT 1 FROM pull_history q WHERE q.repository_id = p.repository_id AND q.observed_at < p.observed_at
            AND q.observed_at >= p.observed_at - p.observed_at % 86400)
    ORDER BY p.observed_at DESC LIMIT :most
    """,
)

_CHAPTER = Statement("repository_id", "SELECT max(ended_at) FROM chapters WHERE repository_id = :repository_id")


def store_pulls(
    connection: Connection, repositories: Sequence[Repository], seen: Moment, interval_s: int = DAY_S
) -> None:
    """Keep the pull counts of stored repositories as observed at that moment, one per `interval_s` seconds; at 0 every one."""
    start = seen.seconds - seen.seconds % max(interval_s, 1)
    rows = select_in(
        connection, _STORED, [r.full_name for r in repositories], first=(start, start + max(interval_s, 1))
    )
    stored = {str(row[0]): row[1:] for row in rows}
    kept: list[_Observed] = []
    replaced: list[tuple[int, int, int, int, int | None, int]] = []
    new: dict[int, int] = {}
    day = seen.seconds - seen.seconds % DAY_S
    for r in repositories:
        repository_id, kept_at, kept_source, newest = stored[r.full_name]
        row = (seen.seconds, r.pull_count, r.star_count, SOURCES[r.source])
        is_search, was_search = r.source == "search", kept_source == SOURCES["search"]
        if kept_at is None or kept_at == seen.seconds:
            kept.append((repository_id, *row))
        elif (is_search, seen.seconds) < (was_search, kept_at):
            replaced.append((repository_id, kept_at, *row))
        # What a search shows may be old: it is kept where there is nothing else, and no ground for an alarm.
        is_first = kept_at is None or (was_search and newest == kept_at)
        if is_first and newest is not None and (newest < day or newest == kept_at) and not is_search:
            new[repository_id] = r.pull_count
    _REPLACE.many(connection, replaced)
    _KEEP.many(connection, kept)
    if new:
        _tell(connection, new, seen)


def _tell(connection: Connection, counts: dict[int, int], seen: Moment) -> None:
    """Append an event for each of these new counts, by repository, that is not what the ones before let expect."""
    events: list[NewEvent] = []
    rows = select_in(connection, _BEFORE, list(counts), first=(seen.seconds - APART_S + 1, _LOOKED_BACK_S))
    for repository_id, *row in rows:
        if _is_suspicious((seen.seconds, counts[repository_id]), *row):
            found = _judged(connection, repository_id, row[0], seen)
            if found is not None:
                events.append(_event(repository_id, found))
    append_events(connection, events, seen)


def _is_suspicious(new: tuple[int, int], newest_at: int, newest: int, oldest_at: int, oldest: int) -> bool:
    """Whether it is worth a look at the days before: the mean of four weeks is at hand for everybody."""
    at, count = new
    if count < newest or (CEILING in (count, newest) and count != newest):
        return True
    if newest_at == oldest_at:
        return False
    expected = (newest - oldest) * (at - newest_at) / (newest_at - oldest_at)
    pulls = count - newest
    return max(pulls, expected) >= SMALLEST and not expected / 2 <= pulls <= expected * 2


def _judged(connection: Connection, repository_id: int, newest_at: int, seen: Moment) -> Anomaly | None:
    [ended] = _CHAPTER.all(connection, (repository_id,))[0]
    points = _DAYS.all(connection, (repository_id, seen.seconds, newest_at, _DAYS_READ))
    begun = 0 if ended is None else seconds_of(text_of(ended))
    return anomaly([(int(at), int(count)) for at, count in reversed(points) if at >= begun])


def _event(repository_id: int, found: Anomaly) -> NewEvent:
    return NewEvent(
        kind="pulls.anomalous",
        repository_id=repository_id,
        detail={
            "flag": found.flag,
            "pull_count": found.pull_count,
            "pulls": found.pulls,
            "elapsed_s": found.elapsed_s,
            "rate": round(found.rate, 1),
            "usual_rate": round(found.usual, 1),
            "bounds": [round(found.lower, 1), round(found.upper, 1)],
            "rates": found.rates,
        },
    )
