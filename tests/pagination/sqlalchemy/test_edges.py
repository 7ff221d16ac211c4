"""Cursors of single items read from a database: what was read counts, and nothing is read again."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from scalekit.pagination import CursorPaginator, asc
from scalekit.pagination.sqlalchemy import SelectSource
from tests.pagination.models import Item, Post
from tests.pagination.walks import forward

SHAPES = [
    select(Item),
    select(Item.id),
    select(Item.__table__.c.s, Item.__table__.c.id),
    select(Item, Item.b),
]


@pytest.mark.parametrize("statement", SHAPES)
@pytest.mark.parametrize(
    "order_by", [[asc(Item.a, nulls="last"), Item.b.desc()], [Item.a + Item.b, Item.id.desc()]]
)
def test_every_item_of_every_shape(session, items, statement, order_by):
    source = SelectSource(session, statement)
    paginator = CursorPaginator(order_by, secret="s")
    unpaged = forward(paginator, source, 7)
    for page in paginator.pages(source, batch=15):
        for at, item in enumerate(page.items):
            place = unpaged.index(item)
            assert (
                paginator.paginate(source, cursor=page.cursor_at(at), limit=3).items
                == unpaged[place + 1 :][:3]
            )
            before = unpaged[max(0, place - 3) : place]
            assert paginator.paginate(source, before=page.cursor_at(at), limit=3).items == before
            backward = page.cursor_at(at, before=True)
            assert paginator.paginate(source, cursor=backward, limit=3).items == before


def test_no_query_and_no_attribute_of_the_entities(session, items, statements):
    page = CursorPaginator(["-b"], secret="s").paginate(SelectSource(session, select(Item)))
    before = page.to_relay()["pageInfo"]
    statements.clear()
    for item in page.items:
        item.b = 77
    session.expunge_all()
    session.close()
    assert page.to_relay()["pageInfo"] == before
    assert page.cursor_at(19) == page.next_cursor
    assert statements == []


def test_rows_that_joined_loading_repeats(session, shop):
    statement = select(Post).options(joinedload(Post.comments))
    source = SelectSource(session, statement)
    paginator = CursorPaginator(["-id"], secret="s", limit=5)
    page = paginator.paginate(source)
    assert [post.id for post in page.items] == [11, 10, 9, 8, 7]
    for at, post in enumerate(page.items):
        assert paginator.paginate(source, cursor=page.cursor_at(at)).items[0].id == post.id - 1
