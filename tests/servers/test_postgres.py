from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.servers import postgres as postgresql
from tests.servers.inner import run_tests
from tests.servers.lifeline import NoServer
from tests.servers.postgres import PostgresServer


def ask(url, statement, **options):
    engine = create_engine(url, **options)
    try:
        with engine.connect() as connection:
            return connection.execute(text(statement)).scalar()
    finally:
        engine.dispose()


def test_the_run_has_a_database_of_its_own(postgres_url):
    assert postgres_url.startswith("postgresql+psycopg://")
    assert ask(postgres_url, "SELECT current_database()").startswith("scalekit_test_")


@pytest.mark.anyio
async def test_asyncpg_reaches_the_same_database(postgres_url):
    import asyncpg

    connection = await asyncpg.connect(postgres_url.replace("+psycopg", ""))
    try:
        assert (await connection.fetchval("SELECT current_database()")) in postgres_url
    finally:
        await connection.close()


def test_a_frozen_server_hangs_with_its_sessions(postgres):
    with psycopg.connect(postgres.url().replace("+psycopg", "")) as session, ThreadPoolExecutor(1) as threads:
        session.execute("SELECT 1")
        postgres.freeze()
        answer = threads.submit(session.execute, "SELECT 2")
        with pytest.raises(TimeoutError):
            answer.result(0.1)
        postgres.thaw()
        assert answer.result(10).fetchone() == (2,)


def test_a_killed_server_restarts_with_its_data(postgres):
    postgres.psql("CREATE TABLE kept (n int)")
    postgres.kill()
    with pytest.raises(OperationalError):
        ask(postgres.url(), "SELECT 1")
    postgres.restart()
    assert ask(postgres.url(), "SELECT count(*) FROM kept") == 0
    postgres.psql("DROP TABLE kept")


@pytest.mark.slow
@pytest.mark.usefixtures("starts_servers")
@pytest.mark.parametrize("flavour", postgresql.flavours())
def test_every_installation_found_can_be_started(flavour):
    server = PostgresServer(postgresql.flavours()[flavour])
    server.start()
    assert server.psql("SELECT 1") == "1"
    server.close()
    assert not server.directory.exists()


@pytest.mark.usefixtures("starts_servers")
def test_a_server_that_does_not_start_says_why():
    server = PostgresServer(postgresql.preferred(), "no_such_setting=1")
    with pytest.raises(NoServer, match="no_such_setting"):
        server.start()
    server.close()


def test_without_any_installation_the_tests_fail_and_say_what_to_do(monkeypatch):
    monkeypatch.setattr(postgresql, "flavours", dict)
    with pytest.raises(NoServer, match="DATABASE_URL"):
        postgresql.preferred()


@pytest.mark.slow
def test_a_given_server_gets_a_database_for_the_run_and_is_left_as_it_was(postgres):
    before = postgres.psql("SELECT datname FROM pg_database ORDER BY 1")
    url = postgres.url().replace("postgresql+psycopg:", "postgres:")
    given = {"DATABASE_URL": url, "SCALEKIT_TEST_POSTGRES": "/nowhere"}
    report = run_tests("tests/servers/test_postgres.py", "own or asyncpg or frozen", **given)
    assert re.search(r"2 passed, \d+ deselected", report), report
    assert postgres.psql("SELECT datname FROM pg_database ORDER BY 1") == before


def test_pgbouncer_pools_transactions(pgbouncer, postgres_url):
    pooler = pgbouncer("default_pool_size = 1")
    assert ask(pooler.url(), "SELECT current_database()") in postgres_url
    pids = {ask(pooler.url(), "SELECT pg_backend_pid()") for _ in range(3)}
    assert len(pids) == 1


def test_a_stopped_pgbouncer_refuses(pgbouncer):
    pooler = pgbouncer()
    pooler.stop()
    with pytest.raises(OperationalError):
        ask(pooler.url(), "SELECT 1")
