"""The views: what people query. Rank 3. SQL as text for either dialect; migrations hold frozen copies of it."""

from __future__ import annotations

from collections.abc import Callable

from harvester.store.pull_views import pull_daily

_PLATFORM = "i.os || '/' || i.architecture || COALESCE('/' || i.variant, '')"

# A running number per image over the steps that made a layer: what the classic table calls layer_index.
_LAYER_INDEX = "(row_number() OVER (PARTITION BY ti.tag_id, ti.image_id ORDER BY il.step)) - 1"


def views(dialect: str) -> dict[str, str]:
    """Name and SELECT of each view, in the order in which they can be created."""
    is_sqlite = dialect == "sqlite"

    def seconds_text(column: str) -> str:
        """An integer of epoch seconds as ISO 8601."""
        if is_sqlite:
            return f"strftime('%Y-%m-%dT%H:%M:%SZ', {column}, 'unixepoch')"
        return f"to_char(to_timestamp({column}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

    def instant_text(column: str) -> str:
        """An instant of an entity table as ISO 8601."""
        return column if is_sqlite else f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

    def observed(column: str) -> str:
        """An integer of epoch seconds as the entity tables hold instants."""
        return seconds_text(column) if is_sqlite else f"to_timestamp({column})"

    joined = "group_concat" if is_sqlite else "string_agg"
    now = "CAST(strftime('%s', 'now') AS INTEGER)" if is_sqlite else "CAST(extract(epoch FROM now()) AS BIGINT)"
    # Measured from the newest observation, against the one nearest before that many days earlier, half a day either way; what
    # was counted before the name was registered anew is no part of it.
    gained = ",".join(
        f"""
        (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM chapters c WHERE c.repository_id = r.id
                AND c.ended_at > {observed("p.observed_at")} AND c.ended_at <= {observed("n.observed_at")})
                THEN n.pull_count - p.pull_count END FROM pull_history n JOIN pull_history p ON p.repository_id = n.repository_id
            AND p.observed_at BETWEEN n.observed_at - {days} * 86400 - 43200 AND n.observed_at - {days} * 86400 + 43200
            WHERE n.repository_id = r.id AND n.observed_at > {now} - 2 * 86400
            ORDER BY n.observed_at DESC, p.observed_at DESC LIMIT 1) AS pulls_{days}d"""
        for days in (1, 7, 30)
    )
    return {
        "v_repositories": f"""
    SELECT r.*, (SELECT count(*) FROM tags t WHERE t.repository_id = r.id AND t.gone_at IS NULL) AS tag_count,{gained},
        CASE WHEN r.namespace = 'library' THEN 'https://hub.docker.com/_/' || r.name
            ELSE 'https://hub.docker.com/r/' || r.full_name END AS docker_url,
        'docker pull ' || CASE WHEN r.namespace = 'library' THEN r.name ELSE r.full_name END AS pull_command
    FROM repositories r""",
        "v_tags": f"""
    SELECT r.full_name, t.name AS tag, t.digest,
        (SELECT {joined}({_PLATFORM}, ', ' ) FROM (
            SELECT i.os, i.architecture, i.variant FROM tag_images ti JOIN images i ON i.id = ti.image_id
            WHERE ti.tag_id = t.id AND i.kind = 'image' ORDER BY i.os, i.architecture, i.variant) i) AS platforms,
        t.full_size, t.last_pushed, t.last_updated, t.first_seen_at, t.last_seen_at
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NULL""",
        "v_tag_images": f"""
    SELECT r.full_name, t.name AS tag, {_PLATFORM} AS platform, i.kind, i.digest AS image_digest,
        COALESCE(ti.size, i.size) AS size, ti.last_pulled, ti.last_pushed
    FROM tag_images ti JOIN tags t ON t.id = ti.tag_id JOIN repositories r ON r.id = t.repository_id
    JOIN images i ON i.id = ti.image_id WHERE t.gone_at IS NULL""",
        "v_layers": f"""
    SELECT r.full_name AS repo_name, t.name AS tag_name, {_PLATFORM} AS platform, {_LAYER_INDEX} AS layer_index,
        l.digest, l.media_type, l.size AS size_bytes, n.text AS instruction
    FROM tag_images ti JOIN tags t ON t.id = ti.tag_id JOIN repositories r ON r.id = t.repository_id
    JOIN images i ON i.id = ti.image_id JOIN image_layers il ON il.image_id = i.id JOIN layers l ON l.id = il.layer_id
    LEFT JOIN instructions n ON n.id = il.instruction_id
    WHERE t.gone_at IS NULL AND i.kind = 'image'""",
        "v_pull_history": f"""
    SELECT r.full_name, {seconds_text("p.observed_at")} AS observed_at, p.pull_count, p.star_count,
        CASE p.source WHEN 1 THEN 'detail' WHEN 2 THEN 'listing' WHEN 3 THEN 'search' END AS source
    FROM pull_history p JOIN repositories r ON r.id = p.repository_id""",
        "v_pull_daily": pull_daily(dialect),
        "v_tag_timeline": f"""
    SELECT r.full_name, t.name AS tag, h.digest, {seconds_text("h.seen_from")} AS seen_from,
        {seconds_text("h.seen_until")} AS seen_until, {seconds_text("h.pushed_at")} AS pushed_at, h.source,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL AND h.digest IS NOT NULL
            THEN {instant_text("t.last_seen_at")} ELSE {seconds_text("h.last_seen")} END AS last_seen, h.last_updater
    FROM tag_history h JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id""",
        "v_events": f"""
    SELECT e.id, {instant_text("e.observed_at")} AS observed_at, {instant_text("e.happened_at")} AS happened_at, e.rank, e.kind,
        r.full_name, t.name AS tag, e.detail
    FROM events e LEFT JOIN repositories r ON r.id = e.repository_id LEFT JOIN tags t ON t.id = e.tag_id""",
        "v_digest_whereis": _whereis(is_sqlite, seconds_text, instant_text),
        "v_shared_layers": """
    SELECT l.digest, l.size, count(DISTINCT t.repository_id) AS repositories, count(DISTINCT il.image_id) AS images
    FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN tag_images ti ON ti.image_id = il.image_id
    JOIN tags t ON t.id = ti.tag_id WHERE t.gone_at IS NULL
    GROUP BY l.id, l.digest, l.size HAVING count(DISTINCT t.repository_id) > 1""",
        "v_vanished": """
    SELECT 'repository' AS kind, r.full_name, NULL AS tag, r.gone_at, NULL AS last_digest
    FROM repositories r WHERE r.gone_at IS NOT NULL
    UNION ALL
    SELECT 'tag', r.full_name, t.name, t.gone_at, COALESCE(t.digest, (SELECT h.digest FROM tag_history h
        WHERE h.tag_id = t.id AND h.digest IS NOT NULL ORDER BY h.seen_from DESC LIMIT 1))
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.gone_at IS NOT NULL""",
        "v_incomplete": f"""
    SELECT l.kind, l.subject, l.reported_count, l.rows, COALESCE(l.stop_reason, 'open') AS stop_reason, l.finished_at
    FROM listings l
    WHERE l.is_complete = {"0" if is_sqlite else "false"} AND COALESCE(l.stop_reason, 'open') <> 'policy'
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.kind = l.kind AND n.subject = l.subject AND n.id > l.id
            AND n.finished_at IS NOT NULL AND n.stop_reason <> 'policy')
        AND NOT EXISTS (SELECT 1 FROM listings n WHERE n.walk_key = l.walk_key AND n.id > l.id AND n.finished_at IS NOT NULL)""",
        "v_holes": """
    SELECT r.full_name, t.name AS tag, t.first_seen_at, t.last_seen_at
    FROM tags t JOIN repositories r ON r.id = t.repository_id WHERE t.is_name_only AND t.gone_at IS NULL""",
    }


def _whereis(is_sqlite: bool, seconds_text: Callable[[str], str], instant_text: Callable[[str], str]) -> str:
    """Digests and the places where they were seen: one arm for what tags pointed to, one for each kind of content of that.

    An arm begins at the digest, goes on to the images that hold it, to the digests of tags that showed these, and ends at every
    interval on one of them. DISTINCT, because an image may hold a layer in several steps and two images may share a platform; no
    two arms have a row in common, and a UNION of them would keep SQLite from asking each for one digest only.
    """
    interval = f"""{seconds_text("h.seen_from")} AS seen_from, {seconds_text("h.seen_until")} AS seen_until,
        CASE WHEN h.last_seen IS NULL AND h.seen_until IS NULL THEN {instant_text("t.last_seen_at")}
            ELSE {seconds_text("h.last_seen")} END AS last_seen,
        {seconds_text("h.pushed_at")} AS pushed_at, h.last_updater,
        CASE WHEN n.tag_id IS NULL THEN NULL WHEN n.digest IS NULL THEN 'gone' ELSE 'moved' END AS ended"""
    of_interval = """JOIN tags t ON t.id = h.tag_id JOIN repositories r ON r.id = t.repository_id
    LEFT JOIN tag_history n ON n.tag_id = h.tag_id AND n.seen_from = h.seen_until"""
    # The far end describes some old tags without a digest: nobody knows since when such a tag has had its images.
    tag = f"""CAST(NULL AS TEXT) AS seen_from, {instant_text("t.gone_at")} AS seen_until,
        {instant_text("t.last_seen_at")} AS last_seen, {instant_text("t.last_pushed")} AS pushed_at, t.last_updater,
        CASE WHEN t.gone_at IS NOT NULL THEN 'gone' END AS ended"""
    of_tag = """JOIN tag_images ti ON ti.image_id = i.id JOIN tags t ON t.id = ti.tag_id
    JOIN repositories r ON r.id = t.repository_id"""
    shown_by = """SELECT i.digest
        UNION SELECT t.digest FROM tag_images ti JOIN tags t ON t.id = ti.tag_id WHERE ti.image_id = i.id
        UNION SELECT x.digest FROM index_images ii JOIN indexes x ON x.id = ii.index_id WHERE ii.image_id = i.id"""
    # Either is what the dialect's planner answers from the image on, by the index on the digest.
    shown = (
        f"JOIN tag_history h ON h.digest IN ({shown_by})"
        if is_sqlite
        else f"JOIN LATERAL ({shown_by}) d ON true JOIN tag_history h ON h.digest = d.digest"
    )

    def arm(digest: str, kind: str, times: str, source: str, *, distinct: bool = False) -> str:
        return f"""
    SELECT {"DISTINCT " if distinct else ""}{digest} AS digest, {kind} AS kind, r.full_name, t.name AS tag, {_PLATFORM} AS platform,
        {times}
    {source}"""

    arms = [
        arm(
            "h.digest",
            "CASE WHEN i.id IS NULL THEN 'index' ELSE 'image' END",
            interval,
            f"""FROM tag_history h {of_interval}
    LEFT JOIN images i ON i.digest = h.digest WHERE h.digest IS NOT NULL""",
        )
    ]
    for digest, kind, start, condition in (
        ("i.digest", "'image'", "FROM images i", "h.digest <> i.digest"),
        ("i.config_digest", "'config'", "FROM images i", "i.config_digest IS NOT NULL"),
        (
            "l.digest",
            "'layer'",
            "FROM layers l JOIN image_layers il ON il.layer_id = l.id JOIN images i ON i.id = il.image_id",
            "il.layer_id IS NOT NULL",
        ),
    ):
        is_shared = digest != "i.digest"
        arms.append(arm(digest, kind, interval, f"{start} {shown} {of_interval} WHERE {condition}", distinct=is_shared))
        no_digest = "t.digest IS NULL" + (f" AND {condition}" if is_shared else "")
        arms.append(arm(digest, kind, tag, f"{start} {of_tag} WHERE {no_digest}", distinct=is_shared))
    return "\n    UNION ALL".join(arms)
