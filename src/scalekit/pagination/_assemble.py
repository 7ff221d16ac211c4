"""From a request to the window to read, and from the rows found in it to the page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from scalekit.errors import ConfigurationError, OffsetTooDeep
from scalekit.pagination._bounds import Bounds, whole
from scalekit.pagination._cursor import Codec
from scalekit.pagination._edges import encoded
from scalekit.pagination._expiry import expiry_of
from scalekit.pagination._order import Order
from scalekit.pagination._page import OffsetPage, Page
from scalekit.pagination._total import checked_total

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalekit._time import Clock, Duration
    from scalekit.pagination._cursor import Coder
    from scalekit.pagination._order import TotalOrder
    from scalekit.pagination._total import Count, Total
    from scalekit.pagination._window import Rows, Window
    from scalekit.pagination.protocols import CursorCipher

T = TypeVar("T")


class Asked(NamedTuple):
    """A request for one page, its size already within bounds.

    `expires` False for a cursor of a walk under way, which may take as long as it takes.
    """

    cursor: str | None
    limit: int
    total: Total | None
    scope: str | None
    before: str | None = None
    last: bool = False
    expires: bool = True


class CursorRules:
    """What both cursor paginators know: the order, the page sizes, the scope and how cursors are made."""

    __slots__ = ("_bounds", "_codec", "_scope", "order")

    def __init__(
        self,
        order_by: Iterable[object] | None,
        *,
        append_key: bool,
        limit: int,
        max_limit: int,
        secret: str | bytes | Sequence[str | bytes] | None,
        scope: str | None,
        expires_in: Duration | None,
        wall_clock: Clock,
        cipher: CursorCipher | None,
    ) -> None:
        self.order = Order(order_by, append_key=append_key)
        self._bounds = Bounds(limit, max_limit)
        self._scope = _checked_scope(scope)
        self._codec = Codec(secret, expiry=expiry_of(expires_in, wall_clock), cipher=cipher)

    def size(self, limit: int | None) -> int:
        """Return the page size for a request."""
        return self._bounds.size(limit)

    def coder(self, order: TotalOrder, scope: str | None) -> Coder:
        """Return the maker and reader of cursors; a request's own scope replaces the paginator's."""
        return self._codec.bind(order, self._scope if scope is None else _checked_scope(scope))


def assemble(rows: Rows[T], read: Window, coder: Coder, total: Count | None) -> Page[T]:
    """Return the page that `rows`, found in the window `read`, make.

    Behind a page there is another when one row more than its limit was found. On the side where the
    reading began there is one when it began after a row, or before one: that row is there. A page
    that turns out empty, its rows deleted, leads back to where the reading began; its cursor takes in
    the row at that place exactly if the reading did not. A source whose pages lead forward only has cut
    this one already, and says itself what follows.
    """
    if read.order.forward_only:
        following = coder.encode(rows.values(len(rows.items) - 1), backward=False) if rows.more else None
        return Page(list(rows.items), limit=read.limit, next_cursor=following, total=total)
    limit = read.limit - 1
    items = list(rows.items[:limit])
    ahead = behind = None
    position = read.position
    if items:
        if len(rows.items) > limit:
            ahead = coder.encode(rows.values(len(items) - 1), backward=read.backward)
        if position is not None and not position.inclusive:
            behind = coder.encode(rows.values(0), backward=not read.backward)
    elif position is not None:
        behind = coder.encode(position.values, backward=not read.backward, inclusive=not position.inclusive)
    if read.backward:
        items.reverse()
        ahead, behind = behind, ahead
    edges = partial(encoded, rows, read, coder)
    return Page(items, limit=limit, next_cursor=ahead, previous_cursor=behind, total=total, edges=edges)


class OffsetRules:
    """What both offset paginators know: the page sizes, the deepest offset, and what to count."""

    __slots__ = ("_bounds", "_max_offset", "total")

    def __init__(self, *, limit: int, max_limit: int, max_offset: int, total: Total | None) -> None:
        self._bounds = Bounds(limit, max_limit)
        self._max_offset = whole(max_offset, "max_offset", at_least=0)
        self.total = checked_total(total)

    def place(self, page: int, limit: int | None) -> tuple[int, int]:
        """Return (offset, limit) of a page; raise `OffsetTooDeep` beyond the deepest offset."""
        size = self._bounds.size(limit)
        if page.__class__ is not int or page < 1:
            raise ConfigurationError("page", page, ">= 1, a whole number")
        offset = (page - 1) * size
        if offset > self._max_offset:
            raise OffsetTooDeep(offset, self._max_offset)
        return offset, size


def assemble_numbered(found: Sequence[T], *, page: int, limit: int, total: Count | None) -> OffsetPage[T]:
    """Return the numbered page for `found`: one row more than `limit` shows that another page follows."""
    return OffsetPage(list(found[:limit]), page=page, limit=limit, has_next=len(found) > limit, total=total)


def _checked_scope(scope: object) -> str | None:
    if scope is None or isinstance(scope, str):
        return scope
    raise ConfigurationError("scope", scope, "to be text or None")
