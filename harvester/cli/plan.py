"""`harvester plan`: the cost, before anything is spent. Rank 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harvester.cli.backfill import filled_as
from harvester.cli.options import json_option, print_json, print_table, settings_options

if TYPE_CHECKING:
    from harvester.plan import Answer


@click.command("plan")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option(
    "--layers", default="latest", show_default=True, metavar="none|latest|all|FILTER", help="As of `backfill`."
)
@click.option("--tags", default="all", show_default=True, metavar="all|newest:N|FILTER", help="As of `backfill`.")
@click.option("--holes", type=click.Choice(["leave", "fill"]), help="As of `backfill`.")
@click.option("--pulls", metavar="N|auto", help="As of `backfill`.")
@click.option(
    "--probes", default=10, show_default=True, type=click.IntRange(0, 1000), help="Questions that may be asked."
)
@settings_options
@json_option
def command(
    targets: tuple[str, ...],
    layers: str,
    tags: str,
    holes: str | None,
    pulls: str | None,
    probes: int,
    database: str | None,
    config: str | None,
    as_json: bool,
) -> int:
    """Say what a backfill of TARGETs would cost now: requests by budget, pulls, hours, and what was assumed.

    Without TARGETs: what a day of all that the configuration watches costs.
    """
    from dataclasses import asdict

    from harvester import config as configuration
    from harvester import log
    from harvester.policy import LayerPolicy, TagPolicy
    from harvester.targets import parse_targets

    settings = configuration.load(file=config, flags={"database": database, "pulls": pulls})
    credential = configuration.credentials(settings)
    wanted = parse_targets(targets)
    tag_policy, layer_policy = TagPolicy.parse(tags), LayerPolicy.parse(layers)
    if not wanted and (targets or not settings.watch):
        raise click.UsageError("no target: name some, or watch some in the configuration (`[[watch]]`)")

    from harvester.clock import SystemClock
    from harvester.plan import Question, of_watches, plan

    log.configure(form="console", is_quiet=True)
    fill = filled_as(holes, credential)
    asked = Question(wanted, tag_policy, layer_policy, fill=fill, pulls=settings.pulls != 0)
    questions = [asked] if wanted else of_watches(settings)
    answer = plan(questions, settings, SystemClock(), credential=credential, probes=probes)
    if as_json:
        print_json(asdict(answer))
    else:
        _print(answer)
    return 0


def _print(answer: Answer) -> None:
    rows = []
    for budget, requests in answer.requests.items():
        if not requests and budget == "pulls":
            continue
        purposes = ", ".join(f"{purpose} {number:,}" for purpose, number in answer.purposes.get(budget, {}).items())
        rows.append((budget, f"{requests:,}", answer.per_minute.get(budget), purposes or None))
    print_table(("budget", "requests", "per minute", "for"), rows)
    because = f", the {answer.slowest} budget decides" if answer.slowest else ""
    click.echo(f"takes       {_duration(answer.seconds)} at the present limits{because}")
    if answer.looks:
        more = ", ".join(f"{number:,} {budget}" for budget, number in answer.looks.items())
        click.echo(f"looks       up to {more} more for what changes often (`fastest`): never more than the passes take")
    for budget, opens_at in answer.closed.items():
        click.echo(f"closed      the {budget} budget, until {opens_at}")
    if answer.probes:
        click.echo(f"asked       {answer.probes} request{'s' if answer.probes != 1 else ''} for this forecast")
    for one in answer.holes:
        click.echo(f"holes       {one}")
    for one in answer.assumed:
        click.echo(f"assumed     {one}")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
