"""Records and jobs as short as a test can say them."""

from __future__ import annotations

from typing import Any

from harvester.jobs import Args, NewJob, repository
from harvester.records import (
    Image,
    Layer,
    Platform,
    Repository,
    RepositorySeen,
    Tag,
    TagsSeen,
    WalkStep,
)

NGINX = "library/nginx"
WALK = f"tags.page:{NGINX}:all:latest:free"


def digest(number: int) -> str:
    """A digest that is known by its number."""
    return f"sha256:{number:064x}"


def job(name: str, **changes: Any) -> NewJob:
    """The job of a repository in `library`."""
    return repository(Args(subject=f"library/{name}", **changes))


def seen(full_name: str = NGINX, **changes: Any) -> RepositorySeen:
    """A repository as its detail shows it."""
    namespace, _, name = full_name.partition("/")
    values: dict[str, Any] = {"namespace": namespace, "name": name, "source": "detail", "pull_count": 7} | changes
    return RepositorySeen(repository=Repository(**values))


def platform(number: int, **changes: Any) -> Platform:
    """One image of a tag."""
    values: dict[str, Any] = {"digest": digest(number), "kind": "image", "os": "linux", "architecture": "amd64"}
    return Platform(**(values | changes))


def tag(name: str, number: int | None = None, *platforms: Platform, **changes: Any) -> Tag:
    """A tag on the digest of that number."""
    return Tag(name=name, digest=None if number is None else digest(number), platforms=platforms, **changes)


def tags(*of_page: Tag, repository: str = NGINX, **changes: Any) -> TagsSeen:
    """A page of tags."""
    values: dict[str, Any] = {"source": "listing"} | changes
    return TagsSeen(repository=repository, tags=of_page, **values)


def layer(number: int | None, instruction: str = "RUN make", **changes: Any) -> Layer:
    """A line of an image's history."""
    values: dict[str, Any] = {"size": None if number is None else 100} | changes
    return Layer(digest=None if number is None else digest(number), instruction=instruction, **values)


def image(number: int, *layers: Layer, **changes: Any) -> Image:
    """An image with its layers, as the Hub tells them."""
    values: dict[str, Any] = {"platform": platform(number), "layers": layers, "layers_from": "hub"} | changes
    return Image(**values)


def step(*, is_first: bool, walk: str = WALK, **changes: Any) -> WalkStep:
    """One page of a walk of nginx's tags."""
    values: dict[str, Any] = {"kind": "tags", "subject": NGINX} | changes
    return WalkStep(walk=walk, is_first=is_first, **values)
