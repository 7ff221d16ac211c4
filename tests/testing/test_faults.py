from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading

import pytest

from scalekit.cache import Cache, IndexedCacheStore, MemoryCacheStore
from scalekit.errors import BackendError, ConfigurationError
from scalekit.ratelimit import MemoryRateLimitStore
from scalekit.ratelimit.protocols import NonblockingRateLimitStore, RateLimitStore
from scalekit.testing import Gate, ManualClock, flaky, hung, slow


class Store:
    """Of no block: faults know nothing of what they wrap."""

    nonblocking = True

    def __init__(self):
        self.done = []

    def get(self, key, /, *, default=None):
        """Get."""
        self.done.append(key)
        return default

    def put(self, key):
        self.done.append(key)

    def _private(self):
        return "private"

    def __len__(self):
        return len(self.done)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.done.append("closed")


class AsyncStore:
    def __init__(self):
        self.done = []

    async def get(self, key):
        self.done.append(key)
        return key


def outcomes(store, calls):
    results = []
    for i in range(calls):
        try:
            store.get(i)
        except BackendError:
            results.append("x")
        else:
            results.append(".")
    return "".join(results)


class TestFlaky:
    def test_fails_by_pattern_over_and_over(self):
        inner = Store()
        store = flaky(inner, fails=[False, False, True])
        assert outcomes(store, 8) == "..x..x.."
        assert inner.done == [0, 1, 3, 4, 6, 7]

    def test_fails_by_chance_but_the_same_for_a_seed(self):
        first, again, other = (outcomes(flaky(Store(), rate=0.3, seed=seed), 200) for seed in (1, 1, 2))
        assert first == again != other
        assert 30 < first.count("x") < 90
        assert outcomes(flaky(Store(), rate=0), 50) == "." * 50
        assert outcomes(flaky(Store(), rate=1), 50) == "x" * 50

    def test_an_answer_lost_is_a_call_done(self):
        inner = Store()
        store = flaky(inner, fails=[True], when="after")
        assert outcomes(store, 2) == "xx"
        assert inner.done == [0, 1]

    def test_the_error(self):
        with pytest.raises(BackendError, match=r"^Store get: injected fault$"):
            flaky(Store(), fails=[True]).get(1)
        with pytest.raises(OSError, match="mine"):
            flaky(Store(), fails=[True], error=lambda: OSError("mine")).get(1)

    def test_only_some_methods(self):
        store = flaky(Store(), fails=[True], only=["put"])
        assert store.get(1, default=5) == 5
        with pytest.raises(BackendError):
            store.put(1)

    @pytest.mark.anyio
    async def test_async_methods_stay_async(self):
        inner = AsyncStore()
        store = flaky(inner, fails=[True, False])
        assert inspect.iscoroutinefunction(store.get)
        with pytest.raises(BackendError):
            await store.get(1)
        assert await store.get(2) == 2
        lossy = flaky(inner, fails=[True], when="after")
        with pytest.raises(BackendError):
            await lossy.get(3)
        assert inner.done == [2, 3]

    def test_threads_share_the_pattern(self):
        store, results = flaky(Store(), fails=[True, False]), []
        threads = [threading.Thread(target=lambda: results.append(outcomes(store, 100))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "".join(results).count("x") == 400

    @pytest.mark.parametrize(
        "options",
        [
            *(
                {},
                {"fails": []},
                {"fails": [1]},
                {"fails": [True], "rate": 0.5},
                {"rate": 1.5},
                {"rate": True},
            ),
            *({"rate": float("nan")}, {"rate": "1"}, {"fails": [True], "when": "during"}),
            {"fails": [True], "only": ["nothing"]},
        ],
    )
    def test_nonsense_is_refused(self, options):
        with pytest.raises(ConfigurationError, match=r"expected \w+ .*; got "):
            flaky(Store(), **options)


class TestSlow:
    def test_sleeps_before_the_call(self):
        clock = ManualClock()
        start, inner = clock(), Store()
        store = slow(inner, "250ms", sleep=clock.advance)
        assert store.get(1, default=2) == 2
        assert clock() - start == 0.25

    def test_sleeps_for_real_by_default(self):
        assert slow(Store(), 0.001).get(1, default=3) == 3

    @pytest.mark.anyio
    async def test_async(self):
        clock = ManualClock()
        start = clock()
        assert await slow(AsyncStore(), 2, sleep=clock.advance).get(1) == 1
        assert clock() - start == 2
        assert await slow(AsyncStore(), 0.001).get(1) == 1

    @pytest.mark.parametrize("delay", [-1, True, float("nan"), "x"])
    def test_nonsense_is_refused(self, delay):
        with pytest.raises(ConfigurationError, match=r"expected delay .*; got "):
            slow(Store(), delay)


class TestHung:
    def test_hangs_threads_until_released(self):
        gate, inner = Gate(), Store()
        store = hung(inner, gate)
        threads = [threading.Thread(target=store.get, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        gate.wait_for_callers(3)
        assert gate.waiting == 3
        assert inner.done == []
        gate.release()
        for thread in threads:
            thread.join(10)
        assert sorted(inner.done) == [0, 1, 2]
        assert gate.waiting == 0
        store.get(4)

    @pytest.mark.anyio
    async def test_hangs_tasks_until_released_or_cancelled(self):
        gate, inner = Gate(), AsyncStore()
        store = hung(inner, gate)
        tasks = [asyncio.create_task(store.get(i)) for i in range(3)]
        await asyncio.sleep(0)  # each runs until it hangs
        assert gate.waiting == 3
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        assert (gate.waiting, inner.done) == (2, [])
        threading.Thread(target=gate.release).start()
        assert await asyncio.gather(*tasks[1:]) == [1, 2]
        assert await store.get(4) == 4

    def test_waiting_for_callers_has_a_deadline(self):
        with pytest.raises(TimeoutError, match="expected 1 hanging calls; got 0"):
            Gate().wait_for_callers(1, timeout=0.001)


WRAPPERS = [
    lambda store: flaky(store, rate=0),
    lambda store: slow(store, 0, sleep=lambda seconds: None),
    lambda store: hung(store, opened()),
]


def opened():
    gate = Gate()
    gate.release()
    return gate


@pytest.mark.parametrize("wrap", WRAPPERS)
class TestStandIn:
    def test_is_like_the_store(self, wrap):
        inner = Store()
        store = wrap(inner)
        assert store.get(1, default=2) == 2
        assert store.get.__doc__ == "Get."
        assert len(store) == 1
        with store:
            pass
        assert store.done == [1, "closed"]
        store.done = []
        assert inner.done == []
        with pytest.raises(AttributeError):
            store.missing  # noqa: B018

    def test_fits_the_runtime_protocol(self, wrap):
        assert isinstance(wrap(MemoryRateLimitStore()), RateLimitStore)

    def test_wraps_the_wrapped(self, wrap):
        store = flaky(wrap(Store()), fails=[False, True])
        assert outcomes(store, 4) == ".x.x"


def test_what_may_block_is_not_nonblocking_any_more():
    flaky_store, slow_store, hung_store = (wrap(MemoryRateLimitStore()) for wrap in WRAPPERS)
    assert isinstance(flaky_store, NonblockingRateLimitStore)
    assert not isinstance(slow_store, NonblockingRateLimitStore)
    assert not isinstance(hung_store, NonblockingRateLimitStore)


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_no_hit_bypasses_the_fault(wrap):
    assert not isinstance(wrap(MemoryCacheStore()), IndexedCacheStore)
    with pytest.raises(ConfigurationError, match=r"expected only among .*; got \['pin'\]"):
        flaky(MemoryCacheStore(), rate=1.0, only={"pin"})


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_method_of_an_index_is_one_like_any_other_in_a_store_that_has_none(wrap):
    class Leases(Store):
        def renew(self, key):
            return key

    assert wrap(Leases()).renew(1) == 1


def test_a_call_through_a_store_that_fails_always_loads():
    cache = Cache(flaky(MemoryCacheStore(), rate=1.0))

    @cache.cached(ttl="1h")
    def double(n: int) -> int:
        return 2 * n

    assert [double(2), double(2)] == [4, 4]
    assert (cache.stats().loads, cache.stats().hits) == (2, 0)


def test_a_call_that_hits_asks_a_store_that_fails_at_times():
    cache = Cache(flaky(MemoryCacheStore(), fails=[False, False, True], only={"read"}))

    @cache.cached(ttl="1h")
    def double(n: int) -> int:
        return 2 * n

    assert [double(2) for _ in range(3)] == [4] * 3
    assert cache.stats().backend_errors == 1


@pytest.mark.parametrize(
    ("parameter", "value", "made"),
    [
        ("error", 5, lambda: flaky(Store(), fails=[True], error=5)),
        ("error", "x", lambda: flaky(Store(), rate=0, error="x")),
        ("fails", True, lambda: flaky(Store(), fails=True)),
        ("when", [], lambda: flaky(Store(), rate=0, when=[])),
        ("sleep", 5, lambda: slow(Store(), 1, sleep=5)),
        ("gate", 5, lambda: hung(Store(), 5)),
        ("only", "get", lambda: flaky(Store(), rate=0, only="get")),
        ("only", "read", lambda: slow(Store(), 1, only="read")),
        ("only", 5, lambda: hung(Store(), Gate(), only=5)),
        ("only", ["x", 5, []], lambda: hung(Store(), Gate(), only=["x", "get", 5, []])),
        ("store", 5, lambda: flaky(5)),
        ("store", None, lambda: slow(None, 1)),
        ("store", Store, lambda: hung(Store, Gate())),
        ("count", "x", lambda: Gate().wait_for_callers("x")),
        ("count", 0, lambda: Gate().wait_for_callers(0)),
        ("count", True, lambda: Gate().wait_for_callers(True)),
    ],
)
def test_what_is_wrong_is_named(parameter, value, made):
    with pytest.raises(ConfigurationError, match=rf"^expected {parameter} .*; got ") as caught:
        made()
    assert (caught.value.parameter, caught.value.value) == (parameter, value)


@pytest.mark.parametrize("absent", ["pytest", "hypothesis"])
def test_a_suite_without_its_tools_says_how_to_install_them(absent):
    code = f"""if True:
        import sys
        sys.modules[{absent!r}] = None
        from scalekit.testing import ManualClock, flaky
        try:
            from scalekit.testing import RateLimitStoreSuite
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"RateLimitStoreSuite needs {absent}: pip install pytest hypothesis\n"
