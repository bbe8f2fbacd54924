"""Two ways out of one machine, as two loopback addresses that the far end tells apart and limits one by one."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from harvester.composition import assembled, open_store, worker_of
from harvester.config import Settings
from harvester.egress import Egress, route_of, shard_of, shards_of
from harvester.errors import ConfigError, HarvesterError, Throttled
from harvester.jobs import Args, namespace_page
from harvester.store import runs
from harvester.store.moment import Moment
from harvester.wire.permits import Budget
from harvester.wire.transport import Call
from tests.fakehub import FakeHub, Limits, World, faults
from tests.system.conftest import Harvester

FASTER = 12
"""Seconds of the test's time in one of the machine's."""

ONE, TWO = "127.0.0.1", "127.0.0.2"
BOTH = (Egress(name="one", address=ONE), Egress(name="two", address=TWO))
LIMIT = 180
"""Requests a minute that each address has."""


class FastClock:
    """Time that passes faster, at both ends: minutes of waiting take seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._epoch = time.time()

    def time(self) -> float:
        return self._epoch + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * FASTER

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / FASTER)


def world(repositories: int) -> tuple[World, dict[str, str]]:
    """Two namespaces for each route with so many repositories each, and the address that each is to be asked from."""
    made = World()
    address: dict[str, str] = {}
    for number in range(100):
        name = f"namespace-{number}"
        egress = BOTH[route_of(shard_of(name), BOTH)]
        assert egress.address is not None
        if list(address.values()).count(egress.address) < 2:
            address[name] = egress.address
            for place in range(repositories):
                made.add_repository(f"{name}/repository-{place}", tags=["latest"])
    assert sorted(address.values()) == [ONE, ONE, TWO, TWO]
    return made, address


def crawl(
    hub: FakeHub,
    clock: FastClock,
    database: Path,
    egress: tuple[Egress, ...],
    namespaces: list[str],
    is_enough: Callable[[set[int]], bool] = lambda live: False,
) -> HarvesterError | None:
    """Harvest the namespaces, until it is enough that in these parts only jobs are left; what ended it before that."""
    settings = Settings(
        database=str(database),
        hub_url=hub.hub_url,
        auth_url=hub.auth_url,
        registry_url=hub.registry_url,
        egress=egress,
    )
    engine = open_store(settings)

    async def work() -> HarvesterError | None:
        async with assembled(settings, engine, clock, credential=None, on_hold=lambda *_: None) as parts:
            jobs = [namespace_page(Args(subject=name, layers="none")) for name in namespaces]
            run = await parts.writer.call(lambda c: runs.begin_run(c, "a", jobs, Moment.of(clock.time())))

            def finish(connection: Any) -> bool:
                is_over = runs.finish_run(connection, run.id, Moment.of(clock.time()))
                return is_over or is_enough(runs.live_shards(connection, run.id))

            worker = worker_of(parts, clock, run_id=run.id, on_report=lambda report: None)
            await worker.run(lambda: parts.writer.call(finish))
            return worker.fatal

    try:
        return asyncio.run(work())
    finally:
        engine.dispose()


def addresses(hub: FakeHub) -> dict[str, set[str]]:
    """The addresses that each namespace was asked for from."""
    found = defaultdict(set)
    for entry in hub.requests(host="hub"):
        found[entry.path.split("/")[3]].add(entry.address)
    return found


def busiest_minute(hub: FakeHub, address: str) -> int:
    at = [entry.at for entry in hub.requests(host="hub") if entry.address == address]
    return max(sum(start <= moment < start + 60 for moment in at) for start in at)


def test_each_namespace_keeps_to_its_address_and_each_address_to_its_limit(harvester: Harvester) -> None:
    """A crawl of 244 requests, which take one address more than a minute of the far end's time."""
    seconds: dict[int, float] = {}
    made, wanted = world(30)
    for egress in ((BOTH[0],), BOTH):
        clock = FastClock()
        with FakeHub(made, limits=Limits(hub_per_minute=LIMIT), clock=clock.time) as hub:
            database = harvester.folder / f"{len(egress)}.db"
            assert crawl(hub, clock, database, egress, list(wanted)) is None
            asked = hub.requests(host="hub")
            assert {entry.status for entry in asked} == {200}
            assert len(asked) == 4 * (30 + 30 + 1)
            seconds[len(egress)] = asked[-1].at - asked[0].at
            if len(egress) == 2:
                assert addresses(hub) == {name: {address} for name, address in wanted.items()}
                assert max(busiest_minute(hub, address) for address in (ONE, TWO)) <= LIMIT
    assert seconds[1] > 65
    assert seconds[2] < 0.65 * seconds[1], "two routes have twice the budget"


def test_the_ledger_has_a_row_for_each_route(harvester: Harvester) -> None:
    made, wanted = world(3)
    clock = FastClock()
    with FakeHub(made, limits=Limits(hub_per_minute=LIMIT), clock=clock.time) as hub:
        assert crawl(hub, clock, harvester.database, BOTH, list(wanted)) is None
    assert harvester.rows("SELECT route, limit_count, source FROM budgets WHERE budget = 'hub' ORDER BY 1") == [
        ("one", LIMIT, "header"),
        ("two", LIMIT, "header"),
    ]


PAUSE_S = 20
IN_FLIGHT = 4
"""Requests that were under way, or had their permit, beside the one that was refused."""


@pytest.mark.parametrize(
    ("answer", "is_long"),
    [
        (faults.rate_limited(PAUSE_S), False),
        (faults.abuse_limited(PAUSE_S), False),
        (faults.edge_code(), True),
        (faults.edge_challenge(), True),
    ],
    ids=["429 of the Hub", "429 of the abuse limit", "the edge's code", "the edge's page"],
)
def test_a_refusal_at_one_address_is_never_got_round_by_the_other(
    harvester: Harvester, answer: faults.Answer, is_long: bool
) -> None:
    """A pause of a quarter of an hour is not waited for: the test ends when the other route has nothing left."""
    made, wanted = world(10)
    refused = [name for name, address in wanted.items() if address == ONE]
    others = wanted.keys() - refused
    clock = FastClock()
    of_one = set(shards_of(0, BOTH) or ())
    with FakeHub(made, limits=Limits(hub_per_minute=600), clock=clock.time) as hub:
        hub.fault(faults.Fault(answer, host="hub", target=f"/{refused[0]}/repositories/repository-[0-9]"))
        fatal = crawl(hub, clock, harvester.database, BOTH, list(wanted), lambda live: is_long and live <= of_one)
        assert fatal is None
        asked = hub.requests(host="hub")
    assert all(found == {wanted[name]} for name, found in addresses(hub).items())
    [place] = [number for number, entry in enumerate(asked) if entry.is_fault]
    pause_ends = asked[place].at + PAUSE_S - 1
    before = [entry for entry in asked[place + 1 :] if entry.address == ONE and entry.at < pause_ends]
    assert len(before) <= IN_FLIGHT
    again = next((entry.at for entry in asked if entry.address == ONE and entry.at >= pause_ends), asked[-1].at)
    assert any(entry.address == TWO for entry in asked[place + 1 :] if entry.at <= again), "the other route went on"
    for name in others if is_long else wanted:
        assert harvester.one(f"SELECT count(*) FROM v_tags WHERE full_name LIKE '{name}/%'") == 10
    assert harvester.one("SELECT count(*) FROM budgets WHERE route = 'two' AND closed_reason IS NOT NULL") == 0
    assert harvester.one("SELECT count(*) FROM budgets WHERE route = 'one' AND closed_reason IS NOT NULL") > 0
    assert harvester.one("SELECT count(*) FROM jobs WHERE state = 'dead'") == 0


def test_a_route_whose_address_is_not_ours_is_named_before_anything_is_asked(harvester: Harvester) -> None:
    made, wanted = world(1)
    strange = (BOTH[0], Egress(name="two", address="203.0.113.9"))
    clock = FastClock()
    with FakeHub(made, clock=clock.time) as hub:
        with pytest.raises(ConfigError, match=r"egress route two: nothing can be sent from 203\.0\.113\.9"):
            crawl(hub, clock, harvester.database, strange, list(wanted))
        assert hub.requests() == []


def test_each_route_is_opened_with_a_network_and_a_limiter_of_its_own(harvester: Harvester) -> None:
    asked: list[tuple[str, str]] = []
    held: list[tuple[str, str]] = []

    def answering(egress: Egress) -> httpx.AsyncBaseTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            asked.append((egress.name, request.url.path))
            return httpx.Response(200, json={})

        return httpx.MockTransport(answer)

    ways = (Egress(name="a"), Egress(name="b"))
    settings = Settings(database=str(harvester.database), hub_url="http://hub.test", egress=ways)
    engine, clock = open_store(settings), FastClock()

    async def ask() -> dict[Budget, int]:
        async with assembled(
            settings,
            engine,
            clock,
            credential=None,
            on_hold=lambda budget, seconds, reason: held.append((budget, reason)),
            inner=answering,
        ) as parts:
            for outlet, path in zip(parts.outlets, ("/1", "/2"), strict=True):
                await outlet.transport.send(Call("GET", f"http://hub.test{path}", ("hub",)))
            await parts.outlets[0].limiter.close(("hub",), 600.0, "told to wait")
            with pytest.raises(Throttled):
                await parts.outlets[0].transport.send(Call("GET", "http://hub.test/3", ("hub",)))
            await parts.outlets[1].transport.send(Call("GET", "http://hub.test/3", ("hub",)))
            return {budget: number for budget, number in parts.requests.items() if number}

    assert asyncio.run(ask()) == {"hub": 3}
    assert asked == [("a", "/1"), ("b", "/2"), ("b", "/3")]
    assert held == [("hub", "told to wait (route a)")]
    engine.dispose()
