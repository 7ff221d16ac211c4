"""What a face hands to a store, and what the store answers: plain values, times in microseconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._limit import Limit

NEVER = -1
"""In `Verdict.retry`: no wait will help, since the cost is above that limit."""

Span: TypeAlias = tuple[int, int]
"""Units, and window in microseconds, of a limit."""
Spans: TypeAlias = tuple[Span, ...]

Algorithm: TypeAlias = Literal[
    "sliding-window", "sliding-log", "sliding-counter", "gcra", "token-bucket", "fixed-window"
]
EXACT = 512  # units up to which "sliding-window" keeps each one's time
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)  # the first is the default
_COST = "as an integer >= 1"
_LIMITS = "as Limits, such as Limit.parse_many() returns"


class Quota:
    """The limits that hold together for a key, and the name of the algorithm that applies them.

    `spans` gives (units, window in microseconds) per limit, in order; `smallest` and `largest` are the
    extremes of the units, `longest` the longest window. `algorithm` (default "sliding-window") tells
    the store which rule to apply. A name that is none is a `ConfigurationError`, and so are two limits
    of the same name, for a header could not tell them apart, and anything else than `Limit`s.

    Of "sliding-window", `fine` is the quota of the limits up to `EXACT` units, None if there are none,
    and `coarse` has a quota for each that is larger; `order` says where each limit is found in the fine
    ones followed by the coarse ones, None if they are in that order anyway.
    """

    __slots__ = (
        "admitted",
        "algorithm",
        "coarse",
        "fine",
        "largest",
        "limits",
        "longest",
        "none",
        "order",
        "single",
        "smallest",
        "spans",
        "units",
        "untouched",
        "windows",
    )

    def __init__(self, limits: Iterable[Limit], algorithm: Algorithm = ALGORITHMS[0]) -> None:
        if not isinstance(limits, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("limits", limits, _LIMITS)
        self.limits: tuple[Limit, ...] = tuple(limits)
        if not all(isinstance(limit, Limit) for limit in self.limits):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("limits", limits, _LIMITS)
        if not self.limits:
            raise ConfigurationError("limits", (), "with at least one limit")
        names = [limit.name for limit in self.limits]
        if len(set(names)) < len(names):
            raise ConfigurationError("limits", names, "with different names")
        self.algorithm: Algorithm = checked_algorithm(algorithm)
        self.spans: Spans = tuple((limit.limit, limit.microseconds) for limit in self.limits)
        self.smallest: int = min(limit.limit for limit in self.limits)
        self.largest: int = max(limit.limit for limit in self.limits)
        self.longest: int = max(limit.microseconds for limit in self.limits)
        # Made once, since every verdict needs them.
        self.units: tuple[int, ...] = tuple(units for units, _ in self.spans)
        self.single: tuple[int, int] | None = self.spans[0] if len(self.spans) == 1 else None
        self.windows: tuple[int, ...] = tuple(window for _, window in self.spans)
        self.none: tuple[int, ...] = (0,) * len(self.limits)
        self.untouched: Verdict = Verdict(True, self.none, self.units, self.none)
        self.admitted: dict[int, Verdict] = {}
        coarse = [i for i, units in enumerate(self.units) if algorithm == ALGORITHMS[0] and units > EXACT]
        fine = [i for i in range(len(self.limits)) if i not in coarse]
        self.fine: Quota | None = self if not coarse else self._of(fine) if fine else None
        self.coarse: tuple[Quota, ...] = tuple(self._of([i]) for i in coarse)
        back = sorted(range(len(self.limits)), key=(fine + coarse).__getitem__)
        self.order: tuple[int, ...] | None = tuple(back) if fine + coarse != sorted(back) else None

    def admitting(self, used: int) -> Verdict:
        """Return the verdict that admits one unit now, on top of `used`, under a single limit.

        `admitted` keeps them: a verdict never changes, and to make it takes longer than to find it.
        """
        verdict = Verdict(True, self.none, (self.largest - used - 1,), self.windows)
        if len(self.admitted) < EXACT:
            self.admitted[used] = verdict
        return verdict

    def _of(self, indices: list[int]) -> Quota:
        """Return the quota of some of the limits, which is this one if it has no others."""
        if len(indices) == len(self.limits):
            return self
        return type(self)([self.limits[i] for i in indices], self.algorithm)

    def __repr__(self) -> str:
        return f"<Quota {'; '.join(map(str, self.limits))} {self.algorithm}>"


class Verdict:
    """A store's answer about one key at one moment; every tuple is in the order of the quota's limits.

    `allowed`: every limit admits the cost (and a hit has consumed it). `retry`: microseconds until that
    limit would admit the same cost, 0 where it does now, `NEVER` where the cost is above the limit.
    `remaining`: units left after this call, >= 0. `reset`: microseconds until the whole limit is back.
    """

    __slots__ = ("allowed", "remaining", "reset", "retry")

    def __init__(
        self,
        allowed: bool,  # noqa: FBT001  # positional for speed: one is made per hit
        retry: tuple[int, ...],
        remaining: tuple[int, ...],
        reset: tuple[int, ...],
        /,
    ) -> None:
        self.allowed: bool = allowed
        self.retry: tuple[int, ...] = retry
        self.remaining: tuple[int, ...] = remaining
        self.reset: tuple[int, ...] = reset

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Verdict):
            return NotImplemented
        return (self.allowed, self.retry, self.remaining, self.reset) == (
            other.allowed,
            other.retry,
            other.remaining,
            other.reset,
        )

    def __hash__(self) -> int:
        return hash((self.allowed, self.retry, self.remaining, self.reset))

    def __repr__(self) -> str:
        fields = ", ".join(f"{slot}={getattr(self, slot)}" for slot in self.__slots__)
        return f"Verdict({fields})"


class Uncounted(Verdict):
    """A verdict that was given without a look at what the key has consumed: it says nothing of the limits."""

    __slots__ = ()


def checked_cost(cost: object) -> int:
    """Return `cost` if it is an integer >= 1; raises `ConfigurationError` for anything else."""
    if isinstance(cost, bool) or not isinstance(cost, int) or cost < 1:
        raise ConfigurationError("cost", cost, _COST)
    return int(cost)


def checked_algorithm(algorithm: Algorithm) -> Algorithm:
    """Return `algorithm` if it is the name of one; raises `ConfigurationError`."""
    if algorithm not in ALGORITHMS:
        raise ConfigurationError("algorithm", algorithm, f"as one of {', '.join(ALGORITHMS)}")
    return algorithm
