"""The stores of a stress, each on a server of its own: the sync one, the async one, and how a token is lost.

`lose(n)` takes the token of the tag of item `n` away, as an eviction would.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import redis
import redis.asyncio
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from scalekit.cache import AsyncTieredCacheStore, MemoryCacheStore, TieredCacheStore
from scalekit.cache.redis import AsyncRedisCacheStore, RedisCacheStore
from scalekit.cache.sqlalchemy import AsyncSQLAlchemyCacheStore, SQLAlchemyCacheStore
from scalekit.redis import AsyncRedisLink, RedisLink
from tests.servers.cluster import RedisCluster
from tests.servers.postgres import PostgresServer
from tests.servers.postgres import preferred as preferred_postgres
from tests.servers.redis import RedisServer, preferred

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

TAG = "cache:item:{}"  # of a cache whose namespace is the default


class Place(NamedTuple):
    """One kind of store: how to make it, once its servers are up."""

    store: Callable[[], contextlib.AbstractContextManager[Any]]
    async_store: Callable[[], contextlib.AbstractAsyncContextManager[Any]]
    lose: Callable[[int], object] | None = None


@contextlib.contextmanager
def memory() -> Iterator[Place]:
    @contextlib.asynccontextmanager
    async def async_store() -> AsyncIterator[Any]:
        yield MemoryCacheStore()

    yield Place(lambda: contextlib.nullcontext(MemoryCacheStore()), async_store)


def _on_redis(
    client: Any, async_client: Callable[[], Any], wrap: Any = lambda x: x, async_wrap: Any = lambda x: x
) -> Place:
    @contextlib.contextmanager
    def store() -> Iterator[Any]:
        with RedisLink(client, timeout="10s") as link:
            yield wrap(RedisCacheStore(link))

    @contextlib.asynccontextmanager
    async def async_store() -> AsyncIterator[Any]:
        connected = async_client()
        async with AsyncRedisLink(connected, timeout="10s") as link:
            yield async_wrap(AsyncRedisCacheStore(link))
        await connected.aclose()

    return Place(store, async_store, lambda item: client.delete("sk:t:" + TAG.format(item)))


@contextlib.contextmanager
def single() -> Iterator[Place]:
    server = RedisServer(preferred())
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            yield _on_redis(client, lambda: redis.asyncio.Redis.from_url(server.url))
    finally:
        server.close()


@contextlib.contextmanager
def tiered() -> Iterator[Place]:
    server = RedisServer(preferred())
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            yield _on_redis(
                client,
                lambda: redis.asyncio.Redis.from_url(server.url),
                lambda far: TieredCacheStore(MemoryCacheStore(), far),
                lambda far: AsyncTieredCacheStore(MemoryCacheStore(), far),
            )
    finally:
        server.close()


@contextlib.contextmanager
def cluster() -> Iterator[Place]:
    servers = RedisCluster(preferred())
    try:
        with redis.RedisCluster.from_url(servers.url) as client:
            yield _on_redis(client, lambda: redis.asyncio.RedisCluster.from_url(servers.url))
    finally:
        servers.close()


@contextlib.contextmanager
def _on_sql(url: str, async_url: str, **options: Any) -> Iterator[Place]:
    engine = create_engine(url, **options)

    @contextlib.contextmanager
    def store() -> Iterator[Any]:
        yield SQLAlchemyCacheStore(engine, timeout=20)

    @contextlib.asynccontextmanager
    async def async_store() -> AsyncIterator[Any]:
        async_engine = create_async_engine(async_url, **options)
        yield AsyncSQLAlchemyCacheStore(async_engine, timeout=20)
        await async_engine.dispose()

    def lose(item: int) -> None:
        with engine.begin() as connection:
            connection.execute(
                text("DELETE FROM scalekit_cache WHERE name = :name"),
                {"name": b"t:" + TAG.format(item).encode()},
            )

    try:
        yield Place(store, async_store, lose)
    finally:
        engine.dispose()


@contextlib.contextmanager
def sqlite() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "cache.db")
        options = {"connect_args": {"timeout": 20}}
        with _on_sql(f"sqlite:///{path}", f"sqlite+aiosqlite:///{path}", **options) as place:
            yield place


@contextlib.contextmanager
def postgres() -> Iterator[Place]:
    server = PostgresServer(preferred_postgres())
    server.start()
    try:
        url = make_url(server.url())
        names = [
            url.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
            for driver in ("psycopg", "asyncpg")
        ]
        with _on_sql(names[0], names[1], pool_size=8) as place:
            yield place
    finally:
        server.close()


PLACES = {
    "memory": memory,
    "Redis": single,
    "Redis Cluster": cluster,
    "tiered": tiered,
    "SQLite": sqlite,
    "PostgreSQL": postgres,
}
