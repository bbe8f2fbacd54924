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
    """Show who works, what is watched, the queue, what is stored, incomplete listings, events on their way, failures."""
    from dataclasses import asdict

    from harvester import config as configuration
    from harvester.clock import SystemClock
    from harvester.store import outbox, processes, reads, service
    from harvester.store.moment import Moment

    settings = configuration.load(file=config, flags={"database": database})
    now = Moment.of(SystemClock().time())

    def ask(connection: Any) -> dict[str, Any]:
        return {
            "rows": reads.row_counts(connection),
            "jobs": reads.as_dicts(reads.job_counts(connection)),
            "incomplete": reads.as_dicts(reads.incomplete(connection, MOST)),
            "dead": reads.as_dicts(reads.jobs_in(connection, "dead", MOST)),
            "waiting": reads.as_dicts(reads.jobs_in(connection, "waiting", MOST)),
            "notifiers": reads.as_dicts(outbox.standing(connection)),
            "dead_deliveries": reads.as_dicts(outbox.dead_deliveries(connection, MOST)),
            "processes": [
                {
                    "command": one.command,
                    "version": one.version,
                    "host": one.host,
                    "pid": one.pid,
                    "since": one.started_at,
                }
                for one in processes.at_work(connection, now)
            ],
            "freshness": asdict(service.freshness(connection, now)),
            "watches": reads.as_dicts(service.watches(connection, now, MOST)),
            "pruned": reads.as_dicts(service.pruned(connection, now)),
        }

    answer = reads.answer(settings.database, ask)
    if as_json:
        print_json({"database": settings.shown_database} | answer)
        return
    click.echo(settings.shown_database)
    _print_service(answer)
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


def _print_service(answer: dict[str, Any]) -> None:
    """Who works, what is watched, and what is only counted any more."""
    for one in answer["processes"]:
        click.echo(
            f"at work     harvester {one['command']} {one['version']} since {one['since']} (host {one['host']}, pid {one['pid']})"
        )
    fresh = answer["freshness"]
    if fresh["in_force"]:
        lag = f", the longest lag is {_span(fresh['lag_s'])}" if fresh["lag_s"] else ""
        click.echo(
            f"watches     {fresh['in_force']} in force, {fresh['due']} due, {fresh['under_way']} under way{lag}"
            + (f", passes {fresh['stretch']:.1f} times as far apart as configured" if fresh["stretch"] else "")
        )
    if answer["watches"]:
        click.echo(f"\nwatches (those due first, {MOST} at the most)")
        rows = [
            (
                one["target"],
                one["tags"],
                one["layers"],
                _span(one["every_s"]),
                one["next_check_at"],
                _span(one["overdue_s"]) if one["overdue_s"] else None,
                one["pass_finished_at"] or (one["pass_began_at"] and f"under way since {one['pass_began_at']}"),
            )
            for one in answer["watches"]
        ]
        print_table(("target", "tags", "layers", "every", "next pass", "overdue", "last pass"), rows)
    if answer["pruned"]:
        click.echo("\njobs of the last seven days of which the rows are gone")
        print_table(("job kind", "done", "dead", "attempts"), [tuple(row.values()) for row in answer["pruned"]])
    if answer["processes"] or answer["watches"] or answer["pruned"]:
        click.echo()


def _span(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return (
        f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds}s"
    )


_NOTIFIER_HEADS = ("notifier", "events waiting", "given up", "next try", "last error")
_JOB_HEADS = ("id", "kind", "key", "state", "attempt", "not before", "last error", "ended")
