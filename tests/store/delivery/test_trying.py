"""One event that tries a receiver, and how long sending may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester import receivers
from harvester.errors import ConfigError, NotDelivered
from harvester.notify import Notify
from harvester.store import outbox
from harvester.wire.webhook import TOTAL_S
from tests.receiver import Receiver
from tests.store.database import Database
from tests.store.delivery.deliveries import Open, entries, webhook

pytestmark = pytest.mark.anyio


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
