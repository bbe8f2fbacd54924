"""The ledger beside somebody else who spends the same budget: who is noticed, who is not, and what is left to them."""

from __future__ import annotations

import pytest

from harvester.store import buckets
from harvester.store.buckets import BURST, Bucket, Pace
from tests.store.database import Database
from tests.store.test_buckets import HUB, PULLS, configure, headers, take

LIMIT = 180
MINUTE_S = 60.0


class FarEnd:
    """Counts requests in windows of a minute that begin on the minute; its clock is the test's."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.count = 0
        self.refused = 0
        self._began = self._minute()

    def ask(self, times: int = 1) -> int:
        """What remains after so many requests."""
        if self._minute() != self._began:
            self._began, self.count = self._minute(), 0
        allowed = min(times, LIMIT - self.count)
        self.count += allowed
        self.refused += times - allowed
        return LIMIT - self.count

    def answer(self, *, ended: int = 1) -> None:
        """One request of ours, answered at once."""
        remaining = self.ask()
        headers(
            self.db, remaining=remaining, resets_in_s=self._began + MINUTE_S - int(self.db.clock.time()), ended=ended
        )

    def _minute(self) -> float:
        return self.db.clock.time() // MINUTE_S * MINUTE_S


def crawl(db: Database, far_end: FarEnd, seconds: float, *, others_every_s: float = 0.0) -> int:
    """Requests of ours in that time, while somebody else asks now and then."""
    end, due, sent = db.clock.elapsed + seconds, db.clock.elapsed + others_every_s, 0
    while db.clock.elapsed < end:
        grant = take(db)
        wait_s = grant.wait_s if grant.permits else max(0.01, grant.wait_s)
        until = min(end, db.clock.elapsed + wait_s)
        while others_every_s and due <= until:
            db.clock.advance(max(0.0, due - db.clock.elapsed))
            far_end.ask()
            due += others_every_s
        db.clock.advance(max(0.0, until - db.clock.elapsed))
        if grant.permits:
            far_end.answer()
            sent += 1
    return sent


def others(db: Database) -> tuple[float, ...]:
    mean, jump = db.one("SELECT others, others_jump FROM budgets WHERE budget = 'hub' AND identity = 'anonymous'")
    return mean, jump


@pytest.fixture(autouse=True)
def _hub(db: Database) -> None:
    configure(db)


@pytest.fixture
def far_end(db: Database) -> FarEnd:
    return FarEnd(db)


@pytest.mark.parametrize("offset_s", [0.0, 17.3, 44.0])
def test_alone_nobody_is_noticed_wherever_the_windows_begin(db: Database, far_end: FarEnd, offset_s: float) -> None:
    db.clock.advance(offset_s)
    crawl(db, far_end, 300)
    assert others(db) == (0.0, 0.0)
    assert far_end.refused == 0
    assert crawl(db, far_end, 600) >= 0.95 * LIMIT * 10


def test_what_the_far_end_counted_beyond_ours_is_somebody_elses(db: Database, far_end: FarEnd) -> None:
    crawl(db, far_end, 900, others_every_s=0.667)
    mean, _ = others(db)
    assert mean == pytest.approx(90, abs=15)


def test_beside_others_nothing_is_refused_and_most_of_what_they_leave_is_used(db: Database, far_end: FarEnd) -> None:
    sent = crawl(db, far_end, 1800, others_every_s=0.667)
    assert far_end.refused == 0
    assert sent >= 0.8 * (LIMIT - 90) * 30


def test_when_they_stop_we_are_back_within_ten_minutes(db: Database, far_end: FarEnd) -> None:
    crawl(db, far_end, 1800, others_every_s=0.667)
    crawl(db, far_end, 600)
    assert crawl(db, far_end, 600) >= 0.95 * LIMIT * 10


def test_others_who_take_all_there_is_do_not_silence_us(db: Database, far_end: FarEnd) -> None:
    crawl(db, far_end, 600, others_every_s=0.33)
    for _ in range(5):
        assert crawl(db, far_end, 600, others_every_s=0.33) >= 5


def test_beside_others_nothing_is_saved_up(db: Database) -> None:
    take(db)
    headers(db, remaining=120, resets_in_s=50)
    db.clock.advance(30)
    at_once = 0
    while (grant := take(db)).permits and grant.wait_s < 0.01:
        at_once += 1
    assert 1 <= at_once < BURST / 4


def test_what_is_under_way_when_a_window_begins_is_counted_in_the_new_one(db: Database) -> None:
    for _ in range(3):
        take(db)
        headers(db, remaining=170, resets_in_s=60)
    for _ in range(4):
        take(db)
    db.clock.advance(30)
    headers(db, remaining=179, resets_in_s=90)
    assert db.one("SELECT spent, answered, counted FROM budgets") == (4, 1, 1)
    mean, _ = others(db)
    assert mean == pytest.approx(0.9, abs=0.1), "at least three of the first window were not ours"
    headers(db, remaining=176, resets_in_s=90, ended=3)
    db.clock.advance(91.5)
    take(db)
    assert others(db)[0] < mean, "and none of the second"


def test_permits_lost_with_a_killed_process_are_not_under_way_for_the_next(db: Database) -> None:
    take(db)
    headers(db, remaining=179, resets_in_s=60)
    for _ in range(6):
        take(db)
    configure(db)
    assert db.one("SELECT spent, answered FROM budgets") == (7, 7)


def test_a_late_answer_of_the_window_before_accuses_nobody(db: Database) -> None:
    take(db)
    headers(db, remaining=30, resets_in_s=20)
    db.clock.advance(22)
    take(db)
    headers(db, remaining=20, resets_in_s=1)
    assert db.one("SELECT counted, remaining FROM budgets") == (0, None)
    headers(db, remaining=178, resets_in_s=57)
    headers(db, remaining=20, resets_in_s=1)
    assert db.one("SELECT counted, remaining FROM budgets") == (2, 178)


def test_a_refusal_leaves_more_room_for_what_comes_unseen(db: Database) -> None:
    take(db)
    headers(db, remaining=120, resets_in_s=50)
    headers(db, remaining=100, resets_in_s=50)
    _, before = others(db)
    with db.engine.begin() as connection:
        buckets.refuse(connection, HUB, 30, "429", db.clock.time())
    assert others(db)[1] > before > 0
    grant = take(db)
    assert (grant.permits, grant.reason) == (0, "429")


def test_a_refusal_of_what_no_header_speaks_of_teaches_nothing(db: Database) -> None:
    with db.engine.begin() as connection:
        buckets.refuse(connection, HUB, 30, "429", db.clock.time())
    assert others(db) == (0.0, 0.0)


def test_a_ceiling_is_for_our_own_requests(db: Database) -> None:
    pace = Pace(60, MINUTE_S, ceiling=60, share=0.98)
    configure(db, pace)
    take(db, pace=pace)
    headers(db, pace, remaining=109, resets_in_s=30)
    grant = take(db, pace=pace)
    assert grant.permits == 1, "70 of others are no reason to stop at a ceiling of 60 out of 180"


class TestPulls:
    HOUR = Pace(50, 3600.0, share=0.5)

    @pytest.fixture(autouse=True)
    def _pulls(self, db: Database) -> None:
        configure(db, self.HOUR, PULLS)

    def heard(self, db: Database, remaining: int, ended: int = 1) -> None:
        headers(db, self.HOUR, PULLS, limit=100, remaining=remaining, window_s=3600.0, ended=ended)

    def pulled(self, db: Database, used: int, most: int, until_s: float = 3500.0) -> int:
        """Pulls of ours until so many, or so late; the far end had counted `used` before."""
        sent = 0
        while sent < most and db.clock.elapsed < until_s:
            grant = take(db, PULLS, pace=self.HOUR)
            db.clock.advance(grant.wait_s)
            if grant.permits:
                sent += 1
                self.heard(db, 100 - used - sent)
        return sent

    def test_the_reserve_stays_whole_in_a_window_in_which_the_operator_pulls(self, db: Database) -> None:
        first = self.pulled(db, 0, 10)
        then = self.pulled(db, first + 15, 100)
        assert then >= 15
        assert first + 15 + then <= 50, "15 pulls of the operator came between: 50 are left in the end"

    def test_a_window_that_neither_begins_with_ours_nor_is_told_of_accuses_nobody(self, db: Database) -> None:
        self.pulled(db, 0, 30)
        db.clock.advance(3600)
        self.pulled(db, 30, 1, 10_000)
        db.clock.advance(60)
        self.pulled(db, 31, 1, 10_000)
        assert db.one("SELECT spent, counted, others, others_jump FROM budgets WHERE budget = 'pulls'") == (
            32,
            32,
            0,
            0,
        )

    def test_a_count_that_falls_is_a_new_window(self, db: Database) -> None:
        self.pulled(db, 0, 30)
        self.pulled(db, 0, 1)
        ends_at = db.value("SELECT window_ends_at FROM budgets WHERE budget = 'pulls'")
        assert ends_at == pytest.approx(db.clock.time() + 3600)
        assert db.one("SELECT spent, counted FROM budgets WHERE budget = 'pulls'") == (1, 1)

    def test_a_manifest_without_headers_costs_nothing_and_keeps_the_configured_pace(self, db: Database) -> None:
        take(db, PULLS, pace=self.HOUR)
        headers(db, self.HOUR, PULLS, limit=100, remaining=99, window_s=21_600.0)
        sent, start = 0, db.clock.elapsed
        while db.clock.elapsed - start < 7200:
            grant = take(db, PULLS, pace=self.HOUR)
            db.clock.advance(grant.wait_s)
            if grant.permits:
                sent += 1
                with db.engine.begin() as connection:
                    buckets.give_back(connection, PULLS, self.HOUR, db.clock.time())
                    buckets.end(connection, PULLS, 1)
        assert sent >= 100
        assert db.value("SELECT spent FROM budgets WHERE budget = 'pulls'") <= 1


class TestSearch:
    SEARCH = Bucket("search", "direct", "anonymous")
    TOLD = Pace(150, MINUTE_S, share=0.98, only_if_told=True)

    @pytest.fixture(autouse=True)
    def _search(self, db: Database) -> None:
        configure(db, self.TOLD, self.SEARCH)

    def stands_alone(self, db: Database, limit: int | None) -> bool | None:
        with db.engine.begin() as connection:
            return buckets.stands_alone(connection, self.SEARCH, HUB, limit)

    def test_it_holds_nothing_back_before_a_header_names_its_limit(self, db: Database) -> None:
        grants = [take(db, self.SEARCH, pace=self.TOLD) for _ in range(500)]
        assert {(grant.permits, grant.wait_s) for grant in grants} == {(1, 0.0)}

    def test_before_the_hub_was_heard_its_answers_only_lower_the_hubs_limit(self, db: Database) -> None:
        assert self.stands_alone(db, 180) is None
        assert self.stands_alone(db, 100) is False

    def test_only_another_limit_makes_it_stand_alone(self, db: Database) -> None:
        headers(db, remaining=170)
        assert self.stands_alone(db, 180) is False
        assert self.stands_alone(db, 30) is True
        assert self.stands_alone(db, None) is False

    def test_once_it_stands_alone_it_has_a_pace_and_a_window_until_the_limits_are_one_again(self, db: Database) -> None:
        headers(db, remaining=170)
        headers(db, self.TOLD, self.SEARCH, limit=30, remaining=29, resets_in_s=60)
        sent = 0
        while (left_s := 59 - db.clock.elapsed) > 0:
            grant = take(db, self.SEARCH, pace=self.TOLD)
            db.clock.advance(min(grant.wait_s, left_s))
            if grant.permits:
                sent += 1
                headers(db, self.TOLD, self.SEARCH, limit=30, remaining=29 - sent, resets_in_s=60 - db.clock.elapsed)
        assert 25 <= sent <= 29
        assert take(db).permits == 1, "the rest of the Hub stays open"
        assert self.stands_alone(db, 180) is False
        assert take(db, self.SEARCH, pace=self.TOLD).permits == 1
