"""Tags, the images they point to, and the history of that. Rank 3.

A tag's history is a chain of intervals on digests; a row is added only when the digest changed. A push of the same digest opens no
interval. An observation older than what is stored changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from harvester.clock import seconds_of
from harvester.records import Tag
from harvester.store.moment import Moment, text_of
from harvester.store.statements import Statement, select_in

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
        last_seen_at = CASE WHEN excluded.last_seen_at > tags.last_seen_at THEN excluded.last_seen_at ELSE tags.last_seen_at END,
        gone_at = NULL, is_name_only = NULL
    """,
)

_CLOSE_INTERVAL = Statement(
    "tag_id seen", "UPDATE tag_history SET seen_until = :seen WHERE tag_id = :tag_id AND seen_until IS NULL"
)

# Two changes within one second end as one: the later digest is what was seen from then on.
_OPEN_INTERVAL = Statement(
    "tag_id seen digest pushed_at source",
    """
    INSERT INTO tag_history (tag_id, seen_from, digest, pushed_at, source)
    VALUES (:tag_id, :seen, :digest, :pushed_at, :source)
    ON CONFLICT (tag_id, seen_from) DO UPDATE SET
        digest = excluded.digest, seen_until = NULL, pushed_at = excluded.pushed_at, source = excluded.source
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

_ABSENT_TAGS = Statement(
    "repository_id low high",
    """
    SELECT r.full_name FROM repositories r WHERE r.id = :repository_id AND EXISTS (
        SELECT 1 FROM absences a WHERE a.subject > r.full_name || :low AND a.subject < r.full_name || :high)
    """,
)
_FORGET_ABSENCE = Statement("subject", "DELETE FROM absences WHERE subject = :subject")

_CLOSE_TAG = Statement("tag_id seen", "UPDATE tags SET gone_at = :seen WHERE id = :tag_id AND gone_at IS NULL")
_OPEN_TAGS = Statement("repository_id", "SELECT id FROM tags WHERE repository_id = :repository_id AND gone_at IS NULL")
_ONE_TAG = Statement(
    "repository_id name",
    "SELECT id FROM tags WHERE repository_id = :repository_id AND name = :name AND gone_at IS NULL",
)


class _Known(NamedTuple):
    id: int
    name: str
    digest: str | None
    gone_at: str | None
    last_seen_at: str
    last_pushed: str | None
    is_name_only: bool | None


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
    """Insert or update the tags, their images and, where a digest changed, their history."""
    by_name = {tag.name: tag for tag in tags}
    known = _known(connection, repository_id, list(by_name))
    current = [
        # A description is worth more than a name, however much later that was listed.
        tag
        for tag in by_name.values()
        if tag.name not in known or known[tag.name].is_name_only or text_of(known[tag.name].last_seen_at) <= seen.text
    ]
    _UPSERT.many(connection, [_row(repository_id, tag, seen) for tag in current])
    ids = {name: row.id for name, row in known.items()}
    fresh = [tag.name for tag in current if tag.name not in ids]
    if fresh:
        ids |= {row.name: row.id for row in _known(connection, repository_id, fresh).values()}
    ended = [tag for tag in current if tag.name in known and _ends_interval(known[tag.name], tag)]
    _CLOSE_INTERVAL.many(connection, [(ids[tag.name], seen.seconds) for tag in ended])
    begun = [tag for tag in current if tag.digest is not None and (tag.name not in known or tag in ended)]
    _OPEN_INTERVAL.many(connection, [(ids[t.name], seen.seconds, t.digest, _pushed(t), source) for t in begun])
    # An empty list of images says nothing (peers and traps, 2025-08): the known ones stay, unless the digest is another.
    _LET_GO.many(
        connection, [(ids[t.name],) for t in current if t.name in known and _has_other_images(known[t.name], t)]
    )
    _store_images(connection, current, ids)
    _forget_absences(connection, repository_id, current)
    changed = frozenset(t.name for t in current if t.name not in known or _differs(known[t.name], t))
    return StoredTags(len(current), changed)


def close_tags(
    connection: Connection, repository_id: int, seen: Moment, *, source: str, name: str | None = None
) -> None:
    """Mark the repository's tags, or the one named, as gone, and open the interval in which they were not there."""
    if name is None:
        rows = _OPEN_TAGS.all(connection, (repository_id,))
    else:
        rows = _ONE_TAG.all(connection, (repository_id, name))
    _CLOSE_TAG.many(connection, [(row[0], seen.text) for row in rows])
    _CLOSE_INTERVAL.many(connection, [(row[0], seen.seconds) for row in rows])
    _OPEN_INTERVAL.many(connection, [(row[0], seen.seconds, None, None, source) for row in rows])


def _ends_interval(before: _Known, tag: Tag) -> bool:
    """Whether what was so until now is so no more: the tag was gone, or its digest is another; no digest says nothing."""
    return before.gone_at is not None or (tag.digest is not None and before.digest != tag.digest)


def _differs(before: _Known, tag: Tag) -> bool:
    """Whether the row says anything that a push, a move or a return brings."""
    if before.gone_at is not None or before.is_name_only:
        return True
    pushed = None if before.last_pushed is None else text_of(before.last_pushed)
    return (tag.digest, tag.last_pushed) != (before.digest, pushed)


def _has_other_images(before: _Known, tag: Tag) -> bool:
    """Whether the stored images are not this tag's any more: another digest, or a list of images without one."""
    return before.digest != tag.digest if tag.digest is not None else bool(tag.platforms)


def _forget_absences(connection: Connection, repository_id: int, tags: list[Tag]) -> None:
    """Take back what was said of the absence of tags that are there after all."""
    row = _ABSENT_TAGS.first(connection, (repository_id, ":", ";"))
    if row is not None:
        _FORGET_ABSENCE.many(connection, [(f"{row[0]}:{tag.name}",) for tag in tags])


def _known(connection: Connection, repository_id: int, names: list[str]) -> dict[str, _Known]:
    rows = select_in(
        connection,
        "SELECT id, name, digest, gone_at, last_seen_at, last_pushed, is_name_only FROM tags"
        " WHERE repository_id = {} AND name IN ({values})",
        names,
        first=(repository_id,),
    )
    return {row[1]: _Known(*row) for row in rows}


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
    platforms = {platform.digest: platform for tag in tags for platform in tag.platforms}
    _IMAGES.many(
        connection,
        [(p.digest, p.kind, p.os, p.architecture, p.variant, p.os_version, p.size) for p in platforms.values()],
    )
    _TAG_IMAGES.many(
        connection,
        [
            (ids[tag.name], p.digest, position, p.size, p.status, p.last_pulled, p.last_pushed)
            for tag in tags
            for position, p in enumerate(tag.platforms)
        ],
    )
