"""Where a digest was seen, and what changed: questions of `harvester whois` and `harvester events`. Rank 3. Reads only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from harvester.store.statements import Statement


@dataclass(frozen=True, slots=True)
class Place:
    """One period in which one tag showed a digest; instants are ISO 8601, UTC."""

    kind: str
    """`index`, `image`, `layer` or `config`: what the digest is there."""
    repository: str
    tag: str
    platforms: list[str]
    """The platforms whose image it is or belongs to; none for an index."""
    first_seen: str | None
    """When it was first seen so; null: nobody knows. It may have been so before."""
    last_seen: str | None
    """When it was last seen so; null: not recorded."""
    until: str | None
    """When it was first seen otherwise; null: it is still so."""
    ended: str | None
    """`moved`: the tag points to something else since; `gone`: the tag went away; null: still so, or not known."""
    pushed_at: str | None
    """The far end's own date of the push."""
    last_updater: str | None
    """Who pushed, as the far end names them."""


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a digest: those that are shown, and how many there are."""

    total: int
    shown: list[Place]


@dataclass(frozen=True, slots=True)
class Change:
    """One event with the names it is about; instants are ISO 8601, UTC."""

    id: int
    observed_at: str
    happened_at: str | None
    """The far end's own date, where it has one."""
    rank: int
    kind: str
    repository: str | None
    tag: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """Events: those that are shown, and how many passed."""

    total: int
    shown: list[Change]


_MATCHING = Statement(
    "low high most",
    """
    SELECT digest FROM (
        SELECT digest FROM tag_history WHERE digest >= :low AND digest < :high
        UNION SELECT digest FROM images WHERE digest >= :low AND digest < :high
        UNION SELECT digest FROM layers WHERE digest >= :low AND digest < :high
        UNION SELECT digest FROM indexes WHERE digest >= :low AND digest < :high
        UNION SELECT config_digest FROM images WHERE config_digest >= :low AND config_digest < :high) found
    ORDER BY digest LIMIT :most
    """,
)
_AFTER_ALL_DIGITS = "g"

_COLUMNS = "kind, full_name, tag, {platforms}, seen_from, last_seen, seen_until, ended, pushed_at, last_updater"
_PLACES = """
    SELECT p.*, count(*) OVER () FROM (
        SELECT {columns} FROM v_digest_whereis WHERE digest = :digest
        GROUP BY kind, full_name, tag, seen_from, last_seen, seen_until, ended, pushed_at, last_updater) p
    ORDER BY kind, CASE WHEN seen_until IS NULL THEN 0 ELSE 1 END, full_name, tag,
        seen_from NULLS FIRST LIMIT :most
"""
_JOINED = {"sqlite": "group_concat(platform, ',') AS platforms", "postgresql": "string_agg(platform, ',') AS platforms"}
_PLACES_OF = {
    dialect: Statement("digest most", _PLACES.format(columns=_COLUMNS.format(platforms=joined)))
    for dialect, joined in _JOINED.items()
}
NO_LIMIT = 2**63 - 1

# Read row by row: a month may hold millions.
_EVENTS = text(
    """
    SELECT id, observed_at, happened_at, rank, kind, full_name, tag, detail FROM v_events
    WHERE observed_at >= :since AND rank <= :rank ORDER BY rank, observed_at DESC, id DESC
    """
)


def matching(connection: Connection, prefix: str, most: int) -> list[str]:
    """The digests that begin so, in their order, as many as `most`."""
    found = _MATCHING.all(connection, (prefix, prefix + _AFTER_ALL_DIGITS, most))
    return [row[0] for row in found]


def places(connection: Connection, digest: str, most: int = NO_LIMIT) -> Places:
    """Every tag and period in which the digest was seen, at most so many: what is still so first, then by name."""
    rows = _PLACES_OF[connection.dialect.name].all(connection, (digest, most))
    return Places(int(rows[0][-1]) if rows else 0, [_place(*row[:-1]) for row in rows])


def changes(
    connection: Connection, since: str, *, rank: int, passes: Callable[[Change], bool], most: int = NO_LIMIT
) -> Changes:
    """Events observed since that instant, of that rank or a more urgent one, that pass: the most urgent first, then the newest."""
    total, shown = 0, []
    for row in connection.execute(_EVENTS, {"since": since, "rank": rank}):
        number, observed_at, happened_at, of_rank, kind, repository, tag, detail = row
        change = Change(number, observed_at, happened_at, of_rank, kind, repository, tag, _detail(detail))
        if passes(change):
            total += 1
            if total <= most:
                shown.append(change)
    return Changes(total, shown)


def _place(kind: str, repository: str, tag: str, platforms: str | None, *rest: Any) -> Place:
    return Place(kind, repository, tag, sorted(platforms.split(",")) if platforms else [], *rest)


def _detail(stored: str) -> dict[str, Any]:
    found = json.loads(stored)
    return found if isinstance(found, dict) else {"detail": found}
