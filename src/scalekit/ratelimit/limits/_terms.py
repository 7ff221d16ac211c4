"""What a storage of limits can do, and the refusal of all else: nothing is half done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, TypeAlias

from scalekit._extras import require
from scalekit.errors import ConfigurationError
from scalekit.ratelimit._limit import MICROSECONDS
from scalekit.ratelimit.limits._stored import stored_key

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Quota

Kind: TypeAlias = Literal["fixed", "moving", "counter"]

_KINDS: dict[str, Kind] = {
    "sliding-window": "moving",
    "sliding-log": "moving",
    "sliding-counter": "counter",
    "fixed-window": "fixed",
}
_NEEDED: dict[Kind, tuple[str, ...]] = {
    "fixed": ("get", "incr", "get_expiry"),
    "moving": ("acquire_entry", "get_moving_window"),
    "counter": ("acquire_sliding_window_entry", "get_sliding_window", "clear_sliding_window"),
}
MOST_UNITS = 100_000  # of a moving window, where each unit is an entry
MOST_WINDOWS = 16  # of sliding counters, each of which a reset has to clear
_MEMCACHED_LONGEST = 2_592_000  # seconds; Memcached takes more for a date, long past, and keeps nothing


class Asked(NamedTuple):
    """One call: its key in the storage, units and window (seconds) of the limit, and the cost."""

    kind: Kind
    key: str
    units: int
    window: int
    cost: int


class Terms:
    """What one storage serves. `windows` are those of the sliding counters that it was asked about."""

    __slots__ = ("_kinds", "_longest", "_storage", "windows")

    def __init__(self, storage: object) -> None:
        self._storage = type(storage).__name__
        self._kinds = {
            kind: all(callable(getattr(storage, name, None)) for name in names)
            for kind, names in _NEEDED.items()
        }
        schemes = getattr(storage, "STORAGE_SCHEME", None) or ()
        self._longest = _MEMCACHED_LONGEST if any("memcached" in scheme for scheme in schemes) else None
        self.windows: set[int] = set()

    @property
    def moving(self) -> bool:
        """Whether the storage keeps moving windows."""
        return self._kinds["moving"]

    def asked(self, key: str, quota: Quota, cost: int) -> Asked:
        """Return what to ask the storage; raises `ConfigurationError` for what it does not serve."""
        kind = _KINDS.get(quota.algorithm)
        if kind is None or not self._kinds[kind]:
            served = [repr(name) for name, needed in _KINDS.items() if self._kinds[needed]]
            raise ConfigurationError(
                "algorithm", quota.algorithm, f"as {' or '.join(served)} in {self._storage} of limits"
            )
        if quota.single is None:
            names = [limit.name for limit in quota.limits]
            raise ConfigurationError(
                "limits", names, "as a single one: storages of limits cannot judge several in one step"
            )
        units, microseconds = quota.single
        window, rest = divmod(microseconds, MICROSECONDS)
        if rest:
            expected = "as whole seconds in a storage of limits"
            raise ConfigurationError("window", microseconds / MICROSECONDS, expected)
        if kind == "moving" and units > MOST_UNITS:
            expected = f"<= {MOST_UNITS} for {quota.algorithm!r} in a storage of limits"
            raise ConfigurationError("limit", units, expected)
        longest = self._longest and (self._longest // 2 if kind == "counter" else self._longest)
        if longest and window > longest:
            raise ConfigurationError(
                "window", window, f"<= {longest} seconds for {quota.algorithm!r} in {self._storage}"
            )
        if kind == "counter":
            self._remember(window)
            return Asked(kind, counter_key(key, window), units, window, cost)
        return Asked(kind, stored_key(kind, key), units, window, cost)

    def _remember(self, window: int) -> None:
        if window in self.windows:
            return
        if len(self.windows) >= MOST_WINDOWS:
            raise ConfigurationError(
                "window", window, f"as one of {MOST_WINDOWS} under 'sliding-counter', which a reset can clear"
            )
        self.windows.add(window)

    def refuse_refund(self) -> NoReturn:
        """Raise the `ConfigurationError` for a refund."""
        raise ConfigurationError(
            "store", self._storage, "as one that takes units back, which storages of limits do not"
        )


def counter_key(key: str, window: int) -> str:
    """Return the key of a sliding counter: those of different windows do not mix."""
    return stored_key(f"counter{window}", key)


def given_storage(storage: object) -> Any:
    """Return `storage`; raises `ConfigurationError` if it is no sync storage of limits."""
    library = require("limits.storage", extra="limits", needed_by="LimitsRateLimitStore")
    if not isinstance(storage, library.Storage):
        raise ConfigurationError("storage", storage, "as a storage of limits.storage")
    return storage


def async_given_storage(storage: object) -> Any:
    """Return `storage`; raises `ConfigurationError` if it is no async storage of limits."""
    library = require("limits.aio.storage", extra="limits", needed_by="AsyncLimitsRateLimitStore")
    if not isinstance(storage, library.Storage):
        raise ConfigurationError("storage", storage, "as a storage of limits.aio.storage")
    return storage
