"""What passes over targets will cost, by budget and in hours at the present limits. Rank 7."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from harvester.clock import Clock, instant
from harvester.composition import assembled, open_store, paces
from harvester.config import Settings
from harvester.costing import Planner, Probing, Question, Way
from harvester.forecast import Forecast, rounded, seconds_at
from harvester.policy import LayerPolicy, TagPolicy
from harvester.store import reads
from harvester.store.buckets import BURST
from harvester.store.moment import Moment
from harvester.targets import Target
from harvester.wire.transport import Inner

__all__ = ["Answer", "Question", "answered", "of_watches", "plan"]


@dataclass(slots=True)
class Answer:
    """The forecast, and how long it takes at the present limits."""

    requests: dict[str, int] = field(default_factory=dict)
    purposes: dict[str, dict[str, int]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    """Requests by budget that looks at repositories which change often may add at the most; not in `requests`."""
    per_minute: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    """Until the last budget of the last route is through with it, waiting for closed ones included."""
    slowest: str | None = None
    """The budget that decides on that."""
    closed: dict[str, str] = field(default_factory=dict)
    """When budgets that are closed now open again, by budget (and route, where there are several)."""
    holes: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    probes: int = 0
    """Requests that were made for this forecast."""


def of_watches(settings: Settings) -> list[Question]:
    """A day of what the configuration watches."""
    groups: dict[tuple[TagPolicy, LayerPolicy, int], set[Target]] = {}
    fastest: dict[tuple[TagPolicy, LayerPolicy, int], int] = {}
    for watch in settings.watch:
        key = (watch.tags, watch.layers, watch.every)
        groups.setdefault(key, set()).update(watch.targets)
        fastest[key] = min(watch.fastest_s, fastest.get(key, watch.fastest_s))
    return [
        Question(tuple(sorted(targets)), tags, layers, pulls=settings.pulls != 0, every_s=every, fastest_s=fastest[key])
        for key, targets in groups.items()
        for tags, layers, every in [key]
    ]


def plan(
    questions: Sequence[Question],
    settings: Settings,
    clock: Clock,
    *,
    credential: tuple[str, str] | None,
    probes: int = 10,
) -> Answer:
    """The forecast; the far end may be asked so many questions. Raises what `backfill` raises before its first request."""
    engine = open_store(settings, clock)
    try:
        return asyncio.run(answered(questions, settings, engine, clock, credential=credential, probes=probes))
    finally:
        engine.dispose()


async def answered(
    questions: Sequence[Question],
    settings: Settings,
    engine: Engine,
    clock: Clock,
    *,
    credential: tuple[str, str] | None,
    probes: int,
    inner: Inner | None = None,
) -> Answer:
    """The forecast from an open database. `inner` answers in place of the network."""
    answer = Answer()
    by_route: dict[str, Forecast] = {}
    looks: dict[str, float] = {"hub": 0.0, "registry": 0.0}
    async with assembled(
        settings, engine, clock, credential=credential, on_hold=lambda budget, seconds, reason: None, inner=inner
    ) as parts:
        ways = [Way(one.egress.name, one.shards, one.clients.hub) for one in parts.outlets]
        for question in questions:
            probing, now = Probing(probes - answer.probes), Moment.of(clock.time())
            planner = Planner(question, parts.reader, ways, probing, now, signed_in=credential is not None)
            for route, forecast in (await planner.forecast()).items():
                by_route.setdefault(route, Forecast()).add(forecast)
                for budget in looks:
                    looks[budget] += forecast.totals()[budget] * question.looks
            answer.probes += probing.asked
            if probing.refused is not None:
                answer.assumed.append(f"nothing of what the far end was to be asked: {probing.refused}")
            answer.holes += planner.holes
            answer.assumed += [one for one in planner.assumed if one not in answer.assumed]
        with parts.reader.begin() as connection:
            budgets = reads.budgets(connection)
    _sum_up(answer, by_route)
    answer.looks = {budget: number for budget, requests in looks.items() if (number := rounded(requests))}
    _time(answer, by_route, budgets, settings, "account" if credential else "anonymous", clock.time())
    return answer


def _sum_up(answer: Answer, by_route: dict[str, Forecast]) -> None:
    whole = Forecast()
    for forecast in by_route.values():
        whole.add(forecast)
    answer.requests = {budget: rounded(requests) for budget, requests in whole.totals().items()}
    for budget, purposes in (("hub", whole.hub), ("registry", whole.registry)):
        answer.purposes[budget] = {name: rounded(number) for name, number in purposes.items() if number >= 0.05}


def _time(
    answer: Answer,
    by_route: dict[str, Forecast],
    budgets: Sequence[reads.BudgetState],
    settings: Settings,
    identity: str,
    now: float,
) -> None:
    """How long it takes: routes and budgets are worked side by side, the slowest decides."""
    own = paces(settings)
    rows = {(one.budget, one.route): one for one in budgets if one.identity == identity}
    for budget in answer.requests:
        pace = own[budget]  # type: ignore[index]
        for route, forecast in by_route.items():
            row = rows.get((budget, route))
            allowed, window_s = (pace.configured, pace.window_s) if row is None else (row.allowed, row.window_s)
            a_minute = round(allowed * 60.0 / window_s, 1)
            answer.per_minute[budget] = round(answer.per_minute.get(budget, 0.0) + a_minute, 1)
            requests = forecast.totals()[budget]
            if not requests:
                continue
            shut = [one for one in budgets if (one.budget, one.route) == (budget, route) and one.not_before > now]
            shut = [one for one in shut if one.identity in (identity, "address")]
            opens = max((one.not_before for one in shut), default=now)
            if shut:
                name = f"{budget} ({route})" if len(by_route) > 1 else budget
                answer.closed[name] = instant(opens)
            seconds = opens - now + seconds_at(requests, allowed, window_s, BURST)
            if seconds > answer.seconds:
                answer.seconds, answer.slowest = seconds, budget
            if requests >= 0.5 and allowed <= 0:
                answer.assumed.append(f"the {budget} budget is closed by configuration: its requests wait for ever")
