"""How the service stands: what is watched and how far behind it is, and the work of which the rows are gone. Rank 3. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from harvester.clock import instant, seconds_of
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.processes import at_work
from harvester.store.statements import Statement

PRUNED_DAYS = 7

_OF_WATCHES = Statement(
    "now",
    """
    SELECT count(*), COALESCE(sum(CASE WHEN w.next_check_at <= :now AND r.id IS NULL THEN 1 ELSE 0 END), 0), count(r.id),
        min(CASE WHEN r.id IS NULL THEN w.next_check_at END)
    FROM watches w LEFT JOIN runs r ON r.id = w.run_id AND r.finished_at IS NULL WHERE w.ended_at IS NULL
    """,
)
_NEXT_LOOK = Statement("", "SELECT min(next_check_at) FROM repositories WHERE next_check_at IS NOT NULL")
_WATCHES = Statement(
    "most",
    """
    SELECT w.target, w.tags, w.layers, w.every_s, w.next_check_at, r.started_at, r.finished_at
    FROM watches w LEFT JOIN runs r ON r.id = w.run_id WHERE w.ended_at IS NULL
    ORDER BY w.next_check_at NULLS FIRST, w.id LIMIT :most
    """,
)
_PRUNED = Statement(
    "since",
    """
    SELECT kind, sum(CASE WHEN state = 'done' THEN jobs ELSE 0 END), sum(CASE WHEN state = 'dead' THEN jobs ELSE 0 END),
        sum(attempts) FROM work_days WHERE day >= :since GROUP BY kind ORDER BY kind
    """,
)


@dataclass(frozen=True, slots=True)
class Freshness:
    """All watches in few numbers."""

    in_force: int
    due: int
    """Their pass could begin now and has not."""
    under_way: int
    """Their pass has begun and is not over."""
    lag_s: int
    """How long the pass of a watch, or the look at a repository, that is the most overdue has been due."""
    stretch: float | None
    """By how much a daemon at work makes all passes later than configured, the budget being too small; null: none does."""


@dataclass(frozen=True, slots=True)
class WatchState:
    """One watch in force."""

    target: str
    tags: str
    layers: str
    every_s: int
    next_check_at: str | None
    overdue_s: int
    """0 while its pass is under way or not due."""
    pass_began_at: str | None
    pass_finished_at: str | None
    """Of the last pass; null while it is under way, or where there was none."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """Jobs of one kind of which only the count is left."""

    kind: str
    done: int
    dead: int
    attempts: int


def freshness(connection: Connection, now: Moment) -> Freshness:
    """How far behind the watches are."""
    [(in_force, due, under_way, next_pass)] = _OF_WATCHES.all(connection, (now.text,))
    [(next_look,)] = _NEXT_LOOK.all(connection)
    lag = max((_since(at, now) for at in (next_pass, next_look)), default=0)
    stretch = max((one.stretch for one in at_work(connection, now)), default=1.0)
    return Freshness(int(in_force), int(due), int(under_way), lag, stretch if stretch > 1 else None)


def watches(connection: Connection, now: Moment, most: int) -> list[WatchState]:
    """The watches in force, those first that are due first."""
    found = []
    for target, tags, layers, every_s, next_check, began, finished in _WATCHES.all(connection, (most,)):
        is_under_way = began is not None and finished is None
        overdue = 0 if is_under_way else _since(next_check, now)
        dates = (_text(next_check), overdue, _text(began), _text(finished))
        found.append(WatchState(target, tags, layers, every_s, *dates))
    return found


def pruned(connection: Connection, now: Moment) -> list[Pruned]:
    """Jobs of the last week of which the rows are gone, by kind."""
    since = instant(now.seconds - PRUNED_DAYS * DAY_S)[:10]
    return [Pruned(row[0], *(int(cell) for cell in row[1:])) for row in _PRUNED.all(connection, (since,))]


def _since(at: object, now: Moment) -> int:
    return 0 if at is None else max(0, now.seconds - seconds_of(text_of(at)))


def _text(at: object) -> str | None:
    return None if at is None else text_of(at)
