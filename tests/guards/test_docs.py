"""What users may rely on is written down: commands, options, settings, tables and views; and what is written down is there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from harvester.cli import COMMANDS, cli
from harvester.config import Settings, load
from harvester.store.tables import Base
from harvester.store.views import views
from tests.unit.test_config import SETTINGS
from tests.unit.test_config_lists import LISTS

CHECKOUT = Path(__file__).resolve().parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
CONFIG = (CHECKOUT / "config" / "harvester.toml").read_text(encoding="utf-8")

# The public surface, as far as it may exist one day; what exists has to be in the README.
TABLES = (
    *("repositories", "tags", "images", "tag_images", "layers", "image_layers", "instructions", "pull_history"),
    *("tag_history", "listings", "events", "jobs", "runs", "run_jobs", "budgets"),
)
VIEWS = (
    *("v_repositories", "v_tags", "v_tag_images", "v_layers", "v_pull_history", "v_pull_daily", "v_tag_timeline"),
    *("v_digest_whereis", "v_base_images", "v_outdated_bases", "v_shared_layers", "v_vanished", "v_incomplete"),
    *("v_holes", "v_events"),
)
VARIABLES = [*(row[2] for row in SETTINGS if row[2] is not None), "DOCKERHUB_TOKEN"]

_SETTING = re.compile(r"#\s?(?P<line>[a-z_]+ *= *\S.*)")
_SECTION = re.compile(r"#?\s?(?P<line>\[+[a-z_.]+\]+)\s*")
_LIST = re.compile(r"# \[\[(?P<name>[a-z_.]+)\]\]\n(?:#.*\n)*")
"""A table of a list: its head and the lines under it, which are in force together or not at all."""


def code_of(markdown: str) -> str:
    """All that stands in code spans and code blocks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", markdown, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *spans])


def names(text: str, name: str) -> bool:
    """Whether the text has this name, and not just as a part of a longer one."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", text) is not None


def options(command: click.Command) -> Iterator[str]:
    for option in command.params:
        if isinstance(option, click.Option):
            yield from (name for name in option.opts if name.startswith("--"))


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def documented() -> list[tuple[str, str]]:
    """Every command with its subcommands, and every option: what to look for, and the command whose line has to say it."""
    found: list[tuple[str, str]] = []
    for name in COMMANDS:
        top = command(name)
        found.append((f"harvester {name}", ""))
        inner = top.commands if isinstance(top, click.Group) else {}
        found += [(sub, f"harvester {name}") for sub in inner]
        found += [(option, "") for one in (top, *inner.values()) for option in options(one)]
    return sorted(set(found))


EXCLUDE_ONE_ANOTHER = ("proxy", "egress")
"""Settings of which a file may have one."""


def uncommented(text: str = CONFIG) -> str:
    """The configuration with every commented setting in force."""
    lines = []
    for line in text.splitlines():
        found = _SETTING.fullmatch(line) or _SECTION.fullmatch(line)
        lines.append(found["line"] if found else line)
    return "\n".join(lines) + "\n"


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


@pytest.mark.parametrize(("what", "beside"), documented())
def test_every_command_and_option_is_in_the_readme(what: str, beside: str) -> None:
    code = code_of(README)
    if beside:
        lines = [line for line in README.splitlines() if beside in line]
        assert lines, f"`{beside}` is not in the README"
        code = code_of("\n".join(lines))
        assert re.search(rf"(?:^|{re.escape(beside)} ){what}\b", code, flags=re.MULTILINE), (
            f"`{beside} {what}` is missing"
        )
    else:
        assert names(code, what)


def test_every_command_that_the_readme_shows_is_there() -> None:
    shown = set(re.findall(r"(?:^|/|-- |\| )harvester ([a-z]\w*)", code_of(README), flags=re.MULTILINE))
    assert "backfill" in shown
    assert shown <= set(COMMANDS)


def test_every_option_that_the_readme_shows_is_there() -> None:
    ours = re.sub(r"^.*(pip|uvx|pipx|pytest|python -m venv).*$", "", code_of(README), flags=re.MULTILINE)
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    known = {what for what, _ in documented()} | {"--help", "--version"}
    assert shown
    assert shown <= known


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_is_in_the_readme_or_in_the_configuration(variable: str) -> None:
    assert names(README, variable) or names(CONFIG, variable)


@pytest.mark.parametrize("toml", [row[1] for row in SETTINGS])
def test_every_setting_is_in_the_readme_or_in_the_configuration(toml: str) -> None:
    assert names(code_of(README), toml) or toml in flat(tomllib.loads(uncommented()))


def test_every_variable_that_is_written_down_is_there() -> None:
    shown = set(re.findall(r"\b(?:HARVESTER|DOCKERHUB)_[A-Z_]+\b", README + CONFIG))
    assert shown <= set(VARIABLES)


@pytest.mark.parametrize("table", [name for name in TABLES if name in Base.metadata.tables])
def test_every_table_is_in_the_readme(table: str) -> None:
    assert names(code_of(README), table)


@pytest.mark.parametrize("view", [name for name in VIEWS if name in views("sqlite")])
def test_every_view_is_in_the_readme(view: str) -> None:
    assert names(code_of(README), view)


def test_every_view_that_is_written_down_is_there_and_public() -> None:
    assert set(re.findall(r"\bv_[a-z_]+\b", README)) <= set(views("sqlite")) <= set(VIEWS)


def test_the_configuration_as_it_is_changes_nothing(tmp_path: Path) -> None:
    assert flat(tomllib.loads(CONFIG)) == {}
    file = tmp_path / "harvester.toml"
    file.write_text(CONFIG, encoding="utf-8")
    assert load(file=str(file), environment={}) == Settings()


def test_the_configuration_has_every_key_and_no_other() -> None:
    found = flat(tomllib.loads(uncommented()))
    assert set(found) == {row[1] for row in SETTINGS} | set(LISTS)
    for name, (keys, _) in LISTS.items():
        assert {key for table in found[name] for key in table} == set(keys)


@pytest.mark.parametrize("name", LISTS)
def test_each_comment_in_a_list_of_the_configuration_holds_the_default(name: str) -> None:
    found = flat(tomllib.loads(uncommented()))[name]
    for key, default in LISTS[name][0].items():
        if default is not None:
            assert {table[key] for table in found if key in table} == {default}


@pytest.mark.parametrize(("toml", "default"), [(row[1], row[3]) for row in SETTINGS])
def test_each_comment_of_the_configuration_holds_the_default(toml: str, default: object) -> None:
    found = flat(tomllib.loads(uncommented()))
    assert toml in found, f"`{toml}` is not in the configuration"
    if default is not None:
        assert found[toml] == default
        assert type(found[toml]) is type(default)


@pytest.mark.parametrize("without", EXCLUDE_ONE_ANOTHER)
def test_all_settings_that_go_together_are_a_valid_file(tmp_path: Path, without: str) -> None:
    file = tmp_path / "harvester.toml"
    text = _LIST.sub(lambda table: "" if table["name"] == without else table[0], CONFIG)
    # The setting stands before the tables that have a key of its name.
    text = re.sub(rf"^# {without} = .*$", "", text, count=1, flags=re.MULTILINE)
    file.write_text(uncommented(text), encoding="utf-8")
    whole = load(file=str(file), environment={})
    assert getattr(whole, without) == getattr(Settings(), without)
    examples = {row[0] for row in SETTINGS if row[3] is None} | set(LISTS)
    assert {name for name in examples if getattr(whole, name) != getattr(Settings(), name)} == examples - {without}


def test_each_line_uncommented_alone_is_a_valid_file(tmp_path: Path) -> None:
    file = tmp_path / "harvester.toml"
    whole = flat(tomllib.loads(uncommented()))
    lines = _LIST.sub("", CONFIG).splitlines()
    places = [place for place, line in enumerate(lines) if _SETTING.fullmatch(line)]
    assert len(places) == len(SETTINGS)
    for place in places:
        found = _SETTING.fullmatch(lines[place])
        assert found is not None
        file.write_text("\n".join([*lines[:place], found["line"], *lines[place + 1 :]]), encoding="utf-8")
        alone = load(file=str(file), environment={})
        changed = [row for row in SETTINGS if getattr(alone, row[0]) != getattr(Settings(), row[0])]
        assert all(row[3] is None and getattr(alone, row[0]) == whole[row[1]] for row in changed)
        assert len(changed) <= 1


def test_each_table_of_a_list_uncommented_alone_is_a_valid_file(tmp_path: Path) -> None:
    file = tmp_path / "harvester.toml"
    tables = list(_LIST.finditer(CONFIG))
    assert {table["name"] for table in tables} == set(LISTS)
    for table in tables:
        text = CONFIG[: table.start()] + uncommented(table[0]) + CONFIG[table.end() :]
        file.write_text(text, encoding="utf-8")
        alone = load(file=str(file), environment={})
        assert [name for name in LISTS if len(getattr(alone, name)) == 1] == [table["name"]]
