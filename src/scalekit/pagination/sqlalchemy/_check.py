"""`explain_check`: whether a paginator's pages are read from an index, and the index to add if not."""

# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.pagination._assemble import CursorRules
from scalekit.pagination.sqlalchemy._async import AsyncSelectSource
from scalekit.pagination.sqlalchemy._sync import SelectSource

if TYPE_CHECKING:
    from scalekit.pagination._async import AsyncCursorPaginator
    from scalekit.pagination._sync import CursorPaginator
    from scalekit.pagination.sqlalchemy._report import IndexReport


def explain_check(
    paginator: CursorPaginator | AsyncCursorPaginator, source: SelectSource[Any], *, limit: int | None = None
) -> IndexReport:
    """Return whether the database reads the first, a middle and the last page, both ways, from an index.

    A page is served so if nothing is sorted, no table is read as a whole, and at most 3n + 4 rows are met for
    n that are asked for (`limit`, the paginator's own by default, and one more). The very statements are
    explained that the paginator sends. PostgreSQL is asked as if the tables were large, so that a test
    database will do, and executes them, in a savepoint that is rolled back; so do MariaDB and MySQL, which
    need tables with data; SQLite executes nothing. Of fewer than 400 rows only the first and the last page
    are looked at. Raises `ConfigurationError` for another source.
    """
    require("sqlalchemy", extra="sqlalchemy", needed_by="explain_check")
    from scalekit.pagination.sqlalchemy._indexes import report  # noqa: PLC0415  # only with SQLAlchemy

    rules = _rules(paginator)
    if not isinstance(source, SelectSource):
        raise ConfigurationError("source", source, "to be a SelectSource")
    return report(rules.order, source, rules.size(limit))


async def async_explain_check(
    paginator: CursorPaginator | AsyncCursorPaginator,
    source: AsyncSelectSource[Any],
    *,
    limit: int | None = None,
) -> IndexReport:
    """As `explain_check`, for an `AsyncSelectSource`."""
    require("sqlalchemy", extra="sqlalchemy", needed_by="async_explain_check")
    from scalekit.pagination.sqlalchemy._indexes import report  # noqa: PLC0415  # only with SQLAlchemy

    rules = _rules(paginator)
    if not isinstance(source, AsyncSelectSource):
        raise ConfigurationError("source", source, "to be an AsyncSelectSource")

    def blocking(session: Any) -> IndexReport:
        same = SelectSource[Any](session, source._statement, form=source._form)
        return report(rules.order, same, rules.size(limit))

    result: IndexReport = await source._session.run_sync(blocking)
    return result


def assert_indexed(
    paginator: CursorPaginator | AsyncCursorPaginator, source: SelectSource[Any], *, limit: int | None = None
) -> None:
    """Raise `AssertionError`, with the problems and the index to add, unless `explain_check` is satisfied."""
    _assert(explain_check(paginator, source, limit=limit))


async def async_assert_indexed(
    paginator: CursorPaginator | AsyncCursorPaginator,
    source: AsyncSelectSource[Any],
    *,
    limit: int | None = None,
) -> None:
    """As `assert_indexed`, for an `AsyncSelectSource`."""
    _assert(await async_explain_check(paginator, source, limit=limit))


def _assert(report: IndexReport) -> None:
    if not report.ok:
        raise AssertionError(str(report))


def _rules(paginator: object) -> CursorRules:
    rules = getattr(paginator, "_rules", None)
    if isinstance(rules, CursorRules):
        return rules
    raise ConfigurationError("paginator", paginator, "to be a CursorPaginator")
