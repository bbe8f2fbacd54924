"""What takes an event: a webhook, a command, a feed, the services that Apprise knows. Rank 4.

Each either returns, and has the event, or raises `NotDelivered` with a reason that repeats no address, no key and nothing of what
the other side said.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from harvester import feed
from harvester.clock import Clock
from harvester.errors import ConfigError, NotDelivered
from harvester.events import Event
from harvester.notify import Notify, address_of, secret_in
from harvester.wire.permits import Budget, Permits
from harvester.wire.transport import Transport
from harvester.wire.webhook import Webhook

COMMAND_S = 30.0

_SECRET_VARIABLES = frozenset({"DOCKERHUB_TOKEN", "HARVESTER_PROXY", "HARVESTER_DATABASE"})
"""What the environment may hold a credential in: no command is told."""

WEBHOOKS: Budget = "webhooks"


class Receiver(Protocol):
    """Takes one event at a time."""

    async def send(self, event: Event) -> None:
        """Return when it has the event. Raises `NotDelivered`; `Throttled` where our own limiter holds it back."""
        ...


class WebhookReceiver:
    """A POST of the event as JSON."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook

    async def send(self, event: Event) -> None:
        """See `Receiver`."""
        await self._webhook.send(event.identifier, event.as_json().encode("ascii"))


class CommandReceiver:
    """A program that finds the event as JSON on its standard input and takes it by ending with 0."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    async def send(self, event: Event) -> None:
        """See `Receiver`. What the program says on standard error goes to ours, what it says on standard output to nobody."""
        environment = {key: value for key, value in os.environ.items() if key not in _SECRET_VARIABLES}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = (error.strerror or "") if isinstance(error, OSError) else ""
            raise NotDelivered(f"the command cannot be started: {reason or type(error).__name__}") from None
        try:
            async with asyncio.timeout(COMMAND_S):
                await process.communicate(event.as_json().encode("ascii") + b"\n")
        except TimeoutError:
            raise NotDelivered(f"the command did not end within {COMMAND_S:.0f} s and was killed") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            ended = f"by signal {-process.returncode}" if process.returncode < 0 else f"with {process.returncode}"
            raise NotDelivered(f"the command ended {ended}")


class FeedReceiver:
    """A file that holds the newest events."""

    def __init__(self, path: Path, content: Callable[[Event | None], Awaitable[bytes]]) -> None:
        """`content` gives the feed as it has to be now, with an event on top that is not stored, if there is one."""
        self.path = path
        self._content = content

    async def send(self, event: Event) -> None:
        """Write the feed with this event on top, which is a test."""
        await self._replace(await self._content(event))

    async def write(self) -> None:
        """Write the feed as it has to be. Raises `NotDelivered`."""
        content = await self._content(None)
        while True:
            await self._replace(content)
            # Another process may have put a newer one there meanwhile, which ours has taken the place of.
            newer = await self._content(None)
            if newer == content:
                return
            content = newer

    async def _replace(self, content: bytes) -> None:
        try:
            await asyncio.to_thread(feed.replace, self.path, content)
        except OSError as error:
            raise NotDelivered(f"cannot write the feed {self.path}: {error.strerror or type(error).__name__}") from None


class AppriseReceiver:
    """The services behind some addresses, by the library of that name."""

    def __init__(self, library: Any, permits: Permits) -> None:
        self._library = library
        self._permits = permits

    async def send(self, event: Event) -> None:
        """See `Receiver`."""
        await self._permits.take(WEBHOOKS)
        body = "\n".join(f"{key}: {value}" for key, value in _lines(event))
        try:
            # Said to be text: or else what strangers wrote in a description is HTML in a mail.
            taken = await asyncio.to_thread(self._library.notify, title=event.title, body=body, body_format="text")
        except Exception as error:
            # Its words may quote an address.
            raise NotDelivered(f"Apprise failed: {type(error).__name__}") from None
        finally:
            self._permits.ended((WEBHOOKS,))
        if not taken:
            raise NotDelivered("Apprise could not deliver it to all its addresses")


def _lines(event: Event) -> list[tuple[str, object]]:
    return [("observed", event.observed_at), ("rank", event.rank), *event.detail.items()]


def webhook_of(notify: Notify, transport: Transport, clock: Clock) -> WebhookReceiver:
    """The webhook of that table. Raises `ConfigError` where a file that it names cannot be read."""
    key = None if notify.secret_file is None else secret_in(notify.secret_file, notify.name).encode()
    return WebhookReceiver(Webhook(transport, address_of(notify), key, clock))


def feed_of(notify: Notify, content: Callable[[Event | None], Awaitable[bytes]]) -> FeedReceiver:
    """The feed of that table. Raises `ConfigError` where its file is in the home of nobody."""
    assert notify.file is not None
    try:
        path = Path(notify.file).expanduser()
    except RuntimeError:
        raise ConfigError(f"notifier {notify.name}: {notify.file}: there is no such home directory") from None
    return FeedReceiver(path, content)


def apprise_of(notify: Notify, permits: Permits) -> AppriseReceiver:
    """The services of that table. Raises `ConfigError` without the library, and for an address that it does not understand."""
    assert notify.urls_file is not None
    text = secret_in(notify.urls_file, notify.name)
    try:
        apprise = importlib.import_module("apprise")
    except ModuleNotFoundError:
        raise ConfigError(
            f"notifier {notify.name}: Apprise is not installed; install `harvester[apprise]`, or `apprise` beside it"
        ) from None
    # Its log lines may quote addresses.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    library = apprise.Apprise()
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.strip().startswith("#") and not library.add(line.strip()):
            raise ConfigError(f"notifier {notify.name}: {notify.urls_file}: Apprise does not understand line {number}")
    if not len(library):
        raise ConfigError(f"notifier {notify.name}: {notify.urls_file} names no address")
    return AppriseReceiver(library, permits)
