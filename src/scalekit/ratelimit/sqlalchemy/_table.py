"""The table that holds the rate limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Table

from scalekit.sqlalchemy._table import STORAGE, checked_name

if TYPE_CHECKING:
    from scalekit.sqlalchemy._dialect import Dialect

_LONGEST = 63  # bytes of a name, beyond which PostgreSQL cuts it off


def table_of(name: str, unlogged: bool, dialect: Dialect) -> Table:  # noqa: FBT001  # partially applied
    """Return the table, in a `MetaData` of its own; `ConfigurationError` for what is no name of a table."""
    ending = "_expires"
    return Table(
        checked_name(name),
        MetaData(),
        Column("key", LargeBinary, primary_key=True),
        Column("state", LargeBinary, nullable=False),
        Column("expires", BigInteger, nullable=False),
        Index(name[: _LONGEST - len(ending)] + ending, "expires"),
        prefixes=["UNLOGGED"] if unlogged and dialect.remote else [],
        # Room for the next version of a row in its own page: each hit writes one.
        info={STORAGE: "fillfactor = 50"},
    )
