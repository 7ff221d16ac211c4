"""Raw SQL on SQLite, through SQLAlchemy and through sqlite3 itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.engine import create_mock_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import (
    AsyncCursorPaginator,
    AsyncOffsetPaginator,
    CursorPaginator,
    OffsetPaginator,
    Order,
    Position,
    SequenceSource,
    Total,
    Window,
    asc,
    desc,
)
from scalekit.pagination.sqlalchemy import AsyncSQLSource, SelectSource, SQLSource
from tests.pagination.models import Base, Item
from tests.pagination.walks import Model, Wish, backward, forward, wishes, zigzag
from tests.pagination.worlds import ROWS, TableWorld

MIXED = [asc("a", nulls="last"), "-b", "id"]


def paginator(order_by=("id",), **options):
    return CursorPaginator(order_by, append_key=False, secret="s", **options)


class RawWorld(TableWorld):
    """The table `items` through raw SQL."""

    def source(self):
        return SQLSource(self.connection, "SELECT id, a, b, s FROM items WHERE b >= :low", {"low": 0})


@pytest.fixture(scope="module")
def shared_connection():
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def driver():
    """A connection of sqlite3 with the rows of `items`."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, s TEXT)")
        rows = [(n, n % 4 or None, n % 3, f"s{n % 5}") for n in range(40)]
        connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", rows)
        yield connection


@given(rows=ROWS, asked=wishes("a", "b", "s"), data=st.data())
def test_any_walk_through_a_changing_table(shared_connection, rows, asked, data):
    asked = [*asked, Wish("id", False, None)]
    world = RawWorld(rows, shared_connection)
    zigzag(paginator([wish.key() for wish in asked]), world, Model(asked, nulls_largest=False), data)


@given(rows=ROWS, asked=wishes("b"), limit=st.integers(1, 5))
def test_keys_that_are_never_null_give_the_same_rows(shared_connection, rows, asked, limit):
    asked = [*asked, Wish("id", True, None)]
    world = RawWorld(rows, shared_connection)
    source = SQLSource(shared_connection, "SELECT * FROM items", not_null=["b", "id"])
    feed = paginator([wish.key() for wish in asked])
    unpaged = [row["id"] for row in Model(asked, nulls_largest=False).sorted(world.rows)]
    assert [row.id for row in forward(feed, source, limit)] == unpaged
    assert [row.id for row in backward(feed, source, limit)] == unpaged


def test_a_key_that_is_never_null_is_read_once(statements, connection, items):
    order = Order(MIXED, append_key=False)
    for not_null, times in ([], 5), (["b", "id"], 4), (["a", "b", "id"], 1):
        source = SQLSource(connection, "SELECT * FROM items", not_null=not_null)
        source.fetch(Window(source.order(order), Position((1, 2, 3), False, False), False, 5))
        assert statements[-1].count("FROM items") == times


BASE = "SELECT * FROM items"


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT * FROM items WHERE a IS NOT ? AND b <> ?", (2, 1)),
        ("SELECT * FROM items WHERE a IS NOT ? AND b <> ?", [2, 1]),
        ("SELECT * FROM items WHERE a IS NOT :a AND b <> :b", {"a": 2, "b": 1}),
        ("SELECT * FROM items WHERE a IS NOT 2 AND b <> 1 AND '%s ? :x %(y)s' LIKE '%' -- ; ?", None),
        ("WITH x AS (SELECT * FROM items WHERE b <> 1) SELECT * FROM x WHERE a IS NOT 2;\n", ()),
        (f"{BASE} WHERE b = 0 UNION {BASE} WHERE b = ? EXCEPT {BASE} WHERE a = 2", [2]),
    ],
)
@pytest.mark.parametrize("order_by", [MIXED, ["a", "-id"], ["-s", "a", "id"]])
def test_the_drivers_own_connection(driver, sql, params, order_by):
    source = SQLSource(driver, sql, params)
    rows = [
        {"id": row[0], "a": row[1], "b": row[2], "s": row[3]}
        for row in driver.execute("SELECT * FROM items WHERE a IS NOT 2 AND b <> 1")
    ]
    nulls = [asc(key, nulls="first") if key == "a" else key for key in order_by]  # as SQLite sorts them
    expected = [row["id"] for row in paginator(nulls).rows(SequenceSource(rows))]
    assert [row[0] for row in forward(paginator(order_by), source, 4)] == expected
    assert [row[0] for row in backward(paginator(order_by), source, 3)] == expected
    assert source.count(None) == len(expected)
    assert source.count(5) == 5


def as_dict(cursor, row):
    return dict(zip([column[0] for column in cursor.description], row, strict=True))


class Loose:
    def __init__(self, cursor, row):
        vars(self).update(as_dict(cursor, row))


@pytest.mark.parametrize("factory", [None, sqlite3.Row, as_dict, Loose])
def test_rows_are_what_the_row_factory_makes(driver, factory):
    driver.row_factory = factory
    source = SQLSource(driver, "SELECT s, a, id, b FROM items")
    there = forward(paginator(MIXED), source, 7)
    assert len(there) == 40
    assert {type(row) for row in there} == {
        tuple if factory is None else dict if factory is as_dict else factory
    }
    assert source.count(None) == 40
    page = OffsetPaginator(limit=7, total=Total.capped(3)).paginate(source, page=2)
    assert page.total.value == 3


@pytest.mark.parametrize(
    "factory", [lambda cursor, row: row[:1], lambda cursor, row: (7, *row), lambda cursor, row: "text"]
)
def test_rows_without_the_orders_values_are_refused(driver, factory):
    driver.row_factory = factory
    with pytest.raises(ConfigurationError, match="order key to be in each row"):
        paginator(limit=2).paginate(SQLSource(driver, "SELECT a, id FROM items"))


def test_values_of_any_type_come_back_as_they_are_stored(driver):
    stored = [1, 2.5, "2024-01-01", "2024-01-01 00:00:00", b"\xff", 2**60, "é", None, -0.5, 0.1 + 0.2]
    driver.execute("CREATE TABLE odd (id INTEGER PRIMARY KEY, v)")
    driver.executemany("INSERT INTO odd VALUES (?, ?)", [(n, v) for n, v in enumerate(stored * 3)])
    source = SQLSource(driver, "SELECT v, id FROM odd")
    unpaged = driver.execute("SELECT v, id FROM odd ORDER BY v DESC, id").fetchall()
    assert forward(paginator(["-v", "id"]), source, 2) == unpaged
    assert backward(paginator(["-v", "id"]), source, 3) == unpaged


def test_parameters_are_bound_and_names_quoted(driver):
    hostile = "x'; DROP TABLE items; --"
    source = SQLSource(driver, "SELECT * FROM items WHERE s = ?", (hostile,))
    assert paginator().paginate(source).items == []
    name = 'a" OR 1=1 --'
    quoted = name.replace('"', '""')
    source = SQLSource(
        driver, f'SELECT id, a AS "{quoted}", b AS "a:b", s AS "50%" FROM items WHERE b <> ?', (1,)
    )
    for order in [name, "id"], ["a:b", "id"], ["-50%", "id"]:
        assert len(forward(paginator(order), source, 4)) == 27
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        paginator(["1; DROP TABLE items"]).paginate(source)
    assert driver.execute("SELECT count(*) FROM items").fetchone() == (40,)


def test_odd_names_through_sqlalchemy(connection, items):
    source = SQLSource(connection, 'SELECT id, b AS "a \\:b", s AS "50%" FROM items WHERE b <> :b', {"b": 1})
    for order in ["a :b", "id"], ["-50%", "id"]:
        assert len(forward(paginator(order), source, 4)) == 27


@pytest.mark.parametrize("factory", [Session, lambda engine: engine.connect()])
def test_sessions_and_connections(engine, items, factory):
    with factory(engine) as session:
        source = SQLSource(session, "SELECT id, s FROM items WHERE b = :b", {"b": 1})
        page = paginator(["-s", "id"], limit=3).paginate(source, total=Total.exact())
        assert [(row.s, row.id) for row in page.items] == [("s4", 4), ("s4", 19), ("s4", 34)]
        assert page.total.value == source.count(None) == 13
        assert source.count(4) == 4


def test_numbered_pages_keep_the_sqls_own_order(driver, connection, items):
    numbered = OffsetPaginator(limit=7, total=Total.exact())
    sql = "SELECT id, b FROM items WHERE b <> 2 ORDER BY b DESC, id"
    for source in SQLSource(driver, sql), SQLSource(connection, sql), SQLSource(driver, f"{sql} LIMIT 20"):
        page = numbered.paginate(source, page=2)
        assert [tuple(row) for row in page.items] == [(n, 1) for n in (22, 25, 28, 31, 34, 37)] + [(0, 0)]
        assert page.total.value == (20 if source.count(None) == 20 else 27)


RAW = ("SELECT * FROM items WHERE b <> :b ORDER BY id", {"b": 1})


@pytest.fixture
def sync_pages(session, items):
    source = SQLSource(session, *RAW)
    feed = paginator(MIXED, limit=7)
    pages = [feed.paginate(source, total=Total.capped(5))]
    while cursor := pages[-1].next_cursor:
        pages.append(feed.paginate(source, cursor=cursor, total=Total.capped(5)))
    return [page.to_dict() for page in pages], OffsetPaginator(limit=7).paginate(source, page=2).to_dict()


@pytest.mark.anyio
async def test_the_async_twin_gives_the_same_pages(sync_pages):
    expected, numbered = sync_pages
    assert len(expected) == 4
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all([Item(id=n, a=n % 4 or None, b=n % 3, s=f"s{n % 5}") for n in range(40)])
        await session.commit()
        for connection in session, await session.connection():
            source = AsyncSQLSource(connection, *RAW)
            feed = AsyncCursorPaginator(MIXED, append_key=False, secret="s", limit=7)
            cursor = None
            for there in expected:
                page = await feed.paginate(source, cursor=cursor, total=Total.capped(5))
                assert page.to_dict() == there
                cursor = page.next_cursor
            page = await AsyncOffsetPaginator(limit=7).paginate(source, page=2)
            assert page.to_dict() == numbered
    await engine.dispose()


def test_equal_orders_have_equal_fingerprints_without_reading():
    closed = sqlite3.connect(":memory:")
    closed.close()
    order = SQLSource(closed, "SELECT 1").order(Order(["-a", "id"], append_key=False))
    again = SQLSource(closed, "SELECT 2 AS x", not_null=["id"]).order(
        Order([desc("a"), "id"], append_key=False)
    )
    assert (
        order.fingerprint == again.fingerprint == b"[('a', True, False, 'any'), ('id', False, True, 'any')]"
    )


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (Order(["id"]), "append_key False, since no unique key is known"),
        (Order([Item.id], append_key=False), "order key to be the name of a column"),
        (Order(["_scalekit_sql"], append_key=False), "order key to be the name of a column"),
        (Order(["a", "-a"], append_key=False), "order_by with each key once"),
    ],
)
def test_orders_that_cannot_be_are_refused(driver, order, text):
    with pytest.raises(ConfigurationError, match=text):
        SQLSource(driver, "SELECT * FROM items").order(order)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("",), "sql to be the text of a SELECT"),
        ((select(Item),), "sql to be the text of a SELECT"),
        (("SELECT 1", "x"), "params to be a sequence or a mapping"),
        (("SELECT 1", 7), "params to be a sequence or a mapping"),
        (("SELECT 1", {"_scalekit_limit": 1}), "params without names in _scalekit_"),
    ],
)
def test_arguments_that_cannot_be_are_refused(driver, arguments, text):
    with pytest.raises(ConfigurationError, match=text):
        SQLSource(driver, *arguments)


@pytest.mark.parametrize("not_null", ["id", None, 7])
def test_not_null_is_a_list(driver, not_null):
    with pytest.raises(ConfigurationError, match="not_null to be a list"):
        SQLSource(driver, "SELECT 1", not_null=not_null)


def test_connections_that_cannot_be_are_refused(driver, connection):
    with pytest.raises(
        ConfigurationError, match=r"connection to be a Session or .* or a sqlite3\.Connection"
    ):
        SQLSource(driver.cursor(), "SELECT 1")
    with pytest.raises(ConfigurationError, match="connection to be an AsyncSession"):
        AsyncSQLSource(driver, "SELECT 1")
    with pytest.raises(ConfigurationError, match="params to be a mapping"):
        SQLSource(connection, "SELECT 1", [7])
    mysql = Session(create_mock_engine("sqlite://", print))
    mysql.get_bind().dialect.name = "mysql"
    with pytest.raises(ConfigurationError, match="connection on one of: postgresql, sqlite"):
        SQLSource(mysql, "SELECT 1")


def test_no_order_is_that_of_the_primary_key_and_raw_sql_has_none(session, driver, items):
    feed = CursorPaginator(None, secret="s", limit=3)
    assert [item.id for item in feed.paginate(SelectSource(session, select(Item))).items] == [0, 1, 2]
    with pytest.raises(ConfigurationError, match="order_by with at least one key"):
        paginator(None).paginate(SQLSource(driver, "SELECT * FROM items"))


def test_a_window_of_another_source_is_refused(driver):
    order = SequenceSource([{"id": 1}]).order(Order(["id"]))
    with pytest.raises(ConfigurationError, match="with an order of this source"):
        SQLSource(driver, "SELECT * FROM items").fetch(Window(order, None, False, 3))


def test_what_the_database_refuses_comes_as_it_is(driver, connection):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        paginator().paginate(SQLSource(driver, "SELECT * FROM nowhere"))
    with pytest.raises(OperationalError, match="no such table"):
        paginator().paginate(SQLSource(connection, "SELECT * FROM nowhere"))


def test_a_null_where_none_was_promised_is_an_error(driver):
    source = SQLSource(driver, "SELECT * FROM items", not_null=["a"])
    with pytest.raises(ConfigurationError, match="never NULL"):
        paginator(["a", "id"], limit=2).paginate(source)


def test_a_foreign_cursor_is_refused_before_any_query(driver):
    source = SQLSource(driver, "SELECT * FROM nowhere")
    with pytest.raises(InvalidCursor):
        paginator().paginate(source, cursor="nonsense")
