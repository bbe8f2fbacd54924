"""Rows for every table, so that migrations have something to lose and plans something to choose from."""

from __future__ import annotations

import sqlite3

_VALUES = {"now": "2026-11-20T16:00:00Z", "later": "2026-11-20T18:00:00Z", "noon": 1_795_190_400}

_SERIES = "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :rows)"

# Half of the jobs are over, the rest is spread over the live states; a repository has twenty tags.
_FILL = (
    """INSERT INTO repositories (id, namespace, name, full_name, is_official, pull_count, first_seen_at, last_seen_at)
        SELECT n, 'ns' || (n % 7), 'r' || n, 'ns' || (n % 7) || '/r' || n, 0, n, :now, :now FROM series""",
    """INSERT INTO tags (id, repository_id, name, digest, first_seen_at, last_seen_at)
        SELECT n, 1 + n / 20, 't' || n, 'sha256:t' || (n / 2), :now, :now FROM series""",
    """INSERT INTO images (id, digest, kind, os, architecture, size, layers_from, config_digest)
        SELECT n, 'sha256:i' || n, 'image', 'linux', 'amd64', n, CASE WHEN n % 2 THEN 'hub' END,
            CASE WHEN n % 3 THEN 'sha256:c' || n END FROM series""",
    "INSERT INTO tag_images (tag_id, image_id, position, size) SELECT n, n, 0, n FROM series",
    "INSERT INTO layers (id, digest, size, first_seen_at) SELECT n, 'sha256:l' || n, n, :now FROM series",
    "INSERT INTO instructions (id, text, hash) SELECT n, 'RUN ' || n, CAST('h' || n AS BLOB) FROM series",
    """INSERT INTO image_layers (image_id, step, layer_id, instruction_id)
        SELECT n, 0, CASE WHEN n % 5 THEN n END, n FROM series""",
    "INSERT INTO harvested_digests (digest, harvested_at) SELECT 'sha256:t' || n, :now FROM series",
    """INSERT INTO pull_history (repository_id, observed_at, pull_count, source)
        SELECT 1 + n / 20, :noon + 86400 * (n % 20), n, 1 FROM series""",
    """INSERT INTO tag_history (tag_id, seen_from, digest, seen_until, source)
        SELECT n, :noon, 'sha256:x' || n, :noon + 60, 'listing' FROM series
        UNION ALL SELECT n, :noon + 60, 'sha256:t' || (n / 2), NULL, 'listing' FROM series""",
    "INSERT INTO indexes (id, digest) SELECT n, 'sha256:x' || n FROM series",
    "INSERT INTO index_images (index_id, image_id) SELECT n, n FROM series",
    """INSERT INTO chapters (repository_id, chapter, first_seen_at, last_seen_at, ended_at, pull_count, tag_count)
        SELECT n, 1, :now, :now, :later, n, 20 FROM series WHERE n % 10 = 0""",
    """INSERT INTO absences (subject, first_missing_at, last_missing_at, passes)
        SELECT 'gone/r' || n, :now, :now, 1 FROM series""",
    """INSERT INTO listings (id, kind, subject, repository_id, started_at, finished_at, rows, is_complete, refused, walk_key)
        SELECT n, 'tags', 'ns' || (n % 7) || '/r' || n, n, :now, :now, 1, 1, 0, 'tags.page:r' || n FROM series""",
    "INSERT INTO listing_names (listing_id, name) SELECT n, 'ns/r' || n FROM series",
    """INSERT INTO events (observed_at, kind, repository_id, tag_id, detail)
        SELECT :now, 'drift', n, n, '{}' FROM series""",
    "INSERT INTO notifiers (name, last_event_id, enrolled_at, uuid) SELECT 'n' || n, n, :now, 'u' || n FROM series WHERE n <= 5",
    """INSERT INTO deliveries (notifier, event_id, subject, state, run_at, finished_at)
        SELECT 'n' || (n % 5), n, 'ns/r' || (n / 20), CASE WHEN n % 10 THEN 'done' ELSE 'waiting' END, :now,
            CASE WHEN n % 10 THEN :now END FROM series""",
    """INSERT INTO runs (id, fingerprint, started_at, pass_began_at, finished_at)
        SELECT n, 'run ' || n, :now, :now, CASE WHEN n > 1 THEN :now END FROM series WHERE n <= 5""",
    """INSERT INTO jobs (id, kind, lane, key, args, priority, state, run_at, attempt, max_attempts, lease_owner,
            lease_until, fresh_after, created_at, finished_at)
        SELECT n, 'images', 'hub', 'images:sha256:t' || n || ':free', '{"subject":"a/b"}', 4, state,
            CASE WHEN state = 'waiting' AND n % 3 THEN :later ELSE :now END, 1, 5,
            CASE WHEN state = 'running' THEN 'somebody' END, CASE WHEN state = 'running' THEN :later END, :now, :now,
            CASE WHEN state IN ('done', 'dead') THEN :now END
        FROM (SELECT n, CASE WHEN n % 2 THEN 'done' WHEN n % 20 = 0 THEN 'dead' WHEN n % 12 = 0 THEN 'running'
            WHEN n % 8 = 0 THEN 'waiting' ELSE 'ready' END AS state FROM series)""",
    "INSERT INTO run_jobs (run_id, job_id) SELECT 1 + n % 2, n FROM series",
    """INSERT INTO budgets (budget, route, identity, limit_count, cap, window_s, window_ends_at, spent, next_at,
            not_before, refusals, source, seen_at)
        SELECT 'hub', 'direct', 'anonymous' || n, 180, 176, 60.0, :noon, 7, :noon, 0, 0, 'header', :noon FROM series""",
    """INSERT INTO watches (id, target, tags, layers, every_s, fastest_s, place, since, next_check_at, run_id)
        SELECT n, 'ns' || n || '/*', 'all', 'latest', 86400, 7200, n, :now, :later, 1 FROM series WHERE n <= 5""",
    """INSERT INTO cadences (repository_id, watch_id, interval_s, checks, changes, observed_s, checked_at)
        SELECT n, 1 + n % 5, 86400, 2.0, 1.0, 86400.0, :now FROM series""",
    """INSERT INTO processes (owner, command, version, started_at, seen_at)
        SELECT 'host:' || n, 'run', '0.1.0', :now, :now FROM series WHERE n <= 3""",
    """INSERT INTO work_days (day, kind, state, jobs, attempts)
        SELECT '2026-11-' || (10 + n), 'images', 'done', n, n FROM series WHERE n <= 9""",
    "INSERT INTO walls (kind, identity, refused_offset, learned_at) SELECT 'tags', 'anonymous' || n, 1000, :now FROM series",
)


def fill(path: str, rows: int) -> None:
    """Put about that many rows into every table of a migrated SQLite file."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        with connection:
            for insert in _FILL:
                connection.execute(f"{_SERIES} {insert}", _VALUES | {"rows": rows})
    finally:
        connection.close()


def row_counts(path: str) -> dict[str, int]:
    """Rows of every table."""
    connection = sqlite3.connect(path)
    try:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
        ).fetchall()
        return {name: int(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for (name,) in names}
    finally:
        connection.close()
