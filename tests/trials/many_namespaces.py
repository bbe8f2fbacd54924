"""Days of watching many repositories, as `plan` forecasts them and as the fake Hub's journal counts them, in virtual time.

`python -m tests.trials.many_namespaces --repositories 10000 --namespaces 2500 --days 5`
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import structlog
from sqlalchemy import Engine

from harvester.composition import assembled, open_store, worker_of
from harvester.config import Settings
from harvester.plan import Question, answered
from harvester.policy import LayerPolicy, TagPolicy
from harvester.request import Request as Backfill
from harvester.store import runs
from harvester.store.moment import Moment
from harvester.targets import Target
from tests.fakehub import FakeHub, Limits, Request, World
from tests.fakehub.messages import Host
from tests.fakehub.synthetic import build
from tests.fakehub.world import Repository, wire_time
from tests.simulation.far_end import ADDRESS, PORTS
from tests.simulation.virtual import START, VirtualClock, virtually

DAY_S = 86_400
PUSHED, MODIFIED, CUT = 0.02, 0.002, 0.0005
"""Shares of the repositories that are pushed to, get another description, and lose a tag, each on a day."""

HOSTS: dict[Host, str] = {"hub": "hub", "registry": "registry", "auth": "tokens"}
"""The budget that a request to each host is counted in."""


class GroupedWorld(World):
    """A world whose namespaces are found without looking through all repositories."""

    def __init__(self) -> None:
        super().__init__()
        self._of: dict[str, list[Repository]] = {}

    def add_repository(self, full_name: str, **values: Any) -> Repository:
        found = super().add_repository(full_name, **values)
        self._of.setdefault(found.namespace, []).append(found)
        return found

    def visible(self, account: str | None, namespace: str | None = None) -> list[Repository]:
        return super().visible(account) if namespace is None else self._of.get(namespace, [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is tried."""

    repositories: int
    namespaces: int
    days: int
    seed: int = 1


@dataclass(slots=True)
class Day:
    """One pass: what was forecast and what was asked, by budget."""

    forecast: dict[str, int]
    counted: dict[str, int] = field(default_factory=dict)

    def off(self, *budgets: str) -> float:
        """By how much the forecast of these budgets is wrong, as a share of what was counted."""
        counted = sum(self.counted.get(one, 0) for one in budgets)
        return (sum(self.forecast[one] for one in budgets) - counted) / max(1, counted)

    def __add__(self, other: Day) -> Day:
        return Day(
            dict(Counter(self.forecast) + Counter(other.forecast)), dict(Counter(self.counted) + Counter(other.counted))
        )


class Distance(httpx.AsyncBaseTransport):
    """What stands for the network to all hosts."""

    def __init__(self, hub: FakeHub, clock: VirtualClock, chance: random.Random) -> None:
        self._hub, self._clock, self._chance = hub, clock, chance
        self._hosts: dict[int | None, Host] = {PORTS[host]: host for host in HOSTS}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self._chance.uniform(0.05, 0.4))
        host = self._hosts[request.url.port]
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self._hub.reply(
            Request(host, request.method, request.url.raw_path.decode(), headers, request.read(), ADDRESS)
        )
        assert reply.status not in (429, 599), (request.url, reply)
        date = ("date", formatdate(self._clock.time(), usegmt=True))
        content_type = (("content-type", reply.content_type),) if reply.content_type else ()
        return httpx.Response(
            reply.status, headers=[*reply.headers, *content_type, date], stream=httpx.ByteStream(reply.payload.plain)
        )


class Life:
    """A world that is grown by chance, and what happens to it from day to day."""

    def __init__(self, plan: Plan) -> None:
        self.world = GroupedWorld()
        self.watched: list[str] = []
        self._chance = random.Random(plan.seed)  # noqa: S311
        self._builds = 0
        for number, (size, watched) in enumerate(self._sizes(plan)):
            names = [f"namespace-{number:04}/repository-{place:03}" for place in range(size)]
            for name in names:
                self._grow(name)
            self.watched += self._chance.sample(names, watched)

    def _sizes(self, plan: Plan) -> list[tuple[int, int]]:
        """Repositories of each namespace, and how many of them are watched: most have one, a few have hundreds."""
        shapes = ((1, 1), (2, 4), (5, 15), (20, 60), (101, 300))
        drawn = self._chance.choices(shapes, (52, 32, 13, 2.6, 0.4), k=plan.namespaces)
        sizes = [self._chance.randint(*shape) for shape in drawn]
        watched = [size if size < 20 else self._chance.randint(2, size // 2) for size in sizes]
        while (missing := plan.repositories - sum(watched)) != 0:
            place = self._chance.randrange(plan.namespaces)
            step = 1 if missing > 0 else -1
            if watched[place] + step >= 1:
                watched[place] += step
                sizes[place] = max(sizes[place], watched[place])
        return list(zip(sizes, watched, strict=True))

    def _grow(self, name: str) -> None:
        chance, world = self._chance, self.world
        modified = START - chance.expovariate(MODIFIED) * DAY_S
        pushed = START - chance.expovariate(PUSHED) * DAY_S
        world.add_repository(name, pull_count=chance.randint(1, 10**6), last_modified=_text(modified))
        tags = [f"1.{number}" for number in range(chance.randint(1, 8))]
        if chance.random() < 0.85:
            tags[0] = "latest"
        for age, tag in enumerate(tags):
            # One version came with `latest`, the others are older.
            self._push(name, tag, pushed - max(0, age - 1) * 20 * DAY_S - 60 * age)

    def _push(self, name: str, tag: str, at: float) -> None:
        self._builds += 1
        image = build(f"build {self._builds}")
        self.world.push_tag(name, tag, [image], pushed_at=datetime.fromtimestamp(at, UTC))

    def pass_a_day(self, until: float) -> None:
        """What happened in the hours before this instant."""
        chance, world = self._chance, self.world
        names = list(world.repositories)
        for name in chance.sample(names, round(PUSHED * len(names))):
            at = until - chance.uniform(60, 18 * 3600)
            tags = world.tag_names(name)
            moved = [tag for tag in tags if tag == "latest" and chance.random() < 0.8]
            if chance.random() < 0.5 or not tags:
                moved.append(f"2.{self._builds}")
            elif chance.random() < 0.5 or not moved:
                moved += chance.sample(tags, min(len(tags), chance.randint(1, 2)))
            for tag in dict.fromkeys(moved):
                self._push(name, tag, at)
        for name in chance.sample(names, round(MODIFIED * len(names))):
            at = until - chance.uniform(60, 18 * 3600)
            world.change_repository(name, last_modified=_text(at), description=f"as of {at:.0f}")
        for name in chance.sample(names, round(CUT * len(names))):
            if len(tags := world.tag_names(name)) > 1:
                world.delete_tag(name, tags[0])
        for name in names:
            world.count_pulls(name, chance.randint(0, 500))


def _text(seconds: float) -> str:
    return wire_time(datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=250_000))


def tried(plan: Plan, database: Path) -> list[Day]:
    """The first sweep, and after it as many days as are wanted."""
    return virtually(partial(_days, plan, database))


async def _days(plan: Plan, database: Path, clock: VirtualClock) -> list[Day]:
    life = Life(plan)
    hub = FakeHub(life.world, limits=Limits(), clock=clock.time, ports=PORTS)
    hub.hub_api.base_url = hub.hub_url
    hub.registry.auth_url, hub.registry.cdn_url = hub.auth_url, hub.cdn_url
    settings = Settings(
        database=str(database), hub_url=hub.hub_url, auth_url=hub.auth_url, registry_url=hub.registry_url
    )
    far = Distance(hub, clock, random.Random(plan.seed))  # noqa: S311
    targets = tuple(sorted(Target("repository", name) for name in life.watched))
    tags, layers = TagPolicy.parse("all"), LayerPolicy.parse("latest")
    engine = open_store(settings)
    found: list[Day] = []
    try:
        for number in range(plan.days + 1):
            await clock.sleep(number * DAY_S - clock.monotonic())
            if number:
                life.pass_a_day(clock.time())
            answer = await answered(
                [Question(targets, tags, layers)], settings, engine, clock, credential=None, probes=0
            )
            assert not hub.journal, "a forecast without probes asks nothing"
            await _backfill(Backfill(targets, tags, layers), settings, engine, clock, far)
            counted = Counter(HOSTS[entry.host] for entry in hub.journal)
            hub.journal.clear()
            found.append(Day({budget: answer.requests[budget] for budget in HOSTS.values()}, dict(counted)))
    finally:
        engine.dispose()
    return found


async def _backfill(request: Backfill, settings: Settings, engine: Engine, clock: VirtualClock, far: Distance) -> None:
    async with assembled(
        settings, engine, clock, credential=None, on_hold=lambda *_: None, inner=lambda egress: far
    ) as parts:
        run = await parts.writer.call(
            lambda c: runs.begin_run(
                c, request.fingerprint(pulls=False), request.jobs(pulls=False), Moment.of(clock.time())
            )
        )
        worker = worker_of(parts, clock, run_id=run.id, on_report=lambda report: None)
        await worker.run(lambda: parts.writer.call(lambda c: runs.finish_run(c, run.id, Moment.of(clock.time()))))
        assert worker.fatal is None


def told(name: str, day: Day) -> str:
    """One line of figures."""
    parts = [f"{day.forecast[one]:8d} {day.counted.get(one, 0):8d} {day.off(one):+7.1%}" for one in HOSTS.values()]
    return f"{name:12s}" + "  ".join(parts) + f"  {day.off(*HOSTS.values()):+7.1%}\n"


def main() -> None:
    """Try what the command line names, and print the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    parser = argparse.ArgumentParser(prog="python -m tests.trials.many_namespaces", description=__doc__)
    parser.add_argument("--repositories", type=int, default=10_000)
    parser.add_argument("--namespaces", type=int, default=2_500)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        first, *days = tried(Plan(**vars(options)), Path(folder) / "harvester.db")
    heads = "  ".join(f"{budget:>8s} {'counted':>8s} {'off':>7s}" for budget in HOSTS.values())
    sys.stdout.write(f"{'':12s}{heads}  {'all':>7s}\n")
    sys.stdout.write(told("first sweep", first))
    for number, day in enumerate(days, 1):
        sys.stdout.write(told(f"day {number}", day))
    sys.stdout.write(told("all days", sum(days[1:], days[0])))
    sys.stdout.write(f"{time.monotonic() - began:.0f} s of real time\n")


if __name__ == "__main__":
    main()
