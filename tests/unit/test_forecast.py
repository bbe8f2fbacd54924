"""What a pass costs, by what is known of a repository and by what is wanted of it."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.forecast import (
    BELIEVED_DAYS,
    CHANGE_A_DAY,
    SCOPES,
    Choice,
    Cost,
    Facts,
    Forecast,
    Rates,
    namespace_pages,
    of_pass,
    of_schedule,
    read_off,
    rounded,
    seconds_at,
)

RATES = Rates(pushes=0.1, moved=2.0, modified=0.01, lost=0.5)


def known(**changes: Any) -> Facts:
    """A repository of which everything was seen a day ago, and nothing has changed that is known."""
    values: dict[str, Any] = {
        "full_name": "acme/one",
        "tags": 40,
        "is_detailed": True,
        "is_walked": True,
        "days": 1.0,
        "pushes": 0,
        "watched_days": 0.0,
    }
    return Facts(**(values | changes))


def never_seen(**changes: Any) -> Facts:
    values: dict[str, Any] = {"full_name": "acme/new", "is_stored": False}
    return Facts(**(values | changes))


@pytest.mark.parametrize(
    ("facts", "choice", "listed", "cost"),
    [
        # Known, met on a list: the census, and the rest by chance.
        (known(), Choice(), True, Cost(details=0.01, pages=0.1, singles=0.5, layers=0.2, names=1)),
        (known(), Choice(has_layers=False), True, Cost(details=0.01, pages=0.1, singles=0.5, names=1)),
        (known(days=0.0), Choice(), True, Cost(names=1)),
        (known(days=2.0), Choice(), True, Cost(details=0.02, pages=0.19, singles=1.0, layers=0.38, names=1)),
        # Known, but on no list.
        (known(days=0.0), Choice(), False, Cost(details=1, names=1)),
        # What is known to have changed.
        (known(days=0.0, has_news=True), Choice(), True, Cost(pages=1, layers=2, names=1)),
        (known(days=0.0, is_modified=True), Choice(), True, Cost(details=1, names=1)),
        (known(days=0.0, is_detailed=False), Choice(), True, Cost(details=1, names=1)),
        (known(days=0.0, unharvested=7), Choice(), True, Cost(layers=7, names=1)),
        (known(days=0.0, unharvested=7), Choice(has_layers=False), True, Cost(names=1)),
        # A long list whose news are at its front costs a page all the same.
        (known(days=0.0, has_news=True, tags=5000), Choice(), True, Cost(pages=1, layers=2, names=1)),
        # No census of a number of the newest tags.
        (known(days=0.0, has_news=True), Choice(newest=5), True, Cost(pages=1, layers=2)),
        (known(days=0.0, has_news=True, tags=900), Choice(newest=250), True, Cost(pages=3, layers=2)),
        # A filter is walked anew as far as it reaches.
        (known(days=0.0, has_news=True, rows=321), Choice(is_filtered=True), True, Cost(pages=4, layers=2, names=1)),
        (known(days=0.0, has_news=True, tags=250), Choice(is_filtered=True), True, Cost(pages=3, layers=2, names=1)),
        # Gone, or never there.
        (Facts(full_name="acme/gone", is_there=False), Choice(), True, Cost(details=1)),
        # Never seen, nothing or its number of tags known.
        (never_seen(), Choice(tags_of_unknown=250), False, Cost(details=1, pages=3, layers=1)),
        (never_seen(), Choice(tags_of_unknown=50, has_layers=False), True, Cost(details=1, pages=1)),
        (never_seen(tags=101, unharvested=1), Choice(), False, Cost(details=1, pages=2, layers=1)),
        (never_seen(tags=101, unharvested=3), Choice(newest=3), False, Cost(details=1, pages=1, layers=3)),
        # Stored by name, by a list, and never walked: there is no telling what was deleted.
        (known(days=0.0, is_walked=False, is_detailed=False), Choice(), True, Cost(details=1, pages=1, names=1)),
        # Beyond the wall there are names only.
        (never_seen(tags=2500), Choice(has_layers=False), False, Cost(details=1, pages=10, names=1)),
        (never_seen(tags=2500), Choice(has_layers=False, wall=500), False, Cost(details=1, pages=5, names=1)),
        (never_seen(tags=2500), Choice(has_layers=False, signed_in=True), False, Cost(details=1, pages=25)),
        (never_seen(tags=2500), Choice(has_layers=False, wall=None), False, Cost(details=1, pages=25)),
        (never_seen(tags=2500), Choice(has_layers=False, newest=1000), False, Cost(details=1, pages=10)),
        (never_seen(tags=2500), Choice(has_layers=False, newest=1001), False, Cost(details=1, pages=10, names=1)),
        (
            never_seen(tags=2500),
            Choice(has_layers=False, is_filling=True),
            False,
            Cost(details=1, pages=10, holes=30, names=1),
        ),
    ],
)
def test_one_repository_in_the_next_pass(facts: Facts, choice: Choice, listed: bool, cost: Cost) -> None:
    assert of_pass(facts, choice, RATES, listed=listed)._asdict() == pytest.approx(cost._asdict())


@pytest.mark.parametrize(
    ("facts", "every_days", "cost"),
    [
        (known(), 1.0, Cost(details=0.01, pages=0.1, singles=0.5, layers=0.2, names=1)),
        # The next pass has a week to make up for, those after it have half a day each.
        (
            known(days=7.0),
            0.5,
            Cost(0.07 + 0.005, 2 - 0.9**7 - 0.9**0.5, 3.5 + 0.25, 2 * (2 - 0.9**7 - 0.9**0.5), 0, 2),
        ),
        (known(), 4.0, Cost(details=0.0025, pages=0.025, singles=0.125, layers=0.05, names=0.25)),
        # A first sweep is not put off, and not repeated.
        (never_seen(), 4.0, Cost(details=1, pages=1, layers=1)),
        (never_seen(), 0.5, Cost(1.005, 2 - 0.9**0.5, 0.25, 1 + 2 * (1 - 0.9**0.5), 0, 1)),
    ],
)
def test_one_repository_over_a_day_of_passes(facts: Facts, every_days: float, cost: Cost) -> None:
    found = of_schedule(facts, Choice(), RATES, listed=True, every_days=every_days, over=1.0)
    assert found._asdict() == pytest.approx(cost._asdict())


@pytest.mark.parametrize(
    ("places", "size", "signed_in", "is_wall_known", "pages", "missing"),
    [
        ([0, 1], 2, False, False, 1, 0),
        ([0, 99], 100, False, False, 1, 0),
        # One page more for one repository, but not two pages.
        ([0, 150], 180, False, False, 2, 0),
        ([0, 150], 250, True, False, 1, 1),
        ([0, 150, 160], 250, True, False, 2, 0),
        # Without a login the second page is the last, and the third is refused until that is known.
        ([0, 150, 240], 250, False, True, 2, 1),
        ([0, 150, 240], 250, False, False, 3, 1),
        (list(range(250)), 250, True, False, 3, 0),
        ([500], 1000, True, False, 1, 1),
    ],
)
def test_a_list_is_read_as_long_as_that_is_cheaper(
    places: list[int], size: int, signed_in: bool, is_wall_known: bool, pages: int, missing: int
) -> None:
    assert read_off(places, size, signed_in=signed_in, is_wall_known=is_wall_known) == (pages, missing)


@pytest.mark.parametrize(
    ("repositories", "signed_in", "is_wall_known", "pages"),
    [
        (0, False, False, 1),
        (100, False, False, 1),
        (101, False, False, 2),
        (198, False, False, 2),
        (199, False, False, 3),
        (199, False, True, 2),
        (199, True, False, 2),
        (1001, True, False, 11),
    ],
)
def test_pages_of_a_whole_namespace(repositories: int, signed_in: bool, is_wall_known: bool, pages: int) -> None:
    assert namespace_pages(repositories, signed_in=signed_in, is_wall_known=is_wall_known) == pages


def test_rates_are_those_of_the_repositories_that_were_watched() -> None:
    watched = [
        known(pushes=3, watched_days=10.0, lost=1, modified_days=2.0),
        known(watched_days=10.0, modified_days=90.0),
    ]
    gone = Facts(full_name="acme/gone", is_there=False)
    rates = Rates.of([*watched, gone], moved=1.5)
    assert rates.pushes == pytest.approx((3 + CHANGE_A_DAY) / 21)
    assert rates.lost == pytest.approx(1 / 21)
    assert rates.modified == pytest.approx(1 / 7 / 2)
    assert rates.moved == 1.5


def test_who_was_never_watched_changes_as_is_assumed() -> None:
    rates = Rates.of([known()], moved=None)
    assert rates.chance(known()) == pytest.approx(CHANGE_A_DAY)
    assert (rates.moved, rates.modified) == (1.0, 0.0)


def test_each_repository_is_judged_by_itself_as_far_as_it_was_watched() -> None:
    rates = Rates(pushes=0.1)
    busy, quiet = known(pushes=29, watched_days=30.0), known(pushes=0, watched_days=30.0)
    assert rates.chance(busy) == pytest.approx((29 + 0.1 * BELIEVED_DAYS) / (30 + BELIEVED_DAYS))
    assert rates.chance(quiet) < 0.01 < rates.chance(known()) < 0.8 < rates.chance(busy) < 1


def test_costs_are_summed_as_fractions_and_rounded_once() -> None:
    forecast = Forecast()
    for _ in range(1000):
        forecast.add_cost(Cost(details=0.0004, pages=0.3, names=1.0))
    assert {budget: rounded(number) for budget, number in forecast.totals().items()} == {
        "hub": 300,
        "registry": 1000,
        "tokens": round(1000 / SCOPES),
        "pulls": 0,
    }
    both = Forecast()
    both.add(forecast)
    both.add(forecast)
    both.add_pulls(59)
    assert both.totals() == pytest.approx({"hub": 600.8, "registry": 2059, "tokens": 2059 / SCOPES, "pulls": 59})


@pytest.mark.parametrize(("requests", "whole"), [(0, 0), (0.01, 0), (0.06, 1), (0.9, 1), (1.4, 1), (2.6, 3)])
def test_a_little_is_not_nothing(requests: float, whole: int) -> None:
    assert rounded(requests) == whole


@pytest.mark.parametrize(
    ("requests", "per_window", "window_s", "seconds"),
    [(10, 180, 60.0, 0.0), (200, 180, 60.0, 60.0), (5, 0, 60.0, 0.0), (120, 50, 3600.0, 7200.0)],
)
def test_an_even_pace_after_a_few_at_once(requests: float, per_window: float, window_s: float, seconds: float) -> None:
    assert seconds_at(requests, per_window, window_s, 20) == pytest.approx(seconds)
