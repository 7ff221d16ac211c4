"""The peers' pages, asked for as their documentation says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fastapi_pagination import set_page
from fastapi_pagination.cursor import CursorPage
from fastapi_pagination.customization import CustomizedPage, UseIncludeTotal
from fastapi_pagination.ext.sqlalchemy import paginate
from sqlakeyset import select_page

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Untotalled = CustomizedPage[CursorPage[T], UseIncludeTotal(False)]  # its default counts on each page
_PARAMS: Any = Untotalled.__params_type__


def sqlakeyset_page(runner: Any, make: Callable[[], Any], bookmark: str | None, size: int) -> Any:
    """Return the page after `bookmark` and both its bookmarks; `make` gives the statement, in its order."""
    page = select_page(runner, make(), per_page=size, page=bookmark)
    return page, page.paging.bookmark_next, page.paging.bookmark_previous


def sqlakeyset_walk(runner: Any, make: Callable[[], Any], depth: int) -> str:
    """Return the bookmark behind the first `depth` rows."""
    return str(select_page(runner, make(), per_page=depth).paging.bookmark_next)


def fastapi_page(runner: Any, make: Callable[[], Any], cursor: str | None, size: int) -> Any:
    """Return fastapi-pagination's cursor page, without the total that it counts unless told."""
    with set_page(Untotalled[Any]):
        return paginate(runner, make(), params=_PARAMS(cursor=cursor, size=size))


def fastapi_walk(runner: Any, make: Callable[[], Any], steps: int, size: int) -> str | None:
    """Return the cursor behind the first `steps` pages."""
    cursor = None
    for _ in range(steps):
        cursor = fastapi_page(runner, make, cursor, size).next_page
    return cursor
