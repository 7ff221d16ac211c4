"""A cached hit in memory, against what one writes by hand and the peers: `python -m benchmarks.cache.hit`.

Every contender answers the same calls, in turns, in this process; a figure is the best of many
rounds. The ratios are within one run: nanoseconds of two runs or two machines cannot be compared.

* inline: a dict and a TTL written into the function itself: `(value, expires)` under the arguments
* decorator: the same as the decorator one writes once, `def wrapper(*args)`; without keywords,
  bound, tags, statistics, or telling 1 from True
* the peers, each as its documentation shows it, with a TTL, and a bound where it has one

Ours has a TTL, a bound, two tags, a normalised and typed key, and statistics.
"""

from __future__ import annotations

import asyncio
import functools
import time
import timeit
from typing import TYPE_CHECKING, Any

from benchmarks.cache._peers import async_decorators, sync_decorators
from scalekit.cache import AsyncCache, Cache

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = range(1_000)
ROUNDS = 15
ROUND = 0.02
"""Seconds that one contender's part of a round takes, about."""
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
    """Return nanoseconds per call, a loop over all keys included."""
    rounds: dict[str, Callable[[], float]] = {}
    for name, (function, call) in contenders.items():
        timer = timeit.Timer(f"for k in keys: {call}", globals={"f": function, "keys": KEYS})
        timer.timeit(1)
        loops = max(1, int(ROUND / timer.timeit(1)))
        rounds[name] = lambda timer=timer, loops=loops: timer.timeit(loops) / loops  # type: ignore[misc]
    return _best(rounds)


async def async_figures(contenders: dict[str, Callable[..., Any]]) -> dict[str, float]:
    """Return nanoseconds per awaited call, a loop over all keys included."""
    best = dict.fromkeys(contenders, float("inf"))
    loops: dict[str, int] = {}
    for name, function in contenders.items():
        await _pass(function)
        loops[name] = max(1, int(ROUND / await _pass(function)))
    for _ in range(ROUNDS):
        for name, function in contenders.items():
            took = sum([await _pass(function) for _ in range(loops[name])]) / loops[name]
            best[name] = min(best[name], took / len(KEYS) * 1e9)
    return best


async def _pass(function: Callable[..., Any]) -> float:
    start = time.perf_counter()
    for key in KEYS:
        await function(key)
    return time.perf_counter() - start


def _best(rounds: dict[str, Callable[[], float]]) -> dict[str, float]:
    best = dict.fromkeys(rounds, float("inf"))
    for _ in range(ROUNDS):
        for name, run in rounds.items():
            best[name] = min(best[name], run() / len(KEYS) * 1e9)
    return best


def show(title: str, figures: dict[str, float], goals: dict[str, str]) -> None:
    """Print each contender's time, and what it is of ours."""
    ours = figures["scalekit"]
    print(f"{title:28}{'ns':>8}{'of ours':>10}   goal")
    for name, nanoseconds in figures.items():
        print(f"  {name:26}{nanoseconds:>8.0f}{nanoseconds / ours:>10.2f}   {goals.get(name, '')}")
    print()


HAND = {"inline": ">= 0.91 (ours <= 1.1 x)"}
SYNC_GOALS = HAND | {"cachebox": ">= 2.5", "cachetools, lock": ">= 6", "dogpile.cache": ">= 50"}
ASYNC_GOALS = HAND | {"aiocache": ">= 80", "cashews": ">= 130", "cashews, 2 tags": ">= 130"}


def main() -> None:
    cached = Cache().cached(ttl=TTL, tags=TAGS)
    async_cached = AsyncCache().cached(ttl=TTL, tags=TAGS)
    cached_two = cached(two)
    peers = {name: (decorate(one), "f(k)") for name, decorate in sync_decorators(TTL).items()}
    figures = sync_figures(
        {
            "inline": (inline({}), "f(k)"),
            "decorator": (decorator(one), "f(k)"),
            "scalekit": (cached(one), "f(k)"),
            **peers,
        }
    )
    show("sync, f(7)", figures, SYNC_GOALS)
    figures = sync_figures(
        {
            "inline": (inline_2({}), 'f(k, "en")'),
            "decorator": (decorator(two), 'f(k, "en")'),
            "scalekit": (cached_two, 'f(k, "en")'),
            "scalekit, default": (cached_two, "f(k)"),
            "scalekit, keywords": (cached_two, 'f(user_id=k, locale="en")'),
        }
    )
    show('sync, f(7, "en")', figures, HAND)
    async_peers = {name: decorate(async_one) for name, decorate in async_decorators(TTL).items()}
    contenders = {
        "inline": async_inline({}),
        "decorator": async_decorator(async_one),
        "scalekit": async_cached(async_one),
        **async_peers,
    }
    show("async, await f(7)", asyncio.run(async_figures(contenders)), ASYNC_GOALS)


if __name__ == "__main__":
    main()
