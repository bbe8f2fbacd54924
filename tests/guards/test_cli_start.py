"""The command line starts at once: `--help` lists the commands there are, and nothing heavy is imported before one runs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from harvester.cli import COMMANDS, cli

HEAVY = {"sqlalchemy", "httpx", "rich", "alembic", "structlog", "apscheduler", "asyncio", "ssl"}
CONTRACT = (
    *("backfill", "run", "plan", "status", "limits", "events", "notify", "jobs", "query", "whois", "diff", "db"),
    *("doctor", "forget"),
)
"""Every command that the contract and the issues know; those that are not built yet are not listed."""

ASK = """
import sys
from harvester.cli import main
sys.argv = ["harvester", *{arguments}]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
print(*sorted({{name.partition(".")[0] for name in sys.modules}}), sep="\\n", file=sys.stderr)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ)
    )


def files_of_commands() -> set[str]:
    """Modules of the command line that hold a command."""
    folder = Path(importlib.import_module("harvester.cli").__file__ or "").parent
    return {path.stem for path in folder.glob("*.py") if "def command(" in path.read_text(encoding="utf-8")}


def test_help_lists_the_commands_that_exist_and_no_others() -> None:
    answer = run("-m", "harvester", "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    _, _, table = answer.stdout.partition("Commands:\n")
    listed = [line.split()[0] for line in table.splitlines() if line.startswith("  ") and line[2] != " "]
    assert listed == list(COMMANDS)
    assert set(listed) == files_of_commands()
    assert set(listed) <= set(CONTRACT)


@pytest.mark.parametrize("name", [name for name in CONTRACT if name not in COMMANDS])
def test_a_command_that_is_not_there_is_wrong_usage(name: str) -> None:
    answer = run("-m", "harvester", name)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert f"No such command '{name}'" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    answer = run("-m", "harvester", name, "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"harvester {name} " in answer.stdout.splitlines()[0]
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    assert command.help
    inner = command.commands.values() if isinstance(command, click.Group) else [command]
    for one in inner:
        assert one.help, f"{name} {one.name} says nothing of itself"
        hidden = [o.name for o in one.params if isinstance(o, click.Option) and o.name != "help" and not o.help]
        assert set(hidden) <= {"log_format", "state"}, "options that say nothing beyond their choices"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_nothing_heavy_is_imported_before_a_command_runs(arguments: list[str]) -> None:
    answer = run("-c", ASK.format(arguments=arguments))
    assert answer.returncode == 0, answer.stderr
    loaded = set(answer.stderr.split())
    assert "click" in loaded, "the list of modules came out"
    assert loaded & HEAVY == set()


def test_help_runs_little_of_the_program() -> None:
    answer = run("-c", ASK.format(arguments=["--help"]).replace('.partition(".")[0]', ""))
    assert answer.returncode == 0, answer.stderr
    ours = {name for name in answer.stderr.split() if name.startswith("harvester")}
    assert {"harvester.cli", "harvester.errors"} <= ours, "the list of modules came out"
    above = {name for name in ours if name.count(".") == 1} - {"harvester.cli", "harvester.errors"}
    assert above == set(), "commands load what they need when they run"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_an_answer_that_cannot_be_written_is_a_line_and_not_a_success() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "harvester", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert answer.returncode == 1
    assert answer.stderr == "harvester: reading or writing failed: No space left on device\n"
