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

# Of a run in which no other watch takes part.
_OF_RUN = Statement(
    "watch_id",
    """
    SELECT j.id, j.key FROM jobs j WHERE j.state IN ('waiting', 'ready')
        AND EXISTS (SELECT 1 FROM run_jobs l JOIN watches w ON w.run_id = l.run_id WHERE l.job_id = j.id AND w.id = :watch_id)
        AND NOT EXISTS (SELECT 1 FROM run_jobs l JOIN runs r ON r.id = l.run_id WHERE l.job_id = j.id
            AND (EXISTS (SELECT 1 FROM watches w WHERE w.run_id = r.id AND w.ended_at IS NULL)
                OR (r.finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM watches w WHERE w.run_id = r.id))))
    """,
)
# Of a run that goes on for others, and looks, which belong to none: by what they ask for. A search may have found it too.
_BY_KEY = Statement(
    "low high",
    """
    SELECT j.id, j.key FROM jobs j WHERE j.key > :low AND j.key < :high AND j.state IN ('waiting', 'ready')
        AND NOT EXISTS (SELECT 1 FROM run_jobs l JOIN runs r ON r.id = l.run_id WHERE l.job_id = j.id AND r.finished_at IS NULL
            AND (NOT EXISTS (SELECT 1 FROM watches w WHERE w.run_id = r.id)
                OR EXISTS (SELECT 1 FROM watches w WHERE w.run_id = r.id AND w.ended_at IS NULL AND w.target LIKE 'search:%')))
    """,
)
_UNLINK = Statement("job_id", "DELETE FROM run_jobs WHERE job_id = :job_id")
_CANCEL = Statement("job_id", "DELETE FROM jobs WHERE id = :job_id AND state IN ('waiting', 'ready')")

_OF_A_REPOSITORY = ("repository", "tag_names", "tags.page", "tag", "holes")
"""Kinds of jobs whose keys begin with a repository's name."""


def cancel_jobs(
    connection: Connection, ended: Sequence[tuple[int, Target]], in_force: Collection[Target], now: Moment
) -> int:
    """Delete what waits for these watches, which have just ended, and for nobody else; how many jobs that were."""
    left: dict[int, str] = {}
    for watch_id, target in ended:
        found = _OF_RUN.all(connection, (watch_id,))
        for low, high in _ranges(target):
            found += _BY_KEY.all(connection, (low, high))
        left |= {int(row[0]): row[1] for row in found if not _is_covered(row[1], in_force)}
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


def _is_covered(key: str, in_force: Collection[Target]) -> bool:
    subject = key.split(":")[1]
    namespace = Target("namespace", subject.partition("/")[0])
    return namespace in in_force or any(one.subject == subject for one in in_force)
