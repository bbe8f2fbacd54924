"""Which repositories are due for a look between two passes. Rank 3.

The next look is set down before this one is tried: a process that dies over it, or an answer that never comes, costs one look and
never makes it come back at once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from harvester import cadence
from harvester.clock import instant, seconds_of
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement
from harvester.targets import Target, parse_target

LOOKED_THROUGH = 2000
"""Due repositories, those longest due first, among which the most overdue are chosen."""

_DUE = Statement(
    "now most",
    """
    SELECT r.id, r.full_name, r.next_check_at, c.interval_s, w.id, w.target, w.tags, w.layers, w.next_check_at
    FROM repositories r CROSS JOIN cadences c CROSS JOIN watches w
    WHERE r.next_check_at <= :now AND c.repository_id = r.id AND w.id = c.watch_id AND w.ended_at IS NULL
        AND r.gone_at IS NULL AND c.interval_s < w.every_s
    ORDER BY r.next_check_at LIMIT :most
    """,
)
_IS_DUE = Statement("now", "SELECT 1 FROM repositories WHERE next_check_at <= :now LIMIT 1")
_SIZE = Statement("namespace", "SELECT count(*) FROM repositories WHERE namespace = :namespace AND gone_at IS NULL")
_SET = Statement("next repository_id", "UPDATE repositories SET next_check_at = :next WHERE id = :repository_id")
_SET_ALL = Statement(
    "next namespace soon",
    "UPDATE repositories SET next_check_at = :next WHERE namespace = :namespace AND next_check_at <= :soon",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is to be looked at now, by the policies of the watch that covers it."""

    target: Target
    """One repository, or a namespace: its list shows all that is due of it for fewer requests."""
    tags: str
    layers: str
    interval_s: int
    watch_id: int
    late_s: int
    """Seconds since it was due."""
    next_pass_at: float | None
    """When the watch looks at all it covers, in epoch seconds."""
    repository_id: int


def is_due(connection: Connection, now: Moment) -> bool:
    """Whether a repository is due for a look."""
    return _IS_DUE.first(connection, (now.text,)) is not None


def due_looks(connection: Connection, now: Moment, most: int) -> list[Look]:
    """At most so many looks that are due, the most overdue by their own interval first; their next dates are set. Writes."""
    found: list[Look] = []
    listed: defaultdict[int, list[Look]] = defaultdict(list)
    targets: dict[int, Target] = {}
    for row in _DUE.all(connection, (now.text, max(most, LOOKED_THROUGH))):
        repository, full_name, due, interval_s, watch_id, target, tags, layers, pass_at = row
        look = Look(
            target=Target("repository", full_name),
            tags=tags,
            layers=layers,
            interval_s=int(interval_s),
            watch_id=int(watch_id),
            late_s=now.seconds - seconds_of(text_of(due)),
            next_pass_at=None if pass_at is None else seconds_of(text_of(pass_at)),
            repository_id=int(repository),
        )
        if look.watch_id not in targets:
            targets[look.watch_id] = parse_target(target)
        (listed[look.watch_id] if targets[look.watch_id].kind == "namespace" else found).append(look)
    for watch_id, together in listed.items():
        found += _by_list(connection, targets[watch_id], together)
    found.sort(key=lambda look: (-look.late_s / look.interval_s, look.repository_id))
    for look in found[:most]:
        _put_off(connection, look, now)
    return found[:most]


def _by_list(connection: Connection, namespace: Target, due: list[Look]) -> list[Look]:
    """The looks at repositories of a namespace, or one at its list where that has fewer pages than there are looks."""
    if len(due) == 1:
        return due
    [size] = _SIZE.all(connection, (namespace.subject,))[0]
    if len(due) <= -(-size // cadence.PAGE):
        return due
    first = max(due, key=lambda look: look.late_s / look.interval_s)
    return [replace(first, target=namespace)]


def _put_off(connection: Connection, look: Look, now: Moment) -> None:
    """Set the next date, of all that is due before half of the interval has passed where a list shows them."""
    following = instant(cadence.next_look(now.seconds, look.interval_s, look.target.subject, look.next_pass_at))
    if look.target.kind == "namespace":
        _SET_ALL.run(connection, (following, look.target.subject, instant(now.seconds + look.interval_s / 2)))
    else:
        _SET.run(connection, (following, look.repository_id))
