"""All views."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    frozen = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL
    for name, select in frozen.items():
        op.execute(f"CREATE VIEW {name} AS {select}")


def downgrade() -> None:
    for name in reversed(SQLITE):
        op.execute(f"DROP VIEW {name}")


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
    "v_tags": r"""
    SELECT r.full_name, t.name AS tag, t.digest,
        (SELECT group_concat(i.os || '/' || i.architecture || COALESCE('/' || i.variant, ''), ', ' ) FROM (
            SELECT i.os, i.architecture, i.variant FROM tag_images ti JOIN images i ON i.id = ti.image_id
            WHERE ti.tag_id = t.id AND i.kind = 'image' ORDER BY i.os, i.architecture, i.variant) i) AS platforms,
        t.full_size, t.last_pushed, t.last_updated, t.first_seen_at, t.last_seen_at
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NULL""",
    "v_tag_images": r"""
    SELECT r.full_name, t.name AS tag, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform, i.kind, i.digest AS image_digest,
        COALESCE(ti.size, i.size) AS size, ti.last_pulled, ti.last_pushed
    FROM tag_images ti JOIN tags t ON t.id = ti.tag_id JOIN repositories r ON r.id = t.repository_id
    JOIN images i ON i.id = ti.image_id WHERE t.gone_at IS NULL""",
    "v_layers": r"""
    SELECT r.full_name AS repo_name, t.name AS tag_name, i.os || '/' || i.architecture || COALESCE('/' || i.variant, '') AS platform, (row_number() OVER (PARTITION BY ti.tag_id, ti.image_id ORDER BY il.step)) - 1 AS layer_index,
        l.digest, l.media_type, l.size AS size_bytes, n.text AS instruction
    FROM tag_images ti JOIN tags t ON t.id = ti.tag_id JOIN repositories r ON r.id = t.repository_id
    JOIN images i ON i.id = ti.image_id JOIN image_layers il ON il.image_id = i.id JOIN layers l ON l.id = il.layer_id
    LEFT JOIN instructions n ON n.id = il.instruction_id
    WHERE t.gone_at IS NULL AND i.kind = 'image'""",
    "v_pull_history": r"""
    SELECT r.full_name, strftime('%Y-%m-%dT%H:%M:%SZ', p.observed_at, 'unixepoch') AS observed_at, p.pull_count, p.star_count,
        CASE p.source WHEN 1 THEN 'detail' WHEN 2 THEN 'listing' WHEN 3 THEN 'search' END AS source
    FROM pull_history p JOIN repositories r ON r.id = p.repository_id""",
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
    "v_shared_layers": r"""
    SELECT l.digest, l.size, count(DISTINCT t.repository_id) AS repositories, count(DISTINCT il.image_id) AS images
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN tag_images ti ON ti.image_id = il.image_id
    JOIN tags t ON t.id = ti.tag_id WHERE t.gone_at IS NULL
    GROUP BY l.id, l.digest, l.size HAVING count(DISTINCT t.repository_id) > 1""",
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

POSTGRESQL = SQLITE | {
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
    "v_tags": r"""
    SELECT r.full_name, t.name AS tag, t.digest,
        (SELECT string_agg(i.os || '/' || i.architecture || COALESCE('/' || i.variant, ''), ', ' ) FROM (
            SELECT i.os, i.architecture, i.variant FROM tag_images ti JOIN images i ON i.id = ti.image_id
            WHERE ti.tag_id = t.id AND i.kind = 'image' ORDER BY i.os, i.architecture, i.variant) i) AS platforms,
        t.full_size, t.last_pushed, t.last_updated, t.first_seen_at, t.last_seen_at
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NULL""",
    "v_pull_history": r"""
    SELECT r.full_name, to_char(to_timestamp(p.observed_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS observed_at, p.pull_count, p.star_count,
        CASE p.source WHEN 1 THEN 'detail' WHEN 2 THEN 'listing' WHEN 3 THEN 'search' END AS source
    FROM pull_history p JOIN repositories r ON r.id = p.repository_id""",
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
    "v_incomplete": r"""
    SELECT l.kind, l.subject, l.reported_count, l.rows, COALESCE(l.stop_reason, 'open') AS stop_reason, l.finished_at
    FROM listings l
    WHERE l.is_complete = false AND COALESCE(l.stop_reason, 'open') <> 'policy'
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.kind = l.kind AND n.subject = l.subject AND n.id > l.id
            AND n.finished_at IS NOT NULL AND n.stop_reason <> 'policy')""",
}
