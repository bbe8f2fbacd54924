"""Which repositories are watched, how often they were seen to change, and when each is looked at next. Rank 3.

All of them are read at once, by a connection that only reads; what is to be written comes back as steps, each short enough for a
transaction of the writer between others. A step that finds a row changed meanwhile leaves it: the next reading sees it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp, sqrt
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection

from harvester import cadence
from harvester.cadence import Habit, Source
from harvester.clock import instant, seconds_of
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.statements import Row, Statement
from harvester.targets import Target, parse_target

Step = Callable[[Connection], int]
"""A part of what is to be written, for one transaction; the number of rows touched."""

Part = TypeVar("Part")

PART = 500
"""Rows of one step."""

SPENT = 0.9
"""The part of the Hub's budget that the service plans with; the rest is for what nobody foresaw."""

FURTHEST = 3
"""No look is due this many intervals ahead, the pass that may take its turn and the jitter included: a clock was wrong."""

MOVED_PART = 0.1
"""An interval that changes by no more than this part of it stays as it is."""


class InForce(NamedTuple):
    """A watch of the configuration that is in force."""

    id: int
    target: Target
    has_layers: bool
    every_s: int
    fastest_s: int
    place: int
    next_check_at: float | None
    has_counts: bool
    """Whether pull counts are asked for between its passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replanned:
    """How the budget is shared out; requests of the Hub's budget per second."""

    demand_per_s: float
    """Of the passes, at the configured `every`."""
    capacity_per_s: float
    looks_per_s: float
    """Requests of the looks between passes."""
    stretch: float
    """By how much every `every` is longer than configured."""
    repositories: int
    between: int
    """Repositories that are looked at between passes."""
    looks_per_day: float
    """Looks between passes, all together."""
    shortest_s: int | None
    """The shortest interval; null: nothing is watched."""
    steps: tuple[Step, ...]


_WATCHES = Statement(
    "",
    """
    SELECT id, target, layers, every_s, fastest_s, place, next_check_at, next_counts_at FROM watches
    WHERE ended_at IS NULL ORDER BY id
    """,
)
# The order of the joins is given: few watches, and of each what it covers by an index.
_OF_REPOSITORIES = Statement(
    "",
    """
    SELECT w.id, r.id FROM watches w CROSS JOIN repositories r
    WHERE w.ended_at IS NULL AND r.full_name = w.target AND r.gone_at IS NULL
    """,
)
_OF_NAMESPACE = Statement("namespace", "SELECT id FROM repositories WHERE namespace = :namespace AND gone_at IS NULL")
# Names are kept of the newest walk only; while one is open, or when it failed, it has met a part of them.
_LAST_WALK = Statement(
    "query",
    """
    SELECT max(id), max(CASE WHEN stop_reason IN ('end', 'wall') THEN id END) FROM listings
    WHERE kind = 'search' AND subject = :query
    """,
)
_OF_SEARCH = Statement(
    "query first",
    """
    SELECT r.id FROM listings l CROSS JOIN listing_names n CROSS JOIN repositories r
    WHERE l.kind = 'search' AND l.subject = :query AND l.id >= :first AND n.listing_id = l.id AND r.full_name = n.name
        AND r.gone_at IS NULL
    """,
)
_COVERED = Statement(
    "",
    """
    SELECT c.repository_id, c.watch_id, r.gone_at IS NULL FROM cadences c JOIN repositories r ON r.id = c.repository_id
    """,
)
_LEFT_OVER = Statement(
    "",
    """
    SELECT id FROM repositories r WHERE next_check_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM cadences c WHERE c.repository_id = r.id)
    """,
)
_COVER = Statement(
    "watch_id repository_id",
    """
    INSERT INTO cadences (repository_id, watch_id, interval_s, checks, changes, observed_s)
    SELECT r.id, w.id, w.every_s, 0, 0, 0 FROM repositories r CROSS JOIN watches w
    WHERE w.id = :watch_id AND r.id = :repository_id
    ON CONFLICT (repository_id) DO UPDATE SET watch_id = excluded.watch_id
    """,
)
_UNCOVER = Statement("repository_id", "DELETE FROM cadences WHERE repository_id = :repository_id")
_NO_LOOK = Statement(
    "repository_id",
    "UPDATE repositories SET next_check_at = NULL WHERE id = :repository_id AND next_check_at IS NOT NULL",
)

_LOOKED_AT = Statement(
    "",
    """
    SELECT c.repository_id, c.watch_id, c.interval_s, c.checks, c.changes, c.observed_s, c.checked_at, c.seen_updated,
        r.looked_at, r.last_updated, r.full_name, r.next_check_at
    FROM cadences c CROSS JOIN repositories r
    WHERE r.id = c.repository_id AND (r.looked_at > c.checked_at OR (c.checked_at IS NULL AND r.looked_at IS NOT NULL))
    """,
)
_NOTE = Statement(
    "checks changes observed_s looked_at updated repository_id",
    """
    UPDATE cadences SET checks = :checks, changes = :changes, observed_s = :observed_s, checked_at = :looked_at,
        seen_updated = :updated
    WHERE repository_id = :repository_id AND (checked_at IS NULL OR checked_at < :looked_at)
    """,
)
_PUT_OFF = Statement(
    "next repository_id",
    "UPDATE repositories SET next_check_at = :next WHERE id = :repository_id AND next_check_at < :next",
)

_ALL = Statement(
    "",
    """
    SELECT c.repository_id, c.watch_id, c.interval_s, c.checks, c.changes, c.observed_s, r.last_updated, r.pull_count,
        r.next_check_at, r.full_name, r.looked_at
    FROM cadences c CROSS JOIN repositories r WHERE r.id = c.repository_id
    """,
)
_SET_INTERVAL = Statement(
    "interval_s repository_id", "UPDATE cadences SET interval_s = :interval_s WHERE repository_id = :repository_id"
)
_SET_DUE = Statement(
    "next repository_id interval_s",
    """
    UPDATE repositories SET next_check_at = :next WHERE id = :repository_id AND EXISTS (SELECT 1 FROM cadences c
        WHERE c.repository_id = :repository_id AND c.interval_s = :interval_s)
    """,
)


def cover(connection: Connection) -> list[Step]:
    """What brings `cadences` up to what the watches in force cover: of several the one with the shortest `every`.

    A namespace covers its live repositories, a search the names of its last whole walk, and as long as a new one has not ended all
    that it covered before. The single tags that are watched are seen by passes alone.
    """
    watches = in_force(connection)
    best: dict[int, int] = {}
    unsettled: set[int] = set()
    alone: defaultdict[int, list[int]] = defaultdict(list)
    for watch_id, repository in _OF_REPOSITORIES.all(connection):
        alone[int(watch_id)].append(int(repository))
    for watch in sorted(watches, key=lambda one: (one.every_s, one.place, one.id)):
        found, is_whole = alone[watch.id], True
        if watch.target.kind == "namespace":
            found = [int(row[0]) for row in _OF_NAMESPACE.all(connection, (watch.target.subject,))]
        elif watch.target.kind == "search":
            found, is_whole = _hits(connection, watch.target.subject)
        if not is_whole:
            unsettled.add(watch.id)
        for repository in found:
            best.setdefault(repository, watch.id)
    added: list[Row] = []
    removed: list[Row] = [(int(row[0]),) for row in _LEFT_OVER.all(connection) if int(row[0]) not in best]
    before = {int(row[0]): (int(row[1]), bool(row[2])) for row in _COVERED.all(connection)}
    for repository, (watch_id, is_there) in before.items():
        if repository not in best and not (watch_id in unsettled and is_there):
            removed.append((repository,))
    for repository, watch_id in best.items():
        if before.get(repository, (None,))[0] != watch_id:
            added.append((watch_id, repository))
    return [
        *(partial(_COVER.many, rows=part) for part in _parts(added)),
        *(partial(_uncover, rows=part) for part in _parts(removed)),
    ]


def observe(connection: Connection, now: Moment) -> list[Step]:
    """What notes the looks since the last reading, and puts off the next one of what was just seen."""
    watches = {one.id: one for one in in_force(connection)}
    notes: list[tuple[Row, Row | None]] = []
    for row in _LOOKED_AT.all(connection):
        repository, watch_id, interval_s, checks, changes, observed_s, checked_at, seen_updated, *seen = row
        looked_at, updated, full_name, next_check_at = seen
        looked, habit = _seconds(looked_at), Habit(checks, changes, observed_s)
        updated_text = None if updated is None else text_of(updated)
        if checked_at is not None:
            has_changed = updated_text != (None if seen_updated is None else text_of(seen_updated))
            age = None if updated is None else looked - _seconds(updated)
            habit = cadence.noted(habit, looked - _seconds(checked_at), has_changed, age)
        off: Row | None = None
        watch = watches.get(int(watch_id))
        if next_check_at is not None and watch is not None and looked <= now.seconds:
            off = (
                instant(cadence.next_look(looked, interval_s, together(watch, full_name), watch.next_check_at)),
                repository,
            )
        notes.append(((*habit, text_of(looked_at), updated_text, repository), off))
    return [partial(_note, notes=part) for part in _parts(notes)]


def replan(connection: Connection, now: Moment, requests_per_s: float) -> Replanned:
    """How often each repository is looked at from now on, when the Hub allows so many requests per second."""
    watches = {one.id: one for one in in_force(connection)}
    sources: list[Source] = []
    rows = [row for row in _ALL.all(connection) if int(row[1]) in watches]
    known = [
        cadence.evidence(Habit(*row[3:6]), None if row[6] is None else now.seconds - _seconds(row[6])) for row in rows
    ]
    usual = cadence.usual(known)
    members: defaultdict[int, list[int]] = defaultdict(list)
    changed: defaultdict[int, float] = defaultdict(float)
    likely: list[float] = []
    for place, (row, own) in enumerate(zip(rows, known, strict=True)):
        watch, rate = watches[int(row[1])], cadence.rate(own, usual)
        # Of an interval that is yet to be found: neither the longest nor the shortest.
        likely.append(1 - exp(-rate * sqrt(watch.fastest_s * watch.every_s)))
        requests = cadence.requests_of_look(likely[place], has_layers=watch.has_layers)
        sources.append(Source(rate, cadence.weight(row[7]), requests, watch.fastest_s, watch.every_s))
        members[watch.id].append(place)
        changed[watch.id] += 1 - exp(-rate * watch.every_s)
    demand = sum(_demand(one, len(members[one.id]), changed[one.id]) for one in watches.values())
    capacity = SPENT * requests_per_s
    looks_per_s = max(0.0, min(demand, capacity - demand))
    units = _units(sources, likely, watches, members, looks_per_s)
    shared = cadence.intervals([unit for unit, _ in units], looks_per_s)
    found = [0] * len(rows)
    for (_, places), interval in zip(units, shared, strict=True):
        for place in places:
            found[place] = interval
    return Replanned(
        demand_per_s=demand,
        capacity_per_s=capacity,
        looks_per_s=cadence.requests_of([unit for unit, _ in units], shared),
        stretch=cadence.stretch(demand, capacity),
        repositories=len(rows),
        between=sum(interval < one.every_s for one, interval in zip(sources, found, strict=True)),
        looks_per_day=DAY_S * cadence.requests_of([unit._replace(requests=1.0) for unit, _ in units], shared),
        shortest_s=min(found, default=None),
        steps=tuple(_planned(rows, sources, found, watches, now)),
    )


def in_force(connection: Connection) -> list[InForce]:
    """The watches that are in force."""
    return [
        InForce(
            id=int(number),
            target=parse_target(target),
            has_layers=layers != "none",
            every_s=int(every_s),
            fastest_s=int(fastest_s),
            place=int(place),
            next_check_at=None if next_check_at is None else _seconds(next_check_at),
            has_counts=next_counts_at is not None,
        )
        for number, target, layers, every_s, fastest_s, place, next_check_at, next_counts_at in _WATCHES.all(connection)
    ]


def together(watch: InForce, full_name: str) -> str:
    """What jitter goes by: repositories that one list shows stay together."""
    return watch.target.subject if watch.target.kind == "namespace" else full_name


def _hits(connection: Connection, query: str) -> tuple[list[int], bool]:
    """What the walks of a search met from its last whole one on, and whether that is the last."""
    row = _LAST_WALK.first(connection, (query,))
    if row is None or row[0] is None:
        return [], False
    last, whole = int(row[0]), None if row[1] is None else int(row[1])
    found = _OF_SEARCH.all(connection, (query, last if whole is None else whole))
    return [int(one[0]) for one in found], whole == last


def _units(
    sources: Sequence[Source],
    likely: Sequence[float],
    watches: dict[int, InForce],
    members: dict[int, list[int]],
    looks_per_s: float,
) -> list[tuple[Source, list[int]]]:
    """What is looked at by itself, with the places of its repositories: one of them, or a namespace by its list."""
    price = cadence.price_of(sources, looks_per_s)
    units: list[tuple[Source, list[int]]] = []
    for watch_id, places in members.items():
        watch, single = watches[watch_id], [sources[place] for place in places]
        if watch.target.kind == "namespace":
            found = sum([likely[place] for place in places])
            requests = cadence.requests_of_pass("namespace", len(places), found, has_layers=watch.has_layers)
            wanted = sum([one.weight * one.rate for one in single])
            by_list = Source(wanted, 1.0, requests, watch.fastest_s, watch.every_s)
            if cadence.is_listed(single, by_list, price):
                units.append((by_list, places))
                continue
        units += [(one, [place]) for one, place in zip(single, places, strict=True)]
    return units


def _demand(watch: InForce, repositories: int, changed: float) -> float:
    kind, has_layers = watch.target.kind, watch.has_layers
    demand = cadence.requests_of_pass(kind, repositories, changed, has_layers=has_layers) / watch.every_s
    if watch.has_counts:
        demand += cadence.requests_of_pass(kind, repositories, 0.0, has_layers=False) / DAY_S
    return demand


def _planned(
    rows: Sequence[Row], sources: Sequence[Source], found: Sequence[int], watches: dict[int, InForce], now: Moment
) -> Iterator[Step]:
    planned: list[tuple[Row, Row | None]] = []
    for row, source, wanted in zip(rows, sources, found, strict=True):
        repository, watch_id, before, _, _, _, _, _, next_check_at, full_name, looked_at = row
        has_moved = abs(wanted - before) > MOVED_PART * before or before > source.every_s
        interval = wanted if has_moved else int(before)
        is_between = interval < source.every_s
        due = None if next_check_at is None else _seconds(next_check_at)
        if is_between:
            is_due_right = due is not None and cadence.is_sane(due, now.seconds, FURTHEST * interval)
        else:
            is_due_right = due is None
        if not has_moved and is_due_right:
            continue
        following: str | None = None
        if is_between:
            watch = watches[int(watch_id)]
            looked = now.seconds if looked_at is None else min(_seconds(looked_at), now.seconds)
            name = together(watch, full_name)
            next_look = cadence.next_look(looked, interval, name, watch.next_check_at)
            # Of many that are overdue by their new interval not all come at once.
            late = now.seconds + cadence.phase(name, interval)
            following = instant(next_look if next_look > now.seconds else late)
        planned.append(((interval, repository), (following, repository, interval)))
    for part in _parts(planned):
        yield partial(_set, planned=part)


def _set(connection: Connection, planned: Sequence[tuple[Row, Row | None]]) -> int:
    _SET_INTERVAL.many(connection, [interval for interval, _ in planned])
    return _SET_DUE.many(connection, [due for _, due in planned if due is not None])


def _note(connection: Connection, notes: Sequence[tuple[Row, Row | None]]) -> int:
    _PUT_OFF.many(connection, [off for _, off in notes if off is not None])
    return _NOTE.many(connection, [note for note, _ in notes])


def _uncover(connection: Connection, rows: Sequence[Row]) -> int:
    _NO_LOOK.many(connection, rows)
    return _UNCOVER.many(connection, rows)


def _parts(rows: Sequence[Part]) -> Iterable[Sequence[Part]]:
    return (rows[start : start + PART] for start in range(0, len(rows), PART))


def _seconds(value: object) -> int:
    return seconds_of(text_of(value))
