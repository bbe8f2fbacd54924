"""The job queue: one function per transition. Rank 3.

States: `waiting` (not before `run_at`), `ready`, `running` (under a lease), `done`, `dead`. Only `ready` is claimable. A job is
settled only by the process that still holds its lease; the rows it produced and the jobs that follow from it are written in the
same transaction, by the writer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec
from sqlalchemy import Connection

from harvester.clock import instant
from harvester.jobs import (
    KINDS,
    MAX_ATTEMPTS,
    Args,
    Dead,
    Done,
    Job,
    Lane,
    NewJob,
    Released,
    Retry,
    Settled,
    Snooze,
    shard,
)
from harvester.store import work_days
from harvester.store.listings import end_abandoned
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement, select_in
from harvester.store.work_days import Ended

LEASE_S = 30
"""A lease is renewed at a third of its life; what a killed process held is free again after this time."""

MAX_RESCUES = 20
"""Far more kills than an operator's, far fewer than a job that ends its process forever would cause."""

_LIVE = "state IN ('waiting', 'ready', 'running')"

# A live job keeps the better priority and the stricter freshness; one that waits is not hastened, a running one not touched.
_ADD = Statement(
    "kind lane key args priority shard now max_attempts fresh_after",
    f"""
    INSERT INTO jobs (kind, lane, key, args, priority, shard, state, run_at, attempt, max_attempts, rescues, fresh_after,
        created_at)
    VALUES (:kind, :lane, :key, :args, :priority, :shard, 'ready', :now, 0, :max_attempts, 0, :fresh_after, :now)
    ON CONFLICT (key) WHERE {_LIVE} DO UPDATE SET
        shard = excluded.shard,
        priority = CASE WHEN excluded.priority < jobs.priority THEN excluded.priority ELSE jobs.priority END,
        fresh_after = CASE WHEN excluded.fresh_after > jobs.fresh_after THEN excluded.fresh_after ELSE jobs.fresh_after END
    WHERE jobs.state <> 'running'
    """,
)

_JOIN = Statement(
    "run_id key",
    f"""
    INSERT INTO run_jobs (run_id, job_id) SELECT :run_id, id FROM jobs WHERE key = :key AND {_LIVE} ON CONFLICT DO NOTHING
    """,
)

_SETTLED_IN_RUN = """
    SELECT j.key FROM jobs j
    WHERE EXISTS (SELECT 1 FROM run_jobs r WHERE r.run_id = {} AND r.job_id = j.id)
        AND j.state IN ('done', 'dead') AND j.key IN ({values})
    """

# Whether a job is due is decided when it is made ready, not here: a clock that was set back must not hide it.
# Each priority is probed on its own: one statement over all of them walks the index where statistics are missing.
_DUE = "SELECT id FROM jobs WHERE lane = :lane AND state = 'ready' AND priority = :priority"
_OF_RUN = " AND EXISTS (SELECT 1 FROM run_jobs r WHERE r.run_id = :run_id AND r.job_id = jobs.id)"
_IN_ORDER = " ORDER BY run_at, id LIMIT :wanted"

# The state once more: where transactions run beside one another, another process may have taken a job since it was found.
_TAKE = """
    UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_owner = {}, lease_until = {}
    WHERE state = 'ready' AND id IN ({values})
    RETURNING id, kind, key, args, attempt, rescues, fresh_after
    """

_SETTLE = Statement(
    "id state run_at attempt_back last_error finished_at",
    """
    UPDATE jobs SET state = :state, run_at = COALESCE(:run_at, run_at), attempt = attempt - :attempt_back,
        last_error = COALESCE(:last_error, last_error), finished_at = :finished_at, lease_owner = NULL, lease_until = NULL
    WHERE id = :id
    """,
)

_RUNS_OF = Statement("job_id", "SELECT run_id FROM run_jobs WHERE job_id = :job_id")

_RENEW = Statement(
    "owner until", "UPDATE jobs SET lease_until = :until WHERE lease_owner = :owner AND state = 'running'"
)

_GIVE_BACK = Statement(
    "owner now",
    """
    UPDATE jobs SET state = 'ready', run_at = :now, attempt = attempt - 1, lease_owner = NULL, lease_until = NULL
    WHERE state = 'running' AND lease_owner = :owner
    """,
)

_PROMOTE = Statement("now", "UPDATE jobs SET state = 'ready' WHERE state = 'waiting' AND run_at <= :now")
_IS_DUE = """
    SELECT 1 WHERE EXISTS (SELECT 1 FROM jobs WHERE state = 'ready' AND lane = :lane{owned})
        OR EXISTS (SELECT 1 FROM jobs WHERE state = 'waiting' AND run_at <= :now)
        OR EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND (lease_until < :now OR lease_until > :latest))
    """

_READY = Statement(
    "most",
    """
    SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state = 'ready' AND lane IN ('hub', 'search', 'registry') LIMIT :most) AS found
    """,
)

# A lease that ends later than any lease can was given before the clock was set back. Our own are ours while we live.
_LAPSED = "state = 'running' AND lease_owner <> :owner AND (lease_until < :now OR lease_until > :latest)"

_RESCUE_DEAD = Statement(
    "owner now latest most",
    f"""
    UPDATE jobs SET state = 'dead', finished_at = :now, lease_owner = NULL, lease_until = NULL,
        last_error = 'the process that worked on it ended without a word, too often'
    WHERE {_LAPSED} AND rescues >= :most RETURNING key
    """,
)
_RESCUE = Statement(
    "owner now latest",
    f"""
    UPDATE jobs SET state = 'ready', run_at = :now, rescues = rescues + 1, lease_owner = NULL, lease_until = NULL
    WHERE {_LAPSED}
    """,
)

_REVIVE = Statement(
    "id now",
    """
    UPDATE jobs SET state = 'ready', attempt = 0, rescues = 0, run_at = :now, finished_at = NULL, last_error = NULL
    WHERE id = :id AND state = 'dead'
        AND NOT EXISTS (SELECT 1 FROM jobs l WHERE l.key = jobs.key AND l.state IN ('waiting', 'ready', 'running'))
    """,
)
_DROP = Statement("id", "DELETE FROM jobs WHERE id = :id AND state = 'dead'")
_DROP_LINKS = Statement("id", "DELETE FROM run_jobs WHERE job_id = :id")

_LIVE_PAGES = Statement("low high", f"SELECT key FROM jobs WHERE key > :low AND key < :high AND {_LIVE}")

_UNDER_WAY = Statement(
    "low high job_id",
    f"""
    SELECT 1 FROM jobs j WHERE j.key > :low AND j.key < :high AND j.{_LIVE} AND (j.state = 'running' OR EXISTS (
        SELECT 1 FROM run_jobs a JOIN run_jobs b ON b.run_id = a.run_id WHERE a.job_id = j.id AND b.job_id = :job_id))
    LIMIT 1
    """,
)

_DEAD = Statement("id", "SELECT kind, finished_at, attempt FROM jobs WHERE id = :id AND state = 'dead'")

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Args)


def enqueue(
    connection: Connection, new: Sequence[NewJob], now: Moment, *, runs: Sequence[int], fresh_after: str
) -> None:
    """Add jobs for these runs. A live job of the same key is shared; what a run has settled already is not asked again."""
    wanted = {job.key: job for job in _unharvested(connection, new)}
    asked: dict[str, list[int]] = {key: [] for key in wanted}
    for run in runs:
        settled = {row[0] for row in select_in(connection, _SETTLED_IN_RUN, list(wanted), first=(run,))}
        for key in wanted.keys() - settled:
            asked[key].append(run)
    keys = [key for key in wanted if asked[key] or not runs]
    _ADD.many(connection, [_row(wanted[key], now, fresh_after) for key in keys])
    _JOIN.many(connection, [(run, key) for key in keys for run in asked[key]])


def claim(
    connection: Connection,
    lane: Lane,
    now: Moment,
    *,
    owner: str,
    wanted: int,
    run_id: int | None,
    shards: tuple[int, ...] | None = None,
) -> list[Job]:
    """Take up to that many ready jobs, of one run or of all, and of these parts or of all; best priority first.

    No priority waits for the end of the better ones: each that has ready jobs gets some (`shares`).
    """
    due, of_run = _due(run_id is not None, shards), () if run_id is None else (run_id,)
    priorities = sorted({priority for of_lane, priority in KINDS.values() if of_lane == lane})
    found = [[row[0] for row in due.all(connection, (lane, priority, wanted, *of_run))] for priority in priorities]
    parts = shares([len(ids) for ids in found], wanted)
    chosen = [job_id for ids, share in zip(found, parts, strict=True) for job_id in ids[:share]]
    rows = select_in(connection, _TAKE, chosen, first=(owner, instant(now.seconds + LEASE_S)))
    # RETURNING keeps no order.
    places = {job_id: place for place, job_id in enumerate(chosen)}
    return [
        Job(
            id=row[0],
            kind=row[1],
            key=row[2],
            args=_DECODER.decode(row[3]),
            attempt=row[4],
            rescues=row[5],
            fresh_after=str(row[6]),
        )
        for row in sorted(rows, key=lambda row: places[row[0]])
    ]


def shares(ready: Sequence[int], wanted: int) -> list[int]:
    """How many jobs to take of each priority, best first, where that many are ready.

    Each gets half of what the better ones leave, one at the least while there is room for one of each; what is over goes to the
    best.
    """
    taken = [0] * len(ready)
    left = wanted
    having = [place for place, number in enumerate(ready) if number]
    for behind, place in zip(range(len(having) - 1, -1, -1), having, strict=True):
        taken[place] = min(ready[place], left, max(1, min((left + 1) // 2, left - behind)))
        left -= taken[place]
    for place in having:
        more = min(ready[place] - taken[place], left)
        taken[place] += more
        left -= more
    return taken


def held(connection: Connection, jobs: Sequence[Job], owner: str) -> set[int]:
    """Ids of those jobs that this owner still holds, at the attempt it claimed them with."""
    attempts = {job.id: job.attempt for job in jobs}
    rows = select_in(
        connection,
        "SELECT id, attempt FROM jobs WHERE lease_owner = {} AND state = 'running' AND id IN ({values})",
        list(attempts),
        first=(owner,),
    )
    return {row[0] for row in rows if attempts[row[0]] == row[1]}


def settle(connection: Connection, settled: Sequence[Settled], now: Moment) -> None:
    """Move jobs that this process holds to the state their outcome says. Frees the keys of those that ended."""
    _SETTLE.many(connection, [_settlement(one, now) for one in settled])


def runs_of(connection: Connection, job_id: int) -> list[int]:
    """The runs that asked for a job."""
    return [int(row[0]) for row in _RUNS_OF.all(connection, (job_id,))]


def join_walk(connection: Connection, walk: str, run_ids: Sequence[int], *, but: str) -> bool:
    """Let these runs wait for the live page job of a walk that is under way, `but` that one; false when there is none."""
    rows = _LIVE_PAGES.all(connection, (f"{walk}:", f"{walk}:~"))
    keys = [row[0] for row in rows if row[0] != but]
    _JOIN.many(connection, [(run, key) for run in run_ids for key in keys])
    return bool(keys)


def is_under_way(connection: Connection, ranges: Sequence[tuple[str, str]], job_id: int) -> bool:
    """Whether somebody works on a job with a key within one of the ranges, or will for the runs that asked for `job_id`.

    A job of another run that nobody works on is waited for by nobody.
    """
    return any(_UNDER_WAY.first(connection, (*one, job_id)) is not None for one in ranges)


def renew(connection: Connection, now: Moment, *, owner: str) -> int:
    """Push the leases of all this owner's jobs out; how many there are."""
    return _RENEW.run(connection, (owner, instant(now.seconds + LEASE_S)))


def give_back(connection: Connection, now: Moment, *, owner: str) -> int:
    """Make ready what this owner holds and does not work on any more, the attempt not held against it; how many.

    Nobody else frees them while the owner lives: its leases are its own, and renewed.
    """
    return _GIVE_BACK.run(connection, (owner, now.text))


def promote(connection: Connection, now: Moment) -> int:
    """Make due waiting jobs ready; how many."""
    return _PROMOTE.run(connection, (now.text,))


def is_due(connection: Connection, lane: Lane, now: Moment, shards: tuple[int, ...] | None = None) -> bool:
    """Whether a claim could find anything: a ready job, a waiting one whose time has come, a lease that ran out."""
    row = _whether_due(shards).first(connection, (lane, now.text, instant(now.seconds + 2 * LEASE_S)))
    return row is not None


def ready(connection: Connection, most: int) -> int:
    """How many jobs are ready, counted up to that many; those that wait for pulls hold up nothing else and do not count."""
    row = _READY.first(connection, (most,))
    return 0 if row is None else int(row[0])


def rescue(connection: Connection, now: Moment, *, owner: str = "") -> int:
    """Free the jobs of other processes that ended without a word, the attempt not held against them; how many.

    One that takes its process down every time is dead after `MAX_RESCUES`.
    """
    latest = instant(now.seconds + 2 * LEASE_S)
    dead = _RESCUE_DEAD.all(connection, (owner, now.text, latest, MAX_RESCUES))
    for (key,) in dead:
        end_abandoned(connection, key.rpartition(":")[0], now)
    return len(dead) + _RESCUE.run(connection, (owner, now.text, latest))


def revive(connection: Connection, job_id: int, now: Moment) -> Literal["ready", "live", "missing"]:
    """Make a dead job ready again, unless there is none of that id, or another live job asks for the same."""
    if _DEAD.first(connection, (job_id,)) is None:
        return "missing"
    return "ready" if _REVIVE.run(connection, (job_id, now.text)) else "live"


def drop(connection: Connection, job_id: int) -> bool:
    """Delete a dead job and count it for its day; false when there is no such dead job."""
    row = _DEAD.first(connection, (job_id,))
    if row is None:
        return False
    work_days.count(connection, [Ended(row[0], "dead", text_of(row[1])[:10], int(row[2]))])
    _DROP_LINKS.run(connection, (job_id,))
    return _DROP.run(connection, (job_id,)) == 1


@lru_cache(maxsize=256)
def _due(is_of_run: bool, shards: tuple[int, ...] | None) -> Statement:
    parameters = "lane priority wanted run_id" if is_of_run else "lane priority wanted"
    return Statement(parameters, _DUE + _owned(shards) + (_OF_RUN if is_of_run else "") + _IN_ORDER)


@lru_cache(maxsize=256)
def _whether_due(shards: tuple[int, ...] | None) -> Statement:
    return Statement("lane now latest", _IS_DUE.format(owned=_owned(shards)))


def _owned(shards: tuple[int, ...] | None) -> str:
    """The condition that a job is in these parts. A route without any has no job: no shard has that number."""
    return "" if shards is None else f" AND shard IN ({', '.join(map(str, shards)) or -1})"


def _row(job: NewJob, now: Moment, fresh_after: str) -> tuple[object, ...]:
    lane, priority = KINDS[job.kind]
    args = _ENCODER.encode(job.args).decode()
    return (job.kind, lane, job.key, args, priority, shard(job), now.text, MAX_ATTEMPTS, fresh_after)


def _unharvested(connection: Connection, new: Sequence[NewJob]) -> list[NewJob]:
    digests = [job.args.digest for job in new if job.kind == "images" and job.args.digest]
    if not digests:
        return list(new)
    harvested = {
        row[0]
        for row in select_in(connection, "SELECT digest FROM harvested_digests WHERE digest IN ({values})", digests)
    }
    return [job for job in new if job.kind != "images" or job.args.pulls or job.args.digest not in harvested]


def _settlement(settled: Settled, now: Moment) -> tuple[object, ...]:
    job_id = settled.job.id
    match settled.outcome:
        case Done():
            return (job_id, "done", None, 0, None, now.text)
        case Dead(reason=reason):
            return (job_id, "dead", None, 0, reason, now.text)
        case Snooze(seconds=seconds, reason=reason):
            return (job_id, "waiting", _later(now, seconds), 1, reason, None)
        case Retry(seconds=seconds, reason=reason):
            return (job_id, "waiting", _later(now, seconds), 0, reason, None)
        case Released():
            return (job_id, "ready", now.text, 1, None, None)


def _later(now: Moment, seconds: float) -> str:
    # Rounded up: instants are whole seconds, and a job must not come back before its time.
    return instant(now.seconds + max(1, math.ceil(seconds)))
