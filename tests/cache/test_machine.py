"""Both faces against a small model: whatever happens in whatever order, the laws of `api.md` hold.

Every load has a number, larger than those that began before it, and every value is the number of its load. So
the model need only know, for each key, which number an answer must at least have: that of the last load that
began before an invalidation that has returned.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from scalekit.cache import CachePolicy, Entry, Slot
from scalekit.cache._async_invalidations import AsyncInvalidations
from scalekit.cache._invalidations import Invalidations
from scalekit.errors import BackendError
from tests.cache.either import Async, Sync
from tests.cache.test_failure import STORE_CALLS, Switch

KEYS = range(2)
TTL = 10
KEY = st.sampled_from(KEYS)
# What happens while a load runs: changes, calls, time.
EVENTS = st.sampled_from(
    ["tag", "key", "clear", "elsewhere", "call", "many", "set", "refresh", "tick", "get"]
)
DURING = st.lists(st.tuples(EVENTS, KEY), max_size=3)
POLICIES = st.builds(
    CachePolicy,
    ttl=st.just(TTL),
    stale_while_revalidate=st.sampled_from([0, 30]),
    stale_if_error=st.sampled_from([0, 60]),
    early_refresh=st.sampled_from([0.0, 50.0]),
    lock=st.sampled_from(["process", None]),
)


class Machine(RuleBasedStateMachine):
    kind = Sync

    @initialize(policy=POLICIES, queue=st.booleans(), watched=st.booleans())
    def begin(self, policy, queue, watched):
        self.switch = Switch()
        plain = not queue and not watched  # then wrappers find entries by themselves
        store = self.switch._store if plain else self.switch
        self.can_fail = not plain
        self.face = self.kind(store, watched=watched, on_error_invalidate="queue" if queue else "raise")
        self.policy = policy
        self.number = 0
        self.ended = {}  # number of a load: when it ended
        self.least = dict.fromkeys([*KEYS, *(f"m{key}" for key in KEYS)], 0)
        self.failed = {}  # key: when its load failed last
        self.failing = False
        self.during = []
        self.loads = 0
        self.find = self.face.cached(self.load, policy=policy, tags=["t:{x}", "all"])
        self.many = self.face.cached_many(self.load_many, policy=policy, tags=["t:{id}", "all"])

    # -- the source ----------------------------------------------------------

    def load(self, x):
        return (yield from self.loading([x]))

    def load_many(self, ids):
        number = yield from self.loading([f"m{id_}" for id_ in ids])
        return dict.fromkeys(ids, number)

    def loading(self, keys):
        self.number += 1
        self.loads += 1
        number, failing = self.number, self.failing
        events, self.during = self.during, []
        for event, key in events:
            yield lambda event=event, key=key: self.happens(event, key)
        self.face.clock.advance(0.125)
        if failing:
            self.failed.update(dict.fromkeys(keys, self.face.clock()))
            raise OSError("gone")
        self.ended[number] = self.face.clock()
        return number

    def happens(self, event, key):
        """Return what the loader's face shall do: for the async one an awaitable."""
        if event == "tick":
            self.face.clock.advance(4)
            return None
        if event == "elsewhere":
            self.elsewhere_now(key)
            return None
        return self.act(event, key)

    # -- what is done, and what may come of it -------------------------------

    def act(self, event, key):
        steps = getattr(self, f"do_{event}")(key)
        return _finish(steps) if self.kind is Sync else _async_finish(steps)

    def do_call(self, key):
        yield from self.asked(key, lambda: self.find(key))

    def do_many(self, key):
        wanted = [key, (key + 1) % len(KEYS)]
        began, least = self.face.clock(), dict(self.least)
        try:
            found = yield lambda: self.many(wanted)
        except OSError:
            assert self.failing
            return
        assert list(found) == wanted
        for id_, number in found.items():
            self.judge(f"m{id_}", number, began, least)

    def do_get(self, key):
        began, least = self.face.clock(), dict(self.least)
        number = yield lambda: self.face.cache.get(self.find.key(key))
        if number is not None:
            self.judge(key, number, began, least, fresh=True)

    def asked(self, key, call):
        began, least = self.face.clock(), dict(self.least)
        try:
            number = yield call
        except OSError:
            assert self.failing
            return
        self.judge(key, number, began, least)

    def judge(self, key, number, began, least, *, fresh=False):
        assert number >= least[key], f"{key}: load {number} began before an invalidation that had returned"
        policy, age = self.policy, began - self.ended[number]
        if age < TTL or (not fresh and age < TTL + policy.stale_while_revalidate):
            return
        failed = self.failed.get(key, -100.0)
        assert not fresh
        assert failed >= began or began < failed + 1, "stale for an error that there was not"
        assert age < TTL + policy.stale_if_error

    def do_refresh(self, key):
        errors = self.face.stats().backend_errors
        before = self.number
        try:
            number = yield lambda: self.find.refresh(key)
        except OSError:
            assert self.failing
            return
        assert number > before
        if self.face.stats().backend_errors == errors:
            self.least[key] = max(self.least[key], before + 1)

    def do_set(self, key):
        self.number += 1
        number = self.number
        self.ended[number] = self.face.clock()
        tags = [f"t:{key}", "all"]
        yield from self.ending(
            [key], lambda: self.face.cache.set(self.find.key(key), number, self.policy, tags=tags), number
        )

    def do_key(self, key):
        yield from self.ending([key], lambda: self.find.invalidate(key))
        yield from self.ending([f"m{key}"], lambda: self.many.invalidate(key))

    def do_tag(self, key):
        yield from self.ending([key, f"m{key}"], lambda: self.face.cache.invalidate_tags(f"t:{key}"))

    def do_all(self, key):
        yield from self.ending(self.least, lambda: self.face.cache.invalidate_tags("all"))

    def do_clear(self, key):
        yield from self.ending(self.least, self.face.cache.clear)

    def ending(self, keys, call, least=None):
        """After this nothing that was loaded before is served, unless it is told to have failed."""
        least = self.number + 1 if least is None else least
        try:
            yield call
        except BackendError:
            return
        for key in keys:
            self.least[key] = max(self.least[key], least)

    def elsewhere_now(self, key):
        least = self.number + 1
        self.switch._store.invalidate([f"cache:t:{key}"])
        for name in (key, f"m{key}"):
            self.least[name] = max(self.least[name], least)

    # -- rules ---------------------------------------------------------------

    def run(self, event, key):
        self.face(self.act, event, key)
        self.face.settle()

    @rule(key=KEY, during=DURING, event=st.sampled_from(["call", "call", "call", "many", "many", "refresh"]))
    def asks(self, key, during, event):
        self.during = during
        self.run(event, key)
        self.during = []

    @rule(key=KEY)
    def asks_twice(self, key):
        self.run("call", key)
        loads = self.loads
        if not (self.switch.fails or self.failing or self.face.cache._reads.invalidations):
            began = self.face.clock()
            self.run("call", key)
            fresh = any(
                began - end < TTL - 1 for number, end in self.ended.items() if number >= self.least[key]
            )
            assert self.loads == loads or not fresh or self.policy.early_refresh or self.age(key) >= TTL

    def age(self, key):
        slot = Slot(f"cache:{self.find.key(key)}", ("cache:",), None)
        found = self.switch._store.read(slot, self.face.clock())
        return self.face.clock() - (found.fresh_until - TTL) if isinstance(found, Entry) else TTL

    @rule(key=KEY, event=st.sampled_from(["key", "tag", "all", "clear", "set", "get"]))
    def changes(self, key, event):
        self.run(event, key)

    @rule(key=KEY)
    def another_process_invalidates(self, key):
        self.elsewhere_now(key)

    @rule(seconds=st.sampled_from([0.05, 0.9, 11, 12, 13, 40]))
    def time_passes(self, seconds):
        self.face.clock.advance(seconds)

    @rule(names=st.sets(st.sampled_from(sorted(STORE_CALLS))))
    def the_store_fails(self, names):
        if self.can_fail:
            self.switch.fails = names

    @rule()
    def the_store_works(self):
        self.switch.fails = set()

    @rule(failing=st.booleans())
    def loaders_fail(self, failing):
        self.failing = failing

    def teardown(self):
        if not hasattr(self, "face"):
            return
        reads = self.face.cache._reads
        assert not reads.flights._flights
        assert not reads.background._running
        self.face.close()


class AsyncMachine(Machine):
    kind = Async


def _finish(steps):
    with contextlib.suppress(StopIteration):
        step = next(steps)
        while True:
            try:
                outcome = step()
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(outcome)


async def _async_finish(steps):
    with contextlib.suppress(StopIteration):
        step = next(steps)
        while True:
            try:
                outcome = step()
                outcome = await outcome if hasattr(outcome, "__await__") else outcome
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(outcome)


@pytest.mark.parametrize("machine", [Machine, AsyncMachine], ids=["sync", "async"])
def test_whatever_happens_the_laws_hold(machine, monkeypatch):
    for cls in (Invalidations, AsyncInvalidations):
        monkeypatch.setattr(cls, "_replay_later", lambda self: None)  # reads do, at times the model knows
    run_state_machine_as_test(
        machine, settings=settings(stateful_step_count=25, suppress_health_check=list(HealthCheck))
    )
