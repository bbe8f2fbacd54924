"""Every table, once for SQLite and PostgreSQL. Rank 3.

Entity tables hold instants that people can read and compare as text (`2026-11-20T16:00:00Z`); `pull_history` and `tag_history`
hold whole UTC seconds. Text is bound unchanged on the hot path, so columns are plain text and numbers; JSON is text too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

LIVE = "state IN ('waiting', 'ready', 'running')"
"""The states in which a job's key is taken."""


class InstantType(TypeDecorator[str]):
    """Text of the form that `clock.instant` writes; `timestamptz` on PostgreSQL, the same text in Python."""

    impl = String(20)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(20))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and (len(value) != 20 or not value.endswith("Z")):
            raise ValueError(f"not an instant of whole UTC seconds: {value!r}")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if isinstance(value, datetime):
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return None if value is None else str(value)


Id = BigInteger().with_variant(Integer, "sqlite")
Pk = Annotated[int, mapped_column(Id, primary_key=True)]
Count = Annotated[int, mapped_column(BigInteger)]
MaybeCount = Annotated[int | None, mapped_column(BigInteger)]
Instant = Annotated[str, mapped_column(InstantType)]
MaybeInstant = Annotated[str | None, mapped_column(InstantType)]

NEVER_REUSED = {"sqlite_autoincrement": True}
CLUSTERED = {"sqlite_with_rowid": False}


class Base(DeclarativeBase):
    """The schema; every constraint has a name that a migration can drop."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[Any] = {str: Text, bool: Boolean}


class Repository(Base):
    __tablename__ = "repositories"
    __table_args__ = (Index("ix_repositories_namespace", "namespace"), NEVER_REUSED)
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
    detailed_at: Mapped[MaybeInstant]
    """When the detail was last stored."""
    detail_last_modified: Mapped[MaybeInstant]
    """`last_modified` of the detail that is stored."""
    tags_walked_at: Mapped[MaybeInstant]
    """When the last complete walk of all tags began."""
    tags_last_updated: Mapped[MaybeInstant]
    """`last_updated` as it stood when that walk began."""


class Tag(Base):
    __tablename__ = "tags"
    __table_args__ = (
        Index("uq_tags_repository_id_name", "repository_id", "name", unique=True),
        Index(
            "ix_tags_digest",
            "digest",
            sqlite_where=text("digest IS NOT NULL"),
            postgresql_where=text("digest IS NOT NULL"),
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


class Image(Base):
    __tablename__ = "images"
    __table_args__ = (CheckConstraint("kind IN ('image', 'attestation', 'artifact')", name="kind"), NEVER_REUSED)
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


class PullHistory(Base):
    __tablename__ = "pull_history"
    __table_args__ = (CLUSTERED,)
    repository_id: Mapped[int] = mapped_column(Id, ForeignKey("repositories.id"), primary_key=True)
    observed_at: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    pull_count: Mapped[Count]
    star_count: Mapped[MaybeCount]
    source: Mapped[int] = mapped_column(SmallInteger)


class TagHistory(Base):
    __tablename__ = "tag_history"
    __table_args__ = (CLUSTERED,)
    tag_id: Mapped[int] = mapped_column(Id, ForeignKey("tags.id"), primary_key=True)
    seen_from: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    digest: Mapped[str | None]
    seen_until: Mapped[MaybeCount]
    pushed_at: Mapped[MaybeCount]
    source: Mapped[str]


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


class ListingName(Base):
    """Names met by a walk of several pages, so that each is counted once and another run can follow from them."""

    __tablename__ = "listing_names"
    __table_args__ = (CLUSTERED,)
    listing_id: Mapped[int] = mapped_column(Id, ForeignKey("listings.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class Event(Base):
    __tablename__ = "events"
    __table_args__ = (Index("ix_events_kind_observed_at", "kind", "observed_at"), NEVER_REUSED)
    id: Mapped[Pk]
    happened_at: Mapped[MaybeInstant]
    observed_at: Mapped[Instant]
    kind: Mapped[str]
    repository_id: Mapped[int | None] = mapped_column(Id, ForeignKey("repositories.id"))
    tag_id: Mapped[int | None] = mapped_column(Id, ForeignKey("tags.id"))
    detail: Mapped[str]


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'ready', 'running', 'done', 'dead')", name="state"),
        CheckConstraint("(state = 'running') = (lease_owner IS NOT NULL)", name="lease"),
        CheckConstraint("(state IN ('done', 'dead')) = (finished_at IS NOT NULL)", name="finished"),
        Index("uq_jobs_live_key", "key", unique=True, sqlite_where=text(LIVE), postgresql_where=text(LIVE)),
        Index("ix_jobs_key", "key"),
        Index(
            "ix_jobs_claim",
            "lane",
            "priority",
            "run_at",
            "id",
            sqlite_where=text("state = 'ready'"),
            postgresql_where=text("state = 'ready'"),
        ),
        Index(
            "ix_jobs_due",
            "run_at",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_jobs_lease",
            "lease_until",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        NEVER_REUSED,
    )
    id: Mapped[Pk]
    kind: Mapped[str]
    lane: Mapped[str]
    key: Mapped[str]
    args: Mapped[str]
    priority: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str]
    run_at: Mapped[Instant]
    attempt: Mapped[int] = mapped_column(Integer)
    max_attempts: Mapped[int] = mapped_column(Integer)
    rescues: Mapped[int] = mapped_column(Integer, server_default="0")
    """How often the process that worked on it ended without a word."""
    lease_owner: Mapped[str | None]
    lease_until: Mapped[MaybeInstant]
    last_error: Mapped[str | None]
    fresh_after: Mapped[Instant]
    created_at: Mapped[Instant]
    finished_at: Mapped[MaybeInstant]


class Run(Base):
    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_fingerprint", "fingerprint"), NEVER_REUSED)
    id: Mapped[Pk]
    fingerprint: Mapped[str]
    """Targets and options in one canonical text: the same command again finds its run by it."""
    started_at: Mapped[Instant]
    pass_began_at: Mapped[Instant]
    """What was stored at this instant or later is not asked again."""
    finished_at: Mapped[MaybeInstant]


class RunJob(Base):
    __tablename__ = "run_jobs"
    __table_args__ = (Index("ix_run_jobs_job_id", "job_id"), CLUSTERED)
    run_id: Mapped[int] = mapped_column(Id, ForeignKey("runs.id"), primary_key=True)
    job_id: Mapped[int] = mapped_column(Id, ForeignKey("jobs.id"), primary_key=True)


class BudgetRow(Base):
    __tablename__ = "budgets"
    budget: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    identity: Mapped[str] = mapped_column(primary_key=True)
    """`anonymous`, `account`, or the hash of a credential that was refused."""
    limit_count: Mapped[Count]
    """Requests that the far end, or the configuration, allows in a window."""
    cap: Mapped[Count]
    """Requests that we allow ourselves in a window."""
    window_s: Mapped[float] = mapped_column(Float(53))
    window_ends_at: Mapped[float] = mapped_column(Float(53))
    """Seconds since the epoch, as are the other instants of this table: permits are finer than seconds."""
    spent: Mapped[Count]
    remaining: Mapped[MaybeCount]
    next_at: Mapped[float] = mapped_column(Float(53))
    """When the next permit is due if nobody saved any up."""
    not_before: Mapped[float] = mapped_column(Float(53))
    closed_reason: Mapped[str | None]
    refusals: Mapped[int] = mapped_column(Integer)
    """Edge blocks in a row; each makes the next pause longer."""
    source: Mapped[str]
    """`configuration` or `header`: where the limit comes from."""
    seen_at: Mapped[float] = mapped_column(Float(53))
