"""When what is watched is looked at: arithmetic that must hold for every input."""

from __future__ import annotations

from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester import cadence
from harvester.cadence import Evidence, Habit, Source, evidence, intervals, noted, requests_of, stretch, usual, weight

DAY = 86_400
HOUR = 3600

epochs = st.floats(0, 4e9)
spans = st.integers(5, 365 * DAY)
names = st.text(max_size=60)


@st.composite
def sources(draw: st.DrawFn) -> Source:
    every = draw(spans)
    return Source(
        rate=draw(st.one_of(st.just(0.0), st.floats(1e-10, 1.0))),
        weight=draw(st.floats(0.5, 10)),
        requests=draw(st.floats(1, 3)),
        fastest_s=draw(st.integers(5, every)),
        every_s=every,
    )


many = st.lists(sources(), max_size=30)
budgets = st.one_of(st.just(0.0), st.floats(1e-9, 100))


# Slots.


@given(epochs, spans, names)
def test_the_next_slot_comes_within_every_and_on_the_grid(now: float, every: int, name: str) -> None:
    phase = cadence.phase(name, every)
    assert 0 <= phase < every
    slot, following = cadence.slot_of(now, every, phase), cadence.next_slot(now, every, phase)
    assert slot <= now < following == slot + every
    assert (slot - phase) % every == 0
    assert cadence.slot_of(slot, every, phase) == slot


@given(epochs, spans, names)
def test_a_slot_that_has_just_begun_is_not_due_again(now: float, every: int, name: str) -> None:
    phase = cadence.phase(name, every)
    due = cadence.next_slot(now, every, phase)
    assert cadence.next_slot(due, every, phase) == due + every


def test_a_pass_a_day_is_one_in_each_utc_day() -> None:
    phase = cadence.phase("bitnami/*", DAY)
    due = [cadence.next_slot(1_795_190_400 + day * DAY, DAY, phase) for day in range(400)]
    assert len({slot // DAY for slot in due}) == 400


def test_phases_are_spread_over_the_day_and_over_the_minute() -> None:
    phases = [cadence.phase(f"user{n}/name{n}", DAY) for n in range(24_000)]
    hours = [sum(phase // HOUR == hour for phase in phases) for hour in range(24)]
    seconds = [sum(phase % 60 == second for phase in phases) for second in range(60)]
    assert 850 < min(hours) <= max(hours) < 1150
    assert 300 < min(seconds) <= max(seconds) < 500


def test_a_phase_never_changes() -> None:
    assert cadence.phase("library/nginx", DAY) == 41_736


@given(epochs, spans, st.floats(1.25, 100), names)
def test_a_stretched_every_has_slots_of_its_own(begun: float, every: int, factor: float, name: str) -> None:
    phase = cadence.phase(name, every)
    due = cadence.next_pass(begun, every, phase, factor)
    longer = int(every * factor)
    assert begun + longer / 2 < due <= begun + longer * 1.5
    assert cadence.next_pass(due, every, phase, factor) == due + longer
    assert cadence.next_pass(due, every, phase, 1.0) == cadence.next_slot(due, every, phase)


@given(epochs, spans, st.one_of(st.none(), epochs), names)
def test_a_pass_takes_the_turn_of_a_look(now: float, interval: int, pass_at: float | None, name: str) -> None:
    due = cadence.next_look(now, interval, name, pass_at)
    assert now + 0.89 * interval < due
    if pass_at is None or pass_at <= now or pass_at > now + 1.7 * interval:
        assert due < now + 1.11 * interval
    elif pass_at < now + 1.3 * interval:
        assert pass_at + 0.89 * interval < due < pass_at + 1.11 * interval


@given(epochs, spans, st.floats(-4e9, 4e9))
def test_a_due_date_is_believed_unless_the_clock_was_ahead_when_it_was_set(
    now: float, every: int, ahead: float
) -> None:
    due = cadence.next_slot(now + ahead, every, 17)
    if ahead <= 0:
        assert cadence.is_sane(due, now, every)
    elif ahead > every:
        assert not cadence.is_sane(due, now, every)


@given(st.floats(1, 1e8), names, epochs)
def test_jitter_moves_by_a_tenth_at_the_most_and_is_believed(interval: float, name: str, now: float) -> None:
    found = cadence.jittered(interval, name, now)
    assert 0.9 * interval <= found <= 1.1 * interval * (1 + 1e-12)


def test_jitter_spreads_what_is_due_at_once() -> None:
    found = [cadence.jittered(1000, f"n{n}", 0) for n in range(2000)]
    assert min(found) < 905
    assert max(found) > 1095
    assert abs(sum(found) / 2000 - 1000) < 5


# Rates.


def rate(habit: Habit, age: float | None) -> float:
    return cadence.rate(evidence(habit, age))


@pytest.mark.parametrize(
    ("per_day", "every"),
    [
        (per_day, every)
        for per_day in (0.05, 1.0, 24.0)
        for every in (HOUR, DAY, 7 * DAY)
        if per_day * every <= 24 * DAY
    ],
)
def test_the_rate_is_right_whatever_the_looks_miss(per_day: float, every: int) -> None:
    """Looks that are much rarer than changes see one of many; the rate must not depend on it."""
    random = Random(5)  # noqa: S311
    found = []
    for _ in range(40):
        habit, last = Habit(), 0.0
        at = random.expovariate(per_day / DAY)
        for look in range(every, 200 * DAY, every):
            before = last
            while at <= look:
                last, at = at, at + random.expovariate(per_day / DAY)
            has_changed = last > before and last > look - every
            habit = noted(habit, every, has_changed, look - last if has_changed else None)
        found.append(rate(habit, 200 * DAY - last) * DAY)
    assert sum(found) / len(found) == pytest.approx(per_day, rel=0.35 if every * per_day > 5 * DAY else 0.15)


def test_what_was_looked_at_once_is_judged_by_the_age_of_its_last_change() -> None:
    assert rate(Habit(), 10 * DAY) == pytest.approx(0.6 / (10 * DAY))
    assert rate(Habit(), 0) == rate(Habit(), 3 * HOUR), "an hour ago says no more than half a day ago"
    assert rate(Habit(), None) == rate(Habit(), cadence.UNKNOWN_AGE_S)


def test_a_habit_is_forgotten_within_months() -> None:
    habit = Habit()
    for _ in range(90):
        habit = noted(habit, DAY, True, HOUR * 12)
    awake = rate(habit, HOUR)
    for day in range(60):
        habit = noted(habit, DAY, False)
        assert rate(habit, (day + 1) * DAY) < awake
    assert rate(habit, 60 * DAY) < awake / 10
    for _ in range(14):
        habit = noted(habit, DAY, True, HOUR * 12)
    assert rate(habit, HOUR * 12) > awake / 5, "it woke up"


@given(
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.booleans(), st.one_of(st.none(), st.floats(-1e9, 1e9))), max_size=50),
    st.one_of(st.none(), st.floats(-1e9, 1e9)),
)
def test_no_jump_of_a_clock_makes_a_rate_impossible(
    looks: list[tuple[float, bool, float | None]], age: float | None
) -> None:
    habit = Habit()
    for elapsed, has_changed, since in looks:
        habit = noted(habit, elapsed, has_changed, since)
        assert 0 <= habit.changes <= habit.checks
        assert 0 <= habit.observed_s <= cadence.MEMORY_S + 1e9
    assert 0 < rate(habit, age) < (len(looks) + 1) ** 2 / cadence.YOUNGEST_S


def _seen(random: Random, per_day: float, days: int = 60) -> Evidence:
    """What daily looks show of a repository that changes at random."""
    habit, last, at = Habit(), 0.0, random.expovariate(per_day)
    for day in range(1, days + 1):
        before = last
        while at <= day:
            last, at = at, at + random.expovariate(per_day)
        habit = noted(habit, DAY, last > before, (day - last) * DAY)
    return evidence(habit, (days - last) * DAY)


def test_where_all_are_alike_each_is_judged_by_all() -> None:
    random = Random(7)  # noqa: S311
    found = [_seen(random, 0.1) for _ in range(200)]
    alone = sorted(cadence.rate(one) * DAY for one in found)
    together = sorted(cadence.rate(one, usual(found)) * DAY for one in found)
    assert 0.04 < together[0] < together[-1] < 0.2
    assert together[-1] / together[0] < alone[-1] / alone[0] / 2


def test_where_rates_span_decades_each_is_judged_by_itself() -> None:
    random = Random(7)  # noqa: S311
    found = [_seen(random, 10 ** random.uniform(-3, 2)) for _ in range(200)]
    ratios = [cadence.rate(one, usual(found)) / cadence.rate(one) for one in found]
    assert 0.4 < min(ratios) <= max(ratios) < 1.5


def test_one_that_is_unlike_all_others_stays_so() -> None:
    random = Random(7)  # noqa: S311
    found = [*(_seen(random, 0.001) for _ in range(200)), _seen(random, 5)]
    assert cadence.rate(found[-1], usual(found)) > 30 * max(cadence.rate(one, usual(found)) for one in found[:-1])


@given(st.lists(st.builds(Evidence, st.floats(1e-6, 1e4), st.floats(1.0, 1e12)), max_size=20))
def test_what_is_usual_is_always_a_rate(found: list[Evidence]) -> None:
    together = usual(found)
    assert 0 <= together.changes <= cadence.ALIKE
    for one in found:
        assert min(e.changes / e.seconds for e in found) * 0.99 <= cadence.rate(one, together)
        assert cadence.rate(one, together) <= max(e.changes / e.seconds for e in found) * 1.01


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_more_pulls_never_matter_less(one: int, other: int) -> None:
    assert 1 <= weight(min(one, other)) <= weight(max(one, other)) < 8


def test_how_much_pulls_matter() -> None:
    assert weight(None) == weight(0) == 1
    assert weight(999) == pytest.approx(2)
    assert weight(10**9 - 1) == pytest.approx(4)


# The budget.


@given(many, budgets)
def test_intervals_keep_to_their_bounds_and_to_the_budget(found: list[Source], budget: float) -> None:
    result = intervals(found, budget)
    for one, interval in zip(found, result, strict=True):
        looks = -(-one.every_s // interval)
        assert one.fastest_s <= interval == -(-one.every_s // looks), "a whole part of every, rounded up"
    assert requests_of(found, result) <= budget * (1 + 1e-6) + 1e-12


@given(many, st.floats(1e-9, 1), st.floats(3, 100))
def test_more_budget_makes_no_interval_longer(found: list[Source], budget: float, times: float) -> None:
    less, more = intervals(found, budget), intervals(found, budget * times)
    assert all(a >= b for a, b in zip(less, more, strict=True))


@given(st.lists(sources(), min_size=2, max_size=12), st.floats(1e-6, 10), st.randoms(use_true_random=False))
def test_no_other_sharing_out_of_as_many_requests_knows_of_changes_earlier(
    found: list[Source], budget: float, random: Random
) -> None:
    found = [one._replace(every_s=one.every_s * 100_000, fastest_s=one.fastest_s * 100_000) for one in found]
    looks = [round(one.every_s / interval) for one, interval in zip(found, intervals(found, budget / 1e5), strict=True)]
    for _ in range(20):
        other = [
            min(max(k + random.choice((-2, -1, 0, 0, 1, 2)), 1), one.every_s // one.fastest_s)
            for one, k in zip(found, looks, strict=True)
        ]
        if _cost(found, other) <= _cost(found, looks):
            assert _delay(found, other) >= _delay(found, looks) * (1 - 1e-3)


def _cost(found: list[Source], looks: list[int]) -> float:
    return sum(one.requests * k / one.every_s for one, k in zip(found, looks, strict=True))


def _delay(found: list[Source], looks: list[int]) -> float:
    return sum(one.weight * one.rate * one.every_s / k for one, k in zip(found, looks, strict=True))


@pytest.mark.parametrize("a_day", [10, 100, 1000, 4000])
def test_of_many_sources_nearly_all_of_the_budget_is_spent(a_day: int) -> None:
    random = Random(3)  # noqa: S311
    found = [Source(10 ** random.uniform(-8, -4), random.uniform(1, 4), 1.5, 2 * HOUR, DAY) for _ in range(500)]
    spent = requests_of(found, intervals(found, a_day / DAY)) * DAY
    assert a_day * 0.95 - 3 <= spent <= a_day


def test_of_sources_that_are_alike_some_get_what_is_not_enough_for_all() -> None:
    found = [Source(1e-5, 1, 1, 2 * HOUR, DAY)] * 100
    result = intervals(found, 150 / DAY)
    assert sorted(set(result)) == [DAY // 3, DAY // 2]
    assert requests_of(found, result) * DAY == pytest.approx(150, abs=1.01)


def test_what_may_be_as_fast_as_it_likes_is() -> None:
    found = [Source(1e-5, 1, 1, 2 * HOUR, DAY), Source(0.0, 1, 1, 2 * HOUR, DAY)]
    assert intervals(found, 1.0) == [2 * HOUR, DAY]


def _listed(rates: list[float], a_day: float) -> bool:
    single = [Source(rate, 1, 1, 2 * HOUR, DAY) for rate in rates]
    by_list = Source(sum(rates), 1, -(-len(rates) // 100), 2 * HOUR, DAY)
    return cadence.is_listed(single, by_list, cadence.price_of(single, a_day / DAY))


def test_a_list_beats_single_looks_where_many_of_its_repositories_change() -> None:
    assert _listed([1e-5, 1e-5], 3)
    assert _listed([1e-5] * 300, 3)
    assert _listed([1e-7] * 300, 3), "none of them would be worth a look of its own"
    assert not _listed([1e-5], 3), "a list of one is no less than a look at it"
    assert not _listed([1e-4] + [1e-9] * 299, 3)
    assert not _listed([1e-5] * 300, 0)


def test_no_budget_leaves_the_passes_alone() -> None:
    found = [Source(1e-4, 1, 1, HOUR, DAY), Source(1e-9, 1, 1, HOUR, DAY)]
    assert intervals(found, 0.0) == [DAY, DAY]


def test_four_times_as_many_changes_are_worth_half_the_interval() -> None:
    found = [Source(rate=4e-5, weight=1, requests=1, fastest_s=60, every_s=DAY), Source(1e-5, 1, 1, 60, DAY)]
    one, other = intervals(found, 10 / DAY)
    assert (one, other) == (DAY // 8, DAY // 4)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_stretch_brings_the_demand_down_to_the_capacity(demand: float, capacity: float) -> None:
    factor = stretch(demand, capacity)
    assert factor >= 1
    assert demand / factor <= capacity * (1 + 1e-9)
    assert factor == 1 or demand > capacity


def test_a_stretch_at_the_edges() -> None:
    assert stretch(0, 0) == 1
    assert stretch(1, 0) == inf
    assert stretch(3, 1.5) == 2
    assert stretch(3.01, 1.5) == 2.25, "in quarters: a demand that varies a little moves no slot"
