"""Rows of the Hub API, once decoded, into records: what of them can be, and what cannot. Rank 3; pure.

A value that cannot be raises `Impossible`, and with it the row is refused.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from harvester.names import full_name_of, is_component, is_digest, is_tag
from harvester.records import Image, ImageKind, Layer, Platform, Repository, Source, Tag
from harvester.wire import shapes

TEXT_CHARS = 64 * 1024
"""Longest `full_description` and `instruction` that is kept; longer text is cut there."""

_SEPARATORS = frozenset({"--T::Z", "--T::.", "--T::+"})
_LONGEST_INSTANT = len("2026-01-01T00:00:00.123456789+00:00")
_FIRST_YEAR = "1970"
_INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
_IMAGE_CONTENT = frozenset({None, "", "image", "unrecognized"})
_parsed = datetime.fromisoformat
_is_sha256 = re.compile(r"sha256:[0-9a-f]{64}\Z").match


class Impossible(ValueError):
    """A value of a row cannot be."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        """Where in the row, as a JSON path without `$`."""


def instant(text: str | None) -> str | None:
    """An instant as the database holds it: truncated to whole seconds, UTC. Raises `ValueError` where it is none.

    Null, "" and the years before 1970 (Go's zero time is of the year 1) are null. 0 to 9 fraction digits occur (wire
    reference, 3.7).
    """
    if not text:
        return None
    # Slices and a C parser instead of a regular expression: there are hundreds of instants on a page. The separators
    # are checked because the parser knows more forms than the far end uses.
    if text[4:20:3] in _SEPARATORS and len(text) <= _LONGEST_INSTANT and (text[-1] == "Z" or text[-6:] == "+00:00"):
        try:
            _parsed(text)
        except ValueError:
            pass
        else:
            return text[:19] + "Z" if text >= _FIRST_YEAR else None
    raise Impossible("", f"not an instant in UTC: {text[:40]}")


def clean(text: str) -> str:
    """`text` without NUL and lone surrogates, which no database takes."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


def whole(count: int | None) -> int | None:
    """A count or a size; null for what is negative and so unknown."""
    return count if count is not None and count >= 0 else None


def _digest(text: str | None) -> str | None:
    # Nearly every digest is of this one form; the grammar of all of them costs twice as much.
    return text if text and (_is_sha256(text) is not None or is_digest(text)) else None


def tag_of(row: shapes.TagRow) -> Tag:
    """The tag with its distinct platforms (wire reference, 5.1)."""
    if not is_tag(row.name):
        raise Impossible(".name", "cannot be a tag")
    digest = _digest(row.digest)
    platforms = _platforms(row, digest)
    if digest is None and len(platforms) == 1:
        digest = platforms[0].digest
    updated = instant(row.last_updated)
    pushed = row.tag_last_pushed
    # The two are equal in every recording (wire reference, 5.1).
    pushed = updated if pushed == row.last_updated else instant(pushed)
    return Tag(
        name=row.name,
        digest=digest,
        media_type=row.media_type,
        content_type=row.content_type,
        full_size=whole(row.full_size),
        status=row.tag_status,
        last_updated=updated,
        last_pushed=pushed,
        last_pulled=instant(row.tag_last_pulled),
        last_updater=row.last_updater_username,
        platforms=platforms,
    )


def _platforms(row: shapes.TagRow, tag_digest: str | None) -> tuple[Platform, ...]:
    rows = row.images
    if not rows:
        return ()
    # Most tags begin with a platform; asking the first one alone saves the walk.
    has_platform = rows[0].os != "unknown" or has_platform_in(rows)
    real: ImageKind = "image" if row.content_type in _IMAGE_CONTENT else "artifact"
    unknown: ImageKind = "attestation" if has_platform else "artifact"
    found: dict[str, Platform] = {}
    for image in rows:
        digest = _digest(image.digest)
        if digest is None:
            # The tag of a single image points at it, when it does not point at an index.
            if tag_digest is None or len(rows) != 1 or row.media_type in _INDEX_TYPES:
                continue
            digest = tag_digest
        if digest not in found:
            is_unknown = image.os == "unknown" and image.architecture == "unknown"
            found[digest] = _platform(image, digest, unknown if is_unknown else real)
    return tuple(found.values())


def has_platform_in(rows: list[shapes.ImageRow] | list[shapes.LayeredImageRow]) -> bool:
    """Whether there is anything but `unknown/unknown`: beside a platform such an entry is an attestation."""
    return any(row.os != "unknown" or row.architecture != "unknown" for row in rows)


def _platform(row: shapes.ImageRow, digest: str, kind: ImageKind) -> Platform:
    size = row.size
    return Platform(
        digest=digest,
        kind=kind,
        os=row.os or None,
        architecture=row.architecture or None,
        variant=row.variant or None,
        os_version=row.os_version or None,
        size=size if size is not None and size >= 0 else None,
        status=row.status,
        last_pulled=instant(row.last_pulled),
        last_pushed=instant(row.last_pushed),
    )


def image_of(row: shapes.LayeredImageRow, *, has_platform: bool) -> Image:
    """The image with its history, oldest line first (wire reference, 6)."""
    digest = _digest(row.digest)
    if digest is None:
        raise Impossible(".digest", "an image without a digest")
    layers = tuple(
        [
            Layer(_digest(layer.digest), whole(layer.size), (layer.instruction or "")[:TEXT_CHARS])
            for layer in row.layers or ()
        ]
    )
    kind: ImageKind = "image"
    if row.os == "unknown" and row.architecture == "unknown":
        kind = "attestation" if has_platform else "artifact"
    return Image(platform=_platform(row, digest, kind), layers=layers, layers_from="hub")


def folded(found: list[Image]) -> tuple[Image, ...]:
    """The images without those whose digest came before: duplicates occur (wire reference, 22, 17)."""
    by_digest: dict[str, Image] = {}
    for image in found:
        by_digest.setdefault(image.platform.digest, image)
    return tuple(by_digest.values())


def repository_of(row: shapes.RepositoryRow, namespace: str, source: Source) -> Repository:
    """The repository of a detail or of a row of a namespace (wire reference, 4.1 and 4.2)."""
    if not is_component(row.name):
        raise Impossible(".name", "cannot be a repository's name")
    if not is_component(namespace):
        raise Impossible(".namespace", "cannot be a namespace")
    full_description = row.full_description
    if full_description is not None and len(full_description) > TEXT_CHARS:
        full_description = full_description[:TEXT_CHARS]
    immutable_tags = row.immutable_tags_settings
    if immutable_tags is not None and immutable_tags.rules:
        immutable_tags.rules = [rule for rule in immutable_tags.rules if rule is not None]
    return Repository(
        namespace=namespace,
        name=row.name,
        source=source,
        pull_count=row.pull_count,
        star_count=whole(row.star_count),
        description=row.description,
        full_description=full_description,
        last_updated=instant(row.last_updated),
        last_modified=instant(row.last_modified),
        date_registered=instant(row.date_registered),
        status=row.status,
        status_description=row.status_description,
        repository_type=row.repository_type,
        is_automated=row.is_automated,
        is_private=row.is_private,
        hub_user=row.hub_user,
        affiliation=row.affiliation,
        collaborator_count=whole(row.collaborator_count),
        categories=_json_array(row.categories),
        content_types=_json_array(row.content_types),
        media_types=_json_array(row.media_types),
        storage_size=whole(row.storage_size),
        immutable_tags=None if immutable_tags is None else msgspec.json.encode(immutable_tags).decode(),
        created_from=row.source,
    )


def _json_array(items: list[str | None] | list[shapes.Category | None] | None) -> str | None:
    if items is None:
        return None
    return msgspec.json.encode([item for item in items if item is not None]).decode()


def found_of(row: shapes.SearchRow) -> Repository:
    """The repository of a search row; a bare name is an official image (wire reference, 8.1)."""
    name = full_name_of(row.repo_name)
    if name is None:
        raise Impossible(".repo_name", "names no repository")
    return Repository(
        namespace=name.namespace,
        name=name.name,
        source="search",
        pull_count=row.pull_count,
        star_count=whole(row.star_count),
        description=row.short_description,
        is_automated=row.is_automated,
    )
