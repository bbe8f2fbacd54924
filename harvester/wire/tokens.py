"""The two kinds of tokens: the Hub's and the registry's. Rank 3.

Tokens live in memory only, and neither they nor a secret are ever part of a message or a `repr`. Many requests that
need the same token at once cause one request for it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec

from harvester.clock import Clock
from harvester.errors import CredentialsRefused, Denied, Drift, StaleToken
from harvester.names import RepositoryName
from harvester.wire.answers import Answer, Call, shown
from harvester.wire.transport import Transport

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

BODY_CAP = 64 * 1024
HUB_LIFE_S = 480.0
"""Assumed where a token does not tell its life: 10 minutes less a margin (wire reference, 11.2)."""
REGISTRY_LIFE_S = 60.0
"""By the specification where `expires_in` is missing, and the least there is (wire reference, 14.2)."""
LONGEST_LIFE_S = 24 * 3600.0
RENEW_S = 60.0
KEPT = 1000
"""Registry tokens kept at once."""
SCOPES = 10
"""Repositories of one registry token; how many the far end takes is not known, so it is halved where that fails (14.2)."""
EXPECTED = 500
"""Repositories that are remembered as wanted soon."""
SERVICE = "registry.docker.io"

_REFUSED = "the far end refused the credentials; they are not tried again within the hour"


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """A user name, or the name of an organization, and its password or access token (wire reference, 11.1)."""

    username: str
    secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ...)"


async def _note_nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    authorization: str
    renew_at: float
    ends_at: float
    is_companion: bool = False
    """It was asked for along with another repository's."""

    def __repr__(self) -> str:
        return f"_Token(ends_at={self.ends_at})"


class _HubPayload(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


class _TokenBody(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


class _OneFlight(Generic[Key, Value]):
    """Runs one request per key at a time; whoever comes while it is under way gets its outcome, error or value."""

    def __init__(self) -> None:
        self._flights: dict[Key, asyncio.Future[Value]] = {}

    async def share(self, key: Key, ask: Callable[[], Awaitable[Value]]) -> Value:
        while (pending := self._flights.get(key)) is not None:
            await asyncio.wait((pending,))
            # Cancelled with the task that asked: the next one asks, and the others find its token.
            if not pending.cancelled():
                return pending.result()
        flight: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            value = await ask()
        except Exception as error:
            flight.set_exception(error)
            flight.exception()
            raise
        except BaseException:
            flight.cancel()
            raise
        finally:
            del self._flights[key]
        flight.set_result(value)
        return value


class Memory:
    """What is known of credentials, whichever way they went: whether the far end took them, or refused them."""

    def __init__(self, on_refused: Callable[[], Awaitable[None]] = _note_nothing) -> None:
        """`on_refused` is awaited when they are refused."""
        self._on_refused = on_refused
        self._is_taken = False
        self._first = asyncio.Lock()
        self.is_refused = False

    def check(self, url: str) -> None:
        """Raises `CredentialsRefused` where they are not to be sent again."""
        if self.is_refused:
            raise CredentialsRefused(_REFUSED, url=shown(url))

    async def noting_refusal(self, transport: Transport, call: Call) -> Answer:
        """The answer to a call with credentials. A repeated wrong login locks the account (wire reference, 13.5).

        Until they were taken once, one call at a time tries them.
        """
        if self._is_taken:
            return await self._send(transport, call)
        async with self._first:
            self.check(call.url)
            return await self._send(transport, call)

    async def _send(self, transport: Transport, call: Call) -> Answer:
        try:
            answer = await transport.send(call)
        except StaleToken as error:
            await self._note()
            raise CredentialsRefused(_REFUSED, url=error.url, status=error.status, budget=error.budget) from None
        except CredentialsRefused:
            await self._note()
            raise
        self._is_taken = True
        return answer

    async def _note(self) -> None:
        self.is_refused = True
        await self._on_refused()


class HubTokens:
    """The Hub's access token, renewed before it ends (wire reference, 11.2)."""

    def __init__(
        self,
        transport: Transport,
        base_url: str,
        *,
        credentials: Credentials,
        clock: Clock,
        memory: Memory | None = None,
    ) -> None:
        """`memory` is what else is known of these credentials, shared by all that use them."""
        self._transport = transport
        self._url = f"{base_url.rstrip('/')}/v2/auth/token"
        self._credentials = credentials
        self._clock = clock
        self._memory = memory or Memory()
        self._token: _Token | None = None
        self._anonymous_until = 0.0
        self._flight: _OneFlight[str, str] = _OneFlight()

    @property
    def is_usable(self) -> bool:
        """Whether requests go out signed in now."""
        return not self._memory.is_refused and self._clock.monotonic() >= self._anonymous_until

    async def authorization(self) -> str | None:
        """The value of the `Authorization` header; null while the token is set aside.

        Raises `CredentialsRefused`, without a request after the first time, and the errors of `Transport.send`.
        """
        now = self._clock.monotonic()
        if now < self._anonymous_until:
            return None
        return self._cached(now) or await self._flight.share("hub", self._log_in)

    def drop(self, authorization: str) -> None:
        """Forget this token, which was refused; a newer one stays."""
        if self._token is not None and self._token.authorization == authorization:
            self._token = None

    def set_aside(self, authorization: str) -> None:
        """Stay anonymous for the rest of this token's life: a new token was refused as well."""
        if self._token is not None and self._token.authorization == authorization:
            self._anonymous_until = self._token.ends_at
            self._token = None

    def _cached(self, now: float) -> str | None:
        token = self._token
        return token.authorization if token is not None and now < token.renew_at else None

    async def _log_in(self) -> str:
        cached = self._cached(self._clock.monotonic())
        if cached is not None:
            return cached
        self._memory.check(self._url)
        content = msgspec.json.encode({"identifier": self._credentials.username, "secret": self._credentials.secret})
        call = Call(
            "POST",
            self._url,
            ("logins", "hub"),
            headers=(("Content-Type", "application/json"),),
            content=content,
            body_cap=BODY_CAP,
        )
        answer = await self._memory.noting_refusal(self._transport, call)
        body = _token_body(answer, call)
        text = _token_text(body.access_token or body.token, call)
        now = self._clock.monotonic()
        token = _token(text, life_s=_life_s(text), now=now)
        self._token = token
        return token.authorization

    def __repr__(self) -> str:
        return f"HubTokens({self._credentials!r})"


class RegistryTokens:
    """Tokens of the registry, each for as many repositories as are expected to be asked for soon (wire reference, 14.2).

    They come from the configured address only: the realm of a challenge is not followed.
    """

    def __init__(
        self,
        transport: Transport,
        auth_url: str,
        *,
        clock: Clock,
        credentials: Credentials | None = None,
        memory: Memory | None = None,
    ) -> None:
        """`memory` is what else is known of these credentials, shared by all that use them."""
        self._transport = transport
        self._base_url = auth_url.rstrip("/")
        self._clock = clock
        self._credentials = credentials
        self._memory = memory or Memory()
        self._tokens: OrderedDict[str, _Token] = OrderedDict()
        self._flight: _OneFlight[str, str] = _OneFlight()
        self._expected: OrderedDict[str, None] = OrderedDict()
        self._scopes = SCOPES
        # One request at a time: the next one may find its token among the companions of this one.
        self._asking = asyncio.Lock()

    def expect(self, names: Iterable[RepositoryName]) -> None:
        """Remember repositories that will be asked for soon: their tokens come along with the next one."""
        for name in names:
            self._expected[name.full_name] = None
        while len(self._expected) > EXPECTED:
            self._expected.popitem(last=False)

    def cached(self, name: RepositoryName) -> str | None:
        """The value of the `Authorization` header, where a token is at hand."""
        token = self._tokens.get(name.full_name)
        if token is None or self._clock.monotonic() >= token.renew_at:
            return None
        self._tokens.move_to_end(name.full_name)
        return token.authorization

    async def authorization(self, name: RepositoryName) -> str:
        """The value of the `Authorization` header for reading this repository.

        Raises `CredentialsRefused`, without a request after the first time, `Denied`, and what `Transport.send` does.
        """
        return self.cached(name) or await self._flight.share(name.full_name, lambda: self._ask(name))

    def drop(self, name: RepositoryName, authorization: str) -> bool:
        """Forget this token, which was refused; a newer one stays. Whether it was asked for along with another's."""
        token = self._tokens.get(name.full_name)
        if token is None or token.authorization != authorization:
            return False
        del self._tokens[name.full_name]
        return token.is_companion

    def narrow(self) -> None:
        """Ask for fewer repositories at a time: a token did not serve one that it was asked for."""
        self._scopes = max(1, self._scopes // 2)

    async def _ask(self, name: RepositoryName) -> str:
        async with self._asking:
            cached = self.cached(name)
            if cached is not None:
                return cached
            companions = self._companions(name)
            try:
                return await self._ask_for(name, companions)
            except (Denied, Drift) as error:
                if not companions or isinstance(error, CredentialsRefused):
                    raise
                self.narrow()
                return await self._ask_for(name, ())

    def _companions(self, name: RepositoryName) -> tuple[str, ...]:
        """Repositories that were expected and have no token yet; they are expected no more."""
        self._expected.pop(name.full_name, None)
        now = self._clock.monotonic()
        found: list[str] = []
        while self._expected and len(found) < self._scopes - 1:
            other, _ = self._expected.popitem(last=False)
            token = self._tokens.get(other)
            if token is None or now >= token.renew_at:
                found.append(other)
        return tuple(found)

    async def _ask_for(self, name: RepositoryName, companions: tuple[str, ...]) -> str:
        names = (name.full_name, *companions)
        scopes = "".join(f"&scope={quote(f'repository:{one}:pull', safe=':/')}" for one in names)
        url = f"{self._base_url}/token?service={SERVICE}{scopes}"
        if self._credentials is not None:
            self._memory.check(url)
        call = Call("GET", url, ("tokens",), authorization=_basic(self._credentials), body_cap=BODY_CAP)
        if self._credentials is not None:
            answer = await self._memory.noting_refusal(self._transport, call)
        else:
            try:
                answer = await self._transport.send(call)
            except StaleToken as error:
                raise Denied("no token for this repository", url=error.url, status=401, budget="tokens") from None
        body = _token_body(answer, call)
        text = _token_text(body.token or body.access_token, call)
        life_s = max(REGISTRY_LIFE_S, body.expires_in or 0.0)
        token = _token(text, life_s=life_s, now=self._clock.monotonic())
        for one in names:
            self._tokens[one] = token if one == name.full_name else replace(token, is_companion=True)
            self._tokens.move_to_end(one)
        while len(self._tokens) > KEPT:
            self._tokens.popitem(last=False)
        return token.authorization

    def __repr__(self) -> str:
        return f"RegistryTokens({len(self._tokens)} at hand)"


def _token(text: str, *, life_s: float, now: float) -> _Token:
    life_s = min(life_s, LONGEST_LIFE_S)
    # A tenth of a short life: with a minute's margin a token of one minute would be renewed at every request.
    margin_s = RENEW_S if life_s > 2 * RENEW_S else life_s / 10
    return _Token(f"Bearer {text}", now + life_s - margin_s, now + life_s)


def _token_body(answer: Answer, call: Call) -> _TokenBody:
    try:
        return msgspec.json.decode(answer.body, type=_TokenBody, strict=False)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # Without a sample: the body may hold a token.
        raise Drift(
            "the answer is not a token's", url=answer.url, status=answer.status, budget=call.budgets[0]
        ) from None


def _token_text(text: str | None, call: Call) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise Drift("the answer holds no token", url=shown(call.url), status=200, budget=call.budgets[0])
    return text


def _life_s(token: str) -> float:
    """The life a JWT tells of itself, in seconds; unverified, it only decides when to ask for the next one."""
    try:
        _, payload, _ = token.split(".")
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        times = msgspec.json.decode(raw, type=_HubPayload)
    except (ValueError, binascii.Error, RecursionError):
        return HUB_LIFE_S
    if times.exp is None or times.iat is None or times.exp <= times.iat:
        return HUB_LIFE_S
    return times.exp - times.iat


def _basic(credentials: Credentials | None) -> str | None:
    if credentials is None:
        return None
    pair = f"{credentials.username}:{credentials.secret}".encode()
    return f"Basic {base64.b64encode(pair).decode('ascii')}"
