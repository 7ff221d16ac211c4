"""What a store on Redis is given: a link to share, or a redis-py client to make a link from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.redis._sync import RedisLink

if TYPE_CHECKING:
    from scalekit.redis._async import AsyncRedisLink

_GIVEN = "link_or_client"
_LINKS = {"redis": "a RedisLink", "redis.asyncio": "an AsyncRedisLink"}


def given_link(link_or_client: object, *, store: str) -> RedisLink:
    """Return the link itself, or a link with defaults to where a redis-py client leads.

    Raises `ConfigurationError` for anything else; for what is async it names `Async{store}`.
    """
    if isinstance(link_or_client, RedisLink):
        return link_or_client
    _check(link_or_client, store=store, wanted="redis", other="redis.asyncio")
    return RedisLink(link_or_client)


def async_given_link(link_or_client: object, *, store: str) -> AsyncRedisLink:
    """Return the link itself, or a link with defaults to where a `redis.asyncio` client leads.

    Raises `ConfigurationError` for anything else; for what is blocking it names `store` without "Async".
    """
    from scalekit.redis._async import AsyncRedisLink  # noqa: PLC0415  # brings asyncio, which threads can spare

    if isinstance(link_or_client, AsyncRedisLink):
        return link_or_client
    _check(link_or_client, store=store, wanted="redis.asyncio", other="redis")
    return AsyncRedisLink(link_or_client)


def _check(given: object, *, store: str, wanted: str, other: str) -> None:
    right = require(wanted, extra="redis", needed_by=store)
    wrong = require(other, extra="redis", needed_by=store)
    if isinstance(given, (right.Redis, right.RedisCluster)):
        return
    expected = f"as {_LINKS[wanted]} or a client of {wanted}"
    # By name: an isinstance check would import asyncio where nothing async is.
    names = {base.__name__ for base in type(given).__mro__}
    if names & {"AsyncRedisLink", "RedisLink"} or isinstance(given, (wrong.Redis, wrong.RedisCluster)):
        twin = store.removeprefix("Async") if store.startswith("Async") else f"Async{store}"
        expected = f"{expected} ({twin} takes those of {other})"
    raise ConfigurationError(_GIVEN, given, expected)
