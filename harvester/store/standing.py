"""How the work in the database stands, as an operator would look at it. Rank 3. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from harvester.clock import instant, seconds_of
from harvester.findings import Finding
from harvester.store import future, outbox, processes
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.queue import LEASE_S
from harvester.store.statements import Statement

STUCK_S = DAY_S
"""A job that could be asked for so long, or is put off for longer, is told of."""

LATE_S = 3600
"""A watch may be so much behind, or a quarter of its `every`, before that is told of."""

SHORT_CLOSURE_S = 120
"""A budget that opens again so soon is only waited for."""

MOST_REASONS = 5

_DEAD = Statement(
    "most",
    """
    SELECT COALESCE(last_error, 'no reason is known'), count(*) FROM jobs WHERE state = 'dead'
    GROUP BY last_error ORDER BY count(*) DESC, last_error LIMIT :most
    """,
)
_DEAD_COUNT = Statement("", "SELECT count(*) FROM jobs WHERE state = 'dead'")
_LEFT_READY = Statement("since", "SELECT count(*), min(run_at) FROM jobs WHERE state = 'ready' AND run_at < :since")
_PUT_OFF = Statement("until", "SELECT count(*), max(run_at) FROM jobs WHERE state = 'waiting' AND run_at > :until")
_NOT_THERE = Statement(
    "",
    """
    SELECT w.target, min(a.first_missing_at) FROM watches w JOIN absences a ON a.subject = w.target
    WHERE w.ended_at IS NULL AND a.passes > 0
        AND NOT EXISTS (SELECT 1 FROM repositories r WHERE r.namespace = replace(w.target, '/*', '') AND r.gone_at IS NULL)
    GROUP BY w.target ORDER BY w.target
    """,
)
"""Of a namespace with repositories the same row is an alarm, which says that some are missing."""

_LEASES = Statement(
    "now latest",
    "SELECT count(*) FROM jobs WHERE state = 'running' AND (lease_until < :now OR lease_until > :latest)",
)
_CLOSED = Statement(
    "now",
    """
    SELECT budget, route, identity, not_before, closed_reason FROM budgets WHERE budget <> 'credential' AND not_before > :now
    ORDER BY budget, route, identity
    """,
)
_LATE = Statement(
    "now",
    """
    SELECT w.target, w.every_s, w.next_check_at FROM watches w WHERE w.ended_at IS NULL AND w.next_check_at < :now
        AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = w.run_id AND r.finished_at IS NULL)
    ORDER BY w.next_check_at
    """,
)
_UNDER_WAY = Statement(
    "now",
    """
    SELECT w.target, w.every_s, r.started_at FROM watches w JOIN runs r ON r.id = w.run_id
    WHERE w.ended_at IS NULL AND r.finished_at IS NULL AND r.started_at < :now ORDER BY r.started_at
    """,
)
_INCOMPLETE = Statement(
    "", "SELECT stop_reason, count(*), min(subject) FROM v_incomplete GROUP BY stop_reason ORDER BY stop_reason"
)

_WHY = {
    "wall": ("note", "without a login Docker Hub shows no more", "set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN"),
    "known": ("note", "tags are known by name only", "`harvester backfill --holes fill`"),
    "end": ("note", "they ended before their own count", "nothing: the next pass looks again"),
    "denied": ("note", "the far end did not allow it", "look at `harvester status`: what is private needs a login"),
    "throttled": ("warning", "the far end's limits cut them", "`harvester limits`; ask for less at once"),
    "error": ("warning", "a page failed, or rows were refused", "`harvester status` and `harvester jobs` say why"),
}


def at_work(connection: Connection, now: Moment, version: str) -> Iterator[Finding]:
    """Who works on the database."""
    found = processes.at_work(connection, now)
    if not found:
        yield Finding("ok", "processes", "nobody works on the database")
    for one in found:
        if one.version == version:
            yield Finding("ok", "processes", f"{one} is at work since {one.started_at}")
        else:
            yield Finding(
                "warning",
                "processes",
                f"{one} is at work, and this program is {version}",
                "restart it, so that both are of one version",
            )
    if len([one for one in found if one.command == "run"]) > 1:
        yield Finding(
            "warning",
            "processes",
            "more than one daemon works on the database: they share its budgets and do no work twice, but need not be two",
            "stop one of them (`systemctl stop harvester`, or by its pid)",
        )


def stamps(connection: Connection, now: Moment) -> Finding:
    """Whether rows are stamped with the future."""
    found = future.stamped(connection, now)
    if not found:
        return Finding("ok", "clock", "no row is stamped with the future")
    tables = ", ".join(f"{count:,} in {table}" for table, count in found.items())
    return Finding(
        "warning",
        "clock",
        f"rows are stamped with the future, by a clock that was ahead: {tables}; they are not brought up to date till then",
        "see to it that the clock is right now, then start `harvester run`, which moves them back",
    )


def work(connection: Connection, now: Moment) -> Iterator[Finding]:
    """Jobs that failed for good, that nobody asks, that nobody holds."""
    dead = _DEAD_COUNT.all(connection)[0][0]
    if dead:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in _DEAD.all(connection, (MOST_REASONS,)))
        yield Finding(
            "warning",
            "queue",
            f"{dead} jobs failed for good: {reasons}",
            "`harvester jobs list`, then `jobs retry ID...` or `jobs drop ID...`",
        )
    is_any = bool(processes.at_work(connection, now))
    [(left, since)] = _LEFT_READY.all(connection, (instant(now.seconds - STUCK_S),))
    if left:
        yield Finding(
            "warning" if is_any else "note",
            "queue",
            f"{left} jobs could have been asked since {text_of(since)}"
            + ("" if is_any else ", and nobody works on the database"),
            "`harvester limits` shows what holds them back"
            if is_any
            else "the command that began them goes on with them",
        )
    [(off, until)] = _PUT_OFF.all(connection, (instant(now.seconds + STUCK_S + future.SLACK_S),))
    if off:
        yield Finding(
            "warning",
            "queue",
            f"{off} jobs are put off until {text_of(until)}: nothing is put off for so long",
            "see to the clock, then start `harvester run`, which moves them back",
        )
    [(over,)] = _LEASES.all(connection, (now.text, instant(now.seconds + 2 * LEASE_S)))
    if over:
        yield Finding(
            "note",
            "queue",
            f"{over} jobs were being asked by a process that ended without a word",
            "nothing: the next process on the database takes them back",
        )
    if not (dead or left or off or over):
        yield Finding("ok", "queue", "no job failed for good, and none is stuck")


def closed(connection: Connection, now: float) -> Iterator[Finding]:
    """Budgets that let nothing out."""
    for budget, route, identity, until, reason in _CLOSED.all(connection, (now,)):
        left = until - now
        yield Finding(
            "note" if left <= SHORT_CLOSURE_S else "warning",
            "budgets",
            f"{budget} is closed until {instant(until)} ({route}, {identity}): {reason or 'no reason is known'}",
            "nothing: it opens by itself, and what waits for it goes on",
        )


def freshness(connection: Connection, now: Moment) -> Iterator[Finding]:
    """Watches that are behind, and lists that are not complete."""
    late = [(row[0], _behind(row[2], now, row[1] // 4)) for row in _LATE.all(connection, (now.text,))]
    under_way = [(row[0], _behind(row[2], now, 2 * row[1])) for row in _UNDER_WAY.all(connection, (now.text,))]
    daemons = [one for one in processes.at_work(connection, now) if one.command == "run"]
    if overdue := [(target, by) for target, by in late if by]:
        target, by = overdue[0]
        yield Finding(
            "warning",
            "freshness",
            f"{len(overdue)} watches are overdue, {target} by {by / 3600:.1f} h"
            + ("" if daemons else ", and no daemon is at work"),
            "`harvester limits` and `harvester plan`: is it more than the budget allows?"
            if daemons
            else "start `harvester run`",
        )
    if endless := [(target, by) for target, by in under_way if by]:
        target, by = endless[0]
        yield Finding(
            "warning",
            "freshness",
            f"{len(endless)} passes take longer than twice their `every`, that of {target} by {by / 3600:.1f} h",
            "`harvester status` shows what is left; a longer `every` or fewer targets fit the budget",
        )
    for target, since in _NOT_THERE.all(connection):
        yield Finding(
            "warning",
            "watches",
            f"{target} is watched, and the far end has said since {text_of(since)} that it is not there",
            "see to its spelling; it may be gone, or private: then take it out of the configuration",
        )
    for reason, count, subject in _INCOMPLETE.all(connection):
        level, why, remedy = _WHY.get(reason, ("note", "for a reason of its own", "`harvester status`"))
        lists = "1 list is" if count == 1 else f"{count} lists are"
        yield Finding(level, "lists", f"{lists} incomplete ({reason}): {why}; {subject} is one", remedy)  # type: ignore[arg-type]


def receivers(connection: Connection) -> Iterator[Finding]:
    """Receivers of events that do not take them."""
    for one in outbox.standing(connection):
        if one.dead or one.last_error:
            yield Finding(
                "warning",
                "receivers",
                f"{one.notifier}: {one.waiting} events wait, {one.dead} were given up: {one.last_error or 'no reason is known'}",
                f"`harvester notify --test {one.notifier}`; then `harvester notify --retry-dead`",
            )


def refused(connection: Connection, identity: str, now: float) -> float:
    """Seconds for which a credential, named by its hash, is not tried again; 0: it was not refused."""
    row = _REFUSED.first(connection, (identity, now))
    return 0.0 if row is None else float(row[0]) - now


_REFUSED = Statement(
    "identity now",
    "SELECT not_before FROM budgets WHERE budget = 'credential' AND identity = :identity AND not_before > :now",
)


def _behind(at: object, now: Moment, allowed_s: int) -> int:
    """Seconds since then where they are more than what is allowed, and more than an hour; else 0."""
    by = now.seconds - seconds_of(text_of(at))
    return by if by > max(LATE_S, allowed_s) else 0
