"""Who is calling: accounts, the Hub's access tokens and the registry's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tests.fakehub.messages import encode_json


@dataclass(frozen=True, slots=True)
class Grant:
    """What a registry token allows and until when."""

    account: str | None
    repositories: frozenset[str]
    expires_at: float


class Accounts:
    """Names with their secrets, and the tokens given out for them."""

    def __init__(self, users: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._users = dict(users)
        self._clock = clock
        self._serial = itertools.count(1)
        self._lock = threading.Lock()
        self._hub_tokens: dict[str, tuple[str, float]] = {}
        self._grants: dict[str, Grant] = {}

    def has(self, identifier: object, secret: object) -> bool:
        """Whether name and secret belong together."""
        return isinstance(identifier, str) and isinstance(secret, str) and self._users.get(identifier) == secret

    def issue_hub_token(self, account: str, life_s: int) -> str:
        """An access token for the Hub API."""
        expires_at = self._clock() + life_s
        token = self._signed({"sub": account, "username": account}, life_s)
        with self._lock:
            self._hub_tokens[token] = (account, expires_at)
        return token

    def of_hub_token(self, token: str) -> str | None:
        """The account that a Hub token stands for, or None when it is unknown or too old."""
        with self._lock:
            account, expires_at = self._hub_tokens.get(token, (None, 0.0))
        return account if self._clock() < expires_at else None

    def revoke_hub_tokens(self) -> None:
        """Make every Hub token given out so far worthless."""
        with self._lock:
            self._hub_tokens.clear()

    def issue_registry_token(self, account: str | None, repositories: Iterable[str], life_s: int) -> str:
        """A token for the registry that covers these repositories."""
        names = frozenset(repositories)
        access = [{"type": "repository", "name": name, "actions": ["pull"]} for name in sorted(names)]
        token = self._signed({"sub": account or "", "aud": "registry.docker.io", "access": access}, life_s)
        with self._lock:
            self._grants[token] = Grant(account, names, self._clock() + life_s)
        return token

    def of_registry_token(self, token: str) -> Grant | None:
        """What a registry token allows, or None when it is unknown or too old."""
        with self._lock:
            grant = self._grants.get(token)
        return grant if grant is not None and self._clock() < grant.expires_at else None

    def revoke_registry_tokens(self) -> None:
        """Make every registry token given out so far worthless."""
        with self._lock:
            self._grants.clear()

    def _signed(self, claims: dict[str, object], life_s: int) -> str:
        issued_at = int(self._clock())
        payload = claims | {"iat": issued_at, "exp": issued_at + life_s, "jti": f"fake-{next(self._serial)}"}
        signed = f"{_base64url(encode_json({'alg': 'RS256', 'typ': 'JWT'}))}.{_base64url(encode_json(payload))}"
        return f"{signed}.{_base64url(hashlib.sha256(signed.encode()).digest())}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Name and secret of a Basic header, or None when it is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    identifier, _, secret = decoded.partition(":")
    return identifier, secret


def bearer_token(header: str) -> str | None:
    """The token of a Bearer header (or of its older form, JWT), or None when it is none."""
    scheme, _, value = header.partition(" ")
    return value.strip() if scheme.lower() in ("bearer", "jwt") else None
