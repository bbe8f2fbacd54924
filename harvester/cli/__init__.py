"""The command line: one file per command. Rank 8.

Nothing heavy is imported before a command runs: `harvester --help` knows neither SQLAlchemy nor httpx.
"""

from __future__ import annotations

import importlib
import sys

import click

from harvester import __version__
from harvester.errors import ConfigError, CredentialsRefused, HarvesterError, SchemaMismatch, Unreachable

COMMANDS = (
    "backfill",
    "run",
    "plan",
    "status",
    "doctor",
    "limits",
    "events",
    "whois",
    "notify",
    "jobs",
    "forget",
    "db",
)


_HINTS = {
    "malformed": "; `harvester db check` looks for damage",
    "disk is full": "; make room on its disk, and try again",
}
"""What to do about a database that failed, by what SQLite says of it."""


class _Commands(click.Group):
    """The commands, each loaded from the file of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"harvester.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harvester")
def cli() -> None:
    """Harvest Docker Hub's metadata into one SQLite file: politely, completely, with its history."""


def exit_code(error: HarvesterError) -> int:
    """The exit code of an error that ended a command (contract, section 1)."""
    match error:
        case ConfigError():
            return 2
        case SchemaMismatch():
            return 3
        case CredentialsRefused() | Unreachable():
            return 4
        case _:
            return 1


def main() -> None:
    """Run the command; an error is one line on standard error, never a traceback."""
    try:
        result = cli.main(standalone_mode=False, prog_name="harvester")
    except HarvesterError as error:
        click.echo(f"harvester: {error.message}", err=True)
        sys.exit(exit_code(error))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "harvester"
        click.echo(f"{command}: {' '.join(error.format_message().split())} (`{command} --help` tells more)", err=True)
        sys.exit(2)
    except click.exceptions.Abort:
        click.echo("harvester: interrupted", err=True)
        sys.exit(130)
    except OSError as error:
        # A reader that went away is none: click ends with 1 by itself, and has nobody to tell.
        what = error.filename if error.filename is not None else "reading or writing failed"
        click.echo(f"harvester: {what}: {error.strerror or str(error) or type(error).__name__}", err=True)
        sys.exit(1)
    except Exception as error:
        if not type(error).__module__.startswith(("sqlalchemy", "sqlite3", "psycopg")):
            raise
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        hint = next((hint for sign, hint in _HINTS.items() if sign in reason), "")
        click.echo(f"harvester: the database failed: {reason}{hint}", err=True)
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)
