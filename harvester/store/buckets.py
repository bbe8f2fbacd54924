"""The ledger: one persisted bucket per budget, egress route and identity, shared by every process on the database. Rank 2.

A bucket knows the far end's own words: a limit in a window. Inside the window permits are paced evenly, with a few saved up for
short work; the count of the window is kept beside the pace, so that a burst never takes the window over its cap. A permit is one
conditional UPDATE. Instants here are epoch seconds with fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from harvester.store.statements import Statement

BURST = 20
"""Permits that may be saved up (contract, 5)."""

PATIENCE_S = 2.0
"""A permit may be promised this far ahead; longer waits are the job's, not the worker's."""

WINDOW_SLACK_S = 1.0
"""The far end's `Date` and reset are whole seconds: its window is taken to end this much later."""

FIRST_BLOCK_S = 900.0
LONGEST_BLOCK_S = 14_400.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Which bucket: a budget on a way out, for an identity."""

    budget: str
    route: str
    identity: str


@dataclass(frozen=True, slots=True)
class Pace:
    """What the configuration says of a bucket before any header does."""

    limit: int
    window_s: float
    ceiling: int | None = None
    """Requests in a window that headers may lower and never raise."""
    share: float = 1.0
    """Part of a limit from a header that we allow ourselves."""
    reserve: int = 0
    """Requests in a window that are left to others."""

    def allowed(self, limit: int) -> int:
        """What we allow ourselves of a far end's limit."""
        own = max(0, int(limit * self.share) - self.reserve)
        return own if self.ceiling is None else min(own, self.ceiling)


@dataclass(frozen=True, slots=True)
class Grant:
    """An answer to a request for permits: how many, and from when on."""

    permits: int
    wait_s: float
    """Seconds until the first may be used; without permits, until it makes sense to ask again."""
    spacing_s: float = 0.0
    """Seconds between one permit and the next."""
    reason: str = ""


_KEY = "budget = :budget AND route = :route AND identity = :identity"

_CREATE = Statement(
    "budget route identity limit_count cap window_s now",
    """
    INSERT INTO budgets (budget, route, identity, limit_count, cap, window_s, window_ends_at, spent, next_at, not_before,
        refusals, source, seen_at)
    VALUES (:budget, :route, :identity, :limit_count, :cap, :window_s, 0, 0, 0, 0, 0, 'configuration', :now)
    ON CONFLICT (budget, route, identity) DO NOTHING
    """,
)

_CONFIGURE = Statement(
    "budget route identity limit_count cap window_s",
    f"""
    UPDATE budgets SET limit_count = :limit_count, cap = :cap, window_s = :window_s
    WHERE {_KEY} AND source = 'configuration'
    """,
)

_READ = Statement(
    "budget route identity",
    f"""
    SELECT cap, window_s, window_ends_at, spent, next_at, not_before, closed_reason, limit_count, source
    FROM budgets WHERE {_KEY}
    """,
)

# A window that is over begins again; one that ends impossibly late was written under another clock.
_ROLL = Statement(
    "budget route identity now",
    f"""
    UPDATE budgets SET spent = 0, remaining = NULL, window_ends_at = :now + window_s
    WHERE {_KEY} AND (window_ends_at <= :now OR window_ends_at > :now + window_s + 60)
    """,
)

# The far end's pace is cap / window_s; :saved is how far back the permits reach that nobody used.
_TAKE = Statement(
    "budget route identity now wanted horizon burst",
    f"""
    UPDATE budgets SET spent = spent + :wanted,
        next_at = CASE
            WHEN next_at > :now + window_s THEN :now
            WHEN next_at < :now - (:burst - 1) * window_s / cap THEN :now - (:burst - 1) * window_s / cap
            ELSE next_at END + :wanted * window_s / cap
    WHERE {_KEY} AND cap > 0 AND not_before <= :now AND spent + :wanted <= cap
        AND (next_at <= :now + :horizon OR next_at > :now + window_s)
    RETURNING next_at, window_s / cap
    """,
)

_OBSERVE = Statement(
    "budget route identity limit_count cap window_s window_ends_at spent remaining now",
    f"""
    UPDATE budgets SET limit_count = :limit_count, cap = :cap, window_s = :window_s, window_ends_at = :window_ends_at,
        spent = :spent, remaining = :remaining, source = 'header', seen_at = :now, refusals = 0
    WHERE {_KEY}
    """,
)

_CLOSE = Statement(
    "budget route identity until reason now",
    f"""
    UPDATE budgets SET closed_reason = CASE WHEN :until > not_before THEN :reason ELSE closed_reason END,
        not_before = CASE WHEN :until > not_before THEN :until ELSE not_before END, seen_at = :now
    WHERE {_KEY}
    """,
)

_BLOCK = Statement(
    "budget route identity now",
    f"UPDATE budgets SET refusals = refusals + 1, seen_at = :now WHERE {_KEY} RETURNING refusals",
)


def configure(connection: Connection, bucket: Bucket, pace: Pace, now: float) -> None:
    """Create the bucket, or give one that no header has spoken of yet what the configuration says now."""
    cap = pace.limit - pace.reserve if pace.ceiling is None else min(pace.limit, pace.ceiling)
    _CREATE.run(connection, (*_key(bucket), pace.limit, cap, pace.window_s, now))
    _CONFIGURE.run(connection, (*_key(bucket), pace.limit, cap, pace.window_s))


def take(connection: Connection, bucket: Bucket, wanted: int, now: float) -> Grant:
    """Up to `wanted` permits, or none and the seconds until it makes sense to ask again."""
    key = _key(bucket)
    _ROLL.run(connection, (*key, now))
    cap, window_s, window_ends_at, spent, next_at, not_before, reason, _, _ = _state(connection, bucket)
    possible = max(1, min(wanted, cap - spent))
    row = _TAKE.first(connection, (*key, now, possible, PATIENCE_S, BURST))
    if row is not None:
        spacing = float(row[1])
        first_at = float(row[0]) - possible * spacing
        return Grant(possible, max(0.0, first_at - now), spacing)
    if cap <= 0:
        return Grant(0, window_s, reason=f"the {bucket.budget} budget is closed by configuration")
    if not_before > now:
        return Grant(0, not_before - now, reason=reason or "closed")
    if spent >= cap:
        return Grant(0, window_ends_at - now, reason=f"the {bucket.budget} budget of this window is spent")
    return Grant(0, max(0.05, next_at - now - PATIENCE_S / 2), reason=f"the {bucket.budget} budget is paced")


def observe(
    connection: Connection,
    bucket: Bucket,
    pace: Pace,
    now: float,
    *,
    limit: int | None,
    remaining: int | None,
    window_s: float | None,
    resets_in_s: float | None,
) -> None:
    """Correct the bucket by what an answer's headers said. What they leave out stays as it is."""
    cap, known_window, ends_at, spent, _, _, _, known_limit, source = _state(connection, bucket)
    window = window_s or known_window
    if resets_in_s is not None:
        far_end = now + resets_in_s + WINDOW_SLACK_S
        if far_end > now + 2 * window + WINDOW_SLACK_S:
            far_end = ends_at
        if abs(far_end - ends_at) > WINDOW_SLACK_S:
            # An answer from the window before says nothing of this one; an end further off is a window begun anew.
            if ends_at - far_end > window / 2 and source == "header":
                return
            if far_end - ends_at > window / 2:
                spent = 0
            ends_at = far_end
    if limit is not None:
        cap = pace.allowed(limit)
        if remaining is not None:
            spent = max(spent, limit - remaining)
    _OBSERVE.run(connection, (*_key(bucket), limit or known_limit, cap, window, ends_at, spent, remaining, now))
    if remaining == 0 and limit is not None:
        _CLOSE.run(connection, (*_key(bucket), ends_at, "the far end's headers say that nothing remains", now))


def close(connection: Connection, bucket: Bucket, seconds: float, reason: str, now: float) -> None:
    """Let nothing out for that long; an earlier, longer closure stands."""
    _CLOSE.run(connection, (*_key(bucket), now + seconds, reason, now))


def closed_for(connection: Connection, bucket: Bucket, now: float) -> float:
    """Seconds for which the bucket stays closed; 0 for an open one and for one that was never made."""
    row = _READ.first(connection, _key(bucket))
    return 0.0 if row is None else max(0.0, float(row[5]) - now)


def block(connection: Connection, buckets: list[Bucket], reason: str, now: float) -> float:
    """Close buckets after an edge block, longer at each repetition; the seconds chosen."""
    seconds = FIRST_BLOCK_S
    for bucket in buckets:
        row = _BLOCK.first(connection, (*_key(bucket), now))
        times = int(row[0]) if row else 1
        seconds = max(seconds, min(LONGEST_BLOCK_S, FIRST_BLOCK_S * 2 ** (times - 1)))
    for bucket in buckets:
        close(connection, bucket, seconds, reason, now)
    return seconds


def _key(bucket: Bucket) -> tuple[str, str, str]:
    return (bucket.budget, bucket.route, bucket.identity)


def _state(connection: Connection, bucket: Bucket) -> tuple[int, float, float, int, float, float, str | None, int, str]:
    row = _READ.first(connection, _key(bucket))
    assert row is not None, f"{bucket} was not configured"
    return (
        int(row[0]),
        float(row[1]),
        float(row[2]),
        int(row[3]),
        float(row[4]),
        float(row[5]),
        row[6],
        int(row[7]),
        str(row[8]),
    )
