"""The same walks on PostgreSQL, in a schema of their own."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, joinedload

from scalekit.pagination import AsyncCursorPaginator, CursorPaginator, OffsetPaginator, Total, asc, desc
from scalekit.pagination.sqlalchemy import AsyncSelectSource, SelectSource
from tests.pagination.models import Author, Base, Comment, Item, Post, Sample, samples
from tests.pagination.walks import Model, Wish, backward, examples, forward, wishes, zigzag
from tests.pagination.worlds import ROWS, TableWorld


@pytest.fixture(scope="module")
def schema(postgres_url):
    name = f"pages_{uuid.uuid4().hex[:12]}"
    engine = create_engine(postgres_url, connect_args={"options": f"-csearch_path={name}"})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
        Base.metadata.create_all(connection)
    with Session(engine) as session:
        session.add_all(samples())
        session.add_all([Author(id=n, name=f"n{n % 2}", slug=f"s{n}") for n in range(3)])
        session.flush()
        session.add_all(
            [Post(id=n, title=f"t{n % 4}", author_id=None if n % 4 == 3 else n % 3) for n in range(12)]
        )
        session.flush()
        session.add_all([Comment(id=n, post_id=n % 7, text=f"c{n % 2}") for n in range(18)])
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
def session(schema):
    with Session(schema[1]) as session:
        yield session


@settings(max_examples=examples(25))
@given(rows=ROWS, asked=wishes("a", "b", "s", "id"), data=st.data())
def test_any_walk_through_a_changing_table(shared_connection, rows, asked, data):
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s")
    if not any(wish.name == "id" for wish in asked):
        asked = [*asked, Wish("id", asked[-1].descending, None)]
    world = TableWorld(rows, shared_connection)
    zigzag(paginator, world, Model(asked, nulls_largest=True), data, steps=8)
    shared_connection.rollback()


@pytest.mark.parametrize("name", sorted(set(Sample.__table__.c.keys()) - {"document"}))
@pytest.mark.parametrize("descending", [False, True])
def test_every_type_that_orders(session, name, descending):
    column = getattr(Sample, name)
    order = [column.desc() if descending else column.asc()]
    paginator = CursorPaginator(order, secret="s")
    last = Sample.id.desc() if descending else Sample.id.asc()
    unpaged = session.scalars(select(Sample).order_by(*order, last)).all()
    source = SelectSource(session, select(Sample))
    assert forward(paginator, source, 5) == unpaged
    assert backward(paginator, source, 5) == unpaged


@pytest.mark.parametrize(
    ("statement", "order_by"),
    [
        (select(Post).outerjoin(Post.author), [asc(Author.name, nulls="first")]),
        (select(Post).outerjoin(Post.author), [desc(Author.name), "title"]),
        (select(Post).options(joinedload(Post.comments)), [asc("author_id", nulls="first")]),
        (select(Post, Comment).outerjoin(Post.comments), [desc(Comment.text), "-title"]),
        (select(Post.title, Comment.text).join_from(Post, Comment, full=True), ["text"]),
        (select(Post.title, (Post.id % 5).label("r")), ["-r", "title"]),
    ],
)
def test_statements(session, statement, order_by):
    paginator = CursorPaginator(order_by, secret="s")
    source = SelectSource(session, statement)
    there = forward(paginator, source, 4)
    assert backward(paginator, source, 3) == there
    assert len(there) == paginator.paginate(source, total=Total.exact()).total.value > 10


def test_totals_and_numbers(session):
    page = OffsetPaginator(limit=5, total=Total.capped(7)).paginate(
        SelectSource(session, select(Post)), page=2
    )
    assert ([post.id for post in page.items], page.total.value) == ([5, 6, 7, 8, 9], 7)
    assert (
        CursorPaginator(["id"], secret="s")
        .paginate(SelectSource(session, select(Post).where(Post.id > 3)), total=Total.exact())
        .total.value
        == 8
    )


WALKS = [
    (Post, [asc(Post.author_id, nulls="first"), Post.title.desc()]),
    (Sample, ["at", "-amount", "id"]),
]


def plain(page):
    return page.map(lambda each: each.id).to_dict()


@pytest.fixture
def sync_pages(session):
    walks = []
    for entity, order in WALKS:
        paginator = CursorPaginator(order, secret="s", limit=5)
        walks.append(
            [plain(page) for page in paginator.pages(SelectSource(session, select(entity)), batch=5)]
        )
    return walks


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_async_drivers_give_the_sync_pages(schema, sync_pages, driver):
    name, engine = schema
    url = make_url(engine.url).set(drivername=f"postgresql+{driver}")
    arguments = {
        "asyncpg": {"server_settings": {"search_path": name}},
        "psycopg": {"options": f"-csearch_path={name}"},
    }
    async_engine = create_async_engine(url, connect_args=arguments[driver])
    async with AsyncSession(async_engine) as async_session:
        for (entity, order), expected in zip(WALKS, sync_pages, strict=True):
            paginator = AsyncCursorPaginator(order, secret="s", limit=5)
            source = AsyncSelectSource(async_session, select(entity))
            assert [plain(page) async for page in paginator.pages(source, batch=5)] == expected
    await async_engine.dispose()


def test_a_page_reads_little(schema):
    """Rows read for a page of 20 deep in 20,000, whatever the form: at most 3n + 4."""
    with schema[1].begin() as connection:
        rows = [{"id": n, "a": n // 40 if n % 100 else None, "b": n // 40, "s": "x"} for n in range(20_000)]
        connection.execute(insert(Item), rows)
        for columns in (
            "b DESC, id DESC",
            "b DESC, id",
            "a, id",
            "a DESC NULLS LAST, id DESC",
            "a NULLS FIRST, id",
        ):
            connection.execute(text(f"CREATE INDEX ON items ({columns})"))
        connection.execute(text("ANALYZE items"))
        for order in (["-b", "-id"], ["-b", "id"], ["a", "id"], [desc("a", nulls="last"), "-id"]):
            read = _read_for_a_page(connection, CursorPaginator(order, secret="s"))
            assert read <= 64, (order, read)
        nulls_first = CursorPaginator([asc("a", nulls="first"), "id"], secret="s")
        assert _read_for_a_page(connection, nulls_first, depth=100) <= 64
        connection.rollback()


def _read_for_a_page(connection, paginator, *, depth=16_000):
    source = SelectSource(connection, select(Item.id, Item.a, Item.b))
    cursor = next(paginator.pages(source, batch=depth)).next_cursor
    order = source.order(paginator._rules.order)
    window = paginator._rules.coder(order, None).window(cursor, 20, last=False)
    statement, parameters = order.statement(source._statement, window)
    compiled = statement.compile(dialect=connection.dialect)
    sql = f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {compiled}"
    [plan] = connection.exec_driver_sql(sql, compiled.construct_params(parameters)).scalar_one()
    return _leaves(plan["Plan"])


def _leaves(plan):
    own = 0
    if "Relation Name" in plan:
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return own + sum(_leaves(child) for child in plan.get("Plans", ()))
