"""What carries SQLAlchemy's async I/O, and does not come with SQLAlchemy 2.1 unless asked for."""

from __future__ import annotations

from scalekit._extras import require


def needed() -> None:
    """Raise `MissingExtra` without greenlet, which SQLAlchemy itself would miss only at the first query."""
    require("greenlet", extra="sqlalchemy", needed_by="AsyncSQLAlchemyCacheStore")
