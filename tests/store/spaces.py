"""Walks of a namespace's list and answers about its repositories, as short as a test can say them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harvester.clock import instant
from harvester.jobs import Args, Harvest, Job, namespace_page, walk_key
from harvester.records import Absent, Repository, RepositorySeen, WalkStep
from harvester.store.harvest import store_harvest
from harvester.store.moment import Moment
from tests.store.clocks import DAY, NOW
from tests.store.database import Database

SPACE = "acme"
REGISTERED = "2020-01-01T00:00:00Z"


def names(*numbers: int) -> list[str]:
    """`acme/r01` and so on."""
    return [f"{SPACE}/r{number:02}" for number in numbers]


def row(full_name: str, **changes: Any) -> RepositorySeen:
    """A repository as its namespace's list shows it."""
    namespace, _, name = full_name.partition("/")
    values: dict[str, Any] = {
        "namespace": namespace,
        "name": name,
        "source": "listing",
        "pull_count": 7,
        "date_registered": REGISTERED,
    }
    return RepositorySeen(repository=Repository(**(values | changes)))


def listed(
    db: Database, shown: Sequence[str | RepositorySeen], *, day: float, count: int | None = None, **changes: Any
) -> list[str]:
    """A walk of one page in a pass of that day; the repositories that are asked for by name because of it."""
    rows = [row(one) if isinstance(one, str) else one for one in shown]
    full_names = tuple(one.repository.full_name for one in rows)
    args = Args(subject=SPACE)
    values: dict[str, Any] = {
        "walk": walk_key("namespace.page", args),
        "is_first": True,
        "kind": "namespace",
        "subject": SPACE,
        "names": full_names,
        "reported_count": len(rows) if count is None else count,
        "stop_reason": "end",
    }
    return kept(db, Harvest(records=(*rows, WalkStep(**(values | changes)))), day=day)


def space_missing(db: Database, *, day: float) -> list[str]:
    """The namespace's own 404 in a pass of that day; the repositories that are asked for by name because of it."""
    return kept(db, Harvest(records=(Absent(repository=f"{SPACE}/*"),)), day=day)


def kept(db: Database, harvest: Harvest, *, day: float) -> list[str]:
    """Store what a page of the namespace brought on that day; the repositories that are asked for because of it."""
    args = Args(subject=SPACE)
    job = Job(1, "namespace.page", namespace_page(args).key, args, 1, began(day))
    with db.engine.begin() as connection:
        stored = store_harvest(connection, job, harvest, Moment.of(NOW + day * DAY))
    return [new.args.subject for new in stored.follow_ups if new.kind == "repository"]


def missing(db: Database, *full_names: str, day: float) -> None:
    """404s of repositories in the pass of that day."""
    for full_name in full_names:
        db.keep(Absent(repository=full_name), at=NOW + day * DAY + 1, fresh_after=began(day))


def began(day: float) -> str:
    """When the pass of that day began."""
    return instant(NOW + day * DAY - 60)


def events(db: Database, kind: str = "%") -> list[tuple[str, str | None, dict[str, Any]]]:
    """Kind, repository and evidence of the events so far, those of tags left out."""
    query = "SELECT kind, full_name, detail FROM v_events WHERE kind LIKE ? AND kind NOT LIKE 'tag.%' ORDER BY id"
    rows = db.all(query, kind)
    return [(found[0], found[1], json.loads(found[2])) for found in rows]


def kinds(db: Database) -> list[tuple[str, str | None]]:
    """Kind and repository of the events so far."""
    return [(kind, full_name) for kind, full_name, _ in events(db)]


def gone(db: Database) -> list[str]:
    """The repositories that are gone."""
    return [found[0] for found in db.all("SELECT full_name FROM repositories WHERE gone_at IS NOT NULL ORDER BY 1")]
