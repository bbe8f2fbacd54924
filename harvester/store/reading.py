"""Questions to the database from the event loop. Rank 3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from harvester.errors import StoreUnusable

Result = TypeVar("Result")


async def read(reader: Engine, ask: Callable[[Connection], Result]) -> Result:
    """What `ask` returns, asked in one transaction in another thread. Raises `StoreUnusable` where the database cannot be read."""

    def asked() -> Result:
        with reader.begin() as connection:
            return ask(connection)

    try:
        return await asyncio.to_thread(asked)
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise StoreUnusable(f"the database cannot be read: {reason}") from error
