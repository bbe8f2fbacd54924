"""Egress routes: the operator's ways out, and which of them a namespace belongs to. Rank 1, pure.

The namespace alone decides, so that all that is asked about a repository comes from one address, today and after a restart. Nothing
that happens on a route moves a job to another one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

from harvester.checks import KeyRefused, address_parts, printable, tables_of
from harvester.errors import ConfigError

DIRECT = "direct"
"""The name of the one route that there is by default."""

SHARDS = 64
"""Namespaces are dealt out in so many parts; a part belongs to one route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """One way out that belongs to the operator."""

    name: str
    """Up to 32 of `a` to `z`, digits and `-`; the `route` column of the ledger."""
    proxy: str | None = field(default=None, repr=False)
    """Address of an http or https proxy; it may hold a password."""
    address: str | None = None
    """Local address to send from, IPv4 or IPv6."""


def routes(egress: Sequence[Egress], proxy: str | None) -> tuple[Egress, ...]:
    """The ways out that are configured, or the one there is by default. Raises `ConfigError` where they contradict one another."""
    if not egress:
        return (Egress(name=DIRECT, proxy=proxy),)
    if proxy is not None:
        raise ConfigError("either `[[egress]]` or `proxy`: a route names a proxy of its own")
    if len({route.name for route in egress}) < len(egress):
        raise ConfigError("two egress routes of one name would share one budget: name each of them differently")
    return tuple(egress)


def egress_routes(value: Any) -> tuple[Egress, ...]:
    """The ways out of the tables `[[egress]]`. Raises `TablesRefused` with all that is wrong, `ValueError` for what is no list."""
    numbers: dict[str, int] = {}

    def route(number: int, row: dict[str, Any]) -> Egress:
        if "name" not in row:
            raise KeyRefused("name", "name: is missing")
        one = Egress(**row)
        if one.proxy and one.address:
            raise KeyRefused("address", "address: a way out has a `proxy` or an `address`, not both")
        # Two routes that leave by one address would spend its budget twice.
        key, way = next(((k, v) for k, v in (("proxy", one.proxy), ("address", one.address)) if v), ("name", "plain"))
        for kind, what, mark in (("name", "this name", one.name), (key, "this way out", f"{key} {way.rstrip('/')}")):
            if (known := f"{what} {mark}") in numbers:
                raise KeyRefused(
                    kind,
                    f"{what} is that of [[egress]] {numbers[known]} already; each has its own name, and a"
                    " `proxy` or an `address` of its own (one of them may have neither: the plain way out)",
                )
            numbers[known] = number
        return one

    return tables_of(value, {"name": _route_name, "proxy": proxy_address, "address": _address}, route)


def proxy_address(value: Any) -> str:
    """The address of a proxy as it is written; it may hold a password, and no error does."""
    text = printable(value)
    parts = address_parts(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("takes the address of an http or https proxy")
    return text


@lru_cache(maxsize=4096)
def shard_of(namespace: str) -> int:
    """The part, 0 to `SHARDS - 1`, that a namespace or the text of a search falls into; the same in every process."""
    return int.from_bytes(sha256(namespace.encode()).digest()[:8], "big") % SHARDS


def route_of(shard: int, routes: Sequence[Egress]) -> int:
    """The index of the route that a part belongs to, whatever their order: another route takes only its share from each."""
    return max(range(len(routes)), key=lambda index: _claim_on(shard, routes[index].name))


def shards_of(index: int, routes: Sequence[Egress]) -> tuple[int, ...] | None:
    """The parts that belong to the route of that index; null: there is one route, and it has them all."""
    if len(routes) == 1:
        return None
    return tuple(shard for shard in range(SHARDS) if route_of(shard, routes) == index)


@lru_cache(maxsize=4096)
def _claim_on(shard: int, name: str) -> bytes:
    return sha256(f"{name}:{shard}".encode()).digest()


def _route_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9-]{1,32}", value):
        raise ValueError("takes 1 to 32 of the lower-case letters, the digits and `-`")
    return value


def _address(value: Any) -> str:
    try:
        found = ipaddress.ip_address(printable(value))
    except ValueError:
        found = None
    if found is None or found.is_unspecified or found.is_multicast:
        raise ValueError("takes one IP address of this machine to send from")
    return str(found)
