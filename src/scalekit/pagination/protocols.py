"""What a third party implements to be paged through: where rows come from, sync or async.

A source does no paging of its own: it resolves an order once, then reads windows of it. The
paginator reads and makes cursors, decides what is asked for, and cuts pages. Into its cursors
nobody looks whom a `CursorCipher` keeps out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.pagination._order import Order, TotalOrder
    from scalekit.pagination._window import Rows, Window

T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class PageSource(Protocol[T_co]):
    """Rows that can be read from a position in an order."""

    def order(self, wanted: Order, /) -> TotalOrder:
        """Resolve `wanted` into a total order, appending a unique key where it is not one yet.

        No I/O. Equal wishes must give equal fingerprints in every process, or cursors would not
        travel. Raises `ConfigurationError` for a key that the rows do not have (as far as that is known
        without reading them), and where two rows could be equal in all keys.
        """
        ...

    def fetch(self, window: Window, /) -> Rows[T_co]:
        """Read the window, with one query; its `order` is the very object that `order()` returned.

        Rows beyond `window.position` in reading order, as `ranges()` defines them: never a row
        before it, never one left out. Two fetches need not see the same data.
        """
        ...

    def count(self, at_most: int | None, /) -> int:
        """Return the number of rows; with `at_most`, stop counting there."""
        ...


@runtime_checkable
class AsyncPageSource(Protocol[T_co]):
    """As `PageSource`, awaited; `fetch` and `count` are declared with `async def`."""

    def order(self, wanted: Order, /) -> TotalOrder:
        """As `PageSource.order`; no I/O, so not awaited."""
        ...

    async def fetch(self, window: Window, /) -> Rows[T_co]:
        """As `PageSource.fetch`."""
        ...

    async def count(self, at_most: int | None, /) -> int:
        """As `PageSource.count`."""
        ...


@runtime_checkable
class EstimatingSource(Protocol):
    """What a source may have besides, of either kind: a guess for `Total.estimate()`."""

    def estimate(self) -> int | None:
        """Return about how many rows there are, without counting; None if that is not known.

        Of an async source it is awaited.
        """
        ...


@runtime_checkable
class OffsetSource(Protocol[T_co]):
    """Rows that can be read from a number on, in an order of their own."""

    def slice(self, offset: int, limit: int, /) -> Sequence[T_co]:
        """Read at most `limit` rows after the first `offset`, with one query.

        The order is the source's own and total. Raises `ConfigurationError` if it has none.
        """
        ...

    def count(self, at_most: int | None, /) -> int:
        """Return the number of rows; with `at_most`, stop counting there."""
        ...


@runtime_checkable
class AsyncOffsetSource(Protocol[T_co]):
    """As `OffsetSource`, awaited; both methods are declared with `async def`."""

    async def slice(self, offset: int, limit: int, /) -> Sequence[T_co]:
        """As `OffsetSource.slice`."""
        ...

    async def count(self, at_most: int | None, /) -> int:
        """As `OffsetSource.count`."""
        ...


@runtime_checkable
class CursorCipher(Protocol):
    """Hides the order's values that a cursor carries: `Fernet` and `MultiFernet` of `cryptography` are such.

    Called on each request, in an async paginator on the event loop: no I/O. Safe to share between
    threads. What it decrypts has been signed before, so nothing that a client made up reaches it.
    """

    def encrypt(self, data: bytes, /) -> bytes:
        """Return `data`, less than 3 kB of it, encrypted; the cursor holds the result in base64."""
        ...

    def decrypt(self, data: bytes, /) -> bytes:
        """Return what `encrypt` was given; whatever it raises becomes an `InvalidCursor`."""
        ...
