"""Totals that are estimated or remembered."""

from __future__ import annotations

import pytest

from scalekit.cache import AsyncCache, Cache
from scalekit.errors import ConfigurationError
from scalekit.pagination import (
    AsyncCursorPaginator,
    AsyncOffsetPaginator,
    Count,
    CursorPaginator,
    OffsetPaginator,
    SequenceSource,
    Total,
)
from scalekit.testing import ManualClock

FEED = CursorPaginator(["id"], secret="s", limit=3)
ASYNC_FEED = AsyncCursorPaginator(["id"], secret="s", limit=3)


class Guessing(SequenceSource):
    """Counts when asked to, and says how often."""

    def __init__(self, rows, guess=None):
        super().__init__([{"id": n} for n in range(rows)])
        self.guess = guess
        self.counted = []

    def estimate(self):
        return self.guess

    def count(self, at_most, /):
        self.counted.append(at_most)
        return super().count(at_most)


class AsyncGuessing:
    def __init__(self, rows, guess=None):
        self.inner = Guessing(rows, guess)

    def order(self, wanted, /):
        return self.inner.order(wanted)

    async def fetch(self, window, /):
        return self.inner.fetch(window)

    async def slice(self, offset, limit, /):
        return self.inner.slice(offset, limit)

    async def count(self, at_most, /):
        return self.inner.count(at_most)

    async def estimate(self):
        return self.inner.estimate()


CASES = [
    (30, 25, Count(25, "estimate"), []),  # believed, though it is wrong: nothing was counted
    (30, 21, Count(21, "estimate"), []),
    (15, 20, Count(15, "exact"), [21]),  # too small to be believed
    (30, 0, Count(20, "at_least"), [21]),
    (30, None, Count(20, "at_least"), [21]),
    (15, None, Count(15, "exact"), [21]),
]


@pytest.mark.parametrize(("rows", "guess", "expected", "counted"), CASES)
def test_a_small_estimate_is_counted(rows, guess, expected, counted):
    source = Guessing(rows, guess)
    total = Total.estimate(exact_below=20)
    assert FEED.paginate(source, total=total).total == expected
    assert FEED.last(source, total=total).total == expected
    assert source.counted == counted * 2
    assert OffsetPaginator(total=total).paginate(source).total == expected


@pytest.mark.anyio
@pytest.mark.parametrize(("rows", "guess", "expected", "counted"), CASES)
async def test_awaited_it_is_the_same(rows, guess, expected, counted):
    source = AsyncGuessing(rows, guess)
    total = Total.estimate(exact_below=20)
    assert (await ASYNC_FEED.paginate(source, total=total)).total == expected
    assert (await AsyncOffsetPaginator(total=total).paginate(source)).total == expected
    assert source.inner.counted == counted * 2


def test_only_an_estimate_asks_for_one():
    source = Guessing(30, guess=7_000_000)
    assert FEED.paginate(source, total=Total.exact()).total == (30, "exact")
    assert FEED.paginate(source, total=Total.capped(10)).total == (10, "at_least")
    assert Total.estimate().rows == 10_001


def test_a_remembered_total_is_counted_once():
    clock = ManualClock()
    cache = Cache(clock=clock)
    source = Guessing(30)
    total = Total.exact().cached(cache, "listings:area:3", ttl="1m")
    for _ in range(3):
        assert FEED.paginate(source, total=total).total == Count(30, "exact")
    assert len(source.counted) == 1
    other = Total.exact().cached(cache, "listings:area:4", ttl="1m")
    assert FEED.paginate(Guessing(4), total=other).total == Count(4, "exact")
    clock.advance("61s")
    assert OffsetPaginator(total=total).paginate(source).total == Count(30, "exact")
    assert len(source.counted) == 2
    about = Total.estimate(exact_below=5).cached(cache, "about", ttl="1m")
    found = FEED.paginate(Guessing(30, 99), total=about).total
    assert (found, type(found)) == (Count(99, "estimate"), Count)
    assert FEED.paginate(Guessing(30, 7), total=about).total == Count(99, "estimate")


class Blocking:
    def get_or_set(self, key, load, ttl):
        return [1, "exact"]


@pytest.mark.anyio
async def test_a_remembered_total_awaited():
    cache = AsyncCache()
    source = AsyncGuessing(30)
    total = Total.capped(7).cached(cache, "k", ttl=60)
    for _ in range(3):
        assert (await ASYNC_FEED.paginate(source, total=total)).total == Count(7, "at_least")
    assert source.inner.counted == [8]
    with pytest.raises(
        ConfigurationError, match="cache to be an AsyncCache, for a paginator that is awaited"
    ):
        await ASYNC_FEED.paginate(source, total=Total.exact().cached(Blocking(), "k", ttl=60))
    with pytest.raises(ConfigurationError, match="cache to be a Cache, for a paginator that blocks"):
        FEED.paginate(Guessing(3), total=Total.exact().cached(cache, "j", ttl=60))


def test_bad_arguments_are_refused():
    for wrong in (0, -1, 1.5, "10", True, None):
        with pytest.raises(ConfigurationError, match=r"expected exact_below >= 1, a whole number; got "):
            Total.estimate(exact_below=wrong)
    for wrong in (None, {}, Cache):
        with pytest.raises(
            ConfigurationError, match=r"expected (cache to be a Cache|key to be non-empty text); got"
        ):
            Total.exact().cached(wrong, "k" if wrong is not Cache else "", ttl=1)
    with pytest.raises(ConfigurationError, match="expected key to be non-empty text; got 5"):
        Total.exact().cached(Cache(), 5, ttl=1)
    with pytest.raises(ConfigurationError, match="expected ttl > 0 seconds; got 0"):
        Total.exact().cached(Cache(), "k", ttl=0)
    assert repr(Total.estimate(exact_below=3)) == "Total.estimate(exact_below=3)"
