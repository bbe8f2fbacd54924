"""`harvester backfill`: the one-shot harvest. Rank 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harvester.cli.options import json_option, print_json, settings_options

if TYPE_CHECKING:
    from harvester.backfill import Summary


@click.command("backfill")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--layers",
    default="latest",
    show_default=True,
    metavar="none|latest|all|GLOB",
    help="Tags whose layers are harvested.",
)
@click.option("--tags", default="all", show_default=True, metavar="all|newest:N|GLOB", help="Tags that are harvested.")
@click.option("--pulls", metavar="N|auto", help="Manifest pulls per window that may be spent (default: 0, none).")
@settings_options
@click.option("--quiet", is_flag=True, help="Say nothing unless something went wrong.")
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True)
@json_option
def command(
    targets: tuple[str, ...],
    layers: str,
    tags: str,
    pulls: str | None,
    database: str | None,
    config: str | None,
    quiet: bool,
    log_format: str,
    as_json: bool,
) -> int:
    """Harvest TARGETs until nothing is left, then stop.

    \b
    nginx                 an official repository
    bitnami/redis         a repository
    bitnami/redis:7.2     one tag
    bitnami/              a whole namespace
    search:prometheus     every hit of a search
    official              all official repositories
    @FILE                 one target per line, # comments

    The same command again goes on where it was cut; after a finished one it begins a new pass.
    """
    from harvester import config as configuration
    from harvester import log
    from harvester.policy import LayerPolicy, TagPolicy
    from harvester.targets import parse_targets

    flags = {"database": database, "pulls": pulls}
    settings = configuration.load(file=config, flags=flags)
    credential = configuration.credentials(settings)
    tag_policy, layer_policy = TagPolicy.parse(tags), LayerPolicy.parse(layers)
    wanted = parse_targets(targets)
    if not wanted:
        raise click.UsageError("no target is left: the files that were named list none")

    from harvester.backfill import Request, backfill
    from harvester.clock import SystemClock

    log.configure(form="json" if log_format == "json" else "console", is_quiet=quiet)
    request = Request(wanted, tag_policy, layer_policy, is_quiet=quiet)
    summary = backfill(request, settings, SystemClock(), credential=credential)
    _complain(summary)
    if as_json:
        print_json(summary.as_dict())
    elif not quiet:
        _print(summary, settings.shown_database)
    return summary.exit_code


def _print(summary: Summary, database: str) -> None:
    stored = summary.stored
    if summary.is_resumed:
        click.echo("went on with the run that was cut short")
    click.echo(
        f"stored      {stored['repositories']} repositories, {stored['tags']} tags, layers of {stored['images']} images"
    )
    asked = ", ".join(f"{number} {budget}" for budget, number in summary.requests.items()) or "none"
    click.echo(f"requests    {asked}" + (f" ({summary.redirects} redirects)" if summary.redirects else ""))
    click.echo(f"took        {summary.seconds:.1f} s")
    rows = ", ".join(f"{count} {table}" for table, count in summary.rows.items() if table != "events")
    click.echo(f"database    {database}: {rows}")


MOST_LINES = 20


def _complain(summary: Summary) -> None:
    """What the operator has to know, on standard error."""
    lines = [f"not there: {name} (404; remembered, asked again in the next pass)" for name in summary.absent]
    lines += [
        f"incomplete: {one.kind} of {one.subject}: {one.rows} of {one.reported_count if one.reported_count is not None else '?'}"
        f" rows, {_REASONS.get(one.stop_reason, one.stop_reason)}"
        for one in summary.incomplete
    ]
    if missing := summary.stored["without_layers"]:
        lines.append(f"no layers: the far end had none for {missing} of the tags whose layers were wanted")
    if refused := summary.stored["refused"]:
        lines.append(
            f"refused: {refused} rows of impossible shape or value; samples are in the table `events`, kind `drift`"
        )
    lines += [f"failed: {one.key}: {one.last_error}" for one in summary.dead]
    for line in lines[:MOST_LINES]:
        click.echo(line, err=True)
    if len(lines) > MOST_LINES:
        click.echo(f"... and {len(lines) - MOST_LINES} more; see `harvester status` and `harvester jobs`", err=True)
    if summary.fatal is not None:
        click.echo(f"harvester: {summary.fatal}; nothing is lost, the same command goes on", err=True)
    elif summary.is_interrupted:
        click.echo("interrupted: the same command goes on from here", err=True)


_REASONS = {
    "wall": "cut by the wall for anonymous clients (wall); a login lifts it",
    "end": "the list ended early (end); its count was larger",
    "denied": "the far end did not allow it (denied)",
    "error": "rows were refused or a page failed (error); see `harvester status`",
}
