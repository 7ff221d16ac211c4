"""Fixtures for every test: one async backend, a watch on blocking calls, hypothesis profiles, real servers.

Servers start when the first test asks. With `REDIS_URL` or `DATABASE_URL` set, that server is used instead
and none of its kind is started; tests that would have to stop or freeze one are then not collected.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

from tests.servers import mariadb as mariadbs
from tests.servers import memcached as memcacheds
from tests.servers import pgbouncer as pgbouncers
from tests.servers import postgres as postgresql
from tests.servers import redis as redises
from tests.servers.cluster import RedisCluster
from tests.servers.database import fresh_database
from tests.servers.lifeline import Server
from tests.servers.mariadb import MariaDB
from tests.servers.memcached import Memcached
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import ExternalRedis, RedisServer
from tests.servers.sentinel import Sentinel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

settings.register_profile("dev", max_examples=60, deadline=None)
settings.register_profile(
    "ci", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("brief", settings.get_profile("ci"), max_examples=15)
settings.register_profile("nightly", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

REDIS_URL = os.environ.get("REDIS_URL")
DATABASE_URL = os.environ.get("DATABASE_URL")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests whose fixture would start a server that was forbidden, or one nobody can install."""
    absent = set()
    if REDIS_URL:
        absent |= {"own_redis", "redis_cluster", "new_cluster", "sentinel", "starts_servers"}
    if DATABASE_URL:
        absent |= {"postgres", "pgbouncer", "starts_servers"}
    if pgbouncers.binary() is None:
        absent |= {"pgbouncer"}
    if memcacheds.binary() is None:
        absent |= {"memcached"}
    if mariadbs.binary() is None:
        absent |= {"mariadb"}
    left_out = [item for item in items if absent.intersection(getattr(item, "fixturenames", ()))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_report_header() -> list[str]:
    redis = (REDIS_URL and "REDIS_URL") or ", ".join(redises.flavours()) or "none"
    postgres = (DATABASE_URL and "DATABASE_URL") or next(iter(postgresql.flavours()), "none")
    pgbouncer, memcached = pgbouncers.binary() or "none", memcacheds.binary() or "none"
    mariadb = mariadbs.binary() or "none"
    return [
        f"servers: Redis: {redis}; PostgreSQL: {postgres}",
        f"servers some tests need: PgBouncer: {pgbouncer}; Memcached: {memcached}; MariaDB: {mariadb}",
    ]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Async tests fail when anything blocks the event loop."""
    if request.node.get_closest_marker("anyio") is None:
        yield
        return
    with blockbuster_ctx() as blockers:
        # Before it connects, asyncpg looks for the user's password file and keys: the driver's affair.
        for name, blocker in blockers.functions.items():
            if name.startswith("os."):
                blocker.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
        yield


@pytest.fixture
def starts_servers() -> None:
    """What a test asks for that starts servers by itself: with a server given, none may be started."""


@pytest.fixture
def key_prefix() -> str:
    """A prefix that no other test and no other run has: `REDIS_URL` may be anybody's server."""
    return f"scalekit-test-{uuid.uuid4().hex}:"


@pytest.fixture(scope="session")
def _shared_redis() -> Iterator[Callable[[str], RedisServer | ExternalRedis]]:
    """One server per flavour, started when first asked for."""
    running: dict[str, RedisServer | ExternalRedis] = {}

    def get(binary: str) -> RedisServer | ExternalRedis:
        if binary not in running:
            if REDIS_URL:
                running[binary] = ExternalRedis(REDIS_URL)
            else:
                running[binary] = server = RedisServer(binary)
                server.start()
        return running[binary]

    yield get
    for server in running.values():
        if isinstance(server, Server):
            server.close()


@pytest.fixture(scope="session")
def redis_url(_shared_redis: Callable[[str], RedisServer | ExternalRedis]) -> str:
    """The URL of one server. Others use it in the same run: keep to `key_prefix`."""
    return _shared_redis(REDIS_URL or redises.preferred()).url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "redis_flavour" in metafunc.fixturenames:
        flavours = ["REDIS_URL"] if REDIS_URL else list(redises.flavours()) or ["none"]
        metafunc.parametrize("redis_flavour", flavours, scope="session")


@pytest.fixture
def redis_server(
    redis_flavour: str, key_prefix: str, _shared_redis: Callable[[str], RedisServer | ExternalRedis]
) -> Iterator[RedisServer | ExternalRedis]:
    """A shared server of each flavour found in turn, empty unless it is the one at `REDIS_URL`.

    For `.url` and, where ours, `.cmd()` and `.calls()`. Tests that stop or freeze one take `own_redis`.
    """
    server = _shared_redis(REDIS_URL or redises.flavours().get(redis_flavour) or redises.preferred())
    server.flush()
    yield server
    if isinstance(server, Server):
        server.restore()
    else:
        server.forget(key_prefix)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server for one test alone, to freeze, kill and restart (from a thread, where the test is async)."""
    server = RedisServer(redises.preferred())
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def _shared_cluster() -> Iterator[RedisCluster]:
    cluster = RedisCluster(redises.preferred())
    yield cluster
    cluster.close()


@pytest.fixture
def redis_cluster(_shared_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """Three masters, empty; `.url`, `.masters[i].kill()`, `.master_of(key)`. Restored after each test."""
    _shared_cluster.flush()
    yield _shared_cluster
    _shared_cluster.restore()


@pytest.fixture
def new_cluster() -> Iterator[Callable[..., RedisCluster]]:
    """Make clusters for one test alone: `new_cluster(masters=3, replicas=1)`."""
    made: list[RedisCluster] = []

    def make(**options: int) -> RedisCluster:
        made.append(RedisCluster(redises.preferred(), **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def sentinel() -> Iterator[Callable[..., Sentinel]]:
    """Make a master with a replica under sentinels, for one test alone: `sentinel(sentinels=3)`."""
    made: list[Sentinel] = []

    def make(**options: int) -> Sentinel:
        made.append(Sentinel(redises.preferred(), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def _shared_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer(postgresql.preferred())
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The SQLAlchemy URL (psycopg) of a database made for this run, which other tests use as well."""
    url = DATABASE_URL or request.getfixturevalue("_shared_postgres").url()
    with fresh_database(url) as database_url:
        yield database_url


@pytest.fixture(scope="session")
def _harmed_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer(postgresql.preferred())
    server.start()
    yield server
    server.close()


@pytest.fixture
def postgres(_harmed_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A second server, apart from `postgres_url`'s, to freeze, kill and restart; `.url(driver="asyncpg")`."""
    yield _harmed_postgres
    _harmed_postgres.restore()


@pytest.fixture
def pgbouncer(_shared_postgres: PostgresServer, postgres_url: str) -> Iterator[Callable[..., PgBouncer]]:
    """Start PgBouncer in front of `postgres_url`'s server: `pgbouncer(pool_mode="transaction")`.

    Its `.url` leads to the same database. Such tests are collected only where the system has PgBouncer.
    """
    made: list[PgBouncer] = []

    def make(*settings: str, pool_mode: str = "transaction") -> PgBouncer:
        database = postgres_url.rpartition("/")[2]
        made.append(PgBouncer(_shared_postgres.port, database, *settings, pool_mode=pool_mode))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def memcached() -> Iterator[Memcached]:
    """A server for a module, for `.url`. Such tests are collected only where the system has Memcached."""
    server = Memcached()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    """A server for a module, for `.url`. Such tests are collected only where the system has MariaDB."""
    server = MariaDB()
    server.start()
    yield server
    server.close()
