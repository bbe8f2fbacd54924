"""What exists at the fake Hub: namespaces, repositories and tags that may change while the server runs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakehub.images import Document, Image, index_of, number_from
from tests.fakehub.synthetic import build

FIRST_PUSH = datetime(2026, 6, 1, 0, 0, 0, 250000, tzinfo=UTC)


def wire_time(moment: datetime) -> str:
    """A time as the Hub writes it: UTC with Z, trailing zeros of the fraction stripped."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"


@dataclass(frozen=True, eq=False)
class Tag:
    """One tag; moving it replaces the object, so that rows may be kept by identity."""

    name: str
    tag_id: int
    repository_id: int
    images: tuple[Image, ...]
    document: Document | None
    """What the registry serves for the tag's name; None leaves the tag out of reach there."""
    digest: str | None
    """The tag-level digest of the Hub's row; None leaves the key out."""
    media_type: str | None
    content_type: str | None = "image"
    last_updated: str | None = None
    last_pulled: str | None = None
    full_size: int | None = None
    updater: str = "builder"
    status: str = "active"
    os_text: str | None = None
    """What the rows say instead of the images' real operating system."""


@dataclass(eq=False)
class Repository:
    """One repository with its tags, and every manifest and blob that was ever pushed to it."""

    namespace: str
    name: str
    repository_id: int
    description: str | None = ""
    full_description: str | None = None
    is_private: bool = False
    star_count: int = 0
    pull_count: int = 0
    last_updated: str | None = None
    last_modified: str | None = "2024-10-16T13:48:34.145251Z"
    date_registered: str = "2015-05-19T21:13:35.937763Z"
    repository_type: str | None = "image"
    status: int = 1
    status_description: str = "active"
    categories: tuple[tuple[str, str], ...] = ()
    tags: dict[str, Tag] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    children: dict[str, tuple[Image, ...]] = field(default_factory=dict)
    blobs: dict[str, bytes | None] = field(default_factory=dict)
    """Digest to bytes; None for layers whose bytes the fake does not hold."""
    blob_sizes: dict[str, int] = field(default_factory=dict)
    media_types: dict[str, None] = field(default_factory=dict)
    content_types: dict[str, None] = field(default_factory=dict)
    tags_created: int = 0

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """The owner of repositories."""

    name: str
    kind: str = "Organization"
    badge: str = ""
    is_pull_limited: bool = True


class World:
    """Everything the fake Hub knows. Change it through these methods only: they hold the lock and turn the version."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.version = 0
        self.namespaces: dict[str, Namespace] = {}
        self.repositories: dict[str, Repository] = {}
        self._deleted: dict[str, Repository] = {}
        self._generations: dict[str, int] = {}
        self._push_count = 0

    @classmethod
    def small(cls) -> World:
        """Seventeen repositories in three namespaces that show every recorded oddity once."""
        from tests.fakehub.small_world import fill

        world = cls()
        fill(world)
        return world

    @classmethod
    def recorded(cls, *paths: Path | str) -> World:
        """The official repositories of recorded data files; see `recorded_world` for what is made up there."""
        from tests.fakehub.recorded_world import fill

        world = cls()
        for path in paths:
            fill(world, Path(path))
        return world

    @classmethod
    def namespace(cls, name: str, count: int) -> World:
        """One namespace with `count` repositories `repository-0001` and up, each with one tag."""
        world = cls()
        for number in range(1, count + 1):
            world.add_repository(f"{name}/repository-{number:04}", pull_count=number * 1000, tags=["latest"])
        return world

    @classmethod
    def search_hits(cls, query: str, count: int) -> World:
        """`count` repositories in as many namespaces that a search for `query` finds."""
        world = cls()
        for number in range(1, count + 1):
            world.add_repository(f"owner{number:05}/{query}", pull_count=(count - number) * 10 + 1, tags=["latest"])
        return world

    def __or__(self, other: World) -> World:
        """Both worlds in one; what is in both is taken from the other. The parts must not be changed afterwards."""
        both = World()
        for world in (self, other):
            with world.lock:
                both.namespaces.update(world.namespaces)
                both.repositories.update(world.repositories)
                both._generations.update(world._generations)
                both._push_count = max(both._push_count, world._push_count)
        return both

    def find(self, full_name: str, account: str | None = None) -> Repository | None:
        """The repository if it is there and the caller may see it."""
        repository = self.repositories.get(full_name)
        if repository is None or (repository.is_private and account is None):
            return None
        return repository

    def visible(self, account: str | None, namespace: str | None = None) -> list[Repository]:
        """Every repository that the caller may see, in the order of creation."""
        return [
            repository
            for repository in self.repositories.values()
            if (namespace is None or repository.namespace == namespace)
            and (account is not None or not repository.is_private)
        ]

    def add_namespace(self, name: str, **values: Any) -> Namespace:
        """Add or replace a namespace; `kind`, `badge` and `is_pull_limited` may be given."""
        with self.lock:
            self.version += 1
            self.namespaces[name] = Namespace(name, **values)
            return self.namespaces[name]

    def add_repository(self, full_name: str, *, tags: Sequence[str] | int = (), **values: Any) -> Repository:
        """Add a repository; `tags` are names or a number of synthetic ones, the rest are fields of Repository.

        A name that was there before gets another numeric identifier, as after deleting and creating it again.
        """
        namespace, _, name = full_name.partition("/")
        with self.lock:
            self.version += 1
            if namespace not in self.namespaces:
                self.add_namespace(namespace)
            generation = self._generations[full_name] = self._generations.get(full_name, 0) + 1
            values.setdefault("repository_id", number_from(f"{full_name} {generation}", 2**30))
            repository = Repository(namespace, name, **values)
            self.repositories[full_name] = repository
            names = [f"1.0.{number}" for number in range(tags)] if isinstance(tags, int) else tags
            for tag in names:
                self.push_tag(full_name, tag)
            return repository

    def delete_repository(self, full_name: str) -> None:
        """Make a repository vanish; its content is kept for `restore_repository`."""
        with self.lock:
            self.version += 1
            self._deleted[full_name] = self.repositories.pop(full_name)

    def restore_repository(self, full_name: str) -> None:
        """Bring back a deleted repository as it was."""
        with self.lock:
            self.version += 1
            self.repositories[full_name] = self._deleted.pop(full_name)

    def change_repository(self, full_name: str, **values: Any) -> None:
        """Set fields of a repository, such as `pull_count`, `star_count`, `description` or `is_private`."""
        with self.lock:
            self.version += 1
            repository = self.repositories[full_name]
            for name, value in values.items():
                if not hasattr(repository, name):
                    raise AttributeError(f"a repository has no {name}")
                setattr(repository, name, value)

    def count_pulls(self, full_name: str, count: int) -> None:
        """Add to a pull count; a negative number takes away."""
        with self.lock:
            self.change_repository(full_name, pull_count=self.repositories[full_name].pull_count + count)

    def push_tag(
        self,
        full_name: str,
        tag: str,
        images: Sequence[Image] | None = None,
        *,
        pushed_at: datetime | str | None = None,
        **values: Any,
    ) -> Tag:
        """Create a tag or move it to new content; without images a linux/amd64 build of its own is pushed.

        Several images, or one with an attestation, go behind an index. Without `pushed_at` every push is one minute
        after the one before. The other values are fields of Tag.
        """
        with self.lock:
            serial = self._push_count
            self._push_count += 1
            repository = self.repositories[full_name]
            platforms = tuple(images) if images is not None else (build(f"{full_name}:{tag} build {serial}"),)
            moment = pushed_at if pushed_at is not None else FIRST_PUSH + timedelta(minutes=serial, milliseconds=serial)
            text = wire_time(moment) if isinstance(moment, datetime) else moment
            document = values.pop("document", None)
            if document is None and platforms:
                document = platforms[0].manifest if len(platforms) == 1 else index_of(platforms)
            media_type = document.media_type if document is not None else None
            if len(platforms) == 1 and document is platforms[0].manifest:
                media_type = platforms[0].config_media_type
            was = repository.tags.get(tag)
            if was is None:
                repository.tags_created += 1
            fields: dict[str, Any] = {
                "tag_id": was.tag_id if was is not None else repository.repository_id * 10**6 + repository.tags_created,
                "digest": document.digest if document is not None else None,
                "media_type": media_type,
                "last_updated": text,
                "last_pulled": text,
                "full_size": platforms[0].size if platforms else 0,
                "updater": "doijanky" if repository.namespace == "library" else repository.namespace,
            }
            pushed = Tag(
                name=tag, repository_id=repository.repository_id, images=platforms, document=document, **fields | values
            )
            self.put_tag(full_name, pushed)
            return pushed

    def put_tag(self, full_name: str, tag: Tag) -> None:
        """Store a tag exactly as it is, together with its content."""
        with self.lock:
            self.version += 1
            repository = self.repositories[full_name]
            repository.tags[tag.name] = tag
            if tag.last_updated is not None and _sortable(tag.last_updated) > _sortable(repository.last_updated):
                repository.last_updated = tag.last_updated
            if tag.document is not None:
                repository.documents[tag.document.digest] = tag.document
                repository.children[tag.document.digest] = tag.images
            if tag.media_type is not None:
                repository.media_types[tag.media_type] = None
            if tag.content_type is not None:
                repository.content_types[tag.content_type] = None
            for image in tag.images:
                _keep(repository, image)

    def copy_tag(self, full_name: str, tag: str, to: str, *, pushed_at: datetime | str | None = None) -> Tag:
        """Let the tag `to` stand for the same content as `tag`, pushed now."""
        with self.lock:
            source = self.repositories[full_name].tags[tag]
            return self.push_tag(
                full_name,
                to,
                source.images,
                pushed_at=pushed_at,
                document=source.document,
                digest=source.digest,
                media_type=source.media_type,
                content_type=source.content_type,
            )

    def change_tag(self, full_name: str, tag: str, **values: Any) -> None:
        """Set fields of a tag's row, such as `last_pulled`, without a push."""
        with self.lock:
            self.put_tag(full_name, replace(self.repositories[full_name].tags[tag], **values))

    def delete_tag(self, full_name: str, tag: str) -> None:
        """Delete a tag; its manifests stay reachable by digest, and the repository's dates do not move."""
        with self.lock:
            self.version += 1
            del self.repositories[full_name].tags[tag]

    def tag_names(self, full_name: str) -> list[str]:
        """The names of a repository's tags in lexical order."""
        with self.lock:
            return sorted(self.repositories[full_name].tags)


def _keep(repository: Repository, image: Image) -> None:
    repository.documents[image.digest] = image.manifest
    repository.blobs[image.config_digest] = image.config_body
    repository.blob_sizes[image.config_digest] = len(image.config_body)
    for layer in image.layers:
        repository.blobs[layer.digest] = layer.content
        repository.blob_sizes[layer.digest] = layer.size


def _sortable(text: str | None) -> str:
    return (text or "").rstrip("Z")


def newest_first(tags: Iterable[Tag]) -> list[Tag]:
    """Tags by their last push, those without a date at the end."""
    return sorted(tags, key=lambda tag: (_sortable(tag.last_updated), tag.tag_id), reverse=True)


def repositories_newest_first(repositories: Iterable[Repository]) -> list[Repository]:
    """Repositories by their last push, those without one at the end."""
    return sorted(
        repositories, key=lambda repository: (_sortable(repository.last_updated), repository.name), reverse=True
    )


def made_up_time(seed: str, *, first_year: int, years: int, digits: int = 6) -> str:
    """A time that depends on the seed alone, for what the recorded data lacks."""
    start = datetime(first_year, 1, 1, tzinfo=UTC)
    moment = start + timedelta(seconds=number_from(seed, years * 365 * 86_400))
    fraction = f"{number_from(seed + ' fraction', 10**digits):0{digits}}".rstrip("0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
