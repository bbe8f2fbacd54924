"""Answers of another shape than the one known: one event each, not one per row. Rank 3. Runs inside the writer's transaction.

A field that breaks is broken in every row: where the same was told of the same subject lately, nothing is added. How many rows were
refused stands in `listings`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import Connection

from harvester.clock import instant
from harvester.events import NewEvent
from harvester.records import Drifted
from harvester.store.change_log import append_events, is_told
from harvester.store.moment import DAY_S, Moment
from harvester.store.repositories import repository_id

TOLD_FOR_S = 7 * DAY_S
"""How long the same of the same subject is not told again."""

_PLACE = re.compile(r"\[\d+\]")


def store_drifts(connection: Connection, drifts: Sequence[Drifted], seen: Moment) -> None:
    """Append an event for each subject, path and reason that was not told of in the last seven days.

    Rows of one page that were refused for the same are one event with their number.
    """
    alike: dict[tuple[str, str, str], list[Drifted]] = {}
    for one in drifts:
        path = _PLACE.sub("[*]", one.refused.path)
        alike.setdefault((one.subject, path, one.refused.reason), []).append(one)
    for (subject, path, reason), rows in alike.items():
        start = {"subject": subject, "where": path, "reason": reason}
        if is_told(connection, "drift", start, since=instant(seen.seconds - TOLD_FOR_S)):
            continue
        first = rows[0]
        detail = {
            **start,
            "path": first.refused.path,
            "rows": len(rows),
            "asked": first.url,
            "sample": first.refused.sample,
        }
        known = repository_id(connection, subject)
        append_events(connection, [NewEvent(kind="drift", repository_id=known, detail=detail)], seen)
