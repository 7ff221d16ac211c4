# ruff: noqa: S101  # it serves a suite of tests
"""How `CacheStoreSuite` speaks to a store, and the model that it compares one with."""

from __future__ import annotations

import asyncio
import inspect
from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, precondition, rule

from scalekit.cache import Entry, MsgspecSerializer, Slot, Snapshot
from scalekit.testing.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from scalekit._time import Clock
    from scalekit.testing._driver import Driver

LONG = 3_600.0
SHORT = 0.05
fresh = count()
PLAIN = (None, False, 0, "", b"", b"\x00\xff" * 500, "é\0", [1, {"a": [2.5, None]}], {"k": "v" * 10_000})
_SERIALIZER = MsgspecSerializer(Any)


def place(key: str, *tags: str) -> Slot:
    """Return the slot of a value that needs no annotation."""
    return Slot(key, tags, _SERIALIZER)


async def called(method: Callable[..., Any], *args: Any) -> Any:
    """Call a store's method from a task, whether it is async or not."""
    result = method(*args)
    return await result if inspect.isawaitable(result) else result


class CacheStoreProbe:
    """Calls a store's methods, sync or async, with the clock's reading, and checks what they return."""

    def __init__(self, driver: Driver, store: Any, clock: Clock) -> None:
        self.driver = driver
        self.store = store
        self.clock = clock

    def slot(self, *tags: str) -> Slot:
        number = next(fresh)
        return place(f"suite:k{number}", *(f"suite:{tag}{number}" for tag in ("own", *tags)))

    def read(self, slot: Slot) -> Any:
        found = self.driver(self.store.read, slot, self.clock())
        assert isinstance(found, (Entry, Snapshot)), (
            f"read() must return an Entry or a Snapshot; got {found!r}"
        )
        return found

    def missed(self, slot: Slot) -> Snapshot:
        found = self.read(slot)
        assert isinstance(found, Snapshot), f"expected no living entry; got {found!r}"
        return found

    def value(self, slot: Slot) -> Any:
        found = self.read(slot)
        assert isinstance(found, Entry), "expected a living entry; got a snapshot"
        return found.value

    def begin(self, slot: Slot, *, outdate: bool = True) -> Snapshot:
        snapshot = self.driver(self.store.begin, slot, self.clock(), outdate)
        assert isinstance(snapshot, Snapshot)
        return snapshot

    def write(
        self,
        slot: Slot,
        value: Any,
        snapshot: Snapshot | None = None,
        ttl: float = LONG,
        *,
        fresh: float | None = None,
        load_seconds: float = 0.0,
    ) -> bool:
        now = self.clock()
        entry = Entry(
            value,
            expires=now + ttl,
            fresh_until=None if fresh is None else now + fresh,
            load_seconds=load_seconds,
        )
        stored = self.driver(self.store.write, slot, entry, snapshot, now)
        assert isinstance(stored, bool), f"write() must return whether it stored; got {stored!r}"
        return stored

    def delete(self, *keys: str) -> None:
        self.driver(self.store.delete, list(keys))

    def invalidate(self, *tags: str) -> None:
        self.driver(self.store.invalidate, list(tags))

    def concurrently(self, workers: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Run `workers` in tasks, or each in a thread where the store is sync."""
        if inspect.iscoroutinefunction(self.store.read):
            self.driver.concurrently(workers)
        else:
            self.driver.concurrently([lambda worker=worker: asyncio.run(worker()) for worker in workers])  # type: ignore[misc]

    def outdating(self, slot: Slot) -> list[Callable[[], object]]:
        return [
            lambda: self.delete(slot.key),
            *(lambda tag=tag: self.invalidate(tag) for tag in slot.tags),
            lambda: self.begin(slot),
            lambda: self.write(slot, "newer"),
        ]


class CacheStoreTests:
    """What all parts of the suite have in common."""

    values: Sequence[Any] = PLAIN
    """What must come back equal and of its type: by default such values as need no annotation."""
    patience: float = 10.0
    """Seconds within which what has ended must be gone, what was given back found, and a waiter awake."""
    _probe: CacheStoreProbe


class CacheStoreMachine(RuleBasedStateMachine):
    """A store next to the ten lines that say what it must answer."""

    snapshots = Bundle("snapshots")
    keys = st.sampled_from(["k", "l"])
    tag_sets = st.sampled_from([(), ("a",), ("b",), ("a", "b")])

    def __init__(self, probe: CacheStoreProbe) -> None:
        super().__init__()
        self.probe = probe
        self.prefix = f"suite:m{next(fresh)}:"
        self.manual = isinstance(probe.clock, ManualClock)
        self.versions: dict[str, int] = {}
        self.entries: dict[str, tuple[int, float, dict[str, int]]] = {}
        self.values = count()

    def slot(self, key: str, tags: tuple[str, ...]) -> Slot:
        return place(f"{self.prefix}{key}", *(f"{self.prefix}{tag}" for tag in ("own", *tags)))

    def seen(self, names: Sequence[str]) -> dict[str, int]:
        return {name: self.versions.get(name, 0) for name in names}

    def bump(self, name: str) -> None:
        self.versions[name] = self.versions.get(name, 0) + 1

    def store_in_model(self, slot: Slot, value: int, ttl: float) -> None:
        self.entries[slot.key] = (value, self.probe.clock() + ttl, self.seen(slot.tags))

    @rule(target=snapshots, key=keys, tags=tag_sets)
    def read(self, key: str, tags: tuple[str, ...]) -> Any:
        """Read; a miss gives a snapshot to load with."""
        slot = self.slot(key, tags)
        found = self.probe.read(slot)
        entry = self.entries.get(slot.key)
        if entry is not None and entry[1] > self.probe.clock() and entry[2] == self.seen(list(entry[2])):
            assert isinstance(found, Entry), "a living entry was not found"
            assert found.value == entry[0]
            return (slot, None, {})
        assert isinstance(found, Snapshot), f"a dead entry was found: {found!r}"
        return (slot, found, self.seen(["key:" + slot.key, *slot.tags]))

    @rule(target=snapshots, key=keys, tags=tag_sets)
    def begin(self, key: str, tags: tuple[str, ...]) -> Any:
        """Begin a load that outdates the others of its key."""
        slot = self.slot(key, tags)
        snapshot = self.probe.begin(slot)
        self.bump("key:" + slot.key)
        return (slot, snapshot, self.seen(["key:" + slot.key, *slot.tags]))

    @rule(target=snapshots, key=keys, tags=tag_sets)
    def join(self, key: str, tags: tuple[str, ...]) -> Any:
        """Begin a load next to the others of its key."""
        slot = self.slot(key, tags)
        snapshot = self.probe.begin(slot, outdate=False)
        return (slot, snapshot, self.seen(["key:" + slot.key, *slot.tags]))

    @rule(load=snapshots, ttl=st.sampled_from([1.0, 60.0]))
    def write(self, load: tuple[Slot, Snapshot | None, dict[str, int]], ttl: float) -> None:
        """End a load."""
        slot, snapshot, seen = load
        if snapshot is None:
            return
        value = next(self.values)
        expected = seen == self.seen(list(seen))
        ttl = ttl if self.manual else LONG
        assert self.probe.write(slot, value, snapshot, ttl) is expected
        if expected:
            self.store_in_model(slot, value, ttl)

    @rule(key=keys, tags=tag_sets, ttl=st.sampled_from([1.0, 60.0]))
    def put(self, key: str, tags: tuple[str, ...], ttl: float) -> None:
        """Write a value that is true now."""
        slot, value = self.slot(key, tags), next(self.values)
        ttl = ttl if self.manual else LONG
        assert self.probe.write(slot, value, None, ttl)
        self.bump("key:" + slot.key)
        self.store_in_model(slot, value, ttl)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        """Delete an entry."""
        slot = self.slot(key, ())
        self.probe.delete(slot.key)
        self.bump("key:" + slot.key)
        self.entries.pop(slot.key, None)

    @rule(tag=st.sampled_from(["own", "a", "b"]))
    def invalidate(self, tag: str) -> None:
        """Invalidate a tag."""
        self.probe.invalidate(self.prefix + tag)
        self.bump(self.prefix + tag)

    @precondition(lambda self: self.manual)
    @rule(step=st.sampled_from([0.5, 1.0, 30.0, 60.0]))
    def advance(self, step: float) -> None:
        """Let time pass."""
        assert isinstance(self.probe.clock, ManualClock)
        self.probe.clock.advance(step)
