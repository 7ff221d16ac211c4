"""How long a cached value lives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scalekit._time import seconds
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from scalekit._time import Duration


@dataclass(frozen=True, kw_only=True, slots=True)
class CachePolicy:
    """The lifetimes that several cached functions share.

    `ttl`: how long a value lives from the end of its load. `none_ttl`: the same for a value that is
    None, 0 to not cache it; None (the default) for no difference. Both are kept in seconds.
    `ConfigurationError` if either is not a duration.
    """

    ttl: Duration
    none_ttl: Duration | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ttl", seconds(self.ttl, "ttl"))
        if self.none_ttl is not None:
            object.__setattr__(self, "none_ttl", seconds(self.none_ttl, "none_ttl", allow_zero=True))

    def lifetime(self, value: object) -> float:
        """Return for how many seconds `value` may be kept; 0 for not at all."""
        if value is None and self.none_ttl is not None:
            return seconds(self.none_ttl, "none_ttl", allow_zero=True)
        return seconds(self.ttl, "ttl")


def policy_of(policy: CachePolicy | None, *, ttl: Duration | None, none_ttl: Duration | None) -> CachePolicy:
    """Return `policy` with what was given besides it; without one, `ttl` is needed."""
    if policy is None:
        if ttl is None:
            raise ConfigurationError("ttl", ttl, "as a duration, or a CachePolicy before it")
        return CachePolicy(ttl=ttl, none_ttl=none_ttl)
    if not isinstance(policy, CachePolicy):
        raise ConfigurationError("policy", policy, "as a CachePolicy (a duration goes into ttl=)")
    given = {name: value for name, value in (("ttl", ttl), ("none_ttl", none_ttl)) if value is not None}
    return replace(policy, **given)
