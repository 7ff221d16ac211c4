"""The source for async SQLAlchemy sessions and connections; twin of that in `_sync.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from scalekit._extras import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import CompoundSelect, Dialect, Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

    from scalekit.pagination._order import Order, TotalOrder
    from scalekit.pagination._window import Rows, Window
    from scalekit.pagination.sqlalchemy._forms import Form
    from scalekit.pagination.sqlalchemy._frame import Params

    AsyncSQLConnection: TypeAlias = AsyncSession | AsyncConnection | async_scoped_session[Any]

T = TypeVar("T")


class AsyncSelectSource(Generic[T]):
    """As `SelectSource`, over an async session or connection.

    `statement` selects one entity (the page has entities), one plain column (scalars), or several of
    either (rows), with any WHERE and joins; without ORDER BY, which a `CursorPaginator` adds. Cheap:
    make one for each request. A statement object that is kept and reused saves building the query.

    Groups, DISTINCT, windows, UNION and a LIMIT of its own are paged as they stand: the last with the
    ORDER BY that it needs. Their pages cost what the statement costs, since all of it is computed anew.

    `form` overrides how a page's condition is written (default None: what the database reads from an index):
    "row" for row values, "nested" and "or" for comparisons, "union" for one branch per key. "nested" saves
    a third of a page's time on SQLite, and in mixed directions on PostgreSQL, if few rows share a value of
    the first key; it is chosen for moments, floats and UUIDs.

    Works on PostgreSQL, SQLite, MariaDB and MySQL. Raises `MissingExtra` without SQLAlchemy, or without the
    greenlet that its async sessions need (the extra `sqlalchemy` installs both), and `ConfigurationError`
    for another database, for FOR UPDATE, and for a join that repeats the only entity selected.
    """

    __slots__ = ("_dialect", "_form", "_session", "_statement")

    def __init__(
        self,
        session: AsyncSession | AsyncConnection | async_scoped_session[Any],
        statement: Select[Any] | CompoundSelect[Any],
        *,
        form: Form | None = None,
    ) -> None:
        require("sqlalchemy", extra="sqlalchemy", needed_by=type(self).__name__)
        from scalekit.pagination.sqlalchemy._session import async_checked  # noqa: PLC0415  # only with SQLAlchemy

        self._session: Any = session
        self._statement: Select[Any] | CompoundSelect[Any] = statement
        self._form: Form | None = form
        self._dialect: Dialect = async_checked(session, statement)

    def order(self, wanted: Order, /) -> TotalOrder:
        """Return the total order, planned once for each order and shape of statement."""
        from scalekit.pagination.sqlalchemy._plan import planned  # noqa: PLC0415  # only with SQLAlchemy

        return planned(wanted, self._statement, self._dialect, self._form)

    async def fetch(self, window: Window, /) -> Rows[T]:
        """Read the window with one statement."""
        from scalekit.pagination.sqlalchemy._select_order import own  # noqa: PLC0415  # only with SQLAlchemy

        order = own(window.order)
        statement, parameters = order.statement(self._statement, window)
        return order.reader.rows(await self._session.execute(statement, parameters))

    async def slice(self, offset: int, limit: int, /) -> list[T]:
        """Read rows by number with one statement, in its own ORDER BY made total by its unique keys."""
        from scalekit.pagination.sqlalchemy._numbered import numbered  # noqa: PLC0415  # only with SQLAlchemy

        plan = numbered(self._statement)
        return list(plan.items(await self._session.execute(*plan.window(offset, limit))))

    async def count(self, at_most: int | None, /) -> int:
        """Count the rows with one statement; with `at_most`, stop there."""
        from scalekit.pagination.sqlalchemy._numbered import counting  # noqa: PLC0415  # only with SQLAlchemy

        statement, parameters = counting(self._statement, at_most)
        found: int = (await self._session.execute(statement, parameters)).scalar_one()
        return found

    async def estimate(self) -> int | None:
        """Return about how many rows there are, by the plan that the database has for them."""
        from scalekit.pagination.sqlalchemy._numbered import estimating  # noqa: PLC0415  # only with SQLAlchemy

        explain = estimating(self._statement, self._dialect)
        return None if explain is None else explain.rows(await self._session.execute(explain))


class AsyncSQLSource(Generic[T]):
    """As `SQLSource`, over an async session or connection of SQLAlchemy.

    `params` is a mapping for the `:name` placeholders in `sql`, rows are those of SQLAlchemy. `sql` becomes
    the subquery of `SELECT * FROM (...) AS page`; the paginator must have `append_key=False`, since no
    unique key is known; `not_null` names the order keys that are never NULL.

    Works on PostgreSQL and SQLite. Raises `MissingExtra` without SQLAlchemy or greenlet, and
    `ConfigurationError` for other connections, a driver's own among them, and arguments of other types.
    """

    __slots__ = ("_query", "_run")

    def __init__(
        self,
        connection: AsyncSQLConnection,
        sql: str,
        params: Params = None,
        *,
        not_null: Sequence[str] = (),
    ) -> None:
        require("sqlalchemy", extra="sqlalchemy", needed_by=type(self).__name__)
        from scalekit.pagination.sqlalchemy._raw_session import async_raw  # noqa: PLC0415  # only with SQLAlchemy

        self._query, self._run = async_raw(connection, sql, params, not_null)

    def order(self, wanted: Order, /) -> TotalOrder:
        """Return the order that `wanted` vouches for; `ConfigurationError` unless `append_key=False` does."""
        return self._query.order(wanted)

    async def fetch(self, window: Window, /) -> Rows[T]:
        """Read the window with one query."""
        return self._query.rows(window, await self._run.rows(*self._query.page(window)))

    async def slice(self, offset: int, limit: int, /) -> list[T]:
        """Read rows by number with one query, in the order that the SQL gives them."""
        return list((await self._run.rows(*self._query.numbered(offset, limit))).rows)

    async def count(self, at_most: int | None, /) -> int:
        """Count the rows with one query; with `at_most`, stop there."""
        return await self._run.number(*self._query.counting(at_most))
