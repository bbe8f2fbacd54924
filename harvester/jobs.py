"""Units of work as values: what may be asked, under which key, and how it may end. Rank 2, pure.

A job's key names what it asks for, policies included; two live jobs never share one. The page jobs of one walk share all of the
key but its last part, the page number: what stands before it is the walk's own key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import msgspec

from harvester.egress import shard_of
from harvester.errors import HarvesterError
from harvester.policy import LayerPolicy
from harvester.records import Record

Lane = Literal["hub", "search", "registry", "pulls"]
"""The remote budget that a job lives on; each has slots of its own."""

Kind = Literal[
    "search.page", "namespace.page", "repository", "tag_names", "tag", "tags.page", "images", "holes", "manifest"
]

KINDS: dict[Kind, tuple[Lane, int]] = {
    "search.page": ("search", 1),
    "namespace.page": ("hub", 1),
    "repository": ("hub", 2),
    "tag_names": ("registry", 3),
    "tag": ("hub", 3),
    "tags.page": ("hub", 3),
    "images": ("hub", 4),
    "holes": ("hub", 5),
    "manifest": ("pulls", 5),
}
"""Lane and priority (1 first) of each kind. Lists come first, so that what is left to do is known early; the rest has its share."""

Fill = Literal["anonymous", "account"] | None
"""As whom tags are asked for of which only the name is known; null: they are left so."""

Depth = Literal["look", "counts"] | None
"""How much of a repository is asked: its detail, and its tags where they have moved; its counts alone; null: with the census."""

LISTED_FROM = 2
"""Repositories of a namespace whose details are stored, from which on its list saves requests."""

MAX_ATTEMPTS = 5
"""With delays of `attempt^4` seconds the last attempt comes about six minutes after the first."""


class Args(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a handler needs to know; kept as JSON in the job's row."""

    subject: str
    """Full name of a repository, a namespace, or a query."""
    tags: str = "all"
    layers: str = "latest"
    pulls: bool = False
    """Whether manifests may be pulled for what the Hub API does not tell."""
    tag: str | None = None
    digest: str | None = None
    page: int = 1
    query: str | None = None
    """Query string of this page, as the page before it gave it."""
    oldest_first: bool = False
    """The far end's order turned out to be the other way round."""
    rows: int = 0
    """Rows of this walk taken so far, for `newest:N`."""
    updated: str | None = None
    """The repository's `last_updated` as its parent saw it."""
    modified: str | None = None
    """The repository's `last_modified` as a list showed it; null when no list did."""
    name_filter: str | None = None
    """Only tags whose names hold this piece are asked for, to fill holes; empty: all names, in the other order."""
    fill: Fill = None
    """As whom tags are asked for of which only the name is known; null: they are left so."""
    only: tuple[str, ...] = ()
    """Repositories that are wanted of a namespace's list, by full name; empty: all of them."""
    has_news: bool = False
    """The registry lists tags that no page has shown yet."""
    missing: tuple[str, ...] = ()
    """Those of them that no page has shown yet."""
    depth: Depth = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to add, unless a live one with this key is there already."""

    kind: Kind
    key: str
    args: Args


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job."""

    id: int
    kind: Kind
    key: str
    args: Args
    attempt: int
    """1 at the first try."""
    fresh_after: str
    """What was stored at this instant or later is not asked again."""
    rescues: int = 0
    """Attempts that ended with their process, at no fault of the job's."""

    @property
    def tries(self) -> int:
        """Attempts that count."""
        return self.attempt - self.rescues


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """What one job found: rows to keep and jobs to add, stored together or not at all."""

    records: tuple[Record, ...] = ()
    follow_ups: tuple[NewJob, ...] = ()
    otherwise: tuple[NewJob, ...] = ()
    """In place of the next page, where the store knows that it is not worth a request."""


@dataclass(frozen=True, slots=True)
class Done:
    """The job is finished."""

    harvest: Harvest


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: tried again after that many seconds, the attempt given back."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """It failed: tried again after that many seconds."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """It failed for good; what is known of that is kept."""

    reason: str
    harvest: Harvest


@dataclass(frozen=True, slots=True)
class Released:
    """Given back unfinished at shutdown, the attempt too."""


Outcome = Done | Snooze | Retry | Dead | Released


@dataclass(frozen=True, slots=True)
class Settled:
    """A job and how it ended."""

    job: Job
    outcome: Outcome
    observed: float
    """When the answer was there, in epoch seconds."""


def retry_delay(attempt: int, chance: float) -> float:
    """Seconds until the next attempt: `attempt^4`, moved by up to a tenth either way by `chance` (0 to 1)."""
    return float(attempt**4) * (0.9 + 0.2 * chance)


def reason_of(error: BaseException) -> str:
    """One line for `last_error`: the kind of error and its message."""
    text = str(error) if isinstance(error, HarvesterError) else repr(error)
    return f"{type(error).__name__}: {text}"[:1000]


# Keys are made here and nowhere else.


def _policies(args: Args) -> str:
    policies = f"{_escaped(args.tags)}:{_escaped(args.layers)}:{'pulls' if args.pulls else 'free'}"
    return policies + (":fill" if args.fill else "")


def _depth(args: Args) -> str:
    return f":{args.depth}" if args.depth else ""


def search_page(args: Args) -> NewJob:
    """One page of a search."""
    return NewJob("search.page", f"{walk_key('search.page', args)}:{args.page}", args)


def namespace_page(args: Args) -> NewJob:
    """One page of a namespace's repositories."""
    return NewJob("namespace.page", f"{walk_key('namespace.page', args)}:{args.page}", args)


def repository(args: Args) -> NewJob:
    """A repository's detail, then its tags by the policy."""
    return NewJob("repository", f"repository:{args.subject}:{args.tag or ''}:{_policies(args)}{_depth(args)}", args)


def tag_names(args: Args) -> NewJob:
    """The names of all tags of a repository, from the registry."""
    return NewJob("tag_names", f"{walk_key('tag_names', args)}:{_policies(args)}", args)


def holes(args: Args) -> NewJob:
    """The next requests that fill holes of a repository's tag list; asks nothing itself."""
    return NewJob("holes", f"holes:{args.subject}:{args.page}:{_policies(args)}", args)


def tag(args: Args) -> NewJob:
    """One tag."""
    return NewJob("tag", f"tag:{args.subject}:{args.tag}:{_policies(args)}", args)


def tags_page(args: Args) -> NewJob:
    """One page of a repository's tags."""
    return NewJob("tags.page", f"{walk_key('tags.page', args)}:{args.page}", args)


def images(args: Args) -> NewJob:
    """The layers behind one tag digest."""
    return NewJob("images", f"images:{args.digest}:{'pulls' if args.pulls else 'free'}", args)


def manifest(args: Args) -> NewJob:
    """One platform manifest from the registry. A pull."""
    return NewJob("manifest", f"manifest:{args.digest}", args)


def walk_key(kind: Kind, args: Args) -> str:
    """The key of the walk that a page job belongs to: its own key without the page. A list of names serves all policies."""
    if kind == "tag_names":
        return f"{kind}:{_escaped(args.subject)}"
    order = ":oldest" if args.oldest_first else ""
    part = f":filter {_escaped(args.name_filter)}" if args.name_filter is not None else ""
    part += _depth(args) if kind != "tags.page" else ""
    part += f":only {sha256(' '.join(args.only).encode()).hexdigest()[:16]}" if args.only else ""
    return f"{kind}:{_escaped(args.subject)}:{_policies(args)}{order}{part}"


def shard(job: NewJob) -> int:
    """The part of all namespaces that this job is counted in, which decides on its way out; a search has its text instead."""
    return shard_of(job.args.subject if job.kind == "search.page" else job.args.subject.partition("/")[0])


def _escaped(text: str) -> str:
    """A query or a policy may hold the character that parts a key."""
    return text.replace("%", "%25").replace(":", "%3A")


# What follows from what, whether the far end was asked or the store knew.


def after_repository(args: Args, updated: str | None) -> tuple[NewJob, ...]:
    """The job that asks for the repository's tags, or for the one tag that was named; none where only counts are wanted."""
    if args.depth == "counts":
        return ()
    follow = msgspec.structs.replace(args, updated=updated, modified=None)
    return (tag(follow),) if args.tag is not None else (tags_page(follow),)


def after_names(args: Args, suspects: Iterable[str], *, has_holes: bool) -> tuple[NewJob, ...]:
    """The walk of the tags, one direct question for each tag that the list of names lacks, and what fills holes, if wanted."""
    walk = msgspec.structs.replace(args, page=1, query=None, rows=0)
    confirmed = tuple(tag(Args(subject=args.subject, tag=name, layers="none")) for name in suspects)
    return (*confirmed, tags_page(walk), *((holes(walk),) if has_holes and args.fill else ()))


def after_tags(args: Args, tags: Iterable[tuple[str, str | None]]) -> tuple[NewJob, ...]:
    """One job per distinct digest among the (name, digest) pairs whose layers are wanted."""
    layers = LayerPolicy(args.layers)
    names: dict[str, str] = {}
    for name, digest in tags:
        # Of the tags of one digest any will do: the answer is the same.
        if digest is not None and layers.wants(name):
            names.setdefault(digest, name)
    return tuple(
        images(Args(subject=args.subject, tag=name, digest=digest, layers=args.layers, pulls=args.pulls))
        for digest, name in names.items()
    )


def after_images(args: Args, images_of_tag: Iterable[str]) -> tuple[NewJob, ...]:
    """One pull per image, where pulls are allowed."""
    if not args.pulls:
        return ()
    return tuple(manifest(Args(subject=args.subject, digest=digest, pulls=True)) for digest in images_of_tag)


def repositories(args: Args, names: Iterable[tuple[str, str | None, str | None]]) -> tuple[NewJob, ...]:
    """One job per (full name, last_updated, last_modified) that a list showed."""
    return tuple(
        repository(
            Args(
                subject=name,
                tags=args.tags,
                layers=args.layers,
                pulls=args.pulls,
                fill=args.fill,
                depth=args.depth,
                updated=updated,
                modified=modified,
            )
        )
        for name, updated, modified in names
    )
