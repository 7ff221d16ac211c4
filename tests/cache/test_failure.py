"""A store that fails: values are loaded, invalidations are told or queued, and nothing old is believed."""

from __future__ import annotations

import sys
import threading
from functools import partial

import pytest

from scalekit.cache import Cache, Entry, MemoryCacheStore, _async_invalidations, _invalidations, _pending
from scalekit.cache._async_invalidations import AsyncInvalidations
from scalekit.cache._entry import NamedEntry
from scalekit.cache._invalidations import Invalidations
from scalekit.errors import BackendError
from scalekit.testing import Gate, flaky
from tests.cache.either import DEADLINE, Source
from tests.servers.lifeline import wait_until

STORE_CALLS = {"read", "begin", "write", "delete", "invalidate"}


class Switch:
    """A store of which some methods fail, or wait at a gate first; it writes down what it did.

    `tells`: whether it says of an entry that the slot named all its tags.
    """

    nonblocking = True

    def __init__(self, store=None):
        self._store = MemoryCacheStore() if store is None else store
        self.fails = set()
        self.during = {}
        self.done = []
        self.tells = True
        self._tags = {}

    @property
    def off(self):
        return bool(self.fails)

    @off.setter
    def off(self, value):
        self.fails = set(STORE_CALLS) if value else set()

    def _call(self, name, *args):
        if name in self.fails:
            raise BackendError("switch", name, "off")
        if (then := self.during.pop(name, None)) is not None:
            then()
        self.done.append((name, args))
        return getattr(self._store, name)(*args)

    def read(self, slot, now, /):
        found = self._call("read", slot, now)
        if not isinstance(found, Entry) or not self.tells or self._tags.get(slot.key) != slot.tags:
            return found
        times = {
            name: getattr(found, name) for name in ("expires", "fresh_until", "load_seconds", "snapshot")
        }
        return NamedEntry(found.value, **times)

    def begin(self, slot, now, outdate, /):
        return self._call("begin", slot, now, outdate)

    def write(self, slot, entry, snapshot, now, /):
        stored = self._call("write", slot, entry, snapshot, now)
        if stored:
            self._tags[slot.key] = slot.tags
        return stored

    def delete(self, keys, /):
        return self._call("delete", keys)

    def invalidate(self, tags, /):
        return self._call("invalidate", tags)

    def names(self):
        return [name for name, _ in self.done]


@pytest.fixture
def switch():
    return Switch()


@pytest.fixture
def no_replays(monkeypatch):
    """Nothing is delivered behind the test's back, however slow it is."""
    for cls in (Invalidations, AsyncInvalidations):
        monkeypatch.setattr(cls, "_replay_later", lambda self: None)


@pytest.fixture
def quick_replays(monkeypatch):
    for module in (_invalidations, _async_invalidations):
        monkeypatch.setattr(module, "REPLAY", 0.001)
    monkeypatch.setattr(_pending, "_BETWEEN_TRIES", 0.0)  # the clock of these tests stands still


# -- reads and loads -------------------------------------------------------------------------------


def test_when_the_store_fails_values_are_loaded(either):
    face, source = either(flaky(MemoryCacheStore(), rate=1.0, only=STORE_CALLS), watched=True), Source()
    find = face.cached(source, ttl=10)
    assert (face(find, 7), face(find, 7)) == ("7 v1", "7 v2")
    assert face(find.refresh, 7) == "7 v3"
    assert face(face.cache.get, "k", "default") == "default"
    stats = face.stats()
    assert (stats.misses, stats.loads, stats.backend_errors) == (3, 3, 4)
    assert face.outcomes() == [
        ("store", "error"),
        ("get", "miss"),
        ("load", "outdated"),
        ("store", "error"),
        ("get", "miss"),
        ("load", "outdated"),
        ("store", "error"),
        ("load", "outdated"),
        ("store", "error"),
        ("get", "miss"),
    ]
    assert [event.operation for event in face.events if event.name == "store"] == [
        "read",
        "read",
        "begin",
        "read",
    ]
    assert all(isinstance(event.error, BackendError) for event in face.events if event.name == "store")


def test_or_the_error_is_raised(either):
    face = either(flaky(MemoryCacheStore(), rate=1.0, only=STORE_CALLS), on_error="raise")
    find = face.cached(Source(), ttl=10)
    many = face.cached_many(dict.fromkeys, ttl=10)
    for call, argument in (
        (find, 7),
        (find.refresh, 7),
        (face.cache.get, "k"),
        (many, [1]),
        (many.refresh, 1),
    ):
        with pytest.raises(BackendError):
            face(call, argument)
    assert face.stats() == (0, 0, 0, 0, 0, 0, 5)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["read", "begin", "write"])
def test_each_method_may_fail_and_the_caller_has_his_value(either, method, when):
    source = Source()
    face = either(flaky(MemoryCacheStore(), fails=[True, False], only={method}, when=when))
    find = face.cached(source, ttl=10, stale_while_revalidate=10, stale_if_error=60)
    for _ in range(4):
        assert face(find, 7).startswith("7 v")
        assert face(find.refresh, 7) == f"7 v{source.runs}"
        face.clock.advance(11)
        assert face(find, 7).startswith("7 v")
        face.settle()
        face.clock.advance(21)
    assert face.stats().backend_errors > 0


def test_a_write_whose_answer_is_lost_has_taken_place(either):
    face, source = either(flaky(MemoryCacheStore(), rate=1.0, only={"write"}, when="after")), Source()
    find = face.cached(source, ttl=10)
    assert (face(find, 7), face(find, 7)) == ("7 v1", "7 v1")


def test_a_write_that_fails_is_raised_only_where_asked_for(either, switch):
    face, source = either(switch, on_error="raise"), Source()
    find = face.cached(source, ttl=10, stale_if_error=60)
    switch.fails = {"write"}
    with pytest.raises(BackendError):
        face(find, 7)
    assert source.runs == 1


def test_no_reload_runs_for_a_store_that_could_not_take_it(either, switch):
    face, source = either(switch), Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=60)
    many = face.cached_many(lambda ids: dict.fromkeys(ids, source.runs), ttl=10, stale_while_revalidate=60)
    face(find, 7), face(many, [1])
    face.clock.advance(11)
    switch.fails = {"begin"}
    assert (face(find, 7), face(many, [1])) == ("7 v1", {1: 1})
    face.settle()
    assert face.stats().loads == 2


def test_during_an_outage_calls_share_a_load_but_not_across_an_invalidation(either, switch):
    switch.fails = {"read", "write"}
    gate = Gate()
    face, source = either(switch), Source(gate=gate)
    find = face.cached(source, ttl=10, tags=["t"])
    ends = [
        lambda: face(face.cache.invalidate_tags, "t"),
        lambda: face(find.invalidate, 7),
        lambda: face(face.cache.delete, "k"),
        lambda: face(face.cache.clear),
    ]
    calls = []
    for number, end in enumerate(ends, 1):
        calls.append([face.start(find, 7), face.start(find, 7)])
        gate.wait_for_callers(number)
        wait_until(lambda number=number: face.stats().misses == 2 * number, "both wait")
        end()
    gate.release()
    values = [{call.result(DEADLINE) for call in pair} for pair in calls]
    assert values == [{f"7 v{number}"} for number in range(1, 5)]


def test_set_tells_loads_of_an_outage_apart_too(either, switch):
    switch.fails = {"read"}
    gate = Gate()
    face, source = either(switch), Source(gate=gate)
    find = face.cached(source, ttl=10)
    before = face.start(find, 7)
    gate.wait_for_callers(1)
    face(face.cache.set, find.key(7), "set", ttl=10)
    after = face.start(find, 7)
    gate.wait_for_callers(2)
    gate.release()
    assert (before.result(DEADLINE), after.result(DEADLINE)) == ("7 v1", "7 v2")
    switch.fails = set()
    assert face(find, 7) == "set", "nothing that was loaded blindly is written"


# -- invalidations that are told -------------------------------------------------------------------


def test_an_invalidation_or_a_set_that_fails_is_raised(either):
    face = either(flaky(MemoryCacheStore(), rate=1.0, only=STORE_CALLS), watched=True)
    find = face.cached(Source(), ttl=10)
    many = face.cached_many(dict.fromkeys, ttl=10)
    for call, args in (
        (face.cache.invalidate_tags, ["t", "u"]),
        (face.cache.delete, ["k"]),
        (find.invalidate, [7]),
        (many.invalidate, [1, 2]),
        (face.cache.clear, []),
    ):
        with pytest.raises(BackendError):
            face(call, *args)
    with pytest.raises(BackendError):
        face(face.cache.set, "k", 1, ttl=1, tags=["t"])
    told = [(event.name, event.outcome, event.operation) for event in face.events]
    assert told == [
        ("store", "error", "invalidate"),
        ("invalidate", "error", None),
        ("store", "error", "delete"),
        ("delete", "error", None),
        ("store", "error", "delete"),
        ("delete", "error", None),
        ("store", "error", "delete"),
        ("delete", "error", None),
        ("delete", "error", None),
        ("store", "error", "invalidate"),
        ("clear", "error", None),
        ("store", "error", "write"),
        ("set", "error", None),
    ]
    assert {(event.name, event.key, event.tags) for event in face.events[-2:]} == {
        ("store", "cache:k", ()),
        ("set", "cache:k", ("cache:", "cache:t")),
    }
    assert face.stats() == (0, 0, 0, 0, 0, 0, 6)


def test_an_invalidation_of_nothing_asks_for_nothing(either, switch):
    face = either(switch, watched=True)
    switch.off = True
    for call in (
        face.cache.delete,
        face.cache.invalidate_tags,
        face.cached_many(dict.fromkeys, ttl=1).invalidate,
    ):
        face(call)
    assert face.outcomes() == []


# -- invalidations that are queued -----------------------------------------------------------------


@pytest.mark.usefixtures("no_replays")
def test_a_queued_invalidation_is_believed_before_it_is_delivered(either, switch):
    face, source = either(switch, on_error_invalidate="queue", watched=True), Source()
    find = face.cached(source, ttl=100, tags=["t"])
    other = face.cached(source, ttl=100, tags=["u"], version="other")
    assert (face(find, 7), face(other, 7)) == ("7 v1", "7 v2")
    switch.off = True
    face(face.cache.invalidate_tags, "t")
    face(face.cache.set, "k", "new", ttl=9)
    assert face(find, 7) == "7 v3"
    # Reads work again, but nothing is delivered yet: of what is queued, nothing is believed.
    switch.off = False
    face.clock.advance(0.01)  # not yet time to try again
    assert face(find, 7) == "7 v4"
    assert face(other, 7) == "7 v2"
    assert face(face.cache.get, "k") is None
    face.clock.advance(0.1)
    assert face(find, 7) == "7 v5", "delivered, and loaded for good"
    assert face(find, 7) == "7 v5"
    queue = [
        (event.name, event.outcome, event.key, event.tags)
        for event in face.events
        if event.name in {"delete", "invalidate", "set"}
    ]
    assert queue == [
        ("invalidate", "queued", None, ("cache:t",)),
        ("set", "queued", "cache:k", ("cache:",)),
        ("delete", "replayed", "cache:k", ()),
        ("invalidate", "replayed", None, ("cache:t",)),
    ]
    assert face.stats().invalidations == 1


@pytest.mark.usefixtures("no_replays")
def test_a_queued_clear_is_told_of_as_a_clear(either, switch):
    face = either(switch, on_error_invalidate="queue", watched=True)
    switch.off = True
    face(face.cache.clear)
    face(face.cache.invalidate_tags, "t")
    switch.off = False
    face.clock.advance(1)
    face(face.cache.get, "k")
    told = [(event.name, event.outcome, event.tags) for event in face.events]
    assert [each for each in told if each[0] in {"clear", "invalidate"}] == [
        ("clear", "queued", ("cache:",)),
        ("invalidate", "queued", ("cache:t",)),
        ("invalidate", "replayed", ("cache:t",)),
        ("clear", "replayed", ("cache:",)),
    ]


@pytest.mark.usefixtures("no_replays")
def test_a_replay_that_fails_names_the_stores_method(either, switch):
    face = either(switch, on_error_invalidate="queue", watched=True)
    for fails in ({"delete", "invalidate"}, {"invalidate"}, {"delete"}):
        switch.fails = {"delete", "invalidate"}
        face(face.cache.delete, "k")
        face(face.cache.invalidate_tags, "t")
        face.events.clear()
        switch.fails = fails
        face.clock.advance(1)
        face(face.cache.get, "k")
        operations = [event.operation for event in face.events if event.name == "store"]
        assert operations == ["delete" if "delete" in fails else "invalidate"]


@pytest.mark.usefixtures("no_replays")
@pytest.mark.parametrize("end", ["tag", "key", "clear", "set", "item"])
def test_whatever_is_queued_is_bypassed_stale_answers_included(either, switch, end):
    face, source = either(switch, on_error_invalidate="queue"), Source()
    policy = {"ttl": 10, "stale_while_revalidate": 100, "stale_if_error": 200}
    find = face.cached(source, **policy, tags=["t"])
    many = face.cached_many(lambda ids: dict.fromkeys(ids, source.runs), **policy, tags=["t"])
    face(find, 7), face(many, [1])
    face.clock.advance(11)
    switch.fails = {"delete", "invalidate", "write"}
    {
        "tag": lambda: face(face.cache.invalidate_tags, "t"),
        "key": lambda: face(find.invalidate, 7),
        "clear": lambda: face(face.cache.clear),
        "set": lambda: face(face.cache.set, find.key(7), "set", ttl=10),
        "item": lambda: face(many.invalidate, 1),
    }[end]()
    if end != "item":
        assert face(find, 7) == "7 v2"
        source.error = OSError("gone")
        with pytest.raises(OSError, match="gone"):
            face(find, 7)
        assert face(face.cache.get, find.key(7)) is None
    if end in {"tag", "clear", "item"}:
        loads = face.stats().loads
        face(many, [1])
        assert face.stats().loads == loads + 1
    else:
        assert face(many, [1]) == {1: 1}, "and what is not queued is believed"


@pytest.mark.usefixtures("no_replays")
@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("asks", [["u"], ["u", "v"], []])
def test_an_entry_may_carry_a_queued_tag_that_the_call_does_not_name(either, switch, asks, tells):
    face, source = either(switch, on_error_invalidate="queue"), Source()
    switch.tells = tells

    def ask(key, tags):
        return face(face.cache.get_or_set, key, partial(face.plain(source), key), ttl=100, tags=tags)

    assert (ask("k", ["t"]), ask("l", asks)) == ("k v1", "l v2")
    switch.fails = {"invalidate"}
    face(face.cache.invalidate_tags, "t")
    assert ask("k", asks) == "k v3"
    assert ask("l", asks) == ("l v2" if tells else "l v4"), "one that is known not to is believed"
    switch.fails = set()
    face.clock.advance(1)
    assert ask("l", asks) == "l v2"
    assert ask("k", asks) == f"k v{source.runs}"


@pytest.mark.usefixtures("no_replays")
def test_an_answer_from_before_the_delivery_is_doubted_after_it(either, switch):
    face, source = either(switch, on_error_invalidate="queue"), Source()
    face(face.cache.set, "k", "old", ttl=100, tags=["t"])
    switch.fails = {"invalidate"}
    face(face.cache.invalidate_tags, "t")
    read = switch.read

    def overtaken(slot, now, /):
        found = read(slot, now)
        pending = face.cache._reads.invalidations._pending
        pending.done(*pending.batch())
        return found

    switch.read = overtaken
    assert face(face.cache.get_or_set, "k", partial(face.plain(source), "k"), ttl=100, tags=["u"]) == "k v1"


@pytest.mark.usefixtures("no_replays")
def test_an_entry_with_an_unknown_tag_is_doubted_while_any_is_queued(either, switch):
    face = either(switch, on_error_invalidate="queue")
    face(face.cache.set, "k", "old", ttl=10, tags=["t"])
    switch.fails = {"invalidate"}
    face(face.cache.invalidate_tags, "t")
    assert face(face.cache.get, "k") is None
    switch.fails = set()
    face.clock.advance(1)
    face(face.cache.set, "k", "new", ttl=10, tags=["t"])
    assert face(face.cache.get, "k") in {None, "new"}
    assert not face.cache._reads.invalidations


@pytest.mark.usefixtures("no_replays")
def test_a_load_from_before_a_queued_invalidation_is_not_served_after_it_is_delivered(either, switch):
    gate = Gate()
    face, source = either(switch, on_error_invalidate="queue"), Source(gate=gate)
    find = face.cached(source, ttl=100, tags=["t"])
    before = face.start(find, 7)
    gate.wait_for_callers(1)
    switch.fails = {"invalidate"}
    face(face.cache.invalidate_tags, "t")
    after = face.start(find, 7)
    gate.wait_for_callers(2)
    gate.release()
    assert (before.result(DEADLINE), after.result(DEADLINE)) == ("7 v1", "7 v2")
    switch.fails = set()
    face.clock.advance(1)
    assert face(find, 7) == "7 v3"
    assert face(find, 7) == "7 v3"


@pytest.mark.usefixtures("no_replays")
def test_what_is_queued_again_while_it_is_delivered_stays_queued(either, switch):
    face, source = either(switch, on_error_invalidate="queue"), Source()
    find = face.cached(source, ttl=100, tags=["t"])
    face(find, 7)
    switch.fails = {"invalidate"}
    face(face.cache.invalidate_tags, "t")

    def again():
        face.cache._reads.invalidations._pending.add([], ["cache:t"])

    switch.fails, switch.during = set(), {"invalidate": again}
    face.clock.advance(1)
    face(find, 7)
    assert face.cache._reads.invalidations, (
        "the second one is about a change that the first may not have seen"
    )
    face.clock.advance(1)
    assert face(find, 7) == "7 v3"
    assert not face.cache._reads.invalidations


@pytest.mark.usefixtures("no_replays")
def test_deliveries_are_tried_ten_times_a_second_at_most(either, switch):
    face = either(switch, on_error_invalidate="queue")
    find = face.cached(Source(), ttl=100, tags=["t"])
    switch.fails = {"invalidate"}
    face(face.cache.invalidate_tags, "t")
    before = face.stats().backend_errors
    for _ in range(5):
        face(find, 7)
    assert face.stats().backend_errors == before + 1
    face.clock.advance(0.1)
    face(find, 7)
    assert face.stats().backend_errors == before + 2


@pytest.mark.usefixtures("quick_replays")
def test_a_queued_invalidation_is_delivered_though_nobody_reads(either, switch):
    face = either(switch, on_error_invalidate="queue", watched=True)
    find = face.cached(Source(), ttl=100, tags=["t"])
    face(find, 7)
    switch.fails = {"invalidate", "delete"}
    face(face.cache.invalidate_tags, "t")
    face(find.invalidate, 8)
    wait_until(lambda: face.stats().backend_errors > 4, "it is tried again and again")
    switch.fails = set()
    wait_until(lambda: not face.cache._reads.invalidations, "it is delivered")
    face.settle()
    assert ("invalidate", "replayed") in face.outcomes()
    assert ("delete", "replayed") in face.outcomes()
    assert face(find, 7) == "7 v2"


@pytest.mark.usefixtures("quick_replays")
def test_reloads_do_not_keep_it_from_being_delivered(either, switch):
    gate = Gate()
    face, source = either(switch, on_error_invalidate="queue"), Source()
    find = face.cached(source, ttl=10, stale_while_revalidate=100)
    for x in range(70):
        face(find, x)
    face.clock.advance(11)
    source.gate = gate
    for x in range(70):  # more than run at once
        face(find, x)
    gate.wait_for_callers(8)
    switch.fails = {"invalidate"}
    face(face.cache.invalidate_tags, "t")
    switch.fails = set()
    wait_until(lambda: not face.cache._reads.invalidations, "it is delivered")
    gate.release()
    face.settle()


def test_a_long_outage_does_not_fill_the_memory(either, switch, monkeypatch):
    monkeypatch.setattr(_pending, "_MOST", 100)
    for cls in (Invalidations, AsyncInvalidations):
        monkeypatch.setattr(cls, "_replay_later", lambda self: None)
    face, source = either(switch, on_error_invalidate="queue"), Source()
    find = face.cached(source, ttl=100)
    face(find, 7)
    switch.fails = {"delete"}
    for x in range(1_000, 1_150):
        face(find.invalidate, x)
    pending = face.cache._reads.invalidations._pending
    assert len(pending._keys) + len(pending._tags) <= 101
    assert face(find, 7) == "7 v2", "all is doubted"
    switch.fails, switch.done = set(), []
    face.clock.advance(1)
    assert face(find, 7) == "7 v3", "and delivered: one tag, and the keys since"
    assert not face.cache._reads.invalidations
    assert switch.names().count("invalidate") == 1


# -- many threads ----------------------------------------------------------------------------------


def test_nothing_old_is_believed_in_a_storm_of_failures(monkeypatch):
    """Every third call of the store fails; what an invalidation that returned has ended is not seen again."""
    for module in (_invalidations, _async_invalidations):
        monkeypatch.setattr(module, "REPLAY", 0.001)
    store = flaky(MemoryCacheStore(), rate=0.3, seed=1, only=STORE_CALLS)
    cache = Cache(store, on_error_invalidate="queue", on_event=lambda event: None)
    source, oldest, stale = [0] * 3, [0] * 3, []
    ended = threading.Event()

    @cache.cached(ttl=60, tags=["t:{x}"], stale_if_error=60)
    def find(x: int) -> int:
        return source[x]

    def read(seed):
        while not ended.is_set():
            for x in range(3):
                least = oldest[x]
                value = find(x)
                if value < least:
                    stale.append((x, value, least))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    try:
        for reader in readers:
            reader.start()
        for number in range(200):
            x = number % 3
            source[x] += 1
            (find.invalidate if number % 2 else lambda x: cache.invalidate_tags(f"t:{x}"))(x)
            oldest[x] = source[x]
    finally:
        ended.set()
        for reader in readers:
            reader.join(DEADLINE)
        sys.setswitchinterval(interval)
    assert not stale, stale[:5]
    wait_until(
        lambda: not cache._reads.invalidations and not cache._reads.background._running, "all is delivered"
    )
