"""Tags, the images they point to, and the history of that. Rank 3.

A tag's history is a chain of intervals on digests; a row is added only when the digest changed. A push of the same digest opens no
interval. An observation older than what is stored fills in what was before, and rewrites nothing that is newer.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from harvester.clock import seconds_of
from harvester.records import Tag
from harvester.store.indexes import keep_images, keep_shown
from harvester.store.intervals import CLOSE, OPEN, add_sight, last_gone, last_missed
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement, select_in
from harvester.store.tag_changes import KNOWN, Known, TagChanges
from harvester.store.timeline import LISTED, Sight, moved_on_from

_SAID = """
    digest media_type content_type full_size status last_updated last_pushed last_pulled last_updater
""".split()

_UPSERT = Statement(
    f"repository_id name {' '.join(_SAID)} seen",
    f"""
    INSERT INTO tags (repository_id, name, {", ".join(_SAID)}, first_seen_at, last_seen_at)
    VALUES (:repository_id, :name, {", ".join(":" + column for column in _SAID)}, :seen, :seen)
    ON CONFLICT (repository_id, name) DO UPDATE SET
        {", ".join(f"{column} = COALESCE(excluded.{column}, tags.{column})" for column in _SAID)},
        first_seen_at = CASE WHEN excluded.first_seen_at < tags.first_seen_at THEN excluded.first_seen_at
            ELSE tags.first_seen_at END,
        last_seen_at = CASE WHEN excluded.last_seen_at > tags.last_seen_at THEN excluded.last_seen_at ELSE tags.last_seen_at END,
        gone_at = NULL, is_name_only = NULL
    """,
)

# What came late may fill in what the newer answer left out, and how early the tag was seen.
_FILL = Statement(
    f"{' '.join(_SAID)} seen tag_id",
    f"""
    UPDATE tags SET {", ".join(f"{column} = COALESCE({column}, :{column})" for column in _SAID)},
        first_seen_at = CASE WHEN :seen < first_seen_at THEN :seen ELSE first_seen_at END
    WHERE id = :tag_id
    """,
)

# What is content-addressed does not change; only what an earlier answer left out is filled in.
_IMAGES = Statement(
    "digest kind os architecture variant os_version size",
    """
    INSERT INTO images (digest, kind, os, architecture, variant, os_version, size)
    VALUES (:digest, :kind, :os, :architecture, :variant, :os_version, :size)
    ON CONFLICT (digest) DO UPDATE SET
        size = COALESCE(images.size, excluded.size), os = COALESCE(images.os, excluded.os),
        architecture = COALESCE(images.architecture, excluded.architecture),
        variant = COALESCE(images.variant, excluded.variant), os_version = COALESCE(images.os_version, excluded.os_version)
    WHERE images.size IS NULL OR images.os IS NULL OR images.architecture IS NULL
        OR (images.variant IS NULL AND excluded.variant IS NOT NULL)
        OR (images.os_version IS NULL AND excluded.os_version IS NOT NULL)
    """,
)

_LET_GO = Statement("tag_id", "DELETE FROM tag_images WHERE tag_id = :tag_id")

_TAG_IMAGES = Statement(
    "tag_id digest position size status last_pulled last_pushed",
    """
    INSERT INTO tag_images (tag_id, image_id, position, size, status, last_pulled, last_pushed)
    SELECT :tag_id, i.id, :position, :size, :status, :last_pulled, :last_pushed FROM images i WHERE i.digest = :digest
    ON CONFLICT (tag_id, image_id) DO UPDATE SET
        size = COALESCE(excluded.size, tag_images.size), status = COALESCE(excluded.status, tag_images.status),
        last_pulled = COALESCE(excluded.last_pulled, tag_images.last_pulled),
        last_pushed = COALESCE(excluded.last_pushed, tag_images.last_pushed)
    """,
)

_FILL_DIGEST = Statement("digest tag_id", "UPDATE tags SET digest = :digest WHERE id = :tag_id AND digest IS NULL")
_FORGET_DIGEST = Statement("tag_id", "UPDATE tags SET digest = NULL WHERE id = :tag_id")

_ABSENT_TAGS = Statement(
    "repository_id low high",
    """
    SELECT r.full_name FROM repositories r WHERE r.id = :repository_id AND EXISTS (
        SELECT 1 FROM absences a WHERE a.subject > r.full_name || :low AND a.subject < r.full_name || :high)
    """,
)
_FORGET_ABSENCE = Statement(
    "subject seen", "DELETE FROM absences WHERE subject = :subject AND last_missing_at <= :seen"
)

_CLOSE_TAG = Statement("tag_id seen", "UPDATE tags SET gone_at = :seen WHERE id = :tag_id AND gone_at IS NULL")
# A page may come after the end of what it shows: its repository went since, or the name stands for another one.
_ENDED = Statement(
    "repository_id seen",
    """
    SELECT min(ended.at) FROM (
        SELECT gone_at AS at FROM repositories WHERE id = :repository_id AND gone_at > :seen
        UNION ALL SELECT ended_at AS at FROM chapters WHERE repository_id = :repository_id AND ended_at > :seen) ended
    """,
)
_OPEN_TAGS = Statement(
    "repository_id",
    f"SELECT {', '.join(KNOWN.split())} FROM tags WHERE repository_id = :repository_id AND gone_at IS NULL",
)
_ONE_TAG = Statement(
    "repository_id name",
    f"SELECT {', '.join(KNOWN.split())} FROM tags WHERE repository_id = :repository_id AND name = :name",
)


class StoredTags(NamedTuple):
    """What became of a page of tags."""

    stored: int
    changed: frozenset[str]
    """Names that were new, or back, or pushed again, or had another digest."""


def store_tags(
    connection: Connection,
    repository_id: int,
    tags: tuple[Tag, ...],
    seen: Moment,
    *,
    source: str,
) -> StoredTags:
    """Insert or update the tags, their images and, where a digest changed, their history; append the events of that."""
    by_name = {tag.name: tag for tag in tags}
    known = _known(connection, repository_id, list(by_name))
    stored = [(known[tag.name], tag) for tag in by_name.values() if tag.name in known]
    fresh = [tag for tag in by_name.values() if tag.name not in known]
    moving = [(before, tag) for before, tag in stored if before.is_as_of(seen)]
    # What was seen last before the tag went: of the tag it is the latest word, and not of its being there.
    missed = [(before, tag) for before, tag in stored if not before.is_as_of(seen) and before.is_described_by(seen)]
    latest = [*fresh, *(tag for _, tag in moving), *(tag for _, tag in missed)]
    changes = TagChanges(connection, repository_id, seen, source)
    changes.note([*moving, *((before, tag) for before, tag in missed if before.gone_at is None)])
    _UPSERT.many(connection, [_row(repository_id, tag, seen) for tag in latest])
    ids = {name: row.id for name, row in known.items()}
    if fresh:
        ids |= {row.name: row.id for row in _known(connection, repository_id, [tag.name for tag in fresh]).values()}
    ended_at = ended_after(connection, repository_id, seen) if fresh else None
    if fresh and ended_at is None:
        changes.note_new([(ids[tag.name], tag) for tag in fresh])
    ended = [(before, tag) for before, tag in moving if _ends_interval(before, tag)]
    CLOSE.many(connection, [(before.id, seen.seconds, before.last_seen) for before, _ in ended])
    begun = [tag for tag in (*fresh, *(tag for _, tag in ended)) if tag.digest is not None]
    OPEN.many(connection, [(ids[t.name], seen.seconds, t.digest, _pushed(t), t.last_updater, source) for t in begun])
    if ended_at is not None:
        _close(connection, [(ids[tag.name], seen.seconds) for tag in fresh], ended_at, "detail")
    # It is there again, and what it points to was not said.
    _FORGET_DIGEST.many(connection, [(before.id,) for before, tag in ended if tag.digest is None])
    # An empty list of images says nothing (peers and traps, 2025-08): the known ones stay, unless the digest is another.
    let_go = [(before.id, before.digest) for before, tag in (*moving, *missed) if _has_other_images(before, tag)]
    let_go += [(before.id, before.digest) for before, tag in ended if tag.digest is None]
    keep_images(connection, let_go)
    _LET_GO.many(connection, [(tag_id,) for tag_id, _ in let_go])
    # Images without a digest for them are not those of a digest that is known.
    _store_images(connection, [t for t in latest if t.digest or t.name not in known or not known[t.name].digest], ids)
    _forget_absences(connection, repository_id, latest, seen)
    for before, tag in stored:
        if (before, tag) not in moving:
            _store_late(connection, before, tag, seen, source)
        elif _is_pushed_again(before, tag):
            add_sight(connection, before.id, _sight(tag, seen, source), last_seen=before.last_seen)
    changes.append()
    there = [*fresh, *(tag for _, tag in moving)]
    changed = frozenset(t.name for t in there if t.name not in known or _differs(known[t.name], t))
    return StoredTags(len(there), changed)


def close_tags(
    connection: Connection,
    repository_id: int,
    seen: Moment,
    *,
    source: str,
    name: str | None = None,
    seen_before: str | None = None,
) -> int:
    """Mark the repository's tags, or the one named, as gone, and open the interval in which they were not there; how many.

    A tag that was seen later than that was gone in between: its history says so, and it stays. The end of one tag is an event;
    that of a whole repository is the repository's. With `seen_before` only those that were last seen before that instant.
    """
    if name is None:
        rows = [Known(*row) for row in _OPEN_TAGS.all(connection, (repository_id,))]
        rows = [row for row in rows if seen_before is None or text_of(row.last_seen_at) < seen_before]
    else:
        rows = [Known(*row) for row in _ONE_TAG.all(connection, (repository_id, name))]
    closed = [row for row in rows if row.gone_at is None and text_of(row.last_seen_at) <= seen.text]
    _close(connection, [(row.id, row.last_seen) for row in closed], seen, source)
    for row in rows:
        if row not in closed:
            gone = Sight(seen.seconds, seen.seconds, None, source=source)
            chain = add_sight(connection, row.id, gone, last_seen=row.last_seen)
            if row.gone_at is None and chain[-1].digest is None and chain[-1].seen_until is None:
                # Nobody has said what it points to, and yet it was seen to be there.
                add_sight(connection, row.id, Sight(row.last_seen, row.last_seen, LISTED), last_seen=row.last_seen)
    if name is not None:
        changes = TagChanges(connection, repository_id, seen, source)
        changes.note_gone(closed)
        changes.append()
    return len(closed)


def _close(connection: Connection, tags: list[tuple[int, int]], seen: Moment, source: str) -> None:
    """End the present intervals of these live tags (id, and when they were last seen), and open those of their absence."""
    _CLOSE_TAG.many(connection, [(tag_id, seen.text) for tag_id, _ in tags])
    CLOSE.many(connection, [(tag_id, seen.seconds, last_seen) for tag_id, last_seen in tags])
    OPEN.many(connection, [(tag_id, seen.seconds, None, None, None, source) for tag_id, _ in tags])


def ended_after(connection: Connection, repository_id: int, seen: Moment) -> Moment | None:
    """The first end of the repository, or of what its name stood for, after that time."""
    row = _ENDED.first(connection, (repository_id, seen.text))
    return None if row is None or row[0] is None else Moment.of(seconds_of(text_of(row[0])))


def _store_late(connection: Connection, before: Known, tag: Tag, seen: Moment, source: str) -> None:
    """An answer that is older than what is stored: what it says of its own time, and nothing of now."""
    _FILL.run(connection, (*_row(0, msgspec.structs.replace(tag, digest=None), seen)[2:], before.id))
    sight = _sight(tag, seen, source) if tag.digest is not None else Sight(seen.seconds, seen.seconds, LISTED)
    chain = add_sight(connection, before.id, sight, last_seen=before.last_seen)
    if chain and chain[-1].seen_until is None:
        # What a tag pointed to before it went is not what it points to since it is back.
        last = next((row.digest for row in reversed(chain) if row.digest is not None), None)
        _FILL_DIGEST.run(connection, (last, before.id))
    store_platforms(connection, [tag])
    past = moved_on_from(chain)
    if tag.digest in past:
        keep_shown(connection, tag.digest, [platform.digest for platform in tag.platforms])
    shown = tag.digest if before.is_described_by(seen) else before.digest
    if shown in past:
        # It shows again what it had shown before.
        keep_images(connection, [(before.id, shown)])


def _sight(tag: Tag, seen: Moment, source: str) -> Sight:
    return Sight(seen.seconds, seen.seconds, tag.digest, _pushed(tag), tag.last_updater, source)


def _ends_interval(before: Known, tag: Tag) -> bool:
    """Whether what was so until now is so no more: the tag was gone, or its digest is another; no digest says nothing."""
    return before.gone_at is not None or (tag.digest is not None and before.digest != tag.digest)


def _is_pushed_again(before: Known, tag: Tag) -> bool:
    """Whether the same digest was pushed once more: no interval of its own, but the interval remembers it."""
    if _ends_interval(before, tag) or tag.digest is None or before.last_pushed is None or tag.last_pushed is None:
        return False
    return tag.last_pushed > text_of(before.last_pushed)


def _differs(before: Known, tag: Tag) -> bool:
    """Whether the row says anything that a push, a move or a return brings."""
    if before.gone_at is not None or before.is_name_only:
        return True
    pushed = None if before.last_pushed is None else text_of(before.last_pushed)
    return (tag.digest, tag.last_pushed) != (before.digest, pushed)


def _has_other_images(before: Known, tag: Tag) -> bool:
    """Whether the stored images are not this tag's any more: another digest, or other images where there never was one."""
    return before.digest != tag.digest if tag.digest is not None else before.digest is None and bool(tag.platforms)


def _forget_absences(connection: Connection, repository_id: int, tags: list[Tag], seen: Moment) -> None:
    """Take back what was said of the absence of tags that are there after all."""
    row = _ABSENT_TAGS.first(connection, (repository_id, ":", ";"))
    if row is not None:
        _FORGET_ABSENCE.many(connection, [(f"{row[0]}:{tag.name}", seen.text) for tag in tags])


def _known(connection: Connection, repository_id: int, names: list[str]) -> dict[str, Known]:
    rows = select_in(
        connection,
        f"SELECT {', '.join(KNOWN.split())} FROM tags WHERE repository_id = {{}} AND name IN ({{values}})",
        names,
        first=(repository_id,),
    )
    return {row[1]: _as_missed(connection, Known(*row)) for row in rows}


def _as_missed(connection: Connection, tag: Known) -> Known:
    if tag.gone_at is not None:
        missed = last_missed(connection, tag.id)
        return tag if missed is None else tag._replace(missed_at=Moment.of(missed).text)
    went = last_gone(connection, tag.id) if tag.is_name_only else None
    return tag if went is None else tag._replace(went_at=Moment.of(went).text)


def _pushed(tag: Tag) -> int | None:
    return seconds_of(tag.last_pushed) if tag.last_pushed else None


def _row(repository_id: int, t: Tag, seen: Moment) -> tuple[object, ...]:
    return (
        repository_id,
        t.name,
        t.digest,
        t.media_type,
        t.content_type,
        t.full_size,
        t.status,
        t.last_updated,
        t.last_pushed,
        t.last_pulled,
        t.last_updater,
        seen.text,
    )


def _store_images(connection: Connection, tags: list[Tag], ids: dict[str, int]) -> None:
    store_platforms(connection, tags)
    _TAG_IMAGES.many(
        connection,
        [
            (ids[tag.name], p.digest, position, p.size, p.status, p.last_pulled, p.last_pushed)
            for tag in tags
            for position, p in enumerate(tag.platforms)
        ],
    )


def store_platforms(connection: Connection, tags: list[Tag]) -> None:
    """The images that these tags name, without saying that a tag points to them now."""
    platforms = {platform.digest: platform for tag in tags for platform in tag.platforms}
    _IMAGES.many(
        connection,
        [(p.digest, p.kind, p.os, p.architecture, p.variant, p.os_version, p.size) for p in platforms.values()],
    )
