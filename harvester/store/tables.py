"""The tables of what the far end shows, once for SQLite and PostgreSQL. Rank 3.

What was so before stands in `history_tables`, the work in `work_tables`; here all of them can be imported.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from harvester.store.columns import (
    CLUSTERED,
    NEVER_REUSED,
    Base,
    Count,
    Id,
    Instant,
    MaybeCount,
    MaybeInstant,
    Pk,
)
from harvester.store.history_tables import (
    Chapter,
    Delivery,
    Event,
    IndexImage,
    ManifestIndex,
    Notifier,
    PullHistory,
    TagHistory,
)
from harvester.store.service_tables import Cadence, Process, Watch, WorkDay
from harvester.store.work_tables import BudgetRow, Job, Run, RunJob, Wall

__all__ = [
    "Base",
    "BudgetRow",
    "Cadence",
    "Chapter",
    "Delivery",
    "Event",
    "IndexImage",
    "Job",
    "ManifestIndex",
    "Notifier",
    "Process",
    "PullHistory",
    "Run",
    "RunJob",
    "TagHistory",
    "Wall",
    "Watch",
    "WorkDay",
]


class Repository(Base):
    __tablename__ = "repositories"
    __table_args__ = (
        Index("ix_repositories_namespace", "namespace"),
        Index(
            "ix_repositories_next_check_at",
            "next_check_at",
            sqlite_where=text("next_check_at IS NOT NULL"),
            postgresql_where=text("next_check_at IS NOT NULL"),
        ),
        NEVER_REUSED,
    )
    id: Mapped[Pk]
    namespace: Mapped[str]
    name: Mapped[str]
    full_name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    full_description: Mapped[str | None]
    pull_count: Mapped[MaybeCount]
    star_count: Mapped[MaybeCount]
    last_updated: Mapped[MaybeInstant]
    last_modified: Mapped[MaybeInstant]
    date_registered: Mapped[MaybeInstant]
    status: Mapped[MaybeCount]
    status_description: Mapped[str | None]
    repository_type: Mapped[str | None]
    is_official: Mapped[bool]
    is_automated: Mapped[bool | None]
    is_private: Mapped[bool | None]
    hub_user: Mapped[str | None]
    affiliation: Mapped[str | None]
    collaborator_count: Mapped[MaybeCount]
    categories: Mapped[str | None]
    content_types: Mapped[str | None]
    media_types: Mapped[str | None]
    storage_size: Mapped[MaybeCount]
    immutable_tags: Mapped[str | None]
    source: Mapped[str | None]
    first_seen_at: Mapped[Instant]
    last_seen_at: Mapped[Instant]
    gone_at: Mapped[MaybeInstant]
    next_check_at: Mapped[MaybeInstant]
    """When a watched repository is looked at next; null where nothing watches it."""
    detailed_at: Mapped[MaybeInstant]
    """When the detail was last stored."""
    detail_last_modified: Mapped[MaybeInstant]
    """`last_modified` of the detail that is stored."""
    tags_walked_at: Mapped[MaybeInstant]
    """When the last complete walk of all tags began."""
    tags_last_updated: Mapped[MaybeInstant]
    """`last_updated` as it stood when that walk began."""
    chapter: Mapped[int] = mapped_column(Integer, server_default="1")
    """How often this name has been registered, as far as is known."""
    looked_at: Mapped[MaybeInstant]
    """When an answer last showed `last_updated`, which a search never does."""


class Tag(Base):
    __tablename__ = "tags"
    __table_args__ = (
        Index("uq_tags_repository_id_name", "repository_id", "name", unique=True),
        Index(
            "ix_tags_holes",
            "repository_id",
            sqlite_where=text("is_name_only AND gone_at IS NULL"),
            postgresql_where=text("is_name_only AND gone_at IS NULL"),
        ),
        NEVER_REUSED,
    )
    id: Mapped[Pk]
    repository_id: Mapped[int] = mapped_column(Id, ForeignKey("repositories.id"))
    name: Mapped[str]
    digest: Mapped[str | None]
    media_type: Mapped[str | None]
    content_type: Mapped[str | None]
    full_size: Mapped[MaybeCount]
    status: Mapped[str | None]
    last_updated: Mapped[MaybeInstant]
    last_pushed: Mapped[MaybeInstant]
    last_pulled: Mapped[MaybeInstant]
    last_updater: Mapped[str | None]
    first_seen_at: Mapped[Instant]
    last_seen_at: Mapped[Instant]
    gone_at: Mapped[MaybeInstant]
    is_name_only: Mapped[bool | None]
    """True: only the registry's list of names has shown it; null as soon as an answer described it."""


class Image(Base):
    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("kind IN ('image', 'attestation', 'artifact')", name="kind"),
        Index(
            "ix_images_config_digest",
            "config_digest",
            sqlite_where=text("config_digest IS NOT NULL"),
            postgresql_where=text("config_digest IS NOT NULL"),
        ),
        NEVER_REUSED,
    )
    id: Mapped[Pk]
    digest: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    os: Mapped[str | None]
    architecture: Mapped[str | None]
    variant: Mapped[str | None]
    os_version: Mapped[str | None]
    size: Mapped[MaybeCount]
    media_type: Mapped[str | None]
    config_digest: Mapped[str | None]
    created_at: Mapped[MaybeInstant]
    layers_from: Mapped[str | None]


class TagImage(Base):
    __tablename__ = "tag_images"
    __table_args__ = (Index("ix_tag_images_image_id", "image_id"), CLUSTERED)
    tag_id: Mapped[int] = mapped_column(Id, ForeignKey("tags.id"), primary_key=True)
    image_id: Mapped[int] = mapped_column(Id, ForeignKey("images.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    size: Mapped[MaybeCount]
    status: Mapped[str | None]
    last_pulled: Mapped[MaybeInstant]
    last_pushed: Mapped[MaybeInstant]


class Layer(Base):
    __tablename__ = "layers"
    __table_args__ = (NEVER_REUSED,)
    id: Mapped[Pk]
    digest: Mapped[str] = mapped_column(unique=True)
    size: Mapped[MaybeCount]
    media_type: Mapped[str | None]
    first_seen_at: Mapped[Instant]


class Instruction(Base):
    __tablename__ = "instructions"
    __table_args__ = (NEVER_REUSED,)
    id: Mapped[Pk]
    text: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """16 bytes of the text's BLAKE2b: keeps the text unique at a tenth of the size that an index on it would have."""


class ImageLayer(Base):
    __tablename__ = "image_layers"
    __table_args__ = (
        Index(
            "ix_image_layers_layer_id",
            "layer_id",
            sqlite_where=text("layer_id IS NOT NULL"),
            postgresql_where=text("layer_id IS NOT NULL"),
        ),
        CLUSTERED,
    )
    image_id: Mapped[int] = mapped_column(Id, ForeignKey("images.id"), primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True)
    layer_id: Mapped[int | None] = mapped_column(Id, ForeignKey("layers.id"))
    instruction_id: Mapped[int | None] = mapped_column(Id, ForeignKey("instructions.id"))


class HarvestedDigest(Base):
    """Tag digests whose layers were asked for, ever: none is asked for twice."""

    __tablename__ = "harvested_digests"
    __table_args__ = (CLUSTERED,)
    digest: Mapped[str] = mapped_column(primary_key=True)
    harvested_at: Mapped[Instant]


class Absence(Base):
    """Names that answered 404, known to us or not. A second one in a later pass makes a known name gone."""

    __tablename__ = "absences"
    __table_args__ = (CLUSTERED,)
    subject: Mapped[str] = mapped_column(primary_key=True)
    """`library/nginx` or `library/nginx:1.27`."""
    first_missing_at: Mapped[Instant]
    last_missing_at: Mapped[Instant]
    passes: Mapped[int] = mapped_column(Integer)


class Listing(Base):
    __tablename__ = "listings"
    __table_args__ = (
        Index("ix_listings_walk_key", "walk_key", "started_at"),
        Index("ix_listings_kind_subject", "kind", "subject"),
        Index(
            "ix_listings_repository_id",
            "repository_id",
            sqlite_where=text("repository_id IS NOT NULL"),
            postgresql_where=text("repository_id IS NOT NULL"),
        ),
        NEVER_REUSED,
    )
    id: Mapped[Pk]
    kind: Mapped[str]
    subject: Mapped[str]
    repository_id: Mapped[int | None] = mapped_column(Id, ForeignKey("repositories.id"))
    started_at: Mapped[Instant]
    finished_at: Mapped[MaybeInstant]
    reported_count: Mapped[MaybeCount]
    rows: Mapped[Count]
    stop_reason: Mapped[str | None]
    is_complete: Mapped[bool]
    first_count: Mapped[MaybeCount]
    """The far end's count on the first page: where the last page has another, the list moved while it was read."""
    refused: Mapped[Count]
    """Rows that were not stored because they were impossible."""
    next_page: Mapped[str | None]
    walk_key: Mapped[str]
    subject_updated: Mapped[MaybeInstant]
    """The repository's `last_updated` when a walk of its tags began: while it stays, the walk would see the same."""


class ListingName(Base):
    """Names met by a walk of several pages, so that each is counted once and another run can follow from them."""

    __tablename__ = "listing_names"
    __table_args__ = (CLUSTERED,)
    listing_id: Mapped[int] = mapped_column(Id, ForeignKey("listings.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
