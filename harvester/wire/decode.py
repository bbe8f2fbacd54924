"""Bodies of the Hub API into records. Rank 3; the only module that touches untyped JSON.

A page is decoded in one go. Only when that fails is it decoded again row by row, so that one bad row sinks only itself:
it becomes a `Refused` with a sample, and the other rows are kept. A body whose envelope has another shape is `Drift`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from harvester.errors import SAMPLE_BYTES, Drift
from harvester.names import RepositoryName
from harvester.records import Image, Page, Refused, Repository, Tag
from harvester.wire.rows import (
    Impossible,
    clean,
    folded,
    found_of,
    has_platform_in,
    image_of,
    repository_of,
    tag_of,
    whole,
)
from harvester.wire.shapes import Envelope, LayeredImageRow, RawEnvelope, RepositoryRow, SearchRow, TagRow

Row = TypeVar("Row")
Record = TypeVar("Record")

_UNDECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
# A NUL passes every JSON parser and is refused by PostgreSQL: such a page takes the slow way, where text is cleaned.
_NUL_ESCAPE = b"\\u0000"
_REASON_AND_PATH = re.compile(r"(?s)(?P<reason>.*) - at `(?:key in )?\$(?P<path>[^`]*)`\Z")


class _Shape(Generic[Row]):
    """The decoders of one kind of row, alone and in its envelope."""

    def __init__(self, row: type[Row], envelope: type[Envelope[Row]]) -> None:
        self.row_type = row
        self.row = msgspec.json.Decoder(row, strict=False)
        self.envelope = msgspec.json.Decoder(envelope, strict=False)


_TAG = _Shape(TagRow, Envelope[TagRow])
_REPOSITORY = _Shape(RepositoryRow, Envelope[RepositoryRow])
_SEARCH = _Shape(SearchRow, Envelope[SearchRow])
_IMAGE = _Shape(LayeredImageRow, Envelope[LayeredImageRow])
_image_array = msgspec.json.Decoder(list[LayeredImageRow], strict=False)
_raw_envelope = msgspec.json.Decoder(RawEnvelope, strict=False)
_raw_array = msgspec.json.Decoder(list[msgspec.Raw])


def tags_page(body: bytes) -> Page[Tag]:
    """A page of tags; `next_page` is the far end's address as sent. Raises `Drift`."""
    return _page(body, _TAG, tag_of)


def namespace_page(body: bytes, *, namespace: str) -> Page[Repository]:
    """A page of a namespace's repositories; `next_page` is the far end's address as sent. Raises `Drift`."""
    return _page(body, _REPOSITORY, lambda row: repository_of(row, row.namespace or namespace, "listing"))


def search_page(body: bytes) -> Page[Repository]:
    """A page of search results; `next_page` is the far end's address as sent. Raises `Drift`."""
    return _page(body, _SEARCH, found_of)


def repository(body: bytes, *, name: RepositoryName) -> Repository:
    """One repository. Raises `Drift`, also when the answer is about another repository."""

    def record(row: RepositoryRow) -> Repository:
        if row.name != name.name:
            raise Impossible(".name", "another repository than the one asked for")
        if row.namespace and row.namespace != name.namespace:
            raise Impossible(".namespace", "another namespace than the one asked for")
        return repository_of(row, name.namespace, "detail")

    return _single(body, _REPOSITORY, record)


def tag(body: bytes, *, name: str) -> Tag:
    """One tag. Raises `Drift`, also when the answer is about another tag."""

    def record(row: TagRow) -> Tag:
        if row.name != name:
            raise Impossible(".name", "another tag than the one asked for")
        return tag_of(row)

    return _single(body, _TAG, record)


def images(body: bytes) -> Page[Image]:
    """Every image of one tag with its layers, duplicates folded. Raises `Drift`.

    The answer is a bare array; two envelopes have been reported (wire reference, 6).
    """
    if not body.lstrip().startswith(b"["):
        envelope = _raw(body, _raw_envelope)
        raws = envelope.results if envelope.results is not None else envelope.images
        if raws is None:
            raise Drift("neither an array nor an envelope of images", sample=_sample(body))
        return _images_row_by_row(raws)
    if not _has_nul(body):
        try:
            found = _image_array.decode(body)
            has_platform = has_platform_in(found)
            return Page(rows=folded([image_of(row, has_platform=has_platform) for row in found]))
        except (*_UNDECODABLE, Impossible):
            pass
    return _images_row_by_row(_raw(body, _raw_array))


def lenient(raw: bytes, shape: type[Row]) -> Row:
    """`raw` read once more with its text cleaned. Raises `msgspec.ValidationError`, `ValueError`, `RecursionError`."""
    return msgspec.convert(_cleaned(_loaded(raw)), shape, strict=False)


def _loaded(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8", "replace"), parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return clean(value)
        case list():
            return [_cleaned(item) for item in value]
        case dict():
            return {clean(key): _cleaned(item) for key, item in value.items()}
        case _:
            return value


def _page(body: bytes, shape: _Shape[Row], record: Callable[[Row], Record]) -> Page[Record]:
    if not _has_nul(body):
        try:
            envelope = shape.envelope.decode(body)
            if envelope.results:
                return Page(
                    rows=tuple([record(row) for row in envelope.results]),
                    reported_count=whole(envelope.count),
                    next_page=envelope.next or None,
                )
        except (*_UNDECODABLE, Impossible):
            pass
    return _page_row_by_row(body, shape, record)


def _page_row_by_row(body: bytes, shape: _Shape[Row], record: Callable[[Row], Record]) -> Page[Record]:
    envelope = _raw(body, _raw_envelope)
    count = whole(envelope.count)
    if envelope.results is None and count != 0:
        raise Drift("a page without results", path="$.results", sample=_sample(body))
    kept, refused = _sifted(envelope.results or [], shape, record)
    return Page(
        rows=tuple(kept),
        refused=tuple(refused),
        reported_count=count,
        next_page=clean(envelope.next) if envelope.next else None,
    )


def _images_row_by_row(raws: list[msgspec.Raw]) -> Page[Image]:
    found, _ = _sifted(raws, _IMAGE, lambda row: row)
    has_platform = has_platform_in(found)
    kept, refused = _sifted(raws, _IMAGE, lambda row: image_of(row, has_platform=has_platform))
    return Page(rows=folded(kept), refused=tuple(refused))


def _sifted(
    raws: list[msgspec.Raw], shape: _Shape[Row], record: Callable[[Row], Record]
) -> tuple[list[Record], list[Refused]]:
    kept: list[Record] = []
    refused: list[Refused] = []
    for position, raw in enumerate(raws):
        row = bytes(raw)
        try:
            kept.append(record(_row(row, shape)))
        except (*_UNDECODABLE, ValueError) as error:
            reason, path = _reason_and_path(error)
            refused.append(Refused(path=f"$.results[{position}]{path}", reason=reason, sample=_sample(row)))
    return kept, refused


def _row(raw: bytes, shape: _Shape[Row]) -> Row:
    if not _has_nul(raw):
        try:
            return shape.row.decode(raw)
        except msgspec.ValidationError:
            raise
        except _UNDECODABLE:
            pass
    return lenient(raw, shape.row_type)


def _single(body: bytes, shape: _Shape[Row], record: Callable[[Row], Record]) -> Record:
    try:
        return record(_row(body, shape))
    except (*_UNDECODABLE, ValueError) as error:
        raise _drift(error, body) from None


def _raw(body: bytes, decoder: msgspec.json.Decoder[Row]) -> Row:
    """The outline of a body, its rows left as text. Raises `Drift`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _drift(error, body) from None
    except _UNDECODABLE as error:
        # A lone surrogate in one row stops the parser for the whole page.
        try:
            return decoder.decode(msgspec.json.encode(_cleaned(_loaded(body))))
        except (*_UNDECODABLE, ValueError, OverflowError):
            raise _drift(error, body) from None


def _drift(error: Exception, body: bytes) -> Drift:
    reason, path = _reason_and_path(error)
    if not body.strip():
        reason = "an empty body"
    elif body.lstrip()[:1] == b"<":
        reason = "HTML in place of JSON"
    return Drift(reason, path=f"${path}", sample=_sample(body))


def _reason_and_path(error: Exception) -> tuple[str, str]:
    if isinstance(error, Impossible):
        return str(error), error.path
    if isinstance(error, RecursionError):
        return "nested too deeply", ""
    found = _REASON_AND_PATH.match(str(error))
    return (found["reason"], found["path"]) if found else (str(error), "")


def _has_nul(raw: bytes) -> bool:
    # Looking for the single byte first is ten times faster, and most pages have no escape at all.
    return b"\\" in raw and _NUL_ESCAPE in raw


def _sample(raw: bytes) -> str:
    return raw[:SAMPLE_BYTES].decode("utf-8", "ignore").replace("\0", "")
