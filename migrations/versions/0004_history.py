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


SECONDS = {
    True: "CAST(strftime('%s', t.last_pushed) AS INTEGER)",
    False: "CAST(floor(extract(epoch FROM t.last_pushed)) AS BIGINT)",
}

PUSHERS = {
    is_sqlite: f"""
        UPDATE tag_history SET last_updater = (SELECT t.last_updater FROM tags t WHERE t.id = tag_history.tag_id
            AND t.digest = tag_history.digest AND {seconds} = tag_history.pushed_at)
        WHERE seen_until IS NULL AND digest IS NOT NULL"""
    for is_sqlite, seconds in SECONDS.items()
}
"""Who pushed what a tag points to stood in `tags` alone, and would be overwritten there when the tag moves on."""


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name in reversed(list(SQLITE_BEFORE)):
        op.execute(f"DROP VIEW {name}")
    # The history of tags has every digest that a tag points to.
    op.drop_index("ix_tags_digest", table_name="tags")
    op.add_column("repositories", sa.Column("chapter", sa.Integer(), server_default="1", nullable=False))
    op.add_column("tag_history", sa.Column("last_seen", sa.BigInteger(), nullable=True))
    op.add_column("tag_history", sa.Column("last_updater", sa.Text(), nullable=True))
    op.add_column("tag_history", sa.Column("pushes", sa.Text(), nullable=True))
    op.execute(PUSHERS[is_sqlite])
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
    op.create_index(
        "ix_tags_digest",
        "tags",
        ["digest"],
        unique=False,
        sqlite_where=sa.text("digest IS NOT NULL"),
        postgresql_where=sa.text("digest IS NOT NULL"),
    )
    for name, select in (SQLITE_BEFORE if is_sqlite else POSTGRESQL_BEFORE).items():
        op.execute(f"CREATE VIEW {name} AS {select}")


# Views, frozen.

SQLITE = {
    "v_repositories": r"""
    SELECT r.*, (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL) AS tag_count,
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > strftime('%Y-%m-%dT%H:%M:%SZ', p.observed_at, 'unixepoch') AND c.ended_at <= strftime('%Y-%m-%dT%H:%M:%SZ', n.observed_at, 'unixepoch'))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 1 * 86400 - 43200 AND n.observed_at - 1 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_1d,
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > strftime('%Y-%m-%dT%H:%M:%SZ', p.observed_at, 'unixepoch') AND c.ended_at <= strftime('%Y-%m-%dT%H:%M:%SZ', n.observed_at, 'unixepoch'))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 7 * 86400 - 43200 AND n.observed_at - 7 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_7d,
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > strftime('%Y-%m-%dT%H:%M:%SZ', p.observed_at, 'unixepoch') AND c.ended_at <= strftime('%Y-%m-%dT%H:%M:%SZ', n.observed_at, 'unixepoch'))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 30 * 86400 - 43200 AND n.observed_at - 30 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(strftime('%s', 'now') AS INTEGER) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_30d,
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r""",
    "v_pull_daily": r"""
    SELECT full_name, day, pulls, elapsed_s,
        CASE WHEN state IS NOT NULL THEN state
            WHEN pulls > 0 AND lag(state) OVER w IN ('plateau', 'ceiling') THEN 'jump'
            WHEN elapsed_s > 172800 THEN 'gap' END AS flag,
        pull_count, samples
    FROM (
    SELECT full_name, date(observed_at, 'unixepoch') AS day, pulls, elapsed_s, pull_count, samples, observed_at,
        CASE WHEN is_fresh = 1 THEN 'chapter'
            WHEN pull_count = 2147483647 THEN 'ceiling'
            WHEN pulls < 0 THEN 'decrease'
            WHEN pulls > 0 AND pull_count - pulls = 2147483647 THEN NULL
            WHEN 100.0 * (pull_count - still_count) < usual * (observed_at - still_at) / 86400.0 AND late <= 1
                AND (usual * (observed_at - still_at) / 86400.0 >= 100 OR smallest * (observed_at - still_at) / 86400.0 >= 10)
                THEN 'plateau' END AS state
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh,
        CASE WHEN is_move = 1 THEN count_before ELSE max(CASE WHEN is_move = 1 THEN pull_count END) OVER v END AS still_count,
        CASE WHEN is_move = 1 THEN at_before ELSE min(observed_at) OVER v END AS still_at,
        CASE WHEN is_move = 1 THEN usual_before ELSE max(CASE WHEN is_move = 1 THEN usual END) OVER v END AS usual,
        CASE WHEN is_move = 1 THEN smallest_before ELSE max(CASE WHEN is_move = 1 THEN smallest END) OVER v END AS smallest,
        CASE WHEN is_move = 1 THEN late_before ELSE max(CASE WHEN is_move = 1 THEN late END) OVER v END AS late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, is_move, run, usual, smallest, late,
        lag(pull_count) OVER m AS count_before, lag(observed_at) OVER m AS at_before, lag(usual) OVER m AS usual_before,
        lag(smallest) OVER m AS smallest_before, lag(late) OVER m AS late_before
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move, run,
        CASE WHEN week_2 IS NULL THEN week_1 WHEN week_3 IS NULL THEN min(week_1, week_2)
            ELSE max(min(week_1, week_2), min(max(week_1, week_2), week_3)) END AS usual,
        min(rate) OVER (m ROWS BETWEEN 13 PRECEDING AND CURRENT ROW) AS smallest,
        sum(is_late) OVER (m ROWS BETWEEN 13 PRECEDING AND CURRENT ROW) AS late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move, run, is_late,
        (pull_count - lag(pull_count) OVER m) * 86400.0 / (observed_at - lag(observed_at) OVER m) AS rate,
        (pull_count - lag(pull_count, 7) OVER m) * 86400.0 / (observed_at - lag(observed_at, 7) OVER m) AS week_1,
        (lag(pull_count, 7) OVER m - lag(pull_count, 14) OVER m) * 86400.0
            / (lag(observed_at, 7) OVER m - lag(observed_at, 14) OVER m) AS week_2,
        (lag(pull_count, 14) OVER m - lag(pull_count, 21) OVER m) * 86400.0
            / (lag(observed_at, 14) OVER m - lag(observed_at, 21) OVER m) AS week_3
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move,
        sum(is_move) OVER w AS run, CASE WHEN pulls IS NOT NULL THEN 1 - lag(is_move) OVER w END AS is_late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter,
        CASE WHEN pulls = 0 THEN 0
            WHEN pulls > 0 AND before_at > far_at
                AND 100.0 * pulls / elapsed_s < 1.0 * (before_count - far_count) / (before_at - far_at) THEN 0
            ELSE 1 END AS is_move
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count, is_fresh, chapter,
        observed_at - before_at AS elapsed_s, CASE WHEN is_fresh = 0 THEN pull_count - before_count END AS pulls,
        first_value(observed_at) OVER (b ROWS BETWEEN 29 PRECEDING AND 1 PRECEDING) AS far_at,
        first_value(pull_count) OVER (b ROWS BETWEEN 29 PRECEDING AND 1 PRECEDING) AS far_count
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count, is_fresh, sum(is_fresh) OVER w AS chapter
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count,
        CASE WHEN EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = d.repository_id
            AND c.ended_at > strftime('%Y-%m-%dT%H:%M:%SZ', d.before_at, 'unixepoch') AND c.ended_at <= strftime('%Y-%m-%dT%H:%M:%SZ', d.observed_at, 'unixepoch')) THEN 1 ELSE 0 END AS is_fresh
    FROM (
    SELECT full_name, repository_id, observed_at, pull_count, number - COALESCE(lag(number) OVER w, 0) AS samples,
        lag(observed_at) OVER w AS before_at, lag(pull_count) OVER w AS before_count
    FROM (
    SELECT r.full_name, p.repository_id, p.observed_at, p.pull_count,
        row_number() OVER w AS number, lead(p.observed_at) OVER w AS next_at
    FROM pull_history p JOIN repositories r ON r.id = p.repository_id
    WINDOW w AS (PARTITION BY r.full_name ORDER BY p.observed_at)) samples
    WHERE next_at IS NULL OR next_at / 86400 <> observed_at / 86400
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) d) fresh
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) numbered
    WINDOW b AS (PARTITION BY full_name, chapter ORDER BY observed_at)) gained) moved
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) runs
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) weeks
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) rates
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) carried
    WINDOW v AS (PARTITION BY full_name, run)) still) states
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)""",
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
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > to_timestamp(p.observed_at) AND c.ended_at <= to_timestamp(n.observed_at))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 1 * 86400 - 43200 AND n.observed_at - 1 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_1d,
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > to_timestamp(p.observed_at) AND c.ended_at <= to_timestamp(n.observed_at))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 7 * 86400 - 43200 AND n.observed_at - 7 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_7d,
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > to_timestamp(p.observed_at) AND c.ended_at <= to_timestamp(n.observed_at))
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - 30 * 86400 - 43200 AND n.observed_at - 30 * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > CAST(extract(epoch FROM now()) AS BIGINT) - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_30d,
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r""",
    "v_pull_daily": r"""
    SELECT full_name, day, pulls, elapsed_s,
        CASE WHEN state IS NOT NULL THEN state
            WHEN pulls > 0 AND lag(state) OVER w IN ('plateau', 'ceiling') THEN 'jump'
            WHEN elapsed_s > 172800 THEN 'gap' END AS flag,
        pull_count, samples
    FROM (
    SELECT full_name, CAST(to_timestamp(observed_at) AT TIME ZONE 'UTC' AS date) AS day, pulls, elapsed_s, pull_count, samples, observed_at,
        CASE WHEN is_fresh = 1 THEN 'chapter'
            WHEN pull_count = 2147483647 THEN 'ceiling'
            WHEN pulls < 0 THEN 'decrease'
            WHEN pulls > 0 AND pull_count - pulls = 2147483647 THEN NULL
            WHEN 100.0 * (pull_count - still_count) < usual * (observed_at - still_at) / 86400.0 AND late <= 1
                AND (usual * (observed_at - still_at) / 86400.0 >= 100 OR smallest * (observed_at - still_at) / 86400.0 >= 10)
                THEN 'plateau' END AS state
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh,
        CASE WHEN is_move = 1 THEN count_before ELSE max(CASE WHEN is_move = 1 THEN pull_count END) OVER v END AS still_count,
        CASE WHEN is_move = 1 THEN at_before ELSE min(observed_at) OVER v END AS still_at,
        CASE WHEN is_move = 1 THEN usual_before ELSE max(CASE WHEN is_move = 1 THEN usual END) OVER v END AS usual,
        CASE WHEN is_move = 1 THEN smallest_before ELSE max(CASE WHEN is_move = 1 THEN smallest END) OVER v END AS smallest,
        CASE WHEN is_move = 1 THEN late_before ELSE max(CASE WHEN is_move = 1 THEN late END) OVER v END AS late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, is_move, run, usual, smallest, late,
        lag(pull_count) OVER m AS count_before, lag(observed_at) OVER m AS at_before, lag(usual) OVER m AS usual_before,
        lag(smallest) OVER m AS smallest_before, lag(late) OVER m AS late_before
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move, run,
        CASE WHEN week_2 IS NULL THEN week_1 WHEN week_3 IS NULL THEN least(week_1, week_2)
            ELSE greatest(least(week_1, week_2), least(greatest(week_1, week_2), week_3)) END AS usual,
        min(rate) OVER (m ROWS BETWEEN 13 PRECEDING AND CURRENT ROW) AS smallest,
        sum(is_late) OVER (m ROWS BETWEEN 13 PRECEDING AND CURRENT ROW) AS late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move, run, is_late,
        (pull_count - lag(pull_count) OVER m) * 86400.0 / (observed_at - lag(observed_at) OVER m) AS rate,
        (pull_count - lag(pull_count, 7) OVER m) * 86400.0 / (observed_at - lag(observed_at, 7) OVER m) AS week_1,
        (lag(pull_count, 7) OVER m - lag(pull_count, 14) OVER m) * 86400.0
            / (lag(observed_at, 7) OVER m - lag(observed_at, 14) OVER m) AS week_2,
        (lag(pull_count, 14) OVER m - lag(pull_count, 21) OVER m) * 86400.0
            / (lag(observed_at, 14) OVER m - lag(observed_at, 21) OVER m) AS week_3
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter, is_move,
        sum(is_move) OVER w AS run, CASE WHEN pulls IS NOT NULL THEN 1 - lag(is_move) OVER w END AS is_late
    FROM (
    SELECT full_name, pulls, elapsed_s, pull_count, samples, observed_at, is_fresh, chapter,
        CASE WHEN pulls = 0 THEN 0
            WHEN pulls > 0 AND before_at > far_at
                AND 100.0 * pulls / elapsed_s < 1.0 * (before_count - far_count) / (before_at - far_at) THEN 0
            ELSE 1 END AS is_move
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count, is_fresh, chapter,
        observed_at - before_at AS elapsed_s, CASE WHEN is_fresh = 0 THEN pull_count - before_count END AS pulls,
        first_value(observed_at) OVER (b ROWS BETWEEN 29 PRECEDING AND 1 PRECEDING) AS far_at,
        first_value(pull_count) OVER (b ROWS BETWEEN 29 PRECEDING AND 1 PRECEDING) AS far_count
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count, is_fresh, sum(is_fresh) OVER w AS chapter
    FROM (
    SELECT full_name, observed_at, pull_count, samples, before_at, before_count,
        CASE WHEN EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = d.repository_id
            AND c.ended_at > to_timestamp(d.before_at) AND c.ended_at <= to_timestamp(d.observed_at)) THEN 1 ELSE 0 END AS is_fresh
    FROM (
    SELECT full_name, repository_id, observed_at, pull_count, number - COALESCE(lag(number) OVER w, 0) AS samples,
        lag(observed_at) OVER w AS before_at, lag(pull_count) OVER w AS before_count
    FROM (
    SELECT r.full_name, p.repository_id, p.observed_at, p.pull_count,
        row_number() OVER w AS number, lead(p.observed_at) OVER w AS next_at
    FROM pull_history p JOIN repositories r ON r.id = p.repository_id
    WINDOW w AS (PARTITION BY r.full_name ORDER BY p.observed_at)) samples
    WHERE next_at IS NULL OR next_at / 86400 <> observed_at / 86400
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) d) fresh
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) numbered
    WINDOW b AS (PARTITION BY full_name, chapter ORDER BY observed_at)) gained) moved
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)) runs
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) weeks
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) rates
    WINDOW m AS (PARTITION BY full_name, chapter, is_move ORDER BY observed_at)) carried
    WINDOW v AS (PARTITION BY full_name, run)) still) states
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)""",
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
    "v_pull_daily": r"""
    SELECT full_name, day, pulls, elapsed_s,
        CASE WHEN elapsed_s IS NULL THEN NULL
            WHEN pull_count = 2147483647 THEN 'ceiling'
            WHEN pulls < 0 THEN 'decrease'
            WHEN elapsed_s > 2 * 86400 THEN 'gap'
            WHEN pulls = 0 AND before_pulls > 0 THEN 'plateau'
            WHEN before_pulls = 0 AND pulls > 0 AND earlier_pulls > 0 THEN 'jump' END AS flag
    FROM (
        SELECT full_name, day, pull_count, pulls, elapsed_s,
            lag(pulls) OVER w AS before_pulls, max(pulls) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier_pulls
        FROM (
            SELECT r.full_name, d.day, p.pull_count, p.repository_id, p.observed_at,
                p.pull_count - lag(p.pull_count) OVER v AS pulls, p.observed_at - lag(p.observed_at) OVER v AS elapsed_s
            FROM (
                SELECT p.repository_id, date(p.observed_at, 'unixepoch') AS day, max(p.observed_at) AS observed_at FROM pull_history p
                GROUP BY p.repository_id, date(p.observed_at, 'unixepoch')) d
            JOIN pull_history p ON p.repository_id = d.repository_id AND p.observed_at = d.observed_at
            JOIN repositories r ON r.id = p.repository_id
            WINDOW v AS (PARTITION BY p.repository_id ORDER BY p.observed_at)) deltas
        WINDOW w AS (PARTITION BY repository_id ORDER BY observed_at)) days""",
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
    "v_pull_daily": r"""
    SELECT full_name, day, pulls, elapsed_s,
        CASE WHEN elapsed_s IS NULL THEN NULL
            WHEN pull_count = 2147483647 THEN 'ceiling'
            WHEN pulls < 0 THEN 'decrease'
            WHEN elapsed_s > 2 * 86400 THEN 'gap'
            WHEN pulls = 0 AND before_pulls > 0 THEN 'plateau'
            WHEN before_pulls = 0 AND pulls > 0 AND earlier_pulls > 0 THEN 'jump' END AS flag
    FROM (
        SELECT full_name, day, pull_count, pulls, elapsed_s,
            lag(pulls) OVER w AS before_pulls, max(pulls) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier_pulls
        FROM (
            SELECT r.full_name, d.day, p.pull_count, p.repository_id, p.observed_at,
                p.pull_count - lag(p.pull_count) OVER v AS pulls, p.observed_at - lag(p.observed_at) OVER v AS elapsed_s
            FROM (
                SELECT p.repository_id, CAST(to_timestamp(p.observed_at) AT TIME ZONE 'UTC' AS date) AS day, max(p.observed_at) AS observed_at FROM pull_history p
                GROUP BY p.repository_id, CAST(to_timestamp(p.observed_at) AT TIME ZONE 'UTC' AS date)) d
            JOIN pull_history p ON p.repository_id = d.repository_id AND p.observed_at = d.observed_at
            JOIN repositories r ON r.id = p.repository_id
            WINDOW v AS (PARTITION BY p.repository_id ORDER BY p.observed_at)) deltas
        WINDOW w AS (PARTITION BY repository_id ORDER BY observed_at)) days""",
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
