"""Watches, what is stored of the repositories that they cover, and the plan of looks, by one short call each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection

from harvester.clock import instant, seconds_of
from harvester.store import cadences, looks
from harvester.store.cadences import Replanned, Step
from harvester.store.looks import Look
from tests.store.clocks import DAY
from tests.store.database import Database
from tests.store.makers import seen

HOUR = 3600
A_LOT = 3.0
"""Requests per second that the Hub allows."""


class Watched:
    """A database with watches; what a scheduler does to them, by one short call each."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def watch(
        self, target: str, *, every: int = DAY, fastest: int = 2 * HOUR, layers: str = "latest", **more: Any
    ) -> int:
        columns = {
            "target": target,
            "tags": "all",
            "layers": layers,
            "every_s": every,
            "fastest_s": fastest,
            "place": 0,
        }
        columns |= {"since": self.db.now.text} | more
        marks = ", ".join("?" for _ in columns)
        self.db.run(f"INSERT INTO watches ({', '.join(columns)}) VALUES ({marks})", *columns.values())
        return int(self.db.value("SELECT max(id) FROM watches"))

    def see(self, *names: str, age: float | None = 100 * DAY, **more: Any) -> None:
        """A sight of repositories whose last push is that old."""
        updated = None if age is None else instant(self.db.clock.time() - age)
        self.db.keep(*(seen(name, last_updated=updated, **more) for name in names))

    def cover(self) -> int:
        return self._do(cadences.cover)

    def observe(self) -> int:
        return self._do(lambda c: cadences.observe(c, self.db.now))

    def replan(self, per_s: float = A_LOT) -> Replanned:
        with self.db.reader.begin() as connection:
            found = cadences.replan(connection, self.db.now, per_s)
        self._all(found.steps)
        return found

    def due(self, most: int = 100) -> list[Look]:
        with self.db.engine.begin() as connection:
            return looks.due_looks(connection, self.db.now, most)

    def covered(self) -> dict[str, int]:
        sql = "SELECT r.full_name, c.watch_id FROM cadences c JOIN repositories r ON r.id = c.repository_id ORDER BY 1"
        return {str(name): int(watch) for name, watch in self.db.all(sql)}

    def habit(self, name: str) -> tuple[float, float, float]:
        checks, changes, observed = self.db.one(
            "SELECT checks, changes, observed_s FROM cadences c JOIN repositories r ON r.id = c.repository_id"
            " WHERE full_name = ?",
            name,
        )
        return float(checks), float(changes), float(observed)

    def interval(self, name: str) -> int:
        return int(
            self.db.value(
                "SELECT interval_s FROM cadences c JOIN repositories r ON r.id = c.repository_id WHERE full_name = ?",
                name,
            )
        )

    def in_s(self, name: str) -> int | None:
        """Seconds until the next look between passes."""
        found = self.db.value("SELECT next_check_at FROM repositories WHERE full_name = ?", name)
        return None if found is None else seconds_of(found) - int(self.db.clock.time())

    def _do(self, read: Callable[[Connection], Iterable[Step]]) -> int:
        with self.db.reader.begin() as connection:
            steps = list(read(connection))
        return self._all(steps)

    def _all(self, steps: Iterable[Step]) -> int:
        rows = 0
        for one in steps:
            with self.db.engine.begin() as connection:
                rows += one(connection)
        return rows
