"""Repositories that a namespace lacks: who is asked about them, and when their absence is believed. Rank 3.

What a complete list lacks is suspected (an absence of no pass) and asked for by name in the same pass; only a direct 404 counts,
and a second one in a later pass makes a repository gone. Not so where a third of a namespace's live repositories or more, two at
the least, are missing at once, or the namespace itself answers 404: that is an alarm, told of once, and no fact. Ten are asked
for by name then, and what answers 404 goes only when the alarm has stood in four passes over three days, or its own 404 has been
met in as many over as long. The same holds where the far end misbehaves in this pass: the namespace's list ended with an error or
was refused, or there is a run of 404s while little else is answered.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

from sqlalchemy import Connection

from harvester.clock import instant
from harvester.events import NewEvent
from harvester.store.change_log import append_events
from harvester.store.moment import DAY_S, Moment, text_of
from harvester.store.statements import Statement, select_in

ASKED_AT_ONCE = 100
"""Direct questions that one walk of a namespace may cause; the next pass asks for the rest."""

SAMPLED = 10
"""Direct questions while an alarm stands that has not lasted; also the names that its event gives."""

MOST_MISSING = 3
LEAST_MISSING = 2
"""Where one part in so many of a namespace or more is missing at once, two repositories at the least, it is an alarm."""

LASTED_PASSES = 4
LASTED_S = 3 * DAY_S
"""What has been so in that many passes over that long is believed even so."""

AT_ONCE_S = 30 * DAY_S
"""Absences that were met longer ago are not of now."""

RUN_OF_404S = 10
"""Repositories that answer 404, of whatever namespaces, from which on the far end has to have answered otherwise too."""

LOOKED_BACK = 100
"""Newest walks of lists that are looked at for how the far end does in this pass."""

_MISSING = Statement(
    "namespace since",
    """
    SELECT r.full_name FROM repositories r JOIN absences a ON a.subject = r.full_name
    WHERE r.namespace = :namespace AND r.gone_at IS NULL AND a.last_missing_at >= :since ORDER BY a.passes DESC, r.full_name
    """,
)
_LIVE = Statement("namespace", "SELECT count(*) FROM repositories WHERE namespace = :namespace AND gone_at IS NULL")
_ALL = Statement(
    "namespace",
    "SELECT full_name FROM repositories WHERE namespace = :namespace AND gone_at IS NULL",
)
# Private ones stand on no list without a login.
_NOT_MET = Statement(
    "namespace started_at listing_id is_account",
    """
    SELECT r.full_name FROM repositories r WHERE r.namespace = :namespace AND r.gone_at IS NULL AND r.last_seen_at <= :started_at
        AND (:is_account OR r.is_private IS NOT TRUE)
        AND NOT EXISTS (SELECT 1 FROM listing_names n WHERE n.listing_id = :listing_id AND n.name = r.full_name)
    """,
)
_LISTING = Statement("id", "SELECT is_complete, started_at, rows, refused, stop_reason FROM listings WHERE id = :id")

_SUSPECT = Statement(
    "subject seen",
    """
    INSERT INTO absences (subject, first_missing_at, last_missing_at, passes) VALUES (:subject, :seen, :seen, 0)
    ON CONFLICT (subject) DO UPDATE SET last_missing_at = excluded.last_missing_at WHERE absences.passes = 0
    """,
)
_MET_404 = Statement("subject", "SELECT passes FROM absences WHERE subject = :subject AND passes > 0")

_RAISE = Statement(
    "subject seen",
    """
    INSERT INTO absences (subject, first_missing_at, last_missing_at, passes) VALUES (:subject, :seen, :seen, 1)
    ON CONFLICT (subject) DO NOTHING
    """,
)
_STANDS = Statement(
    "subject seen fresh_after",
    """
    UPDATE absences SET last_missing_at = :seen,
        passes = CASE WHEN last_missing_at < :fresh_after THEN passes + 1 ELSE passes END
    WHERE subject = :subject AND last_missing_at <= :seen
    """,
)
_ALARM = Statement("subject", "SELECT passes, first_missing_at FROM absences WHERE subject = :subject")
_END = Statement("subject", "DELETE FROM absences WHERE subject = :subject")

_LIST_OF_PASS = Statement(
    "namespace fresh_after",
    """
    SELECT stop_reason FROM listings WHERE kind = 'namespace' AND subject = :namespace AND started_at >= :fresh_after
        AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1
    """,
)
_404S = Statement(
    "since",
    """
    SELECT count(*) FROM absences a WHERE a.passes > 0 AND a.last_missing_at >= :since
        AND EXISTS (SELECT 1 FROM repositories r WHERE r.full_name = a.subject AND r.gone_at IS NULL)
    """,
)
_WALKS_OF_PASS = Statement(
    "newest fresh_after",
    """
    SELECT stop_reason, kind, rows FROM listings WHERE id > (SELECT max(id) FROM listings) - :newest AND started_at >= :fresh_after
        AND finished_at IS NOT NULL
    """,
)

_OF_REPOSITORIES = ("namespace", "search")
_REFUSED = ("error", "denied", "throttled")


def after_list(
    connection: Connection, namespace: str, listing_id: int, *, is_account: bool, fresh_after: str, seen: Moment
) -> list[str]:
    """The repositories to ask for by name after a walk of a whole namespace has ended; those that it lacks are suspected.

    `is_account` says that the list was read with a login. A list without any row where some are known is not believed, and
    treated as a namespace that answers 404.
    """
    row = _LISTING.first(connection, (listing_id,))
    assert row is not None
    is_complete, started_at, rows, refused, _ = row
    if not is_complete and (rows or refused):
        return []
    asked = (namespace, text_of(started_at), listing_id, is_account)
    missing = sorted(found[0] for found in _NOT_MET.all(connection, asked))
    return _to_ask(connection, namespace, missing, fresh_after, seen)


def after_404_of(connection: Connection, namespace: str, *, fresh_after: str, seen: Moment) -> list[str]:
    """The repositories to ask for by name after the namespace's own list has answered 404."""
    missing = sorted(row[0] for row in _ALL.all(connection, (namespace,)))
    asked = _to_ask(connection, namespace, missing, fresh_after, seen)
    if not _RAISE.run(connection, (_subject(namespace), seen.text)):
        _STANDS.run(connection, (_subject(namespace), seen.text, fresh_after))
    return asked


def is_believed(
    connection: Connection, namespace: str, passes: int, first_missing_at: object, *, fresh_after: str, seen: Moment
) -> bool:
    """Whether a repository that has answered 404 in that many passes is gone. Raises the alarm where many are missing."""
    is_alarm = _judged(connection, namespace, fresh_after, seen)
    if passes < 2:
        return False
    if _has_lasted(passes, first_missing_at, seen) or _alarm_has_lasted(connection, namespace, seen):
        return True
    return not is_alarm and not _misbehaves(connection, namespace, fresh_after, seen)


def end_alarms(connection: Connection, namespaces: Collection[str], seen: Moment) -> None:
    """End the alarms of those namespaces of which enough is there again."""
    rows = select_in(
        connection, "SELECT subject FROM absences WHERE subject IN ({values})", [_subject(one) for one in namespaces]
    )
    for (subject,) in rows:
        missing, known = _counted(connection, subject[: -len("/*")], seen)
        if not _is_alarm(missing, known):
            _END.run(connection, (subject,))


def _to_ask(connection: Connection, namespace: str, missing: list[str], fresh_after: str, seen: Moment) -> list[str]:
    if not missing:
        return []
    _SUSPECT.many(connection, [(name, seen.text) for name in missing])
    is_alarm = _judged(connection, namespace, fresh_after, seen)
    most = SAMPLED if is_alarm and not _alarm_has_lasted(connection, namespace, seen) else ASKED_AT_ONCE
    if len(missing) > most:
        # What has answered 404 comes first, to be confirmed; the others in another order each time.
        met = {name for name in missing if _MET_404.first(connection, (name,)) is not None}
        missing.sort(key=lambda name: (name not in met, sha256(f"{fresh_after} {name}".encode()).digest()))
    return sorted(missing[:most])


def _judged(connection: Connection, namespace: str, fresh_after: str, seen: Moment) -> bool:
    """Whether so many are missing that it is an alarm; a new one is told of, an old one stands in one pass more."""
    missing, known = _counted(connection, namespace, seen)
    if not _is_alarm(missing, known):
        return False
    subject = _subject(namespace)
    if not _RAISE.run(connection, (subject, seen.text)):
        _STANDS.run(connection, (subject, seen.text, fresh_after))
        return True
    detail = {"namespace": namespace, "missing": len(missing), "known": known, "sample": missing[:SAMPLED]}
    append_events(connection, [NewEvent(kind="namespace.vanishing", detail=detail)], seen)
    return True


def _counted(connection: Connection, namespace: str, seen: Moment) -> tuple[list[str], int]:
    """The live repositories of which an absence was met lately, and how many live ones there are."""
    missing = _MISSING.all(connection, (namespace, instant(seen.seconds - AT_ONCE_S)))
    live = _LIVE.first(connection, (namespace,))
    assert live is not None
    return [row[0] for row in missing], int(live[0])


def _is_alarm(missing: list[str], known: int) -> bool:
    return len(missing) >= LEAST_MISSING and MOST_MISSING * len(missing) >= known


def _alarm_has_lasted(connection: Connection, namespace: str, seen: Moment) -> bool:
    row = _ALARM.first(connection, (_subject(namespace),))
    return row is not None and _has_lasted(int(row[0]), row[1], seen)


def _has_lasted(passes: int, since: object, seen: Moment) -> bool:
    return passes >= LASTED_PASSES and text_of(since) <= instant(seen.seconds - LASTED_S)


def _misbehaves(connection: Connection, namespace: str, fresh_after: str, seen: Moment) -> bool:
    """Whether the far end shows in this pass that its 404s need not be true."""
    of_list = _LIST_OF_PASS.first(connection, (namespace, fresh_after))
    if of_list is not None and of_list[0] in _REFUSED:
        return True
    found = _404S.first(connection, (instant(seen.seconds - AT_ONCE_S),))
    assert found is not None
    number = int(found[0])
    if number < RUN_OF_404S:
        return False
    walks = _WALKS_OF_PASS.all(connection, (LOOKED_BACK, fresh_after))
    answered = sum(rows if kind in _OF_REPOSITORIES else 1 for end, kind, rows in walks if end not in _REFUSED)
    return answered < min(LOOKED_BACK // 2, (MOST_MISSING - 1) * number)


def _subject(namespace: str) -> str:
    return f"{namespace}/*"
