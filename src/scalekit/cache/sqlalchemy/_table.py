"""The table that holds the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table

from scalekit.sqlalchemy._table import checked_name

if TYPE_CHECKING:
    from scalekit.sqlalchemy._dialect import Dialect


def table_of(name: str, dialect: Dialect) -> Table:
    """Return the table, in a `MetaData` of its own; `ConfigurationError` for what is no name of a table."""
    # What a crash may undo must not come back: an old token brings the entries back to life that carried it.
    # An UNLOGGED table is empty after a crash, and on a standby that takes over. And it costs no WAL.
    return Table(
        checked_name(name),
        MetaData(),
        Column("name", LargeBinary, primary_key=True),
        Column("token", LargeBinary, nullable=False),
        Column("data", LargeBinary),
        Column("expires", BigInteger),
        Column("kept", BigInteger, nullable=False),
        prefixes=["UNLOGGED"] if dialect.remote else [],
    )
