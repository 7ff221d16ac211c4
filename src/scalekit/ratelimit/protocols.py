"""What a rate limit store is: four methods, each one atomic step on one key.

All methods take a `key` (any `str` of up to 300 characters: empty, NUL, line breaks, lone surrogates
included; two different keys never share a count), then what they need of:

`quota`   the limits that hold for the key now, and the name of the algorithm that applies them. A
          store that does not know `quota.algorithm` raises `ConfigurationError`. Quotas of one key may
          change between calls: what was consumed stays, at least as far back as both of them reach.
`cost`    units, an integer >= 1, already checked. It may be above a limit.
`now`     the caller's clock in integer microseconds, from an arbitrary origin. A store inside the
          process goes by it. A store that processes share must ignore it and read one clock for
          all of them: its server's (`TIME` in Redis, the transaction's clock in SQL). Answers hold
          durations only, so the two never mix.

Atomicity: all limits of a quota are judged and consumed in one step, as if no other call on that key
ran meanwhile, in any thread, task or process: one lock, one Lua script, or one SQL statement. One call
is one round trip. Time for a key never runs backwards, whatever the clock does.

Errors: a store that cannot answer raises `BackendError` (`BackendTimeout`, `BackendUnavailable`) and
never makes a verdict up. After an error it is unknown whether the cost was consumed.

Memory: what is expired is dropped in time, without a call that asks for it.

`scalekit.testing.RateLimitStoreSuite` proves all of this for a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.ratelimit._quota import Quota, Verdict

__all__ = [
    "AsyncConcurrencyStore",
    "AsyncRateLimitStore",
    "ConcurrencyStore",
    "NonblockingConcurrencyStore",
    "NonblockingRateLimitStore",
    "RateLimitStore",
]


@runtime_checkable
class RateLimitStore(Protocol):
    """A store for `RateLimiter`. Its methods may block, and may be called from any thread."""

    def hit(self, key: str, quota: Quota, cost: int, now: int, /) -> Verdict:
        """Consume `cost` from every limit, or nothing from any if one of them does not admit it."""
        ...

    def peek(self, key: str, quota: Quota, cost: int, now: int, /) -> Verdict:
        """Return what `hit` would answer now, with the units that remain before it; consume nothing."""
        ...

    def refund(self, key: str, quota: Quota, cost: int, now: int, /) -> None:
        """Take back the `cost` units consumed last, as if they never were; more than all is all.

        A refund never leaves more free than the limit.
        """
        ...

    def reset(self, key: str, /) -> None:
        """Forget all that `key` consumed."""
        ...


class AsyncRateLimitStore(Protocol):
    """A store for `AsyncRateLimiter`. Its methods must not block the event loop.

    They are called from one event loop at a time, but possibly from another one later on. A call that
    is cancelled may or may not have consumed its cost.
    """

    async def hit(self, key: str, quota: Quota, cost: int, now: int, /) -> Verdict:
        """Consume `cost` from every limit, or nothing from any if one of them does not admit it."""
        ...

    async def peek(self, key: str, quota: Quota, cost: int, now: int, /) -> Verdict:
        """Return what `hit` would answer now, with the units that remain before it; consume nothing."""
        ...

    async def refund(self, key: str, quota: Quota, cost: int, now: int, /) -> None:
        """Take back the `cost` units consumed last; see `RateLimitStore.refund`."""
        ...

    async def reset(self, key: str, /) -> None:
        """Forget all that `key` consumed."""
        ...


@runtime_checkable
class NonblockingRateLimitStore(RateLimitStore, Protocol):
    """A store that works within the process and never blocks: it serves both faces.

    The promise: no I/O, and no lock held for longer than a few microseconds. `AsyncRateLimiter` then
    calls it without `await`.
    """

    nonblocking: Literal[True]


@runtime_checkable
class ConcurrencyStore(Protocol):
    """A store for `ConcurrencyLimiter`: who holds a place of a key, and who waits for one, in order.

    Each method is one atomic step. `holder` is a name nobody else has, `lease` how long it keeps its place,
    in microseconds from now by the store's clock, unless it is renewed. A store that cannot answer raises
    `BackendError`.
    """

    def acquire(self, key: str, holder: str, places: int, lease: int, wake: Callable[[], object], /) -> float:
        """Give `holder` a place if fewer than `places` are held and nobody waits before it: return 0.0.

        Else put it in line, where it keeps its rank as long as it asks again, and return the seconds after
        which it should. A store within the process also calls `wake` when its turn has come.
        """
        ...

    def renew(self, key: str, holder: str, lease: int, /) -> bool:
        """Put off the end of the lease of `holder`; return False if it has none any more."""
        ...

    def release(self, key: str, holder: str, /) -> None:
        """Take back the place of `holder`, or its rank in the line; nothing if it has neither."""
        ...


class AsyncConcurrencyStore(Protocol):
    """A store for `AsyncConcurrencyLimiter`; otherwise as `ConcurrencyStore`."""

    async def acquire(
        self, key: str, holder: str, places: int, lease: int, wake: Callable[[], object], /
    ) -> float:
        """Give `holder` a place, or a rank in the line; see `ConcurrencyStore.acquire`."""
        ...

    async def renew(self, key: str, holder: str, lease: int, /) -> bool:
        """Put off the end of the lease of `holder`; return False if it has none any more."""
        ...

    async def release(self, key: str, holder: str, /) -> None:
        """Take back the place of `holder`, or its rank in the line; nothing if it has neither."""
        ...


@runtime_checkable
class NonblockingConcurrencyStore(ConcurrencyStore, Protocol):
    """A store within the process, which never blocks, for both faces; its leases need no renewal."""

    nonblocking: Literal[True]
