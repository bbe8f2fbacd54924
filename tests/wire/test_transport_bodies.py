"""Bodies: cut, packed, corrupt, too large, and what their status still says."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from harvester.errors import TooLarge, Unavailable, WireError
from harvester.wire import body
from harvester.wire.transport import Call, Transport
from tests.wire.conftest import AGENT, HUB, REGISTRY, FarEnd, NotedPermits, StandingClock

pytestmark = pytest.mark.anyio


def hub_call(path: str = "/v2/x", **more: object) -> Call:
    return Call("GET", f"{HUB}{path}", ("hub",), **more)  # type: ignore[arg-type]


def blob_call(**more: object) -> Call:
    return Call("GET", f"{REGISTRY}/v2/blob", ("registry",), follow="anywhere", **more)  # type: ignore[arg-type]


class Chunks(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


def streamed(*chunks: bytes | Exception, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, stream=Chunks(*chunks))


async def test_a_cut_body_is_unavailable(transport: Transport, far_end: FarEnd) -> None:
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(b'{"cou', httpx.RemoteProtocolError("peer closed")))
    with pytest.raises(Unavailable):
        await transport.send(hub_call())


async def test_gzip_in_pieces_and_in_members(transport: Transport, far_end: FarEnd) -> None:
    packed = gzip.compress(b"a" * 100_000) + gzip.compress(b"b")
    pieces = [packed[at : at + 7] for at in range(0, len(packed), 7)]
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(*pieces, content_encoding="gzip"))
    assert (await transport.send(hub_call())).body == b"a" * 100_000 + b"b"


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b"abc" * 100)[:-9], b"not gzip", gzip.compress(b"abc") + b"rest", zlib.compress(b"abc")],
)
async def test_a_corrupt_or_cut_gzip_body_is_unavailable(transport: Transport, far_end: FarEnd, packed: bytes) -> None:
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(packed, content_encoding="gzip"))
    with pytest.raises(Unavailable, match="compressed"):
        await transport.send(hub_call())


async def test_an_encoding_not_asked_for_is_unavailable(transport: Transport, far_end: FarEnd) -> None:
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(b"abc", content_encoding="br"))
    with pytest.raises(Unavailable, match="encoding"):
        await transport.send(hub_call())


async def test_a_bomb_is_never_inflated_beyond_the_cap(
    clock: StandingClock, permits: NotedPermits, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_out: list[int] = []
    real = zlib.decompressobj

    class Counted:
        def __init__(self, wbits: int) -> None:
            self._real = real(wbits=wbits)

        def decompress(self, chunk: bytes, most: int) -> bytes:
            data = self._real.decompress(chunk, most)
            handed_out.append(len(data))
            return data

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    monkeypatch.setattr(zlib, "decompressobj", Counted)
    bomb = gzip.compress(bytes(200 * 2**20), compresslevel=1)
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(bomb, content_encoding="gzip"))
    cap = 2**20
    inner = httpx.MockTransport(far_end)
    transport = Transport(permits=permits, user_agent=AGENT, clock=clock, body_cap=cap, inner=inner)
    with pytest.raises(TooLarge):
        await transport.send(hub_call())
    assert sum(handed_out) <= cap + body.INFLATE_STEP


@pytest.mark.parametrize("length", ["101", "9" * 30])
async def test_a_body_declared_too_large_is_not_read(transport: Transport, far_end: FarEnd, length: str) -> None:
    unread = AssertionError("was read")
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(unread, content_length=length))
    with pytest.raises(TooLarge):
        await transport.send(hub_call(body_cap=100))


async def test_the_cap_itself_is_allowed_and_one_byte_more_is_not(transport: Transport, far_end: FarEnd) -> None:
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(b"a" * 60, b"a" * 40), lambda _: streamed(b"a" * 101))
    assert len((await transport.send(hub_call(body_cap=100))).body) == 100
    with pytest.raises(TooLarge):
        await transport.send(hub_call(body_cap=100))


async def test_a_huge_error_page_is_still_its_status(transport: Transport, far_end: FarEnd) -> None:
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(b"a" * 2**20, status=503))
    with pytest.raises(Unavailable) as caught:
        await transport.send(hub_call())
    assert caught.value.status == 503


async def test_a_throttled_answer_counts_with_its_body_cut(
    transport: Transport, far_end: FarEnd, permits: NotedPermits
) -> None:
    cut = httpx.RemoteProtocolError("peer closed")
    far_end.on(f"GET {HUB}/v2/x", lambda _: streamed(cut, status=429, retry_after="7"))
    with pytest.raises(WireError) as caught:
        await transport.send(hub_call())
    assert caught.value.status == 429
    assert permits.closed[0][1] == 7.0
