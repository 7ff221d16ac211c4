from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, create_async_engine
from sqlalchemy.orm import joinedload
from sqlalchemy.pool import StaticPool

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import (
    AsyncCursorPaginator,
    AsyncOffsetPaginator,
    CursorPaginator,
    OffsetPaginator,
    Total,
    asc,
)
from scalekit.pagination.sqlalchemy import AsyncSelectSource, SelectSource
from tests.pagination.models import Author, Base, Comment, Item, Post

ROWS = [{"id": n, "a": n % 4 or None, "b": n % 3, "s": f"s{n % 5}"} for n in range(40)]
ORDER = [asc("a", nulls="last"), "-b"]


@pytest.fixture
async def async_session():
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all([Item(**row) for row in ROWS])
        session.add(Author(id=1, name="n", slug="s"))
        session.add_all([Post(id=n, title="t", author_id=1) for n in range(5)])
        session.add_all([Comment(id=n, post_id=n % 5, text="c") for n in range(9)])
        await session.commit()
        session.expunge_all()
        yield session
    await engine.dispose()


@pytest.fixture
def sync_pages(session):
    session.add_all([Item(**row) for row in ROWS])
    session.commit()
    source = SelectSource(session, select(Item))
    feed = CursorPaginator(ORDER, secret="s", limit=7)
    pages = [feed.paginate(source, total=Total.capped(30))]
    while cursor := pages[-1].next_cursor:
        pages.append(feed.paginate(source, cursor=cursor, total=Total.capped(30)))
    numbered = OffsetPaginator(limit=7, total=Total.exact()).paginate(source, page=3)
    return [plain(page) for page in pages], plain(numbered)


def plain(page):
    return page.map(lambda item: item.id).to_dict()


@pytest.mark.anyio
async def test_pages_and_cursors_are_those_of_the_sync_face(async_session, sync_pages):
    source = AsyncSelectSource(async_session, select(Item))
    feed = AsyncCursorPaginator(ORDER, secret="s", limit=7)
    expected, numbered = sync_pages
    cursor = None
    for page in expected:
        assert plain(await feed.paginate(source, cursor=cursor, total=Total.capped(30))) == page
        cursor = page["next_cursor"]
    assert [item.id async for item in feed.rows(source, batch=9)] == [
        number for page in expected for number in page["items"]
    ]
    assert (
        plain(await AsyncOffsetPaginator(limit=7, total=Total.exact()).paginate(source, page=3)) == numbered
    )


@pytest.mark.anyio
async def test_connections_eager_loads_and_scoped_sessions(async_session):
    feed = AsyncCursorPaginator(["title"], secret="s", limit=2)
    eager = select(Post).options(joinedload(Post.comments))
    posts = [post async for post in feed.rows(AsyncSelectSource(async_session, eager), batch=2)]
    assert [(post.id, len(post.comments)) for post in posts] == [(0, 2), (1, 2), (2, 2), (3, 2), (4, 1)]
    connection = await async_session.connection()
    page = await feed.paginate(AsyncSelectSource(connection, select(Post.title)))
    assert page.items == ["t", "t"]
    scoped = async_scoped_session(lambda: async_session, scopefunc=lambda: None)
    assert len((await feed.paginate(AsyncSelectSource(scoped, select(Post)))).items) == 2


@pytest.mark.anyio
async def test_what_is_refused(async_session):
    feed = AsyncCursorPaginator(["title"], secret="s")
    with pytest.raises(InvalidCursor):
        await feed.paginate(AsyncSelectSource(async_session, select(Post)), cursor="x")
    with pytest.raises(InvalidCursor):
        [page async for page in feed.pages(AsyncSelectSource(async_session, select(Post)), cursor="x")]
    with pytest.raises(ConfigurationError, match="session to be a Session"):
        SelectSource(async_session, select(Post))
    with pytest.raises(ConfigurationError, match="since the statement selects entities"):
        AsyncSelectSource(await async_session.connection(), select(Post))


def test_without_greenlet_the_construction_says_what_to_install():
    program = (
        "import sys; sys.modules['greenlet'] = None\n"
        "from sqlalchemy import column, create_engine, select\n"
        "from scalekit.pagination.sqlalchemy import AsyncSelectSource, SelectSource\n"
        "from scalekit.errors import MissingExtra\n"
        "with create_engine('sqlite://').connect() as connection:\n"
        "    SelectSource(connection, select(column('a')))\n"
        "try: AsyncSelectSource(None, select(column('a')))\n"
        "except MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "AsyncSelectSource needs greenlet: pip install 'scaleblocks[sqlalchemy]'\n"


def test_the_extra_installs_what_async_sessions_need():
    pyproject = Path(__file__).parents[3].joinpath("pyproject.toml").read_text("utf-8")
    extras = tomllib.loads(pyproject)["project"]["optional-dependencies"]
    assert any(line.startswith("greenlet>=") for line in extras["sqlalchemy"])
