"""The outbox: what is enrolled, what is due, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harvester.clock import instant
from harvester.events import Event
from harvester.store import outbox
from harvester.store.outbox import Delivery
from tests.store.clocks import DAY
from tests.store.database import Database
from tests.store.makers import NGINX, seen, tag, tags

OPS = "ops"


def everything(_event: Event) -> bool:
    return True


def happen(db: Database, *subjects: str, kind: str = "tag.moved", number: int | None = None) -> None:
    """One event about each: a repository, a tag of it, or nothing."""
    for subject in subjects:
        name, _, of_tag = subject.partition(":")
        repository = f"(SELECT id FROM repositories WHERE full_name = '{name}')"
        db.run(
            f"""INSERT INTO events (id, observed_at, kind, repository_id, tag_id, detail, rank)
            VALUES (?, ?, ?, {repository}, (SELECT id FROM tags WHERE name = ? AND repository_id = {repository}), '{{}}', 3)""",
            number,
            db.now.text,
            kind,
            of_tag,
        )


def enrol(db: Database, name: str = OPS, wants: Callable[[Event], bool] = everything) -> int:
    with db.engine.begin() as connection:
        return outbox.enrol(connection, name, wants, db.now)


def due(db: Database, name: str = OPS, most: int = 100) -> list[Delivery]:
    with db.reader.begin() as connection:
        return outbox.due(connection, name, db.now, most)


def take(db: Database, delivery: Delivery) -> Delivery | None:
    with db.engine.begin() as connection:
        return outbox.take(connection, delivery, db.now)


def taken(db: Database, name: str = OPS) -> Delivery:
    """The oldest that is due, taken."""
    found = take(db, due(db, name)[0])
    assert found is not None
    return found


def end(db: Database, delivery: Delivery) -> None:
    with db.engine.begin() as connection:
        outbox.delivered(connection, delivery, db.now)


def put_off(db: Database, delivery: Delivery, least_s: float = 0.0) -> None:
    with db.engine.begin() as connection:
        outbox.put_off(connection, delivery, db.now, "no", least_s=least_s)


def subjects(found: list[Delivery]) -> list[tuple[int, str]]:
    return [(one.event.id, one.event.subject) for one in found]


@pytest.fixture
def known(db: Database) -> Database:
    """Two tags of nginx and one receiver, which knows no event yet."""
    db.keep(seen(), tags(tag("1.27", 1), tag("1.28", 2)))
    happen(db, "", NGINX)
    enrol(db)
    return db


def test_a_new_receiver_begins_with_the_events_after_it(known: Database) -> None:
    assert enrol(known) == 0
    happen(known, f"{NGINX}:1.27")
    assert enrol(known) == 1
    assert enrol(known) == 0
    assert [one.event.subject for one in due(known)] == [f"{NGINX}:1.27"]
    assert enrol(known, "later") == 0
    assert due(known, "later") == []


def test_each_event_has_one_row_for_each_receiver_that_wants_it(known: Database) -> None:
    enrol(known, "tags")
    happen(known, f"{NGINX}:1.27", NGINX, "", kind="tag.new")
    happen(known, f"{NGINX}:1.28", kind="tag.gone")
    for _ in range(3):
        enrol(known)
        enrol(known, "tags", lambda event: event.kind == "tag.gone")
    # As a process that read the cursor before another one moved it.
    known.run("UPDATE notifiers SET last_event_id = 2")
    enrol(known)
    counts = known.all("SELECT notifier, count(*), count(DISTINCT event_id) FROM deliveries GROUP BY 1 ORDER BY 1")
    assert counts == [(OPS, 4, 4), ("tags", 1, 1)]


def test_an_event_comes_with_its_names_and_its_evidence(known: Database) -> None:
    known.run(
        """INSERT INTO events (observed_at, happened_at, kind, tag_id, detail, rank)
        VALUES (?, '2026-11-20T15:00:00Z', 'tag.overwritten', 1, '{"was": "\\ud800", "now": 5}', 1)""",
        known.now.text,
    )
    enrol(known)
    [one] = due(known)
    number = known.value("SELECT max(id) FROM events")
    assert one.event == Event(
        id=number,
        kind="tag.overwritten",
        rank=1,
        observed_at=known.now.text,
        happened_at="2026-11-20T15:00:00Z",
        repository=NGINX,
        tag="1.27",
        detail={"was": "\ud800", "now": 5},
    ), "the tag tells its repository where the event does not"
    assert '"was": "\\ud800"' in one.event.as_json()


def test_of_each_subject_only_the_oldest_is_due(known: Database) -> None:
    happen(known, f"{NGINX}:1.27", f"{NGINX}:1.28", f"{NGINX}:1.27", NGINX, "", "")
    enrol(known)
    heads = [(3, f"{NGINX}:1.27"), (4, f"{NGINX}:1.28"), (6, NGINX), (7, "")]
    assert subjects(due(known)) == heads
    assert subjects(due(known, most=2)) == heads[:2]
    first = taken(known)
    assert subjects(due(known)) == heads[1:], "what is being sent holds up its own subject"
    put_off(known, first)
    assert subjects(due(known)) == heads[1:], "and so does what waits for its retry"
    known.clock.advance(30)
    assert subjects(due(known)) == heads
    end(known, taken(known))
    assert subjects(due(known)) == [(4, f"{NGINX}:1.28"), (5, f"{NGINX}:1.27"), *heads[2:]]


def test_a_row_is_taken_once_and_again_after_its_lease(known: Database) -> None:
    happen(known, NGINX)
    enrol(known)
    [one] = due(known)
    first = take(known, one)
    assert first is not None
    assert first.attempt == 1
    assert take(known, one) is None, "somebody else was faster"
    known.clock.advance(outbox.LEASE_S - 1)
    assert due(known) == []
    known.clock.advance(1)
    second = taken(known)
    assert second.attempt == 2
    put_off(known, first)
    assert known.one("SELECT attempt, last_error FROM deliveries") == (2, None), "the first has lost it"
    end(known, first)
    assert known.value("SELECT state FROM deliveries") == "done", "but the receiver has it, whoever sent it"
    put_off(known, second)
    assert known.one("SELECT state, finished_at FROM deliveries") == ("done", known.now.text)


def test_a_clock_that_was_set_back_holds_up_nothing_that_was_never_tried(known: Database) -> None:
    happen(known, NGINX)
    enrol(known)
    known.clock.advance(-7200)
    taken(known)
    assert due(known) == [], "the lease holds all the same"


def test_the_delays_grow_up_to_an_hour(known: Database) -> None:
    happen(known, NGINX)
    enrol(known)
    waits = []
    for _ in range(7):
        one = taken(known)
        put_off(known, one)
        run_at = known.value("SELECT run_at FROM deliveries")
        waits.append(next(s for s in range(1, 4000) if instant(known.clock.time() + s) == run_at))
        known.clock.advance(waits[-1])
    assert waits == [30, 120, 600, 1800, 3600, 3600, 3600]
    put_off(known, taken(known), least_s=7200.5)
    assert known.value("SELECT run_at FROM deliveries") == known.in_s(7200), "the receiver asked for more"


def test_what_was_not_sent_counts_as_no_attempt(known: Database) -> None:
    happen(known, NGINX)
    enrol(known)
    one = taken(known)
    with known.engine.begin() as connection:
        outbox.give_back(connection, one, known.now)
    [again] = due(known)
    assert again.attempt == 0


def test_it_is_given_up_after_three_days_and_several_tries(known: Database) -> None:
    happen(known, NGINX)
    enrol(known)
    tries = 0
    began = known.clock.time()
    while not (one := taken(known)).gives_up(known.now):
        tries += 1
        put_off(known, one)
        known.clock.advance(3600)
    assert known.clock.time() - began == 3 * DAY + 3600
    assert tries == 73
    with known.engine.begin() as connection:
        outbox.dead(connection, one, known.now, "for good")
        assert outbox.dead_deliveries(connection, 5)[0].last_error == "for good"
        [standing] = outbox.standing(connection)
        assert (standing.waiting, standing.dead, standing.last_error) == (0, 1, "for good")
        assert outbox.revive(connection, OPS, known.now) == 1
    assert not taken(known).gives_up(known.now), "what is put back is tried several times again"


def test_what_is_dead_lets_the_next_one_go_on(known: Database) -> None:
    happen(known, NGINX, NGINX)
    enrol(known)
    one = taken(known)
    with known.engine.begin() as connection:
        outbox.dead(connection, one, known.now, "never")
    assert subjects(due(known)) == [(4, NGINX)]


def test_an_id_that_may_still_come_is_waited_for(known: Database) -> None:
    happen(known, NGINX, number=11)
    happen(known, NGINX, number=13)
    enrol(known)
    assert due(known) == []
    happen(known, NGINX, number=3)
    assert enrol(known) == 1
    known.clock.advance(outbox.GAP_S)
    assert enrol(known) == 2, "nobody can be writing the ones between any more"
    assert known.all("SELECT event_id FROM deliveries ORDER BY 1") == [(3,), (11,), (13,)]
    known.run("DELETE FROM deliveries")
    assert enrol(known) == 0, "the cursor has moved"


def test_the_newest_are_found_whatever_was_delivered(known: Database) -> None:
    happen(known, f"{NGINX}:1.27", NGINX, NGINX)
    with known.engine.begin() as connection:
        args: dict[str, Any] = {"wants": lambda event: event.tag is None, "most": 2, "looked_at": 100}
        assert [one.id for one in outbox.latest(connection, OPS, **args)] == [2, 1], "as far as it was enrolled"
    enrol(known)
    with known.engine.begin() as connection:
        assert [one.id for one in outbox.latest(connection, OPS, **args)] == [5, 4]
        assert [one.id for one in outbox.latest(connection, OPS, **{**args, "most": 9, "looked_at": 4})] == [5, 4, 2]
        assert outbox.latest(connection, "nobody", **args) == []
        assert outbox.delivered_up_to(connection, OPS, 4, known.now) == 2
    assert known.all("SELECT event_id FROM deliveries WHERE state = 'waiting'") == [(5,)]


def test_who_knows_nothing_of_a_receiver_is_told_of_none(known: Database) -> None:
    with known.reader.begin() as connection:
        assert outbox.standing(connection) == []
        last, since, uuid = outbox.enrolled(connection, OPS)
    assert (last, since, len(uuid)) == (2, known.now.text, 32)
