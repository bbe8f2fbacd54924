"""Events as an Atom feed (RFC 4287), and the file it stands in. Rank 2.

An entry's id is the same whenever the feed is written, and no other database's. A reader of the file sees the old feed or the new
one, never a part.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from harvester.events import Event

MOST_ENTRIES = 100

_ATOM = "http://www.w3.org/2005/Atom"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def atom(events: Sequence[Event], *, name: str, uuid: str, since: str) -> bytes:
    """The feed of these events, newest first; `name` and `uuid` are the receiver's, `since` is when it was made known."""
    feed = ElementTree.Element("feed", xmlns=_ATOM)
    _put(feed, "id", f"urn:harvester:feed:{uuid}")
    _put(feed, "title", f"Docker Hub: {name}")
    # Entries are in the order of their ids, and an older observation may have been stored later.
    _put(feed, "updated", max((one.observed_at for one in events), default=since))
    _put(ElementTree.SubElement(feed, "author"), "name", "harvester")
    _put(feed, "generator", "harvester")
    for one in events:
        entry = ElementTree.SubElement(feed, "entry")
        _put(entry, "id", f"urn:harvester:event:{uuid}:{one.identifier}")
        _put(entry, "title", one.title)
        _put(entry, "updated", one.observed_at)
        ElementTree.SubElement(entry, "category", term=_clean(one.kind))
        if (link := _page_of(one)) is not None:
            ElementTree.SubElement(entry, "link", rel="alternate", href=_clean(link))
        _put(entry, "content", json.dumps(one.detail, ensure_ascii=True, indent=1)).set("type", "text")
    written: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def replace(path: Path, content: bytes) -> None:
    """Put the content in place of the file, which keeps its mode; a new one is its owner's only. Raises `OSError`."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            with suppress(FileNotFoundError):
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def _put(parent: ElementTree.Element, name: str, text: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, name)
    child.text = _clean(text)
    return child


def _clean(text: str) -> str:
    """The text without characters that no XML may hold."""
    return _NOT_IN_XML.sub("\ufffd", text)


def _page_of(event: Event) -> str | None:
    if event.repository is None:
        return None
    namespace, _, name = event.repository.partition("/")
    return (
        f"https://hub.docker.com/_/{name}" if namespace == "library" else f"https://hub.docker.com/r/{event.repository}"
    )
