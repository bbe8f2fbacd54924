"""The view of pulls gained per day, with what is odd about a day. Rank 3. SQL as text for either dialect.

What it says of a day comes from that day's last observation and those before it, never from later ones. Every window is of one
repository, named by `full_name`: a question about one repository reads no other.
"""

from __future__ import annotations

GAP_S = 2 * 86_400
"""Above this, two observations are too far apart to tell what one day brought."""

# From the inside:
# samples    observations, numbered; `next_at` tells the last one of a UTC day
# days       the last observation of each day, and the one before it
# fresh      whether the name was registered anew between the two: then they are counts of different things
# numbered   the running number of the chapter
# gained     what a day brought, and where its chapter's count stood 29 days of observation before
# moved      whether the count moved: by a hundredth at least of the mean of those days (a first one does)
# runs       days on which it did not move belong to the move before them
# weeks      of each move: its rate, the mean rate of the last seven, of the seven before, and of those before them
# rates      the usual rate, the middle of the three means (of two the lower); of the last fourteen moves the smallest rate, and how
#            many came after a day that did not move
# carried    the same, and where the count stood, as of the move before
# still      the same for the days that did not move
_DAILY = """
    SELECT full_name, day, pulls, elapsed_s,
        CASE WHEN state IS NOT NULL THEN state
            WHEN pulls > 0 AND lag(state) OVER w IN ('plateau', 'ceiling') THEN 'jump'
            WHEN elapsed_s > {gap_s} THEN 'gap' END AS flag,
        pull_count, samples
    FROM (
    SELECT full_name, {day} AS day, pulls, elapsed_s, pull_count, samples, observed_at,
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
        CASE WHEN week_2 IS NULL THEN week_1 WHEN week_3 IS NULL THEN {least}(week_1, week_2)
            ELSE {most}({least}(week_1, week_2), {least}({most}(week_1, week_2), week_3)) END AS usual,
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
            AND c.ended_at > {before_at} AND c.ended_at <= {observed_at}) THEN 1 ELSE 0 END AS is_fresh
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
    WINDOW w AS (PARTITION BY full_name ORDER BY observed_at)"""


def pull_daily(dialect: str) -> str:
    """The SELECT of `v_pull_daily`."""
    if dialect == "sqlite":
        day = "date(observed_at, 'unixepoch')"
        instant = "strftime('%Y-%m-%dT%H:%M:%SZ', {}, 'unixepoch')"
        least, most = "min", "max"
    else:
        day = "CAST(to_timestamp(observed_at) AT TIME ZONE 'UTC' AS date)"
        instant = "to_timestamp({})"
        least, most = "least", "greatest"
    return _DAILY.format(
        gap_s=GAP_S,
        day=day,
        least=least,
        most=most,
        before_at=instant.format("d.before_at"),
        observed_at=instant.format("d.observed_at"),
    )
