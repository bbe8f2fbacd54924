"""The ledger: one persisted bucket per budget, egress route and identity, shared by every process on the database. Rank 3.

A bucket knows the far end's own words: a limit in a window. Inside the window permits are paced evenly, with a few saved up for
short work; the count of the window is kept beside the pace, so that a burst never takes the window over its cap. A permit is one
conditional UPDATE. Instants here are epoch seconds with fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from harvester.store.statements import Statement

BURST = 20
"""Permits that may be saved up (contract, 5)."""

PATIENCE_S = 2.0
"""A permit may be promised this far ahead; longer waits are the job's, not the worker's."""

WINDOW_SLACK_S = 1.0
"""The far end's `Date` and reset are whole seconds: its window is taken to end this much later."""

CLOCK_SLACK_S = 10.0
"""Processes and late readings may be this far apart; a clock that is further back was set back."""

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
    UPDATE budgets SET cap = :cap,
        limit_count = CASE WHEN source = 'header' THEN limit_count ELSE :limit_count END,
        window_s = CASE WHEN source = 'header' THEN window_s ELSE :window_s END
    WHERE {_KEY}
    """,
)

# A row written later than now was written before the clock was set back: its instants move with the clock.
_REBASE = Statement(
    "budget route identity now",
    f"""
    UPDATE budgets SET window_ends_at = window_ends_at - (seen_at - :now), next_at = next_at - (seen_at - :now),
        not_before = not_before - (seen_at - :now), seen_at = :now
    WHERE {_KEY} AND seen_at > :now + {CLOCK_SLACK_S}
    """,
)

_READ = Statement(
    "budget route identity",
    f"""
    SELECT cap, window_s, window_ends_at, spent, next_at, not_before, closed_reason, limit_count, source
    FROM budgets WHERE {_KEY}
    """,
)

# A window that is over begins again.
_ROLL = Statement(
    "budget route identity now",
    f"""
    UPDATE budgets SET spent = 0, remaining = NULL, window_ends_at = :now + window_s WHERE {_KEY} AND window_ends_at <= :now
    """,
)

# The far end's pace is cap / window_s; :saved is how far back the permits reach that nobody used.
_TAKE = Statement(
    "budget route identity now wanted horizon burst",
    f"""
    UPDATE budgets SET spent = spent + :wanted, seen_at = CASE WHEN seen_at > :now THEN seen_at ELSE :now END,
        next_at = CASE
            WHEN next_at < :now - (:burst - 1) * window_s / cap THEN :now - (:burst - 1) * window_s / cap
            ELSE next_at END + :wanted * window_s / cap
    WHERE {_KEY} AND cap > 0 AND not_before <= :now AND spent + :wanted <= cap
        AND next_at <= :now + :horizon
    RETURNING next_at, window_s / cap
    """,
)

_OBSERVE = Statement(
    "budget route identity limit_count cap window_s window_ends_at spent remaining now",
    f"""
    UPDATE budgets SET limit_count = :limit_count, cap = :cap, window_s = :window_s, window_ends_at = :window_ends_at,
        spent = :spent, remaining = :remaining, source = 'header',
        seen_at = CASE WHEN seen_at > :now THEN seen_at ELSE :now END
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

# Requests that were under way together are refused together: that is one block.
_BLOCK = Statement(
    "budget route identity now",
    f"""
    UPDATE budgets SET refusals = refusals + 1, seen_at = :now WHERE {_KEY} AND not_before <= :now RETURNING refusals
    """,
)

_FORGIVE = Statement("budget route identity", f"UPDATE budgets SET refusals = 0 WHERE {_KEY} AND refusals > 0")

_ADDRESS = "address"
"""The identity whose bucket holds what the far end decided about the address, whoever asks from it."""


def configure(connection: Connection, bucket: Bucket, pace: Pace, now: float) -> None:
    """Create the bucket, or give one that no header has spoken of yet what the configuration says now."""
    cap = pace.limit - pace.reserve if pace.ceiling is None else min(pace.limit, pace.ceiling)
    _CREATE.run(connection, (*_key(bucket), pace.limit, cap, pace.window_s, now))
    state = _state(connection, bucket)
    if state.source == "header":
        cap = pace.allowed(state.limit)
    _CONFIGURE.run(connection, (*_key(bucket), pace.limit, cap, pace.window_s))


def take(connection: Connection, bucket: Bucket, wanted: int, now: float) -> Grant:
    """Up to `wanted` permits, or none and the seconds until it makes sense to ask again."""
    key, address = _key(bucket), _of_address(bucket)
    for one in (key, _key(address)):
        _REBASE.run(connection, (*one, now))
    if (left := closed_for(connection, address, now)) > 0:
        return Grant(0, left, reason=_state(connection, address).closed_reason or "closed")
    _ROLL.run(connection, (*key, now))
    state = _state(connection, bucket)
    possible = max(1, min(wanted, state.cap - state.spent))
    row = _TAKE.first(connection, (*key, now, possible, PATIENCE_S, BURST))
    if row is not None:
        spacing = float(row[1])
        first_at = float(row[0]) - possible * spacing
        return Grant(possible, max(0.0, first_at - now), spacing)
    if state.cap <= 0:
        return Grant(0, state.window_s, reason=f"the {bucket.budget} budget is closed by configuration")
    if state.not_before > now:
        return Grant(0, state.not_before - now, reason=state.closed_reason or "closed")
    if state.spent >= state.cap:
        return Grant(0, state.window_ends_at - now, reason=f"the {bucket.budget} budget of this window is spent")
    return Grant(0, max(0.05, state.next_at - now - PATIENCE_S / 2), reason=f"the {bucket.budget} budget is paced")


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
    """Correct the bucket by what an answer's headers said when it came, at `now`. What they leave out stays as it is."""
    state = _state(connection, bucket)
    cap, spent, ends_at = state.cap, state.spent, state.window_ends_at
    window = window_s or state.window_s
    if resets_in_s is not None and 0 < resets_in_s <= 2 * window:
        far_end = now + resets_in_s + WINDOW_SLACK_S
        if far_end - ends_at > window / 2:
            # The far end's next window has begun before ours was over.
            spent = 0
        if abs(far_end - ends_at) > WINDOW_SLACK_S:
            ends_at = far_end
    is_over = resets_in_s is not None and resets_in_s <= 0
    if limit is not None:
        cap = pace.allowed(limit)
        # What remained of a window that is over says nothing of this one.
        if remaining is not None and not is_over:
            spent = max(spent, limit - remaining)
    _OBSERVE.run(connection, (*_key(bucket), limit or state.limit, cap, window, ends_at, spent, remaining, now))
    _FORGIVE.run(connection, (*_key(_of_address(bucket)),))
    if remaining == 0 and limit is not None and not is_over:
        _CLOSE.run(connection, (*_key(bucket), ends_at, "the far end's headers say that nothing remains", now))


def close(connection: Connection, bucket: Bucket, seconds: float, reason: str, now: float) -> None:
    """Let nothing out for that long; an earlier, longer closure stands."""
    _CLOSE.run(connection, (*_key(bucket), now + seconds, reason, now))


def closed_for(connection: Connection, bucket: Bucket, now: float) -> float:
    """Seconds for which the bucket stays closed; 0 for an open one and for one that was never made."""
    row = _READ.first(connection, _key(bucket))
    return 0.0 if row is None else max(0.0, float(row[5]) - now)


def close_address(connection: Connection, bucket: Bucket, seconds: float, reason: str, now: float) -> None:
    """Let nothing of this budget out for that long, whoever asks: the far end refused the address."""
    _CREATE.run(connection, (*_key(_of_address(bucket)), 0, 0, 60.0, now))
    close(connection, _of_address(bucket), seconds, reason, now)


def block(connection: Connection, buckets: list[Bucket], reason: str, now: float) -> float:
    """Close the address's buckets after an edge block, longer at each repetition; the seconds that are left of it."""
    seconds = 0.0
    for bucket in buckets:
        address = _of_address(bucket)
        _CREATE.run(connection, (*_key(address), 0, 0, 60.0, now))
        row = _BLOCK.first(connection, (*_key(address), now))
        if row is None:
            seconds = max(seconds, closed_for(connection, address, now))
        else:
            seconds = max(seconds, min(LONGEST_BLOCK_S, FIRST_BLOCK_S * 2 ** (int(row[0]) - 1)))
    for bucket in buckets:
        close_address(connection, bucket, seconds, reason, now)
    return seconds


def _of_address(bucket: Bucket) -> Bucket:
    return Bucket(bucket.budget, bucket.route, _ADDRESS)


def _key(bucket: Bucket) -> tuple[str, str, str]:
    return (bucket.budget, bucket.route, bucket.identity)


class _State(NamedTuple):
    cap: int
    window_s: float
    window_ends_at: float
    spent: int
    next_at: float
    not_before: float
    closed_reason: str | None
    limit: int
    source: str


def _state(connection: Connection, bucket: Bucket) -> _State:
    row = _READ.first(connection, _key(bucket))
    assert row is not None, f"{bucket} was not configured"
    return _State(*row)
