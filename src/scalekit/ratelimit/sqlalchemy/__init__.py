"""Rate limits for all processes that share a table in PostgreSQL, or a file of SQLite's.

One row per key, and at most two statements per call, in one transaction that holds the row.
"""

from scalekit._lazy import exports

__all__ = ["AsyncSQLAlchemyRateLimitStore", "SQLAlchemyRateLimitStore"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.ratelimit.sqlalchemy._async import (
        AsyncSQLAlchemyRateLimitStore as AsyncSQLAlchemyRateLimitStore,
    )
    from scalekit.ratelimit.sqlalchemy._sync import SQLAlchemyRateLimitStore as SQLAlchemyRateLimitStore
else:
    __getattr__, __dir__ = exports(
        __name__, {"_async": ["AsyncSQLAlchemyRateLimitStore"], "_sync": ["SQLAlchemyRateLimitStore"]}
    )
