"""What nobody asks for any more when a watch has ended. Rank 3.

Jobs that were not begun are deleted, unless another watch covers what they ask for or a run that is no watch's wants them. A walk
that is cut short by that ends as a decision of the operator's (`policy`), not as one that is open for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection

from harvester.store.listings import end_unwanted
from harvester.store.moment import Moment
from harvester.store.statements import Statement
from harvester.targets import Target

# Of the runs of watches that ended now, in which no other watch takes part: driven from the live jobs, by the condition of their
# index, once for all of them. Runs of watches are sets, each made once, as watches have no index by run; `+ 0`, or each job would
# be looked up with every run of the set.
_OF_RUNS = Statement(
    "now",
    """
    SELECT j.id, j.key FROM jobs j WHERE j.state IN ('waiting', 'ready', 'running') AND j.state <> 'running'
        AND EXISTS (SELECT 1 FROM run_jobs l WHERE l.job_id = j.id
            AND l.run_id + 0 IN (SELECT w.run_id FROM watches w WHERE w.ended_at = :now AND w.run_id IS NOT NULL))
        AND NOT EXISTS (SELECT 1 FROM run_jobs l JOIN runs r ON r.id = l.run_id WHERE l.job_id = j.id
            AND (l.run_id IN (SELECT w.run_id FROM watches w WHERE w.ended_at IS NULL AND w.run_id IS NOT NULL)
                OR (r.finished_at IS NULL AND l.run_id NOT IN (SELECT w.run_id FROM watches w WHERE w.run_id IS NOT NULL))))
    """,
)
# Of a run that goes on for others, and looks, which belong to none: by what they ask for.
_BY_KEY = Statement(
    "low high",
    """
    SELECT j.id, j.key FROM jobs j WHERE j.key > :low AND j.key < :high
        AND j.state IN ('waiting', 'ready', 'running') AND j.state <> 'running'
    """,
)
_UNFINISHED_OF = Statement(
    "job_id",
    "SELECT r.id FROM run_jobs l JOIN runs r ON r.id = l.run_id WHERE l.job_id = :job_id AND r.finished_at IS NULL",
)
_RUNS_OF_WATCHES = Statement(
    "",
    """
    SELECT run_id, CASE WHEN ended_at IS NULL AND target LIKE 'search:%' THEN 1 ELSE 0 END FROM watches
    WHERE run_id IS NOT NULL
    """,
)
_UNLINK = Statement("job_id", "DELETE FROM run_jobs WHERE job_id = :job_id")
_CANCEL = Statement("job_id", "DELETE FROM jobs WHERE id = :job_id AND state IN ('waiting', 'ready')")

_OF_A_REPOSITORY = ("repository", "tag_names", "tags.page", "tag", "holes")
"""Kinds of jobs whose keys begin with a repository's name."""


def cancel_jobs(connection: Connection, ended: Sequence[Target], in_force: Collection[Target], now: Moment) -> int:
    """Delete what waits for these watches, which have just ended, and for nobody else; how many jobs that were."""
    if not ended:
        return 0
    covered = _Covered(in_force)
    left = {int(row[0]): row[1] for row in _OF_RUNS.all(connection, (now.text,)) if row[1] not in covered}
    rows = _RUNS_OF_WATCHES.all(connection)
    of_no_search = {int(run) for run, _ in rows} - {int(run) for run, is_search in rows if is_search}
    for target in ended:
        for low, high in _ranges(target):
            for job_id, key in _BY_KEY.all(connection, (low, high)):
                if key in covered or job_id in left:
                    continue
                # A search may have found it too, and a run that is no watch's wants all of its jobs.
                runs = {int(row[0]) for row in _UNFINISHED_OF.all(connection, (job_id,))}
                if runs <= of_no_search:
                    left[int(job_id)] = key
    for key in left.values():
        end_unwanted(connection, key.rpartition(":")[0], now)
    _UNLINK.many(connection, [(job_id,) for job_id in sorted(left)])
    _CANCEL.many(connection, [(job_id,) for job_id in sorted(left)])
    return len(left)


def _ranges(target: Target) -> Iterator[tuple[str, str]]:
    """What the keys of the jobs of a target lie between; those of what a search found say nothing of it."""
    match target.kind:
        case "repository":
            for kind in _OF_A_REPOSITORY:
                yield f"{kind}:{target.subject}:", f"{kind}:{target.subject}:~"
        case "tag":
            for kind in ("repository", "tag"):
                yield f"{kind}:{target.subject}:{target.tag}:", f"{kind}:{target.subject}:{target.tag}:~"
        case "namespace":
            for kind in _OF_A_REPOSITORY:
                # The character after the slash.
                yield f"{kind}:{target.subject}/", f"{kind}:{target.subject}0"


class _Covered:
    """The keys of jobs that ask for what is watched still."""

    def __init__(self, in_force: Collection[Target]) -> None:
        self._namespaces = {one.subject for one in in_force if one.kind == "namespace"}
        self._subjects = {one.subject for one in in_force}

    def __contains__(self, key: str) -> bool:
        subject = key.split(":")[1]
        return subject in self._subjects or subject.partition("/")[0] in self._namespaces
