"""Scripted misbehaviour: which requests a fault takes, and the answers it may give them."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

from tests.fakehub.limits import RetryForm
from tests.fakehub.messages import (
    Closed,
    Cut,
    Delivery,
    Drip,
    Hang,
    Headers,
    Host,
    Payload,
    Raw,
    Reply,
    Request,
    Reset,
    encode_json,
    html_reply,
    json_reply,
    path_missing,
)
from tests.fakehub.registry import PULL_LIMIT_TEXT, registry_error


@dataclass(frozen=True)
class Occasion:
    """What an answer may look at: the request, the server's time, and what would normally be said."""

    request: Request
    now: float
    base_url: str
    normal: Callable[[], Reply]
    """Gives the reply that the request would have got, and counts it towards the limits."""


Answer = Callable[[Occasion], Reply]


@dataclass
class Fault:
    """One answer in place of the normal one, for the requests that match, after `skip` and at most `times` of them."""

    answer: Answer
    host: Host | None = None
    method: str | None = None
    target: str = ""
    """A regular expression that is searched for in the path with its query."""
    skip: int = 0
    times: int | None = 1
    """None stands for ever."""
    seen_count: int = field(default=0, init=False)
    applied_count: int = field(default=0, init=False)

    def takes(self, request: Request) -> bool:
        """Whether this request is the fault's; every match is counted."""
        if self.host not in (None, request.host) or self.method not in (None, request.method):
            return False
        if not re.search(self.target, request.target):
            return False
        self.seen_count += 1
        if self.seen_count <= self.skip or (self.times is not None and self.applied_count >= self.times):
            return False
        self.applied_count += 1
        return True


def always(reply: Reply) -> Answer:
    """The same reply each time."""
    return lambda occasion: reply


def status(
    code: int,
    body: bytes | str | dict[str, Any] | list[Any] = b"",
    *,
    content_type: str | None = None,
    headers: Headers = (),
) -> Answer:
    """Any status with any body; text and bytes go out as they are, the rest as JSON."""
    if isinstance(body, (dict, list)):
        return always(Reply(code, Payload(encode_json(body)), content_type or "application/json", headers))
    data = body.encode() if isinstance(body, str) else body
    return always(Reply(code, Payload(data), content_type or "text/plain; charset=utf-8", headers))


def rate_limited(retry_after_s: float = 1, *, form: RetryForm = "seconds") -> Answer:
    """The Hub limiter's 429; the wait comes as seconds, as X-Retry-After epoch, as an HTTP date, or not at all."""

    def answer(occasion: Occasion) -> Reply:
        at = occasion.now + retry_after_s
        headers: dict[RetryForm, Headers] = {
            "seconds": (("retry-after", f"{retry_after_s:g}"),),
            "epoch": (("x-retry-after", str(int(at))),),
            "date": (("retry-after", formatdate(at, usegmt=True)),),
            "none": (),
        }
        return json_reply(429, {"detail": "Rate limit exceeded", "error": False}, headers=headers[form])

    return answer


def pull_limited() -> Answer:
    """The registry's 429 at the pull limit."""
    return always(replace(registry_error(429, "TOOMANYREQUESTS", PULL_LIMIT_TEXT), budget="none"))


def failed_logins() -> Answer:
    """The 429 after too many failed logins."""
    text = "too many failed login attempts for username or IP address"
    return always(replace(registry_error(429, "TOOMANYREQUESTS", text), budget="none"))


def abuse_limited(retry_after_s: int | None = 60) -> Answer:
    """The 429 of the abuse limit: plain text."""
    headers: Headers = (("retry-after", str(retry_after_s)),) if retry_after_s is not None else ()
    return status(429, "Too Many Requests", content_type="text/plain", headers=headers)


def edge_challenge() -> Answer:
    """The 403 of the edge that wants a browser: HTML."""
    return always(
        html_reply(403, "Just a moment...", headers=(("server", "cloudflare"), ("cf-ray", "99fe2f3c1a5e2fd6-IAD")))
    )


def edge_code(number: int = 1010) -> Answer:
    """The 403 of the edge in 16 bytes of plain text."""
    headers = (("server", "cloudflare"), ("cf-ray", "99fe2f3c1a5e2fd6-IAD"))
    return status(403, f"error code: {number}", content_type="text/plain; charset=UTF-8", headers=headers)


def missing_page() -> Answer:
    """The HTML 404 of a path that is unknown, or of an address that is being blocked."""
    return always(replace(path_missing(), budget="none"))


def server_error(code: int = 503) -> Answer:
    """A 5xx with an HTML page."""
    return always(html_reply(code, f"{code} Service Error"))


def html_ok() -> Answer:
    """An error page under the status 200."""
    return always(html_reply(200, "504 Gateway Time-out"))


def empty_ok() -> Answer:
    """A 200 without a body."""
    return always(Reply(200))


def not_json() -> Answer:
    """A 200 that claims to be JSON and is not."""
    return always(Reply(200, Payload(b'{"count": 3, "results": [')))


def other_shape() -> Answer:
    """A 200 with JSON of a shape that no endpoint has."""
    return always(json_reply(200, {"data": {"items": [1, 2, 3]}, "version": 9}))


def delivered(delivery: Delivery) -> Answer:
    """The normal reply, delivered in another way."""
    return lambda occasion: replace(occasion.normal(), delivery=delivery)


def cut_short(missing: int = 100) -> Answer:
    """The normal reply whose last bytes never come."""
    return delivered(Cut(missing))


def drip(size: int = 1, pause_s: float = 0.05) -> Answer:
    """The normal reply, a few bytes at a time."""
    return delivered(Drip(size, pause_s))


def connection_reset() -> Answer:
    """A reset in place of an answer."""
    return always(Reply(0, delivery=Reset()))


def connection_closed() -> Answer:
    """An orderly close in place of an answer."""
    return always(Reply(0, delivery=Closed()))


def hang() -> Answer:
    """No answer until the server stops."""
    return always(Reply(0, delivery=Hang()))


def raw(data: bytes) -> Answer:
    """Bytes that need not be HTTP, such as header lines that end in a bare line feed."""
    return always(Reply(0, delivery=Raw(data)))


def gzip_bomb(megabytes: int = 64) -> Answer:
    """A small gzip body that inflates to this many megabytes of white space inside a JSON list."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    blank = b" " * 1_048_576
    parts = [packer.compress(b"["), *(packer.compress(blank) for _ in range(megabytes)), packer.compress(b"]")]
    data = b"".join([*parts, packer.flush()])
    return always(Reply(200, Payload(data), headers=(("content-encoding", "gzip"),)))


def redirect(location: str, *, code: int = 302) -> Answer:
    """A redirect to anywhere."""
    return always(Reply(code, content_type=None, headers=(("location", location),)))


def redirect_loop(*, code: int = 302) -> Answer:
    """A redirect to the very address that was asked for."""
    return lambda occasion: Reply(
        code, content_type=None, headers=(("location", occasion.base_url + occasion.request.target),)
    )


def mutated(change: Callable[[Any], Any]) -> Answer:
    """The normal JSON after a change; the callable may alter it in place and return None, or return another."""

    def answer(occasion: Occasion) -> Reply:
        reply = occasion.normal()
        document = json.loads(reply.payload.plain)
        changed = change(document)
        return replace(reply, payload=Payload(encode_json(document if changed is None else changed)))

    return answer


def row_mutated(change: Callable[[dict[str, Any]], None], *, row: int = 0) -> Answer:
    """The normal JSON with one row changed in place: an element of `results` or of an array, or the object itself."""

    def pick(document: Any) -> None:
        rows = document.get("results") if isinstance(document, dict) else document
        change(rows[row] if isinstance(rows, list) else document)

    return mutated(pick)


def field_set(name: str, value: object, *, row: int = 0) -> Answer:
    """One row with one field set to anything: -1, 2**70, text with NUL or lone surrogates, a wrong type."""
    return row_mutated(lambda fields: fields.update({name: value}), row=row)


def field_dropped(name: str, *, row: int = 0) -> Answer:
    """One row without one of its fields."""

    def drop(fields: dict[str, Any]) -> None:
        fields.pop(name, None)

    return row_mutated(drop, row=row)


def next_is_same() -> Answer:
    """A page whose `next` is its own address."""

    def answer(occasion: Occasion) -> Reply:
        return mutated(lambda page: page | {"next": occasion.base_url + occasion.request.target})(occasion)

    return answer


def next_is(url: str) -> Answer:
    """A page whose `next` leads anywhere, for instance to another host."""
    return mutated(lambda page: page | {"next": url})


def empty_page() -> Answer:
    """A page without rows whose `next` is set all the same."""

    def answer(occasion: Occasion) -> Reply:
        request = occasion.request
        page = int(request.parameter("page") or 1)
        following = (
            f"{occasion.base_url}{request.path}?page={page + 1}&page_size={request.parameter('page_size') or 10}"
        )
        return mutated(lambda document: document | {"results": [], "next": document.get("next") or following})(occasion)

    return answer


def count_off(by: int) -> Answer:
    """A page whose `count` is wrong by that many; its rows and links are right."""
    return mutated(lambda page: page | {"count": max(0, page["count"] + by)} if _is_page(page) else page)


def row_repeated(*, row: int = 0) -> Answer:
    """A page that shows one row twice; the other one is in place of the last."""
    return mutated(lambda page: _rows_set(page, lambda rows: [*rows[:-1], rows[row % len(rows)]]))


def row_omitted(*, row: int = 0, is_counted: bool = True) -> Answer:
    """A page that lacks one of its rows; without `is_counted` its `count` lacks it too."""

    def omit(page: Any) -> Any:
        changed = _rows_set(page, lambda rows: [one for place, one in enumerate(rows) if place != row % len(rows)])
        if changed is page or is_counted:
            return changed
        return changed | {"count": max(0, changed["count"] - 1)}

    return mutated(omit)


def no_rows() -> Answer:
    """What a service that is shut down says: a list of nothing, complete by its own count."""
    empty: dict[str, Any] = {"count": 0, "next": None, "previous": None, "results": []}
    return mutated(lambda page: page | empty if _is_page(page) else page)


def names_cut(part: float) -> Answer:
    """The registry's list of names, of which only so large a part is there; at 0 there is none."""

    def cut(document: Any) -> Any:
        names = document.get("tags") if isinstance(document, dict) else None
        return document if not names else document | {"tags": names[: int(part * len(names))] or None}

    return mutated(cut)


def gone() -> Answer:
    """The 404 of an object that is not there, whether it is or not."""
    return always(
        json_reply(404, {"message": "httperror 404: object not found", "errinfo": {"namespace": "?"}}, budget="hub")
    )


def registry_limited(retry_after_s: int | None = 5) -> Answer:
    """The registry's 429 that is not about pulls."""
    headers: Headers = (("retry-after", str(retry_after_s)),) if retry_after_s is not None else ()
    return always(registry_error(429, "TOOMANYREQUESTS", "Rate exceeded", headers=headers))


def _is_page(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("results"), list)


def _rows_set(page: Any, change: Callable[[list[Any]], list[Any]]) -> Any:
    return page | {"results": change(page["results"])} if _is_page(page) and page["results"] else page
