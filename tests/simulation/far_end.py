"""The fake Hub without a network: its logic, limits and journal, some way off, and a world that never ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate

import httpx

from tests.fakehub import FakeHub, Limits, Request, World
from tests.fakehub.messages import Closed, Cut, Hang, Host, Reply, Reset
from tests.fakehub.world import Repository

PORTS: dict[Host, int] = {"hub": 7001, "auth": 7002, "registry": 7003, "cdn": 7004}
HOSTS = {port: host for host, port in PORTS.items()}
NEAREST_S, FURTHEST_S = 0.05, 1.5
"""A request and its answer take this long together."""

ADDRESS = "127.0.0.1"
HANGS_S = 30.0
"""Until whoever waits for a silent host gives up."""


class EndlessWorld(World):
    """Every repository that somebody asks for is there, with no tags."""

    def find(self, full_name: str, account: str | None = None) -> Repository | None:
        namespace, _, name = full_name.partition("/")
        return Repository(namespace, name, repository_id=int(name.rpartition("-")[2]), pull_count=1)


def far_end(
    limits: Limits,
    clock: Callable[[], float],
    world: World | None = None,
    users: Mapping[str, str] | None = None,
) -> FakeHub:
    """A fake Hub that listens nowhere; without a world its own has no end."""
    hub = FakeHub(EndlessWorld() if world is None else world, limits=limits, users=users, clock=clock, ports=PORTS)
    hub.hub_api.base_url = hub.hub_url
    hub.registry.auth_url, hub.registry.cdn_url = hub.auth_url, hub.cdn_url
    return hub


class Distance(httpx.AsyncBaseTransport):
    """What stands for the network: a random time on the way there, and another one back."""

    def __init__(self, hub: FakeHub, clock: Callable[[], float], chance: random.Random) -> None:
        self._hub = hub
        self._clock = clock
        self._chance = chance

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        way_s = self._chance.uniform(NEAREST_S, FURTHEST_S)
        there_s = way_s * self._chance.random()
        await asyncio.sleep(there_s)
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self._hub.reply(
            Request(
                HOSTS[request.url.port or 0],
                request.method,
                request.url.raw_path.decode(),
                headers,
                request.read(),
                ADDRESS,
            )
        )
        date = ("date", formatdate(self._clock(), usegmt=True))
        await asyncio.sleep(way_s - there_s)
        content_type = (("content-type", reply.content_type),) if reply.content_type else ()
        stream = await _delivered(reply)
        return httpx.Response(reply.status, headers=[*reply.headers, *content_type, date], stream=stream)


class _Broken(httpx.AsyncByteStream):
    """A body whose end never comes."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._beginning
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


async def _delivered(reply: Reply) -> httpx.AsyncByteStream:
    """The body as it arrives; raises where nothing does. Slow deliveries arrive whole."""
    match reply.delivery:
        case Reset():
            raise httpx.ReadError("connection reset by peer")
        case Closed():
            raise httpx.RemoteProtocolError("server disconnected without sending a response")
        case Hang():
            await asyncio.sleep(HANGS_S)
            raise httpx.ReadTimeout("nothing was sent")
        case Cut(missing):
            return _Broken(reply.payload.plain[: max(0, len(reply.payload.plain) - missing)])
        case _:
            return httpx.ByteStream(reply.payload.plain)
