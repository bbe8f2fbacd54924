"""What a clock that was far ahead has left behind, set right. Rank 4."""

from __future__ import annotations

from collections import Counter
from functools import partial

import structlog
from sqlalchemy import Engine

from harvester.clock import Clock
from harvester.store import future
from harvester.store.moment import Moment
from harvester.store.reading import read
from harvester.store.writer import Writer

log = structlog.get_logger(__name__)


async def heal_future(writer: Writer, reader: Engine, clock: Clock, *, stretch: float = 1.0) -> dict[str, int]:
    """Move back the rows that are stamped with the future, a part of them at a time; rows by table, and a line that says so.

    For the start of a daemon and after its clock was set back. Cut short, it goes on the next time. Where the clock is provably
    behind now, nothing is moved, and a line says that. Raises `StoreError`.
    """
    now = Moment.of(clock.time())
    try:
        found = await read(reader, partial(future.ahead, now=now))
    except future.ClockBehind as behind:
        log.warning("clock.behind", reason=behind.message, next="no row is moved; set the clock right")
        return {}
    if found is None:
        return {}
    moved: Counter[str] = Counter()
    for part in found.parts:
        moved += await writer.call(partial(future.move_back, found=found, repositories=part))
    while rest := await writer.call(partial(future.move_rest, found=found, stretch=stretch)):
        moved += rest
    log.warning(
        "clock.rows_moved_back",
        by_s=found.by_s,
        rows=sum(moved.values()),
        reason="a clock was ahead, and what is seen now would count as older",
        **moved,
    )
    return dict(moved)
