"""Events sent to an address of the operator's: signed, judged by the status of the answer alone. Rank 3.

The address may be a secret from its path on, so it is in no error, and neither is the text of an answer, which may repeat it.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from harvester.clock import Clock
from harvester.errors import NotDelivered, Throttled, WireError
from harvester.wire.answers import Answer, Call
from harvester.wire.refusals import LONGEST_WAIT_S, wait_s
from harvester.wire.transport import Transport

TOTAL_S = 20.0
"""On the network for one event."""

_NEVER = frozenset({400, 413, 422})
"""Answers that refuse this event. Others speak of the address or of who asks (401, 403, 404, 410), which an operator sets right."""


def signature(key: bytes, body: bytes, seconds: int) -> str:
    """The header that proves who sent the body and when: HMAC-SHA256 over the Unix time, a point and the body."""
    digest = hmac.new(key, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


class Webhook:
    """One address that takes events."""

    def __init__(self, transport: Transport, url: str, key: bytes | None, clock: Clock) -> None:
        """`key` signs; null: nothing is signed."""
        self._transport = transport
        self._url = url
        self._key = key
        self._clock = clock
        self._host = urlsplit(url).hostname or ""

    async def send(self, identifier: str, body: bytes) -> None:
        """Return when the receiver has it. Raises `NotDelivered`, and `Throttled` where our own limiter holds it back."""
        headers = [("Content-Type", "application/json"), ("Harvester-Event-Id", identifier)]
        if self._key is not None:
            headers.append(("Harvester-Signature", signature(self._key, body, int(self._clock.time()))))
        call = Call("POST", self._url, ("webhooks",), tuple(headers), content=body, is_foreign=True)
        try:
            answer = await self._transport.send(call)
        except Throttled:
            raise
        except WireError as error:
            raise NotDelivered(f"{self._host}: {error.message}") from None
        if not 200 <= answer.status < 300:
            raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> NotDelivered:
        if 300 <= answer.status < 400:
            return NotDelivered(f"{self._host} answered {answer.status}, a redirect; none is followed")
        wait = wait_s(answer.headers, own="webhooks") or 0.0
        return NotDelivered(
            f"{self._host} answered {answer.status}",
            is_final=answer.status in _NEVER,
            retry_after=min(max(wait, 0.0), LONGEST_WAIT_S),
        )

    def __repr__(self) -> str:
        return f"Webhook({self._host})"
