"""The Atom feed: what RFC 4287 asks for, whatever strangers wrote, and the file it stands in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester import feed
from harvester.events import Event

NAMESPACE = "{http://www.w3.org/2005/Atom}"


def event(number: int, **changes: Any) -> Event:
    values: dict[str, Any] = {"kind": "tag.moved", "rank": 3, "observed_at": f"2026-11-20T16:00:{number:02}Z"} | changes
    return Event(id=number, **values)


def parsed(*events: Event) -> ElementTree.Element:
    return ElementTree.fromstring(feed.atom(events, name="ops", uuid="abc", since="2026-11-20T15:00:00Z"))  # noqa: S314


def text(element: ElementTree.Element, name: str) -> str:
    [found] = element.findall(NAMESPACE + name)
    return found.text or ""


def test_a_feed_has_what_the_standard_asks_for() -> None:
    root = parsed(
        event(2, repository="library/nginx", tag="1.27", detail={"was": "a"}), event(3, repository="acme/web")
    )
    assert root.tag == f"{NAMESPACE}feed"
    assert text(root, "id") == "urn:harvester:feed:abc"
    assert text(root, "updated") == "2026-11-20T16:00:03Z", "the newest entry's, wherever it stands"
    assert text(root, "title") == "Docker Hub: ops"
    assert text(root.findall(f"{NAMESPACE}author")[0], "name") == "harvester"
    first, second = root.findall(f"{NAMESPACE}entry")
    assert (text(first, "id"), text(second, "id")) == (
        "urn:harvester:event:abc:2-20261120T160002Z",
        "urn:harvester:event:abc:3-20261120T160003Z",
    )
    assert text(first, "title") == "tag.moved library/nginx:1.27"
    assert text(first, "updated") == "2026-11-20T16:00:02Z"
    assert '"was": "a"' in text(first, "content")
    links = [one.findall(f"{NAMESPACE}link")[0].attrib for one in (first, second)]
    assert links == [
        {"rel": "alternate", "href": "https://hub.docker.com/_/nginx"},
        {"rel": "alternate", "href": "https://hub.docker.com/r/acme/web"},
    ]


def test_an_empty_feed_is_as_old_as_the_receiver() -> None:
    root = parsed()
    assert text(root, "updated") == "2026-11-20T15:00:00Z"
    assert root.findall(f"{NAMESPACE}entry") == []


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3))
def test_whatever_strangers_wrote_the_feed_can_be_read(name: str, detail: dict[str, Any]) -> None:
    root = parsed(event(1, kind=name, repository=f"acme/{name}", tag=name, detail=detail))
    [entry] = root.findall(f"{NAMESPACE}entry")
    assert text(entry, "id") == "urn:harvester:event:abc:1-20261120T160001Z"
    assert len(list(entry)) == 6, "nothing has become an element of its own"


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "feed.atom"
    feed.replace(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        feed.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
