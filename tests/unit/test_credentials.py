"""Credentials: where they come from, what is half of one, and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester.config import Settings, credentials, load
from harvester.errors import ConfigError
from tests.unit.test_config import SECRET, written

pytestmark = pytest.mark.usefixtures("folder")


def test_credentials_come_from_the_environment_or_from_the_named_file() -> None:
    environment = {"DOCKERHUB_USERNAME": "anna", "DOCKERHUB_TOKEN": f" {SECRET}\n"}
    assert credentials(load(environment=environment), environment) == ("anna", SECRET)
    file = written(f"{SECRET}\n", "token")
    by_file = {"DOCKERHUB_USERNAME": "anna", "DOCKERHUB_TOKEN_FILE": file}
    assert credentials(load(environment=by_file), by_file) == ("anna", SECRET)
    by_toml = load(file=written(f'[auth]\nusername = "anna"\ntoken_file = "{file}"'), environment={})
    assert credentials(by_toml, {}) == ("anna", SECRET)
    assert credentials(by_toml, {"DOCKERHUB_TOKEN": "other"}) == ("anna", "other"), "the environment outdoes the file"
    assert credentials(Settings(), {}) is None


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://anna:{SECRET}@h/x",
        f"postgresql://anna:a/{SECRET}@h/x",
        f"postgresql://anna:a@{SECRET}@h/x",
        f"postgresql://h/x?user=anna&password={SECRET}&sslmode=require",
        f"postgresql://h/x?sslpassword={SECRET}",
    ],
)
def test_a_database_s_password_is_not_shown(url: str) -> None:
    shown = Settings(database=url).shown_database
    assert SECRET not in shown
    assert "***" in shown
    assert shown.startswith("postgresql://")


def test_a_path_is_shown_as_it_is() -> None:
    assert Settings(database="a:b@c?password=d.db").shown_database == "a:b@c?password=d.db"


@pytest.mark.parametrize(
    ("settings", "environment", "says"),
    [
        (Settings(username="anna"), {}, "DOCKERHUB_TOKEN"),
        (Settings(username="anna"), {"DOCKERHUB_TOKEN": "  "}, "DOCKERHUB_TOKEN"),
        (Settings(), {"DOCKERHUB_TOKEN": SECRET}, "DOCKERHUB_USERNAME"),
        (Settings(username="anna", token_file="missing"), {}, "missing"),
        (Settings(username="anna", token_file="."), {}, "cannot read the token file"),
        (Settings(username="anna", token_file="empty"), {}, "empty"),
        (Settings(username="anna", token_file="binary"), {}, "not text"),
        (Settings(username="anna", token_file="two"), {}, "takes one line"),
        (Settings(username="anna"), {"DOCKERHUB_TOKEN": f"{SECRET}\0x"}, "takes one line"),
    ],
)
def test_half_a_credential_is_an_error_that_says_which_half(
    folder: Path, settings: Settings, environment: dict[str, str], says: str
) -> None:
    (folder / "empty").write_text("\n")
    (folder / "two").write_text(f"# the token\n{SECRET}\n")
    (folder / "binary").write_bytes(b"\xff\xfe" + SECRET.encode())
    with pytest.raises(ConfigError, match=says) as refusal:
        credentials(settings, environment)
    assert SECRET not in refusal.value.message
    assert refusal.value.message.isprintable()


@pytest.mark.parametrize(
    "environment",
    [
        {"DOCKERHUB_USERNAME": "anna", "DOCKERHUB_TOKEN": SECRET},
        {"HARVESTER_DATABASE": f"postgresql://anna:{SECRET}@db/harvester"},
        {"HARVESTER_DATABASE": f"postgresql://db/harvester?user=anna&password={SECRET}"},
        {"HARVESTER_PROXY": f"http://anna:{SECRET}@proxy:3128"},
    ],
    ids=["token", "database", "database's query", "proxy"],
)
def test_no_secret_is_in_the_settings_text(environment: dict[str, str]) -> None:
    settings = load(environment=environment)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in settings.shown_database


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        (f'[auth]\ntoken = "{SECRET}"', {}),
        (f'[auth]\npassword = "{SECRET}"', {}),
        (f'token = "{SECRET}', {}),
        (f'[hub]\nurl = "https://anna:{SECRET}@hub.docker.com"', {}),
        (f'[hub]\nurl = "https://anna:{SECRET}@h\u2100st"', {}),
        (f'[registry]\nauth_url = "https://:{SECRET}@[auth"', {}),
        (f'proxy = "socks5://anna:{SECRET}@proxy"', {}),
        (f'proxy = "http://anna:{SECRET}@pr\u2100xy"', {}),
        ("", {"HARVESTER_TOKEN": SECRET}),
        ("", {"HARVESTER_PULLS": SECRET}),
        ("", {"HARVESTER_HUB_URL": SECRET}),
        ("", {"HARVESTER_CONTACT": f"({SECRET})"}),
    ],
)
def test_no_secret_is_in_an_error_text(text: str, environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(file=written(text), environment=environment)
    assert SECRET not in refusal.value.message
