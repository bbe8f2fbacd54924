"""What the history of every tag must agree with, as one query."""

from __future__ import annotations

BROKEN = """
    WITH chain AS (
        SELECT tag_id, seen_from, seen_until, digest, last_seen,
            lead(seen_from) OVER w AS next_from, lead(digest) OVER w AS next_digest
        FROM tag_history WINDOW w AS (PARTITION BY tag_id ORDER BY seen_from))
    SELECT 'of no length' AS what, tag_id FROM chain WHERE seen_until <= seen_from
    UNION ALL SELECT 'open or overlapping before its end', tag_id FROM chain
        WHERE next_from IS NOT NULL AND (seen_until IS NULL OR seen_until > next_from)
    UNION ALL SELECT 'a gap after a digest', tag_id FROM chain
        WHERE digest IS NOT NULL AND seen_until IS NOT NULL AND (next_from IS NULL OR next_from <> seen_until)
    UNION ALL SELECT 'the same digest twice', tag_id FROM chain WHERE digest = next_digest
    UNION ALL SELECT 'last seen outside', tag_id FROM chain WHERE last_seen < seen_from OR last_seen > seen_until
    UNION ALL SELECT 'gone, and no interval says so', t.id FROM tags t WHERE t.gone_at IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM tag_history h WHERE h.tag_id = t.id AND h.seen_until IS NULL AND h.digest IS NULL
            AND strftime('%Y-%m-%dT%H:%M:%SZ', h.seen_from, 'unixepoch') = t.gone_at)
    UNION ALL SELECT 'there, and the interval says gone', t.id FROM tags t JOIN tag_history h ON h.tag_id = t.id
        WHERE h.seen_until IS NULL AND h.digest IS NULL AND t.gone_at IS NULL
    UNION ALL SELECT 'another digest than its interval', t.id FROM tags t
        LEFT JOIN tag_history h ON h.tag_id = t.id AND h.seen_until IS NULL
        WHERE t.gone_at IS NULL AND COALESCE(t.digest, '') <> COALESCE(h.digest, '')
"""
"""No row where each interval ends as the next begins, and a tag's `digest` and `gone_at` are those of its open interval."""
