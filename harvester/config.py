"""Settings: built-in default, then TOML file, then environment, then flags. Rank 3.

Everything is read and checked at once. A secret is never a setting: it comes from the environment or from a file that a setting
names, and is kept apart from what may be printed. Only a proxy's address may hold one; it is in no `repr` and no error.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harvester.checks import LONGEST_S, address_parts, duration, printable, tables_of, unknown_key, web_address
from harvester.egress import Egress
from harvester.errors import ConfigError
from harvester.events import RANKS
from harvester.notify import NOTIFY_KEYS, Notify, notifies
from harvester.watch import Watch, watches

DEFAULT_FILE = "harvester.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided, checked."""

    database: str = field(default="harvester.db", repr=False)
    hub_url: str = "https://hub.docker.com"
    auth_url: str = "https://auth.docker.io"
    registry_url: str = "https://registry-1.docker.io"
    username: str | None = None
    token_file: str | None = None
    contact: str | None = None
    proxy: str | None = field(default=None, repr=False)
    hub_per_minute: int | None = None
    """Null: the far end's own limit decides."""
    pulls: int | None = 0
    """Manifest GETs per window; null: what the headers allow less the reserve (`auto`)."""
    pull_reserve: str = "50%"
    pull_interval: str = "1d"
    """The time of which one observation of a pull count is kept; `0`: every one is."""
    metrics_listen: str = "127.0.0.1:9464"
    """Where `run` answers `/metrics`, `/healthz` and `/readyz`; `off`: nowhere."""
    keep_jobs: str = "1d"
    """How long the rows of jobs that are done stay; then they are counted by the day and deleted."""
    keep_every_pull: str = "90d"
    """How long observations of a pull count between the first and the last one of a UTC day stay."""
    keep_deliveries: str = "30d"
    """How long what was delivered stays in the outbox."""
    wal_mb: int = 1024
    """Megabytes to which the file beside the database may grow while somebody reads; nothing is asked beyond that."""
    keep_free_mb: int = 200
    """Megabytes of the disk that are left free; nothing is asked while there are fewer."""
    egress: tuple[Egress, ...] = ()
    """Empty: the one way out that there is by default, through `proxy` if that is set."""
    watch: tuple[Watch, ...] = ()
    notify: tuple[Notify, ...] = ()

    @property
    def pull_interval_s(self) -> int:
        """`pull_interval` in seconds."""
        return duration(self.pull_interval) or 0

    @property
    def shown_database(self) -> str:
        """The database for people: without the password that a URL may hold."""
        return re.sub(r"(://[^:@/]*):[^@/]*@", r"\1:***@", self.database)


@dataclass(frozen=True, slots=True)
class _Setting:
    field: str
    toml: str
    environment: str | None
    check: Callable[[Any], Any]
    is_list: bool = False
    """Whether it is a list of tables: `[[egress]]`."""


def load(
    *, file: str | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """The settings in force. Raises `ConfigError` naming every unknown key, or else the first bad value."""
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for source, found in (
        (f"{file or DEFAULT_FILE}: ", _from_file(file)),
        ("", _from_environment(environment)),
        ("", {key: value for key, value in (flags or {}).items() if value is not None}),
    ):
        for setting in _SETTINGS:
            for name in dict.fromkeys((setting.toml, setting.environment, setting.field)):
                if name is not None and name in found:
                    places[setting.field] = source + (f"[[{name}]]" if setting.is_list else name)
                    values[setting.field] = _checked(setting, found[name], places[setting.field])
    if values.get("egress") and values.get("proxy") is not None:
        raise ConfigError(
            f"{places['proxy']} and {places['egress']} exclude one another: keep `proxy` where it is the only way out,"
            " or else only the list and write it there as the `proxy` of a route"
        )
    return Settings(**values)


def credentials(settings: Settings, environment: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """Username and secret; null without both. Raises `ConfigError` where only one is there or the file cannot be read."""
    environment = os.environ if environment is None else environment
    secret = environment.get("DOCKERHUB_TOKEN", "").strip()
    if not secret and settings.token_file:
        try:
            secret = Path(settings.token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigError(f"cannot read the token file {settings.token_file}: {reason}") from error
        if not secret:
            raise ConfigError(f"the token file {settings.token_file} is empty")
    if not secret and settings.username is None:
        return None
    if not secret:
        raise ConfigError("DOCKERHUB_USERNAME is set without DOCKERHUB_TOKEN or DOCKERHUB_TOKEN_FILE")
    if settings.username is None:
        raise ConfigError("there is a Docker Hub token but no DOCKERHUB_USERNAME")
    return settings.username, secret


def user_agent(settings: Settings, version: str) -> str:
    """The one name this program gives itself."""
    return f"harvester/{version} (+{settings.contact})" if settings.contact else f"harvester/{version}"


def _from_file(file: str | None) -> dict[str, Any]:
    path = Path(file or DEFAULT_FILE)
    if file is None and not path.is_file():
        return {}
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    flat = _flat(tree)
    known = [setting.toml for setting in _SETTINGS]
    if unknown := [key for key in flat if key not in known]:
        raise ConfigError(f"{path}: " + "; ".join(unknown_key(key, known) for key in unknown))
    return flat


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    lists = [setting.toml for setting in _SETTINGS if setting.is_list]
    for key, value in tree.items():
        if (
            prefix + key not in lists
            and isinstance(value, dict)
            and (value or any(one.toml.startswith(f"{prefix}{key}.") for one in _SETTINGS))
        ):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    known = [setting.environment for setting in _SETTINGS if setting.environment]
    ours = [key for key in environment if key.startswith("HARVESTER_")]
    if unknown := [key for key in ours if key not in known]:
        raise ConfigError("environment: " + "; ".join(unknown_key(key, known) for key in unknown))
    return {key: environment[key] for key in known if environment.get(key)}


def _checked(setting: _Setting, value: Any, name: str) -> Any:
    try:
        return setting.check(value)
    except ValueError as error:
        # Of a list the text goes on with the number of the table: `[[watch]] 3: layers: ...`.
        raise ConfigError(f"{name}{'' if setting.is_list else ':'} {error}") from error


def _contact(value: Any) -> str:
    text = printable(value)
    if not text.isascii() or any(character in text for character in "()\\"):
        raise ValueError("takes an address or a web page in plain ASCII, without brackets: it goes into the User-Agent")
    return text


def _base(value: Any) -> str:
    return web_address(value).rstrip("/")


def _proxy(value: Any) -> str:
    text = printable(value)
    parts = address_parts(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("takes the address of an http or https proxy")
    return text


def _per_minute(value: Any) -> int:
    number = _number(value)
    if number < 1:
        raise ValueError("takes a whole number of requests per minute, 1 or more")
    return number


def _pulls(value: Any) -> int | None:
    return None if value == "auto" else _number(value)


def _reserve(value: Any) -> str:
    text = str(value).strip()
    number = text.removesuffix("%")
    if not number.isdecimal() or int(number) > (100 if text.endswith("%") else 1_000_000):
        raise ValueError("takes a number of pulls or a percentage, such as `50%`")
    return text


def _number(value: Any) -> int:
    if isinstance(value, bool) or not str(value).strip().isdecimal() or int(value) > 2**31:
        raise ValueError("takes a whole number, 0 or more")
    return int(value)


# Lists of tables.


def _egress(value: Any) -> tuple[Egress, ...]:
    found: list[Egress] = []
    numbers: dict[str, int] = {}
    for number, row in enumerate(tables_of(value, {"name": _route_name, "proxy": _proxy, "address": _address}), 1):
        if "name" not in row:
            raise ValueError(f"{number}: name: is missing")
        route = Egress(**row)
        # Two routes that leave by one address would spend its budget twice.
        way = (
            f"proxy {route.proxy.rstrip('/')}"
            if route.proxy
            else f"address {route.address}"
            if route.address
            else "plain"
        )
        for what, key in (("this name", f"name {route.name}"), ("this way out", way)):
            if key in numbers:
                raise ValueError(
                    f"{number}: {what} is that of [[egress]] {numbers[key]} already; each has its own name, and a"
                    " `proxy` or an `address` of its own (one of them may have neither: the plain way out)"
                )
            numbers[key] = number
        found.append(route)
    return tuple(found)


def _notifies(value: Any) -> tuple[Notify, ...]:
    found = notifies(tables_of(value, NOTIFY_KEYS))
    for number, one in enumerate(found, 1):
        for glob in one.kinds:
            if not any(fnmatchcase(kind, glob) and rank <= one.rank for kind, rank in RANKS.items()):
                ranked = "" if one.rank == max(RANKS.values()) else f" of rank {one.rank} or more urgent"
                raise ValueError(
                    f"{number}: kinds: no kind of event{ranked} matches `{glob}`; they are {', '.join(RANKS)}"
                )
    return found


def _route_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9-]{1,32}", value):
        raise ValueError("takes 1 to 32 of the lower-case letters, the digits and `-`")
    return value


def _address(value: Any) -> str:
    try:
        found = ipaddress.ip_address(printable(value))
    except ValueError:
        found = None
    if found is None or found.is_unspecified or found.is_multicast:
        raise ValueError("takes one IP address of this machine to send from")
    return str(found)


def _interval(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else str(value)
    if text != "0" and not 1 <= (duration(text) or 0) <= LONGEST_S:
        raise ValueError(
            "takes a number with `s`, `m`, `h` or `d`, such as `1d`, up to 365d, or 0 to keep every observation"
        )
    return text


def _kept(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else str(value)
    if text != "forever" and not 3600 <= (duration(text) or 0) <= 100 * LONGEST_S:
        raise ValueError("takes a number with `h` or `d`, such as `30d`, from 1h, or `forever`")
    return text


def _listen(value: Any) -> str:
    text = printable(value)
    host, _, port = text.rpartition(":")
    is_address = bool(host) and port.isdecimal() and 0 <= int(port) <= 65535 and not any(c in host for c in "/@ ")
    if text != "off" and not is_address:
        raise ValueError("takes HOST:PORT to listen on, such as `127.0.0.1:9464`, or `off`")
    return text


_SETTINGS = (
    _Setting("database", "database", "HARVESTER_DATABASE", printable),
    _Setting("hub_url", "hub.url", "HARVESTER_HUB_URL", _base),
    _Setting("auth_url", "registry.auth_url", "HARVESTER_AUTH_URL", _base),
    _Setting("registry_url", "registry.url", "HARVESTER_REGISTRY_URL", _base),
    _Setting("username", "auth.username", "DOCKERHUB_USERNAME", printable),
    _Setting("token_file", "auth.token_file", "DOCKERHUB_TOKEN_FILE", printable),
    _Setting("contact", "contact", "HARVESTER_CONTACT", _contact),
    _Setting("proxy", "proxy", "HARVESTER_PROXY", _proxy),
    _Setting("hub_per_minute", "limits.hub_per_minute", "HARVESTER_HUB_RPM", _per_minute),
    _Setting("pulls", "limits.pulls", "HARVESTER_PULLS", _pulls),
    _Setting("pull_reserve", "limits.pull_reserve", "HARVESTER_PULL_RESERVE", _reserve),
    _Setting("pull_interval", "history.pull_interval", "HARVESTER_PULL_INTERVAL", _interval),
    _Setting("metrics_listen", "metrics.listen", "HARVESTER_METRICS", _listen),
    _Setting("keep_jobs", "retention.jobs", None, _kept),
    _Setting("keep_every_pull", "retention.pulls", None, _kept),
    _Setting("keep_deliveries", "retention.deliveries", None, _kept),
    _Setting("wal_mb", "storage.wal_mb", None, _number),
    _Setting("keep_free_mb", "storage.keep_free_mb", None, _number),
    _Setting("egress", "egress", None, _egress, is_list=True),
    _Setting("watch", "watch", None, watches, is_list=True),
    _Setting("notify", "notify", None, _notifies, is_list=True),
)

assert {setting.field for setting in _SETTINGS} == {field.name for field in fields(Settings)}
