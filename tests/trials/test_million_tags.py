"""Tags with a past, as few as a test may have: every answer is the world's. `python -m tests.trials.million_tags` has the times."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from harvester.clock import instant
from harvester.store import answers
from harvester.store.engine import database_url, open_reader
from tests.trials.million_tags import bytes_of, questions, timeline, whois
from tests.trials.tags_with_a_past import TAGS_OF_A_BUILD, World, build

WORLD = World(tags=2000, intervals=5)

Expected = dict[str, set[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("past") / "harvester.db"
    build(WORLD, path)
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[Connection]:
    engine = open_reader(database_url(str(path)))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(scope="module")
def expected() -> Expected:
    """(kind, repository, tag, platform, from, until) of every digest there is, put together without any SQL."""
    found: Expected = defaultdict(set)
    for tag in range(WORLD.tags):
        number = tag // TAGS_OF_A_BUILD
        for version, one in enumerate(WORLD.timeline(tag)[: WORLD.intervals]):
            until = None if one.seen_until is None else instant(one.seen_until)
            where = (*WORLD.name_of(tag), instant(one.seen_from), until)
            held = WORLD.held(number, version)
            if len(held) > 1:
                found[WORLD.digest(number, version)].add(_place("index", None, *where))
            for place, image in enumerate(held):
                platform = "/".join(part for part in image.platform if part)
                found[image.digest].add(_place("image", platform, *where))
                if image.kind == "image" and WORLD.has_layers(number, version):
                    found[WORLD.config(number, version, place)].add(_place("config", platform, *where))
                    for layer in filter(None, WORLD.layers(number, version, place)):
                        found[layer].add(_place("layer", platform, *where))
    return found


def _place(kind: str, platform: str | None, full_name: str, tag: str, since: str, until: str | None) -> tuple[Any, ...]:
    return kind, full_name, tag, platform, since, until


def seen(places: answers.Places) -> list[tuple[Any, ...]]:
    """The places as the world tells them, each of their platforms for itself."""
    return [
        (one.kind, one.repository, one.tag, platform, one.first_seen, one.until)
        for one in places.shown
        for platform in (one.platforms or (None,))
    ]


def test_every_digest_is_found_at_every_place_and_at_no_place_twice(connection: Connection, expected: Expected) -> None:
    # All of the first builds, whose shapes differ, and a few of every kind.
    sample = [digest for number in range(20) for v in range(5) for digest in _digests(number, v)]
    sample += [digest for digests in questions(WORLD, 20, seed=1).values() for digest in digests]
    kinds = set()
    for digest in dict.fromkeys(sample):
        found = seen(answers.places(connection, digest))
        assert len(found) == len(set(found))
        assert set(found) == expected.get(digest, set())
        kinds |= {one[0] for one in found}
    assert kinds == {"index", "image", "config", "layer"}


def _digests(number: int, version: int) -> list[str]:
    found = [WORLD.digest(number, version), *(one.digest for one in WORLD.held(number, version))]
    if WORLD.has_layers(number, version):
        found += [WORLD.config(number, version, 0), *filter(None, WORLD.layers(number, version, 0))]
    return found


@pytest.mark.parametrize("tag", [0, 49, 999, 1999])
def test_a_timeline_is_the_tag_s_own(connection: Connection, tag: int) -> None:
    rows = timeline(connection, *WORLD.name_of(tag))
    assert [row[2:5] for row in rows] == [
        (one.digest, instant(one.seen_from), None if one.seen_until is None else instant(one.seen_until))
        for one in WORLD.timeline(tag)
    ]
    assert (rows[-1][2] is None) is WORLD.is_gone(tag)


def test_a_popular_layer_is_counted_whole_and_shown_in_part(connection: Connection, expected: Expected) -> None:
    layer = WORLD.layers(0, 0, 0)[0]
    assert layer is not None
    found = whois(connection, layer)
    assert found.total == len({(*one[:3], *one[4:]) for one in expected[layer]}) > 100
    assert len(found.shown) == 100
    assert all(one.until is None for one in found.shown[:10]), "what is still so comes first"


def test_the_bytes_of_an_interval_are_counted(path: Path) -> None:
    try:
        sizes = bytes_of(path)
    except sqlite3.OperationalError:
        pytest.skip("this SQLite is built without dbstat")
    intervals = WORLD.tags * WORLD.intervals + WORLD.tags // 50
    for name in ("tag_history", "ix_tag_history_digest"):
        size, used = sizes[name]
        assert 60 * intervals < used <= size < 200 * intervals
