"""The one door to the network. Rank 3; the only module that imports httpx.

Every request, a redirect's and a repetition's included, takes its permits before it is sent. There is no client around
the transport, so there are no cookies, no proxies out of the environment, no `.netrc` and no redirects but these.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit

import httpx

from harvester.clock import Clock
from harvester.egress import Egress
from harvester.errors import Blocked, ConfigError, Drift, TooLarge, Unavailable, Unreachable, WireError
from harvester.wire.answers import Answer, Call, Headers, shown
from harvester.wire.body import Body, Corrupt, OverCap, exceeds
from harvester.wire.permits import Budget, Permits
from harvester.wire.refusals import ALL_BUDGETS, reading_of, refusal

__all__ = ["Answer", "Call", "Inner", "OnAnswer", "Transport", "unheard"]

Inner: TypeAlias = Callable[[Egress], httpx.AsyncBaseTransport]
"""What answers in place of the network, for each way out."""

OnAnswer: TypeAlias = Callable[[Budget, int | None, float], None]
"""Told of each request that was sent: its first budget, the status of its answer or null, and seconds."""

MAX_REDIRECTS = 3
ERROR_BODY_CAP = 64 * 1024
"""Bytes read of an answer that is not a success; the rest is left."""
CONNECT_S = 10.0
READ_S = 30.0
KEEP_ALIVE_S = 30.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_NO_BODY = httpx.ByteStream(b"")


def unheard(budget: Budget, status: int | None, seconds: float) -> None:
    """Nobody listens."""


class Transport:
    """Sends requests and returns successes; everything else is raised as a `WireError`."""

    def __init__(
        self,
        *,
        permits: Permits,
        user_agent: str,
        clock: Clock,
        route: str | None = None,
        proxy: str | None = None,
        local_address: str | None = None,
        body_cap: int = 8 * 2**20,
        total_s: float = 60.0,
        connections: int = 8,
        on_answer: OnAnswer = unheard,
        inner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`body_cap` in bytes after inflating, `total_s` in seconds on the network for one call, redirects included.

        Messages name the `route`, where there are several. `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured. Raises `ConfigError`
        for a bad proxy, user agent or local address: one that nothing can be sent from now.
        """
        if not user_agent.isascii() or not user_agent.isprintable():
            raise ConfigError("the user agent must be printable ASCII")
        self.requests: dict[Budget, int] = dict.fromkeys((*ALL_BUDGETS, "webhooks"), 0)
        """Requests sent, by the first budget of each call."""
        self.redirects = 0
        """Redirects followed; each was a request of its own."""
        self.date: str | None = None
        """The far end's own clock, as its latest answer had it."""
        self._permits = permits
        self._clock = clock
        self._body_cap = body_cap
        self._total_s = total_s
        self._on_answer = on_answer
        # One transport per connection: a pool of several looks at all of them at the start and the end of each request.
        # The one used last at a host is used there next, so that a slow crawl keeps one connection and lets others end.
        self._idle: dict[tuple[str, bytes], list[httpx.AsyncBaseTransport]] = {}
        self._opened: list[httpx.AsyncBaseTransport] = []
        self._by_route = "" if route is None else f" by route {route}"
        self._open: Callable[[], httpx.AsyncBaseTransport]
        if inner is not None:
            self._open = lambda: inner
        else:
            try:
                self._open = _opener(proxy, local_address)
            except ConfigError as error:
                raise ConfigError(
                    error.message if route is None else f"egress route {route}: {error.message}"
                ) from None
        self._free = asyncio.Semaphore(connections)
        self._user_agent = user_agent.encode("ascii")
        self._extensions = {
            "timeout": {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": total_s},
        }

    async def send(self, call: Call) -> Answer:
        """The 2xx answer to `call`, any answer to a foreign one. Raises the errors of `refusals.refusal`, and what the way there
        may do:

        `Unreachable` without a connection, `Unavailable` for time-outs and cut or corrupt bodies, `TooLarge` beyond the
        cap, `Drift` for a redirect that is not followed.
        """
        url, authorization, headers = call.url, call.authorization, call.headers
        left_s = self._total_s
        for hop in range(MAX_REDIRECTS + 1):
            await self._permitted(call)
            began = self._clock.monotonic()
            at = shown(url, is_signed=hop > 0)
            request = self._request(call, url, authorization, headers)
            self.requests[call.budgets[0]] += 1
            status: int | None = None
            try:
                answer = await self._exchange(request, call, at, left_s)
                status = answer.status
            except WireError as error:
                status = error.status
                raise
            finally:
                self._permits.ended(call.budgets)
                self._on_answer(call.budgets[0], status, self._clock.monotonic() - began)
            if call.is_foreign:
                return answer
            if answer.status not in _REDIRECTS:
                return await self._settled(answer, call, is_own=hop == 0 or _origin(url) == _origin(call.url))
            target = _target(url, answer, call)
            if hop < MAX_REDIRECTS:
                if _origin(target) != _origin(url):
                    authorization = None
                    headers = tuple(pair for pair in headers if pair[0].lower() == "accept")
                self._observe(answer, call)
                self.redirects += 1
                url = target
                left_s = max(0.001, left_s - (self._clock.monotonic() - began))
        raise Drift(f"more than {MAX_REDIRECTS} redirects", url=shown(call.url), budget=call.budgets[0])

    async def aclose(self) -> None:
        """Close every connection."""
        for connection in self._opened:
            await connection.aclose()

    def __repr__(self) -> str:
        return f"Transport(requests={sum(self.requests.values())})"

    async def _permitted(self, call: Call) -> None:
        # The host's own, often the scarcest, comes last: it is not spent where another one is closed.
        order = call.budgets[::-1]
        for place, budget in enumerate(order):
            try:
                await self._permits.take(budget)
            except BaseException:
                self._permits.ended(order[:place])
                raise

    def _request(
        self, call: Call, url: str, authorization: str | None, headers: tuple[tuple[str, str], ...]
    ) -> httpx.Request:
        at, budget = shown(call.url), call.budgets[0]
        try:
            address = httpx.URL(url)
            # Decoded when it is asked for: that fails where the name in it is not one.
            is_sendable = address.scheme in _PORTS and bool(address.host)
            raw = [(b"Host", address.netloc), (b"User-Agent", self._user_agent), (b"Accept-Encoding", b"gzip")]
            has_accept = False
            for name, value in headers:
                has_accept = has_accept or name.lower() == "accept"
                raw.append((name.encode("ascii"), value.encode("ascii")))
            if not has_accept:
                raw.append((b"Accept", b"application/json"))
            if authorization is not None:
                raw.append((b"Authorization", authorization.encode("ascii")))
        except (httpx.InvalidURL, ValueError):
            # The cause may hold the credential or a signed address.
            raise Drift("an address or a header that cannot be sent", url=at, budget=budget) from None
        if not is_sendable:
            raise Drift("an address that cannot be sent to", url=at, budget=budget)
        if call.content is not None:
            raw.append((b"Content-Length", str(len(call.content)).encode("ascii")))
        # With a stream of its own the request is built in half the time: httpx derives no headers then.
        stream = _NO_BODY if call.content is None else httpx.ByteStream(call.content)
        return httpx.Request(call.method, address, headers=raw, stream=stream, extensions=self._extensions)

    async def _exchange(self, request: httpx.Request, call: Call, at: str, left_s: float) -> Answer:
        budget = call.budgets[0]
        response: httpx.Response | None = None
        body = b""
        try:
            async with asyncio.timeout(left_s), self._free:
                idle = self._idle.setdefault((request.url.scheme, request.url.netloc), [])
                connection = idle.pop() if idle else self._connection()
                try:
                    response = await connection.handle_async_request(request)
                    try:
                        headers = Headers.of_raw(response.headers.raw)
                        body = await self._body(response, headers, call, at)
                    finally:
                        await response.aclose()
                finally:
                    idle.append(connection)
        except TimeoutError:
            if response is None or not call.is_foreign:
                raise Unavailable(f"no whole answer within {self._total_s:.0f} s", url=at, budget=budget) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            reason = _of_proxy(error) if isinstance(error, httpx.ProxyError) else str(error) or type(error).__name__
            raise Unreachable(f"no connection{self._by_route}: {reason}", url=at, budget=budget) from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            # The library's text may quote a header of the request, so only its kind is told.
            raise Unavailable(f"the connection failed: {type(error).__name__}", url=at, budget=budget) from None
        return Answer(response.status_code, headers, body, at)

    def _connection(self) -> httpx.AsyncBaseTransport:
        opened = self._open()
        self._opened.append(opened)
        return opened

    async def _body(self, response: httpx.Response, headers: Headers, call: Call, at: str) -> bytes:
        status = response.status_code
        # What somebody else's answer says beyond its status is of no use.
        is_success = 200 <= status < 300 and not call.is_foreign
        cap = (call.body_cap if call.body_cap is not None else self._body_cap) if is_success else ERROR_BODY_CAP
        reader = Body(cap, headers.lower("content-encoding"))
        try:
            if not reader.is_readable:
                raise Corrupt("the body has an encoding that was not asked for")
            length = headers.lower("content-length")
            if is_success and length is not None and call.method != "HEAD" and exceeds(length, cap):
                raise OverCap
            # Read to its end also where there is none, or the connection is not used again.
            stream = response.stream
            assert isinstance(stream, httpx.AsyncByteStream)
            async for chunk in stream:
                reader.feed(chunk)
            return reader.whole()
        except OverCap:
            if is_success:
                message = f"the body is larger than {cap} bytes"
                raise TooLarge(message, url=at, status=status, budget=call.budgets[0]) from None
            return reader.part()
        except Corrupt as error:
            if is_success:
                raise Unavailable(str(error), url=at, status=status, budget=call.budgets[0]) from None
            return reader.part()
        except httpx.TransportError:
            # A limiter's word counts also when its body is cut (wire reference, 13.3).
            if status == 429 or call.is_foreign:
                return reader.part()
            raise

    async def _settled(self, answer: Answer, call: Call, *, is_own: bool) -> Answer:
        if is_own:
            self.date = answer.headers.lower("date") or self.date
            self._observe(answer, call)
        if 200 <= answer.status < 300:
            return answer
        if not is_own and answer.status != 429:
            # A store behind the far end: its errors say nothing of the object, nor of the far end's edge.
            raise Unavailable(
                "the host that a redirect led to failed", url=answer.url, status=answer.status, budget=call.budgets[0]
            )
        refused = refusal(answer, method=call.method, budgets=call.budgets)
        error: WireError = refused.error
        if refused.close:
            close = refused.close if is_own else call.budgets
            await self._permits.close(close, refused.seconds, error.message)
        if refused.block:
            seconds = await self._permits.block(refused.block, error.message)
            if isinstance(error, Blocked):
                error.retry_after = seconds
        raise error

    def _observe(self, answer: Answer, call: Call) -> None:
        is_success = 200 <= answer.status < 300
        reading = reading_of(answer.headers, budgets=call.budgets, is_success=is_success)
        if reading is not None:
            self._permits.observe(*reading)


def _opener(proxy: str | None, local_address: str | None) -> Callable[[], httpx.AsyncBaseTransport]:
    """What opens transports of one connection each. They share the certificates."""
    if local_address is not None:
        if proxy is not None:
            # The library would ignore the address without a word.
            raise ConfigError("takes a proxy or a local address, not both")
        _try_address(local_address)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE_S)
    try:
        certificates = httpx.create_ssl_context(trust_env=True)

        def opened() -> httpx.AsyncHTTPTransport:
            return httpx.AsyncHTTPTransport(
                verify=certificates, limits=limits, proxy=proxy, local_address=local_address, trust_env=False
            )

        opened()
    except (httpx.InvalidURL, ValueError, ImportError):
        # The address of a proxy may hold its password.
        raise ConfigError("the proxy cannot be used; its address begins with http:// or https://") from None
    except OSError as error:
        raise ConfigError(f"the certificates cannot be read: {error}") from None
    return opened


def _try_address(address: str) -> None:
    """Raises `ConfigError` where nothing can be sent from this address."""
    try:
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    except ValueError:
        raise ConfigError(f"{address} is no IP address") from None
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError as error:
        raise ConfigError(f"nothing can be sent from {address}: {error.strerror or error}") from None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _of_proxy(error: httpx.ProxyError) -> str:
    """What a proxy said, by its status alone: the words after it are a stranger's."""
    status = str(error)[:3]
    if status == "407":
        return "the proxy wants another user name and password than it was given (407)"
    return f"the proxy refused ({status})" if status.isdecimal() and status.isascii() else "the proxy failed"


def _target(url: str, answer: Answer, call: Call) -> str:
    """Where a redirect leads. Raises `Drift` where it is not followed."""

    def refused(why: str) -> Drift:
        return Drift(f"a redirect {why}", url=answer.url, status=answer.status, budget=call.budgets[0])

    location = answer.headers.lower("location")
    if not location:
        raise refused("without a location")
    if call.method not in ("GET", "HEAD"):
        raise refused(f"of a {call.method}")
    try:
        target = urljoin(url, location)
        here, there = _origin(url), _origin(target)
    except ValueError:
        raise refused("to an address that cannot be read") from None
    if there[0] not in _PORTS or not there[1]:
        raise refused("to something other than HTTP")
    if here[0] == "https" and there[0] == "http":
        raise refused("from https down to http")
    if call.follow == "same-origin" and there != _origin(call.url):
        raise refused("to another origin")
    return target
