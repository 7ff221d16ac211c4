"""PageSourceSuite on every source over a database, SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import create_engine, delete, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from scalekit.pagination.sqlalchemy import AsyncSelectSource, AsyncSQLSource, SelectSource, SQLSource
from scalekit.testing import PageSourceSuite
from tests.pagination.models import Base, Item

TABLE = Item.__table__
COLUMNS = "items (id int PRIMARY KEY, a int, b int NOT NULL, s text)"
SQL = "SELECT * FROM items ORDER BY id"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def connection(request):
    if request.param == "sqlite":
        engine = create_engine("sqlite://", poolclass=StaticPool)
    else:
        engine = create_engine(request.getfixturevalue("postgres_url"))
    with engine.connect() as connection:
        if request.param == "postgresql":
            connection.execute(
                text("CREATE TEMP TABLE items (id int PRIMARY KEY, a int, b int NOT NULL, s text)")
            )
        else:
            Base.metadata.create_all(connection)
        connection.commit()
        yield connection
    engine.dispose()


def filled(connection, rows):
    connection.rollback()
    connection.execute(delete(Item))
    if rows:
        connection.execute(insert(Item), rows)
    return connection


class TestSelectSource(PageSourceSuite):
    @pytest.fixture
    def make_source(self, connection):
        return lambda rows: SelectSource(filled(connection, rows), select(*TABLE.c))


class TestSQLSource(PageSourceSuite):
    @pytest.fixture(params=[[], ["b", "id"]], ids=["nullable", "not_null"])
    def make_source(self, connection, request):
        return lambda rows: SQLSource(filled(connection, rows), SQL, not_null=request.param)


class TestSQLSourceOnSqlite3(PageSourceSuite):
    @pytest.fixture
    def make_source(self):
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, s TEXT)")
            connection.row_factory = sqlite3.Row

            def make(rows):
                connection.execute("DELETE FROM items")
                connection.executemany("INSERT INTO items VALUES (:id, :a, :b, :s)", rows)
                return SQLSource(connection, SQL)

            yield make

    def id_of(self, item):
        return item["id"]


class TestSQLSourceOnPsycopg(PageSourceSuite):
    @pytest.fixture
    def make_source(self, postgres_url):
        url = postgres_url.replace("+psycopg", "")
        with psycopg.connect(url, row_factory=dict_row, autocommit=True) as connection:
            connection.execute("CREATE TEMP TABLE items (id int, a int, b int, s text)")

            def make(rows):
                connection.execute("DELETE FROM items")
                with connection.cursor() as cursor:
                    cursor.executemany("INSERT INTO items VALUES (%(id)s, %(a)s, %(b)s, %(s)s)", rows)
                return SQLSource(connection, SQL)

            yield make


class Async(PageSourceSuite):
    """On one connection, opened in the suite's event loop and closed with its engine."""

    def made(self, connection):
        raise NotImplementedError

    @pytest.fixture(params=["sqlite", "asyncpg"])
    def make_source(self, request, run):
        if request.param == "sqlite":
            url = "sqlite+aiosqlite://"
        else:
            url = request.getfixturevalue("postgres_url").replace("psycopg", request.param)
        engine = create_async_engine(url)
        opened = []

        async def make(rows):
            if not opened:
                opened.append(await engine.connect())
                await opened[0].execute(text(f"CREATE TEMP TABLE {COLUMNS}"))
            await opened[0].execute(delete(Item))
            if rows:
                await opened[0].execute(insert(Item), rows)
            return self.made(opened[0])

        yield make
        for connection in opened:
            run(connection.close)
        run(engine.dispose)


class TestAsyncSelectSource(Async):
    def made(self, connection):
        return AsyncSelectSource(connection, select(*TABLE.c))


class TestAsyncSQLSource(Async):
    def made(self, connection):
        return AsyncSQLSource(connection, SQL)


del Async
