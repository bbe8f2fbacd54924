"""Options that several commands take, and how answers are printed. Rank 8."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def settings_options(command: Command) -> Command:
    """`--database` and `--config`."""
    command = click.option(
        "--config", "config", metavar="FILE", help="Configuration file (default: harvester.toml if there)."
    )(command)
    return click.option("--database", metavar="URL", help="Path or URL of the database (default: harvester.db).")(
        command
    )


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(command)


def print_json(answer: Any) -> None:
    """The answer as JSON on standard output."""
    click.echo(json.dumps(answer, indent=2, default=str, ensure_ascii=False))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """The rows under their heads in aligned columns on standard output."""
    texts = [[str(cell) if cell is not None else "-" for cell in row] for row in rows]
    widths = [max(len(line[place]) for line in [list(heads), *texts]) for place in range(len(heads))]
    for line in [list(heads), *texts]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
