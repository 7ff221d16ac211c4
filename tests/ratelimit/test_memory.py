from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from scalekit.errors import ConfigurationError
from scalekit.ratelimit import NEVER, Limit, MemoryRateLimitStore, Quota, Verdict
from tests.cache.forking import in_child, inside

SECOND = 1_000_000
START = 10**12


def quota(text):
    return Quota(Limit.parse_many(text))


@pytest.mark.parametrize(("max_keys", "flood"), [(1, 9_000), (16, 9_000), (1000, 100_000), (5000, 15_000)])
def test_a_flood_neither_resets_a_blocked_key_nor_grows(max_keys, flood):
    store, limit = MemoryRateLimitStore(max_keys=max_keys), quota("5/15m")
    for _ in range(5):
        assert store.hit("victim", limit, 1, START).allowed
    for i in range(flood):
        store.hit(f"flood:{i}", limit, 1, START + i)
        if i % 499 == 0:
            assert len(store) <= max_keys
            assert not store.hit("victim", limit, 1, START + i).allowed
    assert not store.hit("victim", limit, 1, START + 899 * SECOND).allowed
    assert store.hit("victim", limit, 5, START + 900 * SECOND).allowed


def test_of_the_others_the_one_that_used_least_makes_room():
    store, limit = MemoryRateLimitStore(max_keys=3), quota("5/15m")
    for key, cost in (("a", 3), ("b", 1), ("c", 2)):
        store.hit(key, limit, cost, START)
    store.hit("d", limit, 4, START)
    assert [store.peek(key, limit, 1, START).remaining for key in "abcd"] == [(2,), (5,), (3,), (1,)]


def test_when_all_are_blocked_the_newcomer_waits_for_the_first_to_be_free():
    store, limit = MemoryRateLimitStore(max_keys=2), quota("1/10s; 100/h")
    store.hit("a", limit, 1, START)
    store.hit("b", limit, 1, START + SECOND)
    verdict = store.hit("c", limit, 1, START + 2 * SECOND)
    assert not verdict.allowed
    assert verdict.retry == verdict.reset == (8 * SECOND, 8 * SECOND)
    assert verdict.remaining == (0, 0)
    assert len(store) == 2
    assert store.hit("c", limit, 1, START + 10 * SECOND).allowed
    assert not store.hit("b", limit, 1, START + 10 * SECOND).allowed


def test_expired_keys_make_room_before_others_are_forgotten():
    store, limit = MemoryRateLimitStore(max_keys=4), quota("5/10s")
    for i in range(4):
        store.hit(f"old:{i}", limit, 1, START)
    for i in range(4):
        assert store.hit(f"new:{i}", limit, 1, START + 10 * SECOND).allowed
    assert [store.peek(f"new:{i}", limit, 1, START + 10 * SECOND).remaining for i in range(4)] == [(4,)] * 4


def test_the_dead_do_not_outgrow_the_living():
    store, limit = MemoryRateLimitStore(), quota("5/s")
    for i in range(20_000):
        store.hit(f"k:{i}", limit, 1, START + i * 10_000)  # a hundred of them count at any moment
    assert len(store) < 100 * 64 / 10  # over 64 shards, each of which is swept as it is used


def test_denials_peeks_refunds_and_resets_hold_no_memory():
    store, limit = MemoryRateLimitStore(), quota("5/s")
    assert not store.hit("a", limit, 6, START).allowed
    store.peek("b", limit, 1, START)
    store.refund("c", limit, 1, START)
    store.reset("d")
    assert len(store) == 0


def test_reset_and_hit_in_turn_keep_one_entry():
    store, limit = MemoryRateLimitStore(max_keys=8), quota("5/s")
    for _ in range(100):
        store.hit("a", limit, 5, START)
        store.reset("a")
    assert len(store) == 1
    assert store.peek("a", limit, 1, START).remaining == (5,)


def test_threads_over_many_keys_with_eviction_stay_within_the_bound():
    store, limit = MemoryRateLimitStore(max_keys=50), quota("3/h")
    barrier = threading.Barrier(8)
    failures = []

    def work(n):
        barrier.wait()
        try:
            for i in range(2_000):
                store.hit(f"{n}:{i}", limit, 1, START + i)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store) <= 50


@pytest.mark.parametrize("max_keys", [0, -1, True, 1.5, float("nan"), "9", None])
def test_bad_bounds_are_refused(max_keys):
    with pytest.raises(ConfigurationError, match=r"expected max_keys .*; got "):
        MemoryRateLimitStore(max_keys=max_keys)


@pytest.mark.parametrize("max_keys", [1, 2047, 2048, 1_000_000])
def test_shards_never_hold_more_than_the_bound(max_keys):
    store = MemoryRateLimitStore(max_keys=max_keys)
    assert 0.9 * max_keys <= sum(shard.bound for shard in store._shards) <= max_keys


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_waits_for_no_thread_and_gives_up_what_one_left_half_done():
    store, limit = MemoryRateLimitStore(max_keys=2048), quota("5/15m")
    for i in range(100):
        store.hit(f"k{i}", limit, 5, START)
    held, other = store._shards
    lost, kept = list(held.states), list(other.states)

    def check():
        assert all(store.hit(key, limit, 1, START).allowed for key in lost)
        assert not any(store.hit(key, limit, 1, START).allowed for key in kept)
        assert len(store) == 100

    with inside(held.lock):
        in_child(check)
    assert not any(store.hit(key, limit, 1, START).allowed for key in lost + kept)


class Interrupting(Quota):
    """A quota that calls into the store whenever a rule looks at it, as a finaliser may."""

    __slots__ = ("call",)

    def __getattribute__(self, name):
        call = super().__getattribute__("call") if name != "call" else None
        if name == "largest" and call is not None:
            self.call = None
            call()
        return super().__getattribute__(name)


@pytest.fixture
def interrupting():
    limit = Interrupting.__new__(Interrupting)
    limit.call = None
    limit.__init__(Limit.parse_many("3/m; 9/h"))
    return limit


@pytest.mark.parametrize("key", ["new", "known"])
def test_who_asks_in_the_middle_of_a_call_is_denied_and_waits_for_nothing(interrupting, key):
    store, answers = MemoryRateLimitStore(max_keys=1000), []
    store.hit("known", interrupting, 1, START)
    for method in (store.hit, store.peek):
        interrupting.call = lambda ask=method: answers.append(ask("known", quota("3/m"), 1, START))
        assert store.hit(key, interrupting, 1, START).allowed
    assert answers == [Verdict(False, (NEVER,), (0,), (0,))] * 2
    assert store.peek("known", interrupting, 1, START).remaining[1] == (8 if key == "new" else 6)


def test_what_is_to_be_changed_in_the_middle_of_a_call_is_done_at_its_end(interrupting):
    store = MemoryRateLimitStore()
    interrupting.call = lambda: store.refund("k", interrupting, 1, START)
    assert store.hit("k", interrupting, 3, START).remaining == (0, 6)
    assert store.peek("k", interrupting, 1, START).remaining == (1, 7)
    interrupting.call = lambda: store.reset("k")
    assert store.hit("k", interrupting, 1, START).remaining == (0, 6)
    assert store.peek("k", interrupting, 1, START).remaining == (3, 9)


def test_an_interrupt_leaves_no_shard_shut(interrupting):
    def interrupt():
        raise KeyboardInterrupt

    store = MemoryRateLimitStore()
    store.hit("k", interrupting, 1, START)
    before = store.peek("k", interrupting, 1, START)
    interrupting.call = interrupt
    with pytest.raises(KeyboardInterrupt):
        store.hit("k", interrupting, 1, START)
    with inside(store._shards[hash("k") & store._mask].lock):
        pass
    assert store.peek("k", interrupting, 1, START).remaining[0] in {before.remaining[0], 1}


_INTERRUPTED = """
import signal, threading
from scalekit.ratelimit import Limit, MemoryRateLimitStore, Quota

class Interrupt(Exception): pass
def interrupt(*_): raise Interrupt

store, quota = MemoryRateLimitStore(max_keys=1), Quota([Limit(5, "1m")])
held, done = threading.Event(), threading.Event()
def hold():
    with store._shards[0].lock:
        held.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    store.hit("k", quota, 1, 0)
except Interrupt:
    print("interrupted")
finally:
    done.set()
thread.join()
print(store.hit("k", quota, 1, 0).remaining)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_who_waits_for_a_shard_can_be_interrupted():
    ran = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.stderr) == ("interrupted\n(4,)\n", "")
