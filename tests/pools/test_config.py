"""What `PoolConfig.sqlalchemy` emits, proven on real engines."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import TimeoutError as CheckoutTimeout

from scalekit.pools import PoolConfig, Role, Server, plan_pools


@pytest.fixture
def engine_of(tmp_path):
    engines = []

    def make(config, url=f"sqlite:///{tmp_path}/pool.db"):
        engines.append(create_engine(url, **config.sqlalchemy()))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


def test_the_arguments_are_plain():
    assert PoolConfig(size=4, timeout="250ms", max_lifetime="10m").sqlalchemy() == {
        "pool_size": 4,
        "max_overflow": 0,
        "pool_timeout": 0.25,
        "pool_recycle": 600.0,
        "pool_pre_ping": True,
    }


def test_a_size_means_itself_and_the_next_checkout_times_out(engine_of):
    plan = plan_pools(Server(max_connections=10, reserved=0), {"web": Role(threads=2)})
    engine = engine_of(PoolConfig(size=plan["web"].size, timeout="10ms"))
    refused = pytest.raises(CheckoutTimeout, match=r"size 2 overflow 0 .* timeout 0\.01")
    with engine.connect(), engine.connect(), refused:
        engine.connect()
    with engine.connect() as connection:
        assert connection.scalar(text("select 1")) == 1


def test_a_connection_past_its_lifetime_is_replaced(engine_of, monkeypatch):
    engine = engine_of(PoolConfig(size=1, max_lifetime="30m"))

    def connection_now():
        with engine.connect() as connection:
            return connection.connection.dbapi_connection

    first = connection_now()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1_790)
    assert connection_now() is first
    monkeypatch.setattr(time, "time", lambda: now + 1_801)
    assert connection_now() is not first


def test_connections_that_the_server_ended_are_not_handed_out(engine_of, postgres_url):
    engine = engine_of(PoolConfig(size=2), postgres_url)
    other = engine_of(PoolConfig(size=1), postgres_url)
    with engine.connect() as one, engine.connect() as two:
        pids = [connection.scalar(text("select pg_backend_pid()")) for connection in (one, two)]
    with other.connect() as connection:
        # The wait makes it certain that the backends are gone.
        ended = "select pg_terminate_backend(pid, 5000) from unnest(cast(:pids as int[])) as pid"
        assert connection.scalars(text(ended), {"pids": pids}).all() == [True, True]
    with engine.connect() as one, engine.connect() as two:
        fresh = [connection.scalar(text("select pg_backend_pid()")) for connection in (one, two)]
    assert not set(fresh) & set(pids)
