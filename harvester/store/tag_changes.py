"""What became of tags, as events with their evidence. Rank 3. Runs inside the transaction that stores the change.

A tag is new only where the tags had been walked before, all of them or until its push; the first sight of a repository is no event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from harvester.clock import instant, seconds_of
from harvester.events import NewEvent
from harvester.records import Tag
from harvester.store.change_log import append_events
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement, select_in
from harvester.versions import is_exact

SIZE_FACTOR = 2
"""A tag that became larger or smaller by more than this, and by more than the other, has jumped."""

SIZE_JUMP = 1_000_000

KNOWN = "id name digest gone_at last_seen_at last_pushed last_updater full_size is_name_only first_seen_at"
"""The columns of a stored tag that a change is seen by."""

# What a complete walk did not show is newer than that walk; where there was none, the push has to be newer than the last walk.
# Walks from before the repository was gone say nothing of what is there now: their dates were taken back. Nor does a walk by a
# policy say anything of what it did not want: an old tag that is pushed again is among the newest, too.
_BASELINE = Statement(
    "repository_id",
    """
    SELECT l.started_at, l.is_complete FROM listings l WHERE l.kind = 'tags'
        AND l.subject = (SELECT r.full_name FROM repositories r WHERE r.id = :repository_id)
        AND l.finished_at IS NOT NULL AND l.stop_reason IN ('end', 'known', 'wall') AND l.subject_updated IS NOT NULL
    ORDER BY l.is_complete DESC, l.id DESC LIMIT 1
    """,
)
# Every name there was then was known from then on. Both kinds by one range each: an OR over them would be asked of all subjects.
_NAMES_KNOWN = Statement(
    "repository_id yes",
    """
    SELECT min(l.started_at) FROM listings l WHERE l.kind IN ('tag_names', 'tags')
        AND l.subject = (SELECT r.full_name FROM repositories r WHERE r.id = :repository_id)
        AND CASE WHEN l.kind = 'tags' THEN l.is_complete = :yes ELSE l.stop_reason = 'end' END
    """,
)
_BEFORE = """
    SELECT h.tag_id, h.digest, COALESCE(h.last_seen, h.seen_from), h.seen_until FROM tag_history h
    WHERE h.digest IS NOT NULL AND h.tag_id IN ({values})
    ORDER BY h.tag_id, h.seen_from
"""
_PLATFORMS = """
    SELECT ti.tag_id, i.os, i.architecture, i.variant FROM tag_images ti JOIN images i ON i.id = ti.image_id
    WHERE i.kind = 'image' AND ti.tag_id IN ({values})
"""

CLOCKS_APART_S = 3600
"""By so much the far end's clock may be behind ours."""


class Known(NamedTuple):
    """A tag as it was stored before."""

    id: int
    name: str
    digest: str | None
    gone_at: str | None
    last_seen_at: str
    last_pushed: str | None
    last_updater: str | None
    full_size: int | None
    is_name_only: bool | None
    first_seen_at: str
    missed_at: str | None = None
    """When it was last said not to be there, where that was said more than once."""
    went_at: str | None = None
    """Of a tag that came back as a name only: when it was last said not to be there before."""

    @property
    def last_seen(self) -> int:
        """Seconds since the epoch."""
        return seconds_of(text_of(self.last_seen_at))

    def is_as_of(self, seen: Moment) -> bool:
        """Whether an answer of that time tells of the tag as it is now, as far as is known."""
        gone_at = self.missed_at or self.gone_at
        if self.went_at is not None and text_of(self.last_seen_at) > seen.text:
            return False
        return self.is_described_by(seen) and (gone_at is None or text_of(gone_at) <= seen.text)

    def is_described_by(self, seen: Moment) -> bool:
        """Whether no later answer has described it; a description is worth more than a name, however late that was listed.

        What was described before it went says nothing of what has come back.
        """
        if self.is_name_only:
            return self.went_at is None or self.went_at < seen.text
        return text_of(self.last_seen_at) <= seen.text


class TagChanges:
    """The events of one page of tags of one repository."""

    def __init__(self, connection: Connection, repository_id: int, seen: Moment, source: str) -> None:
        self._connection = connection
        self._repository_id = repository_id
        self._seen = seen
        self._source = source
        self._events: list[NewEvent] = []

    def note(self, seen: Sequence[tuple[Known, Tag]]) -> None:
        """What tags that were stored before, as they were, are now said to be; called before that is stored."""
        named = [(before, tag) for before, tag in seen if before.is_name_only and before.digest is None]
        moved = [
            (before, tag)
            for before, tag in seen
            if before.digest and (before.gone_at is not None or (tag.digest and tag.digest != before.digest))
        ]
        pushed = [
            (before, tag)
            for before, tag in seen
            if before.digest
            and before.gone_at is None
            and tag.digest == before.digest
            and _has_other_pusher(before, tag)
        ]
        self._note_named(named)
        platforms = self._platforms([before.id for before, tag in moved if tag.platforms])
        for before, tag in moved:
            self._note_moved(before, tag, platforms.get(before.id, set()))
        for before, tag in pushed:
            self._add("tag.pusher_changed", before.id, tag, _evidence(before, tag))

    def note_new(self, tags: Sequence[tuple[int, Tag]]) -> None:
        """Tags, by id, that were not stored before."""
        baseline = _BASELINE.first(self._connection, (self._repository_id,))
        if baseline is None:
            return
        for tag_id, tag in tags:
            if baseline[1] or _is_pushed_since(tag, text_of(baseline[0])):
                self._add("tag.new", tag_id, tag, {"digest": tag.digest, "pushed_at": tag.last_pushed})

    def note_gone(self, tags: Iterable[Known]) -> None:
        """Tags that are there no more."""
        for before in tags:
            detail = {
                "digest_before": before.digest,
                "last_updater_before": before.last_updater,
                "last_seen_before": text_of(before.last_seen_at),
            }
            self._events.append(
                NewEvent(kind="tag.gone", repository_id=self._repository_id, tag_id=before.id, detail=detail)
            )

    def append(self) -> None:
        """Write down what was noted."""
        append_events(self._connection, self._events, self._seen)

    def _note_named(self, named: Sequence[tuple[Known, Tag]]) -> None:
        """Tags of which only the name was known: back, when they had pointed to something before; or new."""
        described = [(before, tag) for before, tag in named if tag.digest is not None]
        if not described:
            return
        past = {
            tag_id: (digest, instant(last_seen), None if until is None else instant(until))
            for tag_id, digest, last_seen, until in select_in(
                self._connection, _BEFORE, [before.id for before, _ in described]
            )
        }
        row = _NAMES_KNOWN.first(self._connection, (self._repository_id, True))
        names_known = None if row is None or row[0] is None else text_of(row[0])
        new = []
        for before, tag in described:
            if before.id in past:
                # The name itself is a sight that is newer than what is told here.
                digest, last_seen, until = past[before.id]
                was = before._replace(digest=digest, last_seen_at=last_seen, gone_at=until or before.last_seen_at)
                self._note_moved(was, tag, set())
            elif before.went_at is not None:
                # Its end was told, and what it had pointed to nobody knew.
                if self._is_tag_that_returned():
                    evidence = _evidence(before, tag) | {"gone_since": before.went_at}
                    self._add("tag.returned", before.id, tag, evidence)
            elif names_known is not None and names_known < text_of(before.first_seen_at):
                new.append((before.id, tag))
        if new:
            self.note_new(new)

    def _note_moved(self, before: Known, tag: Tag, platforms: set[str]) -> None:
        evidence = _evidence(before, tag)
        is_other = tag.digest is not None and tag.digest != before.digest
        if before.gone_at is not None:
            if not is_other and not self._is_tag_that_returned():
                return
            if self._is_tag_that_returned():
                self._add("tag.returned", before.id, tag, evidence | {"gone_since": text_of(before.gone_at)})
        else:
            self._add("tag.moved", before.id, tag, evidence)
        if not is_other:
            return
        if is_exact(tag.name):
            self._add("tag.overwritten", before.id, tag, evidence)
        if _has_other_pusher(before, tag):
            self._add("tag.pusher_changed", before.id, tag, evidence)
        lost = platforms - {
            text for p in tag.platforms if p.kind == "image" and (text := _platform(p.os, p.architecture, p.variant))
        }
        if lost:
            self._add("tag.platforms_lost", before.id, tag, evidence | {"platforms_lost": sorted(lost)})
        if _has_jumped(before.full_size, tag.full_size):
            sizes = {"size_before": before.full_size, "size": tag.full_size}
            self._add("tag.size_jumped", before.id, tag, evidence | sizes)

    def _is_tag_that_returned(self) -> bool:
        """Not so when its whole repository did, which is told once."""
        return self._source == "detail" or _BASELINE.first(self._connection, (self._repository_id,)) is not None

    def _platforms(self, tag_ids: Sequence[int]) -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        for tag_id, os, architecture, variant in select_in(self._connection, _PLATFORMS, tag_ids):
            if text := _platform(os, architecture, variant):
                found.setdefault(tag_id, set()).add(text)
        return found

    def _add(self, kind: str, tag_id: int, tag: Tag, detail: dict[str, Any]) -> None:
        event = NewEvent(
            kind=kind,
            repository_id=self._repository_id,
            tag_id=tag_id,
            happened_at=tag.last_pushed,
            detail=detail,
        )
        self._events.append(event)


def _evidence(before: Known, tag: Tag) -> dict[str, Any]:
    return {
        "digest_before": before.digest,
        "digest": tag.digest,
        "last_updater_before": before.last_updater,
        "last_updater": tag.last_updater,
        "pushed_at": tag.last_pushed,
        "last_seen_before": text_of(before.last_seen_at),
    }


def _has_other_pusher(before: Known, tag: Tag) -> bool:
    return bool(before.last_updater and tag.last_updater and before.last_updater != tag.last_updater)


def _has_jumped(before: int | None, now: int | None) -> bool:
    if not before or not now or abs(now - before) <= SIZE_JUMP:
        return False
    return max(before, now) > SIZE_FACTOR * min(before, now)


def _is_pushed_since(tag: Tag, when: str) -> bool:
    pushed = tag.last_pushed or tag.last_updated
    return pushed is not None and seconds_of(pushed) >= seconds_of(when) - CLOCKS_APART_S


def _platform(os: str | None, architecture: str | None, variant: str | None) -> str | None:
    return "/".join(part for part in (os, architecture, variant) if part) or None
