"""Answers that are no success, as errors. Rank 3; pure: what is to be closed is said, not done.

By the tables of the wire reference, 3.5, 11.4, 13.4, 20.1, 20.2 and 20.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import isfinite

import msgspec

from harvester.errors import (
    Blocked,
    CredentialsRefused,
    DeadEndpoint,
    Denied,
    Drift,
    Gone,
    StaleToken,
    Throttled,
    Unavailable,
    Walled,
    WireError,
)
from harvester.wire.answers import Answer, Headers
from harvester.wire.permits import Budget, Reading

ALL_BUDGETS: tuple[Budget, ...] = ("hub", "search", "registry", "pulls", "tokens", "logins")
"""What Docker Hub counts."""

LONGEST_WAIT_S = 24 * 3600.0
DEFAULT_WAIT_S = 60.0
DEFAULT_WINDOW_S = 3600.0
_EPOCH_FROM = 1e9
"""A number above this is a time, below it a delay (wire reference, 13.1)."""

_WALL = "pagination offset too large"
_ABSENT_CODES = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN"})
_TEXT_CHARS = 200
_SECRETS = re.compile(r"dckr_[a-z]+_[A-Za-z0-9_-]+|eyJ[\w-]+(?:\.[\w-]*){0,2}|(?i:\b(?:bearer|basic|jwt)\s+\S+)")
_TITLE = re.compile(r"(?is)<title[^>]*>([^<]+)</title>")
_HUB: tuple[Budget, ...] = ("hub", "search", "logins")
_REGISTRY: tuple[Budget, ...] = ("registry", "pulls")
_HOSTS: dict[Budget, tuple[Budget, ...]] = {
    "hub": _HUB,
    "search": _HUB,
    "logins": _HUB,
    "registry": _REGISTRY,
    "pulls": _REGISTRY,
    "tokens": ("tokens",),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refused request means."""

    error: WireError
    close: tuple[Budget, ...] = ()
    """Budgets to close for `seconds`."""
    seconds: float = 0.0
    block: tuple[Budget, ...] = ()
    """Budgets of a host whose edge refused."""


class _Fault(msgspec.Struct):
    code: str | None = None
    message: str | None = None


def refusal(answer: Answer, *, method: str, budgets: tuple[Budget, ...]) -> Refusal:
    """What an answer other than 2xx means, for a request counted in `budgets`."""
    status = answer.status
    kind = _kind(answer, method)
    body = kind.body
    reason = kind.reason
    own = budgets[0]

    def known(error: type[WireError], message: str | None = None) -> WireError:
        return error(message or reason or None, url=answer.url, status=status, budget=own)

    if status == 429:
        return _throttled(answer, kind, budgets)
    if status == 401:
        return Refusal(known(StaleToken, f"A valid token is wanted: {reason}" if reason else None))
    if status == 403:
        if not kind.is_json:
            message = f"The edge before the far end refuses this client: {reason}" if reason else None
            return Refusal(known(Blocked, message), block=_HOSTS[own])
        if _text(body, "message").startswith(_WALL):
            return Refusal(known(Walled))
        return Refusal(known(Denied))
    if status == 404 and kind.is_json and _is_about_object(body, kind.codes, method):
        return Refusal(known(Gone, f"The object is not there: {reason}" if reason else None))
    if status in (404, 405, 410):
        return Refusal(known(DeadEndpoint))
    if status >= 500 or status == 408:
        return Refusal(known(Unavailable, f"The far end failed: {reason}" if reason else None))
    if status >= 400:
        return Refusal(known(Denied))
    return Refusal(known(Drift, "an answer that is neither a success nor an error"))


@dataclass(frozen=True, slots=True)
class _Kind:
    is_json: bool
    body: dict[str, msgspec.Raw]
    """Values in any type: one of an unknown type must not spoil the others (wire reference, 3.6)."""
    codes: frozenset[str]
    reason: str


def _kind(answer: Answer, method: str) -> _Kind:
    content_type = (answer.headers.lower("content-type") or "").lower()
    if method == "HEAD":
        return _Kind("json" in content_type, {}, frozenset(), "")
    body: dict[str, msgspec.Raw] = {}
    faults: list[_Fault] = []
    is_json = False
    # The API's text may come under a wrong type, a page of the edge never parses.
    if "html" not in content_type:
        try:
            msgspec.json.decode(answer.body)
            is_json = True
            body = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
            if "errors" in body:
                faults = msgspec.json.decode(body["errors"], type=list[_Fault])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
    reason = _text(body, "message") or _text(body, "detail") or _text(body, "text")
    if not reason and faults:
        reason = faults[0].message or faults[0].code or ""
    codes = frozenset(fault.code.upper() for fault in faults if fault.code)
    return _Kind(is_json, body, codes, told(reason) if reason else page_text(answer.body))


def page_text(body: bytes) -> str:
    """What a body without an API's text says, for people: the title of a page, else how it begins."""
    text = body[: 4 * _TEXT_CHARS].decode("utf-8", "replace")
    title = _TITLE.search(text)
    return told(title[1] if title else text)


def told(text: str) -> str:
    """A text of the far end as an error may repeat it: one line, short, without anything like a token."""
    return _SECRETS.sub("...", " ".join("".join(c if c.isprintable() else " " for c in text).split()))[:_TEXT_CHARS]


def _text(body: dict[str, msgspec.Raw], key: str) -> str:
    try:
        return msgspec.json.decode(body.get(key, b'""'), type=str)
    except (msgspec.DecodeError, UnicodeError):
        return ""


def _is_about_object(body: dict[str, msgspec.Raw], codes: frozenset[str], method: str) -> bool:
    if method == "HEAD" or codes & _ABSENT_CODES:
        return True
    return "errinfo" in body or bool(_text(body, "detail") or _text(body, "message"))


def _throttled(answer: Answer, kind: _Kind, budgets: tuple[Budget, ...]) -> Refusal:
    own = budgets[0]
    text = kind.reason.lower()
    seconds = wait_s(answer.headers, own=own)
    close: tuple[Budget, ...]
    if kind.is_json and "failed login" in text:
        # The lock is on the name or on the address: other names would only prolong it.
        seconds = _bounded(seconds if seconds is not None else DEFAULT_WINDOW_S)
        error = CredentialsRefused(kind.reason, url=answer.url, status=answer.status, budget=own)
        return Refusal(error, close=(own,), seconds=seconds)
    if not kind.is_json:
        close, message = ALL_BUDGETS, "the limit on everything from this address"
    elif own in _HUB:
        close, message = ("search",) if "search" in budgets else ("hub",), "the limit of the Hub API"
    elif "pulls" in budgets and ("pull rate limit" in text or "TOOMANYREQUESTS" in kind.codes or not text):
        close, message = ("pulls",), "the limit on pulls"
        if seconds is None:
            _, seconds = quota(answer.headers.lower("ratelimit-limit"))
            seconds = seconds or DEFAULT_WINDOW_S
    else:
        close, message = (own,), "a limit of the registry"
    seconds = _bounded(seconds if seconds is not None else DEFAULT_WAIT_S)
    return Refusal(
        Throttled(
            f"Told to wait {seconds:.0f} s: {message}",
            retry_after=seconds,
            url=answer.url,
            status=answer.status,
            budget=close[0] if len(close) == 1 and close[0] != "search" else own,
        ),
        close=close,
        seconds=seconds,
    )


def wait_s(headers: Headers, *, own: Budget) -> float | None:
    """Seconds that a refusal asks for; null where it does not say (wire reference, 13.1).

    Both spellings of the header come in both meanings, a delay and a time; a time counts against the answer's `Date`.
    """
    for name in ("retry-after", "x-retry-after"):
        value = headers.lower(name)
        if value is not None:
            seconds = _delay(value.strip(), headers)
            if seconds is not None:
                return seconds
    return _until(headers.lower("x-ratelimit-reset"), headers) if own in _HUB else None


def reading_of(
    headers: Headers, *, budgets: tuple[Budget, ...], is_success: bool = False
) -> tuple[Budget, Reading] | None:
    """What the headers of an answer, counted in `budgets`, say of one of them; null where they are silent.

    Search may have a limit of its own, so its answers speak of "search" (wire reference, 13.1). The registry repeats its
    headers under the Hub's names: those are not read (wire reference, 13.2).
    """
    own = budgets[0]
    if own in _HUB:
        limit, window = quota(headers.lower("x-ratelimit-limit"))
        remaining, _ = quota(headers.lower("x-ratelimit-remaining"))
        resets_in = _until(headers.lower("x-ratelimit-reset"), headers)
        if resets_in is not None and resets_in > LONGEST_WAIT_S:
            resets_in = None
        if limit is None and remaining is None and resets_in is None:
            return None
        reading = Reading(limit=limit, remaining=remaining, window_s=window, resets_in_s=resets_in)
        return "search" if "search" in budgets else "hub", reading
    if own not in _REGISTRY:
        return None
    limit, window = quota(headers.lower("ratelimit-limit"))
    remaining, remaining_window = quota(headers.lower("ratelimit-remaining"))
    if limit is None and remaining is None:
        return ("pulls", Reading(is_free=True)) if is_success and own == "pulls" else None
    return "pulls", Reading(limit=limit, remaining=remaining, window_s=window or remaining_window)


@lru_cache(maxsize=256)
def quota(text: str | None) -> tuple[int | None, float | None]:
    """`100;w=3600` as number and window in seconds; null for what is missing or malformed (wire reference, 13.2)."""
    if text is None:
        return None, None
    number, _, rest = text.partition(";")
    name, _, window = rest.partition("=")
    seconds = _digits(window) if name.strip().lower() == "w" else None
    return _digits(number), float(seconds) if seconds else None


def _digits(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def _delay(value: str, headers: Headers) -> float | None:
    try:
        number = float(value)
    except ValueError:
        at, now = _epoch(value), _epoch(headers.lower("date"))
        return at - now if at is not None and now is not None else None
    if not isfinite(number):
        return None
    return number if number <= _EPOCH_FROM else _until(value, headers)


def _until(value: str | None, headers: Headers) -> float | None:
    """Seconds until a Unix time, by the answer's own clock."""
    at = _digits(value.partition(".")[0]) if value is not None else None
    if at is None:
        return None
    now = _epoch(headers.lower("date"))
    # The local clock is no substitute: it may be minutes off (wire reference, 22, 36).
    return max(0.0, at - now) if now is not None else None


@lru_cache(maxsize=64)
def _epoch(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        at = parsedate_to_datetime(date)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), LONGEST_WAIT_S)
