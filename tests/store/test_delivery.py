"""Events brought to real receivers on loopback, under a clock that the test moves."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import sys
import threading
import types
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine

from harvester import receivers
from harvester.config import Settings
from harvester.delivery import PAUSES_S, Delivery, opened
from harvester.errors import ConfigError, NotDelivered
from harvester.notify import Notify
from harvester.store import outbox, reads
from harvester.store.writer import Writer
from harvester.wire.webhook import TOTAL_S
from tests.receiver import Receiver
from tests.store.clocks import LoneClock
from tests.store.database import OWNER, Database
from tests.store.makers import NGINX, seen, tag, tags
from tests.store.test_outbox import happen

pytestmark = pytest.mark.anyio
KEY = "the-operators-signing-key"
ATOM = "{http://www.w3.org/2005/Atom}"
OURS = '{"namespace": "library"}'
Open = Callable[..., AbstractAsyncContextManager[Delivery]]


@pytest.fixture
def clock() -> LoneClock:
    return LoneClock()


@pytest.fixture
def known(db: Database) -> Database:
    """Two tags of nginx, and no event yet."""
    db.keep(seen(), tags(tag("1.27", 1), tag("1.28", 2)))
    return db


@pytest.fixture
def deliver(known: Database, engine: Engine, clock: LoneClock) -> Open:
    """A process of its own, as it were: opens the receivers, and enrols them."""

    @asynccontextmanager
    async def opening(*notify: Notify) -> AsyncIterator[Delivery]:
        writer = Writer(engine, clock, OWNER)
        try:
            async with opened(Settings(notify=notify, contact="ops"), writer, known.reader, clock) as delivery:
                await delivery.enrol()
                yield delivery
        finally:
            writer.close()

    return opening


def webhook(receiver: Receiver, **changes: Any) -> Notify:
    values: dict[str, Any] = {"name": "ops", "to": "webhook", "url": receiver.url} | changes
    return Notify(**values)


def ids(receiver: Receiver) -> list[int]:
    return [event["id"] for event in receiver.taken]


def listed(folder: Path, glob: str) -> list[Path]:
    return list(folder.glob(glob))


def by_subject(receiver: Receiver) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = defaultdict(list)
    for event in receiver.taken:
        found[event["repository"], event["tag"]].append(event["id"])
    return found


# Webhooks.


async def test_a_webhook_gets_the_whole_event_signed(
    known: Database, deliver: Open, clock: LoneClock, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f" {KEY}\n")
    with Receiver() as receiver:
        (tmp_path / "url").write_text(f"{receiver.url}\n")
        one = webhook(receiver, url=None, url_file=str(tmp_path / "url"), secret_file=str(tmp_path / "key"))
        async with deliver(one) as delivery:
            happen(known, f"{NGINX}:1.27")
            [served] = await delivery.round()
            assert (served.delivered, delivery.requests) == (1, 1)
        [noted] = receiver.journal
    assert noted.event == {
        "id": 1,
        "kind": "tag.moved",
        "rank": 3,
        "observed_at": "2026-11-20T16:00:00Z",
        "happened_at": None,
        "repository": NGINX,
        "tag": "1.27",
        "detail": {},
    }
    assert noted.path == "/hooks/T0/very-secret-path"
    assert noted.headers["harvester-event-id"] == "1"
    assert noted.headers["user-agent"].startswith("harvester/")
    assert noted.headers["user-agent"].endswith("(+ops)")
    assert noted.headers["content-type"] == "application/json"
    assert "authorization" not in noted.headers
    t, v1 = (part.partition("=")[2] for part in noted.headers["harvester-signature"].split(","))
    assert int(t) == int(clock.time())
    assert v1 == hmac.new(KEY.encode(), t.encode() + b"." + noted.body, hashlib.sha256).hexdigest()


async def test_what_the_filters_keep_back_is_not_sent(known: Database, deliver: Open) -> None:
    wants = {"kinds": ("tag.*",), "targets": ("library/*",)}
    with Receiver() as receiver:
        async with deliver(webhook(receiver, **wants)) as delivery:
            happen(known, "", f"{NGINX}:1.27")
            happen(known, NGINX, kind="repository.gone")
            known.run("INSERT INTO events (observed_at, kind, detail) VALUES (?, 'tag.x', ?)", known.now.text, OURS)
            known.run("INSERT INTO events (observed_at, kind, detail) VALUES (?, 'tag.x', '{}')", known.now.text)
            await delivery.round()
        assert ids(receiver) == [2, 4], "what is said of a namespace is wanted with its repositories"


async def test_what_is_said_of_a_namespace_is_named_filtered_and_held_up_by_itself(
    known: Database, deliver: Open
) -> None:
    with Receiver() as receiver:
        receiver.status = lambda event: 500 if event["detail"].get("namespace") == "acme" else 200
        async with deliver(webhook(receiver, targets=("acme/*", "other/*"))) as delivery:
            sql = "INSERT INTO events (observed_at, kind, detail) VALUES (?, 'listing.cut_short', ?)"
            for detail in (
                '{"namespace": "acme"}',
                '{"subject": "other", "list": "namespace"}',
                '{"subject": "acme/r", "reason": "odd"}',
                '{"subject": "acme", "list": "search"}',
            ):
                known.run(sql, known.now.text, detail)
            [served] = await delivery.round()
        assert (served.delivered, served.failed) == (2, 1)
        assert ids(receiver) == [2, 3]
    assert known.all("SELECT subject FROM deliveries ORDER BY event_id") == [("acme/",), ("other/",), ("acme/r",)]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
async def test_an_answer_that_says_never_gives_up_at_once(known: Database, deliver: Open, status: int) -> None:
    with Receiver() as receiver:
        receiver.status = lambda event: status if event["id"] == 1 else 200
        async with deliver(webhook(receiver)) as delivery:
            happen(known, NGINX, NGINX)
            [served] = await delivery.round()
            assert (served.delivered, served.failed, served.dead) == (1, 1, 1)
            [standing] = await delivery.standing()
            assert (standing.waiting, standing.dead) == (0, 1)
            assert standing.last_error == f"127.0.0.1 answered {status}"
            receiver.status = lambda event: 200
            assert await delivery.revive() == 1
            await delivery.round()
            assert await delivery.standing() == []
        assert ids(receiver) == [2, 1]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 402, 408, 409, 425, 429, 500, 502, 503])
async def test_any_other_answer_is_asked_again_and_holds_up_its_subject_only(
    known: Database, deliver: Open, clock: LoneClock, status: int
) -> None:
    with Receiver() as receiver, Receiver() as elsewhere:
        receiver.headers = {"Location": elsewhere.url}
        receiver.status = lambda event: status if event["tag"] == "1.27" else 200
        async with deliver(webhook(receiver)) as delivery:
            happen(known, f"{NGINX}:1.27", f"{NGINX}:1.28", f"{NGINX}:1.27")
            await delivery.round()
            assert ids(receiver) == [2]
            receiver.status = lambda event: 200
            clock.advance(29)
            await delivery.round()
            assert ids(receiver) == [2]
            clock.advance(1)
            await delivery.round()
        assert ids(receiver) == [2, 1, 3]
        assert elsewhere.journal == [], "no redirect is followed"
    assert known.one("SELECT budget, closed_reason FROM budgets") == ("webhooks", None), "nor is any budget closed"


async def test_a_receiver_that_asks_to_be_left_alone_is(known: Database, deliver: Open, clock: LoneClock) -> None:
    with Receiver() as receiver:
        receiver.status = lambda event: 429
        receiver.headers = {"Retry-After": "900"}
        async with deliver(webhook(receiver)) as delivery:
            happen(known, NGINX, f"{NGINX}:1.27")
            await delivery.round()
            clock.advance(899)
            await delivery.round()
            assert len(receiver.journal) == 1
            receiver.status = lambda event: 200
            clock.advance(1)
            await delivery.round()
        assert ids(receiver) == [1, 2]


async def test_a_receiver_that_fails_again_and_again_is_left_alone_for_longer_and_longer(
    known: Database, deliver: Open, clock: LoneClock
) -> None:
    known.keep(tags(*(tag(f"t{number}", number) for number in range(50))))
    asked = []
    with Receiver() as receiver:
        receiver.status = lambda event: 500
        async with deliver(webhook(receiver)) as delivery:
            happen(known, *(f"{NGINX}:t{number}" for number in range(50)))
            for _ in range(6):
                before = len(receiver.journal)
                await delivery.round()
                asked.append(len(receiver.journal) - before)
                clock.advance(PAUSES_S[0])
            receiver.status = lambda event: 200
            clock.advance(PAUSES_S[-1])
            [served] = await delivery.round()
        assert asked == [3, 1, 0, 0, 0, 1]
        assert served.delivered == 50


async def test_the_budget_of_webhooks_paces_them_and_is_shown(known: Database, deliver: Open, clock: LoneClock) -> None:
    with Receiver() as receiver:
        async with deliver(webhook(receiver)) as delivery:
            happen(known, *[NGINX] * 150)
            [served] = await delivery.round(seconds=20.0)
            assert 30 <= served.delivered <= 42
            began = clock.monotonic()
            await delivery.round()
            assert 80 <= clock.monotonic() - began <= 150
        assert ids(receiver) == list(range(1, 151))
    with known.reader.begin() as connection:
        [budget] = reads.budgets(connection)
    assert (budget.budget, budget.route, budget.identity) == ("webhooks", "direct", "-")
    assert (budget.limit, budget.allowed, budget.window_s) == (60, 60, 60.0)
    assert known.value("SELECT count(*) FROM deliveries WHERE attempt <> 1") == 0, "waiting for a permit is no attempt"


@pytest.mark.parametrize("body", [b"x" * 2**20, b"\x1f\x8bnot gzip at all", b""])
async def test_what_a_receiver_says_beyond_its_status_is_of_no_use(known: Database, deliver: Open, body: bytes) -> None:
    with Receiver() as receiver:
        receiver.answer = body
        receiver.headers = {"Content-Encoding": "gzip"} if body.startswith(b"\x1f") else {}
        async with deliver(webhook(receiver)) as delivery:
            happen(known, NGINX)
            [served] = await delivery.round()
        assert (served.delivered, served.failed) == (1, 0)


async def test_a_receiver_that_is_down_for_an_hour_misses_nothing(
    known: Database, deliver: Open, clock: LoneClock
) -> None:
    with Receiver() as receiver:
        receiver.close()
        happened = 0
        async with deliver(webhook(receiver)) as delivery:
            for minute in range(60):
                happen(known, *[f"{NGINX}:1.27", f"{NGINX}:1.28", NGINX][: 1 + minute % 3])
                happened += 1 + minute % 3
                if minute == 30:
                    receiver.status = lambda event: 503
                    receiver.open()
                await delivery.round(seconds=10.0)
                clock.advance(60)
            assert receiver.taken == []
            assert 0 < len(receiver.journal) <= 30
            assert known.value("SELECT count(*) FROM deliveries WHERE state = 'waiting'") == happened
            receiver.status = lambda event: 200
            back = clock.time()
            while known.value("SELECT count(*) FROM deliveries WHERE state = 'waiting'"):
                await delivery.round(seconds=10.0)
                clock.advance(20)
            assert clock.time() - back <= 3600, "the longest delay"
        assert sorted(ids(receiver)) == list(range(1, happened + 1)), "everything, once"
        assert all(found == sorted(found) for found in by_subject(receiver).values()), "in order per tag"
        assert len(by_subject(receiver)) == 3
    assert known.all("SELECT DISTINCT state FROM deliveries") == [("done",)]


async def test_two_at_once_send_nothing_twice(known: Database, deliver: Open) -> None:
    known.keep(tags(*(tag(f"t{number}", number) for number in range(5))))
    with Receiver() as receiver:
        async with deliver(webhook(receiver)) as one, deliver(webhook(receiver)) as other:
            happen(known, *(f"{NGINX}:t{number % 5}" for number in range(50)))
            await asyncio.gather(one.round(), other.round())
            assert min(one.requests, other.requests) > 0
        assert sorted(ids(receiver)) == list(range(1, 51))
        assert all(found == sorted(found) for found in by_subject(receiver).values())


async def test_one_receiver_holds_up_no_other(known: Database, deliver: Open) -> None:
    with Receiver() as broken, Receiver() as sound:
        broken.status = lambda event: 500
        async with deliver(webhook(broken, name="broken"), webhook(sound, name="sound")) as delivery:
            happen(known, NGINX, f"{NGINX}:1.27")
            served = await delivery.round()
        assert [(one.notifier, one.delivered, one.failed) for one in served] == [("broken", 0, 2), ("sound", 2, 0)]


async def test_it_goes_on_by_itself_until_it_is_stopped(known: Database, deliver: Open, clock: LoneClock) -> None:
    with Receiver() as receiver:
        async with deliver(webhook(receiver)) as delivery:
            arrived = threading.Event()
            receiver.before_answer = arrived.set
            task = asyncio.create_task(delivery.keep_on())
            happen(known, NGINX)
            await asyncio.to_thread(arrived.wait)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert ids(receiver) == [1]
    async with deliver() as nobody:
        await nobody.keep_on()


# Secrets.


async def test_the_address_and_the_key_of_a_webhook_are_nowhere(
    known: Database, deliver: Open, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "key").write_text(KEY)
    with Receiver() as receiver:
        (tmp_path / "url").write_text(receiver.url)
        one = webhook(receiver, url=None, url_file=str(tmp_path / "url"), secret_file=str(tmp_path / "key"))
        receiver.answer = f"Cannot POST {receiver.url}".encode()
        statuses = iter([500, 404, 0, 301])
        receiver.status = lambda event: next(statuses)
        async with deliver(one, webhook(receiver, name="plain")) as delivery:
            happen(known, NGINX, f"{NGINX}:1.27")
            served = await delivery.round()
            receiver.close()
            happen(known, "")
            served += await delivery.round()
            standing = await delivery.standing()
    texts = [repr(served), repr(standing), repr(delivery), repr(one), *capfd.readouterr(), caplog.text]
    texts += [str(known.all(f"SELECT * FROM {table}")) for table in ("deliveries", "notifiers", "budgets", "events")]
    files = b"".join(file.read_bytes() for file in listed(tmp_path, "harvester.db*"))
    for secret in ("very-secret-path", KEY):
        assert not [text for text in texts if secret in text]
        assert secret.encode() not in files
    assert "127.0.0.1" in str(known.all("SELECT last_error FROM deliveries"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "notifier ops: cannot read {}: No such file"),
        (b"", "notifier ops: {} is empty"),
        (b" \n", "notifier ops: {} is empty"),
        (b"\xff", "notifier ops: {} is not UTF-8 text"),
        (b"x" * 70_000, "notifier ops: {} is too large"),
        (b"ftp://very-secret-path", "notifier ops: {}: takes an http or https address"),
        (b"https://u:very-secret-path@h/", "notifier ops: {}: takes an address without a user name"),
        (b"https://a/very-secret-path\nhttps://b", "notifier ops: {}: has characters that cannot be printed"),
    ],
)
async def test_a_file_of_secrets_that_cannot_be_used_is_named_and_not_quoted(
    deliver: Open, tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        async with deliver(Notify(name="ops", to="webhook", url_file=str(path))):
            pass
    assert refused.value.message.startswith(says.format(path))
    assert "very-secret" not in refused.value.message


# Commands.


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


async def test_a_command_finds_the_event_on_its_standard_input(
    known: Database, deliver: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKERHUB_TOKEN", KEY)
    text = "import os, sys; open(sys.argv[1], 'a').write(sys.stdin.read() + str('DOCKERHUB_TOKEN' in os.environ))"
    command = (*program(text), str(tmp_path / "out $HOME; `id`"))
    async with deliver(Notify(name="journal", to="command", command=command)) as delivery:
        happen(known, NGINX, f"{NGINX}:1.27")
        [served] = await delivery.round()
        assert served.delivered == 2
        assert delivery.transport is None
    first, second, rest = (tmp_path / "out $HOME; `id`").read_text().split("\n")
    assert '"id": 1' in first
    assert second.startswith("False{")
    assert '"tag": "1.27"' in second
    assert rest == "False"
    assert known.value("SELECT count(*) FROM budgets") == 0


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (program("raise SystemExit(3)"), "the command ended with 3"),
        (program("import os; os.kill(os.getpid(), 15)"), "the command ended by signal 15"),
        (("/no/such/program",), "the command cannot be started: No such file or directory"),
    ],
)
async def test_a_command_that_fails_is_tried_again(
    known: Database, deliver: Open, clock: LoneClock, command: tuple[str, ...], says: str
) -> None:
    async with deliver(Notify(name="journal", to="command", command=command)) as delivery:
        happen(known, NGINX)
        [served] = await delivery.round()
        assert (served.failed, served.dead, served.last_error) == (1, 0, says)
        assert known.one("SELECT state, attempt, run_at FROM deliveries") == ("waiting", 1, known.in_s(30))


async def test_a_command_that_hangs_is_killed_with_all_it_began(
    known: Database, deliver: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "COMMAND_S", 3.0)
    held = tmp_path / "held"
    os.mkfifo(held)
    reading = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    text = f"""if True:
        import os, subprocess, sys
        writing = os.open({str(held)!r}, os.O_WRONLY)
        os.write(writing, b"both")
        subprocess.run([sys.executable, "-c", "import time; time.sleep(90)"], pass_fds=[writing])
    """
    async with deliver(Notify(name="journal", to="command", command=program(text))) as delivery:
        happen(known, NGINX)
        [served] = await delivery.round()
    assert served.last_error == "the command did not end within 3 s and was killed"
    with os.fdopen(reading, "rb") as file:
        async with asyncio.timeout(30):
            # The end of it comes when nobody holds the other end any more.
            assert await asyncio.to_thread(file.read) == b"both"


# Feeds.


def entries(path: Path) -> list[dict[str, str]]:
    feed = ElementTree.parse(path).getroot()  # noqa: S314
    return [{child.tag.removeprefix(ATOM): child.text or "" for child in one} for one in feed.iter(f"{ATOM}entry")]


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
        assert [one["id"] for one in found] == [f"urn:harvester:event:{uuid}:{n}" for n in range(111, 11, -1)]
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


# Apprise.


@pytest.fixture
def apprise(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A stand-in for the library: what it was told, or the error that it raises first."""
    told: list[Any] = []

    class Apprise:
        def __init__(self) -> None:
            self.urls: list[str] = []

        def add(self, url: str) -> bool:
            self.urls.append(url)
            return url.startswith("slack://")

        def __len__(self) -> int:
            return len(self.urls)

        def notify(self, *, title: str, body: str, body_format: str) -> bool:
            assert body_format == "text", "what strangers wrote is no HTML"
            if told and isinstance(told[0], Exception):
                raise told.pop(0)
            told.append((self.urls, title, body))
            return len(told) > 1

    module = types.ModuleType("apprise")
    module.Apprise = Apprise  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apprise", module)
    return told


async def test_apprise_is_told_and_asked_again(
    known: Database, deliver: Open, clock: LoneClock, tmp_path: Path, apprise: list[Any]
) -> None:
    (tmp_path / "urls").write_text("# ours\nslack://very-secret-path\n\nslack://b\n")
    notify = Notify(name="chat", to="apprise", urls_file=str(tmp_path / "urls"))
    apprise.append(RuntimeError("slack://very-secret-path"))
    async with deliver(notify) as delivery:
        happen(known, f"{NGINX}:1.27")
        [served] = await delivery.round()
        assert served.last_error == "Apprise failed: RuntimeError"
        clock.advance(30)
        [served] = await delivery.round()
        assert served.last_error == "Apprise could not deliver it to all its addresses"
        clock.advance(120)
        [served] = await delivery.round()
        assert served.delivered == 1
    urls, title, body = apprise[-1]
    assert urls == ["slack://very-secret-path", "slack://b"]
    assert title == f"tag.moved {NGINX}:1.27"
    assert body.startswith("observed: 2026-11-20T16:00:00Z\nrank: 3")
    assert known.one("SELECT budget, spent FROM budgets")[0] == "webhooks", "the limiter was asked for it too"
    assert known.value("SELECT spent FROM budgets") >= 1


async def test_apprise_says_which_line_it_does_not_understand(
    deliver: Open, tmp_path: Path, apprise: list[Any]
) -> None:
    (tmp_path / "urls").write_text("slack://a\nvery-secret-path\n")
    with pytest.raises(ConfigError) as refused:
        async with deliver(Notify(name="chat", to="apprise", urls_file=str(tmp_path / "urls"))):
            pass
    assert refused.value.message == f"notifier chat: {tmp_path}/urls: Apprise does not understand line 2"


async def test_without_the_library_one_line_says_so(
    deliver: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (tmp_path / "urls").write_text("slack://a\n")
    with pytest.raises(ConfigError, match=r"notifier chat: Apprise is not installed; install `harvester\[apprise\]`"):
        async with deliver(Notify(name="chat", to="apprise", urls_file=str(tmp_path / "urls"))):
            pass


# Tests of a receiver.


async def test_a_test_is_sent_and_stored_nowhere(known: Database, deliver: Open, tmp_path: Path) -> None:
    with Receiver() as receiver:
        path = tmp_path / "feed.atom"
        async with deliver(webhook(receiver), Notify(name="feed", to="atom", file=str(path))) as delivery:
            await delivery.test("ops")
            await delivery.test("feed")
            receiver.status = lambda event: 404
            with pytest.raises(NotDelivered, match=r"127\.0\.0\.1 answered 404"):
                await delivery.test("ops")
            with pytest.raises(ConfigError, match="there is no notifier opps; the configuration has ops, feed"):
                await delivery.test("opps")
        assert receiver.taken == [
            {**receiver.taken[0], "id": 0, "kind": "test", "detail": {"test": "nothing happened"}}
        ]
        assert [one["title"] for one in entries(path)] == ["test"]
    for table in ("events", "deliveries"):
        assert known.value(f"SELECT count(*) FROM {table}") == 0


def test_a_lease_is_longer_than_any_sending() -> None:
    assert max(receivers.COMMAND_S, TOTAL_S) * 1.5 < outbox.LEASE_S
