"""One keep-alive HTTP/1.1 connection: reads requests with h11, and delivers replies the way they ask for."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate

import h11

from tests.fakehub.messages import (
    SMALLEST_PACKED_BODY,
    Closed,
    Cut,
    Drip,
    Hang,
    Host,
    Raw,
    Reply,
    Request,
    Reset,
)

READ_SIZE = 65_536
NO_LINGER = struct.pack("ii", 1, 0)


class Connection:
    """A client's connection to one of the hosts, from accept to close."""

    def __init__(
        self,
        host: Host,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        answer: Callable[[Request], Reply],
        clock: Callable[[], float],
    ) -> None:
        self._host = host
        self._reader, self._writer = streams
        self._answer = answer
        self._clock = clock
        self._http = h11.Connection(h11.SERVER)
        peer = self._writer.get_extra_info("peername")
        self._address: str = peer[0] if peer else "127.0.0.1"

    async def serve(self) -> None:
        """Answer requests until either side has enough."""
        try:
            while True:
                request = await self._read()
                if request is None:
                    return
                if not await self._deliver(request, self._answer(request)):
                    return
                if self._http.our_state is h11.MUST_CLOSE:
                    return
                self._http.start_next_cycle()
        except (ConnectionError, h11.RemoteProtocolError):
            return

    async def _read(self) -> Request | None:
        head: h11.Request | None = None
        body = b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    informational = h11.InformationalResponse(status_code=100, headers=[])
                    self._writer.write(self._http.send(informational))
                self._http.receive_data(await self._reader.read(READ_SIZE))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
                target = head.target.decode("latin-1")
                return Request(self._host, head.method.decode(), target, headers, body, self._address)
            else:
                return None

    async def _deliver(self, request: Request, reply: Reply) -> bool:
        """Send the reply; True while the connection can go on."""
        match reply.delivery:
            case Hang():
                await asyncio.Event().wait()
            case Reset():
                self._reset()
                return False
            case Closed():
                return False
            case Raw(data):
                self._writer.write(data)
                await self._writer.drain()
                return False
        head, body = self._rendered(request, reply)
        match reply.delivery:
            case Cut(missing):
                self._writer.write(head + body[: max(0, len(body) - missing)])
                await self._writer.drain()
                return False
            case Drip(size, pause_s):
                self._writer.write(head)
                for start in range(0, len(body), size):
                    await asyncio.sleep(pause_s)
                    self._writer.write(body[start : start + size])
                    await self._writer.drain()
                self._finish(body)
                return True
        self._writer.write(head + body if len(body) < READ_SIZE else head)
        if len(body) >= READ_SIZE:
            self._writer.write(body)
        await self._writer.drain()
        self._finish(body)
        return True

    def _rendered(self, request: Request, reply: Reply) -> tuple[bytes, bytes]:
        """The head as h11 writes it, and the body that goes with it."""
        body = reply.payload.plain
        names = {name for name, _ in reply.headers}
        headers = list(reply.headers)
        if "date" not in names:
            headers.append(("date", formatdate(self._clock(), usegmt=True)))
        accepts_gzip = "gzip" in request.headers.get("accept-encoding", "")
        is_json = reply.content_type is not None and "json" in reply.content_type and self._host == "hub"
        if is_json and accepts_gzip and len(body) > SMALLEST_PACKED_BODY and "content-encoding" not in names:
            body = reply.payload.packed()
            headers += [("content-encoding", "gzip"), ("vary", "Accept-Encoding")]
        if reply.content_type is not None:
            headers.append(("content-type", reply.content_type))
        if "content-length" not in names:
            headers.append(("content-length", str(len(body))))
        head = self._http.send(h11.Response(status_code=reply.status, headers=headers))
        return head, b"" if request.method == "HEAD" else body

    def _finish(self, body: bytes) -> None:
        """Let h11 count the body, which went out past it without being copied."""
        if body:
            self._http.send_with_data_passthrough(h11.Data(data=body))
        self._http.send(h11.EndOfMessage())

    def _reset(self) -> None:
        connected: socket.socket | None = self._writer.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._writer.transport.abort()
