"""The ledger by itself: pace, burst, caps, closures, under a clock that tests move."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.store import buckets
from harvester.store.buckets import BURST, FIRST_BLOCK_S, LONGEST_BLOCK_S, PATIENCE_S, Bucket, Grant, Pace
from tests.store.database import Database

HUB = Bucket("hub", "direct", "anonymous")
PULLS = Bucket("pulls", "direct", "anonymous")
PACE = Pace(150, 60.0, share=0.98)


def configure(db: Database, pace: Pace = PACE, bucket: Bucket = HUB) -> None:
    with db.engine.begin() as connection:
        buckets.configure(connection, bucket, pace, db.clock.time())


def take(db: Database, bucket: Bucket = HUB, wanted: int = 1, pace: Pace = PACE) -> Grant:
    with db.engine.begin() as connection:
        return buckets.take(connection, bucket, pace, wanted, db.clock.time())


def headers(db: Database, pace: Pace = PACE, bucket: Bucket = HUB, **said: Any) -> None:
    values: dict[str, Any] = {"limit": 180, "remaining": None, "window_s": 60.0, "resets_in_s": None} | said
    with db.engine.begin() as connection:
        buckets.observe(connection, bucket, pace, db.clock.time(), **values)


def close(db: Database, seconds: float, reason: str = "why") -> None:
    with db.engine.begin() as connection:
        buckets.close(connection, HUB, seconds, reason, db.clock.time())


def sent_at(db: Database, seconds: float, bucket: Bucket = HUB) -> list[float]:
    """When permits fall due to somebody who asks for nothing else for that long; time has passed then."""
    start = db.clock.elapsed
    due: list[float] = []
    while (elapsed := db.clock.elapsed - start) < seconds:
        grant = take(db, bucket)
        if grant.permits:
            due.append(elapsed + grant.wait_s)
        db.clock.advance(max(grant.wait_s, 0.001))
    return [at for at in due if at < seconds]


def busiest(times: list[float], window_s: float = 60.0) -> int:
    """Permits in the fullest window of that length that begins with a permit."""
    return max(sum(1 for at in times if start <= at < start + window_s) for start in times)


@pytest.fixture(autouse=True)
def _hub(db: Database) -> None:
    configure(db)


def test_after_idleness_twenty_go_out_at_once_and_then_evenly(db: Database) -> None:
    times = sent_at(db, 20)
    assert sum(1 for at in times if at < 0.1) == BURST
    gaps = [after - before for before, after in zip(times[BURST:], times[BURST + 1 :], strict=False)]
    assert min(gaps) == pytest.approx(60 / 150, abs=0.002)
    assert max(gaps) == pytest.approx(60 / 150, abs=0.002)


def test_no_more_than_twenty_are_saved_up_however_long_nothing_was_asked(db: Database) -> None:
    sent_at(db, 10)
    db.clock.advance(86_400)
    assert sum(1 for at in sent_at(db, 0.35) if at < 0.35) == BURST


def test_a_window_never_gives_more_than_its_cap(db: Database) -> None:
    given = 0
    while (grant := take(db)).permits:
        given += 1
        db.clock.advance(grant.wait_s)
    assert (given, grant.reason) == (150, "the hub budget of this window is spent")
    assert grant.wait_s == pytest.approx(60 - db.clock.elapsed)
    db.clock.advance(grant.wait_s)
    assert take(db).permits == 1


def test_a_block_of_permits_never_goes_over_the_cap(db: Database) -> None:
    configure(db, Pace(7, 60.0))
    assert take(db, wanted=100).permits == 7
    assert take(db, wanted=100).permits == 0


def test_a_permit_is_promised_two_seconds_ahead_and_no_more(db: Database) -> None:
    waits = []
    while (grant := take(db)).permits:
        waits.append(grant.wait_s)
    assert PATIENCE_S - 0.5 < max(waits) <= PATIENCE_S + 0.001
    assert sum(1 for wait in waits if wait < 0.001) == BURST


def test_headers_set_the_cap_to_the_share_that_we_allow_ourselves(db: Database) -> None:
    headers(db, limit=100)
    assert db.one("SELECT limit_count, cap, source FROM budgets") == (100, 98, "header")
    assert len(sent_at(db, 59)) == 98


@pytest.mark.parametrize("limit", [180, 100, 30])
def test_a_ceiling_is_lowered_by_headers_and_never_raised(db: Database, limit: int) -> None:
    pace = Pace(60, 60.0, ceiling=60, share=0.98)
    configure(db, pace)
    headers(db, pace, limit=limit)
    assert len(sent_at(db, 59)) == min(60, int(limit * 0.98))


def test_a_ceiling_holds_from_the_start_although_headers_of_an_earlier_run_allowed_more(db: Database) -> None:
    headers(db, limit=180, remaining=180, resets_in_s=60)
    db.clock.advance(3600)
    configure(db, Pace(60, 60.0, ceiling=60, share=0.98))
    assert len(sent_at(db, 59)) <= 60


def test_a_cap_known_from_headers_survives_a_restart(db: Database) -> None:
    headers(db, limit=30)
    db.clock.advance(3600)
    configure(db)
    assert len(sent_at(db, 59)) == 29


def test_what_was_spent_survives_a_restart(db: Database) -> None:
    first = sent_at(db, 20)
    configure(db)
    times = first + [at + 20 for at in sent_at(db, 100)]
    assert busiest(times) <= 150 + BURST
    assert sum(1 for at in times if at < 60) <= 150


def test_remaining_that_falls_faster_than_ours_is_honoured(db: Database) -> None:
    take(db)
    headers(db, remaining=50, resets_in_s=50)
    assert db.one("SELECT spent, counted FROM budgets") == (1, 130)
    assert len(sent_at(db, 49)) <= 176 - 130


def test_remaining_that_falls_faster_than_ours_is_honoured_after_idleness_too(db: Database) -> None:
    headers(db, remaining=179, resets_in_s=60)
    db.clock.advance(600)
    take(db)
    headers(db, remaining=20, resets_in_s=10)
    assert len(sent_at(db, 9.5)) <= 20


def test_remaining_that_is_more_than_we_counted_gives_nothing_back(db: Database) -> None:
    for _ in range(10):
        take(db)
    headers(db, remaining=180, resets_in_s=50)
    assert db.value("SELECT spent FROM budgets") == 10


def test_nothing_remaining_closes_the_bucket_until_the_reset(db: Database) -> None:
    take(db)
    headers(db, remaining=0, resets_in_s=30)
    grant = take(db)
    assert grant.permits == 0
    assert grant.wait_s == pytest.approx(31, abs=0.01)
    db.clock.advance(30)
    assert take(db).permits == 0
    db.clock.advance(1.1)
    assert take(db).permits == 1


def test_nothing_remaining_closes_the_bucket_after_idleness_too(db: Database) -> None:
    headers(db, remaining=179, resets_in_s=60)
    db.clock.advance(600)
    take(db)
    headers(db, remaining=0, resets_in_s=10)
    assert take(db).permits == 0


def test_an_answer_of_the_window_before_changes_nothing(db: Database) -> None:
    headers(db, remaining=100, resets_in_s=10)
    db.clock.advance(11.5)
    take(db)
    before = db.one("SELECT spent, window_ends_at, not_before FROM budgets")
    headers(db, remaining=0, resets_in_s=-1)
    assert db.one("SELECT spent, window_ends_at, not_before FROM budgets") == before


def test_a_window_that_began_anew_at_the_far_end_begins_anew_here(db: Database) -> None:
    headers(db, remaining=0, resets_in_s=2)
    db.clock.advance(4)
    assert take(db).permits == 1
    headers(db, remaining=179, resets_in_s=60)
    assert db.value("SELECT spent FROM budgets") <= 1


def test_an_end_of_the_window_beyond_reason_is_not_believed(db: Database) -> None:
    take(db)
    headers(db, remaining=0, resets_in_s=86_400)
    assert take(db).wait_s <= 61


def test_a_pulls_window_is_known_by_its_headers_and_the_reserve_is_left_to_others(db: Database) -> None:
    pace = Pace(50, 3600.0, share=0.5)
    configure(db, pace, PULLS)
    take(db, PULLS)
    headers(db, pace, PULLS, limit=100, remaining=90, window_s=21_600.0)
    assert db.one("SELECT cap, window_s, spent FROM budgets WHERE budget = 'pulls'") == (50, 21_600.0, 10)
    headers(db, pace, PULLS, limit=100, remaining=45, window_s=21_600.0)
    assert take(db, PULLS, pace=pace).permits == 0, "others used more than their half"


def test_a_closed_bucket_lets_nothing_out(db: Database) -> None:
    close(db, 100, "429")
    grant = take(db)
    assert (grant.permits, grant.reason) == (0, "429")
    assert grant.wait_s == pytest.approx(100)
    db.clock.advance(100)
    assert take(db).permits == 1


@pytest.mark.parametrize("order", [(100, 30), (30, 100)])
def test_of_two_closures_the_longer_one_stands(db: Database, order: tuple[int, int]) -> None:
    for seconds in order:
        close(db, seconds, f"for {seconds}")
    grant = take(db)
    assert grant.wait_s == pytest.approx(100)
    assert grant.reason == "for 100"


def test_success_does_not_open_a_closed_bucket_early(db: Database) -> None:
    close(db, 100)
    headers(db, remaining=179, resets_in_s=60)
    db.clock.advance(50)
    assert take(db).permits == 0


def test_a_closure_of_one_bucket_leaves_the_others_open(db: Database) -> None:
    configure(db, PACE, PULLS)
    close(db, 100)
    assert (take(db).permits, take(db, PULLS).permits) == (0, 1)


def test_requests_that_are_refused_together_are_one_block(db: Database) -> None:
    with db.engine.begin() as connection:
        chosen = [buckets.block(connection, [HUB], "edge", db.clock.time()) for _ in range(4)]
    assert chosen == [FIRST_BLOCK_S] * 4


def test_a_block_binds_whoever_asks_from_the_address(db: Database) -> None:
    account = Bucket("hub", "direct", "account")
    configure(db, bucket=account)
    with db.engine.begin() as connection:
        buckets.block(connection, [HUB], "edge", db.clock.time())
    for bucket in (HUB, account):
        grant = take(db, bucket)
        assert (grant.permits, grant.wait_s, grant.reason) == (0, FIRST_BLOCK_S, "edge")
    other_way_out = Bucket("hub", "office", "anonymous")
    configure(db, bucket=other_way_out)
    assert take(db, other_way_out).permits == 1


def test_a_block_grows_with_each_repetition_up_to_its_longest(db: Database) -> None:
    chosen = []
    for _ in range(7):
        with db.engine.begin() as connection:
            chosen.append(buckets.block(connection, [HUB], "edge", db.clock.time()))
        db.clock.advance(chosen[-1])
        assert take(db).permits == 1
    assert chosen[:3] == [FIRST_BLOCK_S, 2 * FIRST_BLOCK_S, 4 * FIRST_BLOCK_S]
    assert chosen[-1] == LONGEST_BLOCK_S


def test_an_answer_ends_the_row_of_blocks(db: Database) -> None:
    with db.engine.begin() as connection:
        buckets.block(connection, [HUB], "edge", db.clock.time())
        buckets.block(connection, [HUB], "edge", db.clock.time())
    headers(db, remaining=100)
    with db.engine.begin() as connection:
        assert buckets.block(connection, [HUB], "edge", db.clock.time()) == FIRST_BLOCK_S


@pytest.mark.parametrize("known", [False, True])
def test_a_budget_of_nothing_lets_nothing_out(db: Database, known: bool) -> None:
    if known:
        pace = Pace(50, 3600.0)
        configure(db, pace, PULLS)
        headers(db, pace, PULLS, limit=100, remaining=90)
    configure(db, Pace(0, 3600.0, ceiling=0), PULLS)
    grant = take(db, PULLS)
    assert (grant.permits, grant.wait_s > PATIENCE_S) == (0, True)


def test_a_clock_set_back_two_hours_stalls_nothing_for_two_hours(db: Database) -> None:
    sent_at(db, 30)
    db.clock.set_wall(db.clock.time() - 7200)
    assert take(db).permits == 1
    assert len(sent_at(db, 59)) > 100


def test_a_clock_set_back_two_hours_does_not_make_a_closure_two_hours_longer(db: Database) -> None:
    close(db, 30)
    db.clock.set_wall(db.clock.time() - 7200)
    assert take(db).wait_s <= 120


def test_a_clock_set_back_a_little_makes_no_second_budget(db: Database) -> None:
    times = sent_at(db, 30)
    db.clock.set_wall(db.clock.time() - 30)
    times += [30 + at for at in sent_at(db, 29)]
    assert len(times) <= 150


def test_a_clock_set_back_two_hours_stalls_nothing_where_headers_were_heard(db: Database) -> None:
    for number in range(10):
        take(db)
        headers(db, remaining=179 - number, resets_in_s=60)
    db.clock.advance(5)
    db.clock.set_wall(db.clock.time() - 7200)
    assert take(db).wait_s <= PATIENCE_S
    db.clock.advance(70)
    assert len(sent_at(db, 50)) > 100
