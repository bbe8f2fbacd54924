"""`harvester notify`: events to their receivers, now. Rank 8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harvester.cli.options import json_option, print_json, print_table, settings_options

if TYPE_CHECKING:
    from harvester.config import Settings


@click.command("notify")
@click.option("--test", "test", metavar="NAME", help="Send one test event to this notifier, and nothing else.")
@click.option("--retry-dead", is_flag=True, help="First put back what was given up.")
@settings_options
@json_option
def command(test: str | None, retry_dead: bool, database: str | None, config: str | None, as_json: bool) -> int:
    """Send all events that are due now to the notifiers of the configuration (`[[notify]]`).

    Ends with 1 when something stayed back or was given up; it stays in the outbox.
    """
    import asyncio

    from harvester import config as configuration
    from harvester import log
    from harvester.errors import ConfigError

    settings = configuration.load(file=config, flags={"database": database})
    if not settings.notify:
        raise ConfigError("nobody is to be told: the configuration has no `[[notify]]`")
    if test is not None and retry_dead:
        raise click.UsageError("either --test or --retry-dead")
    log.configure(form="console", is_quiet=True)
    if test is not None:
        asyncio.run(_test(settings, test))
        answer: Any = {"notifier": test, "delivered": 1}
        print_json(answer) if as_json else click.echo(f"{test} took the test event")
        return 0
    rows, put_back, is_failing = asyncio.run(_deliver(settings, retry_dead))
    if as_json:
        print_json(rows)
    else:
        if retry_dead:
            click.echo(f"put back {put_back} event{'' if put_back == 1 else 's'}")
        print_table(
            ("notifier", "delivered", "waiting", "dead", "next try", "last error"), [tuple(r.values()) for r in rows]
        )
    return 1 if is_failing or any(row["waiting"] or row["dead"] for row in rows) else 0


async def _test(settings: Settings, name: str) -> None:
    async with _opened(settings) as delivery:
        await delivery.test(name)


async def _deliver(settings: Settings, retry_dead: bool) -> tuple[list[dict[str, Any]], int, bool]:
    """What was delivered and what stayed back, by notifier; how many events were put back first; whether a receiver failed."""
    async with _opened(settings) as delivery:
        put_back = await delivery.revive() if retry_dead else 0
        served = await delivery.round()
        standing = {one.notifier: one for one in await delivery.standing()}
    rows = []
    for one in served:
        left = standing.get(one.notifier)
        rows.append(
            {
                "notifier": one.notifier,
                "delivered": one.delivered,
                "waiting": 0 if left is None else left.waiting,
                "dead": 0 if left is None else left.dead,
                "next_try": None if left is None else left.next_try,
                "last_error": one.last_error or (None if left is None else left.last_error),
            }
        )
    return rows, put_back, any(one.failed for one in served)


def _opened(settings: Settings) -> Any:
    from harvester.clock import SystemClock
    from harvester.delivery import stand_alone

    return stand_alone(settings, SystemClock())
