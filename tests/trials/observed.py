"""What the far end showed, noted where an answer arrives and read without the program; and which passes were disturbed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from tests.fakehub import Entry, FakeHub
from tests.simulation.far_end import Distance

EVERYTHING = "*"
"""In place of a repository: all of them."""

_OF_REPOSITORY = re.compile(
    r"^/v2/(?:namespaces/(?P<a>[^/]+)/repositories/(?P<b>[^/?]+)|repositories/(?P<c>[^/]+)/(?P<d>[^/?]+))"
)
_OF_REGISTRY = re.compile(r"^/v2/(?P<a>[^/]+)/(?P<b>[^/]+)/(?:tags|manifests|blobs)/")
_OF_NAMESPACE = re.compile(r"^/v2/(?:namespaces/(?P<a>[^/]+)/repositories|repositories/(?P<c>[^/]+))/?$")


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of a tag that arrived whole."""

    at: float
    digest: str | None
    pusher: str
    pushed_at: int | None
    full_size: int
    platforms: frozenset[tuple[str, str, str]]


@dataclass(slots=True)
class Pass:
    """One day's pass: its last run, which began anew."""

    day: int
    began: float
    ended: float
    is_whole: bool
    disturbed: frozenset[str]

    def is_clear(self, full_name: str) -> bool:
        """Whether all that concerns the repository could be asked and was answered truly and at once."""
        return self.is_whole and full_name not in self.disturbed and EVERYTHING not in self.disturbed


@dataclass(slots=True)
class Sights:
    """All that was shown, by repository and tag."""

    tags: dict[tuple[str, str], list[Shown]] = field(default_factory=dict)
    asked: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """Times and answers of questions for a repository's detail."""

    def note(self, at: float, path: str, status: int, body: bytes) -> None:
        """Take down one answer of the Hub."""
        found = _OF_REPOSITORY.match(path)
        if found is None:
            return
        full_name, rest = _name_of(found), path[found.end() :].strip("/")
        if not rest:
            self.asked.setdefault(full_name, []).append((at, status))
        if status != 200 or not rest.startswith("tags") or rest.endswith("/images"):
            return
        try:
            document = json.loads(body)
        except ValueError:
            return
        rows: Iterable[Any] = document.get("results") or [] if rest == "tags" else [document]
        for row in rows:
            platforms = frozenset((one["os"], one["architecture"], one["variant"] or "") for one in row["images"])
            shown = Shown(
                at,
                row.get("digest"),
                row["last_updater_username"],
                _seconds(row["tag_last_pushed"]),
                row["full_size"],
                platforms,
            )
            self.tags.setdefault((full_name, row["name"]), []).append(shown)


class Watched(Distance):
    """The network, with somebody who looks at what passes."""

    def __init__(
        self,
        hub: FakeHub,
        clock: Callable[[], float],
        chance: random.Random,
        *,
        sights: Sights,
        before: Callable[[str], None],
    ) -> None:
        """`before` is told the target of each request when it is on its way."""
        super().__init__(hub, clock, chance)
        self._now = clock
        self._sights = sights
        self._before = before

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._before(request.url.raw_path.decode())
        response = await super().handle_async_request(request)
        if isinstance(response.stream, httpx.ByteStream) and request.url.port == 7001:
            body = b"".join(response.stream)
            self._sights.note(self._now(), request.url.path, response.status_code, body)
        return response


def about(path: str) -> str | None:
    """The repository that a request is about; null where it is about none."""
    found = _OF_REPOSITORY.match(path) or _OF_REGISTRY.match(path)
    return None if found is None else _name_of(found)


def _name_of(found: re.Match[str]) -> str:
    return "/".join(part for part in found.groups() if part)


def disturbed(entries: Iterable[Entry], repositories: Iterable[str]) -> set[str]:
    """The repositories that a fault concerned, for all that the journal says."""
    found: set[str] = set()
    every = list(repositories)
    for entry in entries:
        if not entry.is_fault:
            continue
        if entry.host == "auth" or (entry.host == "registry" and entry.status in (0, 429)):
            # One token serves several, and a silent registry is left alone for a while.
            return {EVERYTHING}
        full_name, listed = about(entry.path), _OF_NAMESPACE.match(entry.path)
        if full_name is not None:
            found.add(full_name)
        elif listed is not None:
            namespace = next(part for part in listed.groups() if part)
            found.update(one for one in every if one.startswith(f"{namespace}/"))
    return found


def pages_of_tags(entries: Iterable[Entry], *, is_fault: bool) -> set[str]:
    """The repositories of whose tags a page was served, by a fault or truly."""
    return {
        full_name
        for entry in entries
        if entry.host == "hub" and entry.status == 200 and entry.is_fault == is_fault
        if entry.path.rstrip("/").endswith("/tags") and (full_name := about(entry.path)) is not None
    }


def _seconds(text: str | None) -> int | None:
    return None if text is None else int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
