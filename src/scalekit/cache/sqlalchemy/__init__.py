"""Cached values in a table of SQLite or PostgreSQL, and invalidations that wait for a session's commit."""

from scalekit._lazy import exports

__all__ = ["AsyncSQLAlchemyCacheStore", "SQLAlchemyCacheStore", "invalidate_on_commit"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.cache.sqlalchemy._async import AsyncSQLAlchemyCacheStore as AsyncSQLAlchemyCacheStore
    from scalekit.cache.sqlalchemy._commit import invalidate_on_commit as invalidate_on_commit
    from scalekit.cache.sqlalchemy._sync import SQLAlchemyCacheStore as SQLAlchemyCacheStore
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_async": ["AsyncSQLAlchemyCacheStore"],
            "_commit": ["invalidate_on_commit"],
            "_sync": ["SQLAlchemyCacheStore"],
        },
    )
