"""How SQLite means to answer what is run, and which tables it may read from end to end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, event

from harvester.store import (
    statements,
)
from harvester.store.moment import Moment

ROWS = 3000
NOW = Moment.of(1_795_190_400 + 3600)

BIG = {"jobs", "run_jobs", "tags", "images", "tag_images", "layers", "image_layers", "tag_history", "pull_history"} | {
    *("instructions", "repositories", "harvested_digests", "listing_names", "indexes", "index_images", "events"),
    *("deliveries", "cadences", "listings"),
}
"""Tables that grow with what is harvested: no statement here may read one from end to end."""

OF_THE_LIVE = ("uq_jobs_live_key", "ix_jobs_lease", "ix_repositories_next_check_at")
"""Indexes that hold the live jobs, the running ones or what has looks between passes: these may be read from end to end."""

HALF = ("ix_listings_kind_subject (kind=?)", "ix_events_kind_observed_at (kind=?)")
"""An index of which only the first column is asked for, which has a few values: that reads a good part of the table."""

OF_THE_WATCHED = (
    *OF_THE_LIVE,
    "ix_jobs_claim",
    "ix_jobs_due",
    "ix_jobs_dead",
    "ix_deliveries_waiting",
    "ix_deliveries_dead",
)
"""Of these also what is counted now and then may be read from end to end: they hold what is left to do, or what failed."""


class Plan(NamedTuple):
    """A statement as it was run, and how SQLite means to answer it."""

    sql: str
    lines: list[str]

    @property
    def scanned(self) -> list[str]:
        """Lines that read a big table, or an index over all of it, from end to end, or a good part of it."""
        tables = {
            alias: table for table, alias in re.findall(r"(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(\w+))?", self.sql)
        }
        found = re.compile(r"SCAN (\w+)")
        return [
            line
            for line in self.lines
            if (
                ((scan := found.match(line)) and (scan[1] in BIG or tables.get(scan[1], "") in BIG))
                or line.endswith(HALF)
            )
            and not line.endswith(OF_THE_LIVE)
        ]


@contextmanager
def noted(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are run meanwhile, each once, with the parameters of its first row."""
    seen: dict[str, Any] = {}

    def note(_c: Connection, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        seen.setdefault(sql, parameters[0] if many else parameters)

    found: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", note)
    at_entry = statements._Errors.__init__

    def noting(self: Any, connection: Connection, sql: str) -> None:
        # The store's own statements go to the driver without an event; a plan needs as many values as there are marks.
        seen.setdefault(sql, (None,) * sql.count("?"))
        at_entry(self, connection, sql)

    statements._Errors.__init__ = noting  # type: ignore[method-assign]
    try:
        yield found
    finally:
        statements._Errors.__init__ = at_entry  # type: ignore[method-assign]
        event.remove(engine, "before_cursor_execute", note)
        found.extend(seen.items())


def plans(connection: Connection, act: Callable[[Connection], object]) -> list[Plan]:
    """The plan of every statement that `act` runs."""
    with noted(connection.engine) as found:
        act(connection)
    return [
        Plan(
            sql,
            [
                str(row[3]).replace("COVERING INDEX", "INDEX")
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
            ],
        )
        for sql, parameters in found
    ]
