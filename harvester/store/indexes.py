"""What the indexes consisted of that tags have moved on from. Rank 3.

A tag's row says what its present digest consists of; before that is let go, it is kept here. What is content-addressed does not
change, so an index is kept once, whichever tags have shown it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from harvester.store.statements import Statement

# A tag on the digest of its only image points to no index: its history says all there is.
_INDEXES = Statement(
    "tag_id digest",
    """
    INSERT INTO indexes (digest)
    SELECT DISTINCT CAST(:digest AS TEXT) FROM tag_images ti JOIN images i ON i.id = ti.image_id
    WHERE ti.tag_id = :tag_id AND i.digest <> :digest
    ON CONFLICT (digest) DO NOTHING
    """,
)
_IMAGES = Statement(
    "tag_id digest",
    """
    INSERT INTO index_images (index_id, image_id)
    SELECT x.id, ti.image_id FROM indexes x JOIN tag_images ti ON ti.tag_id = :tag_id WHERE x.digest = :digest
    ON CONFLICT (index_id, image_id) DO NOTHING
    """,
)


_INDEX = Statement("digest", "INSERT INTO indexes (digest) VALUES (:digest) ON CONFLICT (digest) DO NOTHING")
_IMAGE = Statement(
    "digest image",
    """
    INSERT INTO index_images (index_id, image_id)
    SELECT x.id, i.id FROM indexes x JOIN images i ON i.digest = :image WHERE x.digest = :digest
    ON CONFLICT (index_id, image_id) DO NOTHING
    """,
)


def keep_images(connection: Connection, tags: Iterable[tuple[int, str | None]]) -> None:
    """Keep the images that these tags (id, and the digest they had) are stored with, before those are let go."""
    rows = [(tag_id, digest) for tag_id, digest in tags if digest is not None]
    _INDEXES.many(connection, rows)
    _IMAGES.many(connection, rows)


def keep_shown(connection: Connection, digest: str, images: Iterable[str]) -> None:
    """Keep the images, already stored, that an index was shown to consist of when a tag had pointed to it."""
    rows = [(digest, image) for image in images if image != digest]
    if rows:
        _INDEX.run(connection, (digest,))
        _IMAGE.many(connection, rows)
