"""A cached hit against what one writes by hand: `python benchmarks/cache/hit.py`.

Every contender answers the same calls, in turns, in this process; a figure is the best of many
rounds. The ratios are within one run: nanoseconds of two runs or two machines cannot be compared.

* inline: a dict and a TTL written into the function itself: `(value, expires)` under the arguments
* decorator: the same as the decorator one writes once, `def wrapper(*args)`; without keywords,
  bound, tags, statistics, or telling 1 from True

Ours has all of those: a TTL, a bound, two tags, a normalised and typed key, statistics.
"""

from __future__ import annotations

import asyncio
import functools
import time
import timeit
from typing import TYPE_CHECKING, Any

from scalekit.cache import AsyncCache, Cache

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = range(1_000)
ROUNDS = 15
LOOPS = 60
TTL = 3_600.0
TAGS = ("user:{user_id}", "users")

Hits = dict[Any, tuple[Any, float]]


def inline(hits: Hits) -> Callable[..., Any]:
    def profile(user_id: int) -> int:
        hit = hits.get(user_id)
        if hit is not None and hit[1] > time.monotonic():
            return hit[0]
        hits[user_id] = (user_id, time.monotonic() + TTL)
        return user_id

    return profile


def inline_2(hits: Hits) -> Callable[..., Any]:
    def profile(user_id: int, locale: str = "en") -> str:
        key = (user_id, locale)
        hit = hits.get(key)
        if hit is not None and hit[1] > time.monotonic():
            return hit[0]
        hits[key] = (locale, time.monotonic() + TTL)
        return locale

    return profile


def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    hits: Hits = {}

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        hit = hits.get(args)
        if hit is not None and hit[1] > time.monotonic():
            return hit[0]
        value = function(*args)
        hits[args] = (value, time.monotonic() + TTL)
        return value

    return wrapper


def async_inline(hits: Hits) -> Callable[..., Any]:
    async def profile(user_id: int) -> int:
        hit = hits.get(user_id)
        if hit is not None and hit[1] > time.monotonic():
            return hit[0]
        hits[user_id] = (user_id, time.monotonic() + TTL)
        return user_id

    return profile


def async_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    hits: Hits = {}

    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        hit = hits.get(args)
        if hit is not None and hit[1] > time.monotonic():
            return hit[0]
        value = await function(*args)
        hits[args] = (value, time.monotonic() + TTL)
        return value

    return wrapper


def one(user_id: int) -> int:
    return user_id


def two(user_id: int, locale: str = "en") -> tuple[int, str]:
    return user_id, locale


async def async_one(user_id: int) -> int:
    return user_id


def sync_figures(contenders: dict[str, tuple[Callable[..., Any], str]]) -> dict[str, float]:
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(ROUNDS):
        for name, (function, call) in contenders.items():
            scope = {"f": function, "keys": KEYS}
            took = timeit.timeit(f"for k in keys: {call}", globals=scope, number=LOOPS)
            best[name] = min(best[name], took / LOOPS / len(KEYS) * 1e9)
    return best


async def async_figures(contenders: dict[str, Callable[..., Any]]) -> dict[str, float]:
    best = dict.fromkeys(contenders, float("inf"))
    for function in contenders.values():
        for key in KEYS:
            await function(key)
    for _ in range(ROUNDS):
        for name, function in contenders.items():
            start = time.perf_counter()
            for _ in range(LOOPS):
                for key in KEYS:
                    await function(key)
            best[name] = min(best[name], (time.perf_counter() - start) / LOOPS / len(KEYS) * 1e9)
    return best


def show(title: str, figures: dict[str, float], *baselines: str) -> None:
    print(f"{title:28}{'ns':>7}" + "".join(f"{'/ ' + name:>14}" for name in baselines))
    for name, nanoseconds in figures.items():
        ratios = "".join(f"{nanoseconds / figures[baseline]:>14.2f}" for baseline in baselines)
        print(f"  {name:26}{nanoseconds:>7.0f}{ratios}")
    print()


def main() -> None:
    cached = Cache().cached(ttl=TTL, tags=TAGS)
    async_cached = AsyncCache().cached(ttl=TTL, tags=TAGS)
    cached_two = cached(two)
    show(
        "sync, f(7)",
        sync_figures(
            {
                "inline": (inline({}), "f(k)"),
                "decorator": (decorator(one), "f(k)"),
                "scalekit": (cached(one), "f(k)"),
            }
        ),
        "inline",
        "decorator",
    )
    show(
        'sync, f(7, "en")',
        sync_figures(
            {
                "inline": (inline_2({}), 'f(k, "en")'),
                "decorator": (decorator(two), 'f(k, "en")'),
                "scalekit": (cached_two, 'f(k, "en")'),
                "scalekit, default": (cached_two, "f(k)"),
                "scalekit, keywords": (cached_two, 'f(user_id=k, locale="en")'),
            }
        ),
        "inline",
        "decorator",
    )
    show(
        "async, await f(7)",
        asyncio.run(
            async_figures(
                {
                    "inline": async_inline({}),
                    "decorator": async_decorator(async_one),
                    "scalekit": async_cached(async_one),
                }
            )
        ),
        "inline",
        "decorator",
    )


if __name__ == "__main__":
    main()
