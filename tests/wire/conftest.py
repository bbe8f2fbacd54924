"""What the tests of `harvester.wire` share: a standing clock, a limiter that takes notes, a far end in a dictionary."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from harvester.wire.permits import Budget, Reading
from harvester.wire.transport import Transport

RECORDED = Path(__file__).parent / "recorded"
HUB = "https://hub.docker.com"
REGISTRY = "https://registry-1.docker.io"
AUTH = "https://auth.docker.io"
DATE = "Fri, 20 Nov 2026 16:00:00 GMT"
NOW = 1795190400
AGENT = "harvester/0 (+https://example.com)"

Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class StandingClock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return NOW + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class NotedPermits:
    """Lets everything out and notes what was asked."""

    def __init__(self) -> None:
        self.taken: list[Budget] = []
        self.over: list[Budget] = []
        self.seen: list[tuple[Budget, Reading]] = []
        self.closed: list[tuple[tuple[Budget, ...], float]] = []
        self.blocked: list[tuple[Budget, ...]] = []

    async def take(self, budget: Budget) -> None:
        self.taken.append(budget)

    def observe(self, budget: Budget, reading: Reading) -> None:
        self.seen.append((budget, reading))

    def ended(self, budgets: tuple[Budget, ...]) -> None:
        self.over.extend(budgets)

    async def close(self, budgets: tuple[Budget, ...], seconds: float, reason: str) -> None:
        self.closed.append((budgets, seconds))

    async def block(self, budgets: tuple[Budget, ...], reason: str) -> float:
        self.blocked.append(budgets)
        return 1800.0


class FarEnd:
    """Answers by method and address, each of them in turn; the last one again and again."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, list[httpx.Response | Exception | Handler]] = {}

    def on(self, address: str, *answers: httpx.Response | Exception | Handler) -> None:
        """`address` as `GET https://host/path?query`, or without the query for any."""
        self._answers[address] = list(answers)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        whole = f"{request.method} {request.url}"
        answers = self._answers.get(whole) or self._answers.get(whole.partition("?")[0])
        if answers is None:
            return httpx.Response(404, html="<html><title>404 : Docker</title></html>")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers.raw, content=answer.content)
        made = answer(request)
        return made if isinstance(made, httpx.Response) else await made

    @property
    def asked(self) -> list[str]:
        """Method and path of every request, queries left out."""
        return [f"{request.method} {request.url.path}" for request in self.requests]

    @property
    def authorizations(self) -> list[str | None]:
        return [request.headers.get("authorization") for request in self.requests]


def recorded(name: str) -> bytes:
    """A recorded body."""
    return (RECORDED / f"{name}.json").read_bytes()


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def answered(document: object, status: int = 200, /, **headers: str) -> httpx.Response:
    """A JSON answer; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = document if isinstance(document, bytes) else body(document)
    return httpx.Response(status, headers={"content-type": "application/json", "date": DATE, **named}, content=raw)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def permits() -> NotedPermits:
    return NotedPermits()


@pytest.fixture
def far_end() -> FarEnd:
    return FarEnd()


@pytest.fixture
def transport(clock: StandingClock, permits: NotedPermits, far_end: FarEnd) -> Transport:
    return Transport(permits=permits, user_agent=AGENT, clock=clock, inner=httpx.MockTransport(far_end))
