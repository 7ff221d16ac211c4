"""Pages of a SQLAlchemy `select()`, Core or ORM, on PostgreSQL, SQLite, MariaDB and MySQL; or of raw SQL."""

from scalekit._lazy import exports

__all__ = [
    "AsyncSQLSource",
    "AsyncSelectSource",
    "IndexReport",
    "PagePlan",
    "SQLSource",
    "SelectSource",
    "assert_indexed",
    "async_assert_indexed",
    "async_explain_check",
    "explain_check",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.pagination.sqlalchemy._async import AsyncSelectSource as AsyncSelectSource
    from scalekit.pagination.sqlalchemy._async import AsyncSQLSource as AsyncSQLSource
    from scalekit.pagination.sqlalchemy._check import assert_indexed as assert_indexed
    from scalekit.pagination.sqlalchemy._check import async_assert_indexed as async_assert_indexed
    from scalekit.pagination.sqlalchemy._check import async_explain_check as async_explain_check
    from scalekit.pagination.sqlalchemy._check import explain_check as explain_check
    from scalekit.pagination.sqlalchemy._report import IndexReport as IndexReport
    from scalekit.pagination.sqlalchemy._report import PagePlan as PagePlan
    from scalekit.pagination.sqlalchemy._sync import SelectSource as SelectSource
    from scalekit.pagination.sqlalchemy._sync import SQLSource as SQLSource
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_async": ["AsyncSQLSource", "AsyncSelectSource"],
            "_check": ["assert_indexed", "async_assert_indexed", "async_explain_check", "explain_check"],
            "_report": ["IndexReport", "PagePlan"],
            "_sync": ["SQLSource", "SelectSource"],
        },
    )
