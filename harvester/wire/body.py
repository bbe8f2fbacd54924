"""The body of an answer while it is read: inflated as far as its cap, and never further. Rank 3."""

from __future__ import annotations

import zlib

INFLATE_STEP = 64 * 1024
"""Most bytes inflated before they are counted."""


class OverCap(Exception):
    """The body is larger than it may be."""


class Corrupt(Exception):
    """The body is not what its encoding says."""


class Body:
    """A body of an answer."""

    __slots__ = ("_cap", "_inflater", "_parts", "_size", "is_readable")

    def __init__(self, cap: int, encoding: str | None) -> None:
        """Nothing of it yet; `cap` is in bytes once inflated, `encoding` what the answer's header says."""
        encoding = (encoding or "identity").strip().lower()
        is_gzip = encoding in ("gzip", "x-gzip")
        self.is_readable = is_gzip or encoding in ("identity", "")
        """Whether the encoding is one that was asked for."""
        self._cap = cap
        self._size = 0
        self._parts: list[bytes] = []
        self._inflater = zlib.decompressobj(wbits=31) if is_gzip else None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes as they came. Raises `OverCap` and `Corrupt`."""
        if self._inflater is None:
            self._keep(chunk)
            return
        while chunk:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(wbits=31)
            try:
                # In steps, so that a small chunk cannot become a body beyond the cap before it is counted.
                self._keep(self._inflater.decompress(chunk, INFLATE_STEP))
            except zlib.error:
                raise Corrupt("the compressed body is corrupt") from None
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data

    def whole(self) -> bytes:
        """All of it, when all bytes have come. Raises `Corrupt` where it is cut off."""
        if self._inflater is not None and self._parts and not self._inflater.eof:
            raise Corrupt("the compressed body is cut off")
        return self.part()

    def part(self) -> bytes:
        """What there is of it."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _keep(self, data: bytes) -> None:
        room = self._cap - self._size
        self._parts.append(data if len(data) <= room else data[:room])
        self._size += len(self._parts[-1])
        if len(data) > room:
            raise OverCap


def exceeds(length: str, cap: int) -> bool:
    """Whether a `Content-Length` says that a body is larger than `cap` bytes."""
    return length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > cap)
