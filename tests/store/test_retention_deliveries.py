"""Deliveries that arrived and names that walks met go when they are old, and those that anything still needs stay."""

from __future__ import annotations

from typing import Any

from harvester.events import NewEvent
from harvester.jobs import Args, Dead, Harvest, NewJob
from harvester.store import outbox, queue
from harvester.store.change_log import append_events
from tests.store.clocks import DAY, ManualClock
from tests.store.database import Database
from tests.store.makers import job, seen, step
from tests.store.test_retention import tidy

# The outbox.


def delivery(db: Database, kind: str = "drift") -> None:
    with db.engine.begin() as connection:
        append_events(connection, [NewEvent(kind=kind, detail={})], db.now)
        while outbox.enrol(connection, "hook", lambda event: True, db.now):
            continue


def states(db: Database) -> list[tuple[int, str]]:
    return [(int(row[0]), row[1]) for row in db.all("SELECT event_id, state FROM deliveries ORDER BY 1")]


def test_deliveries_that_arrived_go_and_are_not_sent_again(db: Database, clock: ManualClock) -> None:
    with db.engine.begin() as connection:
        outbox.enrol(connection, "hook", lambda event: True, db.now)
    for _ in range(4):
        delivery(db)
    with db.engine.begin() as connection:
        [first] = outbox.due(connection, "hook", db.now, 10)
        taken = outbox.take(connection, first, db.now)
        assert taken is not None
        outbox.delivered(connection, taken, db.now)
    db.run("UPDATE deliveries SET state = 'dead', finished_at = ? WHERE event_id = 2", db.now.text)
    clock.advance(29 * DAY)
    db.run("UPDATE deliveries SET state = 'done', finished_at = ? WHERE event_id = 3", db.now.text)
    clock.advance(DAY + 1)
    assert tidy(db, "deliveries").removed == {"deliveries": 1}
    assert states(db) == [(2, "dead"), (3, "done"), (4, "waiting")]
    with db.engine.begin() as connection:
        assert outbox.enrol(connection, "hook", lambda event: True, db.now) == 0
        assert [one.event.id for one in outbox.due(connection, "hook", db.now, 10)] == [4]
    assert states(db) == [(2, "dead"), (3, "done"), (4, "waiting")]


def test_a_delivery_whose_event_the_receiver_would_be_looked_at_for_again_stays(
    db: Database, clock: ManualClock
) -> None:
    with db.engine.begin() as connection:
        outbox.enrol(connection, "hook", lambda event: True, db.now)
    delivery(db)
    db.run("UPDATE deliveries SET state = 'done', finished_at = ?", db.now.text)
    db.run("UPDATE notifiers SET last_event_id = 0")
    clock.advance(31 * DAY)
    assert tidy(db, "deliveries").removed == {"deliveries": 0}
    with db.engine.begin() as connection:
        assert outbox.enrol(connection, "hook", lambda event: True, db.now) == 1
    assert states(db) == [(1, "done")]
    assert tidy(db, "deliveries").removed == {"deliveries": 1}


# Names that walks met.


def walked(db: Database, walk: str, kind: str = "namespace", *, stop: str | None = "end", **changes: Any) -> None:
    for number, is_first in ((1, True), (2, False)):
        reason = stop if number == 2 else None
        names = (f"acme/r{number}", f"acme/s{number}")
        page = step(
            is_first=is_first, walk=walk, kind=kind, subject="acme", names=names, reported_count=4, stop_reason=reason,
            **changes,
        )  # fmt: skip
        db.keep(*[seen(name, source="listing") for name in names], page)


def walks_with_names(db: Database) -> list[str]:
    return [
        row[0]
        for row in db.all(
            "SELECT DISTINCT l.walk_key FROM listing_names n JOIN listings l ON l.id = n.listing_id ORDER BY 1"
        )
    ]


def test_names_of_walks_that_nobody_asks_for_again_go(db: Database, clock: ManualClock) -> None:
    walked(db, "namespace.page:acme:only 1")
    walked(db, "search.page:acme:all", "search")
    walked(db, "search.page:acme:newest", "search")
    for walk in ("tags.page:a/b:filter x", "tags.page:a/b:newest%3A5"):
        db.run(
            "INSERT INTO listings (kind, subject, started_at, finished_at, rows, is_complete, refused, walk_key)"
            " VALUES ('tags', 'a/b', ?, ?, 1, 0, 0, ?)",
            *(db.now.text, db.now.text, walk),
        )
        db.run("INSERT INTO listing_names SELECT max(id), 'x' FROM listings")
    assert tidy(db, "names").removed == {"names": 0}
    clock.advance(DAY + 1)
    walked(db, "namespace.page:acme:only 2")
    assert tidy(db, "names").removed == {"names": 9}
    assert walks_with_names(db) == [
        "namespace.page:acme:only 2",
        "search.page:acme:newest",
        "tags.page:a/b:newest%3A5",
    ]


def test_names_that_somebody_may_ask_for_stay(db: Database, clock: ManualClock) -> None:
    run = db.begin_run("unfinished", job("live"))
    walked(db, "namespace.page:of the run")
    clock.advance(DAY + 1)
    assert tidy(db, "names").removed == {"names": 0}
    db.run("DELETE FROM run_jobs")
    db.run("DELETE FROM jobs")
    db.run("UPDATE runs SET finished_at = ? WHERE id = ?", db.now.text, run.id)
    walked(db, "namespace.page:open", stop=None)
    walked(db, "namespace.page:to be tried again", stop="error")
    args = Args(subject="to be tried again", page=2)
    db.add(NewJob("namespace.page", "namespace.page:to be tried again:2", args))
    page = db.claim_one()
    clock.advance(DAY + 1)
    assert tidy(db, "names").removed == {"names": 4}
    db.end(page, Dead("why", Harvest()))
    assert tidy(db, "names").removed == {"names": 0}
    assert walks_with_names(db) == ["namespace.page:open", "namespace.page:to be tried again"]
    with db.engine.begin() as connection:
        assert queue.drop(connection, page.id)
    assert tidy(db, "names").removed == {"names": 4}
    assert walks_with_names(db) == ["namespace.page:open"]
