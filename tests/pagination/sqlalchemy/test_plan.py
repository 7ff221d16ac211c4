"""How many statements are sent, in which form, and how often they are compiled."""

from __future__ import annotations

import gc
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, defer, joinedload

from scalekit.errors import InvalidCursor
from scalekit.pagination import CursorPaginator, OffsetPaginator, Total, asc, desc
from scalekit.pagination.sqlalchemy import SelectSource, _plan
from tests.pagination.models import EagerPost, Item, Post

FEED = CursorPaginator(["-b"], secret="s", limit=7)


def test_one_query_per_page_and_one_more_for_a_total(session, items, statements):
    source = SelectSource(session, select(Item))
    page = FEED.paginate(source)
    assert len(statements) == 1
    FEED.paginate(source, cursor=page.next_cursor)
    FEED.last(source)
    assert len(statements) == 3
    assert not any("count" in sql.lower() for sql in statements)
    page = FEED.paginate(source, total=Total.exact())
    assert (len(statements), page.total.value) == (5, 40)
    assert (FEED.paginate(source, total=Total.capped(9)).total.value, "LIMIT" in statements[-1]) == (9, True)
    OffsetPaginator().paginate(source)
    assert len(statements) == 8


def test_a_nullable_order_is_one_query_too(session, items, statements):
    feed = CursorPaginator([asc("a", nulls="last"), desc("s", nulls="first")], secret="s", limit=3)
    assert len({item.id for item in feed.rows(SelectSource(session, select(Item)), batch=3)}) == 40
    assert len(statements) == 14


@pytest.mark.parametrize("cursor", ["", "x", "A" * 60, 3])
def test_a_foreign_cursor_sends_nothing(session, statements, cursor):
    with pytest.raises(InvalidCursor):
        FEED.paginate(SelectSource(session, select(Item)), cursor=cursor, total=Total.exact())
    other = CursorPaginator(["b"], secret="s").paginate(SelectSource(session, select(Item)))
    assert other.next_cursor is None
    assert len(statements) == 1


@given(cursor=st.text() | st.text("ABCabc012-_", min_size=20, max_size=60))
def test_no_garbage_gets_past_the_paginator(cursor):
    with Session() as session:
        session.get_bind = lambda **_: type("Bind", (), {"dialect": sqlite.dialect()})
        with pytest.raises(InvalidCursor):
            FEED.paginate(SelectSource(session, select(Item)), cursor=cursor)


@pytest.mark.parametrize("fresh", [True, False])
def test_a_thousand_cursors_compile_four_statements(engine, session, items, fresh):
    compiled = {}
    with engine.connect().execution_options(compiled_cache=compiled) as connection:
        table = Item.__table__
        kept = select(table).where(table.c.id >= 0)
        limits = iter(range(1, 2_000))
        feed = CursorPaginator(["-b", "id"], secret="s", max_limit=50)
        seen = 0
        while seen < 1_000:
            statement = select(table).where(table.c.id >= 0) if fresh else kept
            page = feed.last(SelectSource(connection, statement), limit=next(limits))
            for _ in range(3):
                page = feed.paginate(
                    SelectSource(connection, statement), cursor=page.previous_cursor, limit=2
                )
                if page.next_cursor is None or page.previous_cursor is None:
                    break
                feed.paginate(SelectSource(connection, statement), cursor=page.next_cursor, limit=3)
                seen += 2
            feed.paginate(SelectSource(connection, statement))
            seen += 10
    assert len(compiled) <= 4


def test_values_are_bound_never_written(session, items, statements):
    for item in FEED.rows(SelectSource(session, select(Item).where(Item.id < 30)), batch=7):
        assert item.id < 30
    assert not any(re.search(r"\d", re.sub(r"\w+_\d+", "", sql)) for sql in statements[1:])


def test_plans_are_shared_by_statements_of_one_shape_and_not_kept(session):
    wanted = FEED._rules.order
    made = [SelectSource(session, select(Item).where(Item.b == n)).order(wanted) for n in range(3)]
    assert len(set(map(id, made))) == 1
    assert SelectSource(session, select(Item.id, Item.b)).order(wanted) is not made[0]
    gc.collect()
    statements = _plan._plans[wanted]["sqlite", None].by_statement
    assert len(statements) == 0
    before = len(_plan._plans)
    feed = CursorPaginator(["id"], secret="s")
    feed.paginate(SelectSource(session, select(Item)))
    del feed
    gc.collect()
    assert len(_plan._plans) == before


def test_shapes_without_end_are_not_kept(session):
    wanted = FEED._rules.order
    for n in range(200):
        SelectSource(session, select(Item.b, (Item.id + n).label("x"))).order(wanted)
    assert len(_plan._plans[wanted]["sqlite", None].by_shape) <= 64


def sql_of(order_by, values, dialect, *, backward=False, inclusive=False, statement=None, form=None):
    from scalekit.pagination import Order, Position, Window

    statement = select(Item.id, Item.b) if statement is None else statement
    order = _plan.planned(Order(order_by), statement, dialect, form)
    position = None if values is None else Position(values, backward, inclusive)
    built, _ = order.statement(statement, Window(order, position, backward, 3))
    sql = re.sub(r"::\w+", "", re.sub(r"\s+", " ", str(built.compile(dialect=dialect))))
    return sql.partition("WHERE ")[2] or sql


PG = postgresql.dialect(paramstyle="named")
LITE = sqlite.dialect(paramstyle="named")


def test_the_form_for_each_database():
    uniform = ["-b", "-id"]
    assert sql_of(uniform, (1, 2), PG).startswith(
        "(items.b, items.id) < (:_scalekit_0, :_scalekit_1) ORDER BY items.b DESC, items.id DESC LIMIT"
    )
    assert "(items.b, items.id) >= (" in sql_of(uniform, (1, 2), PG, backward=True, inclusive=True)
    assert "(items.b, items.id) <= (" in sql_of(uniform, (1, 2), PG, inclusive=True)
    assert "(items.b, items.id) > (" in sql_of(uniform, (1, 2), PG, backward=True)
    nested = (
        "items.b <= :_scalekit_0 AND (items.b < :_scalekit_0 OR items.id {} :_scalekit_1)"
        " ORDER BY items.b DESC, items.id {} LIMIT"
    )
    assert sql_of(uniform, (1, 2), LITE, form="nested").startswith(nested.format("<", "DESC"))
    assert sql_of(["-b", "id"], (1, 2), PG, form="nested").startswith(nested.format(">", "ASC"))
    assert sql_of(["id"], (2,), PG).startswith("items.id > :_scalekit_0 ORDER BY items.id ASC LIMIT")
    for dialect in (PG, LITE):
        united = sql_of([asc("a", nulls="last")], (1, 2), dialect, statement=select(Item))
        assert united.count("UNION ALL") == 2
        assert "UNION" not in sql_of([asc("a", nulls="last")], (None, 2), dialect, statement=select(Item))
        assert " OR " not in united


def test_nulls_are_placed_only_where_the_database_would_do_otherwise():
    for dialect, largest in ((PG, True), (LITE, False)):
        for wish, unplaced in (
            (asc(Item.a), True),
            (desc(Item.a), True),
            (asc(Item.a, nulls="last"), largest),
            (desc(Item.a, nulls="first"), largest),
            (asc(Item.a, nulls="first"), not largest),
            (desc(Item.a, nulls="last"), not largest),
        ):
            for backward in (False, True):
                sql = sql_of([wish], None, dialect, backward=backward)
                assert ("NULLS" not in sql) is unplaced
        assert "NULLS" not in sql_of([asc(Item.b, nulls="first")], None, dialect)
        assert "NULLS" not in sql_of([asc(Item.b, nulls="last")], None, dialect)


def test_order_values_are_never_read_from_entities(session, items, statements):
    first = session.scalars(select(Item)).all()
    for item in first:
        item.b = 99  # not flushed: the session must not autoflush while we page
    unpaged = None
    with session.no_autoflush:
        unpaged = session.scalars(select(Item.id).order_by(Item.b.desc(), Item.id.desc())).all()
        found = [item.id for item in FEED.rows(SelectSource(session, select(Item)), batch=7)]
    assert found == unpaged
    session.rollback()
    session.expunge_all()
    statements.clear()
    page = FEED.paginate(SelectSource(session, select(Item).options(defer(Item.b))))
    assert page.has_next
    assert len(statements) == 1


def test_eager_loads_give_full_pages(session, shop, statements):
    feed = CursorPaginator(["title"], secret="s", limit=5)
    source = SelectSource(session, select(Post).options(joinedload(Post.comments)))
    page = feed.paginate(source)
    assert len(page.items) == 5
    page = feed.paginate(source, cursor=page.next_cursor)
    assert len(page.items) == 5
    assert sum(len(post.comments) for post in page.items) > 5
    assert len(statements) == 2


def test_lazy_joined_relationships_are_noticed(session, shop):
    feed = CursorPaginator(["title"], secret="s", limit=5)
    posts = list(feed.rows(SelectSource(session, select(EagerPost)), batch=2))
    assert len({post.id for post in posts}) == len(posts) == 12
    assert sum(len(post.talk) for post in posts) == 18


def test_sqlalchemy_is_needed_only_for_its_source():
    program = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "import scalekit.pagination\n"
        "from scalekit.pagination.sqlalchemy import SelectSource\n"
        "from scalekit.errors import MissingExtra\n"
        "try: SelectSource(None, None)\n"
        "except MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "SelectSource needs sqlalchemy: pip install 'scaleblocks[sqlalchemy]'\n"
