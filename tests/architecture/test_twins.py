from __future__ import annotations

import pytest

from tests.architecture.source import SCALEKIT
from tests.architecture.twins import check_twins, lonely

# Where twins must differ, each with the reason. At most three entries per block: beyond that, generate.
ALLOWED: dict[str, str] = {
    "redis.AsyncRedisLink": "one pipeline per event loop; the sync link keeps one connection per thread",
    "cache.AsyncFlights": "loads are tasks, which can be cancelled, or run in the thread that asks",
    "cache.AsyncBackground": "tasks, or daemon threads",
    "ratelimit.AsyncRenewals": "a task for each lease, or one thread for all",
    "ratelimit.AsyncTurn": "an event of a loop, set from other threads, or one of threads",
    "cache.AsyncWarming": "workers are tasks, or threads of a pool",
}

# Async classes that have no sync twin on purpose.
LONELY: dict[str, str] = {}


def test_twins_are_equal():
    problems = check_twins(SCALEKIT, allowed=ALLOWED)
    assert not problems, "\n".join(problems)


def test_every_async_class_has_a_sync_twin():
    assert set(lonely(SCALEKIT)) == set(LONELY)


SYNC = '''
class Cache:
    """Says sync."""

    def __init__(self, store: Store, *, ttl: float = 1.0) -> None:
        self.store = store

    def get(self, key: str, load: Callable[[], T]) -> T | None:
        """Get."""
        with self.lock:
            for item in self.store.items(key):
                if item:
                    return item
            return [load() for x in self.store]

    def __enter__(self) -> Cache:
        return self

    def close(self) -> None:
        self.store.close()

    def items(self, pause: Callable[[float], object] = time.sleep) -> Iterator[int]:
        answer = self.store.count()
        yield answer
'''

ASYNC = '''
class AsyncCache:
    """Says async."""

    def __init__(self, store: AsyncStore | NonblockingStore, *, ttl: float = 1.0) -> None:
        self.store = store

    async def get(self, key: str, load: Callable[[], Awaitable[T]]) -> T | None:
        """Get, asynchronously."""
        async with self.lock:
            async for item in self.store.items(key):
                if item:
                    return item
            return [await load() async for x in self.store]

    async def __aenter__(self) -> AsyncCache:
        return self

    async def aclose(self) -> None:
        await self.store.aclose()

    async def items(self, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> AsyncIterator[int]:
        answer = self.store.count()
        if not isinstance(answer, int):
            answer = await answer
        yield answer
'''


def written(planted, sync=SYNC, asynchronous=ASYNC):
    exported = "__all__ = ['AsyncCache', 'Cache']"
    return planted({"cache/__init__.py": exported, "cache/_sync.py": sync, "cache/_async.py": asynchronous})


def test_what_only_awaits_is_equal(planted):
    assert check_twins(written(planted), allowed={}) == []


@pytest.mark.parametrize(
    ("original", "changed", "complaint"),
    [
        ("ttl: float = 1.0", "ttl: float = 2.0", "__init__: signatures differ"),
        ("ttl: float", "ttl: int", "__init__: signatures differ"),
        ("*, ttl", "ttl", "__init__: signatures differ"),
        ("-> T | None", "-> T", "get: signatures differ"),
        ("if item:", "if not item:", "get: bodies differ"),
        ("await self.store.aclose()", "pass", "close: bodies differ"),
        ("async def aclose", "async def shut", "close: missing on the async side"),
        ("async def aclose", "async def shut", "shut: missing on the sync side"),
    ],
)
def test_a_difference_is_found(planted, original, changed, complaint):
    assert original in ASYNC
    problems = check_twins(written(planted, asynchronous=ASYNC.replace(original, changed, 1)), allowed={})
    assert any(problem.startswith(f"cache.AsyncCache.{complaint}") for problem in problems), problems


def test_an_allowed_difference_is_in_bodies_only_and_must_still_be_one(planted):
    package = written(planted, asynchronous=ASYNC.replace("if item:", "if not item:"))
    assert check_twins(package, allowed={"cache.AsyncCache.get": "reason"}) == []
    assert check_twins(package, allowed={"cache.AsyncCache": "reason"}) == []
    equal = written(planted)
    for entry in ("cache.AsyncCache.get", "cache.AsyncCache"):
        assert check_twins(equal, allowed={entry: "reason"}) == [
            f"{entry}: allowed to differ, but does not (any more)"
        ]
    package = written(planted, asynchronous=ASYNC.replace("-> T | None", "-> T"))
    assert any("signatures differ" in p for p in check_twins(package, allowed={"cache.AsyncCache": "reason"}))


def test_a_lonely_async_class_is_found(planted):
    assert lonely(planted({"cache/redis.py": "class AsyncOnly: pass\nclass _Own: pass"})) == [
        "cache.AsyncOnly"
    ]


def test_the_private_parts_of_a_block_are_twins_too(planted):
    sync = "class Part:\n    def get(self): return self.store.read()\ndef made(x): return x.get()"
    right = (
        "class AsyncPart:\n    async def get(self): return await self.store.read()\n"
        "async def async_made(x): return await x.get()"
    )
    package = planted({"cache/_part.py": sync, "cache/_async_part.py": right})
    assert check_twins(package, allowed={}) == []
    wrong = right.replace("read", "begin").replace("x.get", "x.look")
    package = planted({"cache/_part.py": sync, "cache/_async_part.py": wrong})
    assert check_twins(package, allowed={}) == [
        "cache.AsyncPart.get: bodies differ",
        "cache.async_made: bodies differ",
    ]
