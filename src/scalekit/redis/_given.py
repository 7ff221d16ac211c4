"""What a store on Redis is given: a link to share, or a redis-py client to make a link from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.redis._own import masked
from scalekit.redis._sync import RedisLink

if TYPE_CHECKING:
    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster

    from scalekit.redis._async import AsyncRedisLink

_LINKS = {"redis": ("a", "RedisLink"), "redis.asyncio": ("an", "AsyncRedisLink")}


def given_link(given: RedisLink | Redis | RedisCluster, *, store: str) -> RedisLink:
    """Return the link itself, or a link with defaults to where a redis-py client leads.

    Raises `ConfigurationError` for anything else; for what is async it names `Async{store}`.
    """
    if isinstance(given, RedisLink):
        return given
    _check(given, store=store, wanted="redis", other="redis.asyncio")
    return RedisLink(given)


def async_given_link(given: AsyncRedisLink | AsyncRedis | AsyncRedisCluster, *, store: str) -> AsyncRedisLink:
    """Return the link itself, or a link with defaults to where a `redis.asyncio` client leads.

    Raises `ConfigurationError` for anything else; for what is blocking it names `store` without "Async".
    """
    from scalekit.redis._async import AsyncRedisLink  # noqa: PLC0415  # brings asyncio, which threads can spare

    if isinstance(given, AsyncRedisLink):
        return given
    _check(given, store=store, wanted="redis.asyncio", other="redis")
    return AsyncRedisLink(given)


def _check(given: object, *, store: str, wanted: str, other: str) -> None:
    right = require(wanted, extra="redis", needed_by=store)
    wrong = require(other, extra="redis", needed_by=store)
    if isinstance(given, (right.Redis, right.RedisCluster)):
        return
    article, link = _LINKS[wanted]
    expected = f"as {article} {link} or a client of {wanted}"
    if isinstance(given, str):
        expected = f"{expected} (of a URL, {link}.from_url(url))"
    # By name: an isinstance check would import asyncio where nothing async is.
    names = {base.__name__ for base in type(given).__mro__}
    if names & {"AsyncRedisLink", "RedisLink"} or isinstance(given, (wrong.Redis, wrong.RedisCluster)):
        twin = store.removeprefix("Async") if store.startswith("Async") else f"Async{store}"
        expected = f"{expected} ({twin} takes those of {other})"
    raise ConfigurationError("link", masked(given), expected)
