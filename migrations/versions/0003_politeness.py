"""What other clients of the address spend, walls, names without details, and the routes that jobs belong to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.String(20).with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "walls",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("refused_offset", sa.BigInteger(), nullable=False),
        sa.Column("learned_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "identity", name=op.f("pk_walls")),
        sqlite_with_rowid=False,
    )
    op.add_column("budgets", sa.Column("answered", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("budgets", sa.Column("counted", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("budgets", sa.Column("others", sa.Float(precision=53), server_default="0", nullable=False))
    op.add_column("budgets", sa.Column("others_jump", sa.Float(precision=53), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("shard", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("listings", sa.Column("subject_updated", INSTANT, nullable=True))
    op.add_column("tags", sa.Column("is_name_only", sa.Boolean(), nullable=True))
    op.create_index(
        "ix_tags_holes",
        "tags",
        ["repository_id"],
        unique=False,
        sqlite_where=sa.text("is_name_only AND gone_at IS NULL"),
        postgresql_where=sa.text("is_name_only AND gone_at IS NULL"),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name in SQLITE_BEFORE:
        op.execute(f"DROP VIEW {name}")
    for name, select in (SQLITE if is_sqlite else POSTGRESQL).items():
        op.execute(f"CREATE VIEW {name} AS {select}")


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name in reversed(SQLITE):
        op.execute(f"DROP VIEW {name}")
    op.drop_index("ix_tags_holes", table_name="tags")
    op.drop_column("tags", "is_name_only")
    op.drop_column("listings", "subject_updated")
    op.drop_column("jobs", "shard")
    op.drop_column("budgets", "others_jump")
    op.drop_column("budgets", "others")
    op.drop_column("budgets", "counted")
    op.drop_column("budgets", "answered")
    op.drop_table("walls")
    for name, select in (SQLITE_BEFORE if is_sqlite else POSTGRESQL_BEFORE).items():
        op.execute(f"CREATE VIEW {name} AS {select}")


SQLITE = {
    "v_vanished": r"""
    SELECT 'repository' AS kind, r.full_name, NULL AS tag, r.gone_at, NULL AS last_digest
    FROM repositories r WHERE r.gone_at IS NOT NULL
    UNION ALL
    SELECT 'tag', r.full_name, t.name, t.gone_at, COALESCE(t.digest, (SELECT h.digest FROM tag_history h
        WHERE h.tag_id = t.id AND h.digest IS NOT NULL ORDER BY h.seen_from DESC LIMIT 1))
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NOT NULL""",
    "v_incomplete": r"""
    SELECT l.kind, l.subject, l.reported_count, l.rows, COALESCE(l.stop_reason, 'open') AS stop_reason, l.finished_at
    FROM listings l
    WHERE l.is_complete = 0 AND COALESCE(l.stop_reason, 'open') <> 'policy'
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.kind = l.kind AND n.subject = l.subject AND n.id > l.id
            AND n.finished_at IS NOT NULL AND n.stop_reason <> 'policy')
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.walk_key = l.walk_key AND n.id > l.id AND n.finished_at IS NOT NULL)""",
    "v_holes": r"""
    SELECT r.full_name, t.name AS tag, t.first_seen_at, t.last_seen_at
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.is_name_only AND t.gone_at IS NULL""",
}

POSTGRESQL = {
    "v_vanished": r"""
    SELECT 'repository' AS kind, r.full_name, NULL AS tag, r.gone_at, NULL AS last_digest
    FROM repositories r WHERE r.gone_at IS NOT NULL
    UNION ALL
    SELECT 'tag', r.full_name, t.name, t.gone_at, COALESCE(t.digest, (SELECT h.digest FROM tag_history h
        WHERE h.tag_id = t.id AND h.digest IS NOT NULL ORDER BY h.seen_from DESC LIMIT 1))
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NOT NULL""",
    "v_incomplete": r"""
    SELECT l.kind, l.subject, l.reported_count, l.rows, COALESCE(l.stop_reason, 'open') AS stop_reason, l.finished_at
    FROM listings l
    WHERE l.is_complete = false AND COALESCE(l.stop_reason, 'open') <> 'policy'
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.kind = l.kind AND n.subject = l.subject AND n.id > l.id
            AND n.finished_at IS NOT NULL AND n.stop_reason <> 'policy')
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.walk_key = l.walk_key AND n.id > l.id AND n.finished_at IS NOT NULL)""",
    "v_holes": r"""
    SELECT r.full_name, t.name AS tag, t.first_seen_at, t.last_seen_at
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.is_name_only AND t.gone_at IS NULL""",
}

SQLITE_BEFORE = {
    "v_vanished": r"""
    SELECT 'repository' AS kind, r.full_name, NULL AS tag, r.gone_at, NULL AS last_digest
    FROM repositories r WHERE r.gone_at IS NOT NULL
    UNION ALL
    SELECT 'tag', r.full_name, t.name, t.gone_at, t.digest
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NOT NULL""",
    "v_incomplete": r"""
    SELECT l.kind, l.subject, l.reported_count, l.rows, COALESCE(l.stop_reason, 'open') AS stop_reason, l.finished_at
    FROM listings l
    WHERE l.is_complete = 0 AND COALESCE(l.stop_reason, 'open') <> 'policy'
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.kind = l.kind AND n.subject = l.subject AND n.id > l.id
            AND n.finished_at IS NOT NULL AND n.stop_reason <> 'policy')""",
}

POSTGRESQL_BEFORE = {
    "v_vanished": r"""
    SELECT 'repository' AS kind, r.full_name, NULL AS tag, r.gone_at, NULL AS last_digest
    FROM repositories r WHERE r.gone_at IS NOT NULL
    UNION ALL
    SELECT 'tag', r.full_name, t.name, t.gone_at, t.digest
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NOT NULL""",
    "v_incomplete": r"""
    SELECT l.kind, l.subject, l.reported_count, l.rows, COALESCE(l.stop_reason, 'open') AS stop_reason, l.finished_at
    FROM listings l
    WHERE l.is_complete = false AND COALESCE(l.stop_reason, 'open') <> 'policy'
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.kind = l.kind AND n.subject = l.subject AND n.id > l.id
            AND n.finished_at IS NOT NULL AND n.stop_reason <> 'policy')""",
}
