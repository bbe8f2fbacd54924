"""Runs: who asked for work, and when that work is done. Rank 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from harvester.clock import instant
from harvester.jobs import NewJob
from harvester.store.moment import Moment
from harvester.store.queue import enqueue
from harvester.store.statements import Statement, select_in

SAME_PASS_S = 60
"""Runs that begin within this time of one another, while one is unfinished, are one pass: they share what they store."""

NO_LANE = ""

NEWEST = 200
"""Jobs of a run, the last to come, of which most runs that go on have a live one."""

_UNFINISHED = Statement(
    "fingerprint",
    "SELECT id, pass_began_at FROM runs WHERE fingerprint = :fingerprint AND finished_at IS NULL ORDER BY id DESC LIMIT 1",
)
_COMPANION = Statement(
    "since", "SELECT min(pass_began_at) FROM runs WHERE finished_at IS NULL AND started_at >= :since"
)
_LAST_END = Statement("", "SELECT max(finished_at) FROM runs")
_BEGIN = Statement(
    "fingerprint now pass_began_at",
    """
    INSERT INTO runs (fingerprint, started_at, pass_began_at) VALUES (:fingerprint, :now, :pass_began_at) RETURNING id
    """,
)
_FINISH = Statement("id now", "UPDATE runs SET finished_at = :now WHERE id = :id AND finished_at IS NULL")

_REOPEN = Statement(
    "job_id",
    "UPDATE runs SET finished_at = NULL WHERE id IN (SELECT run_id FROM run_jobs WHERE job_id = :job_id)",
)

# Driven from the live jobs: a run's settled ones may be millions.
_LIVE = Statement(
    "run_id",
    """
    SELECT j.state, j.kind, count(*) FROM jobs j WHERE j.state IN ('waiting', 'ready', 'running')
        AND EXISTS (SELECT 1 FROM run_jobs r WHERE r.run_id = :run_id AND r.job_id = j.id)
    GROUP BY j.state, j.kind
    """,
)
_ANY_LIVE = Statement(
    "run_id but",
    """
    SELECT 1 FROM jobs j WHERE j.state IN ('waiting', 'ready', 'running') AND j.lane <> :but
        AND EXISTS (SELECT 1 FROM run_jobs r WHERE r.run_id = :run_id AND r.job_id = j.id) LIMIT 1
    """,
)
# The runs of watches as one set, made once a look: watches have no index by run.
_IS_OF_WATCH = "CASE WHEN r.id IN (SELECT w.run_id FROM watches w WHERE w.run_id IS NOT NULL) THEN 1 ELSE 0 END"
_NEWER = Statement(
    "after", f"SELECT r.id, {_IS_OF_WATCH} FROM runs r WHERE r.id > :after AND r.finished_at IS NULL ORDER BY r.id"
)
_OF_THESE = (
    f"SELECT r.id, {_IS_OF_WATCH} FROM runs r WHERE r.finished_at IS NULL AND r.id IN ({{values}}) ORDER BY r.id"
)
_LATEST = Statement("", "SELECT COALESCE(max(id), 0) FROM runs")

# Beside a run of a million live jobs, those of a small one are not to be looked for among them.
_NEWEST = Statement(
    "run_id but most",
    """
    SELECT count(*), COALESCE(sum(CASE WHEN j.state IN ('waiting', 'ready', 'running') AND j.lane <> :but THEN 1 ELSE 0 END), 0)
    FROM (SELECT job_id FROM run_jobs WHERE run_id = :run_id ORDER BY job_id DESC LIMIT :most) n JOIN jobs j ON j.id = n.job_id
    """,
)
_LIVE_SHARDS = Statement(
    "run_id",
    """
    SELECT DISTINCT j.shard FROM jobs j WHERE j.state IN ('waiting', 'ready', 'running')
        AND EXISTS (SELECT 1 FROM run_jobs r WHERE r.run_id = :run_id AND r.job_id = j.id)
    """,
)


@dataclass(frozen=True, slots=True)
class Run:
    """One command's work."""

    id: int
    pass_began_at: str
    is_resumed: bool


@dataclass(frozen=True, slots=True)
class Left:
    """Live jobs of a run."""

    state: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The runs that were not finished at a look."""

    ids: tuple[int, ...]
    over: tuple[int, ...]
    """Those of them of which nothing is left to be done."""
    latest: int
    """The newest run there was."""


def begin_run(
    connection: Connection, fingerprint: str, jobs: Sequence[NewJob], now: Moment, *, pass_began_at: str | None = None
) -> Run:
    """The unfinished run of this command, or a new pass of it with its first jobs.

    The pass begins now, or with that of another run that began just before, unless `pass_began_at` says when.
    """
    found = _UNFINISHED.first(connection, (fingerprint,))
    if found is not None:
        return Run(int(found[0]), str(found[1]), is_resumed=True)
    began = pass_began_at or _pass_start(connection, now)
    row = _BEGIN.first(connection, (fingerprint, now.text, began))
    assert row is not None
    run = Run(int(row[0]), began, is_resumed=False)
    enqueue(connection, jobs, now, runs=[run.id], fresh_after=began)
    return run


def finish_run(connection: Connection, run_id: int, now: Moment) -> bool:
    """Mark the run as finished; false while it has live jobs."""
    if _ANY_LIVE.first(connection, (run_id, NO_LANE)) is not None:
        return False
    _FINISH.run(connection, (run_id, now.text))
    return True


def unfinished(connection: Connection, earlier: Unfinished | None = None) -> Unfinished:
    """The runs that are not finished: of an `earlier` look, those that were not then and those that are newer.

    What is finished is as much as has ever been done, and is not read again then; a finished run that was taken up again is seen
    by a look without an earlier one.
    """
    [[latest]] = _LATEST.all(connection)
    found = [] if earlier is None else select_in(connection, _OF_THESE, earlier.ids)
    found += _NEWER.all(connection, (0 if earlier is None else earlier.latest,))
    over = [int(row[0]) for row in found if _is_over(connection, int(row[0]), _but(row[1]))]
    return Unfinished(tuple(int(row[0]) for row in found), tuple(over), int(latest))


def finish_runs(connection: Connection, now: Moment, among: Sequence[int]) -> list[int]:
    """Finish those of these runs of which no job is live, and the passes of which nothing is but what waits for pulls; their ids.

    The next pass of a watch waits for the one before, and a small pull budget may take weeks over what a pass has found.
    """
    found = select_in(connection, _OF_THESE, among)
    ids = [int(row[0]) for row in found if _is_over(connection, int(row[0]), _but(row[1]))]
    for run_id in ids:
        _FINISH.run(connection, (run_id, now.text))
    return ids


def _but(is_pass: object) -> str:
    """The lane of which nothing has to be done for such a run to be over."""
    return "pulls" if is_pass else NO_LANE


def _is_over(connection: Connection, run_id: int, but: str) -> bool:
    """Whether no job of the run is live but those of one lane, read off its newest ones where that is enough."""
    [(number, live)] = _NEWEST.all(connection, (run_id, but, NEWEST))
    if live or number < NEWEST:
        return not live
    return _ANY_LIVE.first(connection, (run_id, but)) is None


def live_shards(connection: Connection, run_id: int) -> set[int]:
    """The parts of all namespaces in which the run has live jobs."""
    return {int(row[0]) for row in _LIVE_SHARDS.all(connection, (run_id,))}


def left_of(connection: Connection, run_id: int) -> list[Left]:
    """The run's live jobs by state and kind."""
    return [Left(row[0], row[1], int(row[2])) for row in _LIVE.all(connection, (run_id,))]


def _pass_start(connection: Connection, now: Moment) -> str:
    row = _COMPANION.first(connection, (instant(now.seconds - SAME_PASS_S),))
    if row is not None and row[0] is not None:
        return str(row[0])
    # Instants are whole seconds: what the run before stored in this very second is not of this pass.
    row = _LAST_END.first(connection)
    if row is not None and row[0] is not None and str(row[0]) >= now.text:
        return instant(now.seconds + 1)
    return now.text


def reopen_of(connection: Connection, job_id: int) -> None:
    """Let the runs that asked for this job go on: it is live again."""
    _REOPEN.run(connection, (job_id,))
