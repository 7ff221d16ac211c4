"""Counting for a page: from the cache, by the source's estimate, or by a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.errors import ConfigurationError
from scalekit.pagination._total import Count

if TYPE_CHECKING:
    from scalekit.pagination._total import Total


def counted(source: Any, total: Total | None) -> Count | None:
    """Return the count that `total` asks for, or None without one."""
    if total is None or total.memo is None:
        return None if total is None else _counted_now(source, total)

    def load() -> list[Any]:
        return list(_counted_now(source, total))

    cache, key, ttl = total.memo
    found: Any = cache.get_or_set(key, load, ttl=ttl)
    if hasattr(found, "__await__"):
        found.close()
        raise ConfigurationError("cache", cache, "to be a Cache, for a paginator that blocks")
    return Count(*found)


def _counted_now(source: Any, total: Total) -> Count:
    guess: int | None = None
    if total.guesses and hasattr(source, "estimate"):
        guess = source.estimate()
    return (total.taken(guess) if total.guesses else None) or total.counted(source.count(total.rows))


async def async_counted(source: Any, total: Total | None) -> Count | None:
    """As `counted`, awaited."""
    if total is None or total.memo is None:
        return None if total is None else await _async_counted_now(source, total)

    async def load() -> list[Any]:
        return list(await _async_counted_now(source, total))

    cache, key, ttl = total.memo
    found: Any = cache.get_or_set(key, load, ttl=ttl)
    if not hasattr(found, "__await__"):
        raise ConfigurationError("cache", cache, "to be an AsyncCache, for a paginator that is awaited")
    return Count(*await found)


async def _async_counted_now(source: Any, total: Total) -> Count:
    guess: int | None = None
    if total.guesses and hasattr(source, "estimate"):
        guess = await source.estimate()
    return (total.taken(guess) if total.guesses else None) or total.counted(await source.count(total.rows))
