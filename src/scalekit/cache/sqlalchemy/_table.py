"""The table, and how it comes into being."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table
from sqlalchemy.schema import CreateTable

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from scalekit.cache.sqlalchemy._dialect import Dialect

# PostgreSQL cuts longer names off.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)


def table_of(name: str, dialect: Dialect) -> Table:
    """Return the table, in a `MetaData` of its own; `ConfigurationError` for what is no name of a table."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            "table", name, "as up to 63 ASCII letters, digits and underscores, not beginning with a digit"
        )
    # What a crash may undo must not come back: an old token brings the entries back to life that carried it.
    # An UNLOGGED table is empty after a crash, and on a standby that takes over. And it costs no WAL.
    return Table(
        name,
        MetaData(),
        Column("name", LargeBinary, primary_key=True),
        Column("token", LargeBinary, nullable=False),
        Column("data", LargeBinary),
        Column("expires", BigInteger),
        Column("kept", BigInteger, nullable=False),
        prefixes=["UNLOGGED"] if dialect.remote else [],
    )


def definition(table: Table, engine: Engine, dialect: Dialect) -> str:
    """Return the statement that makes the table if it is not there; several processes may send it at once."""
    return dialect.definition.format(CreateTable(table, if_not_exists=True).compile(dialect=engine.dialect))
