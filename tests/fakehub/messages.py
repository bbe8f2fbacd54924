"""What travels between a connection and the four hosts: a request, a reply, and how the reply is delivered."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from urllib.parse import parse_qs, unquote

Host = Literal["hub", "auth", "registry", "cdn"]
Budget = Literal["hub", "pull", "free", "token", "login", "none"]
Headers = tuple[tuple[str, str], ...]

HOSTS: tuple[Host, ...] = ("hub", "auth", "registry", "cdn")

SMALLEST_PACKED_BODY = 1024
"""Bodies up to this many bytes are never compressed."""


@dataclass(frozen=True)
class Request:
    """One request as it was read from the wire."""

    host: Host
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    address: str

    @cached_property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path split at its slashes and decoded one by one; a trailing slash leaves an empty last segment."""
        return tuple(unquote(segment) for segment in self.path.split("/")[1:])

    @cached_property
    def parameters(self) -> dict[str, list[str]]:
        return parse_qs(self.query, keep_blank_values=True)

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter, or None when it was not sent."""
        values = self.parameters.get(name)
        return values[0] if values else None


class Payload:
    """A body that is compressed at most once, however often it is sent."""

    __slots__ = ("_packed", "plain")

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self._packed: bytes | None = None

    def packed(self) -> bytes:
        if self._packed is None:
            self._packed = gzip.compress(self.plain, compresslevel=3, mtime=0)
        return self._packed


@dataclass(frozen=True)
class Whole:
    """The reply is sent as HTTP wants it."""


@dataclass(frozen=True)
class Cut:
    """Content-Length promises the whole body, `missing` bytes of it never come, and the connection closes."""

    missing: int = 100


@dataclass(frozen=True)
class Reset:
    """The connection is reset without an answer."""


@dataclass(frozen=True)
class Closed:
    """The connection is closed in order, without an answer."""


@dataclass(frozen=True)
class Hang:
    """Nothing is sent until the server stops."""


@dataclass(frozen=True)
class Drip:
    """The body comes `size` bytes at a time with `pause_s` seconds in between."""

    size: int = 1
    pause_s: float = 0.05


@dataclass(frozen=True)
class Raw:
    """These very bytes go out instead of an HTTP reply, then the connection closes."""

    data: bytes


Delivery = Whole | Cut | Reset | Closed | Hang | Drip | Raw

NOTHING = Payload(b"")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a host answers, before the connection adds Date, Content-Length and compression."""

    status: int
    payload: Payload = NOTHING
    content_type: str | None = "application/json"
    headers: Headers = ()
    budget: Budget = "none"
    account: str | None = None
    delivery: Delivery = field(default_factory=Whole)


def encode_json(document: object) -> bytes:
    """Compact JSON with escapes for all that is not ASCII, so that lone surrogates survive the wire."""
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def json_reply(status: int, document: object, *, headers: Headers = (), budget: Budget = "none") -> Reply:
    """A reply with a JSON body."""
    return Reply(status, Payload(encode_json(document)), headers=headers, budget=budget)


def html_reply(status: int, title: str, *, headers: Headers = (), budget: Budget = "none") -> Reply:
    """A reply with a small HTML page, the way the website and the edge answer."""
    page = f'<!DOCTYPE html><html lang="en-US"><head><title>{title}</title></head><body><h1>{title}</h1></body></html>'
    return Reply(status, Payload(page.encode()), "text/html; charset=utf-8", headers, budget)


def path_missing() -> Reply:
    """The HTML page that unknown paths get; it says nothing about any object."""
    return html_reply(404, "404 : Docker", budget="hub")
