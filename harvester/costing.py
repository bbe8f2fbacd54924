"""What one question will cost: the store's knowledge, a few cheap questions to the far end, and arithmetic. Rank 6."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine

from harvester.egress import shard_of
from harvester.errors import Gone, WireError
from harvester.forecast import (
    ANONYMOUS_REPOSITORIES,
    CHANGE_A_DAY,
    IMAGES_OF_TAG,
    PAGE,
    TAGS_UNKNOWN,
    Choice,
    Cost,
    Facts,
    Forecast,
    Rates,
    is_cut,
    namespace_pages,
    of_pass,
    of_schedule,
    read_off,
)
from harvester.jobs import LISTED_FROM, Args, Fill
from harvester.names import RepositoryName
from harvester.policy import LayerPolicy, TagPolicy
from harvester.store import facts, walls
from harvester.store.holes import plan_of
from harvester.store.moment import DAY_S, Moment
from harvester.targets import Target
from harvester.wire.hub import Hub

Found = TypeVar("Found")

NAMESPACE_UNKNOWN, SEARCH_UNKNOWN = 100, 1000
"""Repositories of a list that nobody asked about yet."""

SEARCH_WINDOW = 10_000
"""Hits that a search shows at the most (wire reference, 3.3)."""

HOLES_SHOWN = 20
"""Repositories whose holes are planned one by one."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be forecast."""

    targets: tuple[Target, ...]
    tags: TagPolicy
    layers: LayerPolicy
    fill: Fill = None
    pulls: bool = False
    every_s: float | None = None
    """Seconds between passes, where a day of them is to be forecast; null: one pass, begun now."""
    fastest_s: float | None = None
    """Seconds between two looks at a repository that changes often, at the least; null: nothing is looked at between passes."""

    @property
    def looks(self) -> float:
        """What looks between passes may add at the most, as a part of what the passes cost: they never take more than those."""
        if self.every_s is None or self.fastest_s is None:
            return 0.0
        return min(1.0, max(0.0, self.every_s / self.fastest_s - 1))


@dataclass(frozen=True, slots=True)
class Way:
    """One route: the parts of all namespaces that are asked about by it (null: all of them), and who asks."""

    name: str
    shards: tuple[int, ...] | None
    hub: Hub


class Probing:
    """Questions to the far end, as many as are allowed: each costs one request."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.asked = 0
        self.refused: WireError | None = None
        """Why the last question that was not answered was not."""

    async def count(self, hub: Hub, ask: Callable[[Hub], Awaitable[Any]]) -> int | None:
        """What the far end says of a list's length, 0 also where the list is not there; null where it was not asked."""
        if self.asked >= self._most:
            return None
        self.asked += 1
        try:
            found: int | None = (await ask(hub)).reported_count
        except Gone:
            return 0
        except WireError as error:
            self.refused = error
            return None
        return found


class Planner:
    """One forecast in the making."""

    def __init__(
        self,
        question: Question,
        reader: Engine,
        ways: Sequence[Way],
        probing: Probing,
        now: Moment,
        *,
        signed_in: bool,
    ) -> None:
        self._question = question
        self._reader = reader
        self._ways = ways
        self._probing = probing
        self._now = now
        self._signed_in = signed_in
        self._every_days = None if question.every_s is None else question.every_s / DAY_S
        self._passes = 1.0 if question.every_s is None else DAY_S / question.every_s
        self._args = Args(
            subject="", tags=question.tags.text, layers=question.layers.text, pulls=question.pulls, fill=question.fill
        )
        identity = "account" if signed_in else "anonymous"
        self._tags_wall = self._read(lambda c: walls.standing(c, "tags", identity, now))
        self._is_list_wall_known = self._read(lambda c: walls.standing(c, "namespace", identity, now)) is not None
        self._by_route: defaultdict[str, Forecast] = defaultdict(Forecast)
        self._listed: dict[str, bool] = {}
        """Repositories that are looked at, and whether a list shows their dates."""
        self._strangers: defaultdict[str, float] = defaultdict(float)
        """Repositories that nothing is known of, by route."""
        self.holes: list[str] = []
        self.assumed: list[str] = []

    async def forecast(self) -> dict[str, Forecast]:
        """What the targets cost, by route."""
        await self._lists()
        names = list(self._listed)
        known = self._facts(names, self._args)
        probed = await self._unknown(names, {one.full_name for one in known})
        usual = self._read(lambda c: facts.usual(c, self._question.layers, self._now))
        choice, rates = self._choice(usual, probed), Rates.of(known, usual.moved)
        known += [self._probed(name, tags, choice) for name, tags in probed.items()]
        for one in known:
            self._of(one.full_name).add_cost(self._cost(one, choice, rates))
        blank = Facts(full_name="", is_stored=False)
        for route, number in self._strangers.items():
            self._by_route[route].add_cost(self._cost(blank, choice, rates).times(number))
        self._tags(choice, rates)
        long = [one.full_name for one in known if is_cut(one, choice)]
        if long and self._tags_wall is None:
            # Nobody knows where it stands until it was met.
            self._of(long[0]).hub["tag pages"] += 1
        if self._question.pulls and choice.has_layers:
            self._pulls(known)
        self._holes(known)
        self._say(known, usual, choice, rates)
        return self._by_route

    async def _lists(self) -> None:
        """What lists cost, and which repositories come of them."""
        targets = self._question.targets
        whole = [target.subject for target in targets if target.kind == "namespace"]
        neighbours: defaultdict[str, list[str]] = defaultdict(list)
        for target in targets:
            if target.kind == "repository":
                neighbours[target.subject.partition("/")[0]].append(target.subject)
        together = {one: names for one, names in neighbours.items() if len(names) > 1 and one not in whole}
        # Whoever is named in a namespace that is asked for as well may be asked for before its list is read.
        self._listed = {name: False for one, names in neighbours.items() if one not in together for name in names}
        sizes = self._read(lambda c: facts.reported(c, "namespace", [*whole, *together]))
        members = self._read(lambda c: facts.members(c, [*whole, *together]))
        for namespace in whole:
            await self._namespace(namespace, sizes.get(namespace), members.get(namespace, []))
        detailed = self._read(lambda c: facts.detailed(c, [name for names in together.values() for name in names]))
        for namespace, names in together.items():
            if sum(name in detailed for name in names) < LISTED_FROM:
                # Details that are lacking show what the list would.
                self._listed.update(dict.fromkeys(names, False))
            else:
                await self._neighbours(namespace, names, sizes.get(namespace), members.get(namespace, []))
        for target in targets:
            if target.kind == "search":
                await self._search(target.subject)

    async def _namespace(self, namespace: str, size: int | None, members: list[str]) -> None:
        if size is None:
            size = await self._probing.count(
                self._way(namespace).hub, lambda hub: hub.namespace_page(namespace, page_size=1)
            )
        if size is None:
            size = max(NAMESPACE_UNKNOWN, len(members))
            self.assumed.append(f"{namespace}/ has {size:,} repositories: the far end was not asked")
        pages = namespace_pages(size, signed_in=self._signed_in, is_wall_known=self._is_list_wall_known)
        self._of(namespace).hub["lists"] += pages * self._passes
        shown = size if self._signed_in else min(size, ANONYMOUS_REPOSITORIES)
        if shown < size:
            self.assumed.append(f"{namespace}/ shows {shown:,} of its {size:,} repositories without a login")
        for name in members[:shown]:
            self._listed.setdefault(name, True)
        self._strangers[self._way(namespace).name] += max(0, shown - len(members))

    async def _neighbours(self, namespace: str, names: list[str], size: int | None, members: list[str]) -> None:
        """Repositories that are looked for in their namespace's list: the places that they have in it decide."""
        if size is None:
            size = await self._probing.count(
                self._way(namespace).hub, lambda hub: hub.namespace_page(namespace, page_size=1)
            )
        size = max(len(names), len(members)) if size is None else size
        ranks = {name: rank for rank, name in enumerate(members)}
        step = size / len(names)
        places = [ranks.get(name, int((number + 0.5) * step)) for number, name in enumerate(names)]
        pages, missing = read_off(places, size, signed_in=self._signed_in, is_wall_known=self._is_list_wall_known)
        self._of(namespace).hub["lists"] += pages * self._passes
        met = sorted(range(len(names)), key=places.__getitem__)[: len(names) - missing]
        for number in met:
            self._listed[names[number]] = True
        for name in names:
            self._listed.setdefault(name, False)

    async def _search(self, query: str) -> None:
        size = self._read(lambda c: facts.reported(c, "search", [query])).get(query)
        if size is None:
            size = await self._probing.count(self._way(query).hub, lambda hub: hub.search_page(query, page_size=1))
        if size is None:
            size = SEARCH_UNKNOWN
            self.assumed.append(f"search:{query} has {size:,} hits: the far end was not asked")
        size = min(size, SEARCH_WINDOW)
        self._by_route[self._way(query).name].hub["lists"] += max(1, -(-size // PAGE)) * self._passes
        names = self._read(lambda c: facts.hits(c, query))
        for name in names:
            self._listed.setdefault(name, False)
        # Nobody knows whose they are: they are spread over all routes.
        for way in self._ways:
            self._strangers[way.name] += max(0, size - len(names)) / len(self._ways)

    async def _unknown(self, names: Iterable[str], known: set[str]) -> dict[str, int]:
        """Tags of repositories that were named and never seen, as far as the far end may be asked; the others are strangers."""
        found: dict[str, int] = {}
        for full_name in names:
            if full_name in known:
                continue
            name = RepositoryName(*full_name.split("/", 1))
            way = self._way(name.namespace)
            tags = await self._probing.count(way.hub, partial(Hub.tags_page, name=name, page_size=1))
            if tags is None:
                self._strangers[way.name] += 1
            else:
                found[full_name] = tags
        return found

    def _probed(self, full_name: str, tags: int, choice: Choice) -> Facts:
        wanted = tags if self._question.layers.text == "all" else min(tags, choice.layers_of_unknown)
        if choice.newest is not None:
            wanted = min(wanted, choice.newest)
        return Facts(full_name=full_name, is_there=tags > 0, tags=tags, is_stored=False, unharvested=wanted)

    def _choice(self, usual: facts.Usual, probed: dict[str, int]) -> Choice:
        question = self._question
        counts = [tags for tags in probed.values() if tags]
        tags = sum(counts) / len(counts) if counts else usual.tags or TAGS_UNKNOWN
        layers = (1.0 if question.layers.text != "all" else tags) if usual.digests is None else usual.digests
        return Choice(
            newest=question.tags.newest,
            is_filtered=question.tags.is_filtered,
            has_layers=question.layers.text != "none",
            is_filling=question.fill is not None,
            signed_in=self._signed_in,
            wall=self._tags_wall or (None if self._signed_in else 1000),
            tags_of_unknown=tags,
            layers_of_unknown=layers if question.tags.newest is None else min(layers, question.tags.newest),
        )

    def _cost(self, one: Facts, choice: Choice, rates: Rates) -> Cost:
        listed = self._listed.get(one.full_name, True)
        if self._every_days is None:
            return of_pass(one, choice, rates, listed=listed)
        return of_schedule(one, choice, rates, listed=listed, every_days=self._every_days, over=1.0)

    def _tags(self, choice: Choice, rates: Rates) -> None:
        """Tags that are named: the repository's detail, the tag, and its layers where it moved."""
        question = self._question
        covering = {target.subject for target in question.targets if target.kind == "repository"}
        for target in question.targets:
            if target.kind != "tag":
                continue
            if (
                question.tags.is_whole
                and target.subject in covering
                and (not choice.has_layers or question.layers.wants(target.tag))
            ):
                continue
            args = Args(subject="", tags=target.tag, layers=target.tag if choice.has_layers else "none")
            found = self._facts([target.subject], args)
            is_harvested = bool(found) and found[0].tags > 0 and not found[0].unharvested
            layers = rates.chance(found[0]) if is_harvested else 1.0
            cost = Cost(details=1.0, singles=1.0, layers=layers if choice.has_layers else 0.0)
            self._of(target.subject).add_cost(cost.times(self._passes))

    def _pulls(self, known: Sequence[Facts]) -> None:
        """The images that were never pulled, and those behind tags that nobody has met yet."""
        by_route: defaultdict[str, list[Facts]] = defaultdict(list)
        for one in known:
            by_route[self._way(one.full_name.partition("/")[0]).name].append(one)
        for route, forecast in self._by_route.items():
            names = [one.full_name for one in by_route[route]]
            stored = self._read(partial(facts.unpulled, names=names, layers=self._question.layers))
            met = sum(one.unharvested for one in by_route[route] if one.is_stored)
            forecast.add_pulls(stored + IMAGES_OF_TAG * max(0.0, forecast.hub["layers"] - met))
        self.assumed.append(f"there are {IMAGES_OF_TAG:.0f} images behind a tag that was not met yet")

    def _holes(self, known: Sequence[Facts]) -> None:
        """What filling holes costs: the largest ones are planned as the pass would, the others by what those came to."""
        pierced = sorted((one for one in known if one.holes), key=lambda one: one.holes, reverse=True)
        planned = total = 0
        for one in pierced[:HOLES_SHOWN]:
            args = msgspec.structs.replace(self._args, subject=one.full_name)
            how = self._read(lambda c, args=args: plan_of(c, args, self._now))  # type: ignore[misc]
            self.holes.append(f"{one.full_name}: {how.why}")
            planned, total = planned + how.requests, total + how.holes
            if self._question.fill is not None:
                self._of(one.full_name).hub["holes"] += how.requests
        for one in pierced[HOLES_SHOWN:]:
            if self._question.fill is not None:
                self._of(one.full_name).hub["holes"] += one.holes * planned / max(1, total)
        if len(pierced) > HOLES_SHOWN:
            rest = pierced[HOLES_SHOWN:]
            self.holes.append(f"{len(rest):,} more repositories have {sum(one.holes for one in rest):,} holes")
        if pierced and self._question.fill is None:
            self.assumed.append("holes are left as they are: `--holes fill` would fill them")

    def _say(self, known: Sequence[Facts], usual: facts.Usual, choice: Choice, rates: Rates) -> None:
        """What was taken for granted, in words."""
        strangers = sum(self._strangers.values())
        if strangers:
            whose = "1 repository that was never seen has"
            if strangers > 1:
                whose = f"{strangers:,.0f} repositories that were never seen have each"
            layers = f", {choice.layers_of_unknown:.3g} of them with layers to ask for" if choice.has_layers else ""
            self.assumed.append(f"{whose} about {choice.tags_of_unknown:,.0f} tags{layers}")
        walked = [one for one in known if one.is_walked and one.is_there]
        if walked:
            share = sum(rates.chance(replace(one, days=1.0, has_news=False)) for one in walked) / len(walked)
            if sum(one.watched_days for one in walked) >= 1:
                self.assumed.append(
                    f"{share:.1%} of {len(walked):,} known repositories are pushed to on a day, as they were"
                )
            else:
                self.assumed.append(f"{CHANGE_A_DAY:.0%} of the repositories are pushed to on a day")

    def _of(self, name: str) -> Forecast:
        """The forecast of the route that this namespace, or repository, is asked about by."""
        return self._by_route[self._way(name.partition("/")[0]).name]

    def _way(self, subject: str) -> Way:
        """The route of a namespace, or of the text of a search."""
        shard = shard_of(subject)
        return next(way for way in self._ways if way.shards is None or shard in way.shards)

    def _facts(self, names: Sequence[str], args: Args) -> list[Facts]:
        return self._read(lambda connection: facts.facts_of(connection, names, args, self._now))

    def _read(self, ask: Callable[[Connection], Found]) -> Found:
        with self._reader.begin() as connection:
            return ask(connection)
