"""`harvester doctor`: every check that an operator would make by hand. Rank 9."""

from __future__ import annotations

import click

from harvester.cli.options import json_option, print_json, settings_options


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Ask the far end nothing.")
@settings_options
@json_option
def command(offline: bool, database: str | None, config: str | None, as_json: bool) -> int:
    """Look at configuration, database, disk, clock, queue, freshness and the far end: findings, the worst first.

    Changes nothing. One question to each API, through the limiter. Ends with 1 when there is an error.
    """
    from dataclasses import asdict

    from harvester import config as configuration
    from harvester import log
    from harvester.clock import SystemClock
    from harvester.doctor import examine, of_configuration
    from harvester.errors import ConfigError

    log.configure(form="console", is_quiet=True)
    try:
        settings = configuration.load(file=config, flags={"database": database})
    except ConfigError as error:
        found = [of_configuration(error)]
    else:
        credential: tuple[str, str] | ConfigError | None
        try:
            credential = configuration.credentials(settings)
        except ConfigError as error:
            credential = error
        found = examine(settings, SystemClock(), credential=credential, is_offline=offline)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            click.echo(f"{one.level:<8} {one.area:<14} {one.what}")
            if one.remedy is not None:
                click.echo(f"{'':23} -> {one.remedy}")
    return 1 if any(one.level == "error" for one in found) else 0
