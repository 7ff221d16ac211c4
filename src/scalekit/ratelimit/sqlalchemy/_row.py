"""What a row holds, and what a call makes of it. Pure: bytes and integers in, bytes and integers out.

key      of the limiter as UTF-8; hashed if that is long
state    a letter for the algorithm, then what `packed` makes of the state
expires  when nothing in it counts any more, in microseconds on the database's clock, or a little later
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._packed import packed, restored
from scalekit.ratelimit._quota import Quota
from scalekit.ratelimit._state import OtherRule, fresh, succeeding

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Algorithm, Verdict
    from scalekit.ratelimit._state import KeyState

_LETTERS: dict[Algorithm, bytes] = {
    "sliding-window": b"w",
    "sliding-log": b"l",
    "sliding-counter": b"c",
    "gcra": b"g",
    "token-bucket": b"t",
    "fixed-window": b"f",
}
_ALGORITHMS: dict[bytes, Algorithm] = {letter: algorithm for algorithm, letter in _LETTERS.items()}
_LONGEST_KEY = 200  # bytes: an index of PostgreSQL's has it in every level
_HASHED = b"\xff"  # a byte that UTF-8 has not, so that no other key is like a hashed one
MOST_UNITS = 100_000  # of an exact log: 0.8 MB, and every hit writes them all


class Unreadable(Exception):
    """A row holds something else, or a format of another version.

    Begun anew, by processes of two versions in turn, a key would never be at its limit.
    """


class Kept(NamedTuple):
    """What a hit leaves in the row."""

    state: bytes
    expires: int


def stored_key(key: str) -> bytes:
    """Return the name of the row; different keys, lone surrogates included, have different ones."""
    name = key.encode("utf-8", "surrogatepass")
    return name if len(name) <= _LONGEST_KEY else _HASHED + blake2b(name, digest_size=32).digest()


def checked(quota: Quota) -> Quota:
    """Return `quota`; `ConfigurationError` if it is beyond what a row can hold."""
    if quota.algorithm == "sliding-log" and quota.largest > MOST_UNITS:
        expected = f"<= {MOST_UNITS} for 'sliding-log' in a store on a database"
        raise ConfigurationError("limit", quota.largest, expected)
    return quota


def hit(data: bytes, quota: Quota, cost: int, now: int) -> tuple[Verdict, Kept | None]:
    """Return the verdict, and what the row becomes if it admits; `data` is b"" where there is no row."""
    state, quota = _opened(data, quota, now)
    try:
        verdict = state.hit(quota, cost, now)
    except OtherRule:
        state = succeeding(state)
        verdict = state.hit(quota, cost, now)
    if not verdict.allowed:
        return verdict, None
    return verdict, Kept(_closed(state, quota.algorithm), _due(state, quota.longest, now))


def peek(data: bytes, quota: Quota, cost: int, now: int) -> Verdict:
    """Return what `hit` would answer."""
    state, quota = _opened(data, quota, now)
    try:
        return state.peek(quota, cost, now)
    except OtherRule:
        return succeeding(state).peek(quota, cost, now)


def refunded(data: bytes, quota: Quota, cost: int, now: int) -> bytes:
    """Return the state without the newest `cost` units."""
    state, quota = _opened(data, quota, now)
    state.refund(cost)
    return _closed(state, quota.algorithm)


def _opened(data: bytes, quota: Quota, now: int) -> tuple[KeyState, Quota]:
    """Return the state, and the quota to ask it with; raises `Unreadable`.

    Where the algorithm has changed, the old one applies while anything counts that it has admitted. Processes
    that want the one and the other may run side by side: began they anew, each would undo the other's.
    """
    if not data:
        return fresh(quota), quota
    algorithm = _ALGORITHMS.get(data[:1])
    if algorithm is None:
        raise Unreadable(f"no packed state: {data[:40]!r}")
    if algorithm == quota.algorithm:
        return _restored(data, quota), quota
    before = Quota(quota.limits, algorithm)
    state = _restored(data, before)
    return (fresh(quota), quota) if state.expired(now) else (state, before)


def _restored(data: bytes, quota: Quota) -> KeyState:
    try:
        return restored(data[1:], quota)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _closed(state: KeyState, algorithm: Algorithm) -> bytes:
    try:
        return _LETTERS[algorithm] + packed(state)
    except struct.error as error:
        expected = "of fewer units, or a shorter window, in a store on a database"
        raise ConfigurationError("limit", state.spans, expected) from error


def _due(state: KeyState, longest: int, now: int) -> int:
    """Return when the state may be dropped, rounded up.

    Most hits of a window have the same answer then, and leave the index alone: PostgreSQL writes a new row
    version into the same page if no indexed column has changed (HOT).
    """
    due = max(now, state.latest) + longest
    step = longest
    while not state.expired(due):  # two windows, or what an earlier quota with a longer window admitted
        due += step
        step *= 2
    grain = (1 << longest.bit_length() - 1) >> 1 or 1  # a quarter to a half of the window
    return due + -due % grain
