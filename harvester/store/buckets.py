"""The ledger: one persisted bucket per budget, egress route and identity, shared by every process on the database. Rank 3.

A bucket knows the far end's own words: a limit in a window. Inside the window permits are paced evenly, with a few saved up for
short work; the count of the window is kept beside the pace, so that a burst never takes the window over its cap. A permit is one
conditional UPDATE; how far it may go beside others who spend the same budget is decided in `windows`. Instants here are epoch
seconds with fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from harvester.store import windows
from harvester.store.statements import Statement
from harvester.store.windows import Pace, State

__all__ = ["Bucket", "Grant", "Pace", "block", "close", "configure", "observe", "refuse", "take"]

BURST = 20
"""Permits that may be saved up (contract, 5)."""

PATIENCE_S = 2.0
"""A permit may be promised this far ahead; longer waits are the job's, not the worker's."""

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
    SELECT cap, window_s, window_ends_at, spent, next_at, not_before, closed_reason, limit_count, source, remaining, answered,
        counted, others, others_jump, seen_at
    FROM budgets WHERE {_KEY}
    """,
)

# A window that is over begins again; where another process was faster, it has begun.
_ROLL = Statement(
    "budget route identity over window_ends_at spent others others_jump seen_at",
    f"""
    UPDATE budgets SET window_ends_at = :window_ends_at, spent = :spent, answered = 0, counted = 0, remaining = NULL,
        others = :others, others_jump = :others_jump, seen_at = :seen_at
    WHERE {_KEY} AND window_ends_at = :over
    """,
)

# `seen_at` of a bucket with headers is when they were heard last. The pace is cap / window_s.
_TAKE = Statement(
    "budget route identity now wanted most horizon burst",
    f"""
    UPDATE budgets SET spent = spent + :wanted,
        seen_at = CASE WHEN seen_at > :now OR source = 'header' THEN seen_at ELSE :now END,
        next_at = CASE
            WHEN next_at < :now - (:burst - 1) * window_s / cap THEN :now - (:burst - 1) * window_s / cap
            ELSE next_at END + :wanted * window_s / cap
    WHERE {_KEY} AND cap > 0 AND not_before <= :now AND spent + :wanted <= :most
        AND next_at <= :now + :horizon
    RETURNING next_at, window_s / cap
    """,
)

_OBSERVE = Statement(
    "budget route identity limit_count cap window_s window_ends_at spent remaining answered counted others others_jump seen_at",
    f"""
    UPDATE budgets SET limit_count = :limit_count, cap = :cap, window_s = :window_s, window_ends_at = :window_ends_at,
        spent = :spent, remaining = :remaining, answered = :answered, counted = :counted, others = :others,
        others_jump = :others_jump, source = 'header', seen_at = :seen_at
    WHERE {_KEY}
    """,
)

# Answers that say nothing of this bucket end requests of ours all the same.
_ENDED = Statement(
    "budget route identity ended",
    f"""
    UPDATE budgets SET answered = CASE WHEN answered + :ended < spent THEN answered + :ended ELSE spent END WHERE {_KEY}
    """,
)

# The far end does not count it, and the pace of what it does count is not its pace.
_RETURN = Statement(
    "budget route identity next_at",
    f"""
    UPDATE budgets SET spent = CASE WHEN spent > 0 THEN spent - 1 ELSE 0 END,
        next_at = CASE WHEN next_at > :next_at THEN :next_at ELSE next_at END
    WHERE {_KEY}
    """,
)

# What came unseen before a refusal was more than the jump that was left room for.
_SURPRISE = Statement(
    "budget route identity",
    f"UPDATE budgets SET others_jump = 1 + 1.25 * others_jump WHERE {_KEY} AND source = 'header'",
)

# A process that begins has nothing under way; what one that was killed had is over.
_BEGIN = Statement("budget route identity", f"UPDATE budgets SET answered = spent WHERE {_KEY}")

_MERGE = Statement(
    "budget route identity",
    f"UPDATE budgets SET source = 'configuration' WHERE {_KEY} AND source = 'header'",
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
    cap = pace.configured
    _CREATE.run(connection, (*_key(bucket), pace.limit, cap, pace.window_s, now))
    state = _state(connection, bucket)
    if state.source == "header":
        cap = pace.allowed(state.limit)
    _CONFIGURE.run(connection, (*_key(bucket), pace.limit, cap, pace.window_s))
    _BEGIN.run(connection, _key(bucket))


def take(connection: Connection, bucket: Bucket, pace: Pace, wanted: int, now: float) -> Grant:
    """Up to `wanted` permits, or none and the seconds until it makes sense to ask again."""
    key, address = _key(bucket), _of_address(bucket)
    for one in (key, _key(address)):
        _REBASE.run(connection, (*one, now))
    if (left := closed_for(connection, address, now)) > 0:
        return Grant(0, left, reason=_state(connection, address).closed_reason or "closed")
    state = _state(connection, bucket)
    if pace.only_if_told and state.source != "header":
        return Grant(1, 0.0, pace.window_s / max(1, pace.limit))
    if state.window_ends_at <= now:
        new = windows.rolled(state, now + state.window_s, now)
        learnt = (new.spent, new.others, new.others_jump, now)
        _ROLL.run(connection, (*key, state.window_ends_at, new.window_ends_at, *learnt))
        state = _state(connection, bucket)
    room = windows.room(state, pace, now)
    possible = max(1, min(wanted, room.most - state.spent))
    # Who shares a budget saves nothing up: after a silence it would come down on the others at once.
    burst = 1 if room.is_shared else BURST
    row = _TAKE.first(connection, (*key, now, possible, room.most, PATIENCE_S, burst))
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
    if state.spent >= room.most:
        reason = f"the rest of the {bucket.budget} budget is left to others behind this address"
        return Grant(0, max(0.05, room.wait_s), reason=reason)
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
    ended: int = 1,
) -> None:
    """Correct the bucket by what an answer's headers said when it came, at `now`. What they leave out stays as it is.

    `ended` requests of ours are over since the last time, this one included.
    """
    new = windows.heard(
        _state(connection, bucket),
        pace,
        now,
        limit=limit,
        remaining=remaining,
        window_s=window_s,
        resets_in_s=resets_in_s,
        ended=ended,
    )
    _keep(connection, bucket, new)
    _FORGIVE.run(connection, (*_key(_of_address(bucket)),))
    if remaining == 0 and limit is not None and new.remaining == 0:
        _CLOSE.run(
            connection, (*_key(bucket), new.window_ends_at, "the far end's headers say that nothing remains", now)
        )


def end(connection: Connection, bucket: Bucket, ended: int) -> None:
    """Count requests as over whose answers said nothing of this bucket."""
    _ENDED.run(connection, (*_key(bucket), ended))


def give_back(connection: Connection, bucket: Bucket, pace: Pace, now: float) -> None:
    """Take back a permit for what turned out not to be limited; the next is due at the configured pace at the latest."""
    spacing = pace.window_s / max(1, pace.configured)
    _RETURN.run(connection, (*_key(bucket), now + spacing))


def stands_alone(connection: Connection, part: Bucket, whole: Bucket, limit: int | None) -> bool | None:
    """Whether a part of a budget, such as search, has a limit of its own, by an answer of its that named `limit`.

    Null: as long as nothing was heard of the whole, nobody can tell. A part that turns out to have none is merged again.
    """
    if limit is None:
        return _state(connection, part).source == "header"
    state = _state(connection, whole)
    if state.source != "header":
        return False if limit <= state.limit else None
    if state.limit != limit:
        return True
    _MERGE.run(connection, _key(part))
    return False


def is_told(connection: Connection, bucket: Bucket) -> bool:
    """Whether a header has named the bucket's limit."""
    return _state(connection, bucket).source == "header"


def close(connection: Connection, bucket: Bucket, seconds: float, reason: str, now: float) -> None:
    """Let nothing out for that long; an earlier, longer closure stands."""
    _CLOSE.run(connection, (*_key(bucket), now + seconds, reason, now))


def refuse(connection: Connection, bucket: Bucket, seconds: float, reason: str, now: float) -> None:
    """Close the bucket because the far end refused, and leave more room for what comes unseen."""
    _SURPRISE.run(connection, _key(bucket))
    close(connection, bucket, seconds, reason, now)


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


def _state(connection: Connection, bucket: Bucket) -> State:
    row = _READ.first(connection, _key(bucket))
    assert row is not None, f"{bucket} was not configured"
    return State(*row)


def _keep(connection: Connection, bucket: Bucket, new: State) -> None:
    counts = (new.spent, new.remaining, new.answered, new.counted, new.others, new.others_jump, new.seen_at)
    _OBSERVE.run(connection, (*_key(bucket), new.limit, new.cap, new.window_s, new.window_ends_at, *counts))
