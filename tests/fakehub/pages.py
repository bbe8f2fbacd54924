"""The page envelope of Hub lists: clamped sizes, absolute links, and the walls that end a list early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tests.fakehub.messages import Payload, Reply, Request, json_reply

LARGEST_PAGE = 100
WALL_MESSAGE = "pagination offset too large for anonymous requests; sign in to page further"


@dataclass(frozen=True, slots=True)
class PageWanted:
    """Which page a request asks for, after clamping."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


def page_wanted(request: Request, *, default_size: int = 10, fixed_size: int | None = None) -> PageWanted | Reply:
    """The page asked for, or the 400 that answers a page number or size that is none."""
    numbers: list[int] = []
    for name, default in (("page", 1), ("page_size", default_size)):
        text = request.parameter(name)
        if text is not None and not (text.isascii() and text.isdigit() and int(text) > 0):
            return invalid(name, f"Invalid {name} value. Must be a positive integer")
        numbers.append(int(text) if text is not None else default)
    return PageWanted(numbers[0], fixed_size or min(numbers[1], LARGEST_PAGE))


def invalid(field: str, message: str) -> Reply:
    """The 400 of a parameter that fails validation."""
    return json_reply(400, {"fields": {field: [message]}, "text": f"Invalid {field} value"}, budget="hub")


def wall() -> Reply:
    """The 403 behind which anonymous callers cannot page; it costs nothing."""
    return json_reply(403, {"message": WALL_MESSAGE, "errinfo": {}}, budget="none")


def object_missing(namespace: str, repository: str | None = None) -> Reply:
    """The 404 of an object that is not there, or not for this caller."""
    errinfo = {"namespace": namespace} | ({"repository": repository} if repository is not None else {})
    return json_reply(404, {"message": "httperror 404: object not found", "errinfo": errinfo}, budget="hub")


def envelope(request: Request, wanted: PageWanted, *, count: int, rows: Sequence[bytes], url: str, end: bytes) -> Reply:
    """The page with its links; `end` is what stands for no link (`null`, or `""` in the search)."""
    has_next = wanted.offset + len(rows) < count
    following = _link(request, url, wanted.number + 1, wanted.size) if has_next else end
    previous = _link(request, url, wanted.number - 1, wanted.size) if wanted.number > 1 else end
    body = b'{"count":%d,"next":%b,"previous":%b,"results":[%b]}' % (count, following, previous, b",".join(rows))
    return Reply(200, Payload(body), budget="hub")


def _link(request: Request, url: str, number: int, size: int) -> bytes:
    parameters = {name: values[0] for name, values in request.parameters.items()}
    parameters |= {"page": str(number), "page_size": str(size)}
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(parameters.items()))
    return f'"{url}?{query}"'.encode("ascii")
