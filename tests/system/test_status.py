"""`harvester status` as a command: the part about the service."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import Any

from harvester.clock import instant
from tests.system.conftest import Harvester


def put(harvester: Harvester, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(harvester.database)) as connection, connection:
        connection.execute(sql, values)


def test_who_works_what_is_watched_and_what_was_pruned(harvester: Harvester) -> None:
    now = time.time()
    put(
        harvester,
        "INSERT INTO processes (owner, command, version, started_at, seen_at) VALUES ('box:17:ab', 'run', '0.1.0', ?, ?)",
        instant(now - 60),
        instant(now),
    )
    put(
        harvester,
        "INSERT INTO watches (target, tags, layers, every_s, fastest_s, place, since, next_check_at)"
        " VALUES ('library/nginx', 'all', 'latest', 86400, 7200, 0, ?, ?)",
        *(instant(now), instant(now - 7200)),
    )
    put(harvester, "INSERT INTO work_days VALUES (?, 'images', 'done', 12, 13)", instant(now)[:10])
    answer = json.loads(harvester.run(None, "status", "--json").stdout)
    assert answer["processes"] == [
        {"command": "run", "version": "0.1.0", "host": "box", "pid": "17", "since": instant(now - 60)}
    ]
    assert answer["freshness"]["in_force"] == answer["freshness"]["due"] == 1
    assert 7200 <= answer["freshness"]["lag_s"] < 7320
    assert answer["freshness"]["stretch"] is None
    assert answer["watches"][0]["target"] == "library/nginx"
    assert answer["pruned"] == [{"kind": "images", "done": 12, "dead": 0, "attempts": 13}]
    plain = harvester.run(None, "status").stdout.splitlines()
    assert plain[1] == f"at work     harvester run 0.1.0 since {instant(now - 60)} (host box, pid 17)"
    assert plain[2].startswith("watches     1 in force, 1 due, 0 under way, the longest lag is 2")
    assert any(line.split() == ["images", "12", "0", "13"] for line in plain)
    assert any(line.startswith("library/nginx  all   latest  1d") for line in plain)


def test_an_empty_database_says_nothing_of_a_service(harvester: Harvester) -> None:
    plain = harvester.run(None, "status").stdout
    assert "watches" not in plain
    assert "at work" not in plain
