"""Intervals with their last sight and pusher, past indexes, chapters of a name, ranked events, and the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.String(20).with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name in reversed(list(SQLITE_BEFORE)):
        op.execute(f"DROP VIEW {name}")
    op.add_column("repositories", sa.Column("chapter", sa.Integer(), server_default="1", nullable=False))
    op.add_column("tag_history", sa.Column("last_seen", sa.BigInteger(), nullable=True))
    op.add_column("tag_history", sa.Column("last_updater", sa.Text(), nullable=True))
    op.add_column("tag_history", sa.Column("pushes", sa.Text(), nullable=True))
    op.create_index(
        "ix_tag_history_digest",
        "tag_history",
        ["digest"],
        unique=False,
        sqlite_where=sa.text("digest IS NOT NULL"),
        postgresql_where=sa.text("digest IS NOT NULL"),
    )
    op.create_index(
        "ix_images_config_digest",
        "images",
        ["config_digest"],
        unique=False,
        sqlite_where=sa.text("config_digest IS NOT NULL"),
        postgresql_where=sa.text("config_digest IS NOT NULL"),
    )
    op.add_column("events", sa.Column("rank", sa.SmallInteger(), server_default="3", nullable=False))
    op.create_index("ix_events_observed_at", "events", ["observed_at"], unique=False)
    op.create_table(
        "indexes",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_indexes")),
        sa.UniqueConstraint("digest", name=op.f("uq_indexes_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "index_images",
        sa.Column("index_id", ID, nullable=False),
        sa.Column("image_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["index_id"], ["indexes.id"], name=op.f("fk_index_images_index_id")),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_index_images_image_id")),
        sa.PrimaryKeyConstraint("index_id", "image_id", name=op.f("pk_index_images")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_index_images_image_id", "index_images", ["image_id"], unique=False)
    op.create_table(
        "chapters",
        sa.Column("repository_id", ID, nullable=False),
        sa.Column("chapter", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=False),
        sa.Column("date_registered", INSTANT, nullable=True),
        sa.Column("hub_user", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("pull_count", sa.BigInteger(), nullable=True),
        sa.Column("star_count", sa.BigInteger(), nullable=True),
        sa.Column("tag_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], name=op.f("fk_chapters_repository_id")),
        sa.PrimaryKeyConstraint("repository_id", "chapter", name=op.f("pk_chapters")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notifiers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_event_id", sa.BigInteger(), nullable=False),
        sa.Column("enrolled_at", INSTANT, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notifiers")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("notifier", sa.Text(), nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run_at", INSTANT, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'done', 'dead')", name=op.f("ck_deliveries_state")),
        sa.CheckConstraint("(state = 'waiting') = (finished_at IS NULL)", name=op.f("ck_deliveries_finished")),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_deliveries_event_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_deliveries_notifier_event_id", "deliveries", ["notifier", "event_id"], unique=True)
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["notifier", "subject", "event_id"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    for name, select in (SQLITE if is_sqlite else POSTGRESQL).items():
        op.execute(f"CREATE VIEW {name} AS {select}")


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name in reversed(list(SQLITE)):
        op.execute(f"DROP VIEW {name}")
    for table in ("deliveries", "notifiers", "chapters", "index_images", "indexes"):
        op.drop_table(table)
    op.drop_index("ix_events_observed_at", table_name="events")
    op.drop_column("events", "rank")
    op.drop_index("ix_images_config_digest", table_name="images")
    op.drop_index("ix_tag_history_digest", table_name="tag_history")
    op.drop_column("tag_history", "pushes")
    op.drop_column("tag_history", "last_updater")
    op.drop_column("tag_history", "last_seen")
    op.drop_column("repositories", "chapter")
    for name, select in (SQLITE_BEFORE if is_sqlite else POSTGRESQL_BEFORE).items():
        op.execute(f"CREATE VIEW {name} AS {select}")


# Views, frozen.

SQLITE = {
    "v_repositories": r"""
    SELECT r.*, (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL) AS tag_count,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 1 * 86400 - 43200 AND n.observed_at - 1 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_1d,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 7 * 86400 - 43200 AND n.observed_at - 7 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_7d,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 30 * 86400 - 43200 AND n.observed_at - 30 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_30d,
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r""",
    "v_tag_timeline": r"""
    SELECT r.full_name, t.name AS tag, h.digest, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until, strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.source,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL AND h.digest IS NOT NULL
            THEN t.last_seen_at ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen, h.last_updater
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id""",
    "v_events": r"""
    SELECT e.id, e.observed_at AS observed_at, e.happened_at AS happened_at, e.rank, e.kind,
        r.full_name, t.name AS tag, e.detail
    FROM events e LEFT JOIN repositories r ON r.id = e.repository_id LEFT JOIN tags t ON t.id = e.tag_id""",
    "v_digest_whereis": r"""
    SELECT h.digest AS digest, CASE WHEN i.id IS NULL THEN 'index' ELSE 'image' END AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN t.last_seen_at
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until
    LEFT JOIN images i ON i.digest = h.digest WHERE h.digest IS NOT NULL
    UNION ALL
    SELECT i.digest AS digest, 'image' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN t.last_seen_at
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM images i JOIN tag_history h ON h.digest IN (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE h.digest <> i.digest
    UNION ALL
    SELECT i.digest AS digest, 'image' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, t.gone_at AS seen_until,
        t.last_seen_at AS last_seen, t.last_pushed AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM images i JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL
    UNION ALL
    SELECT DISTINCT i.config_digest AS digest, 'config' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN t.last_seen_at
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM images i JOIN tag_history h ON h.digest IN (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE i.config_digest IS NOT NULL
    UNION ALL
    SELECT DISTINCT i.config_digest AS digest, 'config' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, t.gone_at AS seen_until,
        t.last_seen_at AS last_seen, t.last_pushed AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM images i JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL AND i.config_digest IS NOT NULL
    UNION ALL
    SELECT DISTINCT l.digest AS digest, 'layer' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN t.last_seen_at
            ELSE strftime('%Y-%m-%dT%H:%M:%SZ', h.last_seen, 'unixepoch') END AS last_seen,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN images i ON i.id = il.image_id JOIN tag_history h ON h.digest IN (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE il.layer_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT l.digest AS digest, 'layer' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, t.gone_at AS seen_until,
        t.last_seen_at AS last_seen, t.last_pushed AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN images i ON i.id = il.image_id JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL AND il.layer_id IS NOT NULL""",
}

POSTGRESQL = {
    "v_repositories": r"""
    SELECT r.*, (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL) AS tag_count,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 1 * 86400 - 43200 AND n.observed_at - 1 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_1d,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 7 * 86400 - 43200 AND n.observed_at - 7 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_7d,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 30 * 86400 - 43200 AND n.observed_at - 30 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_30d,
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r""",
    "v_tag_timeline": r"""
    SELECT r.full_name, t.name AS tag, h.digest, to_char(to_timestamp(h.seen_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_from,
        to_char(to_timestamp(h.seen_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until, to_char(to_timestamp(h.pushed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, h.source,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL AND h.digest IS NOT NULL
            THEN to_char(t.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') ELSE to_char(to_timestamp(h.last_seen) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS last_seen, h.last_updater
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id""",
    "v_events": r"""
    SELECT e.id, to_char(e.observed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS observed_at, to_char(e.happened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS happened_at, e.rank, e.kind,
        r.full_name, t.name AS tag, e.detail
    FROM events e LEFT JOIN repositories r ON r.id = e.repository_id LEFT JOIN tags t ON t.id = e.tag_id""",
    "v_digest_whereis": r"""
    SELECT h.digest AS digest, CASE WHEN i.id IS NULL THEN 'index' ELSE 'image' END AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        to_char(to_timestamp(h.seen_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_from, to_char(to_timestamp(h.seen_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN to_char(t.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            ELSE to_char(to_timestamp(h.last_seen) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS last_seen,
        to_char(to_timestamp(h.pushed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until
    LEFT JOIN images i ON i.digest = h.digest WHERE h.digest IS NOT NULL
    UNION ALL
    SELECT i.digest AS digest, 'image' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        to_char(to_timestamp(h.seen_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_from, to_char(to_timestamp(h.seen_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN to_char(t.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            ELSE to_char(to_timestamp(h.last_seen) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS last_seen,
        to_char(to_timestamp(h.pushed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM images i JOIN LATERAL (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) d ON true JOIN tag_history h ON h.digest = d.digest JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE h.digest <> i.digest
    UNION ALL
    SELECT i.digest AS digest, 'image' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, to_char(t.gone_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until,
        to_char(t.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_seen, to_char(t.last_pushed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM images i JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL
    UNION ALL
    SELECT DISTINCT i.config_digest AS digest, 'config' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        to_char(to_timestamp(h.seen_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_from, to_char(to_timestamp(h.seen_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN to_char(t.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            ELSE to_char(to_timestamp(h.last_seen) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS last_seen,
        to_char(to_timestamp(h.pushed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM images i JOIN LATERAL (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) d ON true JOIN tag_history h ON h.digest = d.digest JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE i.config_digest IS NOT NULL
    UNION ALL
    SELECT DISTINCT i.config_digest AS digest, 'config' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, to_char(t.gone_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until,
        to_char(t.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_seen, to_char(t.last_pushed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM images i JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL AND i.config_digest IS NOT NULL
    UNION ALL
    SELECT DISTINCT l.digest AS digest, 'layer' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        to_char(to_timestamp(h.seen_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_from, to_char(to_timestamp(h.seen_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN to_char(t.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            ELSE to_char(to_timestamp(h.last_seen) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS last_seen,
        to_char(to_timestamp(h.pushed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN images i ON i.id = il.image_id JOIN LATERAL (SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id) d ON true JOIN tag_history h ON h.digest = d.digest JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until WHERE il.layer_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT l.digest AS digest, 'layer' AS kind, r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform,
        CAST(NULL AS TEXT) AS seen_from, to_char(t.gone_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until,
        to_char(t.last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_seen, to_char(t.last_pushed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN images i ON i.id = il.image_id JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id WHERE t.digest IS NULL AND il.layer_id IS NOT NULL""",
}

SQLITE_BEFORE = {
    "v_repositories": r"""
    SELECT r.*, (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL) AS tag_count,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 1 * 86400 - 43200 AND n.observed_at - 1 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_1d,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 7 * 86400 - 43200 AND n.observed_at - 7 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_7d,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 30 * 86400 - 43200 AND n.observed_at - 30 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_30d,
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r""",
    "v_tag_timeline": r"""
    SELECT r.full_name, t.name AS tag, h.digest, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until, strftime('%Y-%m-%dT%H:%M:%SZ', h.pushed_at, 'unixepoch') AS pushed_at, h.source
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id""",
    "v_digest_whereis": r"""
    SELECT h.digest, CASE WHEN EXISTS (SELECT 1 FROM images i WHERE i.digest = h.digest) THEN 'image' ELSE 'index' END AS kind,
        r.full_name, t.name AS tag, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') AS seen_from, strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch') AS seen_until
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    WHERE h.digest IS NOT NULL
    UNION ALL
    SELECT p.digest, p.kind, r.full_name, t.name,
        strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch'), strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_until, 'unixepoch')
    FROM (
        SELECT i.digest, 'image' AS kind, i.id AS image_id FROM images i
        UNION ALL SELECT i.config_digest, 'config', i.id FROM images i WHERE i.config_digest IS NOT NULL
        UNION ALL SELECT DISTINCT l.digest, 'layer', il.image_id FROM layers l JOIN image_layers il ON il.layer_id = l.id) p
    JOIN tag_images ti ON ti.image_id = p.image_id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id
    JOIN tag_history h ON h.tag_id = t.id AND h.digest = t.digest
    WHERE p.digest <> t.digest
        AND h.seen_from = (SELECT max(n.seen_from) FROM tag_history n WHERE n.tag_id = t.id AND n.digest = t.digest)""",
}

POSTGRESQL_BEFORE = {
    "v_repositories": r"""
    SELECT r.*, (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL) AS tag_count,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 1 * 86400 - 43200 AND n.observed_at - 1 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_1d,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 7 * 86400 - 43200 AND n.observed_at - 7 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_7d,
        (SELECT n.pull_count - p.pull_count FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 30 * 86400 - 43200 AND n.observed_at - 30 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_30d,
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r""",
    "v_tag_timeline": r"""
    SELECT r.full_name, t.name AS tag, h.digest, to_char(to_timestamp(h.seen_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_from,
        to_char(to_timestamp(h.seen_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until, to_char(to_timestamp(h.pushed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at, h.source
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id""",
    "v_digest_whereis": r"""
    SELECT h.digest, CASE WHEN EXISTS (SELECT 1 FROM images i WHERE i.digest = h.digest) THEN 'image' ELSE 'index' END AS kind,
        r.full_name, t.name AS tag, to_char(to_timestamp(h.seen_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_from, to_char(to_timestamp(h.seen_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS seen_until
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    WHERE h.digest IS NOT NULL
    UNION ALL
    SELECT p.digest, p.kind, r.full_name, t.name,
        to_char(to_timestamp(h.seen_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), to_char(to_timestamp(h.seen_until) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    FROM (
        SELECT i.digest, 'image' AS kind, i.id AS image_id FROM images i
        UNION ALL SELECT i.config_digest, 'config', i.id FROM images i WHERE i.config_digest IS NOT NULL
        UNION ALL SELECT DISTINCT l.digest, 'layer', il.image_id FROM layers l JOIN image_layers il ON il.layer_id = l.id) p
    JOIN tag_images ti ON ti.image_id = p.image_id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id
    JOIN tag_history h ON h.tag_id = t.id AND h.digest = t.digest
    WHERE p.digest <> t.digest
        AND h.seen_from = (SELECT max(n.seen_from) FROM tag_history n WHERE n.tag_id = t.id AND n.digest = t.digest)""",
}
