"""`harvester status`: how things stand. Rank 8."""

from __future__ import annotations

from typing import Any

import click

from harvester.cli.options import json_option, print_json, print_table, settings_options

MOST = 20


@click.command("status")
@settings_options
@json_option
def command(database: str | None, config: str | None, as_json: bool) -> None:
    """Show the queue, what is stored, incomplete listings, events on their way and the last failures."""
    from harvester import config as configuration
    from harvester.store import outbox, reads

    settings = configuration.load(file=config, flags={"database": database})

    def ask(connection: Any) -> dict[str, Any]:
        return {
            "rows": reads.row_counts(connection),
            "jobs": reads.as_dicts(reads.job_counts(connection)),
            "incomplete": reads.as_dicts(reads.incomplete(connection, MOST)),
            "dead": reads.as_dicts(reads.jobs_in(connection, "dead", MOST)),
            "waiting": reads.as_dicts(reads.jobs_in(connection, "waiting", MOST)),
            "notifiers": reads.as_dicts(outbox.standing(connection)),
            "dead_deliveries": reads.as_dicts(outbox.dead_deliveries(connection, MOST)),
        }

    answer = reads.answer(settings.database, ask)
    if as_json:
        print_json({"database": settings.shown_database} | answer)
        return
    click.echo(settings.shown_database)
    print_table(("table", "rows"), list(answer["rows"].items()))
    click.echo()
    if answer["jobs"]:
        print_table(("job kind", "state", "jobs"), [tuple(row.values()) for row in answer["jobs"]])
    else:
        click.echo("no jobs")
    if answer["notifiers"]:
        click.echo()
        print_table(_NOTIFIER_HEADS, [tuple(row.values()) for row in answer["notifiers"]])
    for title, heads, rows in (
        ("incomplete listings", ("kind", "subject", "reported", "rows", "reason", "finished"), answer["incomplete"]),
        ("failed jobs", _JOB_HEADS, answer["dead"]),
        ("jobs put off", _JOB_HEADS, answer["waiting"]),
        (
            "events given up",
            ("id", "notifier", "event", "subject", "attempt", "last error", "ended"),
            answer["dead_deliveries"],
        ),
    ):
        if rows:
            click.echo(f"\n{title} (newest {MOST} at the most)")
            print_table(heads, [tuple(row.values()) for row in rows])


_NOTIFIER_HEADS = ("notifier", "events waiting", "given up", "next try", "last error")
_JOB_HEADS = ("id", "kind", "key", "state", "attempt", "not before", "last error", "ended")
