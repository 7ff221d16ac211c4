# ruff: noqa: S101  # a suite of tests asserts
"""The part of `PageSourceSuite` about walks with a paginator, also while rows come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.errors import ConfigurationError
from scalekit.pagination import Order, asc, desc
from scalekit.testing._page_probe import ORDERS, ROWS, named

if TYPE_CHECKING:
    from scalekit.pagination import Page
    from scalekit.testing._page_probe import PageProbe

_LIMIT = 3


class WalkTests:
    """Tests of pages, one after the other."""

    _probe: PageProbe

    def test_walks_forward_and_backward_give_every_row_once(self) -> None:
        """In order, on full pages, with the ends where they are."""
        for keys in ORDERS:
            asked = self._probe.asked(keys)
            ids = [row["id"] for row in asked.sorted]
            for limit in (1, 5, len(ROWS)):
                pages = [self._probe.page(asked, limit=limit)]
                while pages[-1].next_cursor is not None and len(pages) <= len(ROWS):
                    pages.append(self._probe.page(asked, pages[-1].next_cursor, limit=limit))
                assert self._all(pages) == ids, f"{named(keys)}, forward, {limit=}"
                assert all(len(page.items) == limit for page in pages[:-1])
                assert [page.has_previous for page in pages] == [False] + [True] * (len(pages) - 1)
                pages = [self._probe.page(asked, limit=limit, last=True)]
                while pages[0].previous_cursor is not None and len(pages) <= len(ROWS):
                    pages.insert(0, self._probe.page(asked, pages[0].previous_cursor, limit=limit))
                assert self._all(pages) == ids, f"{named(keys)}, backward, {limit=}"
                assert [page.has_next for page in pages] == [True] * (len(pages) - 1) + [False]

    def test_to_and_fro_are_the_same_pages(self) -> None:
        """Two pages on and one back, all the way."""
        for keys in ORDERS:
            asked = self._probe.asked(keys)
            ids = [row["id"] for row in asked.sorted]
            page, at = self._probe.page(asked, limit=_LIMIT), 0
            for step in (1, 1, -1, 1, 1, -1, 1, -1, -1, -1):
                cursor = page.next_cursor if step > 0 else page.previous_cursor
                assert cursor is not None
                page, at = self._probe.page(asked, cursor, limit=_LIMIT), at + step * _LIMIT
                assert self._all([page]) == ids[at : at + _LIMIT], f"{named(keys)} at {at}"

    def test_rows_that_come_and_go_take_no_other_row_with_them(self) -> None:
        """The cursor's own row deleted, and its neighbours; others put in just before and behind it."""
        for keys in ORDERS:
            asked = self._probe.asked(keys)
            rows = asked.sorted
            cursor = self._probe.page(asked, limit=_LIMIT).next_cursor
            back = self._probe.page(asked, cursor, limit=_LIMIT).previous_cursor
            place = rows[_LIMIT - 1]
            new = [{**row, "id": row["id"] + 100} for row in (place, rows[_LIMIT])]
            for left in (
                rows[:2] + rows[3:],
                rows[:1] + rows[5:],
                [*rows, *new],
                [*rows[:2], *rows[3:], *new],
            ):
                changed = self._probe.asked(keys, left)
                expected = changed.expected(place, _LIMIT, backward=False, inclusive=False)
                found = self._all([self._probe.page(changed, cursor, limit=_LIMIT)])
                assert found == expected, f"{named(keys)}, forward"
                expected = changed.expected(rows[_LIMIT], _LIMIT, backward=True, inclusive=False)
                found = self._all([self._probe.page(changed, back, limit=_LIMIT)])
                assert found == expected[::-1], f"{named(keys)}, backward"

    def test_an_emptied_page_leads_back(self) -> None:
        """With all rows behind the cursor gone, the way back has every row that is left."""
        for keys in ORDERS:
            asked = self._probe.asked(keys)
            rows = asked.sorted
            cursor = self._probe.page(asked, limit=_LIMIT).next_cursor
            for left in (rows[:_LIMIT], rows[: _LIMIT - 1]):
                changed = self._probe.asked(keys, left)
                page = self._probe.page(changed, cursor, limit=_LIMIT)
                assert (page.items, page.has_next, page.has_previous) == ([], False, True)
                page = self._probe.page(changed, page.previous_cursor, limit=_LIMIT)
                assert self._all([page]) == [row["id"] for row in left], named(keys)

    def test_cursors_travel_between_sources(self) -> None:
        """One that was made with one source leads on in another over the same rows."""
        for keys in ORDERS:
            one, other = self._probe.asked(keys), self._probe.asked(keys)
            cursor = self._probe.page(one, limit=_LIMIT).next_cursor
            page = self._probe.page(other, cursor, limit=_LIMIT)
            assert self._all([page]) == [row["id"] for row in one.sorted[_LIMIT : 2 * _LIMIT]]

    def test_an_order_with_ties_is_made_total_or_refused(self) -> None:
        """With `append_key`, no row is lost among equals."""
        for keys in ([asc("b")], [desc("a", nulls="last"), asc("s")]):
            asked = self._probe.asked([asc("id")])
            try:
                asked.source.order(Order(keys))
            except ConfigurationError:
                continue
            pages = [self._probe.page(asked, limit=2, keys=keys, append_key=True)]
            while pages[-1].next_cursor is not None and len(pages) <= len(ROWS):
                cursor = pages[-1].next_cursor
                pages.append(self._probe.page(asked, cursor, limit=2, keys=keys, append_key=True))
            assert sorted(self._all(pages)) == sorted(row["id"] for row in ROWS), named(keys)

    def _all(self, pages: list[Page[Any]]) -> list[int]:
        return [each for page in pages for each in self._probe.ids(page.items)]
