"""What the databases guess."""

from __future__ import annotations

import json
import uuid

import pytest
from sqlalchemy import create_engine, insert, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, joinedload

from scalekit.pagination import AsyncCursorPaginator, Count, CursorPaginator, Total
from scalekit.pagination.sqlalchemy import AsyncSelectSource, SelectSource
from scalekit.pagination.sqlalchemy._explain import Explain
from tests.pagination.models import Author, Base, Comment, Item, Post

ABOUT = Total.estimate(exact_below=100)


def filled(engine):
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        rows = [{"id": n, "a": n % 4, "b": n % 10, "s": "x"} for n in range(1, 5_001)]
        connection.execute(insert(Item), rows)
        connection.execute(insert(Author), [{"id": 1, "name": "n", "slug": "s"}])
        connection.execute(insert(Post), [{"id": n, "title": "t", "author_id": 1} for n in range(1, 501)])
        connection.execute(
            insert(Comment), [{"id": n, "post_id": n % 500 + 1, "text": "c"} for n in range(1, 2_001)]
        )


@pytest.fixture(scope="module")
def postgres(postgres_url):
    name = f"estimates_{uuid.uuid4().hex[:12]}"
    engine = create_engine(postgres_url, connect_args={"options": f"-csearch_path={name}"})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    filled(engine)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    yield engine, name
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    engine.dispose()


def total(session, statement, order="id"):
    paginator = CursorPaginator([order], secret="s")
    return paginator.paginate(SelectSource(session, statement), total=ABOUT).total


def check(engine):
    with Session(engine) as session:
        for statement, expected in (
            (select(Item), 5_000),
            (select(Item.id).where(Item.b == 3), 500),
            (select(Post).options(joinedload(Post.comments)), 500),
            (select(Post.id, Comment.id.label("c")).join(Post.comments), 2_000),
            (select(Item).order_by(Item.id).limit(700), 700),
        ):
            found = total(session, statement)
            assert found.kind == "estimate"
            assert expected / 3 < found.value < expected * 3
        assert total(session, select(Item).where(Item.id < 7)) == Count(6, "exact")
    with engine.connect() as connection:
        assert total(connection, select(Item.id)).kind == "estimate"


def test_postgresql(postgres):
    check(postgres[0])


def test_mariadb(mariadb):
    engine = create_engine(mariadb.url)
    filled(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE INDEX items_b ON items (b)"))
        connection.execute(text("ANALYZE TABLE items, posts, comments"))
    check(engine)
    engine.dispose()


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_async_drivers(postgres, driver):
    engine, name = postgres
    arguments = {
        "asyncpg": {"server_settings": {"search_path": name}},
        "psycopg": {"options": f"-csearch_path={name}"},
    }
    url = make_url(engine.url).set(drivername=f"postgresql+{driver}")
    async_engine = create_async_engine(url, connect_args=arguments[driver])
    async with AsyncSession(async_engine) as session:
        source = AsyncSelectSource(session, select(Item).where(Item.b == 3))
        found = (await AsyncCursorPaginator(["id"], secret="s").paginate(source, total=ABOUT)).total
        assert found.kind == "estimate"
        assert 250 < found.value < 1_000
    await async_engine.dispose()


def test_sqlite_has_no_estimate_and_counts_up_to_the_threshold(session, items):
    assert total(session, select(Item)) == Count(40, "exact")
    few = Total.estimate(exact_below=30)
    page = CursorPaginator(["id"], secret="s").paginate(SelectSource(session, select(Item)), total=few)
    assert page.total == Count(30, "at_least")


MYSQL = {"table": {"rows_produced_per_join": 9}}


class Result:
    def __init__(self, plan):
        self.plan = plan

    def scalar_one(self):
        return self.plan


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ([{"Plan": {"Plan Rows": 42}}], 42),
        ('[{"Plan": {"Plan Rows": 42}}]', 42),
        ('{"query_block": {"table": {"rows": 90, "filtered": 50.0}}}', 45),
        ('{"query_block": {"nested_loop": [{"table": {"rows": 9}}, {"table": {"rows": 2}}]}}', 18),
        (
            json.dumps({"query_block": {"nested_loop": [MYSQL, {"table": {"rows_produced_per_join": 27}}]}}),
            27,
        ),
        ('{"query_block": {"table": {"rows": 9, "attached_subqueries": [{"table": {"rows": 5}}]}}}', 9),
        ('{"query_block": {"message": "Impossible WHERE"}}', None),
        ('{"query_block": {"table": {"message": "Select tables optimized away"}}}', None),
    ],
)
def test_what_a_plan_expects(plan, expected):
    assert Explain(select(Item), "").rows(Result(plan)) == expected
