"""Pages of a SQLAlchemy `select()`, Core or ORM, on PostgreSQL, SQLite, MariaDB and MySQL."""

from scalekit._lazy import exports

__all__ = ["AsyncSelectSource", "SelectSource"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.pagination.sqlalchemy._async import AsyncSelectSource as AsyncSelectSource
    from scalekit.pagination.sqlalchemy._sync import SelectSource as SelectSource
else:
    __getattr__, __dir__ = exports(__name__, {"_async": ["AsyncSelectSource"], "_sync": ["SelectSource"]})
