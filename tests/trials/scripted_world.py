"""A script of what happens to some repositories for many days, the world that it happens to, and the true intervals of every tag.

The script is made from a seed before anything is asked; the truth is written down when a change is done to the world. Neither knows
of the program.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from tests.fakehub import World
from tests.fakehub.images import OCI_LAYER, Image, Layer, Step, digest_of, image_of
from tests.fakehub.synthetic import parse_platform

NAMESPACES = ("acme", "borealis", "cumulus", "delta")
BY_NAME = "delta"
"""The repositories of this namespace are asked for by name, the others as whole namespaces."""

LARGE = "acme/catalog"
PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")
BASE_BYTES = 30_000_000

Act = Literal["push", "delete", "found", "vanish", "return", "register", "describe"]
Cause = Literal["tag", "repository", "register"]
When = Literal["before", "page", "later"]


@dataclass(frozen=True, slots=True)
class Content:
    """What a tag may point to: the same content has the same digest, whoever pushes it whenever."""

    name: str
    platforms: tuple[str, ...] = PLATFORMS[:2]
    own_bytes: int = 10_000_000

    def images(self) -> tuple[Image, ...]:
        """One image per platform."""
        return _images(self)


@lru_cache(maxsize=20_000)
def _images(content: Content) -> tuple[Image, ...]:
    images = []
    for text in content.platforms:
        os, architecture, variant = parse_platform(text)
        base = Layer(digest_of(f"base {text}".encode()), BASE_BYTES, OCI_LAYER)
        own = Layer(digest_of(f"{content.name} {text}".encode()), content.own_bytes, OCI_LAYER)
        steps = [Step("ADD rootfs / ", base), Step(f"COPY {content.name} / # buildkit", own)]
        images.append(image_of(steps, architecture=architecture, os=os, variant=variant))
    return tuple(images)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push, as the script has it."""

    tag: str
    content: Content
    pusher: str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happens."""

    full_name: str
    act: Act
    pushed: Pushed | None = None
    tag: str | None = None
    """What is deleted."""
    tags: tuple[Pushed, ...] = ()
    """What a repository begins with."""
    when: When = "before"
    """Before the day's pass; between two pages of the repository's tags; or so long after the pass began."""
    after_s: float = 0.0


@dataclass(slots=True)
class ScriptDay:
    """What happens on one day."""

    before: list[Change] = field(default_factory=list)
    during: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Script:
    """All days, and what there is at the beginning."""

    first: tuple[Change, ...]
    days: dict[int, ScriptDay]


@dataclass(slots=True)
class Stretch:
    """A true interval of one tag. Times are epoch seconds."""

    digest: str | None
    """Null: the tag was not there."""
    since: float
    until: float | None = None
    pushes: list[tuple[float, str]] = field(default_factory=list)
    """Each push of the digest within it, with who did it."""
    cause: Cause = "tag"
    platforms: tuple[str, ...] = ()
    full_size: int = 0

    def holds(self, since: float, until: float) -> bool:
        """Whether it was so at any instant between these."""
        return self.since <= until and (self.until is None or self.until >= since)


@dataclass(slots=True)
class Presence:
    """A time in which a repository was there, or was not."""

    is_there: bool
    since: float
    until: float | None = None
    registration: int = 1


class ScriptedWorld:
    """The world, changed by the script, and the truth about it."""

    def __init__(self) -> None:
        self.world = World()
        self.tags: dict[tuple[str, str], list[Stretch]] = {}
        self.repositories: dict[str, list[Presence]] = {}
        self.described: dict[str, list[float]] = {}
        self.done: dict[Act, int] = {}
        self._registrations: dict[str, int] = {}
        for namespace in NAMESPACES:
            self.world.add_namespace(namespace)

    def do(self, change: Change, at: float) -> None:
        """Let it happen at that time."""
        self.done[change.act] = self.done.get(change.act, 0) + 1
        match change.act:
            case "push":
                assert change.pushed is not None
                self._push(change.full_name, change.pushed, at)
            case "delete":
                assert change.tag is not None
                self.world.delete_tag(change.full_name, change.tag)
                self._begin((change.full_name, change.tag), Stretch(None, at))
            case "found" | "register":
                if change.act == "register":
                    self._close_tags(change.full_name, at, "register")
                    self.world.delete_repository(change.full_name)
                    self._present(change.full_name, False, at)
                self._found(change, at + (60 if change.act == "register" else 0))
            case "vanish":
                self._close_tags(change.full_name, at, "repository")
                self.world.delete_repository(change.full_name)
                self._present(change.full_name, False, at)
            case "return":
                self.world.restore_repository(change.full_name)
                self._present(change.full_name, True, at)
                for tag in self.world.repositories[change.full_name].tags:
                    before = self.tags[change.full_name, tag][-2]
                    again = Stretch(before.digest, at, None, before.pushes[-1:], "repository")
                    again.platforms, again.full_size = before.platforms, before.full_size
                    self._begin((change.full_name, tag), again)
            case "describe":
                text = f"Described at {at:.0f}"
                self.world.change_repository(change.full_name, description=text, last_modified=_wire(at))
                self.described.setdefault(change.full_name, []).append(at)

    def state(self, key: tuple[str, str], since: float, until: float) -> set[str | None]:
        """The digests that a tag had between these times; null where it was not there."""
        stretches = self.tags.get(key, [])
        found: set[str | None] = {one.digest for one in stretches if one.holds(since, until)}
        return found if stretches and stretches[0].since <= since else found | {None}

    def was_there(self, full_name: str, at: float) -> bool:
        """Whether the repository was there."""
        return any(
            one.is_there and one.since <= at and (one.until is None or one.until > at)
            for one in self.repositories.get(full_name, [])
        )

    def _found(self, change: Change, at: float) -> None:
        number = self._registrations[change.full_name] = self._registrations.get(change.full_name, 0) + 1
        self.world.add_repository(change.full_name, date_registered=_wire(at), last_modified=_wire(at), pull_count=1000)
        self._present(change.full_name, True, at, number)
        for place, pushed in enumerate(change.tags):
            self._push(change.full_name, pushed, at + place)

    def _push(self, full_name: str, pushed: Pushed, at: float) -> None:
        images = pushed.content.images()
        when = datetime.fromtimestamp(at, UTC)
        tag = self.world.push_tag(full_name, pushed.tag, images, pushed_at=when, updater=pushed.pusher)
        stretches = self.tags.setdefault((full_name, pushed.tag), [])
        if stretches and stretches[-1].digest == tag.digest:
            stretches[-1].pushes.append((at, pushed.pusher))
            return
        stretch = Stretch(tag.digest, at, None, [(at, pushed.pusher)])
        stretch.platforms, stretch.full_size = pushed.content.platforms, images[0].size
        self._begin((full_name, pushed.tag), stretch)

    def _close_tags(self, full_name: str, at: float, cause: Cause) -> None:
        for tag in self.world.repositories[full_name].tags:
            self._begin((full_name, tag), Stretch(None, at, cause=cause))

    def _begin(self, key: tuple[str, str], stretch: Stretch) -> None:
        stretches = self.tags.setdefault(key, [])
        if stretches:
            stretches[-1].until = stretch.since
        stretches.append(stretch)

    def _present(self, full_name: str, is_there: bool, at: float, registration: int = 0) -> None:
        presences = self.repositories.setdefault(full_name, [])
        number = registration or (presences[-1].registration if presences else 1)
        if presences:
            presences[-1].until = at
        presences.append(Presence(is_there, at, None, number))


def _wire(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
