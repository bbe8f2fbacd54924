"""What the log of events says against what is stored and was shown: each change once, and nothing without a change.

Stored intervals are held against the script by `judge`; here the events are held against them, and against the rows that arrived.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.trials.judge import Difference, Judge, Row
from tests.trials.observed import Shown
from tests.trials.scripted_world import Presence

LENIENT = ("drift", "listing.cut_short", "pulls.anomalous", "namespace.vanishing")
"""Kinds that are about the far end's behaviour: they are counted and not judged."""

JUMP = 2
"""A tag whose size becomes larger or smaller by more than this factor has jumped; the script's sizes stay away from it."""

VERSION = re.compile(r"\d+\.\d+\.\d+")
"""The script's names that look like versions, which are not to be pushed again."""

QUERY = """
    SELECT e.kind, CAST(strftime('%s', e.observed_at) AS INTEGER), r.full_name, t.name, e.happened_at, e.detail FROM events e
    LEFT JOIN repositories r ON r.id = e.repository_id LEFT JOIN tags t ON t.id = e.tag_id ORDER BY e.id
"""


class Logged(NamedTuple):
    """One event."""

    kind: str
    at: int
    full_name: str | None
    tag: str | None
    happened_at: str | None
    detail: str

    @property
    def subject(self) -> str:
        """The tag or the repository."""
        return f"{self.full_name}:{self.tag}" if self.tag else str(self.full_name)


class Happened(NamedTuple):
    """A change on a day, as an event has to tell it."""

    kind: str
    day: int
    subject: str


@dataclass(slots=True)
class Events:
    """What the comparison found."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


@dataclass(slots=True)
class _Expected:
    """What has to be told, and what may be told besides."""

    owed: Counter[Happened] = field(default_factory=Counter)
    allowed: Counter[Happened] = field(default_factory=Counter)


def judged_events(judge: Judge) -> Events:
    """All events but those of the far end's own behaviour. Where none of tags, or of repositories, is told yet, none is owed."""
    logged = [Logged(*row) for row in judge.trial.rows(QUERY)]
    found = Events(Counter(one.kind for one in logged))
    strict = [one for one in logged if one.kind not in LENIENT]
    for one, count in Counter(strict).items():
        if count > 1:
            found.differences.append(_difference("event twice", judge.day_of(one.at), one.subject, one.kind))
    for about, expected in (("tag", _of_tags(judge)), ("repository", _of_repositories(judge))):
        told = Counter(
            Happened(one.kind, judge.day_of(one.at), one.subject) for one in strict if one.kind.startswith(f"{about}.")
        )
        if told:
            found.differences += _compared(told, expected)
    known = ("tag.", "repository.")
    found.differences += [
        _difference("unknown event", judge.day_of(one.at), one.subject, one.kind)
        for one in strict
        if not one.kind.startswith(known)
    ]
    return found


def _compared(told: Mapping[Happened, int], expected: _Expected) -> Iterable[Difference]:
    for one in sorted(told.keys() | expected.owed.keys()):
        count, owed = told.get(one, 0), expected.owed[one]
        most = owed + expected.allowed[one]
        if count > most:
            kind = "event twice" if most else "event without a change"
            yield _difference(kind, one.day, one.subject, f"{one.kind}, {count} times for {most} changes")
        elif count < owed:
            yield _difference("no event", one.day, one.subject, f"{one.kind}, {count} times for {owed} changes")


def _of_tags(judge: Judge) -> _Expected:
    expected = _Expected()
    for key, rows in judge.rows().items():
        subject = f"{key[0]}:{key[1]}"
        shown = judge.sights.tags.get(key, [])
        if rows:
            _first_sight(judge, key, rows[0], expected)
        last: str | None = None
        for before, row in pairwise(rows):
            last = before.digest or last
            _change(judge, subject, before, row, last, shown, expected)
        _pushers(judge, subject, rows, shown, expected)
        if len(rows) and rows[0].digest is None:
            expected.allowed[Happened("tag.gone", judge.day_of(rows[0].seen_from), subject)] += 1
    return expected


def _first_sight(judge: Judge, key: tuple[str, str], row: Row, expected: _Expected) -> None:
    """New is what was made after its repository had been seen; owed where an undisturbed pass had seen it."""
    truth = judge.script.tags.get(key)
    presences = judge.script.repositories.get(key[0], [])
    if not truth or not presences:
        return
    here = _presence_at(presences, row.seen_from)
    seen = next((one for one in judge.passes if one.began > here.since and one.is_clear(key[0])), None)
    happened = Happened("tag.new", judge.day_of(row.seen_from), f"{key[0]}:{key[1]}")
    made = next((one.since for one in truth if one.digest is not None), truth[0].since)
    if seen is not None and made > seen.ended and here.registration == 1:
        expected.owed[happened] += 1
    elif made > here.since + 3600 or here.registration > 1:
        expected.allowed[happened] += 1


def _change(
    judge: Judge,
    subject: str,
    before: Row,
    row: Row,
    last: str | None,
    shown: list[Shown],
    expected: _Expected,
) -> None:
    day = judge.day_of(row.seen_from)
    full_name, _, tag = subject.partition(":")
    presences = judge.script.repositories.get(full_name, [])
    # What comes and goes with its repository is the repository's to tell.
    is_of_repository = any(
        one.since - 1 <= row.seen_from and before.seen_from <= (one.until or row.seen_from)
        for one in presences
        if not one.is_there or one.registration > 1
    )
    if row.digest is None:
        (expected.allowed if is_of_repository else expected.owed)[Happened("tag.gone", day, subject)] += 1
        return
    where = expected.allowed if is_of_repository else expected.owed
    where[Happened("tag.returned" if before.digest is None else "tag.moved", day, subject)] += 1
    if before.digest is None:
        # A tag that came back on something else may be told of as what it is.
        for kind in ("tag.moved", "tag.new"):
            expected.allowed[Happened(kind, day, subject)] += is_of_repository
    if row.digest == last:
        return
    if VERSION.fullmatch(tag):
        where[Happened("tag.overwritten", day, subject)] += 1
    now = next((one for one in shown if one.digest == row.digest and one.at >= row.seen_from - 2), None)
    then = next((one for one in reversed(shown) if one.digest == last and one.at <= row.seen_from), None)
    if now is None or then is None:
        return
    # Of a tag that was gone the platforms of before need not be kept.
    lost = expected.allowed if before.digest is None or is_of_repository else expected.owed
    if then.platforms - now.platforms:
        lost[Happened("tag.platforms_lost", day, subject)] += 1
    if max(then.full_size, now.full_size) > JUMP * min(then.full_size, now.full_size):
        lost[Happened("tag.size_jumped", day, subject)] += 1


def _pushers(judge: Judge, subject: str, rows: list[Row], shown: list[Shown], expected: _Expected) -> None:
    """Another pusher than in the row before; across a time in which the tag was gone it may be told."""
    gone = [(row.seen_from, row.seen_until) for row in rows if row.digest is None]
    for before, now in pairwise(shown):
        if before.pusher != now.pusher:
            was_gone = any(since <= now.at and (until is None or until >= before.at) for since, until in gone)
            where = expected.allowed if was_gone else expected.owed
            where[Happened("tag.pusher_changed", judge.day_of(now.at), subject)] += 1


def _of_repositories(judge: Judge) -> _Expected:
    expected = _Expected()
    for full_name, presences in judge.script.repositories.items():
        was_gone = False
        for before, now in zip([None, *presences], presences, strict=False):
            clear = [one for one in judge.passes if one.began > now.since and one.is_clear(full_name)]
            within = [one for one in clear if now.until is None or one.ended <= now.until]
            deadline = within[0].day if within else None
            if not now.is_there:
                # Any pass from the second on may be the second to meet a 404.
                is_owed = len(within) > 1
                days = _days(judge, now.since, within[1].day if is_owed else None, now.until)
                was_gone = _one_of(expected, "repository.gone", full_name, days, is_owed=is_owed, judge=judge)
            elif before is None:
                if now.since > judge.passes[0].began:
                    days = _days(judge, now.since, deadline, now.until)
                    _one_of(expected, "repository.new", full_name, days, is_owed=bool(within), judge=judge)
            elif now.registration > 1 and before.is_there is False:
                days = _days(judge, now.since, deadline, now.until)
                _one_of(expected, "repository.replaced", full_name, days, is_owed=bool(within), judge=judge)
                _one_of(expected, "repository.described", full_name, days, is_owed=False, judge=judge)
            else:
                days = _days(judge, now.since, deadline, now.until)
                _one_of(
                    expected, "repository.returned", full_name, days, is_owed=was_gone and bool(within), judge=judge
                )
        for at in judge.script.described.get(full_name, []):
            clear = [one for one in judge.passes if one.began > at and one.is_clear(full_name)]
            days = _days(judge, at, clear[0].day if clear else None, None)
            _one_of(expected, "repository.described", full_name, days, is_owed=False, judge=judge)
    return expected


def _days(judge: Judge, since: float, last: int | None, until: float | None) -> list[int]:
    """The days of the passes after a change, up to the one that must have found out."""
    return [
        one.day
        for one in judge.passes
        if one.ended > since and (last is None or one.day <= last) and (until is None or one.began < until)
    ]


def _one_of(expected: _Expected, kind: str, full_name: str, days: list[int], *, is_owed: bool, judge: Judge) -> bool:
    """One event on one of these days: on that on which it was told, or else on the last; whether it was told."""
    told = [
        judge.day_of(row[1])
        for row in judge.trial.rows(QUERY)
        if row[0] == kind and row[2] == full_name and judge.day_of(row[1]) in days
    ]
    if told:
        expected.allowed[Happened(kind, told[0], full_name)] += 1
    elif is_owed and days:
        expected.owed[Happened(kind, days[-1], full_name)] += 1
    return bool(told)


def _presence_at(presences: list[Presence], at: float) -> Presence:
    return next((one for one in reversed(presences) if one.is_there and one.since <= at + 2), presences[0])


def _difference(kind: str, day: int, subject: str, text: str) -> Difference:
    return Difference(kind, day, subject, text)
