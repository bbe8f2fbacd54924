"""When what is watched is looked at: slots of passes, rates of change, and how a budget of looks is shared out. Rank 1, pure.

`every` is the promise: no interval here is longer. Looks between the passes are shared out so that the mean delay until a change is
known is the shortest that so many requests can buy. Where changes come at random at `rate` and matter by `weight`, looks every T
seconds know of them T/2 late, so the sum of weight x rate x T/2 is to be least while the sum of cost / T keeps to the budget: that
makes T proportional to sqrt(cost / (weight x rate)). Seconds throughout, as epoch times and as spans; rates are per second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from math import ceil, exp, floor, inf, log, log10, sqrt
from typing import Literal, NamedTuple

MEMORY_S = 10 * 86_400.0
"""What was observed this long ago counts 1/e of what is observed now: where rates stay as they are, memories of ten days and of
ninety are as good, and where they change the short one is better (`python -m tests.trials.freshness`)."""

UNKNOWN_AGE_S = 30 * 86_400.0
"""The age that a last change is taken to have where none is known."""

PRIOR_CHANGES = 0.6
"""What the age of the last change counts for, in changes: of the recorded catalogue (1,015 repositories, three days apart) those of
one day, ten days and a hundred days of age had changed again as often as this says, each within a tenth of it."""

ALIKE = 4.0
"""Changes for which what all repositories do counts in the judgement of one, where they are all alike."""

YOUNGEST_S = 60_000.0
"""A last change is taken to be this old at the least: pushes come in bunches, and the recorded ones of an hour ago had changed
again three days later no more often than this says."""

PAGE = 100
"""Rows of one page of a list."""

JITTER = 0.1
"""The part of its interval by which a look may come earlier or later."""


class Habit(NamedTuple):
    """What the looks at one repository have shown; what is long ago counts less."""

    checks: float = 0.0
    """Looks."""
    changes: float = 0.0
    """Looks that found a change."""
    observed_s: float = 0.0
    """Seconds that are known to be without a change: those between two looks that found none, and those since the last change."""


class Source(NamedTuple):
    """What is looked at by itself, a repository or a list of them, as far as its interval depends on it."""

    rate: float
    weight: float
    requests: float
    """That one look costs."""
    fastest_s: int
    every_s: int


# Passes: slots that a target keeps, whatever happens to the process or the clock.


def phase(name: str, every_s: int) -> int:
    """Where in `every` the passes of this target stand: spread evenly over all of it, and the same for ever."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % every_s


def slot_of(now: float, every_s: int, phase_s: int) -> int:
    """When the slot began that `now` lies in."""
    return floor((now - phase_s) / every_s) * every_s + phase_s


def next_slot(now: float, every_s: int, phase_s: int) -> int:
    """When the first slot after `now` begins: of missed ones nothing is left to be done again."""
    return slot_of(now, every_s, phase_s) + every_s


def next_pass(begun: float, every_s: int, phase_s: int, factor: float = 1.0) -> int:
    """When the pass after the one that began at `begun` is due, `every` being stretched by `factor`.

    A stretched `every` has slots of its own, which keep what is due spread out; where `factor` has just changed, the first of them
    comes half to one and a half of the stretched `every` later.
    """
    if factor <= 1:
        return next_slot(begun, every_s, phase_s)
    longer = int(every_s * factor)
    return next_slot(begun + longer / 2, longer, int(phase_s * factor))


def next_look(now: float, interval_s: float, name: str, pass_at: float | None) -> float:
    """When a repository is looked at next that was looked at now, or is about to be.

    The pass at `pass_at` is a look as well: where it comes first, or less than half an interval later, it takes the turn.
    """
    due = now + jittered(interval_s, name, now)
    if pass_at is not None and now < pass_at < due + interval_s / 2:
        return pass_at + jittered(interval_s, name, now)
    return due


def is_sane(next_check_at: float, now: float, longest_s: float) -> bool:
    """Whether this clock can have set a due date: it is past, or no further away than any is ever set ahead."""
    return next_check_at <= now + longest_s


def jittered(interval_s: float, name: str, now: float) -> float:
    """The interval moved by up to `JITTER` of it either way, so that what was due together drifts apart."""
    share = int.from_bytes(blake2b(f"{name} {now:.0f}".encode(), digest_size=4).digest(), "big") / 2**32
    return interval_s * (1 - JITTER + 2 * JITTER * share)


# Rates.


def noted(habit: Habit, elapsed_s: float, has_changed: bool, age_s: float | None = None) -> Habit:
    """The habit after one more look, `elapsed_s` after the one before it.

    `age_s` is how old the last change was when it was found; null: it may have been at any time in between, and is taken to have
    been in the middle. As the time before the last change tells nothing of the time since, several changes between two looks do
    not make the rate too low: changes per quiet second are what changes per second are.
    """
    elapsed = max(0.0, elapsed_s)
    quiet = elapsed if not has_changed else elapsed / 2 if age_s is None else min(max(0.0, age_s), elapsed)
    kept = exp(-elapsed / MEMORY_S)
    return Habit(habit.checks * kept + 1, habit.changes * kept + has_changed, habit.observed_s * kept + quiet)


class Evidence(NamedTuple):
    """What lets expect a rate: so many changes in so many seconds."""

    changes: float
    seconds: float


class Usual(NamedTuple):
    """What all repositories do."""

    changes: float
    """For how many changes of its own that counts in the judgement of one."""
    log_rate: float


NOTHING = Usual(0.0, 0.0)


def evidence(habit: Habit, age_s: float | None) -> Evidence:
    """What the looks have shown, and what the age of the last change lets expect.

    The age is all that is known of a repository that was looked at once, and counts the less the more changes were seen; null: it
    never changed, as far as is known.
    """
    age = UNKNOWN_AGE_S if age_s is None else max(YOUNGEST_S, age_s)
    share = 1 / (1 + habit.changes)
    return Evidence(habit.changes + share * PRIOR_CHANGES, habit.observed_s + share * age)


def usual(found: Sequence[Evidence]) -> Usual:
    """What all repositories together let expect of each: the more, the more alike they are.

    Of the spread of the logarithms of their rates that part is believed which chance does not explain, for so few changes as were
    seen of each. Where rates span decades next to nothing is left of the others, and each is judged by itself.
    """
    if not found:
        return NOTHING
    logs = [log(one.changes / one.seconds) for one in found]
    mean = sum(logs) / len(logs)
    by_chance = sum([1 / max(1.0, one.changes) + 0.64 / max(1.0, one.changes) ** 2 for one in found])
    spread = (sum([(one - mean) ** 2 for one in logs]) - by_chance) / len(logs)
    return Usual(1 / max(spread, 1 / ALIKE), mean)


def rate(own: Evidence, usual: Usual = NOTHING) -> float:
    """Changes per second, by what is known of it and of all: the mean of the logarithms, for one that is unlike all stays so."""
    known = max(1.0, own.changes)
    return exp((known * log(own.changes / own.seconds) + usual.changes * usual.log_rate) / (known + usual.changes))


def weight(pull_count: int | None) -> float:
    """How much a change of it matters: 1 with no pulls, 2 with a thousand, 4 with a thousand million.

    Four times the weight is half the interval: what is pulled most is looked at twice as often as what nobody pulls.
    """
    return 1 + log10(1 + max(0, pull_count or 0)) / 3


# The budget.


def intervals(sources: Sequence[Source], requests_per_s: float) -> list[int]:
    """Seconds between two looks at each, so that what comes beyond the passes costs no more than this.

    Each is a whole part of `every_s`, for the passes are looks too, and no shorter than `fastest_s`; at a source with an interval
    of `every_s` there are no looks beside the passes.
    """
    free = [place for place, one in enumerate(sources) if one.rate > 0 and one.weight > 0]
    changing = [
        (one.every_s**2 / _span(one) ** 2, one.every_s // one.fastest_s, one.requests / one.every_s)
        for one in (sources[place] for place in free)
    ]
    multiplier = _multiplier([sources[place] for place in free], requests_per_s)
    found = [one.every_s for one in sources]
    if multiplier == inf:
        return found
    # At the upper end no source gets more looks than the multiplier would give it in parts of one.
    low, high = multiplier / 2, multiplier * sqrt(2)
    for _ in range(_HALVINGS if multiplier else 0):
        middle = (low + high) / 2
        spent = sum([(k - 1) * cost for (_, _, cost), k in zip(changing, _looks(changing, middle), strict=True)])
        low, high = (low, middle) if spent <= requests_per_s else (middle, high)
    chosen, more = _looks(changing, high), _looks(changing, low)
    left = requests_per_s - sum([(k - 1) * cost for (_, _, cost), k in zip(changing, chosen, strict=True)])
    for index, (_, _, cost) in enumerate(changing):
        # Sources that are alike reach the next look together, and there may be enough for some of them.
        if more[index] > chosen[index] and (more[index] - chosen[index]) * cost <= left:
            left -= (more[index] - chosen[index]) * cost
            chosen[index] = more[index]
    for place, looks in zip(free, chosen, strict=True):
        found[place] = -(-sources[place].every_s // looks)
    return found


def is_listed(single: Sequence[Source], by_list: Source, price: float) -> bool:
    """Whether looks at a list, all its repositories at once, are worth more than looks at single ones.

    `price` is what a request is worth elsewhere, as `price_of` has it.
    """
    if price == inf or len(single) < 2:
        return False
    return _lateness(by_list, price) <= sum([_lateness(one, price) for one in single])


def price_of(sources: Sequence[Source], requests_per_s: float) -> float:
    """What a request is worth when so many may be spent: the factor between `sqrt(cost / (weight x rate))` and the interval."""
    return _multiplier([one for one in sources if one.rate > 0 and one.weight > 0], requests_per_s)


def requests_of(sources: Iterable[Source], found: Iterable[int]) -> float:
    """Requests per second that these intervals cost beyond the passes."""
    return sum(one.requests * (1 / interval - 1 / one.every_s) for one, interval in zip(sources, found, strict=True))


def requests_of_look(chance: float, *, has_layers: bool) -> float:
    """What a look costs that finds a change this likely: the detail, then a page of tags and the layers of what moved."""
    return 1 + chance * (1 + has_layers)


def requests_of_pass(
    kind: Literal["repository", "tag", "namespace", "search"], repositories: int, changed: float, *, has_layers: bool
) -> float:
    """Requests of the Hub's budget that a pass over so many repositories costs, of which so many have changed since the last.

    A namespace shows them by the hundred, and asks for the detail of those alone that changed; a search shows no dates.
    """
    pages = -(-repositories // PAGE)
    match kind:
        case "tag":
            return 2.0 + has_layers * changed
        case "repository":
            return 1 + changed * (1 + has_layers)
        case "namespace":
            return max(1, pages) + changed * (2 + has_layers)
        case "search":
            return max(1, pages) + repositories + changed * (1 + has_layers)


def stretch(demand_per_s: float, capacity_per_s: float) -> float:
    """By how much every `every` is stretched, that of all alike, when the budget cannot meet them: 1 where it can.

    In quarters, so that a demand that varies a little does not move the slots all the time. Infinite where something is wanted and
    nothing can be spent.
    """
    if demand_per_s <= capacity_per_s:
        return 1.0
    return ceil(4 * demand_per_s / capacity_per_s - 1e-9) / 4 if capacity_per_s > 0 else inf


_HALVINGS = 10
"""Of the range in which the multiplier lies: the budget is met to a part in thousands."""


_Changing = tuple[float, int, float]
"""The square of `every` in spans, the most looks per `every`, and the requests per second of one more."""


def _looks(changing: Sequence[_Changing], multiplier: float) -> list[int]:
    """Looks per `every`, the pass included: as many as are worth what they cost.

    The k-th look takes 1 / (k - 1) - 1 / k off the mean delay, so the last that is worth it is the last with k (k - 1) <= x * x,
    where x would be the number in parts of one.
    """
    if not multiplier:
        return [most for _, most, _ in changing]
    unit = multiplier**-2
    return [min(most, int(0.5 + sqrt(0.25 + square * unit))) for square, most, _ in changing]


def _lateness(one: Source, price: float) -> float:
    """Twice the weighted delay per second at the best interval, and what the requests for it are worth."""
    interval = min(max(price * _span(one), one.fastest_s), one.every_s)
    return one.weight * one.rate * interval + price**2 * one.requests * (1 / interval - 1 / one.every_s)


def _span(one: Source) -> float:
    return sqrt(one.requests / (one.weight * one.rate))


def _multiplier(sources: Sequence[Source], budget: float) -> float:
    """The least factor of all spans that keeps to the budget, numbers of looks in parts of one.

    Walks through the factors at which a source leaves one of its bounds; between two of them what is spent is `free / factor` and
    something constant, so the factor follows from the budget without a search.
    """
    spent = free = 0.0
    steps: list[tuple[float, float, float]] = []
    for one in sources:
        span, most = _span(one), one.every_s // one.fastest_s
        spent += one.requests * (most - 1) / one.every_s
        steps.append((one.every_s / most / span, one.requests / span, -one.requests * most / one.every_s))
        steps.append((one.every_s / span, -one.requests / span, one.requests / one.every_s))
    if spent <= budget:
        return 0.0
    if budget <= 0:
        return inf
    steps.sort()
    for at, more, constant in steps:
        if free / at + spent <= budget:
            return free / (budget - spent)
        free += more
        spent += constant
    return inf
