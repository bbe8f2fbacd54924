"""What is watched, and when its next pass is due. Rank 3.

The configuration is taken over as rows; the due dates are columns. A pass is a run. The date of the next one is moved before the
pass is tried, to the slot after the present moment: what was missed is caught up once. While one is unfinished the next one waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from harvester.cadence import is_sane, next_pass, phase, slot_of
from harvester.clock import instant, seconds_of
from harvester.jobs import NewJob
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.runs import begin_run
from harvester.store.statements import Statement
from harvester.store.unwatched import cancel_jobs
from harvester.targets import Target, parse_target
from harvester.watch import Watch

AT_ONCE = 200
"""Passes begun in one transaction at the most."""

_IN_FORCE = Statement(
    "",
    """
    SELECT id, target, tags, layers, every_s, fastest_s, place, next_check_at, next_counts_at FROM watches
    WHERE ended_at IS NULL ORDER BY place, id
    """,
)
_ADD = Statement(
    "target tags layers every_s fastest_s place now next_counts_at",
    """
    INSERT INTO watches (target, tags, layers, every_s, fastest_s, place, since, next_check_at, next_counts_at)
    VALUES (:target, :tags, :layers, :every_s, :fastest_s, :place, :now, :now, :next_counts_at)
    """,
)
_CHANGE = Statement(
    "id every_s fastest_s place next_check_at next_counts_at",
    """
    UPDATE watches SET every_s = :every_s, fastest_s = :fastest_s, place = :place, next_check_at = :next_check_at,
        next_counts_at = :next_counts_at
    WHERE id = :id
    """,
)
_END = Statement(
    "id now", "UPDATE watches SET ended_at = :now, next_check_at = NULL, next_counts_at = NULL WHERE id = :id"
)

_DUE = Statement(
    "now",
    """
    SELECT w.id, w.target, w.tags, w.layers, w.every_s, w.next_check_at FROM watches w
    WHERE w.ended_at IS NULL AND w.next_check_at <= :now
        AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = w.run_id AND r.finished_at IS NULL)
    """,
)
_DUE_COUNTS = Statement(
    "now",
    """
    SELECT w.id, w.target, w.tags, w.layers, w.every_s, w.next_counts_at FROM watches w
    WHERE w.ended_at IS NULL AND w.next_counts_at <= :now
    """,
)
_BEGUN = Statement(
    "id run_id next_check_at next_counts_at",
    """
    UPDATE watches SET run_id = :run_id, next_check_at = :next_check_at, next_counts_at = :next_counts_at WHERE id = :id
    """,
)
_COUNTED = Statement("id next_counts_at", "UPDATE watches SET next_counts_at = :next_counts_at WHERE id = :id")
_IS_DUE = Statement(
    "now",
    "SELECT 1 FROM watches WHERE ended_at IS NULL AND (next_check_at <= :now OR next_counts_at <= :now) LIMIT 1",
)
_DATES = Statement("", "SELECT id, target, every_s, next_check_at, next_counts_at FROM watches WHERE ended_at IS NULL")
_REDATE = Statement(
    "id next_check_at next_counts_at",
    "UPDATE watches SET next_check_at = :next_check_at, next_counts_at = :next_counts_at WHERE id = :id",
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What taking over a configuration came to, in watches."""

    added: int
    changed: int
    ended: int
    cancelled: int
    """Jobs that were not asked yet and are not wanted any more."""


@dataclass(frozen=True, slots=True)
class Due:
    """A watch whose time has come."""

    id: int
    target: Target
    tags: str
    layers: str
    every_s: int
    due_at: int


@dataclass(frozen=True, slots=True)
class Group:
    """Watches of the same policies and slot: one list may show many of them."""

    members: tuple[Due, ...]
    tags: str
    layers: str
    slot: int
    """When the slot began, in epoch seconds."""
    late_s: int
    """How long the most overdue of them has been due."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """What they watch, sorted."""
        return tuple(sorted(one.target for one in self.members))


@dataclass(frozen=True, slots=True)
class Begun:
    """A pass, or a round of counts, that has begun."""

    group: Group
    run_id: int


Ask = Callable[[Group], tuple[str, Sequence[NewJob]]]
"""The fingerprint of the run of a group, and the jobs that it begins with."""


def take_over(connection: Connection, watches: Sequence[Watch], now: Moment) -> Taken:
    """Make the rows say what the configuration says: what is new is due at once, what it no longer names has ended.

    Rows of what was harvested stay as they are.
    """
    wanted: dict[tuple[str, str, str], tuple[Watch, int]] = {}
    for place, watch in enumerate(watches):
        for target in watch.targets:
            key = (str(target), watch.tags.text, watch.layers.text)
            if key not in wanted or watch.every < wanted[key][0].every:
                wanted[key] = (watch, place)
    rows = {(row[1], row[2], row[3]): row for row in _IN_FORCE.all(connection)}
    added = [key for key in wanted if key not in rows]
    ended = [(rows[key][0], key[0]) for key in rows if key not in wanted]
    changed = []
    for key, (watch, place) in wanted.items():
        row = rows.get(key)
        if row is not None and (row[4], row[5], row[6]) != (watch.every, watch.fastest_s, place):
            dates = _sane(key[0], watch.every, _seconds(row[7]), _seconds(row[8]), now)
            changed.append((row[0], watch.every, watch.fastest_s, place, *dates))
    _ADD.many(connection, [_added(key, *wanted[key], now) for key in added])
    _CHANGE.many(connection, changed)
    _END.many(connection, [(watch_id, now.text) for watch_id, _ in ended])
    in_force = {parse_target(key[0]) for key in wanted}
    cancelled = cancel_jobs(connection, [parse_target(target) for _, target in ended], in_force, now)
    return Taken(len(added), len(changed), len(ended), cancelled)


def is_due(connection: Connection, now: Moment) -> bool:
    """Whether a pass or a round of counts is due."""
    return _IS_DUE.first(connection, (now.text,)) is not None


def begin_passes(
    connection: Connection, now: Moment, *, ask: Ask, stretch: float = 1.0, most: int = AT_ONCE
) -> list[Begun]:
    """Begin the passes that are due and whose last one is over, the latest in proportion to their `every` first.

    Those with the same policies and slots are one run. What was stored since the slot began is not asked again. `stretch` is the
    factor by which all passes are further apart than configured.
    """
    begun = []
    for group in _grouped(_due(_DUE.all(connection, (now.text,)), now, most), now):
        run = _begin(connection, group, ask, now)
        _BEGUN.many(
            connection,
            [
                (one.id, run, instant(_next(one.target, one.every_s, now, stretch)), _next_counts(one, now, stretch))
                for one in group.members
            ],
        )
        begun.append(Begun(group, run))
    return begun


def begin_counts(connection: Connection, now: Moment, *, ask: Ask, most: int = AT_ONCE) -> list[Begun]:
    """Begin the daily counts of what has its passes further apart than a day."""
    begun = []
    for group in _grouped(_due(_DUE_COUNTS.all(connection, (now.text,)), now, most), now, longest_s=DAY_S):
        run = _begin(connection, group, ask, now)
        _COUNTED.many(connection, [(one.id, instant(_next(one.target, DAY_S, now))) for one in group.members])
        begun.append(Begun(group, run))
    return begun


def _begin(connection: Connection, group: Group, ask: Ask, now: Moment) -> int:
    fingerprint, jobs = ask(group)
    return begin_run(connection, fingerprint, jobs, now, pass_began_at=instant(group.slot)).id


def set_right(connection: Connection, now: Moment, *, stretch: float = 1.0) -> int:
    """Set dates anew that a clock that goes right could not have set; how many."""
    rows = []
    for watch_id, target, every_s, next_check, next_counts in _DATES.all(connection):
        dates = _sane(target, every_s, _seconds(next_check), _seconds(next_counts), now, stretch)
        if dates != (_text(next_check), _text(next_counts)):
            rows.append((watch_id, *dates))
    _REDATE.many(connection, rows)
    return len(rows)


def _due(rows: Sequence[Sequence[Any]], now: Moment, most: int) -> list[Due]:
    due = [
        Due(int(row[0]), parse_target(row[1]), row[2], row[3], int(row[4]), seconds_of(text_of(row[5]))) for row in rows
    ]
    due.sort(key=lambda one: ((one.due_at - now.seconds) / one.every_s, one.id))
    return due[:most]


def _grouped(due: Sequence[Due], now: Moment, *, longest_s: int | None = None) -> list[Group]:
    groups: dict[tuple[str, str, int, int], list[Due]] = {}
    for one in due:
        every_s = min(one.every_s, longest_s or one.every_s)
        slot = int(slot_of(now.seconds, every_s, _phase(one.target, every_s)))
        groups.setdefault((one.tags, one.layers, one.every_s, slot), []).append(one)
    return [
        Group(tuple(members), tags, layers, slot, now.seconds - min(one.due_at for one in members))
        for (tags, layers, _, slot), members in groups.items()
    ]


def _phase(target: Target, every_s: int) -> int:
    """Where in its `every` a target has its slot. Repositories of one namespace share theirs: its list shows them all.

    The last sixth is left free: a pass that begins late in a UTC day would count its pulls for the next one.
    """
    name = target.subject.partition("/")[0] if target.kind in ("repository", "tag") else str(target)
    return phase(name, max(1, every_s - every_s // 6))


def _next(target: Target, every_s: int, now: Moment, stretch: float = 1.0) -> float:
    return next_pass(now.seconds, every_s, _phase(target, every_s), stretch)


def _next_counts(one: Due, now: Moment, stretch: float = 1.0) -> str | None:
    return _counts_after(one.target, one.every_s, now, stretch)


def _counts_after(target: Target, every_s: int, now: Moment, stretch: float = 1.0) -> str | None:
    """When pull counts are due apart from passes: daily, where these are further apart than a day."""
    return instant(_next(target, DAY_S, now)) if every_s * stretch > DAY_S else None


def _added(key: tuple[str, str, str], watch: Watch, place: int, now: Moment) -> tuple[object, ...]:
    counts = _counts_after(parse_target(key[0]), watch.every, now)
    return (*key, watch.every, watch.fastest_s, place, now.text, counts)


def _sane(
    target: str, every_s: int, next_check: int | None, next_counts: int | None, now: Moment, stretch: float = 1.0
) -> tuple[str, str | None]:
    """The due dates as they may stand: what lies further off than it can was set by a clock that was ahead."""
    found = parse_target(target)
    longest_s = every_s if stretch <= 1 else 1.5 * every_s * stretch
    if next_check is None or not is_sane(next_check, now.seconds, longest_s):
        next_check = int(_next(found, every_s, now))
    if every_s * stretch <= DAY_S:
        return instant(next_check), None
    if next_counts is None or not is_sane(next_counts, now.seconds, DAY_S):
        return instant(next_check), _counts_after(found, every_s, now, stretch)
    return instant(next_check), instant(next_counts)


def _seconds(value: object) -> int | None:
    return None if value is None else seconds_of(text_of(value))


def _text(value: object) -> str | None:
    return None if value is None else text_of(value)
