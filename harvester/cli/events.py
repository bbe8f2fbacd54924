"""`harvester events`: what changed, the most urgent first. Rank 8."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from harvester.cli.options import json_option, print_json, print_table, settings_options

if TYPE_CHECKING:
    from harvester.store.answers import Change

_AGO = re.compile(r"(\d{1,6})([smhdw])\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


@click.command("events")
@click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="7d|12h|2026-11-01",
    help="How long ago (`s`, `m`, `h`, `d`, `w`), or a date or instant, UTC.",
)
@click.option("--kind", "kinds", multiple=True, metavar="GLOB", help="Kinds (`tag.*`); may be given several times.")
@click.option("--target", metavar="GLOB", help="What it happened to (`bitnami/*`, `nginx:1.*`).")
@click.option(
    "--rank", type=click.IntRange(1, 3), default=3, show_default=True, help="1: urgent only, 2: notable too, 3: all."
)
@click.option(
    "--limit", type=click.IntRange(0), default=100, show_default=True, help="Events at the most; 0 shows all of them."
)
@settings_options
@json_option
def command(
    since: str,
    kinds: tuple[str, ...],
    target: str | None,
    rank: int,
    limit: int,
    database: str | None,
    config: str | None,
    as_json: bool,
) -> None:
    """Show what changed, the most urgent first, then the newest: overwritten versions, changed pushers, what vanished."""
    from harvester import config as configuration
    from harvester.clock import SystemClock
    from harvester.errors import ConfigError
    from harvester.events import RANK_WORDS, RANKS, concerns, idle_glob, sentence, subject
    from harvester.store import answers, reads

    began = instant_since(since, SystemClock().time())
    if (idle := idle_glob(kinds)) is not None:
        raise ConfigError(f"--kind {idle}: there is no such kind of event; there are {', '.join(sorted(RANKS))}")
    settings = configuration.load(file=config, flags={"database": database})

    def passes(change: Change) -> bool:
        if kinds and not any(fnmatchcase(change.kind, kind) for kind in kinds):
            return False
        return target is None or concerns(target, change.repository, change.tag, change.detail)

    found = reads.answer(
        settings.database,
        lambda connection: answers.changes(connection, began, rank=rank, passes=passes, most=limit or answers.NO_LIMIT),
    )
    if as_json:
        said = [one | {"sentence": sentence(one["kind"], one["detail"])} for one in reads.as_dicts(found.shown)]
        print_json({"since": began, "events": found.total, "shown": said})
    elif found.shown:
        print_table(
            ("observed", "rank", "kind", "what", "evidence"),
            [
                (
                    one.observed_at,
                    RANK_WORDS.get(one.rank, one.rank),
                    one.kind,
                    subject(one.repository, one.tag, one.detail),
                    sentence(one.kind, one.detail),
                )
                for one in found.shown
            ],
        )
    else:
        click.echo(f"no such event since {began}", err=True)
    if len(found.shown) < found.total:
        click.echo(f"... and {found.total - len(found.shown)} more (`--limit 0` shows all)", err=True)


def instant_since(text: str, now: float) -> str:
    """The instant that `text` names, seen from `now` (epoch seconds). Raises `ConfigError`."""
    from datetime import UTC, datetime

    from harvester.clock import instant
    from harvester.errors import ConfigError

    if ago := _AGO.match(text.strip()):
        return instant(max(0.0, now - int(ago[1]) * _UNITS[ago[2]]))
    try:
        named = datetime.fromisoformat(text.strip())
        return instant(max(0.0, (named if named.tzinfo else named.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"--since {text}: neither a time span (`7d`, `12h`, `30m`) nor a date (`2026-11-01`, `2026-11-01T12:00:00Z`)"
        ) from error
