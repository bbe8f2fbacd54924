"""What columns are made of, and the schema that all tables belong to. Rank 3.

Entity tables hold instants that people can read and compare as text (`2026-11-20T16:00:00Z`); `pull_history` and `tag_history`
hold whole UTC seconds. Text is bound unchanged on the hot path, so columns are plain text and numbers; JSON is text too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Dialect,
    Integer,
    MetaData,
    String,
    Text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine


class InstantType(TypeDecorator[str]):
    """Text of the form that `clock.instant` writes; `timestamptz` on PostgreSQL, the same text in Python."""

    impl = String(20)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(20))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and (len(value) != 20 or not value.endswith("Z")):
            raise ValueError(f"not an instant of whole UTC seconds: {value!r}")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if isinstance(value, datetime):
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return None if value is None else str(value)


Id = BigInteger().with_variant(Integer, "sqlite")
Pk = Annotated[int, mapped_column(Id, primary_key=True)]
Count = Annotated[int, mapped_column(BigInteger)]
MaybeCount = Annotated[int | None, mapped_column(BigInteger)]
Instant = Annotated[str, mapped_column(InstantType)]
MaybeInstant = Annotated[str | None, mapped_column(InstantType)]

NEVER_REUSED = {"sqlite_autoincrement": True}
CLUSTERED = {"sqlite_with_rowid": False}


class Base(DeclarativeBase):
    """The schema; every constraint has a name that a migration can drop."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[Any] = {str: Text, bool: Boolean}
