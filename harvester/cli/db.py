"""`harvester db`: schema and file upkeep. Rank 8."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harvester.cli.options import json_option, print_json, settings_options

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from harvester.config import Settings


@click.group("db")
def command() -> None:
    """Upgrade, look at, check, tidy and back up the database."""


@command.command("upgrade")
@settings_options
def upgrade(database: str | None, config: str | None) -> None:
    """Create the schema or bring it up to this program's. Refused while a process of another version works on the database."""
    from harvester import __version__
    from harvester.clock import SystemClock
    from harvester.store import migrate

    settings = _settings(database, config)
    engine = _writer(settings)
    try:
        done = migrate.upgrade(engine, SystemClock(), version=__version__)
    finally:
        engine.dispose()
    click.echo(f"{settings.shown_database}: {f'{done}, now at' if done else 'already at'} revision {migrate.HEAD}")


@command.command("current")
@settings_options
@json_option
def current(database: str | None, config: str | None, as_json: bool) -> None:
    """Show the schema's revision and the one this program needs."""
    from harvester.store import migrate
    from harvester.store.engine import database_url, open_reader

    settings = _settings(database, config)
    reader = open_reader(database_url(settings.database))
    try:
        with reader.connect() as connection:
            found = migrate.current(connection)
    finally:
        reader.dispose()
    if as_json:
        print_json({"database": settings.shown_database, "revision": found, "needed": migrate.HEAD})
    else:
        click.echo(f"{settings.shown_database}: revision {found or 'none'}, this program needs {migrate.HEAD}")


@command.command("check")
@settings_options
@json_option
def check(database: str | None, config: str | None, as_json: bool) -> int:
    """Look for damage: pages, indexes, references, and the schema's revision. Exit code 1 where there is any."""
    from harvester.store.engine import database_url
    from harvester.store.upkeep import damage_of

    settings = _settings(database, config)
    found = damage_of(settings.database)
    is_file = database_url(settings.database).get_backend_name() == "sqlite"
    if as_json:
        print_json({"database": settings.shown_database, "damage": found if is_file else None})
    else:
        for line in found or [
            "no damage found" if is_file else "nothing is looked for here: ask the server's own `pg_amcheck`"
        ]:
            click.echo(f"{settings.shown_database}: {line}")
    return 1 if found else 0


@command.command("tidy")
@settings_options
@json_option
def tidy(database: str | None, config: str | None, as_json: bool) -> None:
    """Remove now what `[retention]` in the configuration lets go, a few rows at a time, while others work."""
    from harvester.clock import SystemClock
    from harvester.store import migrate, reads, retention
    from harvester.store.moment import Moment

    settings = _settings(database, config)
    reads.answer(settings.database, lambda connection: None)
    keep = retention.Keep.of(
        settings.keep_jobs, settings.keep_every_pull, settings.keep_deliveries, settings.keep_listings
    )
    current = retention.begin(keep, Moment.of(SystemClock().time()))
    engine = _writer(settings)
    try:
        while not current.is_over:
            with engine.begin() as connection:
                migrate.check(connection)
                current = retention.step(connection, current)
    finally:
        engine.dispose()
    removed = {part: current.removed.get(part, 0) for part in retention.PARTS}
    if as_json:
        print_json({"database": settings.shown_database, "removed": removed})
        return
    told = ", ".join(f"{number} {_TIDIED[part]}" for part, number in removed.items() if number)
    click.echo(f"{settings.shown_database}: {f'removed {told}' if told else 'nothing is old enough to go'}")


_TIDIED = {
    "jobs": "jobs",
    "runs": "runs",
    "pulls": "observations of pull counts",
    "deliveries": "deliveries",
    "names": "names that walks had met",
    "listings": "walks of lists",
}


@command.command("backup")
@click.argument("file", metavar="FILE|FOLDER")
@click.option(
    "--keep", type=click.IntRange(1), help="In FOLDER, keep the newest so many backups and remove the others."
)
@settings_options
def backup(file: str, keep: int | None, database: str | None, config: str | None) -> None:
    """Copy the database to FILE while others write to it, and check the copy; or into FOLDER, named after the time.

    With --keep the oldest go, of files that this command has named (`harvester-20261121T160000Z.db`), once the new one is there.
    """
    from harvester.clock import SystemClock
    from harvester.store import reads
    from harvester.store.moment import Moment
    from harvester.store.upkeep import back_up, backup_in, drop_backups

    settings = _settings(database, config)
    # One of an older revision too: the moment before an upgrade is when a copy is wanted most.
    reads.refuse_other_programs(settings.database)
    is_folder = keep is not None or Path(file).is_dir()
    target = backup_in(file, Moment.of(SystemClock().time())) if is_folder else file
    size = back_up(settings.database, target)
    click.echo(f"{target}: {size} bytes, checked")
    if keep is not None:
        for name in drop_backups(file, keep, target):
            click.echo(f"{name}: removed, {keep} are kept")


def _settings(database: str | None, config: str | None) -> Settings:
    from harvester import config as configuration

    return configuration.load(file=config, flags={"database": database})


def _writer(settings: Settings) -> Engine:
    from harvester.store.engine import database_url, open_writer

    return open_writer(database_url(settings.database))
