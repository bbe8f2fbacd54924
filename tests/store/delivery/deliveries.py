"""Receivers of a test, and what they have taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harvester.delivery import Delivery
from harvester.notify import Notify
from tests.receiver import Receiver

ATOM = "{http://www.w3.org/2005/Atom}"
KEY = "the-operators-signing-key"
OURS = '{"namespace": "library"}'
Open = Callable[..., AbstractAsyncContextManager[Delivery]]
"""Opens the receivers as a process of its own would."""


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


def entries(path: Path) -> list[dict[str, str]]:
    feed = ElementTree.parse(path).getroot()  # noqa: S314
    return [{child.tag.removeprefix(ATOM): child.text or "" for child in one} for one in feed.iter(f"{ATOM}entry")]
