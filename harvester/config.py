"""Settings: built-in default, then TOML file, then environment, then flags. Rank 3.

Everything is read and checked at once. A secret is never a setting: it comes from the environment or from a file that a setting
names, and is kept apart from what may be printed. Only a proxy's address may hold one; it is in no `repr` and no error.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from harvester.checks import LONGEST_S, TablesRefused, duration, printable, unknown_key, web_address
from harvester.config_lines import Place, line_of, lines_of
from harvester.egress import Egress, egress_routes, proxy_address
from harvester.errors import ConfigError
from harvester.events import RANKS
from harvester.notify import Notify, notifies
from harvester.watch import Watch, watches

DEFAULT_FILE = "harvester.toml"

LOOKED_BACK_S = 31 * 86_400
"""Walks of lists stay for so long at the least: forecasts read those of thirty days."""

MOST_TOLD = 20
"""Of what is wrong at once; the rest is counted."""


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
    keep_listings: str = "90d"
    """How long every walk of a list stays; of older ones some do (`harvester.store.retention`)."""
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
        if "://" not in self.database:
            return self.database
        # As far as the last sign that may end a password: one that was not escaped holds signs of its own.
        text = re.sub(r"(://[^:@/]*):.*@", r"\1:***@", self.database)
        return re.sub(r"(?i)([?&][^=&]*password=)[^&]*", r"\1***", text)


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
    """The settings in force. Changes nothing and reads every file once.

    Raises `ConfigError` with all that is wrong, joined: of a file each with its line.
    """
    found = _File(file)
    wrong: list[str] = []
    given = found.given(wrong) + _of_environment(os.environ if environment is None else environment, wrong)
    given += _of_flags(flags or {})
    values: dict[str, Any] = {}
    for one in given:
        try:
            values[one.setting.field] = one.setting.check(one.value)
        except TablesRefused as error:
            for number, key, says in error.wrong:
                wrong.append(one.at(number - 1, *([key] if key else [])) + f"{one.name} {number}: {says}")
        except ValueError as error:
            wrong.append(f"{one.at()}{one.name}{'' if one.setting.is_list else ':'} {error}")
    if values.get("egress") and values.get("proxy") is not None:
        places = {one.setting.field: one for one in given}
        proxy, egress = (f"{places[key].at()}{places[key].name}" for key in ("proxy", "egress"))
        wrong.append(
            f"{proxy} and {egress} exclude one another: keep `proxy` where it is the only way out,"
            " or else only the list and write it there as the `proxy` of a route"
        )
    if wrong:
        raise ConfigError(_joined(wrong, found.name))
    return Settings(**values)


def credentials(settings: Settings, environment: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """Username and secret; null without both. Raises `ConfigError` where only one is there or the file cannot be read."""
    environment = os.environ if environment is None else environment
    secret = environment.get("DOCKERHUB_TOKEN", "").strip()
    if not secret and settings.token_file:
        try:
            secret = Path(settings.token_file).read_text(encoding="utf-8-sig").strip()
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
    if not secret.isprintable():
        raise ConfigError("the Docker Hub token takes one line that can be printed: the token alone")
    return settings.username, secret


def user_agent(settings: Settings, version: str) -> str:
    """The one name this program gives itself."""
    return f"harvester/{version} (+{settings.contact})" if settings.contact else f"harvester/{version}"


class _File:
    """The configuration file, read once; its lines are looked for only where something is wrong."""

    def __init__(self, file: str | None) -> None:
        self.name = file or DEFAULT_FILE
        self._text = ""
        self._tree: dict[str, Any] = {}
        if file is None and not os.path.isfile(self.name):
            return
        raw = b""
        try:
            raw = Path(self.name).read_bytes()
            # Some editors begin a file with a mark that is no part of its text.
            self._text = raw.decode("utf-8-sig").replace("\r\n", "\n")
            # With a line end more, what is wrong in the last line has a place too.
            self._tree = tomllib.loads(f"{self._text}\n")
        except OSError as error:
            raise ConfigError(f"cannot read the configuration {self.name}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise ConfigError(f"{self.name}, line {line}: is not UTF-8 text") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(_not_toml(self.name, str(error))) from error
        except RecursionError as error:
            raise ConfigError(f"{self.name}: its lists and tables are nested too deep") from error

    def given(self, wrong: list[str]) -> list[_Given]:
        """What the file gives; unknown keys are added to what is wrong."""
        settings = {setting.toml: setting for setting in _SETTINGS}
        found: list[_Given] = []
        for key, (place, value) in _flat(self._tree).items():
            if key in settings:
                name = f"[[{key}]]" if settings[key].is_list else key
                found.append(_Given(settings[key], value, name, self, place))
            else:
                wrong.append(self.at(place) + unknown_key(key, list(settings)))
        return found

    def at(self, place: Place) -> str:
        """What an error about that place begins with."""
        line = line_of(self._lines, place)
        return f"{self.name}: " if line is None else f"{self.name}, line {line}: "

    @cached_property
    def _lines(self) -> dict[Place, int]:
        return lines_of(self._text)


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that a setting was given."""

    setting: _Setting
    value: Any
    name: str
    """What the setting is called there."""
    file: _File | None = None
    place: Place = ()

    def at(self, *below: int | str) -> str:
        """What an error about it, or about what is below it, begins with."""
        return "" if self.file is None else self.file.at((*self.place, *below))


def _not_toml(name: str, says: str) -> str:
    found = re.fullmatch(r"(.*) \(at line (\d+), (column \d+)\)", says, re.DOTALL)
    return f"{name}, line {found[2]}: {found[1]} ({found[3]})" if found else f"{name}: {says}"


def _joined(wrong: list[str], name: str) -> str:
    """One line: in the order of the file's, whose name stands once."""

    def line(text: str) -> int:
        found = re.match(rf"{re.escape(name)}, line (\d+): ", text)
        return int(found[1]) if found else 0 if text.startswith(f"{name}: ") else 2**31

    first, *others = sorted(wrong, key=line)
    more = [re.sub(rf"^{re.escape(name)}(?:, (?=line )|: )", "", text) for text in others[: MOST_TOLD - 1]]
    return "; ".join([first, *more]) + (f"; and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else "")


def _flat(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[str, tuple[Place, Any]]:
    """Every value by the name of its setting, with its place."""
    flat: dict[str, tuple[Place, Any]] = {}
    lists = [setting.toml for setting in _SETTINGS if setting.is_list]
    for key, value in tree.items():
        place = (*above, key)
        name = ".".join(place)
        is_section = any(one.toml.startswith(f"{name}.") for one in _SETTINGS)
        if name not in lists and isinstance(value, dict) and (value or is_section):
            flat |= _flat(value, place)
        else:
            flat[name] = (place, value)
    return flat


def _of_environment(environment: Mapping[str, str], wrong: list[str]) -> list[_Given]:
    known = {setting.environment: setting for setting in _SETTINGS if setting.environment}
    unknown = [key for key in environment if key.startswith("HARVESTER_") and key not in known]
    wrong += [f"environment: {unknown_key(key, list(known))}" for key in unknown]
    return [_Given(one, environment[key], key) for key, one in known.items() if environment.get(key)]


def _of_flags(flags: Mapping[str, Any]) -> list[_Given]:
    return [
        _Given(one, flags[one.field], f"[[{one.toml}]]" if one.is_list else one.field)
        for one in _SETTINGS
        if flags.get(one.field) is not None
    ]


def _contact(value: Any) -> str:
    text = printable(value)
    if not text.isascii() or any(character in text for character in "()\\"):
        raise ValueError("takes an address or a web page in plain ASCII, without brackets: it goes into the User-Agent")
    return text


def _base(value: Any) -> str:
    text = web_address(value)
    if "?" in text or "#" in text:
        raise ValueError("takes an address without `?` and `#`: paths are put behind it")
    return text.rstrip("/")


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


def _walks_kept(value: Any) -> str:
    text = _kept(value)
    if text != "forever" and (duration(text) or 0) < LOOKED_BACK_S:
        raise ValueError(
            "takes `31d` or more, or `forever`: how often repositories change is told by the walks of thirty days"
        )
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
    _Setting("proxy", "proxy", "HARVESTER_PROXY", proxy_address),
    _Setting("hub_per_minute", "limits.hub_per_minute", "HARVESTER_HUB_RPM", _per_minute),
    _Setting("pulls", "limits.pulls", "HARVESTER_PULLS", _pulls),
    _Setting("pull_reserve", "limits.pull_reserve", "HARVESTER_PULL_RESERVE", _reserve),
    _Setting("pull_interval", "history.pull_interval", "HARVESTER_PULL_INTERVAL", _interval),
    _Setting("metrics_listen", "metrics.listen", "HARVESTER_METRICS", _listen),
    _Setting("keep_jobs", "retention.jobs", None, _kept),
    _Setting("keep_every_pull", "retention.pulls", None, _kept),
    _Setting("keep_deliveries", "retention.deliveries", None, _kept),
    _Setting("keep_listings", "retention.listings", None, _walks_kept),
    _Setting("wal_mb", "storage.wal_mb", None, _number),
    _Setting("keep_free_mb", "storage.keep_free_mb", None, _number),
    _Setting("egress", "egress", None, egress_routes, is_list=True),
    _Setting("watch", "watch", None, watches, is_list=True),
    _Setting("notify", "notify", None, lambda value: notifies(value, RANKS), is_list=True),
)

assert {setting.field for setting in _SETTINGS} == {field.name for field in fields(Settings)}
