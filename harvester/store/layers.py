"""Layers and instructions, stored once by content. Rank 3.

An image's steps never change, so they are written once, by whoever knows them first; the registry may later add what the Hub does
not tell (media types, the config's digest, the time of creation).
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection

from harvester.records import LayersSeen
from harvester.store.moment import Moment
from harvester.store.statements import Statement, select_in

_IMAGES = Statement(
    "digest kind os architecture variant os_version size",
    """
    INSERT INTO images (digest, kind, os, architecture, variant, os_version, size)
    VALUES (:digest, :kind, :os, :architecture, :variant, :os_version, :size)
    ON CONFLICT (digest) DO NOTHING
    """,
)

_DETAILS = Statement(
    "digest media_type config_digest created_at layers_from",
    """
    UPDATE images SET
        media_type = COALESCE(media_type, :media_type), config_digest = COALESCE(config_digest, :config_digest),
        created_at = COALESCE(created_at, :created_at), layers_from = COALESCE(layers_from, :layers_from)
    WHERE digest = :digest
    """,
)

_LAYERS = Statement(
    "digest size media_type seen",
    """
    INSERT INTO layers (digest, size, media_type, first_seen_at) VALUES (:digest, :size, :media_type, :seen)
    ON CONFLICT (digest) DO UPDATE SET
        size = COALESCE(layers.size, excluded.size), media_type = COALESCE(layers.media_type, excluded.media_type)
    WHERE (layers.size IS NULL AND excluded.size IS NOT NULL)
        OR (layers.media_type IS NULL AND excluded.media_type IS NOT NULL)
    """,
)

_INSTRUCTIONS = Statement(
    "text hash", "INSERT INTO instructions (text, hash) VALUES (:text, :hash) ON CONFLICT (hash) DO NOTHING"
)

_STEPS = Statement(
    "image_digest step layer_digest instruction_hash",
    """
    INSERT INTO image_layers (image_id, step, layer_id, instruction_id)
    SELECT i.id, :step, l.id, t.id FROM images i
    LEFT JOIN layers l ON l.digest = :layer_digest LEFT JOIN instructions t ON t.hash = :instruction_hash
    WHERE i.digest = :image_digest
    ON CONFLICT (image_id, step) DO NOTHING
    """,
)

_HARVESTED = Statement(
    "digest seen",
    "INSERT INTO harvested_digests (digest, harvested_at) VALUES (:digest, :seen) ON CONFLICT (digest) DO NOTHING",
)

# The tag may have moved between the list and the question: the answer then has other images than the digest is known to have.
_UNANSWERED = Statement(
    "digest",
    """
    SELECT DISTINCT i.digest FROM tag_history h JOIN tags t ON t.id = h.tag_id AND t.digest = h.digest
    JOIN tag_images ti ON ti.tag_id = t.id JOIN images i ON i.id = ti.image_id
    WHERE h.digest = :digest AND i.kind = 'image' AND i.layers_from IS NULL
    """,
)


# A list may have shown the tag without its images (peers and traps, 2025-08).
_LINK = Statement(
    "full_name tag tag_digest digest position size",
    """
    INSERT INTO tag_images (tag_id, image_id, position, size)
    SELECT t.id, i.id, :position, :size
    FROM repositories r JOIN tags t ON t.repository_id = r.id JOIN images i ON i.digest = :digest
    WHERE r.full_name = :full_name AND t.name = :tag AND t.digest = :tag_digest
    ON CONFLICT (tag_id, image_id) DO NOTHING
    """,
)

_HAS_IMAGES = Statement(
    "full_name tag",
    """
    SELECT 1 FROM repositories r JOIN tags t ON t.repository_id = r.id JOIN tag_images ti ON ti.tag_id = t.id
    WHERE r.full_name = :full_name AND t.name = :tag LIMIT 1
    """,
)


def store_layers(connection: Connection, found: LayersSeen, seen: Moment) -> int:
    """Keep what is behind a tag's digest; the number of images whose layers were new."""
    images, tag_digest = found.images, found.tag_digest
    platforms = {image.platform.digest: image.platform for image in images}
    _IMAGES.many(
        connection,
        [(p.digest, p.kind, p.os, p.architecture, p.variant, p.os_version, p.size) for p in platforms.values()],
    )
    harvested = {
        row[0]
        for row in select_in(
            connection,
            "SELECT digest FROM images WHERE layers_from IS NOT NULL AND digest IN ({values})",
            list(platforms),
        )
    }
    new = {image.platform.digest: image for image in images if image.platform.digest not in harvested}
    steps = [(digest, number, layer) for digest, image in new.items() for number, layer in enumerate(image.layers)]
    known_types = {layer.digest: layer for image in images for layer in image.layers if layer.digest}
    _LAYERS.many(connection, [(d, layer.size, layer.media_type, seen.text) for d, layer in known_types.items()])
    hashes = {layer.instruction: _hash(layer.instruction) for _, _, layer in steps if layer.instruction}
    _INSTRUCTIONS.many(connection, list(hashes.items()))
    _STEPS.many(
        connection, [(digest, number, layer.digest, hashes.get(layer.instruction)) for digest, number, layer in steps]
    )
    _DETAILS.many(
        connection,
        [
            (i.platform.digest, i.media_type, i.config_digest, i.created_at, i.layers_from if i.layers else None)
            for i in images
        ],
    )
    # An empty answer says nothing, and what it says nothing of is asked again.
    if tag_digest is not None and images:
        unanswered = {row[0] for row in _UNANSWERED.all(connection, (tag_digest,))}
        if unanswered <= platforms.keys():
            _HARVESTED.run(connection, (tag_digest, seen.text))
        if _HAS_IMAGES.first(connection, (found.repository, found.tag)) is None:
            _LINK.many(
                connection,
                [
                    (found.repository, found.tag, tag_digest, p.digest, place, p.size)
                    for place, p in enumerate(platforms.values())
                ],
            )
    return sum(1 for image in new.values() if image.layers)


def _hash(instruction: str) -> bytes:
    return hashlib.blake2b(instruction.encode(), digest_size=16).digest()
