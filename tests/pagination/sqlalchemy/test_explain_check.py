"""`explain_check` on the feeds that people have: it sees a missing index, and the one it names is enough."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    insert,
    make_url,
    select,
    text,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from scalekit.errors import ConfigurationError
from scalekit.pagination import AsyncCursorPaginator, CursorPaginator, SequenceSource, asc, desc
from scalekit.pagination.sqlalchemy import (
    AsyncSelectSource,
    SelectSource,
    assert_indexed,
    async_assert_indexed,
    async_explain_check,
    explain_check,
)
from tests.pagination.models import Author, Item, Post
from tests.pagination.walks import wishes
from tests.servers import mariadb as mariadbs

META = MetaData()
FEED = Table(
    "feed",
    META,
    Column("id", Integer, primary_key=True),
    Column("user_id", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("status", String(10), nullable=False),
    Column("due", Integer),
    Column("points", Integer),
    Column("wins", Integer),
    Column("public", Boolean, nullable=False),
    Column("day", DateTime),
)
C = FEED.c
FEEDS = {
    "by user and time": (select(FEED).where(C.user_id == 3), [C.created.desc()]),
    "by status and schedule": (select(FEED).where(C.status == "s1", C.id > 0), [C.due]),
    "leaderboard": (select(FEED), [desc(C.points, nulls="last"), desc(C.wins, nulls="last"), asc(C.id)]),
    "calendar": (select(FEED).where(C.public), [C.due, C.id]),
    "mixed": (select(FEED), [C.created.desc(), C.id.asc()]),
    "an alias": (select(FEED.alias("f")), ["-created"]),
    "booleans": (select(FEED), ["-public", "id"]),
    "all": (select(FEED), ["id"]),
}
NULLS_FIRST = {"leaderboard": [desc(C.points), desc(C.wins), desc(C.id)]}


@pytest.fixture(scope="module", params=["sqlite", "postgresql", *(["mariadb"] if mariadbs.binary() else [])])
def database(request):
    schema = f"indexes_{uuid.uuid4().hex[:12]}"
    if request.param == "sqlite":
        engine = create_engine("sqlite://", poolclass=StaticPool)
    elif request.param == "mariadb":
        engine = create_engine(request.getfixturevalue("mariadb").url)
    else:
        engine = create_engine(
            request.getfixturevalue("postgres_url"), connect_args={"options": f"-csearch_path={schema}"}
        )
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
    META.create_all(engine)
    with engine.begin() as connection:
        # MariaDB sorts a small table whatever its indexes.
        rows = 30_000 if request.param == "mariadb" else 6_000
        connection.execute(
            insert(FEED),
            [
                {
                    "id": n,
                    "user_id": n % 7,
                    "created": n // 3,
                    "status": f"s{n % 5}",
                    "due": n // 2 if n % 4 else None,
                    "points": n // 9 if n % 5 else None,
                    "wins": n % 3 or None,
                    "public": n % 2 == 0,
                }
                for n in range(1, rows)
            ],
        )
    yield engine
    if request.param == "postgresql":
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    else:
        META.drop_all(engine)
    engine.dispose()


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        yield connection
        connection.rollback()
        for name in connection.info.pop("made", ()):
            dropped(connection, name)
        connection.commit()


def made(connection, statement):
    connection.execute(text(statement))
    connection.info.setdefault("made", []).append(statement.split()[2])
    connection.commit()
    if connection.dialect.name != "sqlite":
        connection.execute(text("ANALYZE " + ("TABLE " * (connection.dialect.name == "mariadb")) + "feed"))
        connection.commit()


def dropped(connection, name):
    connection.execute(text(f"DROP INDEX {name}" + " ON feed" * (connection.dialect.name == "mariadb")))


@pytest.mark.parametrize("name", [each for each in FEEDS if each != "all"])
def test_the_index_it_names_is_enough(connection, name):
    statement, order = FEEDS[name]
    if connection.dialect.name == "mariadb":
        order = NULLS_FIRST.get(name, order)
    paginator = CursorPaginator(order, secret="s")
    source = SelectSource(connection, statement)
    report = explain_check(paginator, source)
    assert not report.ok
    assert report.problems
    with pytest.raises(AssertionError, match="CREATE INDEX ix_feed_"):
        assert_indexed(paginator, source)
    connection.rollback()
    made(connection, report.create_index)
    if (connection.dialect.name, name) == ("mariadb", "by status and schedule"):
        problem = r"reads 3,0\d\d rows for 21: the optimiser does not use all of the index .*FORCE INDEX"
        assert re.match(problem, explain_check(paginator, source).problems[0])
        hint = f"FORCE INDEX ({connection.info['made'][-1]})"
        source = SelectSource(connection, statement.with_hint(FEED, hint, "mariadb"))
    again = explain_check(paginator, source)
    assert again.ok, (str(again), [page.plan for page in again.pages if page.problems])
    assert again == (True, (), None, again.pages)
    assert bool(again)
    assert str(again) == "every page is read from an index"
    assert_indexed(paginator, source)
    assert {page.name for page in again.pages} >= {"first", "last", "middle", "backward"}
    assert all(page.plan for page in again.pages)
    assert all(page.rows_read is None or page.rows_read <= 67 for page in again.pages)


def test_a_primary_key_is_an_index(connection):
    assert explain_check(CursorPaginator(["-id"], secret="s"), SelectSource(connection, select(FEED))).ok


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("by user and time", "created, id"),  # of all users
        ("by user and time", "user_id"),
        ("mixed", "created, id"),  # in one direction
        ("mixed", "id, created"),
        ("leaderboard", "points, id"),
        ("booleans", "public"),
    ],
)
def test_a_wrong_index_is_seen(connection, name, columns):
    statement, order = FEEDS[name]
    if connection.dialect.name == "mariadb":
        order = NULLS_FIRST.get(name, order)
    if name == "booleans" and connection.dialect.name != "postgresql":
        columns = "public DESC, created"  # (their indexes end in the primary key)
    made(connection, f"CREATE INDEX wrong ON feed ({columns})")
    report = explain_check(CursorPaginator(order, secret="s"), SelectSource(connection, statement))
    assert not report.ok


def test_an_expression(connection):
    order = [type_coerce(func.abs(C.created), Integer).desc()]
    paginator = CursorPaginator(order, secret="s")
    source = SelectSource(connection, select(FEED))
    report = explain_check(paginator, source)
    if connection.dialect.name == "mariadb":
        assert report.create_index is None
        assert report.problems[-1] == "MariaDB indexes no expressions: order by a generated column"
        return
    assert "((abs(created)) DESC, id DESC)" in report.create_index
    connection.rollback()
    made(connection, report.create_index)
    assert explain_check(paginator, source).pages[0].problems == ()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=wishes("user_id", "created", "due", "points", most=3))
def test_whatever_the_order_its_index_is_enough(connection, asked):
    if connection.dialect.name != "postgresql":
        asked = [wish._replace(nulls=None) for wish in asked]  # no index of theirs places NULLs elsewhere
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s", limit=5)
    source = SelectSource(connection, select(FEED))
    report = explain_check(paginator, source)
    if report.ok:
        return
    connection.rollback()
    made(connection, report.create_index)
    again = explain_check(paginator, source)
    connection.rollback()
    dropped(connection, connection.info["made"].pop())
    connection.commit()
    # Many ties are read by "nested", which is said, and which no index mends.
    others = [problem for problem in again.problems if not re.match(r"reads [\d,]+ rows for", problem)]
    assert others == [], report.create_index


def test_an_empty_table_will_do(connection):
    empty = select(FEED).where(C.user_id == -1)
    report = explain_check(CursorPaginator([C.created.desc()], secret="s"), SelectSource(connection, empty))
    assert {page.name for page in report.pages} == {"first", "last"}
    if connection.dialect.name != "mariadb":
        assert "(user_id, created DESC, id DESC)" in report.create_index


def test_an_index_that_is_dropped_is_missed(connection):
    paginator = CursorPaginator([C.created.desc()], secret="s")
    source = SelectSource(connection, select(FEED))
    made(connection, "CREATE INDEX theirs ON feed (created, id)")
    assert explain_check(paginator, source).ok
    connection.rollback()
    dropped(connection, connection.info["made"].pop())
    connection.commit()
    assert not explain_check(paginator, source).ok


def test_a_plan_has_none_of_the_types_of_what_it_explains(connection):
    """As many columns as EXPLAIN has, of types that would not read it."""
    dates = [type_coerce(C.due, DateTime).label(f"d{n}") for n in range(9)]
    for width in range(1, 10):
        statement = select(*dates[:width]).where(C.id < 300)
        explain_check(CursorPaginator([C.points], secret="s"), SelectSource(connection, statement))


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_nothing_of_it_stays(connection):
    source = SelectSource(connection, select(FEED))
    explain_check(CursorPaginator(["-created"], secret="s"), source)
    assert connection.execute(text("SHOW enable_seqscan")).scalar_one() == "on"
    broken = select(FEED).where(C.id / (C.id - C.id) > 0)
    with pytest.raises(Exception, match="division by zero"):
        explain_check(CursorPaginator(["-created"], secret="s"), SelectSource(connection, broken))
    connection.rollback()
    assert connection.execute(text("SHOW enable_seqscan")).scalar_one() == "on"


@pytest.mark.anyio
async def test_async_sources(postgres_url):
    url = make_url(postgres_url).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, connect_args={"server_settings": {"search_path": "pg_temp"}})
    async with engine.connect() as connection:
        await connection.run_sync(META.create_all)
        paginator = AsyncCursorPaginator(["-created"], secret="s")
        for runner in (connection, AsyncSession(connection)):
            source = AsyncSelectSource(runner, select(FEED))
            report = await async_explain_check(paginator, source)
            assert "(created DESC, id DESC)" in report.create_index
            with pytest.raises(AssertionError, match="CREATE INDEX"):
                await async_assert_indexed(paginator, source)
        with pytest.raises(ConfigurationError, match="source to be an AsyncSelectSource"):
            await async_explain_check(paginator, SequenceSource([]))
    await engine.dispose()


def test_keys_of_two_tables_have_no_index(session, shop):
    paginator = CursorPaginator([Author.name, Post.title], secret="s")
    report = explain_check(paginator, SelectSource(session, select(Post).join(Post.author)))
    assert (report.ok, report.create_index) == (False, None)
    assert report.problems[-1].startswith("no single index can serve keys of several tables")
    assert "CREATE" not in str(report)


def test_names_are_quoted_and_short(session):
    odd = Table(
        "order",
        MetaData(schema="main"),
        Column("id", Integer, primary_key=True),
        Column("x" * 70, Integer, nullable=False),
        Column("from", Integer, nullable=False),
    )
    odd.create(session.connection())
    statement = select(odd).where(odd.c["from"] == 1)
    report = explain_check(CursorPaginator([odd.c["x" * 70]], secret="s"), SelectSource(session, statement))
    name, _, on = report.create_index.partition(" ON ")
    assert on == f'main."order" ("from", {"x" * 70}, id)'
    assert len(name.split()[-1].strip('"')) <= 63
    session.execute(text(report.create_index.replace(" ON main.", " ON ").replace("INDEX ", "INDEX main.")))


def test_what_it_takes(session):
    source = SelectSource(session, select(Item))
    with pytest.raises(ConfigurationError, match="paginator to be a CursorPaginator"):
        explain_check(source, source)
    with pytest.raises(ConfigurationError, match="source to be a SelectSource"):
        explain_check(CursorPaginator(["id"], secret="s"), SequenceSource([]))
    with Session(session.get_bind()) as other:
        assert explain_check(CursorPaginator(["id"], secret="s"), SelectSource(other, select(Item))).ok
    report = explain_check(CursorPaginator(["b"], secret="s"), source, limit=3)
    assert "(b, id)" in report.create_index
