"""What changed at the far end: the kinds of events, how urgent each is, and one with its evidence. Rank 1.

What a thing looks like at first sight is no event. An event is written in the transaction that stores the change it tells of: once,
whatever is repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeGuard

import msgspec

from harvester.names import OFFICIAL

RANKS: dict[str, int] = {
    "tag.overwritten": 1,
    "tag.pusher_changed": 1,
    "repository.replaced": 1,
    "namespace.vanishing": 1,
    "repository.gone": 2,
    "repository.returned": 2,
    "repository.deprecated": 2,
    "tag.gone": 2,
    "tag.returned": 2,
    "tag.platforms_lost": 2,
    "tag.size_jumped": 2,
    "pulls.anomalous": 2,
    "repository.new": 3,
    "repository.described": 3,
    "tag.new": 3,
    "tag.moved": 3,
    "listing.cut_short": 3,
    "drift": 3,
}
"""Every kind; 1: look at it now (what attacks on a supply chain look like), 2: worth knowing, 3: the run of things."""


def idle_glob(globs: Iterable[str]) -> str | None:
    """The first glob that matches no kind of event there is; null when each matches one."""
    return next((glob for glob in globs if not any(fnmatchcase(kind, glob) for kind in RANKS)), None)


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change, to be appended."""

    kind: str
    repository_id: int | None = None
    tag_id: int | None = None
    happened_at: str | None = None
    """The far end's own date of it, where there is one."""
    detail: dict[str, Any] = {}
    """The evidence: what was so before and what is so now."""

    @property
    def rank(self) -> int:
        """1 to 3, the most urgent first."""
        return RANKS[self.kind]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One change as a receiver is told of it."""

    id: int
    kind: str
    rank: int
    observed_at: str
    happened_at: str | None = None
    repository: str | None = None
    tag: str | None = None
    detail: dict[str, Any] = {}

    @property
    def subject(self) -> str:
        """`library/nginx:1.27`, `library/nginx`, `acme/`, or nothing: events of one subject are told of in their order."""
        found = subject(self.repository, self.tag, self.detail)
        return "" if found == NOBODY else found

    @property
    def identifier(self) -> str:
        """Its number and when it was observed, `17-20261120T160000Z`: numbers alone come again after an older copy of the database
        was put in place.
        """
        return f"{self.id}-{self.observed_at.replace('-', '').replace(':', '')}"

    @property
    def title(self) -> str:
        """One line for people."""
        return f"{self.kind} {self.subject}".strip()

    def as_json(self) -> str:
        """JSON object in plain ASCII: whatever strangers wrote survives every way there is."""
        return json.dumps(msgspec.structs.asdict(self), ensure_ascii=True)


RANK_WORDS = {1: "urgent", 2: "notable", 3: "routine"}
"""A rank for people."""

NOBODY = "-"
"""The subject of an event that names none."""

TEXT_CHARS = 60
"""What a sentence shows of a text of the far end."""

_DIGITS = 12


def subject(repository: str | None, tag: str | None, detail: dict[str, Any]) -> str:
    """What an event is about: `library/nginx:1.27`, `library/nginx`, `bitnami/`, or what its evidence names."""
    if repository is not None:
        return repository if tag is None else f"{repository}:{tag}"
    if isinstance(namespace := detail.get("namespace"), str):
        return f"{namespace}/"
    found = detail.get("subject")
    if not isinstance(found, str) or not found:
        return NOBODY
    return f"{one_line(found)}/" if detail.get("list") == "namespace" else one_line(found)


def concerns(pattern: str, repository: str | None, tag: str | None, detail: dict[str, Any]) -> bool:
    """Whether the glob matches what an event is about: its repository, or with a `:` its repository and tag.

    Official repositories go by their short names too.
    """
    whole = subject(repository, tag, detail)
    names = {whole, whole.partition(":")[0] if repository is not None else whole}
    names |= {name.removeprefix(f"{OFFICIAL}/") for name in names if name != f"{OFFICIAL}/"}
    return any(fnmatchcase(name, pattern) for name in names)


def sentence(kind: str, detail: dict[str, Any]) -> str:
    """The evidence in a few words, on one line: what it lacks is left out; of an unknown kind it is shown as it is."""
    told = _SENTENCES.get(kind)
    parts = told(_Evidence(detail)) if told is not None else None
    if parts is None:
        parts = [f"{key} {one_line(value)}" for key, value in detail.items()]
    return ", ".join(part for part in parts if part)


def one_line(value: object) -> str:
    """A value on one line, without what a terminal would obey."""
    if value is None:
        return ""
    if _is_number(value):
        return f"{value:,}"
    line = " ".join(value.split()) if isinstance(value, str) else str(value)
    shown = "".join(letter if letter.isprintable() else "?" for letter in line)
    return shown if len(shown) <= TEXT_CHARS else f"{shown[: TEXT_CHARS - 3]}..."


class _Evidence:
    """An event's detail, of which every part may be missing or of another shape."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self._detail = detail

    def said(self, form: str, *keys: str) -> str:
        """The form with these values in it; nothing when one of them is missing."""
        values = [self._detail.get(key) for key in keys]
        return (
            "" if any(value is None or value in ("", []) for value in values) else form.format(*map(one_line, values))
        )

    def digests(self) -> str:
        """From which digest to which."""
        before, now = (_short(self._detail.get(key)) for key in ("digest_before", "digest"))
        return _from_to(before, now, "on {}", "was on {}")

    def changed(self, key: str, form: str) -> str:
        """The form with what a value is now, and what it was before."""
        now, before = self.said("{}", key), self.said("{}", f"{key}_before")
        return (form.format(now) + (f" (before: {before})" if before and before != now else "")) if now else ""

    def sizes(self) -> str:
        """From how much to how much."""
        before, now = self._detail.get("size_before"), self._detail.get("size")
        told = _from_to(_bytes(before), _bytes(now), "{}", "was {}")
        return f"{told} ({now / before:.1f} times)" if _is_number(before) and _is_number(now) and before > 0 else told

    def names(self, key: str, form: str) -> str:
        """The names of a list."""
        found = self._detail.get(key)
        return form.format(", ".join(one_line(one) for one in found)) if isinstance(found, list) and found else ""


def _who(e: _Evidence) -> str:
    now, before = e.said("{}", "last_updater"), e.said("{}", "last_updater_before")
    if now and before and now != before:
        return f"by {now} (before: {before})"
    return f"by {now}" if now else ""


def _moved(e: _Evidence) -> list[str]:
    return [e.digests(), e.said("pushed {}", "pushed_at"), _who(e)]


def _gone(e: _Evidence) -> list[str]:
    return [e.digests(), e.said("last seen {}", "last_seen_before"), e.said("pushed by {}", "last_updater_before")]


def _repository(e: _Evidence) -> list[str]:
    return [
        e.said("with {} tags", "tags") or e.said("{} tags closed", "tags_closed"),
        e.changed("pull_count", "{} pulls"),
        e.said("gone since {}", "gone_since"),
        e.said("last seen {}", "last_seen_before"),
        e.changed("date_registered", "registered {}"),
    ]


def _described(e: _Evidence) -> list[str]:
    before = e.said('was "{}"', "description_before")
    now = e.said('"{}"', "description") or ("no description" if before else "")
    length = e.said(
        "full description of {} characters, was {}", "full_description_length", "full_description_length_before"
    )
    return [now, before, length]


_SENTENCES: dict[str, Callable[[_Evidence], list[str]]] = {
    "tag.moved": _moved,
    "tag.overwritten": lambda e: ["a version is another image now", *_moved(e)],
    "tag.returned": lambda e: ["back", *_moved(e), e.said("gone since {}", "gone_since")],
    "tag.gone": _gone,
    "tag.pusher_changed": lambda e: [f"pushed {_who(e)}" if _who(e) else "", e.digests()],
    "tag.platforms_lost": lambda e: [e.names("platforms_lost", "without {}"), e.digests()],
    "tag.size_jumped": lambda e: [e.sizes(), e.digests()],
    "tag.new": lambda e: [e.digests(), e.said("pushed {}", "pushed_at"), e.said("by {}", "last_updater")],
    "repository.described": _described,
    "repository.deprecated": lambda e: [e.said('"{}"', "text")],
    "repository.gone": _repository,
    "repository.returned": _repository,
    "repository.new": _repository,
    "repository.replaced": lambda e: ["registered anew", e.changed("hub_user", "by {}"), *_repository(e)],
    "namespace.vanishing": lambda e: [
        e.said("{} of {} repositories missing at once", "missing", "known"),
        e.names("sample", "such as {}"),
    ],
    "pulls.anomalous": lambda e: [
        e.said("{}", "flag"),
        e.said("{} pulls a day", "rate"),
        e.said("usually {}", "usual_rate"),
    ],
    "listing.cut_short": lambda e: [
        e.said("{}", "kind"),
        e.said("{} of {} rows", "rows", "reported_count") or e.said("{} rows", "rows"),
        e.said("ended by {}", "stop_reason"),
    ],
    "drift": lambda e: [e.said("{}", "path"), e.said("{}", "reason")],
}


def _from_to(before: str, now: str, alone: str, lost: str) -> str:
    if before and now and before != now:
        return f"from {before} to {now}"
    if now:
        return alone.format(now)
    return lost.format(before) if before else ""


def _short(digest: object) -> str:
    """Enough of a digest for `harvester whois`."""
    return one_line(digest).partition(":")[2][:_DIGITS] if isinstance(digest, str) else ""


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bytes(value: Any) -> str:
    if not _is_number(value):
        return ""
    size, units = float(value), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
