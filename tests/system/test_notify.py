"""`harvester notify` and what a backfill tells, as real processes: kills, two at once, exit codes, no secret anywhere."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from tests.fakehub import FakeHub, World
from tests.receiver import Receiver
from tests.system.conftest import FAST, PATIENCE_S, Harvester

KEY = "the-operators-signing-key"
KILLS = 5
IN_FLIGHT = 1
"""Events that are on their way to one receiver at one time: what one kill may repeat."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def configured(harvester: Harvester, receiver: Receiver, more: str = "") -> None:
    (harvester.folder / "url").write_text(receiver.url)
    (harvester.folder / "key").write_text(KEY)
    (harvester.folder / "harvester.toml").write_text(
        f'[[notify]]\nname = "ops"\nto = "webhook"\nurl_file = "url"\nsecret_file = "key"\n{more}'
    )


def happen(harvester: Harvester, events: int, tags: int = 7) -> None:
    """So many events about so many tags, in turn."""
    with closing(sqlite3.connect(harvester.database)) as connection, connection:
        connection.execute(
            """INSERT OR IGNORE INTO repositories (id, namespace, name, full_name, is_official, first_seen_at, last_seen_at)
            VALUES (1, 'library', 'nginx', 'library/nginx', 1, '2026-11-20T16:00:00Z', '2026-11-20T16:00:00Z')"""
        )
        connection.executemany(
            """INSERT OR IGNORE INTO tags (id, repository_id, name, first_seen_at, last_seen_at)
            VALUES (?, 1, 't' || ?, '2026-11-20T16:00:00Z', '2026-11-20T16:00:00Z')""",
            [(number, number) for number in range(1, tags + 1)],
        )
        connection.executemany(
            """INSERT INTO events (observed_at, kind, repository_id, tag_id, detail)
            VALUES ('2026-11-20T16:00:00Z', 'tag.moved', 1, ?, '{}')""",
            [(1 + number % tags,) for number in range(events)],
        )


def unhurried(harvester: Harvester) -> None:
    """As if the minute of the webhooks' budget were over, and the leases of what was killed."""
    with closing(sqlite3.connect(harvester.database)) as connection, connection:
        connection.execute("UPDATE budgets SET next_at = 0, window_ends_at = 0 WHERE budget = 'webhooks'")
        connection.execute("UPDATE deliveries SET run_at = '2000-01-01T00:00:00Z' WHERE state = 'waiting'")


def told(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {row["notifier"]: row for row in json.loads(done.stdout)}


def first_times(receiver: Receiver) -> dict[str, list[int]]:
    """By tag, the events in the order in which they arrived for the first time."""
    found: dict[str, list[int]] = defaultdict(list)
    for event in receiver.taken:
        if event["id"] not in found[event["tag"]]:
            found[event["tag"]].append(event["id"])
    return found


def test_kills_in_the_middle_lose_nothing_and_keep_the_order(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver)
    assert harvester.run(None, "notify").returncode == 0
    happen(harvester, 25)
    for kill in range(KILLS):
        arrived, killed = threading.Event(), threading.Event()
        enough = len(receiver.journal) + 4

        def note(enough: int, arrived: threading.Event, killed: threading.Event) -> None:
            if len(receiver.journal) >= enough:
                arrived.set()
                killed.wait(PATIENCE_S)

        receiver.before_answer = partial(note, enough, arrived, killed)
        if kill % 2:
            killed.set()
        process = harvester.start(None, "notify")
        assert arrived.wait(PATIENCE_S)
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        killed.set()
        assert process.returncode == -signal.SIGKILL
        happen(harvester, 3)
        assert harvester.one("PRAGMA integrity_check") == "ok", kill
        unhurried(harvester)
    receiver.before_answer = lambda: None
    done = harvester.run(None, "notify", "--json")
    assert done.returncode == 0, done.stderr
    times = Counter(event["id"] for event in receiver.taken)
    assert sorted(times) == list(range(1, 25 + 3 * KILLS + 1)), "nothing is lost"
    assert set(times.values()) <= {1, 2}
    again = sum(times.values()) - len(times)
    assert (KILLS + 1) // 2 <= again <= KILLS * IN_FLIGHT, "twice comes only what was on its way"
    assert len(first_times(receiver)) == 7
    assert all(ids == sorted(ids) for ids in first_times(receiver).values())
    assert harvester.rows("SELECT DISTINCT state FROM deliveries") == [("done",)]


def test_what_was_killed_comes_again_when_its_lease_is_over(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver)
    harvester.run(None, "notify")
    happen(harvester, 1)
    arrived, killed = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        killed.wait(PATIENCE_S)

    receiver.status, receiver.before_answer = (lambda event: 0), hold
    process = harvester.start(None, "notify")
    assert arrived.wait(PATIENCE_S)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    killed.set()
    receiver.status, receiver.before_answer = (lambda event: 200), lambda: None
    soon = harvester.run(None, "notify", "--json")
    assert soon.returncode == 1, "it is on its way, as far as anybody knows"
    assert (told(soon)["ops"]["waiting"], receiver.taken) == (1, [])
    unhurried(harvester)
    assert harvester.run(None, "notify").returncode == 0
    assert [event["id"] for event in receiver.taken] == [1]


def test_two_at_once_deliver_each_event_once(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver)
    harvester.run(None, "notify")
    happen(harvester, 18, tags=9)
    both = threading.Barrier(2)

    def meet() -> None:
        # Each of them sends one at a time: the first two are of one each.
        if len(receiver.journal) <= 2:
            both.wait(PATIENCE_S)

    receiver.before_answer = meet
    processes = [harvester.start(None, "notify", "--json") for _ in range(2)]
    delivered = 0
    for process in processes:
        answer, errors = process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in errors
        delivered += json.loads(answer)[0]["delivered"]
    assert delivered == 18
    assert sorted(event["id"] for event in receiver.taken) == list(range(1, 19))
    assert all(ids == sorted(ids) for ids in first_times(receiver).values())
    assert harvester.run(None, "notify").returncode == 0


def test_what_stays_back_is_said_and_put_back_by_hand(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver)
    harvester.run(None, "notify")
    happen(harvester, 2, tags=2)
    receiver.status = lambda event: 500 if event["id"] == 1 else 422
    done = harvester.run(None, "notify")
    assert done.returncode == 1
    assert "127.0.0.1 answered 422" in done.stdout
    status = harvester.run(None, "status")
    assert "events waiting" in status.stdout
    assert "events given up" in status.stdout
    rows = json.loads(harvester.run(None, "status", "--json").stdout)
    assert [(one["notifier"], one["waiting"], one["dead"]) for one in rows["notifiers"]] == [("ops", 1, 1)]
    [lost] = rows["dead_deliveries"]
    assert (lost["event_id"], lost["subject"], lost["last_error"]) == (2, "library/nginx:t2", "127.0.0.1 answered 422")
    receiver.status = lambda event: 200
    done = harvester.run(None, "notify", "--retry-dead")
    assert done.returncode == 1, "the other one waits for its time"
    assert "put back 1 event\n" in done.stdout
    unhurried(harvester)
    assert harvester.run(None, "notify", "--retry-dead", "--json").returncode == 0
    assert [event["id"] for event in receiver.taken] == [2, 1]


def test_a_test_event_says_whether_it_was_taken(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver, '[[notify]]\nto = "atom"\nfile = "feed.atom"\n')
    done = harvester.run(None, "notify", "--test", "ops")
    assert (done.returncode, done.stdout) == (0, "ops took the test event\n")
    assert receiver.taken[0]["kind"] == "test"
    receiver.close()
    done = harvester.run(None, "notify", "--test", "ops")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("harvester: ops: 127.0.0.1: no connection: ")
    assert len(done.stderr.splitlines()) == 1
    done = harvester.run(None, "notify", "--test", "opps")
    assert done.returncode == 2
    assert "there is no notifier opps; the configuration has ops, atom" in done.stderr


def test_wrong_usage_is_one_line_and_exit_2(harvester: Harvester, receiver: Receiver) -> None:
    done = harvester.run(None, "notify")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "harvester: nobody is to be told: the configuration has no `[[notify]]`\n"
    configured(harvester, receiver)
    (harvester.folder / "key").unlink()
    for command in (("notify",), ("backfill", "nginx")):
        done = harvester.run(None, *command)
        assert done.returncode == 2
        assert done.stderr == "harvester: notifier ops: cannot read key: No such file or directory\n"
    assert harvester.one("SELECT count(*) FROM runs") == 0, "nothing was begun"


def test_a_feed_that_cannot_be_written_is_told_also_when_nothing_waits_for_it(harvester: Harvester) -> None:
    (harvester.folder / "harvester.toml").write_text('[[notify]]\nto = "atom"\nfile = "missing/feed.atom"\n')
    done = harvester.run(None, "notify")
    assert done.returncode == 1
    assert "cannot write the feed missing/feed.atom: No such file or directory" in done.stdout


def test_a_backfill_tells_what_it_finds_and_shows_the_budget(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver, '[[notify]]\nto = "atom"\nfile = "feed.atom"\n')
    world = World.small()
    with FakeHub(world, limits=FAST) as hub:
        assert harvester.run(hub, "backfill", "acme/web").returncode == 0
        happen(harvester, 3)
        done = harvester.run(hub, "backfill", "acme/web")
        assert done.returncode == 0, done.stderr
    events = harvester.one("SELECT count(*) FROM events")
    assert len(receiver.taken) == events >= 3
    assert "webhooks" in done.stdout
    assert (harvester.folder / "feed.atom").read_text().count("<entry>") == min(100, events)
    [budget] = [
        row for row in json.loads(harvester.run(None, "limits", "--json").stdout) if row["budget"] == "webhooks"
    ]
    assert (budget["limit"], budget["window_s"]) == (60, 60.0)


def test_the_first_backfill_with_a_receiver_tells_it_what_that_finds(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver)
    happen(harvester, 2)
    with closing(sqlite3.connect(harvester.database)) as connection, connection:
        connection.execute(
            """CREATE TRIGGER noted AFTER INSERT ON repositories BEGIN INSERT INTO events (observed_at, kind, repository_id, detail)
            VALUES ('2026-11-20T16:00:00Z', 'repository.new', NEW.id, '{}'); END"""
        )
    with FakeHub(World.small(), limits=FAST) as hub:
        assert harvester.run(hub, "backfill", "acme/web").returncode == 0
    assert "acme/web" in {event["repository"] for event in receiver.taken}
    assert min(event["id"] for event in receiver.taken) == 3, "and nothing of before"


def test_a_receiver_that_fails_is_a_line_and_not_the_backfills_fault(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver)
    receiver.close()
    with FakeHub(World.small(), limits=FAST) as hub:
        assert harvester.run(hub, "backfill", "acme/web").returncode == 0
        happen(harvester, 3)
        done = harvester.run(hub, "backfill", "acme/web", "--quiet")
    assert done.returncode == 0
    waiting = harvester.one("SELECT count(*) FROM deliveries WHERE state = 'waiting'")
    assert waiting >= 3
    [line] = [line for line in done.stderr.splitlines() if line.startswith("not told: ")]
    assert line.startswith(f"not told: ops: {waiting} events wait: 127.0.0.1: no connection: ")


def test_the_address_and_the_key_are_nowhere(harvester: Harvester, receiver: Receiver) -> None:
    configured(harvester, receiver)
    harvester.run(None, "notify")
    happen(harvester, 4, tags=4)
    receiver.answer = f"cannot POST {receiver.url} {KEY}".encode()
    receiver.status = lambda event: [200, 500, 422, 301][event["id"] - 1]
    texts = []
    for command in (("notify",), ("status",), ("status", "--json"), ("notify", "--test", "ops"), ("limits",)):
        done = harvester.run(None, *command)
        texts += [done.stdout, done.stderr]
        receiver.status = lambda event: 500
    receiver.close()
    unhurried(harvester)
    done = harvester.run(None, "notify")
    texts += [done.stdout, done.stderr]
    assert any("no connection" in text for text in texts)
    files = [path for path in harvester.folder.iterdir() if path.name not in ("url", "key")]
    for secret in ("very-secret-path", KEY):
        assert not [text for text in texts if secret in text]
        assert not [file.name for file in files if secret.encode() in file.read_bytes()]
