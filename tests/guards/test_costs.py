"""What the daemon does again and again grows with what there is to do, and not with what was ever done, nor as a product of two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from harvester.policy import LayerPolicy, TagPolicy
from harvester.request import Request
from harvester.store import migrate, retention, runs, watches
from harvester.store.engine import database_url, open_writer
from harvester.store.moment import Moment
from harvester.watch import watches as read
from tests.guards.plans import NOW
from tests.guards.steps import steps_of

FEW, MANY = 100, 400
MOST = 8
"""Four times as much to do may take four times as many steps, and not sixteen times; some of them are there in any case."""

LATER = Moment.of(NOW.seconds + 90 * 86_400)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    opened: list[Engine] = []

    def fresh() -> Engine:
        engine = open_writer(database_url(str(tmp_path / f"{len(opened)}.db")))
        migrate.upgrade(engine)
        opened.append(engine)
        return engine

    yield fresh
    for engine in opened:
        engine.dispose()


def ask(group: watches.Group) -> tuple[str, list[object]]:
    request = Request(group.targets, TagPolicy(group.tags), LayerPolicy(group.layers))
    return request.fingerprint(pulls=False), list(request.jobs(pulls=False))


def under_way(connection: Connection, number: int) -> None:
    """So many watches, each with a pass of its own that is under way."""
    watches.take_over(connection, read([{"target": f"space{place}/app"} for place in range(number)]), NOW)
    begun = watches.begin_passes(connection, NOW, ask=ask, most=number)  # type: ignore[arg-type]
    assert len(begun) > 0.9 * number, "few have the same slot"


def finished(connection: Connection, number: int) -> None:
    """So many runs that are over, of which the rows are still there, each with a list whose names were kept."""
    for place in range(number):
        values = (f"run {place}", NOW.text, NOW.text, NOW.text)
        connection.exec_driver_sql(
            "INSERT INTO runs (fingerprint, started_at, pass_began_at, finished_at) VALUES (?, ?, ?, ?)", values
        )
        connection.exec_driver_sql(
            "INSERT INTO listings (id, kind, subject, started_at, finished_at, rows, is_complete, refused, walk_key)"
            " VALUES (?, 'namespace', ?, ?, ?, 1, 1, 0, ?)",
            (place + 1, f"space{place}", NOW.text, NOW.text, f"namespace.page:space{place}"),
        )
        connection.exec_driver_sql("INSERT INTO listing_names VALUES (?, 'a/b')", (place + 1,))


def drop_all(connection: Connection) -> None:
    taken = watches.take_over(connection, read([{"target": "other/app"}]), LATER)
    assert taken.cancelled == taken.ended > 0


def finish_one(connection: Connection) -> None:
    assert runs.finish_runs(connection, NOW, [1]) == []


def tidied(part: retention.Part) -> Callable[[Connection], None]:
    def tidy(connection: Connection) -> None:
        current = retention.begin(retention.Keep(0, 0, 0, 0), LATER, parts=(part,))
        while not current.is_over:
            current = retention.step(connection, current)
        assert (current.removed[part] > 0) is (part == "names")

    return tidy


def ended(connection: Connection, number: int) -> None:
    """So many runs that are over, each the last of a watch: their jobs are gone."""
    under_way(connection, number)
    connection.exec_driver_sql("DELETE FROM run_jobs")
    connection.exec_driver_sql("UPDATE runs SET finished_at = ?", (NOW.text,))


GROWING: dict[str, tuple[Callable[[Connection, int], None], Callable[[Connection], object]]] = {
    "runs that are over are looked for": (under_way, runs.unfinished),
    "a reload watches other things": (under_way, drop_all),
    "runs without jobs are looked for": (ended, tidied("runs")),
    "names that walks met go": (finished, tidied("names")),
}


@pytest.mark.parametrize("what", GROWING)
def test_what_is_done_with_each_costs_no_more_for_the_others(engines: Callable[[], Engine], what: str) -> None:
    build, act = GROWING[what]
    found = []
    for number in (FEW, MANY):
        with engines().begin() as connection:
            build(connection, number)
            found.append(steps_of(connection, act))
    assert found[1] < MOST * found[0], found


def test_finishing_a_run_looks_at_no_other(engines: Callable[[], Engine]) -> None:
    found = []
    for number in (FEW, MANY):
        with engines().begin() as connection:
            under_way(connection, number)
            found.append(steps_of(connection, finish_one))
    # The watches' runs are made one set: a few steps for each.
    assert found[1] - found[0] < 20 * (MANY - FEW), found


def test_what_was_finished_at_the_last_look_is_not_read_again(engines: Callable[[], Engine]) -> None:
    found = []
    for number in (FEW, MANY):
        with engines().begin() as connection:
            finished(connection, number)
            begun = runs.begin_run(connection, "under way", [], NOW)
            earlier = runs.unfinished(connection)
            assert earlier.ids == (begun.id,)
            found.append(steps_of(connection, lambda c, earlier=earlier: runs.unfinished(c, earlier)))  # type: ignore[misc]
    assert abs(found[1] - found[0]) <= 20, found
