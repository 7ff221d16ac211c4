"""Rate limits within one process: exact, bounded, no thread and no timer."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Literal
from weakref import WeakSet

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._held_keys import HeldKeys
from scalekit.ratelimit._quota import NEVER, Verdict
from scalekit.ratelimit._state import OtherRule, fresh, succeeding

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.ratelimit._quota import Quota

__all__ = ["MemoryRateLimitStore"]

_MOST_SHARDS = 64
_SHARD_WORTH = 1024  # keys: below that, splitting only makes the bound uneven


class MemoryRateLimitStore:
    """Keeps what each key consumed in this process, for both faces.

    Holds at most `max_keys` keys (>= 1, default a million). One that was hit once takes about 200 bytes,
    the key's own included, and is no object for the garbage collector to go through; others take 400, and
    with the exact log 8 bytes more per unit that still counts: a full 100-unit window is about 1.2 KB.
    Expired keys are dropped a few at a time as new ones come.

    When all of `max_keys` still count, a new key takes the place of one that is not at its limit, the
    one of a sample of eight that used least; that one starts anew if it comes back, so it may be
    admitted at most twice its limit in one window. A key that is at its limit is never forgotten: if
    all eight are, the newcomer is denied until the first of them is free. So a flood of new keys
    never resets a blocked one.

    Time is the `now` of the calls, so all limiters that share a store must share a clock. After a
    `fork` each process counts for itself; the part of the keys that another thread was at work on at that
    very instant begins anew in the child: one of 64, or all of a store for fewer than 2,048.
    """

    __slots__ = ("_mask", "_shards")

    nonblocking: Literal[True] = True

    def __init__(self, *, max_keys: int = 1_000_000) -> None:
        if isinstance(max_keys, bool) or not isinstance(max_keys, int) or max_keys < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("max_keys", max_keys, "as an integer >= 1")
        # A power of two of them: fewer threads meet at one lock, and no dict is so large that its
        # growth is a pause (one dict of 1M keys: 100 to 200 ms; one of 16k: about 2 ms).
        shards = 1 << (max(1, min(_MOST_SHARDS, max_keys // _SHARD_WORTH)).bit_length() - 1)
        self._mask = shards - 1
        self._shards = tuple(_Shard(max_keys // shards) for _ in range(shards))

    def __len__(self) -> int:
        """Return how many keys are held, those included that have expired and are not yet swept."""
        return sum(map(len, self._shards))

    def hit(self, key: str, quota: Quota, cost: int, now: int, /) -> Verdict:
        """Consume `cost` from every limit, or from none."""
        shard = self._shards[hash(key) & self._mask]
        lock = shard.lock
        # What `with shard` does, without its calls; and `with lock` takes twice the time of its two calls.
        try:
            lock.acquire()
            if shard.depth:
                return _interrupted(quota)
            shard.depth = 1
            try:
                state = shard.states.get(key)
                if state is None:
                    return shard.early_hit(key, quota, cost, now)
                try:
                    return state.hit(quota, cost, now)
                except OtherRule:
                    return shard.other_hit(key, quota, cost, now)
            finally:
                try:
                    if shard.deferred:
                        shard.catch_up()
                finally:
                    # From that test to here nothing can come between: the interpreter gives way only at
                    # calls and backward jumps.
                    shard.depth = 0
        finally:
            try:  # noqa: SIM105  # suppress() takes as long as the whole lock
                lock.release()
            except RuntimeError:  # not held, for a signal came while it waited
                pass

    def peek(self, key: str, quota: Quota, cost: int, now: int, /) -> Verdict:
        """Return what `hit` would answer, and consume nothing.

        Of a key that is not held it does not foresee that there may be no room for it.
        """
        shard = self._shards[hash(key) & self._mask]
        with shard as alone:
            if not alone:
                return _interrupted(quota)
            state = shard.state(key) or fresh(quota)
            try:
                return state.peek(quota, cost, now)
            except OtherRule:
                return succeeding(state).peek(quota, cost, now)

    def refund(self, key: str, _quota: Quota, cost: int, _now: int, /) -> None:
        """Take back the newest `cost` units of `key`."""
        shard = self._shards[hash(key) & self._mask]
        with shard as alone:
            if not alone:
                shard.deferred.append(partial(shard.refund, key, cost))
            else:
                shard.refund(key, cost)

    def reset(self, key: str, /) -> None:
        """Forget what `key` consumed."""
        shard = self._shards[hash(key) & self._mask]
        with shard as alone:
            if not alone:
                shard.deferred.append(partial(shard.reset, key))
            else:
                shard.reset(key)


def _interrupted(quota: Quota) -> Verdict:
    """Return the verdict for who asks in the middle of another call: no wait will help him there."""
    every = len(quota.limits)
    return Verdict(False, (NEVER,) * every, (0,) * every, (0,) * every)


class _Shard(HeldKeys):
    """A part of the keys under one lock.

    The garbage collector may run a finaliser in the middle of a call, in its thread; if that uses the
    store, a plain lock would wait for itself for ever, and a re-entrant one alone would let it into a
    half-finished state. So it learns from `with shard as alone` that it is inside another call: it is
    denied, and what it would change is `deferred` to the end of the outer one.
    """

    __slots__ = ("__weakref__", "deferred", "depth", "lock")

    def __init__(self, bound: int) -> None:
        super().__init__(bound)
        self._begin_unused()
        _alive.add(self)

    def forked(self) -> None:
        """Give up, in the child of a fork, what a thread that is not there left half done."""
        if self.lock.acquire(blocking=False):
            self.lock.release()
        else:
            super().__init__(self.bound)
            self._begin_unused()

    def _begin_unused(self) -> None:
        self.lock = threading.RLock()
        self.depth = 0  # of calls inside each other
        self.deferred: list[Callable[[], object]] = []

    def __enter__(self) -> bool:
        self.lock.acquire()
        self.depth += 1
        return self.depth == 1

    def __exit__(self, *_: object) -> None:
        try:
            if self.depth == 1:
                self.catch_up()
        finally:
            self.depth -= 1
            self.lock.release()

    def catch_up(self) -> None:
        """Do what was deferred."""
        while self.deferred:
            self.deferred.pop(0)()


_alive: WeakSet[_Shard] = WeakSet()


def _in_child() -> None:
    for shard in list(_alive):
        shard.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
