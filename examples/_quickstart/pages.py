"""Pages by cursor and by number, of the same listings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from _quickstart.step import seconds
from scalekit.errors import InvalidCursor
from scalekit.pagination import CursorPaginator, OffsetPaginator
from scalekit.pagination.sqlalchemy import SelectSource

if TYPE_CHECKING:
    from _quickstart.listings import Marketplace
    from _quickstart.step import Step


def pages(step: Step, market: Marketplace) -> None:
    feed = CursorPaginator(order_by=["-created_at", "-id"], limit=50, secret="quickstart")
    numbered = OffsetPaginator(limit=50, max_offset=market.rows)
    newest = sa.select(market.table).order_by(market.table.c.created_at.desc(), market.table.c.id.desc())

    with market.engine.connect() as connection:
        source = SelectSource(connection, sa.select(market.table))
        source_by_number = SelectSource(connection, newest)

        seen: list[int] = []
        deep, depth = None, 0  # the cursor of the page at 90 % of the list, and the rows before it
        size = min(1_000, market.rows // 500 * 50)

        def walk() -> None:
            nonlocal deep, depth
            for batch in feed.pages(source, batch=size):
                seen.extend(row.id for row in batch.items)
                if deep is None and len(seen) >= market.rows * 0.9:
                    deep, depth = batch.next_cursor, len(seen)

        spent = seconds(walk)
        number = depth // 50 + 1
        first = seconds(lambda: feed.paginate(source), times=21)
        by_cursor = seconds(lambda: feed.paginate(source, cursor=deep), times=21)
        by_offset = seconds(lambda: numbered.paginate(source_by_number, page=number), times=5)

        page = feed.paginate(source, cursor=deep)
        same = numbered.paginate(source_by_number, page=number)
        back = feed.paginate(source, cursor=feed.paginate(source, cursor=page.next_cursor).previous_cursor)
        try:
            feed.paginate(source, cursor=f"{deep}A")
        except InvalidCursor:
            refused = True
        else:
            refused = False

    step.show("cursor, first page", f"{first * 1e3:.2f} ms", cursor_first_ms=first * 1e3)
    step.show(f"cursor, {depth:,} deep", f"{by_cursor * 1e3:.2f} ms", cursor_deep_ms=by_cursor * 1e3)
    times = f"{by_offset / by_cursor:.0f} times the cursor's"
    step.show(f"offset, {depth:,} deep", f"{by_offset * 1e3:.2f} ms", times, offset_deep_ms=by_offset * 1e3)
    rate = len(seen) / spent
    step.show("walk by cursor", f"{rate:,.0f}", f"rows/s, {size:,} to a page", walk_rows_per_s=rate)
    step.check("the walk meets every row once", holds=sorted(seen) == list(range(1, market.rows + 1)))
    step.check("cursor and offset pages agree", holds=page.items and page.items == same.items)
    step.check("forward and back is the same page", holds=back.items == page.items)
    step.check("a forged cursor is refused", holds=refused)
