"""What a question costs SQLite, counted in steps of its virtual machine: the same number on every machine."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

EVERY = 10
"""Steps from one count to the next."""


def steps_of(connection: Connection, act: Callable[[Connection], object]) -> int:
    """Steps that `act` takes on this connection, to within `EVERY` a statement."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += EVERY
        return 0

    driver = connection.connection.driver_connection
    assert driver is not None
    driver.set_progress_handler(count, EVERY)
    try:
        act(connection)
    finally:
        driver.set_progress_handler(None, EVERY)
    return counted
