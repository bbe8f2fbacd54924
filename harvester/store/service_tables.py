"""The tables of the service: what is watched and when it is due, who works on this database, what days of work came to. Rank 3."""

from __future__ import annotations

from sqlalchemy import Float, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from harvester.store.columns import CLUSTERED, NEVER_REUSED, Base, Count, Id, Instant, MaybeInstant, Pk


class Watch(Base):
    """One target that the configuration watches, or has watched."""

    __tablename__ = "watches"
    __table_args__ = (
        Index(
            "uq_watches_in_force",
            "target",
            "tags",
            "layers",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_watches_due",
            "next_check_at",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        NEVER_REUSED,
    )
    id: Mapped[Pk]
    target: Mapped[str]
    """As `str(Target)` has it: `library/nginx`, `bitnami/*`, `search:prometheus`, `bitnami/redis:7.2`."""
    tags: Mapped[str]
    layers: Mapped[str]
    every_s: Mapped[int] = mapped_column(Integer)
    """Seconds from one whole pass to the next, as configured."""
    fastest_s: Mapped[int] = mapped_column(Integer)
    """No repository of it is looked at more often than this."""
    place: Mapped[int] = mapped_column(Integer)
    """In the configuration, from 0."""
    since: Mapped[Instant]
    ended_at: Mapped[MaybeInstant]
    """When the configuration ceased to name it; null: it is in force."""
    next_check_at: Mapped[MaybeInstant]
    """When its next pass is due."""
    next_counts_at: Mapped[MaybeInstant]
    """When its pull counts are due, where passes are further apart than a day; null where they are not."""
    run_id: Mapped[int | None] = mapped_column(Id, ForeignKey("runs.id"))
    """Its last pass."""


class Cadence(Base):
    """How often one watched repository was looked at, and how often it had changed."""

    __tablename__ = "cadences"
    __table_args__ = (CLUSTERED,)
    repository_id: Mapped[int] = mapped_column(Id, ForeignKey("repositories.id"), primary_key=True)
    watch_id: Mapped[int] = mapped_column(Id, ForeignKey("watches.id"))
    """Of the watches that cover it, the one with the shortest `every`."""
    interval_s: Mapped[int] = mapped_column(Integer)
    """Seconds from one look to the next."""
    checks: Mapped[float] = mapped_column(Float(53))
    changes: Mapped[float] = mapped_column(Float(53))
    """Looks, and looks that found a change; what is long ago counts less."""
    observed_s: Mapped[float] = mapped_column(Float(53))
    """Seconds in which it is known not to have changed; what is long ago counts less."""
    checked_at: Mapped[MaybeInstant]
    """The last look."""
    seen_updated: Mapped[MaybeInstant]
    """`last_updated` at the last look."""


class Process(Base):
    """Who works on this database."""

    __tablename__ = "processes"
    __table_args__ = (CLUSTERED,)
    owner: Mapped[str] = mapped_column(primary_key=True)
    """As in `jobs.lease_owner`: host, process id and something random."""
    command: Mapped[str]
    """`run` or `backfill`."""
    version: Mapped[str]
    started_at: Mapped[Instant]
    seen_at: Mapped[Instant]
    """Renewed with its leases."""
    stretch: Mapped[float] = mapped_column(Float(53), server_default="1")
    """By how much it makes all passes later than configured, because the budget does not meet them."""


class WorkDay(Base):
    """What became of the jobs of one day, of which the rows are gone."""

    __tablename__ = "work_days"
    __table_args__ = (CLUSTERED,)
    day: Mapped[str] = mapped_column(primary_key=True)
    """UTC, `2026-11-20`."""
    kind: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    """`done` or `dead`."""
    jobs: Mapped[Count]
    attempts: Mapped[Count]
