"""`harvester jobs`: dead letters, and what to do with them. Rank 8."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from harvester.cli.options import json_option, print_json, print_table, settings_options

if TYPE_CHECKING:
    from sqlalchemy import Connection

IDS = click.IntRange(1, 2**63 - 1)

STATES = ("dead", "waiting", "ready", "running", "done")


@click.group("jobs")
def command() -> None:
    """List jobs that failed for good, look at one, try it again or drop it."""


@command.command("list")
@click.option("--state", type=click.Choice(STATES), default="dead", show_default=True)
@click.option(
    "--most", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Rows at the most, newest first."
)
@settings_options
@json_option
def list_jobs(state: str, most: int, database: str | None, config: str | None, as_json: bool) -> None:
    """List the jobs in a state."""
    from harvester import config as configuration
    from harvester.store import reads

    settings = configuration.load(file=config, flags={"database": database})
    rows = reads.as_dicts(reads.answer(settings.database, lambda connection: reads.jobs_in(connection, state, most)))
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(f"no {state} jobs")
    else:
        print_table(
            ("id", "kind", "key", "state", "attempt", "not before", "last error", "ended"),
            [tuple(r.values()) for r in rows],
        )


@command.command("show")
@click.argument("job_id", type=IDS, metavar="ID")
@settings_options
@json_option
def show(job_id: int, database: str | None, config: str | None, as_json: bool) -> None:
    """Show one job."""
    from harvester import config as configuration
    from harvester.errors import ConfigError
    from harvester.store import reads

    settings = configuration.load(file=config, flags={"database": database})
    row = reads.answer(settings.database, lambda connection: reads.job(connection, job_id))
    if row is None:
        raise ConfigError(f"there is no job {job_id}; `harvester jobs list` shows the dead ones")
    [found] = reads.as_dicts([row])
    if as_json:
        print_json(found)
    else:
        print_table(("field", "value"), list(found.items()))


@command.command("retry")
@click.argument("job_ids", type=IDS, nargs=-1, required=True, metavar="ID...")
@settings_options
def retry(job_ids: tuple[int, ...], database: str | None, config: str | None) -> None:
    """Make dead jobs ready again: `harvester run` takes them up, or the next backfill of their run."""
    from harvester.clock import SystemClock
    from harvester.store import queue, runs
    from harvester.store.moment import Moment

    now = Moment.of(SystemClock().time())

    def again(connection: Connection, job_id: int) -> str | None:
        outcome = queue.revive(connection, job_id, now)
        if outcome == "missing":
            return None
        if outcome == "live":
            return "is asked for by another job already"
        runs.reopen_of(connection, job_id)
        return "ready again"

    _each(job_ids, database, config, again)


@command.command("drop")
@click.argument("job_ids", type=IDS, nargs=-1, required=True, metavar="ID...")
@settings_options
def drop(job_ids: tuple[int, ...], database: str | None, config: str | None) -> None:
    """Delete dead jobs: what they were to harvest is not asked for until somebody asks again."""
    from harvester.store import queue

    _each(job_ids, database, config, lambda connection, job_id: "dropped" if queue.drop(connection, job_id) else None)


def _each(
    job_ids: tuple[int, ...],
    database: str | None,
    config: str | None,
    change: Callable[[Connection, int], str | None],
) -> None:
    from harvester import config as configuration
    from harvester.errors import ConfigError
    from harvester.store import migrate, reads
    from harvester.store.engine import database_url, open_writer

    settings = configuration.load(file=config, flags={"database": database})
    # Read first: a database that is not there is not created by a question about it.
    reads.answer(settings.database, lambda connection: None)
    engine = open_writer(database_url(settings.database))
    missing: list[int] = []
    try:
        with engine.begin() as connection:
            migrate.check(connection)
            for job_id in job_ids:
                done = change(connection, job_id)
                if done is None:
                    missing.append(job_id)
                else:
                    click.echo(f"{job_id} {done}")
    finally:
        engine.dispose()
    if missing:
        raise ConfigError(f"no dead job has the id {', '.join(map(str, missing))}; `harvester jobs list` shows them")
