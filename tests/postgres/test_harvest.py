"""The same harvest, in virtual time: what a PostgreSQL server holds afterwards equals what SQLite holds, row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, Engine

from harvester.store import answers, reads
from harvester.store.engine import database_url, open_reader
from harvester.store.views import views
from tests.fakehub import Limits, World
from tests.fakehub.images import Step, image_of
from tests.fakehub.world import wire_time
from tests.postgres.cluster import Cluster
from tests.postgres.copying import rows_of
from tests.simulation.virtual import START, VirtualClock, virtually
from tests.system.conftest import differences
from tests.trials.passes import Trial

DAY_S = 86_400.0
DAYS = 4
Answer = TypeVar("Answer")

UNTOLD = ("id", "detail")
"""Ids, and evidence that names one."""

EMPTY = ("v_holes", "v_incomplete")
"""Views of which this harvest has no row."""

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d):\d\d:\d\dZ")
FAST = Limits(hub_per_minute=100_000)


@dataclass(frozen=True)
class Harvested:
    """The same harvest in both databases."""

    lite: Engine
    server: Engine


async def _passes(folder: Path, url: str | None, clock: VirtualClock) -> None:
    """A world in which a day brings something of each sort."""
    world = World.small()
    for number in range(6):
        world.add_repository(f"umbrella/service-{number}", tags=["1.0.0", "latest"])
    trial = Trial(world, folder, clock, limits=FAST, url=url)
    for day in range(DAYS):
        await clock.sleep(max(0.0, day * DAY_S - clock.monotonic()))
        if day:
            _change(world, day)
        await trial.backfill("acme/", "official", "umbrella/", "umbrella/service-1", "search:nginx", layers="all")


def _change(world: World, day: int) -> None:
    at = datetime.fromtimestamp(START, UTC) + timedelta(days=day, hours=-1)
    two = tuple(image_of([Step(f"RUN {day}")], architecture=one) for one in ("amd64", "arm64"))
    world.push_tag("umbrella/service-1", "latest", two, pushed_at=at)
    for tag in ("1.0.0", "latest", f"2.{day}"):
        world.push_tag("umbrella/service-0", tag, pushed_at=at, updater=f"pusher-{day}")
    world.count_pulls("umbrella/service-1", 1000 * day)
    if day == 1:
        world.delete_tag("umbrella/service-2", "1.0.0")
        world.delete_repository("umbrella/service-3")
    if day == 2:
        world.restore_repository("umbrella/service-3")
        world.delete_repository("umbrella/service-4")
        world.change_repository("umbrella/service-5", description="Pfähle, 木, and an é", last_modified=wire_time(at))


@pytest.fixture(scope="module")
def harvested(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harvested]:
    folder = tmp_path_factory.mktemp("harvested")
    url = cluster.url(cluster.create(template=template))
    virtually(partial(_passes, folder, None))
    virtually(partial(_passes, folder, url))
    found = Harvested(open_reader(database_url(str(folder / "harvester.db"))), open_reader(database_url(url)))
    yield found
    found.lite.dispose()
    found.server.dispose()


def both(harvested: Harvested, ask: Callable[[Connection], Answer]) -> tuple[Answer, Answer]:
    """The answers of both to one question."""
    with harvested.lite.begin() as lite, harvested.server.begin() as server:
        return ask(lite), ask(server)


def test_all_rows_of_all_tables_are_the_same(harvested: Harvested) -> None:
    with harvested.lite.begin() as lite, harvested.server.begin() as server:
        expected, found = rows_of(lite), rows_of(server)
    assert differences(expected, found) == {}
    told = {name for name, rows in expected.items() if rows}
    assert told >= {
        "tags",
        "images",
        "layers",
        "tag_history",
        "indexes",
        "events",
        "absences",
        "listings",
        "jobs",
        "budgets",
    }
    assert {dict(row)["kind"] for row in expected["events"]} >= {
        "tag.moved",
        "tag.gone",
        "tag.overwritten",
        "repository.gone",
    }


@pytest.mark.parametrize("view", views("sqlite"))
def test_a_view_shows_the_same(harvested: Harvested, view: str) -> None:
    def shown(connection: Connection) -> list[str]:
        result = connection.exec_driver_sql(f"SELECT * FROM {view}")
        left_out = {place for place, name in enumerate(result.keys()) if name in UNTOLD}
        rows = [[cell for place, cell in enumerate(row) if place not in left_out] for row in result]
        return sorted(
            _INSTANT.sub(r"\1", repr([float(cell) if isinstance(cell, int) else cell for cell in row])) for row in rows
        )

    expected, found = both(harvested, shown)
    assert differences({view: expected}, {view: found}) == {}
    assert found or view in EMPTY


def test_whois_and_events_and_status_answer_the_same(harvested: Harvested) -> None:
    kinds = ("SELECT digest FROM indexes", "SELECT digest FROM images", "SELECT digest FROM layers")
    with harvested.lite.begin() as lite:
        digests = [row[0] for sql in kinds for row in lite.exec_driver_sql(f"{sql} ORDER BY 1 LIMIT 3")]
    for digest in digests:
        expected, found = both(harvested, partial(answers.places, digest=digest, most=5))
        assert found == expected
        assert expected.total > 0
        one, other = both(harvested, partial(answers.matching, prefix=digest[:9], most=5))
        assert one == other != []

    def told(connection: Connection) -> list[object]:
        changes = answers.changes(connection, "2026-01-01T00:00:00Z", rank=3, passes=lambda change: True)
        incomplete = sorted(map(str, reads.incomplete(connection, 100)))
        seen = sorted(
            (one.rank, one.kind, str(one.repository), str(one.tag), str(one.happened_at)) for one in changes.shown
        )
        return [seen, [_INSTANT.sub(r"\1", one) for one in incomplete], reads.row_counts(connection)]

    ours, theirs = both(harvested, told)
    assert theirs == ours
