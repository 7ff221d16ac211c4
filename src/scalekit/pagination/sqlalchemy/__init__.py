"""Pages of a SQLAlchemy `select()`, Core or ORM, or of raw SQL, on PostgreSQL and SQLite."""

from scalekit._lazy import exports

__all__ = ["AsyncSQLSource", "AsyncSelectSource", "SQLSource", "SelectSource"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.pagination.sqlalchemy._async import AsyncSelectSource as AsyncSelectSource
    from scalekit.pagination.sqlalchemy._async import AsyncSQLSource as AsyncSQLSource
    from scalekit.pagination.sqlalchemy._sync import SelectSource as SelectSource
    from scalekit.pagination.sqlalchemy._sync import SQLSource as SQLSource
else:
    __getattr__, __dir__ = exports(
        __name__,
        {"_async": ["AsyncSQLSource", "AsyncSelectSource"], "_sync": ["SQLSource", "SelectSource"]},
    )
