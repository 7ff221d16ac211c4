"""From what a limiter was given to the quota that holds for a key."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from scalekit.errors import ConfigurationError
from scalekit.ratelimit._limit import LARGEST, Limit
from scalekit.ratelimit._quota import ALGORITHMS, Quota, checked_algorithm

if TYPE_CHECKING:
    from scalekit.ratelimit._quota import Algorithm

    Plan: TypeAlias = str | Limit | Sequence[str | Limit]
    Exempt: TypeAlias = Callable[[str], bool] | Container[str]

_REMEMBERED = 1024
_PLAN = "as text, a Limit or a sequence of them"
# What a decision shows of an exempt key whose plan was never asked for: the most that a header can say.
_UNLIMITED = Quota([Limit(LARGEST, "1us", name="exempt")])


class Plans:
    """The quota of each key: `fixed` when all keys share one, else what a callable says of the key.

    `exempt` is the one that a decision shows of a key that is not counted: the callable may not know it.
    """

    __slots__ = ("_algorithm", "_choose", "_quotas", "exempt", "fixed")

    def __init__(
        self, limits: Sequence[Plan | Callable[[str], Plan]], algorithm: Algorithm = ALGORITHMS[0]
    ) -> None:
        self._algorithm: Algorithm = checked_algorithm(algorithm)
        self._quotas: dict[Plan, Quota] = {}
        self.fixed: Quota | None = None
        self._choose: Callable[[str], Plan] | None = None
        plan = limits[0] if len(limits) == 1 else cast("Plan", tuple(limits))
        if callable(plan):
            self._choose = plan
        else:
            self.fixed = Quota(_limits_of(plan), algorithm)
        self.exempt: Quota = self.fixed or _UNLIMITED

    def quota(self, key: str) -> Quota:
        """Return the quota that holds for `key` now; raises `ConfigurationError` for a plan that is none.

        The same plan gives the same object, so that stores can tell a change of plan by identity.
        """
        if self._choose is None:
            return cast("Quota", self.fixed)
        plan = self._choose(key)
        if isinstance(plan, list):
            plan = tuple(plan)
        try:
            quota = self._quotas.get(plan)
        except TypeError:  # unhashable, hence neither text nor Limit nor a tuple of them
            raise ConfigurationError("limits", plan, _PLAN) from None
        if quota is None:
            quota = Quota(_limits_of(plan), self._algorithm)
            if len(self._quotas) >= _REMEMBERED:  # a callable that makes up limits must not cost memory
                self._quotas.clear()
            self._quotas[plan] = quota
        return quota


def _limits_of(plan: Plan) -> tuple[Limit, ...]:
    if isinstance(plan, Limit):
        return (plan,)
    if isinstance(plan, str):
        return Limit.parse_many(plan)
    if not isinstance(plan, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("limits", plan, _PLAN)
    limits: list[Limit] = []
    for part in plan:
        if not isinstance(part, (str, Limit)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("limits", part, _PLAN)
        limits.extend(_limits_of(part))
    return tuple(limits)


def exemption(exempt: Exempt | None) -> Callable[[str], bool] | None:
    """Return `exempt` as a predicate; raises `ConfigurationError` for anything else.

    Text is refused although it is a container: `"a" in "abc"` would exempt by substring.
    """
    if exempt is None or callable(exempt):
        return exempt
    if isinstance(exempt, (str, bytes)) or not isinstance(exempt, Container):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError("exempt", exempt, "as a predicate or a container of keys")
    return exempt.__contains__
