"""Settings: where a value comes from, what is refused, and how that reads."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from harvester.config import Settings, credentials, load, user_agent
from harvester.errors import ConfigError

pytestmark = pytest.mark.usefixtures("folder")

SECRET = "dckr_pat_s3cr3t-0f_the.operator"

# Field, TOML name, environment name, default, a value as TOML, the same as environment text, what it becomes.
SETTINGS: list[tuple[str, str, str | None, Any, str, str, Any]] = [
    ("database", "database", "HARVESTER_DATABASE", "harvester.db", '"x.db"', "x.db", "x.db"),
    ("hub_url", "hub.url", "HARVESTER_HUB_URL", "https://hub.docker.com", '"http://[::1]:1/"', "http://[::1]:1", None),
    ("auth_url", "registry.auth_url", "HARVESTER_AUTH_URL", "https://auth.docker.io", '"http://a"', "http://a/", None),
    (
        "registry_url",
        "registry.url",
        "HARVESTER_REGISTRY_URL",
        "https://registry-1.docker.io",
        '"http://r:5000"',
        "http://r:5000",
        "http://r:5000",
    ),
    ("username", "auth.username", "DOCKERHUB_USERNAME", None, '"anna"', "anna", "anna"),
    ("token_file", "auth.token_file", "DOCKERHUB_TOKEN_FILE", None, '"/run/token"', "/run/token", "/run/token"),
    ("contact", "contact", "HARVESTER_CONTACT", None, '"a@example.com"', "a@example.com", "a@example.com"),
    ("proxy", "proxy", "HARVESTER_PROXY", None, '"http://p:3128"', "http://p:3128", "http://p:3128"),
    ("hub_per_minute", "limits.hub_per_minute", "HARVESTER_HUB_RPM", None, "90", "90", 90),
    ("pulls", "limits.pulls", "HARVESTER_PULLS", 0, "40", "40", 40),
    ("pull_reserve", "limits.pull_reserve", "HARVESTER_PULL_RESERVE", "50%", '"25%"', "25%", "25%"),
    ("pull_interval", "history.pull_interval", "HARVESTER_PULL_INTERVAL", "1d", '"6h"', "6h", "6h"),
    ("metrics_listen", "metrics.listen", "HARVESTER_METRICS", "127.0.0.1:9464", '"off"', "off", "off"),
    ("keep_jobs", "retention.jobs", None, "1d", '"12h"', "", "12h"),
    ("keep_every_pull", "retention.pulls", None, "90d", '"forever"', "", "forever"),
    ("keep_deliveries", "retention.deliveries", None, "30d", '"7d"', "", "7d"),
    ("keep_listings", "retention.listings", None, "90d", '"forever"', "", "forever"),
    ("wal_mb", "storage.wal_mb", None, 1024, "64", "", 64),
    ("keep_free_mb", "storage.keep_free_mb", None, 200, "0", "", 0),
]
BECOMES = {"hub_url": "http://[::1]:1", "auth_url": "http://a"}
NAMES = [pytest.param(*row[:3], id=row[0]) for row in SETTINGS]
VALUES = [pytest.param(*row[:2], row[4], BECOMES.get(row[0], row[6]), id=row[0]) for row in SETTINGS]
TEXTS = [
    pytest.param(row[0], row[2], row[5], BECOMES.get(row[0], row[6]), id=row[0])
    for row in SETTINGS
    if row[2] is not None
]
"""Of what the environment may say."""


def written(text: str, name: str = "settings.toml") -> str:
    """A configuration file with this text, in the working directory."""
    Path(name).write_text(text, encoding="utf-8")
    return name


def as_toml(name: str, value: str) -> str:
    section, dot, key = name.rpartition(".")
    return f"[{section}]\n{key} = {value}\n" if dot else f"{key} = {value}\n"


def test_the_table_of_these_tests_has_every_setting_and_its_default() -> None:
    # Lists of tables have tests of their own.
    defaults = {field.name: field.default for field in fields(Settings) if field.default != ()}
    assert {row[0]: row[3] for row in SETTINGS} == defaults
    assert load(environment={}) == Settings()


@pytest.mark.parametrize(("field", "toml", "value", "becomes"), VALUES)
def test_the_file_sets_every_setting(field: str, toml: str, value: str, becomes: Any) -> None:
    settings = load(file=written(as_toml(toml, value)), environment={})
    assert settings == Settings(**{field: becomes})


@pytest.mark.parametrize(("field", "variable", "text", "becomes"), TEXTS)
def test_the_environment_sets_every_setting(field: str, variable: str, text: str, becomes: Any) -> None:
    assert load(environment={variable: text}) == Settings(**{field: becomes})


@pytest.mark.parametrize(("field", "toml", "variable"), NAMES)
def test_a_flag_outdoes_the_environment_that_outdoes_the_file(field: str, toml: str, variable: str | None) -> None:
    values = {
        "hub_per_minute": ("10", "20", "30"),
        "pulls": ("10", "20", "30"),
        "pull_reserve": ('"10"', "20", "30"),
        "pull_interval": ('"6h"', "90m", "30s"),
        "metrics_listen": ('"one:1"', "two:2", "three:3"),
        "keep_jobs": ('"2h"', "3h", "4h"),
        "keep_every_pull": ('"2h"', "3h", "4h"),
        "keep_deliveries": ('"2h"', "3h", "4h"),
        "keep_listings": ('"40d"', "50d", "60d"),
        "wal_mb": ("10", "20", "30"),
        "keep_free_mb": ("10", "20", "30"),
    }.get(field, ('"http://one"', "http://two", "http://three"))
    file = written(as_toml(toml, values[0]))
    if variable is None:
        assert load(file=file, environment={}, flags={field: values[2]}) == Settings(
            **{field: type(getattr(Settings(), field))(values[2])}
        )
        return
    steps = [
        load(environment={}),
        load(file=file, environment={}),
        load(file=file, environment={variable: values[1]}),
        load(file=file, environment={variable: values[1]}, flags={field: values[2]}),
    ]
    found = [getattr(settings, field) for settings in steps]
    assert found == [getattr(Settings(), field), *(type(found[1])(value.strip('"')) for value in values)]
    assert load(file=file, environment={variable: ""}, flags={field: None}) == steps[1], "unset is not a value"


def test_the_default_file_is_read_where_it_is_there_and_another_one_instead_where_it_is_named() -> None:
    written('contact = "default"', "harvester.toml")
    assert load(environment={}).contact == "default"
    assert load(file=written('database = "other.db"'), environment={}) == Settings(database="other.db")


def test_a_working_directory_that_may_not_be_looked_into_has_no_default_file(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        if str(path) == "harvester.toml":
            raise PermissionError(13, "Permission denied", "harvester.toml")
        return real(path, **options)

    # As for the account of the service in root's home; whoever runs the tests may be allowed everything.
    monkeypatch.setattr(os, "stat", stat)
    assert load(environment={}) == Settings()


def test_the_processes_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARVESTER_CONTACT", "me@example.com")
    monkeypatch.setenv("DOCKERHUB_USERNAME", "anna")
    monkeypatch.setenv("DOCKERHUB_TOKEN", SECRET)
    settings = load()
    assert settings.contact == "me@example.com"
    assert credentials(settings) == ("anna", SECRET)


@pytest.mark.parametrize(("typed", "becomes"), [("auto", None), ("0", 0), (0, 0), (" 7 ", 7), (100, 100)])
def test_pulls_are_a_number_or_auto(typed: object, becomes: int | None) -> None:
    assert load(environment={}, flags={"pulls": typed}).pulls == becomes


@pytest.mark.parametrize(
    ("text", "unknown", "near"),
    [
        ('databse = "x"', "databse", "database"),
        ('[hub]\nurI = "x"', "hub.urI", "hub.url"),
        ("[limits]\nhub_per_minut = 1", "limits.hub_per_minut", "limits.hub_per_minute"),
        ("[limits]\npull = 1", "limits.pull", "limits.pulls"),
        ('[auth]\ntoken = "x"', "auth.token", "auth.token_file"),
        ('[registry]\nauthurl = "x"', "registry.authurl", "registry.auth_url"),
        ('hub_url = "x"', "hub_url", "hub.url"),
        ("hub = 1", "hub", "hub.url"),
        ("[hub.url]\nx = 1", "hub.url.x", "hub.url"),
        ('[Hub]\nurl = "x"', "Hub.url", "hub.url"),
        ("[limit]", "limit", "limits.pulls"),
    ],
)
def test_an_unknown_key_of_the_file_is_named_with_the_nearest_known_one(text: str, unknown: str, near: str) -> None:
    file = written(text)
    with pytest.raises(ConfigError) as refusal:
        load(file=file, environment={})
    assert f"`{unknown}`, did you mean `{near}`?" in refusal.value.message
    assert refusal.value.message.startswith(file)


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("HARVESTER_DATABSE", "HARVESTER_DATABASE"),
        ("HARVESTER_HUB_RPN", "HARVESTER_HUB_RPM"),
        ("HARVESTER_PULL", "HARVESTER_PULLS"),
        ("HARVESTER_", "HARVESTER_PULLS"),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_known_one(variable: str, near: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(environment={variable: "x", "PATH": "/bin", "HARVEST": "corn", "DOCKER_HOST": "x"})
    assert f"unknown setting `{variable}`, did you mean `{near}`?" in refusal.value.message


def test_every_unknown_key_is_named_not_just_the_first() -> None:
    with pytest.raises(ConfigError) as refusal:
        load(file=written("one = 1\ntwo = 2\n[hub]\nthree = 3"), environment={})
    assert refusal.value.message.startswith("settings.toml, line 1: unknown setting `one`, did you mean")
    assert "; line 2: unknown setting `two`, " in refusal.value.message
    assert "; line 4: unknown setting `hub.three`, " in refusal.value.message
    with pytest.raises(ConfigError) as refusal:
        load(environment={"HARVESTER_ONE": "1", "HARVESTER_TWO": "2"})
    assert all(f"`HARVESTER_{key}`" in refusal.value.message for key in ("ONE", "TWO"))
    assert refusal.value.message.isprintable()


@pytest.mark.parametrize(
    ("toml", "value"),
    [
        ("database", '""'),
        ("database", "1"),
        ("database", "true"),
        ("database", '["x"]'),
        ("database", '"a\\u0000b"'),
        ("hub.url", '"hub.docker.com"'),
        ("hub.url", '"ftp://hub"'),
        ("hub.url", '"https://"'),
        ("hub.url", '"https://anna:pw@hub"'),
        ("hub.url", '"http://[::1"'),
        ("hub.url", '"http://hub:port"'),
        ("hub.url", '"http://hub:99999"'),
        ("hub.url", '"https://hub?page=1"'),
        ("registry.url", '"https://hub/#top"'),
        ("registry.url", "5000"),
        ("registry.auth_url", '"  "'),
        ("proxy", '"socks5://p"'),
        ("proxy", '"p:3128"'),
        ("proxy", '"http://p:port"'),
        ("contact", '"me (at home)"'),
        ("contact", '"käthe"'),
        ("contact", '"a\\nb"'),
        ("limits.hub_per_minute", "0"),
        ("limits.hub_per_minute", "-1"),
        ("limits.hub_per_minute", "1.5"),
        ("limits.hub_per_minute", '"many"'),
        ("limits.hub_per_minute", "true"),
        ("limits.pulls", "-1"),
        ("limits.pulls", '"Auto"'),
        ("limits.pulls", "99999999999"),
        ("limits.pull_reserve", '"101%"'),
        ("limits.pull_reserve", '"half"'),
        ("limits.pull_reserve", '"-5"'),
        ("limits.pull_reserve", '"%"'),
        ("limits.pull_reserve", '"99999999999999999999"'),
        ("history.pull_interval", '"1w"'),
        ("history.pull_interval", '"366d"'),
        ("history.pull_interval", '"0h"'),
        ("history.pull_interval", "-1"),
        ("history.pull_interval", "3600"),
        ("history.pull_interval", "false"),
        ("retention.jobs", '"59m"'),
        ("retention.listings", '"30d"'),
        ("retention.listings", "90"),
        ("auth.token_file", "1"),
        ("auth.username", '""'),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_setting(toml: str, value: str) -> None:
    file = written(as_toml(toml, value))
    with pytest.raises(ConfigError) as refusal:
        load(file=file, environment={})
    assert refusal.value.message.startswith(f"{file}, line {1 + toml.count('.')}: {toml}: ")
    assert refusal.value.message.isprintable()


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    text = "[limits]\npulls = -1\npull = 3\nhub_per_minute = 1\n[storage]\n\nwal_mb = 'x'\n\"a.b\" = 1\n"
    with pytest.raises(ConfigError) as refusal:
        load(
            file=written(text), environment={"HARVESTER_CONTACT": "(", "HARVESTER_X": "1"}, flags={"pull_reserve": "x"}
        )
    assert [part.partition(" takes")[0] for part in refusal.value.message.split("; ")] == [
        "settings.toml, line 2: limits.pulls:",
        "line 3: unknown setting `limits.pull`, did you mean `limits.pulls`?",
        "line 7: storage.wal_mb:",
        "line 8: unknown setting `storage.a.b`, did you mean `storage.wal_mb`?",
        "environment: unknown setting `HARVESTER_X`, did you mean `HARVESTER_PROXY`?",
        "HARVESTER_CONTACT:",
        "pull_reserve:",
    ]


def test_a_file_is_read_once_and_nothing_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "targets.txt").write_text("nginx\n")
    written('[[watch]]\ntarget = "@targets.txt"\n', "harvester.toml")
    reads: list[str] = []
    plain = Path.open

    def counted(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        reads.append(f"{path} {mode}")
        return plain(path, mode, *rest, **more)

    before = {path: path.stat() for path in folder.iterdir()}
    monkeypatch.setattr(Path, "open", counted)
    load(environment={})
    assert sorted(reads) == ["harvester.toml rb", "targets.txt r"]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == {p: s.st_mtime_ns for p, s in before.items()}


@pytest.mark.parametrize(
    ("toml", "seconds"),
    [("0", 0), ('"0"', 0), ('"45s"', 45), ('"90m"', 5400), ('"6h"', 21_600), ('"365d"', 31_536_000)],
)
def test_the_interval_of_pulls_is_a_number_with_a_unit_or_nothing(toml: str, seconds: int) -> None:
    settings = load(file=written(as_toml("history.pull_interval", toml)), environment={})
    assert settings.pull_interval_s == seconds
    assert Settings().pull_interval_s == 86_400


@pytest.mark.parametrize(
    ("variable", "text"),
    [("HARVESTER_HUB_RPM", "x"), ("HARVESTER_PULLS", "-1"), ("HARVESTER_PROXY", "p"), ("HARVESTER_CONTACT", " ")],
)
def test_a_bad_value_of_the_environment_names_the_variable(variable: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}: "):
        load(environment={variable: text})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"contact = 'a'\n\n\xff\xfe", ", line 3: is not UTF-8 text"),
        (b"\na = = 1", ", line 2: Invalid value (column 5)"),
        (b"a = 1\na = 2", ", line 2: Cannot overwrite a value (column 6)"),
        (b"a = 1\r\n[a]\r\n[b]\r\n[b]\r\n", ", line 2: "),
        (b"[hub\n", ", line 1: "),
        (b"\n[hub", ", line 2: "),
        (b"a = '''", ": Expected"),
        (b"a = " + b"[" * 100_000, ": its lists and tables are nested too deep"),
    ],
)
def test_a_file_that_is_not_toml_is_one_line_that_names_it_and_the_place(folder: Path, text: bytes, where: str) -> None:
    (folder / "bad.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=rf"^bad\.toml{re.escape(where)}") as refusal:
        load(file="bad.toml", environment={})
    assert refusal.value.message.isprintable()


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_it(folder: Path) -> None:
    (folder / "marked.toml").write_text("contact = 'a'\nfoo = 1\n", encoding="utf-8-sig")
    with pytest.raises(ConfigError, match=r"^marked\.toml, line 2: unknown setting `foo`"):
        load(file="marked.toml", environment={})
    (folder / "marked").write_text(f"{SECRET}\r\n", encoding="utf-8-sig")
    assert credentials(Settings(username="anna", token_file="marked"), {}) == ("anna", SECRET)


@pytest.mark.parametrize("file", ["missing.toml", "."])
def test_a_named_file_that_cannot_be_read_is_an_error(file: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load(file=file, environment={})


def test_the_user_agent_is_the_version_and_the_contact_where_there_is_one() -> None:
    assert user_agent(Settings(), "1.2.3") == "harvester/1.2.3"
    assert user_agent(Settings(contact="me@example.com"), "1.2.3") == "harvester/1.2.3 (+me@example.com)"
    assert user_agent(Settings(contact="https://example.com/x"), "1.2.3") == "harvester/1.2.3 (+https://example.com/x)"
