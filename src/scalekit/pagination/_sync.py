"""The two paginators for code that blocks; `_async.py` has their twins."""

# ruff: noqa: UP028  # its async twin has no `yield from`
from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from scalekit.pagination._assemble import (
    Asked,
    CursorRules,
    OffsetRules,
    assemble,
    assemble_numbered,
)
from scalekit.pagination._bounds import whole
from scalekit.pagination._counting import counted
from scalekit.pagination._events import Observed, listening
from scalekit.pagination._sources import SourceCheck
from scalekit.pagination._total import checked_total
from scalekit.pagination.protocols import OffsetSource, PageSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from scalekit._time import Clock, Duration
    from scalekit.events import Hook
    from scalekit.pagination._page import OffsetPage, Page
    from scalekit.pagination._total import Total
    from scalekit.pagination.protocols import CursorCipher

T = TypeVar("T")
_check_pages = SourceCheck(PageSource, method="fetch", awaited=False, twin="AsyncCursorPaginator")
_check_slices = SourceCheck(OffsetSource, method="slice", awaited=False, twin="AsyncOffsetPaginator")


class CursorPaginator:
    """Pages through a source by cursor: every page costs the same, however deep.

    `order_by` lists the keys, the most significant first: names ("-" before one means descending),
    `asc()`, `desc()`, or the source's own expressions. A unique key is appended unless the order has
    one; with `append_key=False` it must have one, or where that cannot be known you vouch for it. None asks
    for the source's own order: that of its unique key, or of the upstream that cuts its pages.

    `limit` is the page size (20) and `max_limit` the largest that any page can have (100): a
    `limit` above it, here or in a request, is cut down to it. `scope`, for example a tenant, binds cursors
    to it. `on_event` hears a `PageEvent` for each page.

    `secret` signs the cursors; of several the first signs and all verify. Without one a key of this
    process is used, with one warning. Cursors show the order's values to whoever decodes them, unless a
    `cipher` encrypts those. They hold for ever, or for the time `expires_in` by `wall_clock`, which
    gives seconds of the epoch; a minute's difference between the clocks of two workers does no harm.

    Walking with the cursors gives each row of the unpaged list once, whatever is inserted or deleted
    meanwhile elsewhere. A row whose order values change during the walk may be met twice or not at all.

    Safe to share between threads. Raises `ConfigurationError` for bad arguments.
    """

    __slots__ = ("_emit", "_rules")

    def __init__(
        self,
        order_by: Iterable[object] | None,
        *,
        append_key: bool = True,
        limit: int = 20,
        max_limit: int = 100,
        secret: str | bytes | Sequence[str | bytes] | None = None,
        scope: str | None = None,
        expires_in: Duration | None = None,
        cipher: CursorCipher | None = None,
        wall_clock: Clock = time.time,
        on_event: Hook | None = None,
    ) -> None:
        self._rules = CursorRules(
            order_by,
            append_key=append_key,
            limit=limit,
            max_limit=max_limit,
            secret=secret,
            scope=scope,
            expires_in=expires_in,
            wall_clock=wall_clock,
            cipher=cipher,
        )
        self._emit = listening(on_event)

    def paginate(
        self,
        source: PageSource[T],
        *,
        cursor: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        total: Total | None = None,
        scope: str | None = None,
    ) -> Page[T]:
        """Return the page that `cursor` leads to, or the first one: one query, and one more for a `total`.

        `before` takes a cursor as well, and reads backward from its row wherever it leads: the rows nearest
        to that one, without it. A cursor that leads backward does the same in either argument.

        `limit` above the maximum is cut down to it. `scope` replaces the paginator's own. Raises
        `InvalidCursor`, before any query, for a cursor that was not made for this order and scope, and
        `ConfigurationError` for a limit below 1, for `cursor` and `before` together, or for a source that
        cannot be ordered so.
        """
        asked = Asked(cursor, self._rules.size(limit), total, scope, before)
        return self._seen("page", source, asked)

    def last(
        self,
        source: PageSource[T],
        *,
        limit: int | None = None,
        total: Total | None = None,
        scope: str | None = None,
    ) -> Page[T]:
        """Return the last page, by reading from the end: its cost is that of the first."""
        return self._seen("last", source, Asked(None, self._rules.size(limit), total, scope, last=True))

    def pages(
        self,
        source: PageSource[T],
        *,
        batch: int = 1000,
        cursor: str | None = None,
        scope: str | None = None,
    ) -> Iterator[Page[T]]:
        """Yield page after page, from the start or from `cursor` on, until no row is left.

        `batch` rows each, not cut down to the maximum; every page is a query of its own, so no
        transaction need stay open. To resume, pass the last page's `next_cursor`. Raises
        `InvalidCursor` for a foreign cursor, for one that leads backward, and for one that has expired
        before the walk; during it none does.
        """
        whole(batch, "batch", at_least=1)
        _check_pages(source)
        self._rules.coder(source.order(self._rules.order), scope).forward_only(cursor)
        while True:
            page = self._seen("page", source, Asked(cursor, batch, None, scope, expires=False))
            if page.items:
                yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def rows(
        self,
        source: PageSource[T],
        *,
        batch: int = 1000,
        cursor: str | None = None,
        scope: str | None = None,
    ) -> Iterator[T]:
        """Yield row after row, reading `batch` at a time, as `pages()` does."""
        for page in self.pages(source, batch=batch, cursor=cursor, scope=scope):
            for item in page.items:
                yield item

    def _seen(self, name: str, source: PageSource[T], asked: Asked) -> Page[T]:
        if self._emit is None:
            return self._page(source, asked)
        with Observed(self._emit, name, time.perf_counter) as observed:
            page = self._page(source, asked)
            observed.items = len(page.items)
        return page

    def _page(self, source: PageSource[T], asked: Asked) -> Page[T]:
        _check_pages(source)
        total = checked_total(asked.total)
        order = source.order(self._rules.order)
        coder = self._rules.coder(order, asked.scope)
        window = coder.window(
            asked.cursor, asked.limit, last=asked.last, before=asked.before, expires=asked.expires
        )
        rows = source.fetch(window)
        return assemble(rows, window, coder, counted(source, total))


class OffsetPaginator:
    """Pages through a source by number: simple, and slower the deeper; rows may move between pages.

    `limit` is the page size (20) and `max_limit` the largest that any page can have (100): a
    `limit` above it, here or in a request, is cut down to it. Pages that begin beyond `max_offset`
    rows (10,000) are refused, since the database would read all rows before them. `total` counts the rows
    with each page. `on_event` hears a `PageEvent` for each page.

    Safe to share between threads. Raises `ConfigurationError` for bad arguments.
    """

    __slots__ = ("_emit", "_rules")

    def __init__(
        self,
        *,
        limit: int = 20,
        max_limit: int = 100,
        max_offset: int = 10_000,
        total: Total | None = None,
        on_event: Hook | None = None,
    ) -> None:
        self._rules = OffsetRules(limit=limit, max_limit=max_limit, max_offset=max_offset, total=total)
        self._emit = listening(on_event)

    def paginate(self, source: OffsetSource[T], *, page: int = 1, limit: int | None = None) -> OffsetPage[T]:
        """Return page number `page`, from 1 on: one query, and one more for a total.

        `limit` above the maximum is cut down to it. Beyond the last row a page is empty. Raises
        `OffsetTooDeep`, before any query, beyond the deepest offset, and `ConfigurationError` for a
        page or limit below 1 or a source without an order.
        """
        if self._emit is None:
            return self._page(source, page, limit)
        with Observed(self._emit, "offset", time.perf_counter) as observed:
            found = self._page(source, page, limit)
            observed.items = len(found.items)
        return found

    def _page(self, source: OffsetSource[T], page: int, limit: int | None) -> OffsetPage[T]:
        _check_slices(source)
        offset, size = self._rules.place(page, limit)
        found = source.slice(offset, size + 1)
        total = counted(source, self._rules.total)
        return assemble_numbered(found, page=page, limit=size, total=total)
