"""Egress routes: the operator's ways out, and which of them a namespace belongs to. Rank 1, pure.

The namespace alone decides, so that all that is asked about a repository comes from one address, today and after a restart. Nothing
that happens on a route moves a job to another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

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
