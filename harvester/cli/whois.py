"""`harvester whois`: where a digest was seen, and when. Rank 8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harvester.cli.options import json_option, print_json, print_table, settings_options

if TYPE_CHECKING:
    from harvester.store.answers import Place, Places

MOST_NAMED = 5
"""Digests that are named where several begin alike."""


@click.command("whois")
@click.argument("digest", metavar="DIGEST")
@click.option(
    "--limit", type=click.IntRange(0), default=100, show_default=True, help="Places at the most; 0 shows all of them."
)
@settings_options
@json_option
def command(digest: str, limit: int, database: str | None, config: str | None, as_json: bool) -> None:
    """Show every tag, repository and period in which DIGEST (an index, image, layer or config) was seen.

    DIGEST is `sha256:` and 64 hexadecimal digits, those alone, or their first 12 and more. "First seen" is when this database first
    saw it there: it may have been there before. "Pushed" is what Docker Hub says.
    """
    from dataclasses import asdict

    from harvester import config as configuration
    from harvester.errors import ConfigError
    from harvester.names import parse_digest
    from harvester.store import answers, reads

    prefix = parse_digest(digest)
    settings = configuration.load(file=config, flags={"database": database})

    def ask(connection: Any) -> tuple[list[str], Places]:
        found = answers.matching(connection, prefix, MOST_NAMED + 1)
        if len(found) != 1:
            return found, answers.Places(0, [])
        return found, answers.places(connection, found[0], limit or answers.NO_LIMIT)

    found, places = reads.answer(settings.database, ask)
    if len(found) > 1:
        many = f"more than {MOST_NAMED}" if len(found) > MOST_NAMED else f"{len(found)}"
        raise ConfigError(f"{digest}: {many} digests begin so: {', '.join(found[:MOST_NAMED])}")
    whole = found[0] if found else prefix
    if as_json:
        print_json({"digest": whole, "places": places.total, "shown": [asdict(place) for place in places.shown]})
    elif places.shown:
        click.echo(f"{whole}: {places.total} {'place' if places.total == 1 else 'places'}")
        print_table(_HEADS, [_row(place) for place in places.shown])
    if not found:
        click.echo(f"not known: no digest in {settings.shown_database} begins with {whole}", err=True)
    elif not places.total:
        click.echo(f"known, but no tag in {settings.shown_database} was ever seen to show {whole}", err=True)
    elif len(places.shown) < places.total:
        click.echo(f"... and {places.total - len(places.shown)} more places (`--limit 0` shows all)", err=True)


_HEADS = ("kind", "repository", "tag", "platform", "first seen", "last seen", "until", "pushed", "by")


def _row(place: Place) -> tuple[str | None, ...]:
    from harvester.events import one_line

    return (
        place.kind,
        place.repository,
        place.tag,
        ", ".join(place.platforms) or None,
        place.first_seen or "not known",
        place.last_seen,
        _until(place),
        place.pushed_at,
        None if place.last_updater is None else one_line(place.last_updater),
    )


def _until(place: Place) -> str:
    if place.until is None:
        return "still so"
    return f"{place.until} (tag gone)" if place.ended == "gone" else place.until
