"""What is stored against what was true, tag by tag: intervals, pushes, pushers, and that nothing is said to be gone that was there.

A true interval must be stored when it lasted over a pass that nothing disturbed, begun after the change; it may be when only a
disturbed pass showed it. It begins on the day on which it was shown first, and no later than in the first undisturbed pass. That a
whole repository is gone takes two of these. Nothing else may be stored. A list that lacks a tag and agrees with itself disturbs all
passes until the list is read again: nobody could know.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.trials.observed import Pass, Shown, Sights
from tests.trials.passes import Trial
from tests.trials.scripted_world import ScriptedWorld, Stretch

DAY_S = 86_400
WAY_S = 2.0
"""An answer says what was so when the far end gave it: that long before it was here, at the most."""

HISTORY = """
    SELECT r.full_name, t.name, h.digest, h.seen_from, h.seen_until, h.pushed_at, h.source, h.last_updater, h.pushes
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
"""


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One thing that is stored otherwise than it was."""

    kind: str
    day: int
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: day {self.day}, {self.subject}: {self.text}"


class Row(NamedTuple):
    """An interval as it is stored."""

    digest: str | None
    seen_from: int
    seen_until: int | None
    pushed_at: int | None
    source: str
    last_updater: str | None
    pushes: str | None


@dataclass(slots=True)
class Verdict:
    """What the comparison found."""

    compared: int = 0
    equal: int = 0
    unseen: int = 0
    """True intervals that no undisturbed pass could show, and that are not stored."""
    late: Counter[int] = field(default_factory=Counter)
    """Intervals by the days between the first pass after the change and the one that found out."""
    differences: list[Difference] = field(default_factory=list)


@dataclass(slots=True)
class Judge:
    """Compares one trial's database with its script."""

    trial: Trial
    script: ScriptedWorld
    sights: Sights
    passes: list[Pass] = field(default_factory=list)

    def day_of(self, at: float) -> int:
        """Days since the first pass."""
        return int(at // DAY_S) - int(self.passes[0].began // DAY_S)

    def rows(self) -> dict[tuple[str, str], list[Row]]:
        """The stored intervals of every tag."""
        found: dict[tuple[str, str], list[Row]] = {}
        for full_name, tag, *rest in self.trial.rows(f"{HISTORY} ORDER BY h.tag_id, h.seen_from"):
            found.setdefault((full_name, tag), []).append(Row(*rest))
        return found

    def false_deletions(self, since: float) -> list[Difference]:
        """What was recorded as gone since then although it was there."""
        found = []
        for full_name, tag, digest, seen_from, *_ in self.trial.rows(f"{HISTORY} WHERE h.seen_from >= {int(since)}"):
            key = (full_name, tag)
            if digest is None and not self._may_be_gone(key, seen_from):
                found.append(self._difference("false deletion", seen_from, f"{full_name}:{tag}", "recorded as gone"))
        for full_name, tag, gone_at in self.trial.rows(
            "SELECT r.full_name, t.name, CAST(strftime('%s', t.gone_at) AS INTEGER) FROM tags t"
            " JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NOT NULL"
        ):
            if gone_at >= since and not self._may_be_gone((full_name, tag), gone_at):
                found.append(self._difference("false deletion", gone_at, f"{full_name}:{tag}", "recorded as gone"))
        for full_name, gone_at in self.trial.rows(
            "SELECT full_name, CAST(strftime('%s', gone_at) AS INTEGER) FROM repositories WHERE gone_at IS NOT NULL"
        ):
            if gone_at >= since and self.script.was_there(full_name, gone_at - WAY_S):
                found.append(self._difference("false deletion", gone_at, full_name, "recorded as gone"))
        return found

    def compare(self) -> Verdict:
        """Every tag of the script and of the database."""
        verdict = Verdict()
        rows = self.rows()
        for key in sorted(self.script.tags.keys() | rows.keys()):
            self._compare(key, rows.get(key, []), verdict)
        live = self.trial.rows(
            "SELECT r.full_name, t.name, t.digest, t.gone_at FROM tags t JOIN repositories r ON r.id = t.repository_id"
        )
        for full_name, tag, digest, gone_at in live:
            chain = rows.get((full_name, tag), [])
            now = None if not chain or chain[-1].seen_until is not None else chain[-1].digest
            if (None if gone_at else digest) != now:
                verdict.differences.append(
                    self._difference(
                        "torn", self.passes[-1].ended, f"{full_name}:{tag}", "the tag is not its last interval"
                    )
                )
        return verdict

    def _compare(self, key: tuple[str, str], rows: list[Row], verdict: Verdict) -> None:
        truth = self.script.tags.get(key, [])
        subject = f"{key[0]}:{key[1]}"
        place, matched = -1, dict[int, Row]()
        for row in rows:
            found = next((n for n in range(place + 1, len(truth)) if self._fits(key[0], truth[n], row)), None)
            if found is None:
                text = f"{_short(row.digest)} from {row.seen_from} by {row.source}, the script has {_told(truth, row)}"
                verdict.differences.append(self._difference("no such interval", row.seen_from, subject, text))
            else:
                place = found
                matched[found] = row
        before: str | None = None
        for number, stretch in enumerate(truth):
            stored = matched.get(number)
            if stored is None and self._is_owed(key, stretch) and before != stretch.digest:
                deadline = self._deadline(key[0], stretch)
                assert deadline is not None
                text = f"{_short(stretch.digest)} since {stretch.since:.0f} ({stretch.cause}) is not stored"
                verdict.differences.append(self._difference("missing", deadline.began, subject, text))
                verdict.compared += 1
            elif stored is None:
                verdict.unseen += before != stretch.digest
            else:
                before = stretch.digest
                end = min((other for other in matched if other > number), default=len(truth))
                # Between the same digest and itself there may have been something that no pass could show.
                pushes = [push for one in truth[number:end] if one.digest == stretch.digest for push in one.pushes]
                self._judge(key, stretch, pushes, stored, verdict)
        self._judge_ends(subject, rows, verdict)

    def _judge(
        self, key: tuple[str, str], stretch: Stretch, pushed: list[tuple[float, str]], row: Row, verdict: Verdict
    ) -> None:
        subject = f"{key[0]}:{key[1]}"
        wrong = []
        day = self.day_of(row.seen_from)
        deadline = self._deadline(key[0], stretch)
        first = next((one for one in self.passes if one.ended > stretch.since), self.passes[0])
        if deadline is not None and day > deadline.day:
            wrong.append(f"seen from day {day}, an undisturbed pass was on day {deadline.day}")
        shown = self._first_shown(key, stretch)
        if stretch.digest is not None and (shown is None or self.day_of(shown.at) != day):
            wrong.append(f"seen from day {day}, shown first on day {None if shown is None else self.day_of(shown.at)}")
        pushes = {int(at) for at, _ in pushed}
        noted = {row.pushed_at, *_pushes_of(row)}
        if stretch.digest is not None and not noted <= pushes:
            wrong.append(f"pushed at {sorted(map(str, noted - pushes))}, truly at {sorted(pushes)}")
        pushers = {pusher for _, pusher in pushed}
        if row.last_updater is not None and row.last_updater not in pushers:
            wrong.append(f"pushed by {row.last_updater}, truly by {sorted(pushers)}")
        verdict.compared += 1
        verdict.equal += not wrong
        verdict.late[day - first.day] += 1
        for text in wrong:
            verdict.differences.append(
                self._difference("otherwise", row.seen_from, subject, f"{_short(stretch.digest)} {text}")
            )

    def _judge_ends(self, subject: str, rows: Sequence[Row], verdict: Verdict) -> None:
        for row, following in pairwise(rows):
            if row.seen_until is None or not row.seen_from <= row.seen_until <= following.seen_from:
                text = f"{_short(row.digest)} until {row.seen_until}, the next from {following.seen_from}"
                verdict.differences.append(self._difference("torn", following.seen_from, subject, text))
            elif row.digest is not None and row.seen_until != following.seen_from:
                text = f"{_short(row.digest)} ends at {row.seen_until}, the next begins at {following.seen_from}"
                verdict.differences.append(self._difference("torn", following.seen_from, subject, text))

    def _fits(self, full_name: str, stretch: Stretch, row: Row) -> bool:
        if stretch.digest != row.digest or row.seen_from < int(stretch.since):
            return False
        until = stretch.until
        if until is not None and stretch.cause == "register":
            # The former chapter's tags end when the next one is first seen.
            deadline = self._deadline(full_name, stretch)
            until = None if deadline is None else deadline.ended
        return until is None or row.seen_from <= until + WAY_S

    def _deadline(self, full_name: str, stretch: Stretch) -> Pass | None:
        """The undisturbed pass that must have found out."""
        least = 2 if stretch.digest is None and stretch.cause == "repository" else 1
        clear = (one for one in self.passes if one.began > stretch.since and one.is_clear(full_name))
        found: Pass | None = None
        for _ in range(least):
            found = next(clear, None)
        return found

    def _is_owed(self, key: tuple[str, str], stretch: Stretch) -> bool:
        deadline = self._deadline(key[0], stretch)
        if deadline is None or (stretch.until is not None and deadline.ended > stretch.until):
            return False
        # A tag that was never stored cannot be said to be gone.
        return stretch.digest is not None or any(
            one.at < stretch.since + WAY_S for one in self.sights.tags.get(key, [])
        )

    def _first_shown(self, key: tuple[str, str], stretch: Stretch) -> Shown | None:
        until = None if stretch.until is None else stretch.until + WAY_S
        return next(
            (
                one
                for one in self.sights.tags.get(key, [])
                if one.digest == stretch.digest and one.at >= stretch.since and (until is None or one.at <= until)
            ),
            None,
        )

    def _may_be_gone(self, key: tuple[str, str], at: float) -> bool:
        if None in self.script.state(key, at - WAY_S, at + 1):
            return True
        ended = [one for one in self.script.tags.get(key, []) if one.cause == "register" and one.since <= at]
        return any(self._fits(key[0], one, Row(None, int(at), None, None, "", None, None)) for one in ended)

    def _difference(self, kind: str, at: float, subject: str, text: str) -> Difference:
        return Difference(kind, self.day_of(at), subject, text)


def _pushes_of(row: Row) -> list[int | None]:
    """When the pushes within an interval were: `[first seen, last seen, pushed_at, ...]` each, or `[pushed_at, ...]`."""
    return [one[2] if len(one) > 3 else one[0] for one in json.loads(row.pushes or "[]")]


def _short(digest: str | None) -> str:
    return "gone" if digest is None else digest[7:19]


def _told(truth: Sequence[Stretch], row: Row) -> str:
    near = [one for one in truth if one.holds(row.seen_from - DAY_S, row.seen_from + DAY_S)]
    return ", ".join(f"{_short(one.digest)} since {one.since:.0f}" for one in near) or "nothing near"
