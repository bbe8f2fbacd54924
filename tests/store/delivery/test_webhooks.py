"""Webhooks on loopback: signed, in order, asked again, given up, paced; and their secrets nowhere."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import threading
from pathlib import Path

import pytest

from harvester.delivery import PAUSES_S
from harvester.errors import ConfigError
from harvester.notify import Notify
from harvester.store import reads
from tests.receiver import Receiver
from tests.store.clocks import LoneClock
from tests.store.database import Database
from tests.store.delivery.deliveries import KEY, OURS, Open, by_subject, ids, listed, webhook
from tests.store.makers import NGINX, tag, tags
from tests.store.test_outbox import happen

pytestmark = pytest.mark.anyio


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
    assert noted.headers["harvester-event-id"] == "1-20261120T160000Z"
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


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_answer_that_refuses_the_event_gives_up_at_once(known: Database, deliver: Open, status: int) -> None:
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


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 402, 403, 404, 408, 409, 410, 425, 429, 500, 502, 503])
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
