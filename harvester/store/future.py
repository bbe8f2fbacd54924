"""Rows that a clock which was far ahead has stamped with the future: found, and moved back. Rank 3.

Such rows stand in the way: what is seen now counts as older than they are and changes nothing. They are moved back by what the
latest of them is ahead, as a clock is: what was told apart stays apart and in its order, no interval of a history is lost, joined
or torn, and nothing comes before what was stamped rightly. When it really was nobody can tell; it is between the last right stamp
and now. All that belongs to one repository moves in one transaction. Dates of the far end's own are never touched, and events
neither: they are append-only, and a receiver may have been told of them as they stand.

A clock that is behind now looks the same. Where the far end's own dates prove that it is, nothing is moved.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from harvester.clock import instant, seconds_of
from harvester.errors import StoreError
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.statements import Statement

SLACK_S = 300
"""Clocks of processes on one database may be so far apart."""

AT_ONCE = 20
"""Repositories, with all that belongs to them, that are moved in one transaction."""

ROWS_AT_ONCE = 5000

LONGEST_S = 365 * DAY_S

BEHIND_S = DAY_S
"""A clock that is so much before a date of the far end's own is behind, whatever the stamps say."""


class _Stamps(NamedTuple):
    """Instants of one table, the ones that are the latest of a row first."""

    table: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    of_repository: str = ""
    """Which rows belong to the repository with the id `:id` and the name `:full_name`; empty: they belong to none."""

    @property
    def is_ahead(self) -> str:
        return " OR ".join(f"{one} > :late" for one in self.columns)


_OF_REPOSITORY = (
    _Stamps(
        "repositories",
        ("id",),
        ("last_seen_at", "gone_at", "first_seen_at", "detailed_at", "tags_walked_at", "looked_at"),
        "id = :id",
    ),
    _Stamps("tags", ("id",), ("last_seen_at", "gone_at", "first_seen_at"), "repository_id = :id"),
    _Stamps(
        "chapters", ("repository_id", "chapter"), ("ended_at", "last_seen_at", "first_seen_at"), "repository_id = :id"
    ),
    _Stamps(
        "listings",
        ("id",),
        ("started_at", "finished_at"),
        "kind IN ('tags', 'tag_names') AND subject = :full_name",
    ),
    _Stamps(
        "absences",
        ("subject",),
        ("last_missing_at", "first_missing_at"),
        "subject = :full_name OR (subject > :full_name || ':' AND subject < :full_name || ';')",
    ),
    _Stamps("cadences", ("repository_id",), ("checked_at",), "repository_id = :id"),
)
_ALONE = (
    _Stamps("runs", ("id",), ("pass_began_at", "started_at", "finished_at")),
    _Stamps("jobs", ("id",), ("fresh_after", "created_at", "finished_at")),
    _Stamps("listings", ("id",), ("started_at", "finished_at")),
    _Stamps("absences", ("subject",), ("last_missing_at", "first_missing_at")),
    _Stamps("walls", ("kind", "identity"), ("learned_at",)),
    _Stamps("layers", ("id",), ("first_seen_at",)),
    _Stamps("harvested_digests", ("digest",), ("harvested_at",)),
    _Stamps("deliveries", ("id",), ("finished_at",)),
    _Stamps("watches", ("id",), ("since", "ended_at")),
)
_INTEGERS = (
    _Stamps("tag_history", ("tag_id", "seen_from"), ("seen_from", "seen_until", "last_seen")),
    _Stamps("pull_history", ("repository_id", "observed_at"), ("observed_at",)),
)

_TOLD = (*_OF_REPOSITORY[:5], _ALONE[0], *_INTEGERS)

_COUNTS = {one: Statement("late", f"SELECT count(*) FROM {one.table} WHERE {one.is_ahead}") for one in _TOLD}
_LATEST = {
    one: [Statement("", f"SELECT max({column}) FROM {one.table}") for column in one.columns]
    for one in (*_OF_REPOSITORY, *_ALONE, *_INTEGERS)
}

# What lies after all that was ever stamped here is a mistake of the far end's, and proves nothing.
_FAR_DATES = [
    Statement("latest", f"SELECT max({column}) FROM {table} WHERE {column} <= :latest")
    for table, columns in (
        ("repositories", ("last_updated",)),
        ("tags", ("last_updated", "last_pushed", "last_pulled")),
    )
    for column in columns
]

_REPOSITORIES = Statement(
    "late late_s",
    f"""
    SELECT id, full_name FROM repositories WHERE {_OF_REPOSITORY[0].is_ahead}
        OR id IN (SELECT repository_id FROM tags WHERE {_OF_REPOSITORY[1].is_ahead})
        OR id IN (SELECT repository_id FROM chapters WHERE {_OF_REPOSITORY[2].is_ahead})
        OR full_name IN (SELECT subject FROM listings WHERE kind IN ('tags', 'tag_names') AND ({_OF_REPOSITORY[3].is_ahead}))
        OR id IN (SELECT repository_id FROM cadences WHERE {_OF_REPOSITORY[5].is_ahead})
        OR id IN (SELECT repository_id FROM pull_history WHERE observed_at > :late_s)
        OR id IN (SELECT t.repository_id FROM tags t JOIN tag_history h ON h.tag_id = t.id
            WHERE h.seen_from > :late_s OR h.seen_until > :late_s OR h.last_seen > :late_s)
    ORDER BY id
    """,
)


def _read(one: _Stamps) -> Statement:
    columns = ", ".join((*one.keys, *one.columns))
    needed = [name for name in ("id", "full_name") if f":{name}" in one.of_repository]
    return Statement(" ".join(needed), f"SELECT {columns} FROM {one.table} WHERE {one.of_repository}")


def _write(one: _Stamps) -> Statement:
    new = ", ".join(f"{column} = :{column}" for column in one.columns)
    keys = " AND ".join(f"{key} = :{key}" for key in one.keys)
    return Statement(" ".join((*one.columns, *one.keys)), f"UPDATE {one.table} SET {new} WHERE {keys}")


_READ = {one: _read(one) for one in _OF_REPOSITORY}
_READ_ALONE = {
    one: Statement(
        "late most",
        f"SELECT {', '.join((*one.keys, *one.columns))} FROM {one.table} WHERE {one.is_ahead} LIMIT :most",
    )
    for one in _ALONE
}
_WRITE = {one: _write(one) for one in (*_OF_REPOSITORY, *_ALONE)}

_INTERVALS = Statement(
    "id",
    """
    SELECT tag_id, seen_from, seen_until, last_seen, pushes FROM tag_history
    WHERE tag_id IN (SELECT id FROM tags WHERE repository_id = :id) ORDER BY tag_id, seen_from
    """,
)
_MOVE_INTERVAL = Statement(
    "seen_from seen_until last_seen pushes tag_id before",
    """
    UPDATE tag_history SET seen_from = :seen_from, seen_until = :seen_until, last_seen = :last_seen, pushes = :pushes
    WHERE tag_id = :tag_id AND seen_from = :before
    """,
)
_PULLS = Statement("id", "SELECT observed_at FROM pull_history WHERE repository_id = :id ORDER BY observed_at")
_MOVE_PULL = Statement(
    "observed_at id before",
    "UPDATE pull_history SET observed_at = :observed_at WHERE repository_id = :id AND observed_at = :before",
)

# Due dates lie in the future by their nature: too far is what no cadence and no refusal makes.
_DUE = Statement(
    "late",
    """
    SELECT r.id, r.next_check_at, w.every_s FROM repositories r LEFT JOIN cadences c ON c.repository_id = r.id
    LEFT JOIN watches w ON w.id = c.watch_id WHERE r.next_check_at > :late
    """,
)
_SET_DUE = Statement("now id", "UPDATE repositories SET next_check_at = :now WHERE id = :id")
_PUT_OFF = Statement("now far", "UPDATE jobs SET run_at = :now WHERE state IN ('waiting', 'ready') AND run_at > :far")
_DELIVER = Statement("now far", "UPDATE deliveries SET run_at = :now WHERE state = 'waiting' AND run_at > :far")
_REBASE = Statement(
    "now late",
    """
    UPDATE budgets SET window_ends_at = window_ends_at - (seen_at - :now), next_at = next_at - (seen_at - :now),
        not_before = not_before - (seen_at - :now), seen_at = :now
    WHERE seen_at > :late
    """,
)


class ClockBehind(StoreError):
    """The clock is behind now, by the far end's own dates."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is stamped with the future, and how it is moved."""

    now: Moment
    by_s: int
    """The latest stamp is so much ahead: all of them move by that."""
    repositories: tuple[tuple[int, str], ...]
    """Ids and names of those to which any of it belongs."""

    @property
    def parts(self) -> Iterable[tuple[tuple[int, str], ...]]:
        """The repositories as they are moved together."""
        for start in range(0, len(self.repositories), AT_ONCE):
            yield self.repositories[start : start + AT_ONCE]

    @property
    def late(self) -> str:
        """What is stamped later than that is stamped with the future."""
        return instant(self.now.seconds + SLACK_S)


def stamped(connection: Connection, now: Moment) -> dict[str, int]:
    """Rows stamped later than now, by more than clocks may be apart; by table, none where there are none."""
    late = now.seconds + SLACK_S
    found = {
        one.table: int(count.all(connection, (late if one in _INTEGERS else instant(late),))[0][0])
        for one, count in _COUNTS.items()
    }
    return {table: count for table, count in found.items() if count}


def ahead(connection: Connection, now: Moment) -> Ahead | None:
    """What has to be moved back; null: nothing is stamped with the future.

    Raises `ClockBehind` where it is the clock that is wrong now: to move what it was right for would destroy it.
    """
    late = now.seconds + SLACK_S
    latest = max(
        (_seconds(row[0]) for found in _LATEST.values() for one in found for row in one.all(connection) if row[0]),
        default=0,
    )
    if latest <= late:
        return None
    far = max(
        (_seconds(row[0]) for one in _FAR_DATES for row in one.all(connection, (instant(latest),)) if row[0]), default=0
    )
    if far > now.seconds + BEHIND_S:
        raise ClockBehind(
            f"the clock says {now.text}, and Docker Hub has dated something {instant(far)}: the clock is behind by"
            f" {(far - now.seconds) // DAY_S} days or more"
        )
    rows = _REPOSITORIES.all(connection, (instant(late), late))
    return Ahead(now, latest - now.seconds, tuple((int(row[0]), str(row[1])) for row in rows))


def move_back(connection: Connection, found: Ahead, repositories: Iterable[tuple[int, str]]) -> Counter[str]:
    """Move what belongs to these repositories; rows by table."""
    moved: Counter[str] = Counter()
    for repository_id, full_name in repositories:
        moved.update(_move(connection, found, repository_id, full_name))
    return moved


def move_rest(connection: Connection, found: Ahead, *, stretch: float = 1.0) -> Counter[str]:
    """Move what belongs to no repository, some thousand rows of each table; rows by table. Again, until there are none.

    `stretch` is the factor by which looks are further apart than configured.
    """
    now, moved = found.now, Counter[str]()
    for one in _ALONE:
        changes = []
        for row in _READ_ALONE[one].all(connection, (found.late, ROWS_AT_ONCE)):
            keys, stamps = row[: len(one.keys)], row[len(one.keys) :]
            changes.append((*(_shifted(stamp, found) for stamp in stamps), *keys))
        moved[one.table] += _WRITE[one].many(connection, changes)
    far = instant(now.seconds + DAY_S + SLACK_S)
    moved["jobs"] += _PUT_OFF.run(connection, (now.text, far))
    moved["deliveries"] += _DELIVER.run(connection, (now.text, far))
    moved["budgets"] += _REBASE.run(connection, (float(now.seconds), float(now.seconds + SLACK_S)))
    due = [
        (now.text, row[0])
        for row in _DUE.all(connection, (found.late,))
        if _seconds(row[1]) > now.seconds + SLACK_S + stretch * (row[2] or LONGEST_S)
    ]
    moved["repositories"] += _SET_DUE.many(connection, due)
    return +moved


def _move(connection: Connection, found: Ahead, repository_id: int, full_name: str) -> Counter[str]:
    named = {"id": repository_id, "full_name": full_name}
    texts = {}
    for one in _OF_REPOSITORY:
        needed = tuple(named[name] for name in ("id", "full_name") if f":{name}" in one.of_repository)
        texts[one] = _READ[one].all(connection, needed)
    chain = [(*row[:4], json.loads(row[4]) if row[4] else None) for row in _INTERVALS.all(connection, (repository_id,))]
    pulls = [int(row[0]) for row in _PULLS.all(connection, (repository_id,))]
    stamps = {_seconds(cell) for one, rows in texts.items() for row in rows for cell in row[len(one.keys) :] if cell}
    stamps |= {cell for row in chain for cell in row[1:4] if cell is not None}
    stamps |= {cell for row in chain for push in row[4] or () for cell in push[:2] if cell is not None}
    new = _moves(stamps | set(pulls), found)
    moved: Counter[str] = Counter()
    for one, rows in texts.items():
        changes = []
        for row in rows:
            keys, cells = row[: len(one.keys)], row[len(one.keys) :]
            if any(cell and _seconds(cell) in new for cell in cells):
                changes.append((*(_moved(cell, new) for cell in cells), *keys))
        moved[one.table] += _WRITE[one].many(connection, changes)
    # In the order of time, and only ever to an earlier one: none takes the place of one that has not moved yet.
    intervals = [
        (*(new.get(cell, cell) for cell in row[1:4]), _pushes(row[4], new), row[0], row[1])
        for row in chain
        if not new.keys().isdisjoint([*row[1:4], *(cell for push in row[4] or () for cell in push[:2])])
    ]
    moved["tag_history"] += _MOVE_INTERVAL.many(connection, intervals)
    moved["pull_history"] += _MOVE_PULL.many(connection, [(new[at], repository_id, at) for at in pulls if at in new])
    return +moved


def _moves(stamps: set[int], found: Ahead) -> dict[int, int]:
    """The new one of each stamp of the future: all by the same, in their order, apart, and after every one that is right."""
    late = found.now.seconds + SLACK_S
    last = max((one for one in stamps if one <= late), default=0)
    new: dict[int, int] = {}
    for one in sorted(one for one in stamps if one > late):
        last = new[one] = max(one - found.by_s, last + 1)
    return new


def _moved(cell: Any, new: Mapping[int, int]) -> str | None:
    if not cell:
        return None
    seconds = _seconds(cell)
    return instant(new.get(seconds, seconds))


def _pushes(pushes: list[list[Any]] | None, new: Mapping[int, int]) -> str | None:
    if pushes is None:
        return None
    moved = [[new.get(first, first), new.get(last, last), *others] for first, last, *others in pushes]
    return json.dumps(moved, separators=(",", ":"))


def _shifted(cell: Any, found: Ahead) -> str | None:
    if not cell:
        return None
    seconds = _seconds(cell)
    if seconds <= found.now.seconds + SLACK_S:
        return text_of(cell)
    # Of several clocks that were ahead, one by less than the other, nothing goes further back than a day.
    return instant(max(seconds - found.by_s, found.now.seconds - DAY_S))


def _seconds(cell: Any) -> int:
    return cell if isinstance(cell, int) else seconds_of(text_of(cell))
