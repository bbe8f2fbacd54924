"""Where Alembic meets the program: the connection is handed in, nothing is read from an ini file."""

from __future__ import annotations

from alembic import context

from harvester.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
