"""Apprise, by a stand-in for the library: told, asked again, refused."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import ConfigError
from harvester.notify import Notify
from tests.store.clocks import LoneClock
from tests.store.database import Database
from tests.store.delivery.deliveries import Open
from tests.store.makers import NGINX
from tests.store.test_outbox import happen

pytestmark = pytest.mark.anyio


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
