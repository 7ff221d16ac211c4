"""The same walks on MariaDB, whose ENUM and FLOAT are traps, and which sorts no NULLs where it is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Enum, Float, Integer, column, create_engine, insert, select, table, text
from sqlalchemy.orm import Session

from scalekit.errors import ConfigurationError
from scalekit.pagination import CursorPaginator, OffsetPaginator, Total, asc, desc
from scalekit.pagination.sqlalchemy import SelectSource
from tests.pagination.models import Base, Colour, Item, Sample, samples
from tests.pagination.walks import Model, Wish, backward, examples, forward, wishes, zigzag
from tests.pagination.worlds import ROWS, TableWorld


@pytest.fixture(scope="module")
def engine(mariadb):
    engine = create_engine(mariadb.url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(samples())
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def shared_connection(engine):
    with engine.connect() as connection:
        yield connection


@settings(max_examples=examples(25))
@given(rows=ROWS, asked=wishes("a", "b", "s", "id"), data=st.data())
def test_any_walk_through_a_changing_table(shared_connection, rows, asked, data):
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s")
    if not any(wish.name == "id" for wish in asked):
        asked = [*asked, Wish("id", asked[-1].descending, None)]
    world = TableWorld(rows, shared_connection)
    zigzag(paginator, world, Model(asked, nulls_largest=False), data, steps=8)
    shared_connection.rollback()


@pytest.mark.parametrize("name", sorted(set(Sample.__table__.c.keys()) - {"document"}))
@pytest.mark.parametrize("descending", [False, True])
def test_every_type_that_orders(engine, name, descending):
    column = getattr(Sample, name)
    order = [column.desc() if descending else column.asc()]
    paginator = CursorPaginator(order, secret="s")
    last = Sample.id.desc() if descending else Sample.id.asc()
    with Session(engine) as session:
        unpaged = session.scalars(select(Sample).order_by(*order, last)).all()
        source = SelectSource(session, select(Sample))
        assert forward(paginator, source, 5) == unpaged
        assert backward(paginator, source, 5) == unpaged


def test_totals_and_numbers(engine):
    with Session(engine) as session:
        source = SelectSource(session, select(Sample.id))
        page = OffsetPaginator(limit=5, total=Total.capped(7)).paginate(source, page=5)
        assert (len(page.items), page.total) == (4, (7, "at_least"))
        total = CursorPaginator(["id"], secret="s").paginate(source, total=Total.exact()).total
        assert total.value == 24


def test_a_float_is_read_as_it_is_compared(shared_connection):
    """A FLOAT shows six digits, 0.333333, which it does not equal."""
    shared_connection.execute(text("CREATE TEMPORARY TABLE narrow (id INT PRIMARY KEY, f FLOAT NOT NULL)"))
    shared_connection.execute(text("INSERT INTO narrow SELECT seq, (seq % 5) / 3 FROM seq_1_to_30"))
    narrow = table("narrow", column("id", Integer), column("f", Float))
    paginator = CursorPaginator([asc("f"), asc("id")], append_key=False, secret="s")
    statement = select(narrow)
    found = forward(paginator, SelectSource(shared_connection, statement), 4)
    unpaged = shared_connection.execute(statement.order_by(narrow.c.f, narrow.c.id)).all()
    assert found == unpaged
    shared_connection.rollback()


def test_an_enum_is_refused(shared_connection):
    coloured = table("coloured", column("id", Integer), column("colour", Enum(Colour)))
    paginator = CursorPaginator([asc("colour"), asc("id")], append_key=False, secret="s")
    with pytest.raises(ConfigurationError, match="other than an ENUM, which MySQL sorts by number"):
        paginator.paginate(SelectSource(shared_connection, select(coloured)))


@pytest.mark.parametrize("form", ["or", "nested", "row"])
def test_each_form_gives_the_same_pages(shared_connection, form):
    rows = [{"a": n % 3 or None, "b": n % 2, "s": None} for n in range(20)]
    world = TableWorld(rows, shared_connection)
    for order in (["-b", "-id"], ["b", "-id"], ["a", "id"]):
        paginator = CursorPaginator(order, secret="s")
        there = forward(paginator, world.source(), 3)
        assert forward(paginator, SelectSource(shared_connection, world.statement, form=form), 3) == there
    shared_connection.rollback()


def test_a_union_is_no_form_here(shared_connection):
    source = SelectSource(shared_connection, select(Item.id), form="union")
    with pytest.raises(ConfigurationError, match="form one of or, nested, row on mariadb; got 'union'"):
        CursorPaginator(["id"], secret="s").paginate(source)


def test_a_page_reads_little(engine):
    """Rows read for a page of 20 deep in 20,000, whatever the order: at most 3n + 4."""
    with engine.begin() as connection:
        rows = [{"id": n, "a": n // 40 if n % 20 else None, "b": n // 40, "s": "x"} for n in range(20_000)]
        connection.execute(insert(Item), rows)
        for columns in ("b, id", "b DESC, id", "a, id", "a, id DESC"):
            connection.execute(text(f"CREATE INDEX `i {columns}` ON items ({columns})"))
        connection.execute(text("ANALYZE TABLE items"))
        for order, depth in (
            (["-b", "-id"], 16_000),
            (["-b", "id"], 16_000),
            (["a", "id"], 16_000),
            (["a", "id"], 500),  # inside the NULLs, which are first
            ([desc("a"), "-id"], 16_000),
            ([desc("a"), "-id"], 19_500),  # inside the NULLs, which are last
            ([desc("a"), "id"], 19_500),
        ):
            read = rows_read(connection, CursorPaginator(order, secret="s"), depth)
            assert read <= 64, (order, depth, read)
        connection.execute(text("DELETE FROM items"))


def rows_read(connection, paginator, depth):
    source = SelectSource(connection, select(Item.id, Item.a, Item.b))
    cursor = next(paginator.pages(source, batch=depth)).next_cursor
    connection.execute(text("FLUSH STATUS"))
    assert len(paginator.paginate(source, cursor=cursor).items) == 20
    return sum(int(row[1]) for row in connection.execute(text("SHOW STATUS LIKE 'Handler_read%'")))
