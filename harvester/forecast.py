"""What a pass will cost, before anything is spent: arithmetic over what is known, with the assumptions said. Rank 2, pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import NamedTuple

PAGE = 100
"""Rows of one page of a list."""

SCOPES = 6.8
"""Repositories that one registry token serves: up to ten, of those that are claimed already. Measured over 10,000 of them."""

ANONYMOUS_REPOSITORIES = 198
"""Repositories of a namespace that two pages show without a login."""

CHANGE_A_DAY = 0.02
"""Share of repositories taken to be pushed to on a day, where none was watched for long enough to tell."""

TAGS_UNKNOWN = 50
"""Tags that a repository is taken to have where nothing tells."""

IMAGES_OF_TAG = 2.0
"""Platform images behind one digest, where nothing tells."""

BELIEVED_DAYS = 3.0
"""What all repositories do counts in the judgement of one as much as so many days of its own."""

FILLED_BY_REQUEST = 50
"""Tags beyond the wall that one request shows on the average, where their names are not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the store knows of one repository, as far as its next pass depends on it."""

    full_name: str
    is_there: bool = True
    """False where the last answer was a 404: the next one costs one request."""
    tags: int = 0
    """Live tags, as far as is known."""
    is_stored: bool = True
    """Whether they are stored, and may have been deleted since; false where the far end was asked for their number only."""
    is_detailed: bool = False
    is_modified: bool = False
    """Whether a list has shown another `last_modified` than the detail that is stored, or none."""
    modified_days: float | None = None
    """How old its `last_modified` was when it was seen last; null: there is none."""
    is_walked: bool = False
    """Whether a walk saw all that this policy asks for."""
    has_news: bool = False
    """Whether it was pushed to since that walk, as is known already; an empty repository does not tell."""
    days: float = 0.0
    """Since it was looked at last."""
    pushes: int = 0
    """Passes that found it pushed to, in so many days:"""
    watched_days: float = 0.0
    rows: int | None = None
    """How long the list was that the last walk by this policy went through; null: no such walk, or of all tags."""
    lost: int = 0
    """Tags that vanished in the same days."""
    holes: int = 0
    """Tags known by name only."""
    unharvested: float = 0.0
    """Distinct digests of wanted tags whose layers were never asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is wanted of every repository, and where lists end."""

    newest: int | None = None
    is_filtered: bool = False
    has_layers: bool = True
    is_filling: bool = False
    """Whether tags of which only the name is known are asked for."""
    signed_in: bool = False
    wall: int | None = 1000
    """Offset at which pages of tags end; null: nowhere."""
    tags_of_unknown: float = TAGS_UNKNOWN
    layers_of_unknown: float = 1.0
    """Wanted digests of a repository that nobody looked at yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How much changes, per repository and day."""

    pushes: float = CHANGE_A_DAY
    moved: float = 1.0
    """Wanted digests that are new, per repository and pass that finds it pushed to."""
    modified: float = 0.0
    lost: float = 0.0
    """Tags that vanish."""

    @classmethod
    def of(cls, known: Iterable[Facts], moved: float | None) -> Rates:
        """The rates at which these repositories changed while they were watched."""
        there = [one for one in known if one.is_there]
        days = sum(one.watched_days for one in there)
        dated = [one.modified_days for one in there if one.modified_days is not None]
        return cls(
            pushes=(sum(one.pushes for one in there) + CHANGE_A_DAY) / (days + 1),
            moved=1.0 if moved is None else moved,
            # As many as were modified in the last week will be in the next: no history is needed to tell.
            modified=sum(days < 7 for days in dated) / 7 / len(dated) if dated else 0.0,
            lost=sum(one.lost for one in there) / (days + 1),
        )

    def chance(self, facts: Facts) -> float:
        """How likely it is that the next pass finds this repository pushed to."""
        if facts.has_news:
            return 1.0
        a_day = (facts.pushes + BELIEVED_DAYS * self.pushes) / (facts.watched_days + BELIEVED_DAYS)
        return float(1 - (1 - min(0.999, a_day)) ** facts.days)


class Cost(NamedTuple):
    """Requests for one repository in one pass."""

    details: float = 0.0
    pages: float = 0.0
    singles: float = 0.0
    layers: float = 0.0
    holes: float = 0.0
    names: float = 0.0

    def times(self, passes: float) -> Cost:
        return Cost(*(passes * one for one in self))


@dataclass(slots=True)
class Forecast:
    """Requests by budget and purpose."""

    hub: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    registry: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    tokens: float = 0.0
    pulls: float = 0.0

    def totals(self) -> dict[str, float]:
        """Requests by budget, not rounded yet."""
        return {
            "hub": sum(self.hub.values()),
            "registry": sum(self.registry.values()),
            "tokens": self.tokens,
            "pulls": self.pulls,
        }

    def add(self, other: Forecast) -> None:
        """The other forecast on top."""
        for mine, more in ((self.hub, other.hub), (self.registry, other.registry)):
            for purpose, requests in more.items():
                mine[purpose] += requests
        self.tokens += other.tokens
        self.pulls += other.pulls

    def add_cost(self, cost: Cost) -> None:
        """What one repository costs on top."""
        for purpose, requests in zip(("details", "tag pages", "single tags", "layers", "holes"), cost, strict=False):
            self.hub[purpose] += requests
        self.registry["lists of names"] += cost.names
        self.tokens += cost.names / SCOPES

    def add_pulls(self, images: float) -> None:
        """So many manifests on top, each with its config."""
        self.pulls += images
        self.registry["configs"] += images
        self.tokens += images / SCOPES


def of_pass(facts: Facts, choice: Choice, rates: Rates, *, listed: bool) -> Cost:
    """The cost of one repository in the next pass.

    `listed` says that a list shows its dates, so that no detail is asked for where nothing changed.
    """
    if not facts.is_there:
        return Cost(details=1.0)
    if not (listed and facts.is_detailed) or facts.is_modified:
        details = 1.0
    else:
        details = min(1.0, rates.modified * facts.days)
    chance = rates.chance(facts)
    if facts.is_walked:
        pages, layers = chance * _pages_changed(facts, choice), facts.unharvested + chance * rates.moved
    else:
        tags = facts.tags or choice.tags_of_unknown
        pages, layers = _pages_whole(tags, choice), facts.unharvested
        if not facts.tags:
            layers += choice.layers_of_unknown
    is_kept = facts.is_stored and facts.tags > 0 and choice.newest is None
    is_beyond = is_cut(facts, choice)
    return Cost(
        details=details,
        pages=pages,
        singles=rates.lost * facts.days if is_kept else 0.0,
        layers=layers if choice.has_layers else 0.0,
        holes=_holes_met(facts, choice) if is_beyond and choice.is_filling else 0.0,
        names=1.0 if is_kept or is_beyond else 0.0,
    )


def of_schedule(facts: Facts, choice: Choice, rates: Rates, *, listed: bool, every_days: float, over: float) -> Cost:
    """The cost of one repository over so many days with a pass every so many days; a first pass is not put off."""
    passes = over / every_days
    now = of_pass(facts, choice, rates, listed=listed)
    usual = replace(
        facts,
        tags=facts.tags or round(choice.tags_of_unknown),
        is_stored=True,
        is_detailed=True,
        is_modified=False,
        is_walked=True,
        has_news=False,
        days=every_days,
        unharvested=0.0,
    )
    later = of_pass(usual, choice, rates, listed=listed)
    first = now.times(1.0 if passes >= 1 or not facts.is_walked else passes)
    return Cost(*(a + max(0.0, passes - 1) * b for a, b in zip(first, later, strict=True)))


def read_off(places: Sequence[int], size: int, *, signed_in: bool, is_wall_known: bool) -> tuple[int, int]:
    """Pages of a namespace's list that are read for the repositories at these places of it, and how many are not met there.

    Pages are read as long as they are fewer than the repositories that are still missing.
    """
    pages, shown = 1, PAGE
    while True:
        missing = sum(place >= shown for place in places)
        left = size - shown
        if left <= 0 or missing < max(1, -(-left // PAGE)):
            return pages, missing
        if not signed_in and shown >= ANONYMOUS_REPOSITORIES:
            return pages + (not is_wall_known), missing
        pages += 1
        shown = shown + PAGE if signed_in else ANONYMOUS_REPOSITORIES


def is_cut(facts: Facts, choice: Choice) -> bool:
    """Whether a walk will meet the wall: of what lies beyond only the names will be known."""
    if not facts.is_there or facts.is_walked or choice.signed_in or choice.wall is None:
        return False
    tags = facts.tags or choice.tags_of_unknown
    return (tags if choice.newest is None else min(tags, choice.newest)) > choice.wall


def namespace_pages(repositories: int, *, signed_in: bool, is_wall_known: bool = True) -> int:
    """Pages that show a namespace's list, as far as it is shown, and the refusal of the next one where it is not expected."""
    if signed_in or repositories <= ANONYMOUS_REPOSITORIES:
        return max(1, -(-repositories // PAGE))
    return 2 + (not is_wall_known)


def seconds_at(requests: float, per_window: float, window_s: float, burst: int) -> float:
    """How long so many requests take at an even pace, a few of them at once."""
    return max(0.0, requests - burst) * window_s / per_window if per_window > 0 else 0.0


def rounded(requests: float) -> int:
    """Whole requests; less than one is one, for a forecast of nothing must mean nothing."""
    return round(requests) if requests >= 1 or requests < 0.05 else ceil(requests)


def _pages_changed(facts: Facts, choice: Choice) -> int:
    """Pages of a walk that meets what it knows: the first one, and all of a choice that is walked anew."""
    if choice.newest is None and not choice.is_filtered:
        return 1
    return _pages(facts.rows if facts.rows is not None else facts.tags, choice)


def _pages_whole(tags: float, choice: Choice) -> int:
    return _pages(tags, choice)


def _pages(rows: float, choice: Choice) -> int:
    wanted = rows if choice.newest is None or choice.is_filtered else min(rows, choice.newest)
    pages = max(1, -(-round(wanted) // PAGE))
    return pages if choice.signed_in or choice.wall is None else min(pages, max(1, choice.wall // PAGE))


def _holes_met(facts: Facts, choice: Choice) -> float:
    return max(0.0, (facts.tags or choice.tags_of_unknown) - (choice.wall or 0)) / FILLED_BY_REQUEST
