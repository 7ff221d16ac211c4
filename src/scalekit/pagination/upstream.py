"""Rows of an upstream API that cuts its own pages and hands out tokens of its own for the next ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from scalekit.errors import ConfigurationError
from scalekit.pagination._cursor import LONGEST_VALUE
from scalekit.pagination._order import SortKey, TotalOrder
from scalekit.pagination._values import KINDS
from scalekit.pagination._window import Rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from scalekit.pagination._order import Order
    from scalekit.pagination._window import Window

T = TypeVar("T")


class _TokenOrder(TotalOrder):
    """The upstream's order: all that is known of a place in it is the token that leads there."""

    __slots__ = ()
    forward_only = True


_ORDER = _TokenOrder(
    [SortKey("page token", descending=False, nulls_first=False, nullable=False, kind=KINDS[str])]
)


class CallableSource(Generic[T]):
    """Pages through an upstream API by its own page tokens, which travel signed within the cursors.

    `fetch(token, limit)` asks the upstream for about `limit` items, from the beginning when `token` is None,
    and returns `(items, next_token)`. No next token (None, or empty text as some APIs write it) ends the
    list. The items are the page, whether fewer than asked, more, or none.

    The upstream decides the order, so the paginator takes `order_by=None`. Pages lead forward only: there
    is no `previous_cursor`, `last()` and a `total` are refused. A `scope` keeps the cursors of different
    upstreams and queries apart. What the upstream raises, also for a token that it has forgotten, is passed
    on unchanged. A token of more than 3,048 bytes does not fit into a cursor: `ConfigurationError`.

    As safe to share between threads as `fetch`. Raises `ConfigurationError` when it cannot be called, and
    when it returns something else.
    """

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Callable[[str | None, int], tuple[Iterable[T], str | None]]) -> None:
        self._fetch = _checked(fetch)

    def order(self, wanted: Order, /) -> TotalOrder:
        """Return the upstream's order; raise `ConfigurationError` for any other."""
        return _own_order(wanted)

    def fetch(self, window: Window, /) -> Rows[T]:
        """Return what the upstream gives, with one call."""
        found = self._fetch(_token(window), window.limit)
        return _rows(found)

    def count(self, _at_most: int | None, /) -> int:
        """Raise `ConfigurationError`: the upstream does not say how many there are."""
        _uncounted()


class AsyncCallableSource(Generic[T]):
    """As `CallableSource`, with an async `fetch`."""

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Callable[[str | None, int], Awaitable[tuple[Iterable[T], str | None]]]) -> None:
        self._fetch = _checked(fetch)

    def order(self, wanted: Order, /) -> TotalOrder:
        """Return the upstream's order; raise `ConfigurationError` for any other."""
        return _own_order(wanted)

    async def fetch(self, window: Window, /) -> Rows[T]:
        """Return what the upstream gives, with one call."""
        found = await self._fetch(_token(window), window.limit)
        return _rows(found)

    async def count(self, _at_most: int | None, /) -> int:
        """Raise `ConfigurationError`: the upstream does not say how many there are."""
        _uncounted()


def _checked(fetch: Any) -> Any:
    if not callable(fetch):
        raise ConfigurationError("fetch", fetch, "to be a callable of a token and a limit")
    return fetch


def _own_order(wanted: Order) -> TotalOrder:
    if wanted.keys:
        raise ConfigurationError("order_by", [key.by for key in wanted.keys], "None: the upstream decides")
    return _ORDER


def _token(window: Window) -> str | None:
    if window.order is not _ORDER:
        raise ConfigurationError("window", window.order, "with an order of this source")
    return None if window.position is None else cast("str", window.position.values[0])


def _is_pair(found: object) -> bool:
    return isinstance(found, tuple) and len(cast("tuple[object, ...]", found)) == 2  # noqa: PLR2004  # a pair


def _rows(found: Any) -> Rows[Any]:
    pair: Any = found if _is_pair(found) else (None, None)
    items, token = pair
    if not hasattr(items, "__iter__"):
        raise ConfigurationError("fetch", found, "to return (items, next token)")
    if token is not None and not isinstance(token, str):
        raise ConfigurationError("next token", token, "to be text, or None at the end")
    size = 0 if token is None else len(token.encode("utf-8", "surrogatepass"))
    if size > LONGEST_VALUE:
        raise ConfigurationError("next token", token, f"of at most {LONGEST_VALUE} bytes, not {size}")

    def values(_: int) -> tuple[str | None]:
        return (token,)

    return Rows(list(items), values, more=size > 0)


def _uncounted() -> NoReturn:
    raise ConfigurationError("total", "a Total", "None: the upstream does not say how many items it has")
