"""Numbered pages deep in a list: the keys are found first, then the rows."""

from __future__ import annotations

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.orm import joinedload

from scalekit.pagination import OffsetPaginator
from scalekit.pagination.sqlalchemy import SelectSource, _numbered
from tests.pagination.models import Comment, Item, Pair, Post

DEEP = OffsetPaginator(limit=50, max_offset=100_000)
ROW = func.row_number().over(order_by=Item.id)


@pytest.fixture
def many(session):
    session.execute(
        insert(Item), [{"id": n, "a": n % 7 or None, "b": n % 3, "s": f"s{n % 5}"} for n in range(2_000)]
    )
    session.execute(insert(Pair), [{"x": n % 40, "y": n // 40, "b": n % 2} for n in range(1_600)])
    session.execute(insert(Post), [{"id": n, "title": f"t{n % 9}"} for n in range(1_400)])
    session.execute(
        insert(Comment), [{"id": n, "post_id": n // 2, "text": f"c{n % 3}"} for n in range(2_000)]
    )
    session.commit()


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("statement", "by_key"),
    [
        (select(Item).order_by(Item.b.desc(), Item.s), True),
        (select(Item.id, Item.s).where(Item.b < 2).order_by(Item.s), True),
        (select(Item), True),
        (select(Pair).order_by(Pair.b), True),
        (select(Post).order_by(Post.title).options(joinedload(Post.comments)), True),
        (select(Post.title, Comment.text).join(Post.comments).order_by(Comment.text), True),
        (select(Post.title, Comment.text).outerjoin(Post.comments).order_by(Comment.text), True),
        (select(Item.id, ROW.label("n")).order_by(Item.b), False),
        (select(Item.id).order_by(ROW.desc()), False),
        (select(Item.id, Item.s).distinct().order_by(Item.s), False),
        (select(Item.id, func.count()).group_by(Item.id).order_by(Item.id), False),
    ],
)
def test_deep_pages_are_those_of_the_plain_query(session, monkeypatch, statements, statement, by_key):
    source = SelectSource(session, statement)
    assert DEEP.paginate(source, page=1).has_next
    assert "_scalekit_k0" not in statements[-1]
    for number in (21, 26, 30, 41, 99):
        statements.clear()
        page = DEEP.paginate(source, page=number)
        assert len(statements) == 1
        assert ("_scalekit_k0" in statements[0]) is by_key
        with monkeypatch.context() as patched:
            patched.setattr(_numbered, "_DEEP", 10**9)
            plain = DEEP.paginate(source, page=number)
        assert page.items == plain.items
        assert page.has_next is plain.has_next


def test_a_limit_of_its_own_reaches_deep(session, many):
    statement = select(Item).order_by(Item.id).offset(1_100).limit(60)
    pages = [DEEP.paginate(SelectSource(session, statement), page=n).items for n in (1, 2)]
    assert [[item.id for item in items] for items in pages] == [
        list(range(1_100, 1_150)),
        list(range(1_150, 1_160)),
    ]
