"""The same observations in any order, once or several times: the same database."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from harvester.clock import instant
from harvester.records import Tag
from harvester.store.moment import Moment
from harvester.store.repositories import repository_id
from harvester.store.tags import close_tags
from tests.store.chains import BROKEN
from tests.store.clocks import DAY, NOW
from tests.store.database import Database
from tests.store.makers import NGINX, digest, platform, seen, tags

NAMES = ("latest", "1.27", "1.26.3", "alpine")

CONTENT = {
    "repositories": "SELECT full_name, description, pull_count, first_seen_at, last_seen_at, gone_at FROM repositories",
    "tags": """SELECT t.name, t.digest, t.full_size, t.last_pushed, t.last_updater, t.first_seen_at, t.last_seen_at, t.gone_at
        FROM tags t ORDER BY 1""",
    "tag_history": """SELECT t.name, h.seen_from, h.seen_until, h.digest, h.pushed_at, h.last_seen, h.last_updater,
        h.source, h.pushes FROM tag_history h JOIN tags t ON t.id = h.tag_id ORDER BY 1, 2""",
    "tag_images": """SELECT t.name, i.digest, ti.position, ti.size FROM tag_images ti JOIN tags t ON t.id = ti.tag_id
        JOIN images i ON i.id = ti.image_id ORDER BY 1, 2""",
    "index_images": """SELECT x.digest, i.digest FROM index_images n JOIN indexes x ON x.id = n.index_id
        JOIN images i ON i.id = n.image_id ORDER BY 1, 2""",
    "images": "SELECT digest, os, architecture, size FROM images ORDER BY 1",
    "pull_history": "SELECT observed_at, pull_count, source FROM pull_history ORDER BY 1",
}


class State(NamedTuple):
    """What a tag is from one instant on."""

    since: float
    digest: int | None
    """Null: it is not there."""
    pushed: float
    pusher: str


class Seen(NamedTuple):
    """One answer: what it showed of some tags and of the repository, or that a tag is gone."""

    at: float
    tags: tuple[Tag, ...]
    gone: str | None = None
    pull_count: int | None = None


def lives_of(chance: random.Random) -> dict[str, list[State]]:
    """Moves, pushes of the same digest, ends and returns, at instants of the far end's own."""
    lives: dict[str, list[State]] = {}
    for name in NAMES:
        at, states = NOW + chance.uniform(0, DAY), list[State]()
        while at < NOW + 30 * DAY:
            last = states[-1].digest if states else None
            is_gone = last is not None and chance.random() < 0.2
            is_same = last is not None and chance.random() < 0.25
            number = None if is_gone else last if is_same else chance.randrange(1, 5)
            states.append(State(at, number, at, chance.choice(("ada", "bob"))))
            at += chance.uniform(0.2, 6) * DAY
        lives[name] = states
    return lives


def observations(chance: random.Random, lives: dict[str, list[State]]) -> list[Seen]:
    """Answers at distinct seconds, each true at its own time."""
    found: list[Seen] = []
    for second in sorted(chance.sample(range(int(NOW), int(NOW + 30 * DAY)), 60)):
        shown: list[Tag] = []
        for name in chance.sample(NAMES, chance.randrange(1, len(NAMES) + 1)):
            now = [state for state in lives[name] if state.since <= second]
            if now and now[-1].digest is not None:
                shown.append(_tag(name, now[-1]))
            elif now:
                found.append(Seen(second, (), gone=name))
        found.append(Seen(second, tuple(shown), pull_count=int(second - NOW) if chance.random() < 0.5 else None))
    return sightable(found)


def sightable(order: Sequence[Seen]) -> list[Seen]:
    """Without the ends of tags that nobody has seen by then: of those nothing can be stored."""
    known: set[str] = set()
    kept: list[Seen] = []
    for one in order:
        known |= {tag.name for tag in one.tags}
        if one.gone is None or one.gone in known:
            kept.append(one)
    return kept


def shuffled(chance: random.Random, answers: Sequence[Seen]) -> list[Seen]:
    """In another order and some of them several times; an end comes again where it came before its tag."""
    order = [*answers, *chance.choices(answers, k=len(answers) // 2)]
    chance.shuffle(order)
    early = [one for one in order if one.gone is not None]
    return sightable([*order, *early])


def _tag(name: str, state: State) -> Tag:
    assert state.digest is not None
    number = state.digest
    return Tag(
        name=name,
        digest=digest(number),
        full_size=number * 1000,
        last_pushed=instant(state.pushed),
        last_updater=state.pusher,
        platforms=(platform(number * 10, size=1), platform(number * 10 + 1, size=2, architecture="arm64")),
    )


def store(db: Database, one: Seen) -> None:
    """As the job that got this answer would."""
    if one.gone is None:
        records = [tags(*one.tags)] if one.tags else []
        extra = [] if one.pull_count is None else [seen(pull_count=one.pull_count, description="nginx")]
        db.keep(*extra, *records, at=one.at)
        return
    with db.engine.begin() as connection:
        known = repository_id(connection, NGINX)
        assert known is not None
        close_tags(connection, known, Moment.of(one.at), source="names", name=one.gone)


def content(db: Database) -> dict[str, list[Any]]:
    return {table: db.all(query) for table, query in CONTENT.items()}


def differences(expected: dict[str, list[Any]], found: dict[str, list[Any]]) -> dict[str, tuple[list[Any], list[Any]]]:
    return {
        table: ([r for r in rows if r not in found[table]], [r for r in found[table] if r not in rows])
        for table, rows in expected.items()
        if rows != found[table]
    }


def stored(db: Database, order: Sequence[Seen]) -> dict[str, list[Any]]:
    """What a database holds that was empty before."""
    for table in (
        "events",
        "tag_history",
        "tag_images",
        "index_images",
        "indexes",
        "pull_history",
        "tags",
        "images",
        "repositories",
    ):
        db.run(f"DELETE FROM {table}")
    for one in order:
        store(db, one)
    return content(db)


@pytest.mark.parametrize("seed", range(20))
def test_any_order_and_any_number_of_times_ends_as_the_same_database(db: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    answers = observations(chance, lives_of(chance))
    expected = stored(db, answers)
    assert not differences(expected, stored(db, [one for one in answers for _ in range(2)])), "each twice"
    for _ in range(3):
        assert not differences(expected, stored(db, shuffled(chance, answers)))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_repeated_afterwards_changes_nothing_and_is_no_event(db: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    answers = observations(chance, lives_of(chance))
    expected = stored(db, answers)
    events = db.all("SELECT * FROM events")
    for one in shuffled(chance, answers):
        store(db, one)
    assert not differences(expected, content(db))
    assert db.all("SELECT * FROM events") == events


@pytest.mark.parametrize("seed", range(20))
def test_every_interval_is_true_at_both_its_ends(db: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    lives = lives_of(chance)
    answers = observations(chance, lives)
    rows = stored(db, shuffled(chance, answers))["tag_history"]
    assert rows
    assert db.all(BROKEN) == []
    for name, seen_from, seen_until, found, _, last_seen, _, _, _ in rows:
        for at in (seen_from, last_seen or seen_from):
            true = [state for state in lives[name] if state.since <= at][-1]
            assert found == (None if true.digest is None else digest(true.digest))
        assert seen_until is None or seen_from <= (last_seen or seen_from) < seen_until
    for name in NAMES:
        chain = [row for row in rows if row[0] == name]
        assert [row[1] for row in chain[1:]] == [row[2] for row in chain[:-1]], "each ends where the next begins"
        assert all(one[3] != other[3] for one, other in itertools.pairwise(chain))
