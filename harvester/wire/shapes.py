"""The JSON documents of the far end, as msgspec reads them. Rank 3.

Everything but the key of a row may be missing or null: fields appear and vanish without notice (wire reference, 3.7).
Integers are held to 64 bits here, because the database refuses more with an error that says nothing of the row.
Rows are kept from the garbage collector, which they would set going several times a page: nothing in them points back.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec

Row = TypeVar("Row")

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Category(msgspec.Struct):
    """One of a repository's categories (wire reference, 8.6)."""

    name: str | None = None
    slug: str | None = None


class ImmutableTags(msgspec.Struct):
    """Which tags are frozen (wire reference, 7.1)."""

    enabled: bool | None = None
    rules: list[str | None] | None = None


class RepositoryRow(msgspec.Struct, gc=False):
    """A repository as the detail and the namespace list show it (wire reference, 4.1 and 4.2)."""

    name: str
    pull_count: Count
    namespace: str | None = None
    star_count: Int64 | None = None
    description: str | None = None
    full_description: str | None = None
    last_updated: str | None = None
    last_modified: str | None = None
    date_registered: str | None = None
    status: Int64 | None = None
    status_description: str | None = None
    repository_type: str | None = None
    is_automated: bool | None = None
    is_private: bool | None = None
    hub_user: str | None = None
    affiliation: str | None = None
    collaborator_count: Int64 | None = None
    categories: list[Category | None] | None = None
    content_types: list[str | None] | None = None
    media_types: list[str | None] | None = None
    storage_size: Int64 | None = None
    immutable_tags_settings: ImmutableTags | None = None
    source: str | None = None


class SearchRow(msgspec.Struct, gc=False):
    """A repository as v2 search shows it (wire reference, 8.1)."""

    repo_name: str
    pull_count: Count
    star_count: Int64 | None = None
    short_description: str | None = None
    is_automated: bool | None = None


class ImageRow(msgspec.Struct, gc=False):
    """An element of a tag's `images` (wire reference, 5.1)."""

    digest: str | None = None
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = None
    size: Int64 | None = None
    status: str | None = None
    last_pulled: str | None = None
    last_pushed: str | None = None


class LayerRow(msgspec.Struct, gc=False):
    """An element of `layers` (wire reference, 6)."""

    digest: str | None = None
    size: Int64 | None = None
    instruction: str | None = None


class LayeredImageRow(ImageRow, gc=False):
    """An element of the `/images` answer (wire reference, 6)."""

    layers: list[LayerRow] | None = None


class TagRow(msgspec.Struct, gc=False):
    """A tag, in a list or alone (wire reference, 5.1)."""

    name: str
    digest: str | None = None
    images: list[ImageRow] | None = None
    media_type: str | None = None
    content_type: str | None = None
    full_size: Int64 | None = None
    tag_status: str | None = None
    last_updated: str | None = None
    tag_last_pushed: str | None = None
    tag_last_pulled: str | None = None
    last_updater_username: str | None = None


class Envelope(msgspec.Struct, Generic[Row]):
    """A page of a list (wire reference, 3.3)."""

    count: Int64 | None = None
    next: str | None = None
    results: list[Row] | None = None


class RawEnvelope(msgspec.Struct):
    """A page of which one row at least has another shape: its rows stay text. Other keys than `results`: section 6."""

    count: Int64 | None = None
    next: str | None = None
    results: list[msgspec.Raw] | None = None
    images: list[msgspec.Raw] | None = None


class Descriptor(msgspec.Struct, rename="camel"):
    """A pointer to content (wire reference, 17.2)."""

    digest: str
    media_type: str | None = None
    size: Int64 | None = None
    data: str | None = None


class BlobSum(msgspec.Struct, rename="camel"):
    """A layer of schema 1 (wire reference, 17.3)."""

    blob_sum: str


class CompatibilityRow(msgspec.Struct, rename="camel"):
    """A history line of schema 1: JSON inside JSON (wire reference, 17.3)."""

    v1_compatibility: str | None = msgspec.field(name="v1Compatibility", default=None)


class Manifest(msgspec.Struct, rename="camel"):
    """An image manifest, an index or a schema 1 manifest: what tells them apart, and what is read of each (17)."""

    schema_version: int | None = None
    media_type: str | None = None
    artifact_type: str | None = None
    manifests: list[msgspec.Raw] | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    fs_layers: list[BlobSum] | None = None
    history: list[CompatibilityRow | None] | None = None
    architecture: str | None = None


class ContainerConfig(msgspec.Struct):
    """What schema 1 keeps of the container that made a layer."""

    command: list[str] | None = msgspec.field(name="Cmd", default=None)


class V1Image(msgspec.Struct):
    """The document inside a schema 1 history line."""

    created: str | None = None
    os: str | None = None
    architecture: str | None = None
    container_config: ContainerConfig | None = None


class HistoryRow(msgspec.Struct):
    """A line of an image config's history (wire reference, 18)."""

    created_by: str | None = None
    empty_layer: bool | None = None


class ImageConfig(msgspec.Struct):
    """An image config (wire reference, 18)."""

    created: str | None = None
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = msgspec.field(name="os.version", default=None)
    history: list[HistoryRow | None] | None = None


class TagNames(msgspec.Struct):
    """The registry's tag list (wire reference, 15.4)."""

    name: str | None = None
    tags: list[str | None] | None = None
