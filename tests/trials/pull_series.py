"""The recorded pull series through the store: every observation kept, and every flag of `v_pull_daily` counted a second way.

`python -m tests.trials.pull_series --data DIR`, where DIR holds `pull-history.json.gz`. Everything is stored twice: every
observation (`history.pull_interval` at 0), and one a day, for which the events are counted. Then of the first all days are thinned
(`retention.pulls`), and `v_pull_daily` has to say of each day what it said before, but for the number of samples.

Some recorded stamps are bare dates, and a date may be there twice. A bare date says which day it was and nothing else, so its
observations are put at the first seconds of that day, in the order in which they were recorded: none is lost, none leaves its day.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from harvester.records import Repository
from harvester.store import migrate, retention
from harvester.store.engine import database_url, open_writer
from harvester.store.moment import Moment
from harvester.store.repositories import store_repositories
from tests.trials.passes import DATA

FILE = "pull-history.json.gz"
DAY_S = 86_400
CEILING = 2_147_483_647
FLAGS = ("chapter", "ceiling", "decrease", "plateau", "jump", "gap")


class Series(NamedTuple):
    """A recorded series: seconds and counts, as they were recorded, no second twice."""

    full_name: str
    points: list[tuple[int, int]]
    doubled: dict[str, int]
    """Days whose bare date was recorded more than once: how often."""
    decreases: int
    """How often the count went down, as the recording says."""


class Daily(NamedTuple):
    """A row of `v_pull_daily`."""

    day: str
    pulls: int | None
    elapsed_s: int | None
    flag: str | None
    pull_count: int
    samples: int


def recorded(data: Path = DATA) -> list[Series]:
    """Every recorded series."""
    with gzip.open(data / FILE, "rt", encoding="utf-8") as file:
        found = json.load(file)["series"]
    series: list[Series] = []
    for one in found:
        again: Counter[str] = Counter()
        points: list[tuple[int, int]] = []
        for stamp, count in one["points"]:
            points.append((_seconds(stamp) + again[stamp], count))
            again[stamp] += 1
        doubled = {stamp[:10]: number for stamp, number in again.items() if number > 1}
        series.append(Series(one["repository"], points, doubled, one["decreases"]))
    return series


def _seconds(stamp: str) -> int:
    found = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def store(connection: Connection, series: Iterable[Series], interval_s: int) -> None:
    """Store all observations through the store's own function, in the order of time, those of one second together."""
    at_once: dict[int, list[Repository]] = {}
    for one in series:
        namespace, _, name = one.full_name.partition("/")
        for at, count in one.points:
            seen = Repository(namespace=namespace, name=name, source="detail", pull_count=count)
            at_once.setdefault(at, []).append(seen)
    for at in sorted(at_once):
        store_repositories(connection, at_once[at], Moment.of(at), interval_s)


def thin(connection: Connection) -> None:
    """Let go of what is finer than a day, of all days."""
    now = Moment.of(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
    current = retention.begin(retention.Keep(None, 0, None, None), now)
    while not current.is_over:
        current = retention.step(connection, current)


def kept(connection: Connection, full_name: str) -> list[tuple[int, int]]:
    """What the table holds of a repository, in the order of time."""
    sql = (
        "SELECT p.observed_at, p.pull_count FROM pull_history p JOIN repositories r ON r.id = p.repository_id"
        " WHERE r.full_name = ? ORDER BY p.observed_at"
    )
    return [(int(row[0]), int(row[1])) for row in connection.exec_driver_sql(sql, (full_name,))]


def daily(connection: Connection, full_name: str) -> list[Daily]:
    """What the view says of a repository."""
    sql = "SELECT day, pulls, elapsed_s, flag, pull_count, samples FROM v_pull_daily WHERE full_name = ? ORDER BY day"
    return [Daily(*row) for row in connection.exec_driver_sql(sql, (full_name,))]


# The definitions of the README once more, in plain words of another language.


@dataclass(slots=True)
class _Past:
    """What was seen of one chapter, up to a day."""

    days: list[tuple[int, int]] = field(default_factory=list)
    moves: list[tuple[int, int]] = field(default_factory=list)
    """The observations at which the count moved."""
    late: list[bool] = field(default_factory=list)
    """Of each move but the first: whether the day before was none."""
    was_move: bool = False

    def take(self, now: tuple[int, int]) -> None:
        """Add one more day."""
        is_move = not self.days or self._moves(now)
        if is_move:
            self.late += [not self.was_move] * bool(self.moves)
            self.moves.append(now)
        self.days.append(now)
        self.was_move = is_move

    def _moves(self, now: tuple[int, int]) -> bool:
        """Whether the count moved, by more than next to nothing beside the mean of the days before."""
        last, far = self.days[-1], self.days[-29:][0]
        if now[1] <= last[1] or last == far:
            return now[1] != last[1]
        return 100.0 * (now[1] - last[1]) / (now[0] - last[0]) >= 1.0 * (last[1] - far[1]) / (last[0] - far[0])

    def is_frozen(self, at: int, count: int) -> bool:
        """Whether an observation shows next to nothing where much more would have come in."""
        means = [per_day(*self.moves[end - 8 : end : 7]) for end in range(len(self.moves), 7, -7)][:3]
        if not means or sum(self.late[-14:]) > 1:
            return False
        usual = sorted(means)[1] if len(means) == 3 else min(means)
        smallest = min(per_day(*two) for two in pairwise(self.moves[-15:]))
        days = (at - self.moves[-1][0]) / 86_400.0
        is_next_to_nothing = 100.0 * (count - self.moves[-1][1]) < usual * days
        return is_next_to_nothing and (usual * days >= 100 or smallest * days >= 10)


def per_day(old: tuple[int, int], new: tuple[int, int]) -> float:
    """Pulls a day between two observations."""
    return (new[1] - old[1]) * 86_400.0 / (new[0] - old[0])


def expected(points: Iterable[tuple[int, int]], chapters: Iterable[int] = ()) -> list[Daily]:
    """The rows that the view has to have for these observations, in the order of time; `chapters` ended at these seconds."""
    ends: dict[int, tuple[int, int]] = {}
    samples: Counter[int] = Counter()
    for at, count in points:
        ends[at // DAY_S] = (at, count)
        samples[at // DAY_S] += 1
    rows: list[Daily] = []
    past = _Past()
    before: tuple[int, int] | None = None
    was: str | None = None
    for number, (at, count) in ends.items():
        pulls = elapsed = None
        state: str | None = None
        if before is not None:
            pulls, elapsed = count - before[1], at - before[0]
        if before is not None and any(before[0] < ended <= at for ended in chapters):
            pulls, state, past = None, "chapter", _Past()
        elif count == CEILING:
            state = "ceiling"
        elif pulls is not None and pulls < 0:
            state = "decrease"
        elif was == "ceiling" and pulls:
            state = None
        elif past.moves and past.is_frozen(at, count):
            state = "plateau"
        flag = state
        if flag is None and pulls and was in ("plateau", "ceiling"):
            flag = "jump"
        if flag is None and elapsed is not None and elapsed > 2 * DAY_S:
            flag = "gap"
        past.take((at, count))
        day = datetime.fromtimestamp(at, UTC).date().isoformat()
        rows.append(Daily(day, pulls, elapsed, flag, count, samples[number]))
        before, was = (at, count), state
    return rows


# The trial.


@dataclass(slots=True)
class Outcome:
    """What became of one series."""

    full_name: str
    observations: int
    days: int
    flags: Counter[str]
    doubled: int
    """Days that were recorded more than once."""
    events: Counter[str]
    """By flag: `high` and `low` where there is none."""
    wrong: list[str]
    """What is not as it was recorded, or not as it was counted the second way."""
    thinned: int = 0
    """Observations between the first and the last one of a day, which go in the end."""


def tried(data: Path, folder: Path) -> list[Outcome]:
    """Every series stored and compared; the databases are made in the folder."""
    series = recorded(data)
    outcomes: list[Outcome] = []
    with opened(folder / "all.db") as connection:
        store(connection, series, 0)
        for one in series:
            rows, wrong = daily(connection, one.full_name), []
            if kept(connection, one.full_name) != one.points:
                wrong.append("observations")
            wrong += [
                f"{have} is to be {want}" for have, want in zip(rows, expected(one.points), strict=True) if have != want
            ]
            flags = Counter(row.flag for row in rows if row.flag is not None)
            if flags["decrease"] != one.decreases:
                wrong.append("decreases")
            if one.doubled.items() - {row.day: row.samples for row in rows}.items():
                wrong.append("doubled samples")
            outcomes.append(
                Outcome(one.full_name, len(one.points), len(rows), flags, len(one.doubled), Counter(), wrong)
            )
        before = [daily(connection, one.full_name) for one in series]
        all_of_it = connection.begin_nested()
        thin(connection)
        for one, rows, outcome in zip(series, before, outcomes, strict=True):
            outcome.thinned = len(one.points) - len(kept(connection, one.full_name))
            thinned = daily(connection, one.full_name)
            if thinned != [row._replace(samples=min(row.samples, 2)) for row in rows]:
                outcome.wrong.append("days after thinning")
        all_of_it.rollback()
    with opened(folder / "daily.db") as connection:
        store(connection, series, DAY_S)
        for one, outcome in zip(series, outcomes, strict=True):
            firsts: dict[int, tuple[int, int]] = {}
            for at, count in one.points:
                firsts.setdefault(at // DAY_S, (at, count))
            if kept(connection, one.full_name) != list(firsts.values()):
                outcome.wrong.append("first observations of days")
            outcome.events.update(kinds_of_events(connection, one.full_name))
    return outcomes


def kinds_of_events(connection: Connection, full_name: str) -> Iterator[str]:
    """The flag of each event of a repository."""
    sql = "SELECT detail FROM v_events WHERE kind = 'pulls.anomalous' AND full_name = ? ORDER BY id"
    for (detail,) in connection.exec_driver_sql(sql, (full_name,)):
        found = json.loads(detail)
        yield found["flag"] or ("high" if found["rate"] > found["usual_rate"] else "low")


@contextmanager
def opened(path: Path) -> Iterator[Connection]:
    """A transaction on a new database."""
    engine = open_writer(database_url(str(path)))
    try:
        migrate.upgrade(engine)
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def seconds_of_question(path: Path, full_name: str) -> float:
    """The best of three times that the view takes for one repository."""

    def once() -> float:
        began = time.perf_counter()
        daily(connection, full_name)
        return time.perf_counter() - began

    engine = open_writer(database_url(str(path)))
    try:
        with engine.begin() as connection:
            return min(once() for _ in range(3))
    finally:
        engine.dispose()


def main(arguments: list[str] | None = None, say: Callable[[str], object] = print) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args(arguments)
    if not (options.data / FILE).is_file():
        say(f"there is no {FILE} in {options.data}: name its folder with --data")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        outcomes = tried(options.data, Path(folder))
        seconds = seconds_of_question(Path(folder) / "all.db", "library/redis")
    say(
        f"{'repository':41}{'stored':>7}{'thinned':>8}{'days':>6}{'doubled':>8}"
        + "".join(f"{flag:>9}" for flag in FLAGS)
        + "  events"
    )
    for one in outcomes:
        told = ", ".join(f"{count} {name}" for name, count in sorted(one.events.items()))
        flags = "".join(f"{one.flags[flag] or '-':>9}" for flag in FLAGS)
        numbers = f"{one.observations:>7}{one.thinned or '-':>8}{one.days:>6}{one.doubled or '-':>8}"
        say(f"{one.full_name:41}{numbers}{flags}  {told or '-'}")
        for wrong in one.wrong:
            say(f"  WRONG: {wrong}")
    amiss = sum(bool(one.wrong) for one in outcomes)
    say(
        f"{len(outcomes)} series, {sum(one.observations for one in outcomes)} observations, {amiss} series with differences"
    )
    say(f"v_pull_daily of library/redis: {1000 * seconds:.0f} ms")
    return 1 if amiss else 0


if __name__ == "__main__":
    sys.exit(main())
