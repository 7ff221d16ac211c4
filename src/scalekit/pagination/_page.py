"""What a paginator returns: plain values that can be pickled, cached and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scalekit.pagination._links import link_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scalekit.pagination._total import Count

T = TypeVar("T")
U = TypeVar("U")


class Page(Generic[T]):
    """One page of a walk by cursor.

    `items` in order; `next_cursor` and `previous_cursor`, None where the list ends; `limit`, the most
    items the page could have, unless an upstream gave more; `total`, a `Count` if one was asked for.
    """

    __slots__ = ("items", "limit", "next_cursor", "previous_cursor", "total")

    def __init__(
        self,
        items: list[T],
        *,
        limit: int,
        next_cursor: str | None = None,
        previous_cursor: str | None = None,
        total: Count | None = None,
    ) -> None:
        self.items: list[T] = items
        self.next_cursor: str | None = next_cursor
        self.previous_cursor: str | None = previous_cursor
        self.limit: int = limit
        self.total: Count | None = total

    @property
    def has_next(self) -> bool:
        """Whether a page follows."""
        return self.next_cursor is not None

    @property
    def has_previous(self) -> bool:
        """Whether a page precedes; taken for granted after a forward cursor, whose row comes before."""
        return self.previous_cursor is not None

    def map(self, function: Callable[[T], U]) -> Page[U]:
        """Return the same page with `function` applied to each item."""
        return Page(
            [function(item) for item in self.items],
            limit=self.limit,
            next_cursor=self.next_cursor,
            previous_cursor=self.previous_cursor,
            total=self.total,
        )

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

    def link_header(self, url: str, *, cursor_param: str = "cursor") -> str:
        """Return the value of a `Link` header (RFC 8288): rel "next" and "prev", where there are such pages.

        `url` is the request's; its own `cursor_param` is replaced, its other parameters stay. Empty
        text when there is neither page. Raises `ConfigurationError` when an argument is not text.
        """
        found = (("next", self.next_cursor), ("prev", self.previous_cursor))
        return link_header(url, cursor_param, [(rel, cursor) for rel, cursor in found if cursor is not None])

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
