"""Every check that an operator would make by hand, as findings with a remedy each. Rank 7.

Nothing is written but what the limiter notes of the questions that are asked, and no database is created.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from email.utils import parsedate_to_datetime
from pathlib import Path

from harvester import __version__
from harvester.clock import Clock
from harvester.composition import Outlet, assembled, hash_of
from harvester.config import Settings
from harvester.errors import (
    ConfigError,
    CredentialsRefused,
    HarvesterError,
    StoreError,
    Throttled,
    Unreachable,
    WireError,
)
from harvester.findings import Finding, worst_first
from harvester.names import RepositoryName
from harvester.store import soundness, standing
from harvester.store.engine import database_url, open_reader, open_writer, shown
from harvester.store.moment import Moment
from harvester.wire.transport import Inner

__all__ = ["Finding", "examine", "of_configuration"]

ASKED = RepositoryName("library", "hello-world")
"""What the far end is asked about: it is small, and it will stay."""

SKEW_S = 30.0
"""A clock may be so far from the far end's; ten times of it are an error."""

_MASKED = frozenset({"database", "proxy", "egress", "watch", "notify"})


def of_configuration(error: ConfigError) -> Finding:
    """The finding where the settings cannot even be read."""
    return Finding("error", "configuration", error.message, "mend that, then run this again")


def examine(
    settings: Settings,
    clock: Clock,
    *,
    credential: tuple[str, str] | ConfigError | None,
    is_offline: bool = False,
    inner: Inner | None = None,
) -> list[Finding]:
    """All findings, the worst first. `inner` answers in place of the network. Raises nothing that a check can run into."""
    found = [soundness.of_programs(__version__), *_settings(settings), *_credential(settings, credential)]
    owned = credential if isinstance(credential, tuple) else None
    in_store = list(_store(settings, clock, owned))
    found += in_store
    is_usable = not any(one.level == "error" and one.area == "database" for one in in_store)
    if is_offline:
        found.append(Finding("ok", "far end", "nothing was asked (`--offline`)"))
    elif not is_usable:
        what = "nothing was asked: the budgets are in the database"
        found.append(Finding("note", "far end", what, "mend the database first"))
    else:
        found += asyncio.run(_far_end(settings, clock, owned, inner))
    return worst_first(found)


def _settings(settings: Settings) -> Iterator[Finding]:
    usual = Settings()
    other = {
        one.name: getattr(settings, one.name)
        for one in fields(settings)
        if one.name not in _MASKED and getattr(settings, one.name) != getattr(usual, one.name)
    }
    parts = [f"database = {settings.shown_database}", *(f"{name} = {value}" for name, value in other.items())]
    if settings.proxy:
        parts.append("proxy = " + re.sub(r"//[^@/]*@", "//***@", settings.proxy))
    parts += [f"egress {one.name}" for one in settings.egress]
    parts += [f"notify {one.name}" for one in settings.notify]
    targets = sum(len(one.targets) for one in settings.watch)
    yield Finding("ok", "configuration", f"{', '.join(parts)}; {targets} targets watched; all else is the default")
    if settings.contact is None:
        yield Finding(
            "note",
            "configuration",
            "the far end cannot tell whom to write to when something goes wrong",
            "set `contact` to an address or a web page of yours",
        )
    seen: dict[tuple[str, str, str], str] = {}
    for one in settings.watch:
        for target in one.targets:
            key = (str(target), one.tags.text, one.layers.text)
            if key in seen:
                yield Finding(
                    "warning",
                    "configuration",
                    f"{target} is watched twice, by `{seen[key]}` and by `{one.target}`: the shorter `every` holds",
                    "take it out of one of them",
                )
            seen[key] = one.target


def _credential(settings: Settings, credential: tuple[str, str] | ConfigError | None) -> Iterator[Finding]:
    if isinstance(credential, ConfigError):
        yield Finding("error", "credentials", credential.message, "give both parts of it, or neither")
    elif credential is None:
        yield Finding("ok", "credentials", "none: the far end is asked anonymously")
    else:
        yield Finding("ok", "credentials", f"the far end is asked as {credential[0]}")
    # One that may not be looked at has been named above.
    if settings.token_file is not None and os.path.isfile(path := Path(settings.token_file)):
        mode = path.stat().st_mode
        if mode & 0o077:
            what = f"the token file {path} can be read by others (mode {mode & 0o777:04o})"
            yield Finding("warning", "credentials", what, f"chmod 600 {path}, and make a new token")


def _store(settings: Settings, clock: Clock, credential: tuple[str, str] | None) -> Iterator[Finding]:
    try:
        url = database_url(settings.database)
        reader = open_reader(url)
    except ConfigError as error:
        yield Finding(
            "error", "database", error.message, "name another one (`database`), or set right what stands there"
        )
        return
    is_file = url.get_backend_name() == "sqlite"
    try:
        if is_file:
            yield from soundness.of_file(
                Path(url.database or ""), wal_mb=settings.wal_mb, keep_free_mb=settings.keep_free_mb
            )
        else:
            yield Finding("ok", "database", f"{shown(url)}: its server is not looked at")
        with reader.begin() as connection:
            schema = soundness.of_schema(connection)
            yield schema
            if schema.level == "error":
                return
            yield from soundness.of_pages(connection)
            now = Moment.of(clock.time())
            yield from standing.at_work(connection, now, __version__)
            yield standing.stamps(connection, now)
            yield from standing.work(connection, now)
            yield from standing.closed(connection, clock.time())
            yield from standing.freshness(connection, now)
            yield from standing.receivers(connection)
            if credential is not None:
                left = standing.refused(connection, hash_of(*credential), clock.time())
                if left > 0:
                    yield _refused(f"the far end refused it; it is not tried again for {left / 60:.0f} min")
    except Exception as error:
        # Whatever a damaged file, or one that somebody holds, makes of a question is an answer here.
        if not type(error).__module__.startswith(("sqlalchemy", "sqlite3", "psycopg", "harvester")):
            raise
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        remedy = "`harvester db check` looks for damage" if is_file else "see to the server, and to `database`"
        yield Finding("error", "database", f"it could not be read: {reason}", remedy)
    finally:
        reader.dispose()


def _refused(what: str) -> Finding:
    return Finding("error", "credentials", what, "check DOCKERHUB_USERNAME and DOCKERHUB_TOKEN, or go on without")


async def _far_end(
    settings: Settings, clock: Clock, credential: tuple[str, str] | None, inner: Inner | None
) -> list[Finding]:
    found: list[Finding] = []
    engine = open_writer(database_url(settings.database))
    try:
        async with assembled(
            settings, engine, clock, credential=credential, on_hold=lambda budget, seconds, reason: None, inner=inner
        ) as parts:
            for outlet in parts.outlets:
                by = f" by route {outlet.egress.name}" if len(parts.outlets) > 1 else ""
                found += await _asked(outlet, by)
                found += _skew(outlet, clock, by)
    except CredentialsRefused:
        # Known from the ledger, and said of it already.
        pass
    except ConfigError as error:
        found.append(Finding("error", "far end", error.message, "see to `proxy` and `[[egress]]` in the configuration"))
    except StoreError as error:
        found.append(Finding("error", "database", error.message, "nothing can be asked while it cannot be written"))
    finally:
        engine.dispose()
    return found


async def _asked(outlet: Outlet, by: str) -> list[Finding]:
    found: list[Finding] = []
    clients = outlet.clients
    for api, ask in (("the Hub", clients.hub.repository), ("the registry", clients.registry.tag_names)):
        try:
            await ask(ASKED)
        except HarvesterError as error:
            found.append(_of_error(api, by, error))
        else:
            found.append(Finding("ok", "far end", f"{api} answers{by}"))
    return found


def _of_error(api: str, by: str, error: HarvesterError) -> Finding:
    match error:
        case CredentialsRefused():
            return _refused(f"{api} refused it{by}: {error}")
        case Throttled():
            what = f"{api} was not asked{by}, or refused for now: {error}"
            return Finding("note", "far end", what, f"nothing: it goes on in {error.retry_after:.0f} s")
        case Unreachable():
            return Finding("error", "far end", f"{api}: {error}", "see to the network, names and proxy of this machine")
        case WireError():
            what = f"{api} gave no proper answer{by}: {error}"
            return Finding("error", "far end", what, "try again later; see `harvester limits` for what is closed")
        case _:
            return Finding("error", "far end", f"{api} could not be asked{by}: {error}", "see to that first")


def _skew(outlet: Outlet, clock: Clock, by: str) -> Iterator[Finding]:
    date = outlet.transport.date
    if date is None:
        return
    try:
        skew = clock.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    if abs(skew) < SKEW_S:
        yield Finding("ok", "clock", f"within {SKEW_S:.0f} s of the far end's{by}")
        return
    where = "ahead of" if skew > 0 else "behind"
    yield Finding(
        "error" if abs(skew) >= 10 * SKEW_S else "warning",
        "clock",
        f"this machine's is {abs(skew):,.0f} s {where} the far end's{by}: rows are stamped wrongly",
        "let it be set by NTP (`timedatectl set-ntp true`)",
    )
