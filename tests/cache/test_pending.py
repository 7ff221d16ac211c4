"""What is queued, what is doubted meanwhile, and what is taken out when it is delivered."""

from __future__ import annotations

import gc
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import Entry, Slot, Snapshot, _pending
from scalekit.cache._entry import NamedEntry
from scalekit.cache._pending import Pending, believed
from tests.cache.either import DEADLINE

EVERYTHING = "ns:"


@pytest.fixture
def pending():
    return Pending(EVERYTHING)


def slot(key, *tags):
    return Slot(key, (EVERYTHING, *tags), None)


def test_nothing_is_doubted_when_nothing_is_queued(pending):
    assert not pending
    assert pending.doubts(slot("k", "t")) is pending.doubts(slot("k")) is None
    assert pending.batch() == ({}, {})


def test_keys_and_tags_are_doubted_by_name(pending):
    pending.add(["k"], ["t"])
    assert pending
    assert pending.doubts(slot("k", "u")) == "all"
    assert pending.doubts(slot("l", "u", "t")) == "all"
    assert pending.doubts(slot("l", "u")) == "unnamed"


@pytest.mark.parametrize("tags", [(), ("u",), ("u", "v")])
def test_what_a_slot_does_not_name_is_doubted_while_tags_are_queued_but_not_for_keys(pending, tags):
    pending.add(["k"], [])
    assert pending.doubts(slot("l", *tags)) is None
    pending.add([], ["t"])
    assert pending.doubts(slot("l", *tags)) == "unnamed"


def test_everything_is_doubted_when_everything_is_queued(pending):
    pending.add([], [EVERYTHING])
    assert pending.doubts(slot("l", "u")) == "all"


def test_the_answer_of_a_doubted_store_is_judged():
    entry, named, snapshot = Entry(1, expires=9.0), NamedEntry(1, expires=9.0), Snapshot()
    expected = {None: (True, True, True), "unnamed": (False, True, True), "all": (False, False, False)}
    for doubt, answers in expected.items():
        assert tuple(believed(found, doubt) for found in (entry, named, snapshot)) == answers


# Entries are written and read by slots of any tags; what `Pending` lets pass must have been written after the
# last invalidation of each of its tags.
_TAGS = st.lists(st.sampled_from("tuv"), unique=True, max_size=3)
_STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from("kl"), _TAGS),
    st.tuples(st.just("read"), st.sampled_from("kl"), _TAGS),
    st.tuples(st.just("delete"), st.sampled_from("kl")),
    st.tuples(st.just("invalidate"), st.sampled_from("tuv")),
    st.tuples(st.just("replay")),
)


@given(st.lists(_STEPS, max_size=20), st.booleans())
def test_nothing_from_before_a_queued_invalidation_is_believed(steps, says):
    """Reads and writes arrive, invalidations do not; `says`: whether the store says which tags it knows."""
    pending, stored, ended = Pending(EVERYTHING), {}, set()
    for step, *rest in steps:
        if step == "write":
            key, tags = rest
            stored[key] = tags
            ended.discard(key)
        elif step == "delete":
            pending.add(rest, [])
            ended.add(rest[0])
        elif step == "invalidate":
            pending.add([], rest)
            ended |= {key for key, tags in stored.items() if rest[0] in tags}
        elif step == "replay":
            pending.done(*pending.batch())
            for key in ended:
                stored.pop(key, None)
            ended.clear()
        else:
            key, tags = rest
            doubt = pending.doubts(slot(key, *tags))
            kind = NamedEntry if says and stored.get(key) == tags else Entry
            passes = key in stored and believed(kind(1, expires=9.0), doubt)
            assert not (passes and key in ended)
            if not pending or (kind is NamedEntry and key not in pending.batch()[0]):
                assert passes == (key in stored and not set(tags) & pending.batch()[1].keys())


def test_what_was_delivered_is_taken_out_unless_it_was_queued_again(pending):
    pending.add(["k", "l"], ["t", "u"])
    keys, tags = pending.batch()
    assert (list(keys), list(tags)) == (["k", "l"], ["t", "u"])
    pending.add(["k"], ["t"])
    pending.add(["m"], [])
    pending.done(keys, tags)
    keys, tags = pending.batch()
    assert (list(keys), list(tags)) == (["k", "m"], ["t"])
    pending.done(keys, tags)
    assert not pending
    pending.done(keys, tags)


def test_a_batch_is_a_copy(pending):
    pending.add(["k"], ["t"])
    keys, tags = pending.batch()
    keys.clear(), tags.clear()
    assert pending.doubts(slot("k"))


def test_it_is_due_at_once_and_then_every_tenth_of_a_second(pending):
    assert pending.due(5.0)
    assert not pending.due(5.0)
    assert not pending.due(5.09)
    assert pending.due(5.1)


def test_too_many_names_become_everything(pending, monkeypatch):
    monkeypatch.setattr(_pending, "_MOST", 4)
    pending.add(["a", "b"], ["t", "u"])
    assert pending.batch() == ({"a": 1, "b": 1}, {"t": 1, "u": 1})
    keys, tags = pending.batch()
    pending.add(["c"], [])
    assert pending.batch() == ({}, {EVERYTHING: 2})
    assert pending.doubts(slot("x", "y"))
    pending.done(keys, tags)  # which was under way
    assert pending.batch() == ({}, {EVERYTHING: 2})


def test_what_a_finaliser_queues_in_the_middle_of_a_call_is_doubted_at_once_and_stays(pending):
    pending.add(["k"], ["t"])
    delivered = pending.batch()
    with pending._exclusive:  # as where the collector comes while it takes out what was delivered
        pending.add(["k"], ["u"])
        assert pending.doubts(slot("k")) == "all"
        assert pending.doubts(slot("l", "u")) == "all"
        pending._done({"k": pending.batch()[0]["k"]}, {})  # it had seen that name just before
    assert pending.doubts(slot("k")) == "all"
    pending.done(*delivered)
    assert pending.doubts(slot("k")) == "all"
    assert pending.doubts(slot("l", "t")) == "unnamed"


def test_a_key_is_doubted_while_it_gives_way_to_everything(monkeypatch):
    monkeypatch.setattr(_pending, "_MOST", 2)

    class Overtaken(Pending):
        @property
        def _tags(self):
            found = Pending._tags.__get__(self)
            if self._keys.keys() == {"k"}:  # another thread comes right after the look at the tags
                self.add(["l", "m"], [])
            return found

        @_tags.setter
        def _tags(self, tags):
            Pending._tags.__set__(self, tags)

    pending = Overtaken(EVERYTHING)
    Pending.add(pending, [], [])
    pending._keys["k"] = 1
    assert pending.doubts(slot("k", "t")) == "all"


def test_what_a_finaliser_has_delivered_is_taken_out_at_the_end_of_the_call(pending):
    pending.add(["k", "l"], ["t"])
    delivered = pending.batch()
    with pending._exclusive:
        pending.done(*delivered)
        assert pending.batch() == delivered
    assert not pending


def test_it_stays_sound_whenever_the_collector_comes(pending):
    """Not deterministic: a plain lock, or one that lets a finaliser undo a change, is found out mostly."""
    queued = []

    class Final:
        def __init__(self):
            self.me = self

        def __del__(self):
            queued.append(len(queued))
            pending.add([f"final {queued[-1]}"], [])

    def run():
        for i in range(2_000):
            Final()
            pending.add([f"k{i}"], ["t"])
            pending.done({f"k{i}": pending.batch()[0][f"k{i}"]}, {})

    threshold = gc.get_threshold()
    gc.set_threshold(10)
    try:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(DEADLINE)
        assert not thread.is_alive(), "it waits for itself"
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert set(pending.batch()[0]) == {f"final {i}" for i in queued}


def test_threads_queue_and_deliver_at_once(pending):
    delivered, ended = [], threading.Event()

    def deliver():
        while not ended.is_set() or pending:  # in this order: else all may come between the two
            keys, tags = pending.batch()
            delivered.extend(keys)
            pending.done(keys, tags)

    def add(seed):
        for i in range(300):
            pending.add([f"{seed} {i}"], [f"t{i}"])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        worker = threading.Thread(target=deliver)
        threads = [threading.Thread(target=add, args=(seed,)) for seed in range(4)]
        for thread in [worker, *threads]:
            thread.start()
        for thread in threads:
            thread.join()
        ended.set()
        worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert set(delivered) == {f"{seed} {i}" for seed in range(4) for i in range(300)}
    assert not pending
