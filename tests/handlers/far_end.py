"""A Hub and a registry that give scripted answers and remember what they were asked."""

from __future__ import annotations

from typing import Any, cast

from harvester.handlers import Clients
from harvester.jobs import Args, Job, Kind, NewJob
from harvester.records import Page, Refused, Tag


class FarEnd:
    """Every method is the same: the next answer, raised where it is an error; the last one for ever."""

    def __init__(self, *answers: object, signed_in: bool = False) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.signed_in = signed_in

    async def _answer(self, *named: Any, **options: Any) -> Any:
        self.asked.append((named, options))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    namespace_page = repository = tags_page = tag = images = search_page = image = _answer

    @property
    def clients(self) -> Clients:
        return cast("Clients", _Both(self))


class _Both:
    def __init__(self, far_end: FarEnd) -> None:
        self.hub = self.registry = far_end


def claimed(new: NewJob) -> Job:
    """The job as a worker has it."""
    return Job(id=1, kind=new.kind, key=new.key, args=new.args, attempt=1, fresh_after="2026-11-20T16:00:00Z")


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def tag(name: str, number: int | None = None, day: int | None = None) -> Tag:
    """A tag on the digest of that number, last updated on that day of November."""
    updated = None if day is None else f"2026-11-{day:02}T00:00:00Z"
    return Tag(name=name, digest=None if number is None else digest(number), last_updated=updated)


def page(*rows: Any, **changes: Any) -> Page[Any]:
    values: dict[str, Any] = {"reported_count": len(rows)} | changes
    return Page(rows=rows, **values)


def refused(number: int) -> Refused:
    return Refused(path=f"$.results[{number}]", reason="impossible", sample="{}")


def job(kind: Kind, subject: str, **changes: Any) -> Job:
    """A job with exactly these arguments; its key does not matter to a handler."""
    return Job(
        id=1,
        kind=kind,
        key="the key",
        args=Args(subject=subject, **changes),
        attempt=1,
        fresh_after="2026-11-20T16:00:00Z",
    )
