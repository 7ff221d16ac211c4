"""What a paginator returns: plain values that can be pickled, cached and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scalekit.pagination._edges import cursor_of, kept
from scalekit.pagination._links import jsonapi_links, link_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalekit.pagination._edges import KeptEdges, LazyEdges
    from scalekit.pagination._total import Count

T = TypeVar("T")
U = TypeVar("U")


class Page(Generic[T]):
    """One page of a walk by cursor.

    `items` in order; `next_cursor` and `previous_cursor`, None where the list ends; `limit`, the most
    items the page could have, unless an upstream gave more; `total`, a `Count` if one was asked for.
    `edges` makes the cursors of single items, for `cursor_at()` and `to_relay()`; a page from a paginator
    has it. Pickling or copying the page makes them all, two for each item.
    """

    __slots__ = ("_edges", "items", "limit", "next_cursor", "previous_cursor", "total")

    def __init__(
        self,
        items: list[T],
        *,
        limit: int,
        next_cursor: str | None = None,
        previous_cursor: str | None = None,
        total: Count | None = None,
        edges: LazyEdges | KeptEdges | None = None,
    ) -> None:
        self.items: list[T] = items
        self.next_cursor: str | None = next_cursor
        self.previous_cursor: str | None = previous_cursor
        self.limit: int = limit
        self.total: Count | None = total
        self._edges: LazyEdges | KeptEdges | None = edges

    @property
    def has_next(self) -> bool:
        """Whether a page follows."""
        return self.next_cursor is not None

    @property
    def has_previous(self) -> bool:
        """Whether a page precedes; taken for granted after a forward cursor, whose row comes before."""
        return self.previous_cursor is not None

    def map(self, function: Callable[[T], U]) -> Page[U]:
        """Return the same page with `function` applied to each item; its cursors stay."""
        return Page(
            [function(item) for item in self.items],
            limit=self.limit,
            next_cursor=self.next_cursor,
            previous_cursor=self.previous_cursor,
            total=self.total,
            edges=self._edges,
        )

    def cursor_at(self, index: int, *, before: bool = False) -> str:
        """Return the cursor of the item at `index`, from 0: it leads forward, to what comes after that item.

        With `before`, it leads backward, to what comes before the item. Made when asked for, in a few
        microseconds. Raises `IndexError` where there is no such item, and `ConfigurationError` for a page
        that does not come from a paginator, or whose `items` have become more or fewer since.
        """
        return cursor_of(self._edges, len(self.items), index, before=before)

    def to_dict(self) -> dict[str, Any]:
        """Return the page as plain data, ready for JSON if its items are."""
        return {
            "items": self.items,
            "next_cursor": self.next_cursor,
            "previous_cursor": self.previous_cursor,
            "has_next": self.has_next,
            "has_previous": self.has_previous,
            "limit": self.limit,
            "total": None if self.total is None else self.total.to_dict(),
        }

    def to_relay(self) -> dict[str, Any]:
        """Return the page as a connection of Relay's specification, each item with its own cursor.

        "startCursor" and "endCursor" are those of the first and last item, None on an empty page. With
        a total there is a "totalCount": the cap, where counting stopped there. A client's `after` is
        `paginate()`'s `cursor`, its `before` is `before`. Raises `ConfigurationError` as `cursor_at()` does.
        """
        cursors = [self.cursor_at(index) for index in range(len(self.items))]
        connection: dict[str, Any] = {
            "edges": [
                {"node": node, "cursor": cursor} for node, cursor in zip(self.items, cursors, strict=True)
            ],
            "pageInfo": {
                "hasNextPage": self.has_next,
                "hasPreviousPage": self.has_previous,
                "startCursor": cursors[0] if cursors else None,
                "endCursor": cursors[-1] if cursors else None,
            },
        }
        if self.total is not None:
            connection["totalCount"] = self.total.value
        return connection

    def to_jsonapi(self, url: str) -> dict[str, Any]:
        """Return the page as a JSON:API document by its cursor pagination profile.

        "data" holds the items as they are: map them to resource objects first. "links" has "first",
        "prev" and "next", None where there is no such page: `url`, the request's, with its page[after],
        page[before] and page[size] replaced and its other parameters kept. An exact total is
        meta.page.total, a capped one meta.page.estimatedTotal. `paginate(cursor=...)` takes what comes
        back in page[after] and in page[before]. Raises `ConfigurationError` when `url` is not text.
        """
        size: dict[str, Any] = {}
        if self.total is not None:
            exact = self.total.kind == "exact"
            size = (
                {"total": self.total.value} if exact else {"estimatedTotal": {"bestGuess": self.total.value}}
            )
        links = jsonapi_links(
            url, self.limit, next_cursor=self.next_cursor, previous_cursor=self.previous_cursor
        )
        return {"data": self.items, "links": links, "meta": {"page": size}}

    def link_header(self, url: str, *, cursor_param: str = "cursor") -> str:
        """Return the value of a `Link` header (RFC 8288): rel "next" and "prev", where there are such pages.

        `url` is the request's; its own `cursor_param` is replaced, its other parameters stay. Empty
        text when there is neither page. Raises `ConfigurationError` when an argument is not text.
        """
        found = (("next", self.next_cursor), ("prev", self.previous_cursor))
        return link_header(url, cursor_param, [(rel, cursor) for rel, cursor in found if cursor is not None])

    def __getstate__(self) -> Any:
        # What makes cursors holds the paginator's secret, which must not travel.
        state: Any = super().__getstate__()
        state[1]["_edges"] = kept(self._edges, len(self.items))
        return state

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        return True  # an empty page is still a page, with cursors that lead on

    def __repr__(self) -> str:
        return f"<Page of {len(self.items)}, has_next={self.has_next}, has_previous={self.has_previous}>"


class OffsetPage(Generic[T]):
    """One numbered page.

    `items` in order; `page` counts from 1; `offset`, the rows before it; `limit`, the most items it
    could have; `total`, a `Count` if one was asked for.
    """

    __slots__ = ("has_next", "items", "limit", "page", "total")

    def __init__(
        self, items: list[T], *, page: int, limit: int, has_next: bool, total: Count | None = None
    ) -> None:
        self.items: list[T] = items
        self.page: int = page
        self.limit: int = limit
        self.has_next: bool = has_next
        self.total: Count | None = total

    @property
    def offset(self) -> int:
        """The number of rows before this page."""
        return (self.page - 1) * self.limit

    @property
    def has_previous(self) -> bool:
        """Whether a page precedes."""
        return self.page > 1

    @property
    def pages(self) -> int | None:
        """How many pages there are (0 for an empty list); None unless the total is exact."""
        if self.total is None or self.total.kind != "exact":
            return None
        return -(-self.total.value // self.limit)

    def map(self, function: Callable[[T], U]) -> OffsetPage[U]:
        """Return the same page with `function` applied to each item."""
        return OffsetPage(
            [function(item) for item in self.items],
            page=self.page,
            limit=self.limit,
            has_next=self.has_next,
            total=self.total,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the page as plain data, ready for JSON if its items are."""
        return {
            "items": self.items,
            "page": self.page,
            "pages": self.pages,
            "limit": self.limit,
            "offset": self.offset,
            "has_next": self.has_next,
            "has_previous": self.has_previous,
            "total": None if self.total is None else self.total.to_dict(),
        }

    def link_header(self, url: str, *, page_param: str = "page") -> str:
        """Return the value of a `Link` header (RFC 8288): rel "next", "prev", "first", and "last" if known.

        `url` is the request's; its own `page_param` is replaced, its other parameters stay. Raises
        `ConfigurationError` when an argument is not text.
        """
        pages = self.pages
        targets = (
            ("next", self.page + 1 if self.has_next else None),
            ("prev", self.page - 1 if self.has_previous else None),
            ("first", 1),
            ("last", None if pages is None else max(pages, 1)),
        )
        return link_header(url, page_param, [(rel, str(page)) for rel, page in targets if page is not None])

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        return True  # as `Page`: a page beyond the end is still a page

    def __repr__(self) -> str:
        return f"<OffsetPage {self.page} of {len(self.items)}, has_next={self.has_next}>"
