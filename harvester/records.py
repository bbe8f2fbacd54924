"""What the far end said, as typed values between `wire` and `store`. Rank 1.

Instants are text as `clock.instant` writes them (UTC, whole seconds, truncated); sizes are bytes; text is free of NUL and lone
surrogates. Null means that the answer did not say: the store never lets it overwrite what is known.
"""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec

Row = TypeVar("Row")

Source = Literal["detail", "listing", "search"]
"""Which kind of answer a repository's numbers came from."""

ImageKind = Literal["image", "attestation", "artifact"]

WalkKind = Literal["tags", "tag_names", "namespace", "search"]

StopReason = Literal["end", "known", "policy", "wall", "denied", "throttled", "error"]


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """One repository as a detail, a namespace row or a search row shows it (wire reference, 4.1, 4.2, 8.1)."""

    namespace: str
    name: str
    source: Source
    pull_count: int
    star_count: int | None = None
    description: str | None = None
    full_description: str | None = None
    last_updated: str | None = None
    """Last push of content; null also when nothing was ever pushed."""
    last_modified: str | None = None
    """Last change of the metadata."""
    date_registered: str | None = None
    status: int | None = None
    status_description: str | None = None
    repository_type: str | None = None
    is_automated: bool | None = None
    is_private: bool | None = None
    hub_user: str | None = None
    affiliation: str | None = None
    collaborator_count: int | None = None
    categories: str | None = None
    """JSON array of `{name, slug}`."""
    content_types: str | None = None
    """JSON array of text."""
    media_types: str | None = None
    """JSON array of text."""
    storage_size: int | None = None
    """Bytes."""
    immutable_tags: str | None = None
    """JSON object `{enabled, rules}`."""
    created_from: str | None = None
    """The far end's own `source`: where the repository was created from."""

    @property
    def full_name(self) -> str:
        """`library/nginx`."""
        return f"{self.namespace}/{self.name}"


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """One image of a tag: an element of `images` (wire reference, 5.1)."""

    digest: str
    kind: ImageKind
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = None
    size: int | None = None
    """Sum of the compressed layers, bytes; 0 is stored as sent."""
    status: str | None = None
    last_pulled: str | None = None
    last_pushed: str | None = None


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """One tag with its platforms (wire reference, 5.1)."""

    name: str
    digest: str | None = None
    """What the tag resolves to; null when the answer does not tell."""
    media_type: str | None = None
    content_type: str | None = None
    full_size: int | None = None
    status: str | None = None
    last_updated: str | None = None
    last_pushed: str | None = None
    last_pulled: str | None = None
    last_updater: str | None = None
    platforms: tuple[Platform, ...] = ()
    """Distinct digests, in the order of the answer; empty when the answer names none."""


class Layer(msgspec.Struct, frozen=True):
    """One line of an image's history, oldest first."""

    digest: str | None
    """Null: an instruction that made no layer."""
    size: int | None
    """Compressed bytes."""
    instruction: str
    media_type: str | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One platform manifest with its layers, from `/images` (wire reference, 6) or from the registry (17, 18)."""

    platform: Platform
    layers: tuple[Layer, ...]
    layers_from: Literal["hub", "registry"]
    media_type: str | None = None
    config_digest: str | None = None
    created_at: str | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One row that was not stored because its shape or its values are impossible."""

    path: str
    """JSON path in the answer."""
    reason: str
    sample: str
    """At most 2 KiB of the row."""


class Page(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """One page of a list of the far end."""

    rows: tuple[Row, ...]
    refused: tuple[Refused, ...] = ()
    reported_count: int | None = None
    """The far end's count of the whole list; null when the answer has none."""
    next_page: str | None = None
    """Query of the page that follows, as the far end gave it; null at the end."""


# What a handler found, for the store to keep.


class RepositorySeen(msgspec.Struct, frozen=True, kw_only=True):
    """A repository was seen."""

    repository: Repository


class TagsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Tags of one repository were seen, in a list or one by one."""

    repository: str
    """Full name."""
    tags: tuple[Tag, ...]
    source: Literal["listing", "detail"]


class LayersSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The layers behind a tag's digest became known."""

    tag_digest: str | None
    """The digest that the tag had when it was listed; null when a single platform manifest was asked for."""
    images: tuple[Image, ...]
    repository: str | None = None
    tag: str | None = None
    """The tag that was asked for."""


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """The far end says that a repository, or a tag of it, is not there."""

    repository: str
    tag: str | None = None


class NamesSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The registry listed the names of a repository's tags: all there are."""

    repository: str
    names: tuple[str, ...]


class WalkStep(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a walk of a list, and how the walk stands after it."""

    walk: str
    """Key of the walk (`jobs.walk_key`)."""
    is_first: bool
    kind: WalkKind
    subject: str
    """Full name, namespace or query."""
    names: tuple[str, ...] = ()
    """Repositories that the page showed, so that distinct ones can be counted; a page of tags has its tags."""
    reported_count: int | None = None
    refused: int = 0
    stop_reason: StopReason | None = None
    """Null: the walk goes on."""
    next_page: str | None = None
    updated: str | None = None
    """The repository's own `last_updated` when the walk began."""
    is_whole: bool = True
    """Whether all of the list is wanted, by the policy of the walk."""
    may_end_known: bool = False
    """Whether the list runs newest first, so that the walk may end where everything further on is known."""
    identity: Literal["anonymous", "account"] = "anonymous"
    """As whom the page was asked for: walls stand for anonymous clients."""
    offset: int = 0
    """Rows before this page."""
    next_offset: int | None = None
    """Rows before the next page; null at the end."""


class Drifted(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, or a row of one, had another shape than the one known."""

    subject: str
    url: str
    refused: Refused


Record = RepositorySeen | TagsSeen | NamesSeen | LayersSeen | Absent | WalkStep | Drifted
