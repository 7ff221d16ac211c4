"""Pages of any list: by cursor, at the same cost however deep, or by number."""

from scalekit._lazy import exports

__all__ = [
    "ANY",
    "AsyncCallableSource",
    "AsyncCursorPaginator",
    "AsyncOffsetPaginator",
    "AsyncOffsetSource",
    "AsyncPageSource",
    "CallableSource",
    "Count",
    "CursorCipher",
    "CursorPaginator",
    "EstimatingSource",
    "Key",
    "Kind",
    "OffsetPage",
    "OffsetPaginator",
    "OffsetSource",
    "Order",
    "Page",
    "PageEvent",
    "PageSource",
    "Position",
    "Range",
    "Rows",
    "SequenceSource",
    "SortKey",
    "Total",
    "TotalOrder",
    "Window",
    "asc",
    "desc",
    "kind_of",
    "ranges",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scalekit.pagination._async import AsyncCursorPaginator as AsyncCursorPaginator
    from scalekit.pagination._async import AsyncOffsetPaginator as AsyncOffsetPaginator
    from scalekit.pagination._events import PageEvent as PageEvent
    from scalekit.pagination._order import Key as Key
    from scalekit.pagination._order import Order as Order
    from scalekit.pagination._order import SortKey as SortKey
    from scalekit.pagination._order import TotalOrder as TotalOrder
    from scalekit.pagination._order import asc as asc
    from scalekit.pagination._order import desc as desc
    from scalekit.pagination._page import OffsetPage as OffsetPage
    from scalekit.pagination._page import Page as Page
    from scalekit.pagination._ranges import Range as Range
    from scalekit.pagination._ranges import ranges as ranges
    from scalekit.pagination._sync import CursorPaginator as CursorPaginator
    from scalekit.pagination._sync import OffsetPaginator as OffsetPaginator
    from scalekit.pagination._total import Count as Count
    from scalekit.pagination._total import Total as Total
    from scalekit.pagination._values import ANY as ANY
    from scalekit.pagination._values import Kind as Kind
    from scalekit.pagination._values import kind_of as kind_of
    from scalekit.pagination._window import Position as Position
    from scalekit.pagination._window import Rows as Rows
    from scalekit.pagination._window import Window as Window
    from scalekit.pagination.protocols import AsyncOffsetSource as AsyncOffsetSource
    from scalekit.pagination.protocols import AsyncPageSource as AsyncPageSource
    from scalekit.pagination.protocols import CursorCipher as CursorCipher
    from scalekit.pagination.protocols import EstimatingSource as EstimatingSource
    from scalekit.pagination.protocols import OffsetSource as OffsetSource
    from scalekit.pagination.protocols import PageSource as PageSource
    from scalekit.pagination.sequence import SequenceSource as SequenceSource
    from scalekit.pagination.upstream import AsyncCallableSource as AsyncCallableSource
    from scalekit.pagination.upstream import CallableSource as CallableSource
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_async": ["AsyncCursorPaginator", "AsyncOffsetPaginator"],
            "_events": ["PageEvent"],
            "_order": ["Key", "Order", "SortKey", "TotalOrder", "asc", "desc"],
            "_page": ["OffsetPage", "Page"],
            "_ranges": ["Range", "ranges"],
            "_sync": ["CursorPaginator", "OffsetPaginator"],
            "_total": ["Count", "Total"],
            "_values": ["ANY", "Kind", "kind_of"],
            "_window": ["Position", "Rows", "Window"],
            "protocols": [
                "AsyncOffsetSource",
                "AsyncPageSource",
                "CursorCipher",
                "EstimatingSource",
                "OffsetSource",
                "PageSource",
            ],
            "sequence": ["SequenceSource"],
            "upstream": ["AsyncCallableSource", "CallableSource"],
        },
    )
