"""`python -m tests.system.refusal_table`: the table as Markdown, with what was really seen."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.system.refusal_table.rows import ROWS
from tests.system.refusal_table.stage import Refused, migrated, played

HEADS = ("| sent | did | operator saw |", "| --- | --- | --- |")


def told() -> str:
    """Every row as it is written down; the tests play it and find that it is so."""
    lines = [_line(row, row.seen, row.exit_code) for row in ROWS]
    return "\n".join([*HEADS, *lines]) + "\n"


def markdown() -> str:
    """Every row, played."""
    lines = [*HEADS]
    with tempfile.TemporaryDirectory() as folder:
        template = migrated(Path(folder))
        for row in ROWS:
            with played(row, template) as stage:
                said = stage.said[-1]
                row.judge(stage)
            lines.append(_line(row, said.lines, said.exit_code))
    return "\n".join(lines) + "\n"


def _line(row: Refused, seen: Sequence[str], exit_code: int) -> str:
    lines = "<br>".join([*(f"`{_cell(line)}`" for line in seen), f"exit {exit_code}"])
    return f"| {_cell(row.sent)} | {_cell(row.did)} | {lines} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
