"""`harvester forget`: what is stored of a target goes, on purpose. Rank 9."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harvester.cli.options import json_option, print_json, settings_options

if TYPE_CHECKING:
    from collections import Counter

    from harvester.config import Settings
    from harvester.targets import Target


@click.command("forget")
@click.argument("target", metavar="TARGET")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@settings_options
@json_option
def command(target: str, yes: bool, dry_run: bool, database: str | None, config: str | None, as_json: bool) -> None:
    """Remove what is stored of TARGET: a repository, one tag, a namespace or a search, with all their history.

    Images, layers and instructions go where nothing else has them. Of a search its walks go, not what it found. What is watched is
    not forgotten: take it out of the configuration first. Cut short, the same command goes on.
    """
    from harvester import config as configuration
    from harvester.errors import ConfigError
    from harvester.store import forgetting, reads
    from harvester.store.engine import database_url, open_writer
    from harvester.targets import parse_target

    if target.startswith("@"):
        raise ConfigError(f"{target}: one target at a time is forgotten, no file of targets")
    wanted = parse_target(target)
    settings = configuration.load(file=config, flags={"database": database})
    _refuse_watched(wanted, settings, config)
    found = reads.answer(settings.database, lambda connection: forgetting.stored(connection, wanted))
    # Which images those are, only removing the rest shows.
    more = ", and images, layers and instructions that nothing else has," if found["tag_images"] else ""
    told = f"{settings.shown_database}: {wanted}: {_told(found)}{more}"
    if dry_run:
        _print(settings, wanted, found, f"{told} would go", as_json=as_json)
        return
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise ConfigError(f"{told} would go; say --yes where nobody can be asked")
        click.confirm(f"{told} will go for good. Remove it?", abort=True, err=True)
    engine = open_writer(database_url(settings.database))
    try:
        removed = forgetting.forget(engine, wanted)
    finally:
        engine.dispose()
    what = f"{_told(removed)} removed" if removed else "nothing was stored"
    _print(settings, wanted, removed, f"{settings.shown_database}: {wanted}: {what}", as_json=as_json)


def _refuse_watched(target: Target, settings: Settings, config: str | None) -> None:
    """Raise `ConfigError` where the configuration, or the daemon by what it read last, watches the target or a part of it."""
    from harvester.config import DEFAULT_FILE
    from harvester.errors import ConfigError
    from harvester.store import forgetting, reads

    named = sorted(
        {str(one) for watch in settings.watch for one in watch.targets if forgetting.overlap(target, str(one))}
    )
    if named:
        raise ConfigError(
            f"{target} is watched: {config or DEFAULT_FILE} names {', '.join(named)} in `[[watch]]`; take it out there first, and "
            "reload `harvester run`"
        )
    watched = reads.answer(settings.database, lambda connection: forgetting.watched(connection, target))
    if watched:
        raise ConfigError(
            f"{target} is watched: `harvester run` has read {', '.join(watched)} from its configuration; take it out there first, "
            "and reload `harvester run`"
        )


def _told(rows: Counter[str]) -> str:
    return ", ".join(f"{number} {table}" for table, number in rows.items()) or "nothing"


def _print(settings: Settings, target: Target, rows: Counter[str], line: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"database": settings.shown_database, "target": str(target), "rows": dict(rows)})
    else:
        click.echo(line)
