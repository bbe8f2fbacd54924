"""What the service watches and when it is due, who works on the database, what days of work came to; and indexes to forget by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSTANT = sa.String(20).with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

BY_REPOSITORY = (
    ("ix_events_repository_id", "events", "repository_id"),
    ("ix_events_tag_id", "events", "tag_id"),
    ("ix_listings_repository_id", "listings", "repository_id"),
)

_GAINED = """
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > to_timestamp(p.observed_at) AND c.ended_at <= to_timestamp(n.observed_at))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - {0} * 86400 - 43200 AND n.observed_at - {0} * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_{0}d,"""
# PostgreSQL alone: there a view keeps the columns that its tables had when it was made.
V_REPOSITORIES = f"""
    SELECT r.*, (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL) AS tag_count,
        {"".join(_GAINED.format(days) for days in (1, 7, 30)).strip()}
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r"""


def upgrade() -> None:
    op.create_table(
        "watches",
        sa.Column("id", ID, nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("layers", sa.Text(), nullable=False),
        sa.Column("every_s", sa.Integer(), nullable=False),
        sa.Column("fastest_s", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("next_check_at", INSTANT, nullable=True),
        sa.Column("next_counts_at", INSTANT, nullable=True),
        sa.Column("run_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_watches_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watches")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_watches_in_force",
        "watches",
        ["target", "tags", "layers"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_watches_due",
        "watches",
        ["next_check_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "cadences",
        sa.Column("repository_id", ID, nullable=False),
        sa.Column("watch_id", ID, nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("checks", sa.Float(precision=53), nullable=False),
        sa.Column("changes", sa.Float(precision=53), nullable=False),
        sa.Column("observed_s", sa.Float(precision=53), nullable=False),
        sa.Column("checked_at", INSTANT, nullable=True),
        sa.Column("seen_updated", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name=op.f("fk_cadences_repository_id")),
        sa.ForeignKeyConstraint(["watch_id"], ["watches.id"], name=op.f("fk_cadences_watch_id")),
        sa.PrimaryKeyConstraint("repository_id", name=op.f("pk_cadences")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "processes",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("stretch", sa.Float(precision=53), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_processes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "work_days",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", "state", name=op.f("pk_work_days")),
        sqlite_with_rowid=False,
    )
    op.add_column("repositories", sa.Column("looked_at", INSTANT, nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP VIEW v_repositories")
        op.execute(f"CREATE VIEW v_repositories AS {V_REPOSITORIES}")
    op.create_index(
        "ix_repositories_next_check_at",
        "repositories",
        ["next_check_at"],
        unique=False,
        sqlite_where=sa.text("next_check_at IS NOT NULL"),
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_dead",
        "jobs",
        ["kind"],
        unique=False,
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index(
        "ix_deliveries_dead",
        "deliveries",
        ["notifier"],
        unique=False,
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    for name, table, column in BY_REPOSITORY:
        op.create_index(
            name,
            table,
            [column],
            unique=False,
            sqlite_where=sa.text(f"{column} IS NOT NULL"),
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index("ix_deliveries_event_id", "deliveries", ["event_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_deliveries_event_id", table_name="deliveries")
    for name, table, _ in reversed(BY_REPOSITORY):
        op.drop_index(name, table_name=table)
    op.drop_index("ix_deliveries_dead", table_name="deliveries")
    op.drop_index("ix_jobs_dead", table_name="jobs")
    op.drop_index("ix_repositories_next_check_at", table_name="repositories")
    is_server = op.get_bind().dialect.name == "postgresql"
    if is_server:
        op.execute("DROP VIEW v_repositories")
    op.drop_column("repositories", "looked_at")
    if is_server:
        op.execute(f"CREATE VIEW v_repositories AS {V_REPOSITORIES}")
    op.drop_table("work_days")
    op.drop_table("processes")
    op.drop_table("cadences")
    op.drop_index("ix_watches_due", table_name="watches")
    op.drop_index("uq_watches_in_force", table_name="watches")
    op.drop_table("watches")
