"""The tables of the work: the queue, the runs that asked for it, the limiter's ledger, the walls. Rank 3."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, Integer, SmallInteger, text
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

LIVE = "state IN ('waiting', 'ready', 'running')"
"""The states in which a job's key is taken."""


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
        Index(
            "ix_jobs_dead",
            "kind",
            sqlite_where=text("state = 'dead'"),
            postgresql_where=text("state = 'dead'"),
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
    shard: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Stable number of its namespace; with several egress routes it decides which of them the job belongs to."""


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
    answered: Mapped[Count] = mapped_column(server_default="0")
    """Of the requests spent in this window, how many the far end's headers have spoken of."""
    counted: Mapped[Count] = mapped_column(server_default="0")
    """What the far end itself had counted in this window by its latest answer."""
    others: Mapped[float] = mapped_column(Float(53), server_default="0")
    """Requests per window that somebody else behind our address spends, as far as the headers tell."""
    others_jump: Mapped[float] = mapped_column(Float(53), server_default="0")
    """The most of those between two answers of ours, lately."""


class Wall(Base):
    """Where the far end refused to page further, so that it is not asked again."""

    __tablename__ = "walls"
    __table_args__ = (CLUSTERED,)
    kind: Mapped[str] = mapped_column(primary_key=True)
    """`tags`, `namespace` or `search`."""
    identity: Mapped[str] = mapped_column(primary_key=True)
    """`anonymous` or `account`."""
    refused_offset: Mapped[Count]
    """The lowest offset that was refused: a page that begins there or beyond is not served."""
    learned_at: Mapped[Instant]
