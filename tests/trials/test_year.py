"""A scripted world, harvested daily with faults, is stored as it was. A whole year: `python -m tests.trials.year --days 365`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.trials.judge_events import judged_events
from tests.trials.script import made
from tests.trials.year import Plan, Year, lived

DAYS = 40


@pytest.fixture(scope="module")
def year() -> Iterator[Year]:
    """Days with faults; judged, and not to be changed."""
    with TemporaryDirectory() as folder:
        yield lived(Plan(days=DAYS), Path(folder))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Year:
    """Days without faults, with a database that a test may spoil and mends again."""
    return lived(Plan(days=DAYS, with_faults=False), tmp_path_factory.mktemp("quiet"))


def test_nothing_is_said_to_be_gone_that_was_there(year: Year) -> None:
    assert year.false_deletions == []
    assert sum(year.faults.values()) > 100, "the far end failed"
    assert year.faults["404 for a third of a namespace"] > 0


def test_every_interval_is_that_of_the_script(year: Year) -> None:
    assert year.verdict.differences == []
    assert year.verdict.compared > 1000


def test_without_faults_every_interval_is_equal_to_the_day(quiet: Year) -> None:
    assert quiet.verdict.differences == []
    assert quiet.verdict.equal == quiet.verdict.compared > 1000
    assert all(one.is_whole and not one.disturbed for one in quiet.passes)


@pytest.mark.parametrize("with_faults", [True, False], ids=["with faults", "without"])
def test_every_change_is_told_once(year: Year, quiet: Year, with_faults: bool) -> None:
    assert (year if with_faults else quiet).events.differences == []


def test_a_seed_decides_the_script() -> None:
    assert made(1, DAYS, with_shifts=True) == made(1, DAYS, with_shifts=True)
    assert made(1, DAYS, with_shifts=True) != made(2, DAYS, with_shifts=True)


ONE = "SELECT tag_id FROM tag_history WHERE digest IS NOT NULL AND seen_until IS NULL ORDER BY tag_id DESC LIMIT 1"
INTERVAL = f"tag_id = ({ONE}) AND seen_until IS NULL"
SEEN = "(SELECT CAST(strftime('%s', last_seen_at) AS INTEGER) FROM tags WHERE id = tag_id)"
MOVED = "INSERT INTO events (observed_at, kind, repository_id, tag_id, detail, rank)"


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (f"UPDATE tag_history SET seen_from = seen_from + 86400 WHERE {INTERVAL}", "otherwise"),
        (f"UPDATE tag_history SET seen_from = seen_from - 86400 * 90 WHERE {INTERVAL}", "no such interval"),
        (f"UPDATE tag_history SET pushed_at = pushed_at + 1 WHERE {INTERVAL}", "otherwise"),
        (f"UPDATE tag_history SET last_updater = 'nobody' WHERE {INTERVAL}", "otherwise"),
        (f"UPDATE tag_history SET digest = 'sha256:00' WHERE {INTERVAL}", "no such interval"),
        (f"DELETE FROM tag_history WHERE {INTERVAL}", "missing"),
        (
            "INSERT INTO tag_history (tag_id, seen_from, digest, source)"
            f" SELECT tag_id, {SEEN} + 1, NULL, 'names' FROM tag_history WHERE {INTERVAL}",
            "no such interval",
        ),
        (
            "UPDATE tag_history SET seen_until = seen_until - 1 WHERE seen_until IS NOT NULL AND digest IS NOT NULL"
            " AND (tag_id, seen_until) IN (SELECT tag_id, seen_from FROM tag_history)",
            "torn",
        ),
        ("UPDATE tags SET digest = NULL WHERE gone_at IS NULL", "torn"),
    ],
)
def test_the_judge_sees_an_interval_that_is_wrong(quiet: Year, spoil: str, kind: str) -> None:
    before = set(quiet.judge.compare().differences)
    with _spoilt(quiet, spoil):
        found = set(quiet.judge.compare().differences) - before
    assert kind in {one.kind for one in found}


def test_the_judge_sees_what_is_gone_falsely(quiet: Year) -> None:
    spoils = (
        "INSERT INTO tag_history (tag_id, seen_from, digest, source)"
        f" SELECT tag_id, {SEEN} + 1, NULL, 'names' FROM tag_history WHERE {INTERVAL}",
        f"UPDATE tags SET gone_at = last_seen_at WHERE id = ({ONE})",
        f"UPDATE repositories SET gone_at = last_seen_at WHERE id = (SELECT repository_id FROM tags WHERE id = ({ONE}))",
    )
    for spoil in spoils:
        with _spoilt(quiet, spoil):
            assert quiet.judge.false_deletions(quiet.passes[0].began) != []
    assert quiet.judge.false_deletions(quiet.passes[0].began) == []


@pytest.mark.parametrize(
    ("kind", "times", "difference"),
    [
        ("tag.moved", 1, "event without a change"),
        ("tag.gone", 2, "event twice"),
        ("tag.gone", 1, "event without a change"),
    ],
)
def test_the_judge_sees_an_event_that_is_wrong(quiet: Year, kind: str, times: int, difference: str) -> None:
    spoil = (
        f"{MOVED} SELECT last_seen_at, '{kind}', repository_id, id, '{{}}', 3 FROM tags WHERE id = ({ONE})"
        + f" UNION ALL SELECT last_seen_at, '{kind}', repository_id, id, '{{}}', 3 FROM tags WHERE id = ({ONE})"
        * (times - 1)
    )
    with _spoilt(quiet, spoil):
        assert difference in {one.kind for one in judged_events(quiet.judge).differences}


def test_the_judge_sees_an_event_that_lacks(quiet: Year) -> None:
    spoil = f"{MOVED} SELECT last_seen_at, 'tag.moved', repository_id, id, '{{}}', 3 FROM tags WHERE id = ({ONE})"
    with _spoilt(quiet, f"{spoil}; DELETE FROM events WHERE kind = 'tag.gone'"):
        kinds = {(one.kind, one.text.partition(",")[0]) for one in judged_events(quiet.judge).differences}
    assert ("no event", "tag.gone") in kinds


class _spoilt:  # noqa: N801
    """The database with a statement run on it, and as it was afterwards."""

    def __init__(self, year: Year, statement: str) -> None:
        self._path = year.judge.trial.database
        self._statement = statement
        self._kept = b""

    def __enter__(self) -> None:
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._kept = self._path.read_bytes()
        with closing(sqlite3.connect(self._path)) as connection:
            connection.executescript(self._statement)
            assert connection.total_changes > 0
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def __exit__(self, *_: object) -> None:
        for rest in self._path.parent.glob(f"{self._path.name}-*"):
            rest.unlink()
        self._path.write_bytes(self._kept)
