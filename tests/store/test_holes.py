"""Slices of holes: what is asked next, and when there is no use in going on."""

from __future__ import annotations

import msgspec

from harvester.jobs import Args, Job, NewJob, holes
from harvester.records import NamesSeen
from harvester.store import walls
from harvester.store.holes import next_slice
from tests.store.database import Database
from tests.store.makers import NGINX, seen, step
from tests.store.test_census import settle

ARGS = Args(subject=NGINX, layers="none", fill="anonymous")
NAMES = tuple(f"{major}.{minor}.{patch}" for major in range(2) for minor in range(15) for patch in range(50))


def sliced(db: Database, args: Args) -> tuple[NewJob, ...]:
    new = holes(args)
    with db.engine.begin() as connection:
        return next_slice(connection, Job(1, new.kind, new.key, new.args, 1, db.now.text), db.now)


def known_by_name(db: Database) -> None:
    """All names, none of them described, of a list that nobody can page to its end."""
    settle(db, holes(ARGS), seen())
    census = step(
        walk=f"tag_names:{NGINX}", is_first=True, kind="tag_names", reported_count=len(NAMES), stop_reason="end"
    )
    settle(db, holes(ARGS), NamesSeen(repository=NGINX, names=NAMES), census)
    with db.engine.begin() as connection:
        walls.learn(connection, step(is_first=False, stop_reason="wall", offset=1000), db.now, is_served=False)


def test_the_other_order_is_walked_alone_for_what_it_shows_is_not_known_beforehand(db: Database) -> None:
    known_by_name(db)
    walk, following = sliced(db, ARGS)
    assert (walk.kind, walk.args.oldest_first, walk.args.name_filter) == ("tags.page", True, "")
    assert (following.kind, following.args.page, following.args.rows) == ("holes", 2, len(NAMES))


def test_filters_follow_where_the_other_order_showed_nothing_new(db: Database) -> None:
    known_by_name(db)
    *walks, following = sliced(db, msgspec.structs.replace(ARGS, page=2, rows=len(NAMES)))
    assert all(walk.kind == "tags.page" and walk.args.name_filter for walk in walks)
    assert (following.kind, following.args.page) == ("holes", 3)


def test_after_a_slice_of_filters_that_gained_nothing_there_is_no_other(db: Database) -> None:
    known_by_name(db)
    assert sliced(db, msgspec.structs.replace(ARGS, page=3, rows=len(NAMES))) == ()
