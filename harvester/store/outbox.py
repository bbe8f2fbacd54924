"""The outbox: which events wait for which receiver, and what became of them. Rank 3.

What passes a receiver's filters stands here before anything is sent, and stays until the receiver has it or never will. Within one
subject only the oldest waiting event is due, so the order per tag holds and a retry holds up nothing but its own subject. Who sends
takes the row first, for as long as a lease: two processes send it once, and after a kill it is sent again. `attempt` counts these
takings and tells whose the row is.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from harvester.clock import instant
from harvester.events import Event
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Row, Statement

LEASE_S = 60
"""Longer than one sending takes."""

DELAYS_S = (30, 120, 600, 1800, 3600)
"""Seconds from one try to the next; the last one from then on."""

GIVE_UP_S = 3 * 86_400
LEAST_TRIES = 6
"""A receiver that fails for so long after the event, and so many times, is not told of it any more."""

GAP_S = 600
"""No transaction that appends events is under way for longer."""

ENROLLED_AT_ONCE = 1000

Wants = Callable[[Event], bool]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one receiver."""

    id: int
    event: Event
    attempt: int
    """How many times it was taken to be sent."""

    def gives_up(self, now: Moment) -> bool:
        """Whether the receiver has failed for long enough, should it fail now."""
        return self.attempt >= LEAST_TRIES and self.event.observed_at < instant(now.seconds - GIVE_UP_S)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a receiver stands."""

    notifier: str
    waiting: int
    dead: int
    next_try: str | None
    """When the next one of those that wait may be sent."""
    last_error: str | None
    """Of those that wait or are dead, the newest one's that failed."""


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """An event that a receiver never took."""

    id: int
    notifier: str
    event_id: int
    subject: str
    attempt: int
    last_error: str | None
    finished_at: str


_EVENT = "e.id, e.kind, e.rank, e.observed_at, e.happened_at, r.full_name, t.name, e.detail"
_NAMED = """
    LEFT JOIN tags t ON t.id = e.tag_id LEFT JOIN repositories r ON r.id = coalesce(e.repository_id, t.repository_id)
"""

_NEWEST = Statement("", "SELECT coalesce(max(id), 0) FROM events")
_BEGIN = Statement(
    "name newest now uuid",
    """
    INSERT INTO notifiers (name, last_event_id, enrolled_at, uuid) VALUES (:name, :newest, :now, :uuid)
    ON CONFLICT (name) DO NOTHING
    """,
)
_NOTIFIER = Statement("name", "SELECT last_event_id, enrolled_at, uuid FROM notifiers WHERE name = :name")
_NEW = Statement("after most", f"SELECT {_EVENT} FROM events e {_NAMED} WHERE e.id > :after ORDER BY e.id LIMIT :most")
_ENROL = Statement(
    "notifier event_id subject now",
    """
    INSERT INTO deliveries (notifier, event_id, subject, state, run_at) VALUES (:notifier, :event_id, :subject, 'waiting', :now)
    ON CONFLICT (notifier, event_id) DO NOTHING
    """,
)
_MOVE = Statement(
    "name last", "UPDATE notifiers SET last_event_id = :last WHERE name = :name AND last_event_id < :last"
)

# The oldest of each subject, by an index of those that wait and nothing else. What was never tried is due, whatever the clock says
# now: it may have been set back.
_DUE = Statement(
    "notifier now most",
    f"""
    SELECT d.id, d.attempt, {_EVENT}
    FROM (SELECT subject, min(event_id) AS event_id FROM deliveries WHERE notifier = :notifier AND state = 'waiting'
        GROUP BY subject) o
    JOIN deliveries d ON d.notifier = :notifier AND d.event_id = o.event_id
    JOIN events e ON e.id = d.event_id {_NAMED}
    WHERE (d.run_at <= :now OR d.attempt = 0) ORDER BY d.event_id LIMIT :most
    """,
)
_TAKE = Statement(
    "id attempt now lease",
    """
    UPDATE deliveries SET attempt = attempt + 1, run_at = :lease
    WHERE id = :id AND state = 'waiting' AND attempt = :attempt AND (run_at <= :now OR attempt = 0)
    """,
)
# Whoever holds the row by now: the receiver has it.
_DELIVERED = Statement(
    "id now",
    "UPDATE deliveries SET state = 'done', finished_at = :now, last_error = NULL WHERE id = :id AND state = 'waiting'",
)
_DELIVERED_UP_TO = Statement(
    "notifier last now",
    """
    UPDATE deliveries SET state = 'done', finished_at = :now, last_error = NULL
    WHERE notifier = :notifier AND state <> 'done' AND event_id <= :last
    """,
)
_MINE = "WHERE id = :id AND state = 'waiting' AND attempt = :attempt"
_PUT_OFF = Statement("id attempt run_at error", f"UPDATE deliveries SET run_at = :run_at, last_error = :error {_MINE}")
_GIVE_BACK = Statement("id attempt now", f"UPDATE deliveries SET attempt = attempt - 1, run_at = :now {_MINE}")
_DEAD = Statement(
    "id attempt now error", f"UPDATE deliveries SET state = 'dead', finished_at = :now, last_error = :error {_MINE}"
)
_REVIVE = Statement(
    "notifier now",
    """
    UPDATE deliveries SET state = 'waiting', finished_at = NULL, attempt = 0, run_at = :now
    WHERE notifier = :notifier AND state = 'dead'
    """,
)
_LATEST = Statement(
    "last before most",
    f"SELECT {_EVENT} FROM events e {_NAMED} WHERE e.id <= :last AND e.id < :before ORDER BY e.id DESC LIMIT :most",
)
_STANDING = Statement(
    "",
    """
    SELECT notifier, sum(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), sum(CASE WHEN state = 'dead' THEN 1 ELSE 0 END),
        min(CASE WHEN state = 'waiting' THEN run_at END), max(CASE WHEN last_error IS NOT NULL THEN id END)
    FROM deliveries WHERE state <> 'done' GROUP BY notifier ORDER BY notifier
    """,
)
_ERROR = Statement("id", "SELECT last_error FROM deliveries WHERE id = :id")
_DEAD_ROWS = Statement(
    "most",
    """
    SELECT id, notifier, event_id, subject, attempt, last_error, finished_at FROM deliveries WHERE state = 'dead'
    ORDER BY id DESC LIMIT :most
    """,
)


def enrol(connection: Connection, notifier: str, wants: Wants, now: Moment) -> int:
    """Put new events that the receiver wants into the outbox, and note how far it was looked; how many were looked at.

    A receiver that is new begins with the events from now on. Zero: there is nothing more to look at yet.
    """
    row = _NOTIFIER.first(connection, (notifier,))
    if row is None:
        [[newest]] = _NEWEST.all(connection)
        _BEGIN.run(connection, (notifier, newest, now.text, uuid.uuid4().hex))
        return 0
    fresh = _settled(int(row[0]), [_event(one) for one in _NEW.all(connection, (row[0], ENROLLED_AT_ONCE))], now)
    if not fresh:
        return 0
    _ENROL.many(connection, [(notifier, one.id, one.subject, now.text) for one in fresh if wants(one)])
    _MOVE.run(connection, (notifier, fresh[-1].id))
    return len(fresh)


def due(connection: Connection, notifier: str, now: Moment, most: int) -> list[Delivery]:
    """What may be sent now, oldest first: of each subject the oldest that waits, where its time has come."""
    return [Delivery(row[0], _event(row[2:]), row[1]) for row in _DUE.all(connection, (notifier, now.text, most))]


def take(connection: Connection, delivery: Delivery, now: Moment) -> Delivery | None:
    """The same, taken to be sent until the lease ends; null where somebody else was faster."""
    lease = instant(now.seconds + LEASE_S)
    if not _TAKE.run(connection, (delivery.id, delivery.attempt, now.text, lease)):
        return None
    return Delivery(delivery.id, delivery.event, delivery.attempt + 1)


def delivered(connection: Connection, delivery: Delivery, now: Moment) -> None:
    """The receiver has it."""
    _DELIVERED.run(connection, (delivery.id, now.text))


def delivered_up_to(connection: Connection, notifier: str, last: int, now: Moment) -> int:
    """The receiver has all events up to that one, those that were dead too; how many they were."""
    return _DELIVERED_UP_TO.run(connection, (notifier, last, now.text))


def put_off(connection: Connection, delivery: Delivery, now: Moment, error: str, *, least_s: float = 0.0) -> None:
    """Send it again after the delay of this attempt, `least_s` at the least."""
    delay = max(DELAYS_S[min(delivery.attempt, len(DELAYS_S)) - 1], int(least_s))
    _PUT_OFF.run(connection, (delivery.id, delivery.attempt, instant(now.seconds + delay), error))


def give_back(connection: Connection, delivery: Delivery, now: Moment) -> None:
    """It was taken and not sent: as if it had never been taken."""
    _GIVE_BACK.run(connection, (delivery.id, delivery.attempt, now.text))


def dead(connection: Connection, delivery: Delivery, now: Moment, error: str) -> None:
    """The receiver will never take it; what waits behind it goes on."""
    _DEAD.run(connection, (delivery.id, delivery.attempt, now.text, error))


def revive(connection: Connection, notifier: str, now: Moment) -> int:
    """Put what is dead back, as if it had never been tried; how many they were."""
    return _REVIVE.run(connection, (notifier, now.text))


def latest(connection: Connection, notifier: str, wants: Wants, *, most: int, looked_at: int) -> list[Event]:
    """The newest events that the receiver wants, newest first, as far as it was enrolled; older ones than it are among them."""
    row = _NOTIFIER.first(connection, (notifier,))
    if row is None:
        return []
    found: list[Event] = []
    last = before = int(row[0])
    before += 1
    while len(found) < most and looked_at > 0:
        part = [_event(one) for one in _LATEST.all(connection, (last, before, min(looked_at, ENROLLED_AT_ONCE)))]
        if not part:
            break
        found += [one for one in part if wants(one)]
        before = part[-1].id
        looked_at -= len(part)
    return found[:most]


def enrolled(connection: Connection, notifier: str) -> tuple[int, str, str]:
    """Up to which event the receiver was enrolled, since when it is known, and its random id."""
    row = _NOTIFIER.first(connection, (notifier,))
    assert row is not None, f"{notifier} was not enrolled"
    return int(row[0]), text_of(row[1]), row[2]


def standing(connection: Connection) -> list[Standing]:
    """Every receiver for which something waits or is dead, by name."""
    found = []
    for notifier, waiting, lost, run_at, failed in _STANDING.all(connection):
        error = None if failed is None else _ERROR.all(connection, (failed,))[0][0]
        found.append(Standing(notifier, int(waiting), int(lost), None if run_at is None else text_of(run_at), error))
    return found


def dead_deliveries(connection: Connection, most: int) -> list[DeadDelivery]:
    """What receivers never took, newest first."""
    return [DeadDelivery(*(*row[:-1], text_of(row[-1]))) for row in _DEAD_ROWS.all(connection, (most,))]


def _settled(last: int, events: Sequence[Event], now: Moment) -> list[Event]:
    """Those before the first id that is missing and may still come.

    On PostgreSQL ids are given out before their transactions are committed, so a later one may be seen first; a cursor that went
    past it would lose the other. What is missing is waited for, until no transaction can be under way that has it: then it was
    rolled back. SQLite, where one transaction writes at a time and takes its ids back with it, has no such gaps.
    """
    recent = instant(now.seconds - GAP_S)
    sure: list[Event] = []
    for one in events:
        if one.id != last + 1 and one.observed_at > recent:
            break
        sure.append(one)
        last = one.id
    return sure


def _event(row: Row) -> Event:
    number, kind, rank, observed_at, happened_at, full_name, tag, detail = row
    return Event(
        id=number,
        kind=kind,
        rank=rank,
        observed_at=text_of(observed_at),
        happened_at=None if happened_at is None else text_of(happened_at),
        repository=full_name,
        tag=tag,
        detail=json.loads(detail),
    )
