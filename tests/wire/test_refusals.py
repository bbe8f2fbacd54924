"""Refused requests: which error, how long, what is closed (wire reference, 13.4, 20)."""

from __future__ import annotations

import httpx
import pytest

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
from harvester.wire.permits import Budget
from harvester.wire.refusals import ALL_BUDGETS, told
from harvester.wire.transport import Call, Transport
from tests.wire.conftest import DATE, HUB, NOW, FarEnd, NotedPermits, answered, body, recorded

pytestmark = pytest.mark.anyio

HUB_SIDE: tuple[Budget, ...] = ("hub",)
SEARCH: tuple[Budget, ...] = ("hub", "search")
LOGIN: tuple[Budget, ...] = ("logins", "hub")
PULL: tuple[Budget, ...] = ("pulls", "registry")
FREE: tuple[Budget, ...] = ("registry",)
TOKEN: tuple[Budget, ...] = ("tokens",)

LOCKED = body({"errors": [{"code": "TOOMANYREQUESTS", "message": "too many failed login attempts for username or IP"}]})
EDGE = "<!DOCTYPE html><html lang='en-US'><head><title>Just a moment...</title>"


def fault(code: str, message: str = "no") -> bytes:
    return body({"errors": [{"code": code, "message": message}]})


async def refused(
    transport: Transport,
    far_end: FarEnd,
    answer: httpx.Response,
    budgets: tuple[Budget, ...] = HUB_SIDE,
    method: str = "GET",
) -> WireError:
    far_end.on(f"{method} {HUB}/v2/x", answer)
    with pytest.raises(WireError) as caught:
        await transport.send(Call(method, f"{HUB}/v2/x", budgets))
    return caught.value


@pytest.mark.parametrize(
    ("answer", "budgets", "kind"),
    [
        (answered(recorded("hub-error-403-anonymous-offset"), 403), HUB_SIDE, Walled),
        (answered(recorded("hub-error-403-pat-2020"), 403), HUB_SIDE, Denied),
        (answered(recorded("hub-error-404-object-not-found"), 404), HUB_SIDE, Gone),
        (answered({"detail": "Not found"}, 404), HUB_SIDE, Gone),
        (answered({"message": "x"}, 404), HUB_SIDE, Gone),
        (answered({"errinfo": {}}, 404), HUB_SIDE, Gone),
        (answered({}, 404), HUB_SIDE, DeadEndpoint),
        (answered(b"[]", 404), HUB_SIDE, DeadEndpoint),
        (httpx.Response(404, html="<title>404 : Docker</title>"), HUB_SIDE, DeadEndpoint),
        (httpx.Response(404), HUB_SIDE, DeadEndpoint),
        (answered({"detail": "no"}, 405), HUB_SIDE, DeadEndpoint),
        (answered({"message": "gone"}, 410), HUB_SIDE, DeadEndpoint),
        (answered({"detail": "expired"}, 401), HUB_SIDE, StaleToken),
        (answered(recorded("registry-error-401-unauthorized"), 401), PULL, StaleToken),
        (answered(fault("manifest_unknown"), 404), PULL, Gone),
        (answered(fault("NAME_UNKNOWN"), 404), FREE, Gone),
        (answered(fault("BLOB_UNKNOWN"), 404), FREE, Gone),
        (answered(fault("UNSUPPORTED"), 404), FREE, DeadEndpoint),
        (answered(fault("DENIED"), 403), FREE, Denied),
        (answered({"fields": {}, "text": "Invalid ordering value"}, 400), HUB_SIDE, Denied),
        (httpx.Response(418), HUB_SIDE, Denied),
        (httpx.Response(408), HUB_SIDE, Unavailable),
        *[(httpx.Response(status, html=EDGE), HUB_SIDE, Unavailable) for status in (500, 502, 503, 504, 520, 527, 530)],
        (httpx.Response(304), HUB_SIDE, Drift),
    ],
)
async def test_statuses(
    transport: Transport,
    far_end: FarEnd,
    permits: NotedPermits,
    answer: httpx.Response,
    budgets: tuple[Budget, ...],
    kind: type[WireError],
) -> None:
    error = await refused(transport, far_end, answer, budgets)
    assert type(error) is kind
    assert error.status == answer.status_code
    assert error.url == "/v2/x"
    assert (permits.closed, permits.blocked) == ([], [])


@pytest.mark.parametrize(
    ("budgets", "blocked"),
    [
        (HUB_SIDE, ("hub", "search", "logins")),
        (SEARCH, ("hub", "search", "logins")),
        (LOGIN, ("hub", "search", "logins")),
        (PULL, ("registry", "pulls")),
        (FREE, ("registry", "pulls")),
        (TOKEN, ("tokens",)),
    ],
)
@pytest.mark.parametrize("answer", [httpx.Response(403, html=EDGE), httpx.Response(403, text="error code: 1010")])
async def test_the_edge_blocks_the_host(
    transport: Transport,
    far_end: FarEnd,
    permits: NotedPermits,
    budgets: tuple[Budget, ...],
    blocked: tuple[Budget, ...],
    answer: httpx.Response,
) -> None:
    assert type(await refused(transport, far_end, answer, budgets)) is Blocked
    assert permits.blocked == [blocked]


async def test_an_api_refusal_under_a_text_type_is_no_block(
    transport: Transport, far_end: FarEnd, permits: NotedPermits
) -> None:
    text = recorded("hub-error-403-anonymous-offset").decode()
    assert type(await refused(transport, far_end, httpx.Response(403, text=text))) is Walled
    assert permits.blocked == []


@pytest.mark.parametrize(
    ("document", "headers", "budgets", "closed", "seconds"),
    [
        (recorded("hub-error-429-rate-limit"), {}, HUB_SIDE, ("hub",), 60.0),
        (recorded("hub-error-429-rate-limit"), {}, LOGIN, ("hub",), 60.0),
        (recorded("hub-error-429-rate-limit"), {}, SEARCH, ("search",), 60.0),
        (b"Too Many Requests", {"content-type": "text/plain"}, SEARCH, ALL_BUDGETS, 60.0),
        (recorded("registry-error-429-pull-limit"), {}, PULL, ("pulls",), 3600.0),
        (recorded("registry-error-429-pull-limit"), {"ratelimit-limit": "100;w=21600"}, PULL, ("pulls",), 21600.0),
        (recorded("registry-error-429-pull-limit"), {"retry-after": "9"}, PULL, ("pulls",), 9.0),
        (recorded("registry-error-429-pull-limit"), {"x-ratelimit-reset": str(NOW + 5)}, PULL, ("pulls",), 3600.0),
        (fault("TOOMANYREQUESTS", "slow down"), {}, FREE, ("registry",), 60.0),
        (fault("TOOMANYREQUESTS", "slow down"), {}, TOKEN, ("tokens",), 60.0),
        (
            b"Too Many Requests (HAP429).\n",
            {"retry-after": "60", "content-type": "text/plain"},
            PULL,
            ALL_BUDGETS,
            60.0,
        ),
        (b"Too Many Requests", {"content-type": "text/plain"}, HUB_SIDE, ALL_BUDGETS, 60.0),
        (b"", {}, HUB_SIDE, ALL_BUDGETS, 60.0),
    ],
)
async def test_which_limiter(
    transport: Transport,
    far_end: FarEnd,
    permits: NotedPermits,
    document: bytes,
    headers: dict[str, str],
    budgets: tuple[Budget, ...],
    closed: tuple[Budget, ...],
    seconds: float,
) -> None:
    answer = httpx.Response(
        429, headers={"content-type": "application/json", "date": DATE, **headers}, content=document
    )
    error = await refused(transport, far_end, answer, budgets)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds
    assert permits.closed == [(closed, seconds)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "7200"}, 7200.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "-5"}, 1.0),
        ({"retry-after": "999999"}, 86400.0),
        ({"retry-after": str(NOW + 30)}, 30.0),
        ({"retry-after": str(NOW + 30), "date": "?"}, 60.0),
        ({"retry-after": str(NOW + 10**6)}, 86400.0),
        ({"retry-after": "Fri, 20 Nov 2026 16:02:00 GMT"}, 120.0),
        ({"retry-after": "Fri, 20 Nov 2026 19:00:00 GMT"}, 10_800.0),
        ({"retry-after": "Fri, 20 Nov 2026 15:02:00 GMT"}, 1.0),
        ({"x-retry-after": str(NOW + 10_800)}, 10_800.0),
        ({"retry-after": "soon", "x-retry-after": "8"}, 8.0),
        ({"retry-after": "nan", "x-retry-after": "inf"}, 60.0),
        ({"x-retry-after": str(NOW + 17)}, 17.0),
        ({"x-ratelimit-reset": str(NOW + 44)}, 44.0),
        ({"retry-after": "3", "x-ratelimit-reset": str(NOW + 44)}, 3.0),
        ({}, 60.0),
    ],
)
async def test_how_long(transport: Transport, far_end: FarEnd, headers: dict[str, str], seconds: float) -> None:
    named = {"content-type": "application/json", "date": DATE, **headers}
    answer = httpx.Response(429, headers=named, content=recorded("hub-error-429-rate-limit"))
    error = await refused(transport, far_end, answer)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


@pytest.mark.parametrize(("budgets", "closed"), [(LOGIN, ("logins",)), (TOKEN, ("tokens",))])
async def test_a_lock_after_failed_logins(
    transport: Transport,
    far_end: FarEnd,
    permits: NotedPermits,
    budgets: tuple[Budget, ...],
    closed: tuple[Budget, ...],
) -> None:
    error = await refused(transport, far_end, answered(LOCKED, 429), budgets)
    assert type(error) is CredentialsRefused
    assert permits.closed == [(closed, 3600.0)]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(404, headers={"content-type": "application/json; charset=utf-8"}), Gone),
        (httpx.Response(404, headers={"content-type": "text/html"}), DeadEndpoint),
        (httpx.Response(403, headers={"content-type": "application/json"}), Denied),
        (httpx.Response(403, headers={"content-type": "text/html"}), Blocked),
        (httpx.Response(429, headers={"content-type": "application/json"}), Throttled),
    ],
)
async def test_a_head_is_judged_by_its_type(
    transport: Transport, far_end: FarEnd, answer: httpx.Response, kind: type[WireError]
) -> None:
    assert type(await refused(transport, far_end, answer, FREE, "HEAD")) is kind


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"message": "one", "detail": "two"}, "one"),
        ({"detail": "two", "text": "three"}, "two"),
        ({"fields": {"a": ["b"]}, "text": "three"}, "three"),
        ({"code": 7, "message": "five", "details": [{"type_url": "x"}]}, "five"),
        ({"errors": [{"code": "DENIED", "message": "six"}]}, "six"),
        ({"message": {"a": 1}, "detail": ["b"], "errors": "c"}, '{"message": {"a": 1}'),
        ({"message": "two\nlines\u0000 and dckr_pat_hush-hush"}, "two lines and ..."),
    ],
)
async def test_the_text_of_an_error(transport: Transport, far_end: FarEnd, document: object, text: str) -> None:
    error = await refused(transport, far_end, answered(document, 400))
    assert error.message.startswith(text)


async def test_a_page_is_told_by_its_title(transport: Transport, far_end: FarEnd) -> None:
    page = "<!DOCTYPE html><html><head><title>\n 503 Service\nUnavailable </title></head><body>a page</body>"
    error = await refused(transport, far_end, httpx.Response(503, html=page))
    assert error.message == "The far end failed: 503 Service Unavailable"


def test_nothing_like_a_token_is_told() -> None:
    text = "a dckr_pat_Hush-hush b dckr_oat_HUSH c eyJhbGciOi.eyJodXNo.aHVzaA d Bearer hush e Basic aHVzaA=="
    assert told(text) == "a ... b ... c ... d ... e ..."
    assert len(told("x" * 1000)) == 200
