"""A store's table: what it may be called, and how it comes into being."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy.schema import CreateIndex, CreateTable

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table
    from sqlalchemy.sql.ddl import ExecutableDDLElement

    from scalekit.sqlalchemy._dialect import Dialect

STORAGE = "storage"
"""In the `info` of a table: its storage parameters on PostgreSQL. `postgresql_with` came after 2.0.0."""

# PostgreSQL cuts longer names off.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)


def checked_name(name: str) -> str:
    """Return `name`; `ConfigurationError` for what is no name of a table."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            "table", name, "as up to 63 ASCII letters, digits and underscores, not beginning with a digit"
        )
    return name


def definitions(table: Table, engine: Engine, dialect: Dialect) -> list[str]:
    """Return the statements that make what is not there; several processes may send them at once."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    made: list[ExecutableDDLElement] = [CreateTable(table, if_not_exists=True)]
    made += [CreateIndex(index, if_not_exists=True) for index in indexes]
    texts = [str(one.compile(dialect=engine.dialect)).rstrip() for one in made]
    if dialect.remote and STORAGE in table.info:
        texts[0] += f" WITH ({table.info[STORAGE]})"
    return [dialect.definition.format(text) for text in texts]
