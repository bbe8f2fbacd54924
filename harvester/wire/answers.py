"""What is sent and what comes back, in words that any HTTP library could fill. Rank 3.

Neither class shows a credential, a body or a header's value in its `repr`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from harvester.wire.permits import Budget

Follow = Literal["same-origin", "anywhere"]
"""How far redirects are followed: within the origin, or to any host, there without credentials."""


class Headers(Mapping[str, str]):
    """The headers of an answer; names match in any case, repeated ones are joined by commas."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        """`values` by name."""
        self._values = {name.lower(): value for name, value in (values or {}).items()}

    @classmethod
    def of_raw(cls, raw: list[tuple[bytes, bytes]]) -> Headers:
        """The headers as an HTTP library has them."""
        values: dict[str, str] = {}
        for raw_name, raw_value in raw:
            name = raw_name.decode("latin-1").lower()
            value = raw_value.decode("latin-1")
            values[name] = f"{values[name]}, {value}" if name in values else value
        headers = cls.__new__(cls)
        headers._values = values
        return headers

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def lower(self, name: str) -> str | None:
        """The value of a header whose name is given in lower case; null where there is none."""
        return self._values.get(name)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._values)})"


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One request to make."""

    method: str
    url: str
    """Absolute."""
    budgets: tuple[Budget, ...]
    """What it is counted in; the first one is the host's own."""
    headers: tuple[tuple[str, str], ...] = ()
    """Besides those that every request has; `Accept` replaces the default."""
    authorization: str | None = None
    content: bytes | None = None
    follow: Follow = "same-origin"
    body_cap: int | None = None
    """Bytes, after inflating; null: the transport's own."""
    is_foreign: bool = False
    """Whether it goes to somebody else than Docker Hub: any answer is returned, redirects too, its body as far as it came."""

    def __repr__(self) -> str:
        return f"Call({self.method} {shown(self.url)})"


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A 2xx answer, read whole and inflated; to a foreign call, any answer."""

    status: int
    headers: Headers
    body: bytes
    url: str
    """Path and query of the request, without host; the query is left out after a redirect."""

    def __repr__(self) -> str:
        return f"Answer({self.status} {self.url}, {len(self.body)} bytes)"


def shown(url: str, *, is_signed: bool = False) -> str:
    """What an error may say of an address: path and query; of a signed address the path only."""
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query and not is_signed else path
