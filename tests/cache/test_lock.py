"""`lock="cluster"`: of all processes one loads a key. Two caches on one store are two processes."""

from __future__ import annotations

import asyncio
import threading

import pytest

from scalekit.cache import CachePolicy, MemoryCacheStore, _async_elections, _elections
from scalekit.errors import BackendError, ConfigurationError
from scalekit.testing import Gate, ManualClock
from tests.cache.either import DEADLINE, Source
from tests.cache.leasing import AsyncLeasingStore, Cluster, Leases, LeasingStore
from tests.servers.lifeline import wait_until

LONG = 3_600


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.release()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def cluster(either, kind, clock):
    return Cluster(either, kind, clock)


@pytest.fixture
def no_polls(monkeypatch):
    """Who waits is woken, or waits until the deadline."""
    for module in (_elections, _async_elections):
        monkeypatch.setattr(module, "WAIT", 2 * DEADLINE)


def both(cluster, source, **options):
    """Return (face, function) for each process; `options` as for `cached`."""
    given = {"ttl": 60, "lock": "cluster", "lease": LONG, "tags": ["t"]} | options
    return [(face, face.cached(source, **given)) for face in cluster.faces]


# -- the election ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_polls")
def test_one_process_loads_and_the_other_is_woken_to_read(cluster, gate):
    source = Source(gate=gate)
    (one, find), (other, find_too) = both(cluster, source)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    second = [other.start(find_too, 7) for _ in range(2)]
    wait_until(lambda: cluster.leases.waiting, "the other process waits")
    gate.release()
    assert first.result(DEADLINE) == "7 v1"
    assert [one.result(DEADLINE) for one in second] == ["7 v1"] * 2
    assert source.runs == 1
    assert not cluster.leases.held
    assert (one.stats().loads, other.stats().loads) == (1, 0)


def test_a_lost_wake_up_is_made_good(cluster, gate, monkeypatch):
    for module in (_elections, _async_elections):
        monkeypatch.setattr(module, "WAIT", 0.005)
    source = Source(gate=gate)
    (one, find), (other, find_too) = both(cluster, source)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    second = other.start(find_too, 7)
    wait_until(lambda: cluster.leases.calls["wait"] > 2, "it looks again and again")
    gate.release()
    assert first.result(DEADLINE) == second.result(DEADLINE) == "7 v1"
    assert source.runs == 1


def test_a_hit_asks_for_no_lease(cluster):
    (one, find), (other, find_too) = both(cluster, Source())
    one(find, 7)
    calls = dict(cluster.leases.calls)
    assert one(find, 7) == other(find_too, 7) == "7 v1"
    assert {name: number - calls[name] for name, number in cluster.leases.calls.items()} == {
        "acquire": 0,
        "release": 0,
        "read": 2,
    }


@pytest.mark.usefixtures("no_polls")
def test_when_the_elected_one_fails_the_next_is_elected(cluster, gate):
    source = Source(gate=gate)
    source.error = OSError("gone")
    (one, find), (other, find_too) = both(cluster, source)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    source.error = None
    second = other.start(find_too, 7)
    wait_until(lambda: cluster.leases.waiting, "the other process waits")
    gate.release()
    with pytest.raises(OSError, match="gone"):
        first.result(DEADLINE)
    assert second.result(DEADLINE) == "7 v2"
    assert not cluster.leases.held


@pytest.mark.usefixtures("no_polls")
def test_an_exception_that_is_an_answer_is_one_for_all(cluster, gate):
    source = Source(gate=gate)
    source.error = KeyError(7)
    (one, find), (other, find_too) = both(cluster, source, cache_exceptions=(KeyError,))
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    second = other.start(find_too, 7)
    wait_until(lambda: cluster.leases.waiting, "the other process waits")
    gate.release()
    for future in (first, second):
        with pytest.raises(KeyError):
            future.result(DEADLINE)
    assert source.runs == 1


@pytest.mark.usefixtures("no_polls")
def test_who_waited_through_an_invalidation_does_not_get_the_value_from_before(cluster, gate):
    source = Source(gate=gate)
    (one, find), (other, find_too) = both(cluster, source)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    one(one.cache.invalidate_tags, "t")
    second = other.start(find_too, 7)
    wait_until(lambda: cluster.leases.waiting, "the other process waits")
    gate.release()
    assert first.result(DEADLINE) == "7 v1"
    assert second.result(DEADLINE) == "7 v2"
    assert one(find, 7) == "7 v2", "stored with the tokens of its turn"


def test_an_invalidation_while_one_waits_for_his_turn_costs_no_load(cluster, gate):
    """He began before it, and is elected after it: what he loads then is new, and stored."""
    source = Source(gate=gate)
    (one, find), (other, find_too) = both(cluster, source)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    second = other.start(find_too, 7)
    wait_until(lambda: cluster.leases.waiting, "the other process waits")
    one(one.cache.invalidate_tags, "t")
    gate.release()
    assert first.result(DEADLINE) == "7 v1"
    assert second.result(DEADLINE) == "7 v2"
    assert one(find, 7) == "7 v2"
    assert source.runs == 2


# -- reloads behind the callers' backs -------------------------------------------------------------


def test_of_stale_values_one_process_reloads_and_the_others_leave_it(cluster, gate, clock):
    source = Source()
    pairs = both(cluster, source, stale_while_revalidate=600)
    pairs[0][0](pairs[0][1], 7)
    clock.advance(61)
    source.gate = gate
    for face, find in pairs:
        assert face(find, 7) == "7 v1"
    gate.wait_for_callers(1)
    # One of them, whichever came first, is loading: the other ends without.
    busy = [face for face, _ in pairs if face.cache._reads.elections._held]
    idle = [face for face, _ in pairs if face not in busy]
    assert len(busy) == 1
    idle[0].settle()
    gate.release()
    busy[0].settle()
    assert source.runs == 2
    assert [face(find, 7) for face, find in pairs] == ["7 v2", "7 v2"]
    assert not cluster.leases.held


def test_a_reserve_answers_when_the_elected_load_fails(cluster, clock):
    source = Source()
    (one, find), _ = both(cluster, source, stale_if_error=600)
    one(find, 7)
    clock.advance(61)
    source.error = OSError("gone")
    assert one(find, 7) == "7 v1"
    assert not cluster.leases.held


# -- leases that are renewed, lost, or whose holder is dead ----------------------------------------


def test_a_long_load_renews_its_lease_by_itself(either, kind, gate, clock):
    cluster = Cluster(either, kind, clock)
    source = Source(gate=gate)
    (one, find), (other, find_too) = both(cluster, source, lease=0.03)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    key = f"cache:{find.key(7)}"
    owner, _ = cluster.leases.held[key]
    second = other.start(find_too, 7)
    wait_until(lambda: cluster.leases.waiting, "the other process waits")
    for _ in range(3):
        clock.advance(0.02)
        wait_until(lambda: cluster.leases.held[key][1] > clock() + 0.029, "it is renewed")
    assert cluster.leases.held[key][0] == owner
    gate.release()
    assert first.result(DEADLINE) == second.result(DEADLINE) == "7 v1"


@pytest.mark.usefixtures("no_polls")
def test_a_lost_lease_raises_to_nobody_and_is_not_taken_back(cluster, gate, clock):
    source = Source(gate=gate)
    (one, find), (other, find_too) = both(cluster, source, lease=60)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    clock.advance(61)  # a process that was frozen: its lease has ended, the load goes on
    second = other.start(find_too, 7)
    gate.wait_for_callers(2)
    assert len(cluster.leases.held) == 1
    gate.release()
    assert {first.result(DEADLINE), second.result(DEADLINE)} == {"7 v1", "7 v2"}
    assert one(find, 7) in {"7 v1", "7 v2"}
    assert not cluster.leases.held


def test_a_renewal_that_finds_another_holder_is_the_last(cluster, gate):
    source = Source(gate=gate)
    (one, find), _ = both(cluster, source, lease=0.03)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    key = f"cache:{find.key(7)}"
    cluster.leases.held[key] = (b"another", one.clock() + LONG)
    wait_until(lambda: cluster.leases.denied, "it is told")
    calls = cluster.leases.calls["acquire"]
    gate.release()
    assert first.result(DEADLINE) == "7 v1"
    assert cluster.leases.calls["acquire"] == calls
    assert cluster.leases.denied == 1
    assert cluster.leases.held[key][0] == b"another", "and a lease of another is not released"


def test_a_dead_holder_is_waited_for_until_its_lease_ends(cluster, clock, monkeypatch):
    for module in (_elections, _async_elections):
        monkeypatch.setattr(module, "WAIT", 0.005)
    (one, find), _ = both(cluster, Source())
    cluster.leases.held[f"cache:{find.key(7)}"] = (b"dead", clock() + 30)
    waiting = one.start(find, 7)
    wait_until(lambda: cluster.leases.calls["wait"] > 1, "it waits")
    assert not waiting.done()
    clock.advance(30)
    assert waiting.result(DEADLINE) == "7 v1"


def test_patience_ends_after_20_leases(cluster, clock, monkeypatch):
    for module in (_elections, _async_elections):
        monkeypatch.setattr(module, "WAIT", 0.005)
    (one, find), _ = both(cluster, Source(), lease=1.0)
    cluster.leases.held[f"cache:{find.key(7)}"] = (b"busy", clock() + LONG)
    waiting = one.start(find, 7)
    wait_until(lambda: cluster.leases.calls["wait"] > 1, "it waits")
    clock.advance(19.9)
    before = cluster.leases.calls["wait"]
    wait_until(lambda: cluster.leases.calls["wait"] > before + 1, "it still waits")
    assert not waiting.done()
    clock.advance(0.1)
    assert waiting.result(DEADLINE) == "7 v1"
    assert cluster.leases.held[f"cache:{find.key(7)}"][0] == b"busy"


# -- re-entry --------------------------------------------------------------------------------------


def test_a_loader_may_come_back_to_its_own_key(cluster):
    face, runs = cluster.faces[0], []

    def load(x):
        runs.append(x)
        return (yield lambda: find(x)) if len(runs) < 3 else "end"

    find = face.cached(load, ttl=60, lock="cluster", lease=LONG)
    assert face(find, 7) == "end"
    assert not cluster.leases.held
    assert not face.cache._reads.elections._held


def test_two_loaders_of_a_process_that_wait_for_each_other(cluster, gate):
    face, runs = cluster.faces[0], []

    def load(x):
        runs.append(x)
        if len(runs) > 2:
            return "alone"
        yield gate
        return (yield lambda: find(1 - x))

    find = face.cached(load, ttl=60, lock="cluster", lease=LONG)
    callers = [face.start(find, 0), face.start(find, 1)]
    gate.wait_for_callers(2)
    gate.release()
    assert {caller.result(DEADLINE) for caller in callers} == {"alone"}


def test_a_load_after_an_invalidation_does_not_wait_for_the_one_from_before(cluster, gate):
    source = Source(gate=gate)
    (one, find), _ = both(cluster, source)
    before = one.start(find, 7)
    gate.wait_for_callers(1)
    one(find.invalidate, 7)
    after = one.start(find, 7)
    gate.wait_for_callers(2)
    gate.release()
    assert (before.result(DEADLINE), after.result(DEADLINE)) == ("7 v1", "7 v2")
    assert one(find, 7) == "7 v2"


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_error", ["load", "raise"])
@pytest.mark.parametrize("broken", [{"acquire"}, {"release"}, {"acquire", "release"}])
def test_a_failing_election_raises_to_nobody(either, kind, clock, broken, on_error):
    cluster = Cluster(either, kind, clock, on_error=on_error)
    source = Source()
    (one, find), _ = both(cluster, source)
    cluster.leases.fails = broken
    assert one(find, 7) == "7 v1"
    assert one(find, 7) == "7 v1"
    assert one.stats().backend_errors == (2 if "acquire" in broken and "release" in broken else 1)


@pytest.mark.parametrize("broken", ["acquire", "read", "wait"])
def test_a_failing_wait_raises_to_nobody_and_is_told_of_by_its_name(either, kind, clock, broken):
    cluster = Cluster(either, kind, clock, watched=True)
    (one, find), _ = both(cluster, Source())
    cluster.leases.held[f"cache:{find.key(7)}"] = (b"busy", one.clock() + LONG)
    if broken == "read":  # not that of the face, but the one after an election
        check = cluster.leases.check

        def check_and_break(name):
            check(name)
            if name == "acquire":
                cluster.leases.fails = {"read"}

        cluster.leases.check = check_and_break
    else:
        cluster.leases.fails = {broken}
    assert one(find, 7) == "7 v1"
    assert [event.operation for event in one.events if event.name == "store"] == [broken]


def test_a_renewal_that_fails_is_tried_again(cluster, gate):
    source = Source(gate=gate)
    (one, find), _ = both(cluster, source, lease=0.03)
    first = one.start(find, 7)
    gate.wait_for_callers(1)
    cluster.leases.fails = {"acquire"}
    before = cluster.leases.calls["acquire"]
    wait_until(lambda: cluster.leases.calls["acquire"] > before + 2, "it is tried again")
    cluster.leases.fails = set()
    gate.release()
    assert first.result(DEADLINE) == "7 v1"
    assert not cluster.leases.held


class Blinking(MemoryCacheStore):
    """Its second read fails: the one after the election."""

    __slots__ = ("reads",)

    def __init__(self):
        super().__init__()
        self.reads = 0

    def read(self, slot, now, /):
        self.reads += 1
        if self.reads == 2:
            raise BackendError("blinking", "read", "injected fault")
        return super().read(slot, now)


def test_a_lease_goes_back_though_the_read_after_it_failed(either, kind, clock):
    cluster = Cluster(either, kind, clock, entries=Blinking())
    (one, find), _ = both(cluster, Source())
    assert one(find, 7) == "7 v1"
    assert not cluster.leases.held
    assert one(find, 7) == "7 v1", "and the value was stored"


@pytest.mark.parametrize("where", ["load", "wait"])
def test_a_cancelled_call_leaves_no_lease(either, kind, clock, gate, where):
    if not kind.is_async:
        pytest.skip("threads cannot be cancelled")
    cluster = Cluster(either, kind, clock)
    (one, find), _ = both(cluster, Source(gate=gate))
    if where == "wait":
        cluster.leases.held[f"cache:{find.key(7)}"] = (b"busy", clock() + LONG)
    call = one.start(find, 7)
    wait_until(lambda: gate.waiting or cluster.leases.waiting, "it is under way")
    call.cancel()
    wait_until(lambda: not one.cache._reads.flights._flights and not gate.waiting, "it has ended")
    wait_until(lambda: cluster.leases.calls["release"], "it has given back what it may have had")
    assert [owner for owner, _ in cluster.leases.held.values()] in ([], [b"busy"])
    assert not one.cache._reads.elections._held


def test_a_lease_that_comes_late_goes_back_too(either, kind, clock, monkeypatch):
    """A server goes on with a statement whose caller was cancelled."""
    if not kind.is_async:
        pytest.skip("threads cannot be cancelled")
    asked, answers = threading.Event(), threading.Event()

    async def acquire(store, key, owner, seconds, /):
        async def served():
            asked.set()
            while not answers.is_set():  # noqa: ASYNC110  # a thread sets it
                await asyncio.sleep(0.001)
            for _ in range(50):
                await asyncio.sleep(0)
            return store.leases.acquire(key, owner, seconds)

        return await asyncio.shield(asyncio.ensure_future(served()))

    monkeypatch.setattr(AsyncLeasingStore, "acquire", acquire)
    cluster = Cluster(either, kind, clock)
    (one, find), _ = both(cluster, Source())
    call = one.start(find, 7)
    assert asked.wait(DEADLINE)
    call.cancel()
    answers.set()
    wait_until(lambda: cluster.leases.calls["acquire"] and cluster.leases.calls["release"], "it has ended")
    wait_until(lambda: not one.cache._reads.flights._flights, "the flight is over")
    assert not cluster.leases.held


def test_an_interrupt_gives_the_lease_back(either, kind, clock):
    if kind.is_async:
        pytest.skip("an interrupt ends an event loop")
    cluster = Cluster(either, kind, clock)
    source = Source()
    source.error = KeyboardInterrupt()
    (one, find), _ = both(cluster, source)
    with pytest.raises(KeyboardInterrupt):
        one(find, 7)
    assert not cluster.leases.held


# -- what is refused -------------------------------------------------------------------------------


def test_a_store_without_leases_is_refused_where_it_is_asked_for(either):
    face = either(MemoryCacheStore())
    with pytest.raises(ConfigurationError, match='expected lock as "process" or None'):
        face.cached(Source(), ttl=1, lock="cluster")
    with pytest.raises(ConfigurationError, match='expected lock as "process" or None'):
        face(face.cache.get_or_set, "k", face.plain(lambda: 1), ttl=1, lock="cluster")


def test_get_or_set_takes_part_in_elections(cluster):
    face = cluster.faces[0]
    policy = CachePolicy(ttl=60, lock="cluster", lease=LONG)
    assert face(face.cache.get_or_set, "k", face.plain(lambda: "v"), policy) == "v"
    assert cluster.leases.calls["acquire"] == 1
    assert cluster.leases.calls["release"] == 1


def test_the_stores_of_these_tests_are_what_they_pretend_to_be():
    from scalekit.cache import AsyncLeasingCacheStore as AsyncProtocol
    from scalekit.cache import LeasingCacheStore as Protocol

    leases = Leases(ManualClock())
    assert isinstance(LeasingStore(MemoryCacheStore(), leases), Protocol)
    assert isinstance(AsyncLeasingStore(MemoryCacheStore(), leases), AsyncProtocol)
