"""All the rows."""

from __future__ import annotations

from tests.system.refusal_table import answers, edge, limiters, lists, paths
from tests.system.refusal_table.stage import Refused

ROWS: tuple[Refused, ...] = (*limiters.ROWS, *edge.ROWS, *paths.ROWS, *answers.ROWS, *lists.ROWS)
