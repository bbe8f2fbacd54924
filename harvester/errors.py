"""Every error the program raises on purpose, in one tree. Rank 0.

    HarvesterError
      ConfigError               wrong usage or configuration: exit 2, nothing was done
        NameRefused             a target that cannot exist at Docker Hub
      WireError                 the far end, or the way to it
        Throttled               a limiter said no, theirs or ours: the job is put off, no attempt counted
        Unavailable             time-outs, resets, 5xx, cut bodies: tried again later
          Unreachable           no connection at all: the host's fault, never the job's
        Walled                  the anonymous paging wall: a policy, never asked again
        Blocked                 the edge refused in HTML or text: the host is paused
        StaleToken              a token was refused: dropped, asked once more
        Denied                  any other 401 or 403
          CredentialsRefused    the login itself was refused: never tried again within the hour
        Gone                    404 with an API body about the object
        DeadEndpoint            404 of a path, 405, 410: the other path family is tried
        Drift                   an answer of another shape: refused, with a sample of it
        TooLarge                the body cap was reached
      StoreError                the database
        StoreUnusable           it cannot be written now: disk full, locked, damaged; no job's fault
        SchemaMismatch          the schema is not this program's: exit 3
        LeaseLost               somebody else owns the job now
      NotDelivered              a receiver of events did not take one: told again later, or never

A class's docstring is its message where none is given.
"""

from __future__ import annotations

SAMPLE_BYTES = 2048
"""Evidence kept of an answer of another shape, in bytes."""


def _one_line(text: str) -> str:
    """The text with what cannot be printed escaped: messages repeat what strangers and typists wrote."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class HarvesterError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(_one_line(message or (type(self).__doc__ or "").strip()))

    @property
    def message(self) -> str:
        """The sentence for the operator."""
        return str(self.args[0])


class ConfigError(HarvesterError):
    """The usage or the configuration is wrong."""


class NameRefused(ConfigError):
    """This name cannot exist at Docker Hub."""


class WireError(HarvesterError):
    """The far end did not give what was asked for."""

    def __init__(
        self, message: str | None = None, *, url: str = "", status: int | None = None, budget: str | None = None
    ) -> None:
        super().__init__(message)
        self.url = url
        """Path and query of the request, without host and without credentials."""
        self.status = status
        self.budget = budget

    def __str__(self) -> str:
        status = f"{self.status} " if self.status else ""
        return f"{self.message} ({status}{self.url})" if self.url or status else self.message


class Throttled(WireError):
    """The limiter holds this request back."""

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float,
        url: str = "",
        status: int | None = None,
        budget: str | None = None,
    ) -> None:
        super().__init__(message, url=url, status=status, budget=budget)
        self.retry_after = retry_after
        """Seconds until it makes sense to ask again."""


class Unavailable(WireError):
    """The far end failed; the same request may succeed later."""


class Unreachable(Unavailable):
    """No connection to the far end could be made."""


class Walled(WireError):
    """The far end serves no further pages without a login."""


class Blocked(WireError):
    """The edge before the far end refuses this client."""

    retry_after: float = 900.0
    """Seconds for which the limiter has closed the host."""


class StaleToken(WireError):
    """The token was refused."""


class Denied(WireError):
    """The far end does not allow this."""


class CredentialsRefused(Denied):
    """The far end refused the credentials."""


class Gone(WireError):
    """The object is not there."""


class DeadEndpoint(WireError):
    """This path is not served."""


class Drift(WireError):
    """The answer has another shape than the one known."""

    def __init__(
        self,
        message: str | None = None,
        *,
        path: str = "$",
        sample: str = "",
        url: str = "",
        status: int | None = None,
        budget: str | None = None,
    ) -> None:
        super().__init__(message, url=url, status=status, budget=budget)
        self.path = path
        """Where in the document, as a JSON path."""
        self.sample = sample[:SAMPLE_BYTES]


class TooLarge(WireError):
    """The answer is larger than the cap on bodies."""


class StoreError(HarvesterError):
    """The database could not be read or written."""


class StoreUnusable(StoreError):
    """The database cannot be written now."""


class SchemaMismatch(StoreError):
    """The database's schema is not the one this program knows."""


class LeaseLost(StoreError):
    """Another process owns the job now."""


class NotDelivered(HarvesterError):
    """A receiver of events did not take one."""

    def __init__(self, message: str, *, is_final: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.is_final = is_final
        """Whether the receiver will never take this one."""
        self.retry_after = retry_after
        """Seconds for which the receiver wants to be left alone."""
