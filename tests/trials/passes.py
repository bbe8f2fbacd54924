"""Passes of a backfill in virtual time: the real worker and writer, the fake Hub's logic, its limits and its journal."""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from harvester.cli.backfill import filled_as
from harvester.composition import Parts, assembled, open_store, worker_of
from harvester.config import Settings
from harvester.errors import HarvesterError
from harvester.policy import LayerPolicy, TagPolicy
from harvester.request import Request
from harvester.store import runs
from harvester.store.holes import Holes, holes_of_run
from harvester.store.moment import Moment
from harvester.targets import parse_targets
from tests.fakehub import Entry, FakeHub, Limits, World
from tests.simulation.far_end import Distance, far_end
from tests.simulation.virtual import VirtualClock

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
RECORDED = ("official-2018.json.gz", "official-2026.json.gz")

KINDS = (
    ("namespace pages", re.compile(r"hub /v2/namespaces/[^/]+/repositories/?$|hub /v2/repositories/[^/]+/$")),
    ("tag pages", re.compile(r"hub .*/tags/?$")),
    ("single tags", re.compile(r"hub .*/tags/[^/]+/?$")),
    ("layers", re.compile(r"hub .*/tags/[^/]+/images$")),
    ("details", re.compile(r"hub /v2/(namespaces/[^/]+/repositories|repositories/[^/]+)/[^/]+/?$")),
    ("logins", re.compile(r"hub /v2/auth/token$")),
    ("lists of names", re.compile(r"registry .*/tags/list$")),
    ("tokens", re.compile(r"auth /token$")),
)
"""What a request was for, by its host and path: the first that fits."""

FREE = ("lists of names", "tokens")
"""What costs nothing of the Hub's budget."""


def kinds_of(entries: list[Entry]) -> Counter[str]:
    """How many requests of each kind there were."""
    return Counter(_kind_of(f"{entry.host} {entry.path}") for entry in entries)


def _kind_of(text: str) -> str:
    return next((name for name, pattern in KINDS if pattern.search(text)), f"other: {text}")


def told(kinds: Mapping[str, int]) -> str:
    """The counts in words."""
    return ", ".join(f"{number} {name}" for name, number in sorted(kinds.items(), key=lambda pair: -pair[1])) or "none"


def of_hub(kinds: Mapping[str, int]) -> int:
    """Those that spend the Hub's budget."""
    return sum(number for name, number in kinds.items() if name not in FREE)


@dataclass(frozen=True, slots=True)
class Passed:
    """One pass and what it cost."""

    kinds: Counter[str]
    refused: int
    """Requests that the limiter refused."""
    seconds: float
    """Virtual ones."""
    holes: list[Holes]

    @property
    def hub(self) -> int:
        return of_hub(self.kinds)


class Trial:
    """One database and one far end, for as many passes as are asked for."""

    def __init__(
        self,
        world: World,
        folder: Path,
        clock: VirtualClock,
        *,
        limits: Limits | None = None,
        credential: tuple[str, str] | None = None,
        seed: int = 1,
        pull_interval: str = "1d",
        may_give_up: bool = False,
        url: str | None = None,
    ) -> None:
        """In a file in the folder, or in the database at that URL.

        With `may_give_up` a far end of no use ends a pass, as it ends the command; else that is a mistake of the trial."""
        self.clock = clock
        self.fatal: HarvesterError | None = None
        """Why the last pass could not go on."""
        self.is_resumed = False
        """Whether the last pass went on with one that had been given up."""
        self._may_give_up = may_give_up
        self.database = folder / "harvester.db"
        self._credential = credential
        users = dict([credential]) if credential is not None else {}
        self.hub: FakeHub = far_end(limits or Limits(), clock.time, world, users)
        self.far = Distance(self.hub, clock.time, random.Random(seed))  # noqa: S311
        """What stands for the network."""
        self._settings = Settings(
            database=url or str(self.database),
            hub_url=self.hub.hub_url,
            auth_url=self.hub.auth_url,
            registry_url=self.hub.registry_url,
            pull_interval=pull_interval,
        )

    async def backfill(self, *targets: str, tags: str = "all", layers: str = "latest", holes: str = "leave") -> Passed:
        """`harvester backfill` with these options, to its end."""
        self.hub.journal.clear()
        began = self.clock.monotonic()
        fill = filled_as(holes, self._credential)
        request = Request(parse_targets(targets), TagPolicy.parse(tags), LayerPolicy.parse(layers), fill=fill)
        engine = open_store(self._settings)
        try:
            left = await self._worked(request, engine)
        finally:
            engine.dispose()
        entries = list(self.hub.journal)
        refused = sum(entry.status == 429 for entry in entries)
        return Passed(kinds_of(entries), refused, self.clock.monotonic() - began, left)

    async def _worked(self, request: Request, engine: Engine) -> list[Holes]:
        async with assembled(
            self._settings,
            engine,
            self.clock,
            credential=self._credential,
            on_hold=lambda *_: None,
            inner=lambda egress: self.far,
        ) as parts:
            jobs, fingerprint = request.jobs(pulls=False), request.fingerprint(pulls=False)
            run = await parts.writer.call(
                lambda connection: runs.begin_run(connection, fingerprint, jobs, Moment.of(self.clock.time()))
            )
            is_over = partial(self._is_over, parts, run.id)
            self.is_resumed = run.is_resumed
            worker = worker_of(parts, self.clock, run_id=run.id, on_report=lambda report: None)
            await worker.run(is_over)
            assert self._may_give_up or worker.fatal is None, worker.fatal
            self.fatal = worker.fatal
            with parts.reader.begin() as connection:
                return holes_of_run(connection, run.id, request.fill, Moment.of(self.clock.time()))

    async def _is_over(self, parts: Parts, run_id: int) -> bool:
        return await parts.writer.call(
            lambda connection: runs.finish_run(connection, run_id, Moment.of(self.clock.time()))
        )

    def rows(self, query: str) -> list[Any]:
        """What the database says."""
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()

    def one(self, query: str) -> Any:
        """The single value that the database says."""
        [[value]] = self.rows(query)
        return value
