"""Raw SQL on PostgreSQL, through SQLAlchemy and through psycopg itself."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row, namedtuple_row, scalar_row
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from scalekit.errors import ConfigurationError
from scalekit.pagination import (
    AsyncCursorPaginator,
    CursorPaginator,
    OffsetPaginator,
    Order,
    Position,
    Total,
    Window,
    asc,
)
from scalekit.pagination.sqlalchemy import AsyncSQLSource, SQLSource
from tests.pagination.models import Base, Sample, samples
from tests.pagination.sqlalchemy.test_sql import RawWorld, paginator
from tests.pagination.walks import Model, Wish, backward, forward, wishes, zigzag
from tests.pagination.worlds import ROWS

NAMES = sorted(set(Sample.__table__.c.keys()) - {"document", "id"})


@pytest.fixture(scope="module")
def schema(postgres_url):
    name = f"raw_{uuid.uuid4().hex[:12]}"
    engine = create_engine(postgres_url, connect_args={"options": f"-csearch_path={name}"})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
        Base.metadata.create_all(connection)
    with Session(engine) as session:
        session.add_all(samples())
        session.commit()
    yield name, engine
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


@pytest.fixture(scope="module")
def shared_connection(schema):
    with schema[1].connect() as connection:
        yield connection


@pytest.fixture
def driver(schema, postgres_url):
    url = postgres_url.replace("+psycopg", "")
    with psycopg.connect(url, options=f"-csearch_path={schema[0]}") as connection:
        yield connection
        connection.rollback()


@settings(max_examples=25)
@given(rows=ROWS, asked=wishes("a", "b", "s"), data=st.data())
def test_any_walk_through_a_changing_table(shared_connection, rows, asked, data):
    asked = [*asked, Wish("id", False, None)]
    world = RawWorld(rows, shared_connection)
    zigzag(paginator([wish.key() for wish in asked]), world, Model(asked, nulls_largest=True), data, steps=8)
    shared_connection.rollback()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("descending", [False, True])
def test_every_type_that_orders_through_psycopg(driver, name, descending):
    driver.row_factory = dict_row
    sql = "SELECT * FROM samples"
    direction = "DESC" if descending else "ASC"
    unpaged = driver.execute(f"{sql} ORDER BY {name} {direction}, id").fetchall()
    feed = paginator([f"{'-' * descending}{name}", "id"])
    for not_null in ([], [name, "id"]):
        source = SQLSource(driver, sql, not_null=not_null)
        assert forward(feed, source, 5) == unpaged
        assert backward(feed, source, 5) == unpaged


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["psycopg", "asyncpg"])
async def test_every_type_that_orders_through_async_connections(schema, postgres_url, kind):
    engine = create_async_engine(postgres_url.replace("psycopg", kind))
    async with engine.connect() as connection:
        await connection.execute(text(f"SET search_path TO {schema[0]}"))
        sql, params = "SELECT * FROM samples WHERE data <> :data", {"data": b"nothing"}
        for name in NAMES:
            source = AsyncSQLSource(connection, sql, params)
            feed = AsyncCursorPaginator([asc(name), "-id"], append_key=False, secret="s")
            rows = await connection.execute(text(f"{sql} ORDER BY {name}, id DESC"), params)
            assert [row async for row in feed.rows(source, batch=5)] == list(rows)
        assert await source.count(None) == 24
        assert await source.count(7) == 7
        assert len(await source.slice(20, 9)) == 4
    await engine.dispose()


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT * FROM samples WHERE code <> %s AND flag = %s", ["c1", True]),
        ("SELECT * FROM samples WHERE code <> %(code)s AND flag = %(flag)s", {"code": "c1", "flag": True}),
        ("SELECT * FROM samples WHERE code <> 'c1' AND flag AND code LIKE 'c%' AND '%s' <> '%%';\n", None),
        ("SELECT * FROM samples WHERE code <> 'c1' AND flag AND code LIKE 'c%%' -- %% ;", ()),
        ("WITH x AS (SELECT * FROM samples WHERE flag LIMIT 99) SELECT * FROM x WHERE code <> %s", ("c1",)),
    ],
)
@pytest.mark.parametrize("factory", [dict_row, namedtuple_row])
def test_psycopgs_own_placeholders(driver, sql, params, factory):
    driver.row_factory = factory
    source = SQLSource(driver, sql, params)
    unpaged = driver.execute("SELECT * FROM samples WHERE code <> 'c1' AND flag ORDER BY text, id").fetchall()
    assert [str(row) for row in forward(paginator(["text", "id"]), source, 3)] == list(map(str, unpaged))
    assert source.count(None) == len(unpaged)
    assert source.count(2) == 2


def test_nulls_through_psycopg(driver):
    sql = "SELECT * FROM (VALUES (1, 7), (2, NULL), (3, 5), (4, NULL), (5, 7)) AS t (id, a)"
    for order_by, expected in (
        ([asc("a", nulls="first"), "id"], [2, 4, 3, 1, 5]),
        (["a", "-id"], [3, 5, 1, 4, 2]),
        (["-a", "id"], [2, 4, 1, 5, 3]),
    ):
        for walk in forward, backward:
            for limit in (1, 2, 3):
                rows = walk(paginator(order_by), SQLSource(driver, sql), limit)
                assert [row[0] for row in rows] == expected


def test_real_would_repeat_rows_and_is_refused(driver, schema):
    sql = "SELECT 0.1::real AS r, 1 AS id"
    with pytest.raises(ConfigurationError, match="cast real to double precision; got 'r'"):
        paginator(["r", "id"]).paginate(SQLSource(driver, sql))
    with schema[1].connect() as connection, pytest.raises(ConfigurationError, match="double precision"):
        paginator(["r", "id"]).paginate(SQLSource(connection, sql))
    assert paginator(["id"]).paginate(SQLSource(driver, sql)).items == [(pytest.approx(0.1), 1)]
    cast = SQLSource(
        driver, "SELECT n::real::double precision / 10 AS r, n AS id FROM generate_series(1, 5) n"
    )
    assert len(forward(paginator(["r", "id"]), cast, 1)) == 5


@pytest.mark.parametrize("params", [None, (), {}])
def test_a_name_with_a_percent_sign(driver, params):
    sql = f'SELECT n AS "50{"%" if params is None else "%%"}s" FROM generate_series(1, 9) n'
    assert len(forward(paginator(["-50%s"]), SQLSource(driver, sql, params), 2)) == 9


def test_numbered_pages_keep_the_sqls_own_order(driver):
    sql = "SELECT n FROM generate_series(1, 50) n WHERE n % %s <> 0 ORDER BY n % 5 DESC, n"
    page = OffsetPaginator(limit=10, total=Total.exact()).paginate(
        SQLSource(driver, sql.replace("n % ", "n %% "), [5])
    )
    assert [row[0] for row in page.items] == list(range(4, 50, 5))
    assert page.total.value == 40


def test_rows_that_are_one_value_have_no_order_values(driver):
    driver.row_factory = scalar_row
    with pytest.raises(ConfigurationError, match="order key to be in each row"):
        paginator(limit=1).paginate(SQLSource(driver, "SELECT 'xy' AS id, 1 UNION ALL SELECT 'z', 2"))


@pytest.mark.anyio
async def test_psycopgs_async_connection_is_refused(postgres_url):
    async with await psycopg.AsyncConnection.connect(postgres_url.replace("+psycopg", "")) as connection:
        for source in SQLSource, AsyncSQLSource:
            with pytest.raises(ConfigurationError, match="expected connection to be"):
                source(connection, "SELECT 1")


def test_a_deep_page_reads_an_index(driver):
    driver.execute(
        "CREATE TEMP TABLE deep AS SELECT n AS id, nullif(n / 10, 7) AS a FROM generate_series(1, 20000) n"
    )
    driver.execute("CREATE INDEX ON deep (a, id)")
    driver.execute("ANALYZE deep")
    order = Order(["a", "id"], append_key=False)
    for not_null in ([], ["a", "id"]):
        source = SQLSource(driver, "SELECT * FROM deep", not_null=not_null)
        window = Window(source.order(order), Position((1000, 10005), False, False), False, 21)
        sql, params = source._query.page(window)
        assert ("(page.a, page.id) > (%s, %s)" in sql) is bool(not_null)
        plan = "\n".join(row[0] for row in driver.execute(f"EXPLAIN ANALYZE {sql}", params))
        assert "Seq Scan" not in plan, plan
        assert "rows=21 " in plan or "rows=21." in plan
        assert len(source.fetch(window).items) == 21


def test_a_cursor_of_one_driver_leads_on_in_the_other(driver, shared_connection):
    sql = "SELECT * FROM samples"
    feed = CursorPaginator(["-at", "id"], append_key=False, secret="s", limit=9)
    first = feed.paginate(SQLSource(driver, sql))
    second = feed.paginate(SQLSource(shared_connection, sql), cursor=first.next_cursor)
    both = feed.paginate(SQLSource(driver, sql), limit=18)
    assert [row[0] for row in both.items] == [row[0] for row in [*first.items, *second.items]]
