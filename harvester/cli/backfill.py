"""`harvester backfill`: the one-shot harvest. Rank 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harvester.cli.options import json_option, print_json, settings_options
from harvester.errors import CredentialsRefused

if TYPE_CHECKING:
    from harvester.backfill import Summary
    from harvester.jobs import Fill
    from harvester.store.outbox import Standing
    from harvester.store.reads import Incomplete


@click.command("backfill")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--layers",
    default="latest",
    show_default=True,
    metavar="none|latest|all|FILTER",
    help="Tags whose layers are harvested.",
)
@click.option(
    "--tags",
    default="all",
    show_default=True,
    metavar="all|newest:N|FILTER|newest:N,FILTER",
    help="Tags that are harvested. A FILTER is a glob (`*-alpine`), `re:PATTERN` or `semver:RANGE` (`semver:>=7.2 <8`).",
)
@click.option(
    "--holes",
    type=click.Choice(["leave", "fill"]),
    help="Tags known by name only: leave them (default), or ask for them (default with a login).",
)
@click.option("--pulls", metavar="N|auto", help="Manifest pulls per window that may be spent (default: 0, none).")
@settings_options
@click.option("--quiet", is_flag=True, help="Say nothing unless something went wrong.")
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True)
@json_option
def command(
    targets: tuple[str, ...],
    layers: str,
    tags: str,
    holes: str | None,
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

    from harvester.backfill import backfill
    from harvester.clock import SystemClock
    from harvester.request import Request

    log.configure(form="json" if log_format == "json" else "console", is_quiet=quiet)
    request = Request(wanted, tag_policy, layer_policy, fill=filled_as(holes, credential), is_quiet=quiet)
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


def filled_as(holes: str | None, credential: tuple[str, str] | None) -> Fill:
    """As whom holes are filled; null: they are left. With a login the pages show them at no extra cost."""
    if holes == "leave" or (holes is None and credential is None):
        return None
    return "account" if credential else "anonymous"


MOST_LINES = 20


def _complain(summary: Summary) -> None:
    """What the operator has to know, on standard error."""
    lines = [f"not there: {name} ({_AGAIN if name in summary.gone else _FIRST_404})" for name in summary.absent]
    lines += [_incomplete(one) for one in summary.incomplete]
    lines += [f"holes: {one.full_name}: {one.why}" for one in summary.holes]
    if missing := summary.stored["without_layers"]:
        lines.append(f"no layers: the far end had none for {missing} of the tags whose layers were wanted")
    if refused := summary.stored["refused"]:
        lines.append(
            f"refused: {refused} rows of impossible shape or value; samples are in the table `events`, kind `drift`"
        )
    lines += [f"failed: {one.key}: {one.last_error}" for one in summary.dead]
    lines += [_untold(one) for one in summary.untold]
    for line in lines[:MOST_LINES]:
        click.echo(line, err=True)
    if len(lines) > MOST_LINES:
        click.echo(f"... and {len(lines) - MOST_LINES} more; see `harvester status` and `harvester jobs`", err=True)
    if isinstance(summary.fatal, CredentialsRefused):
        hint = "check DOCKERHUB_USERNAME and DOCKERHUB_TOKEN, or go on without; nothing is lost"
        click.echo(f"harvester: {summary.fatal}; {hint}", err=True)
    elif summary.fatal is not None:
        click.echo(f"harvester: {summary.fatal}; nothing is lost, the same command goes on", err=True)
    elif summary.is_interrupted:
        click.echo("interrupted: the same command goes on from here", err=True)


def _incomplete(one: Incomplete) -> str:
    count = "?" if one.reported_count is None else one.reported_count
    why = _REASONS.get(one.stop_reason, one.stop_reason)
    if (one.kind, one.stop_reason) == ("search", "wall"):
        why = "a search shows no more than that (wall)"
    return f"incomplete: {one.kind} of {one.subject}: {one.rows} of {count} rows, {why}"


def _untold(one: Standing) -> str:
    parts = [f"{number} events {what}" for number, what in ((one.waiting, "wait"), (one.dead, "given up")) if number]
    error = f": {one.last_error}" if one.last_error else ""
    return f"not told: {one.notifier}: {', '.join(parts)}{error}; `harvester notify` sends what is due"


_FIRST_404 = "404; remembered, asked again in the next pass"
_AGAIN = "404, and it was missing before; marked as gone, its rows stay"

_REASONS = {
    "known": "the rest is stored, but of some tags only the name (known); `--holes fill` asks for them",
    "wall": "cut by the wall for anonymous clients (wall); a login lifts it",
    "end": "the list ended early (end); its count was larger",
    "denied": "the far end did not allow it (denied)",
    "error": "rows were refused, a page failed or a list that had rows is empty (error); see `harvester status`",
}
