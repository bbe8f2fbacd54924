"""`harvester limits`: the ledger of budgets. Rank 8."""

from __future__ import annotations

import time

import click

from harvester.cli.options import json_option, print_json, print_table, settings_options


@click.command("limits")
@settings_options
@json_option
def command(database: str | None, config: str | None, as_json: bool) -> None:
    """Show every budget: limit, window, used, what others spend, and when it opens again."""
    from harvester import config as configuration
    from harvester.clock import instant
    from harvester.store import reads

    settings = configuration.load(file=config, flags={"database": database})
    now = time.time()
    rows = []
    for one in reads.answer(settings.database, reads.budgets):
        is_over = one.window_ends_at <= now
        opens = one.not_before
        used = 0 if is_over else max(one.spent, one.counted)
        if opens <= now:
            opens = one.window_ends_at if not is_over and one.allowed <= used else now
        rows.append(
            {
                "budget": one.budget,
                "route": one.route,
                "identity": one.identity,
                "limit": one.limit,
                "allowed": one.allowed,
                "window_s": one.window_s,
                "used": used,
                "others": round(one.others, 1),
                "left_to_others": max(0, one.limit - one.allowed),
                "opens_at": instant(opens) if opens > now else None,
                "closed_because": one.closed_reason if one.not_before > now else None,
                "source": one.source,
            }
        )
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no budget was used yet")
    else:
        heads = (
            "budget",
            "route",
            "identity",
            "limit",
            "allowed",
            "window s",
            "used",
            "others",
            "reserve",
            "opens at",
            "closed because",
            "from",
        )
        print_table(heads, [tuple(row.values()) for row in rows])
