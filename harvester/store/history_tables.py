"""The tables of what was so before, what changed, and who was told. Rank 3."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, SmallInteger, text
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


class PullHistory(Base):
    __tablename__ = "pull_history"
    __table_args__ = (CLUSTERED,)
    repository_id: Mapped[int] = mapped_column(Id, ForeignKey("repositories.id"), primary_key=True)
    observed_at: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    pull_count: Mapped[Count]
    star_count: Mapped[MaybeCount]
    source: Mapped[int] = mapped_column(SmallInteger)


class TagHistory(Base):
    """A tag's intervals on digests: each ends where the next begins."""

    __tablename__ = "tag_history"
    __table_args__ = (
        Index(
            "ix_tag_history_digest",
            "digest",
            sqlite_where=text("digest IS NOT NULL"),
            postgresql_where=text("digest IS NOT NULL"),
        ),
        CLUSTERED,
    )
    tag_id: Mapped[int] = mapped_column(Id, ForeignKey("tags.id"), primary_key=True)
    seen_from: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """When it was first seen so: never said to be when it was pushed or created."""
    digest: Mapped[str | None]
    seen_until: Mapped[MaybeCount]
    """When it was first seen otherwise; null: still so."""
    pushed_at: Mapped[MaybeCount]
    """The far end's own date of the push that began it."""
    source: Mapped[str]
    last_seen: Mapped[MaybeCount]
    """When it was last seen so; null: what `tags.last_seen_at` says, as long as it is the latest."""
    last_updater: Mapped[str | None]
    """Who pushed, as the far end names them."""
    pushes: Mapped[str | None]
    """Where it was pushed several times: JSON array of `[first seen, last seen, pushed_at, last_updater, source]`."""


class ManifestIndex(Base):
    """Index digests that tags have pointed to and do no more."""

    __tablename__ = "indexes"
    __table_args__ = (NEVER_REUSED,)
    id: Mapped[Pk]
    digest: Mapped[str] = mapped_column(unique=True)


class IndexImage(Base):
    """What an index consisted of, kept when the last tag that showed it moves on."""

    __tablename__ = "index_images"
    __table_args__ = (Index("ix_index_images_image_id", "image_id"), CLUSTERED)
    index_id: Mapped[int] = mapped_column(Id, ForeignKey("indexes.id"), primary_key=True)
    image_id: Mapped[int] = mapped_column(Id, ForeignKey("images.id"), primary_key=True)


class Chapter(Base):
    """What a name was before somebody registered it anew: its last known state."""

    __tablename__ = "chapters"
    __table_args__ = (CLUSTERED,)
    repository_id: Mapped[int] = mapped_column(Id, ForeignKey("repositories.id"), primary_key=True)
    chapter: Mapped[int] = mapped_column(Integer, primary_key=True)
    first_seen_at: Mapped[Instant]
    last_seen_at: Mapped[Instant]
    ended_at: Mapped[Instant]
    """When the next registration was first seen."""
    date_registered: Mapped[MaybeInstant]
    hub_user: Mapped[str | None]
    description: Mapped[str | None]
    pull_count: Mapped[MaybeCount]
    star_count: Mapped[MaybeCount]
    tag_count: Mapped[Count]
    """Tags that were closed with it."""


class Event(Base):
    """What changed, one row each, never altered."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_kind_observed_at", "kind", "observed_at"),
        Index("ix_events_observed_at", "observed_at"),
        Index(
            "ix_events_repository_id",
            "repository_id",
            sqlite_where=text("repository_id IS NOT NULL"),
            postgresql_where=text("repository_id IS NOT NULL"),
        ),
        Index(
            "ix_events_tag_id",
            "tag_id",
            sqlite_where=text("tag_id IS NOT NULL"),
            postgresql_where=text("tag_id IS NOT NULL"),
        ),
        NEVER_REUSED,
    )
    id: Mapped[Pk]
    happened_at: Mapped[MaybeInstant]
    """The far end's own date, where it has one."""
    observed_at: Mapped[Instant]
    kind: Mapped[str]
    repository_id: Mapped[int | None] = mapped_column(Id, ForeignKey("repositories.id"))
    tag_id: Mapped[int | None] = mapped_column(Id, ForeignKey("tags.id"))
    detail: Mapped[str]
    """JSON object: the evidence."""
    rank: Mapped[int] = mapped_column(SmallInteger, server_default="3")
    """1: look at it now; 2: worth knowing; 3: the run of things."""


class Notifier(Base):
    """How far each receiver of events has been served with new ones."""

    __tablename__ = "notifiers"
    __table_args__ = (CLUSTERED,)
    name: Mapped[str] = mapped_column(primary_key=True)
    last_event_id: Mapped[Count]
    """Events up to this one have been looked at: what its filters let through stands in `deliveries`."""
    enrolled_at: Mapped[Instant]
    uuid: Mapped[str]
    """Random: keeps the ids in its feed apart from those of every other database's."""


class Delivery(Base):
    """The outbox: one event for one receiver."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'done', 'dead')", name="state"),
        CheckConstraint("(state = 'waiting') = (finished_at IS NULL)", name="finished"),
        Index("uq_deliveries_notifier_event_id", "notifier", "event_id", unique=True),
        Index("ix_deliveries_event_id", "event_id"),
        Index(
            "ix_deliveries_waiting",
            "notifier",
            "subject",
            "event_id",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_deliveries_dead",
            "notifier",
            sqlite_where=text("state = 'dead'"),
            postgresql_where=text("state = 'dead'"),
        ),
        NEVER_REUSED,
    )
    id: Mapped[Pk]
    notifier: Mapped[str]
    event_id: Mapped[int] = mapped_column(Id, ForeignKey("events.id"))
    subject: Mapped[str]
    """What the event is about; within one subject, events are delivered in their order."""
    state: Mapped[str]
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    run_at: Mapped[Instant]
    last_error: Mapped[str | None]
    finished_at: Mapped[MaybeInstant]
