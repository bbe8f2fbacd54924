"""Atom files: what they hold, and what becomes of those that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester import receivers
from harvester.errors import ConfigError
from harvester.notify import Notify
from tests.store.clocks import LoneClock
from tests.store.database import Database
from tests.store.delivery.deliveries import Open, entries, listed
from tests.store.makers import NGINX
from tests.store.test_outbox import happen

pytestmark = pytest.mark.anyio


async def test_a_feed_holds_the_newest_events_it_wants(known: Database, deliver: Open, tmp_path: Path) -> None:
    path = tmp_path / "feed.atom"
    notify = Notify(name="feed", to="atom", file=str(path), kinds=("tag.*",))
    happen(known, f"{NGINX}:1.28", kind="tag.gone")
    async with deliver(notify) as delivery:
        await delivery.round()
        assert [one["title"] for one in entries(path)] == [f"tag.gone {NGINX}:1.28"], "there at once, the past in it"
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        happen(known, *[f"{NGINX}:1.27"] * 110)
        happen(known, NGINX, kind="repository.gone")
        [served] = await delivery.round()
        assert (served.delivered, served.failed) == (110, 0)
        found = entries(path)
        assert len(found) == 100
        uuid = known.value("SELECT uuid FROM notifiers")
        assert [one["id"] for one in found] == [
            f"urn:harvester:event:{uuid}:{number}-20261120T160000Z" for number in range(111, 11, -1)
        ]
        before = path.stat()
        assert before.st_mode & 0o777 == 0o644, "whoever may read it may go on reading it"
        await delivery.round()
        assert path.stat().st_ino == before.st_ino, "written only when there is something new"
        path.unlink()
        await delivery.round()
        assert len(entries(path)) == 100
    assert not listed(tmp_path, ".feed*")


async def test_a_feed_that_cannot_be_written_is_never_given_up(
    known: Database, deliver: Open, clock: LoneClock, tmp_path: Path
) -> None:
    path = tmp_path / "later" / "feed.atom"
    async with deliver(Notify(name="feed", to="atom", file=str(path))) as delivery:
        happen(known, NGINX, f"{NGINX}:1.27")
        failed = [(await delivery.round())[0].failed for _ in range(5)]
        assert failed == [1, 1, 1, 0, 0], "one try for each of the two, one for the file that is missing, then a pause"
        for _ in range(80):
            [served] = await delivery.round()
            assert served.dead == 0
            clock.advance(3600)
        [standing] = await delivery.standing()
        assert (standing.waiting, standing.dead) == (2, 0)
        assert standing.last_error == f"cannot write the feed {path}: No such file or directory"
        path.parent.mkdir()
        await delivery.round()
        assert len(entries(path)) == 2
        assert await delivery.standing() == []


async def test_a_path_that_no_file_can_have_is_a_failure_like_any_other(deliver: Open, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    async with deliver(Notify(name="feed", to="atom", file=str(path))) as delivery:
        [served] = await delivery.round()
    assert (served.failed, served.last_error) == (1, f"cannot write the feed {path}: File name too long")


async def test_a_home_that_is_not_there_is_said(deliver: Open) -> None:
    with pytest.raises(ConfigError, match=r"notifier feed: ~nobody-of-this-name/a: there is no such home directory"):
        async with deliver(Notify(name="feed", to="atom", file="~nobody-of-this-name/a")):
            pass


async def test_a_newer_feed_that_was_written_meanwhile_comes_back(tmp_path: Path) -> None:
    contents = [b"old", b"newer", b"newest", b"newest"]

    async def content(_test: object) -> bytes:
        return contents.pop(0)

    await receivers.FeedReceiver(tmp_path / "feed", content).write()
    assert (tmp_path / "feed").read_bytes() == b"newest"
