"""How long a cached value lives, and who loads the next one."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, cast

from scalekit._time import seconds
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scalekit._time import Duration

Lock: TypeAlias = Literal["process", "cluster"]
"""Among whom a load runs once: the threads or tasks of this process, or all processes on the store."""


class PolicyOptions(TypedDict, total=False):
    """The fields of `CachePolicy` as keywords."""

    ttl: Duration
    none_ttl: Duration | None
    stale_while_revalidate: Duration
    stale_if_error: Duration
    jitter: float
    early_refresh: float
    cache_exceptions: tuple[type[Exception], ...]
    exception_ttl: Duration | None
    lock: Lock | None
    lease: Duration
    load_timeout: Duration | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CachePolicy:
    """The lifetimes that several cached functions share. All durations are kept in seconds.

    * `ttl`: how long a value is fresh, from the end of its load. `none_ttl`: the same for a value that is
      None, 0 to not cache it; None (the default) for no difference.
    * `stale_while_revalidate`: for how long after that a value is still answered at once, while one load
      runs behind the callers' backs (RFC 5861). 0, the default, for not at all.
    * `stale_if_error`: for how long after that a value still answers when its reload fails, by any
      `Exception` (RFC 5861). The load is then tried again at most once a second. Neither of the two serves
      a value across an invalidation.
    * `jitter`: the fraction of the ttl by which lifetimes are shortened at random, so that what was
      loaded together does not end together: from 0.0, the default, to below 1.0.
    * `early_refresh`: the beta of XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache
      Stampede Prevention, VLDB 2015). A read shortly before the end starts the reload behind the caller's
      back, the likelier the nearer the end and the longer the load took. 1.0 is the paper's choice, more
      is earlier; 0.0, the default, for never.
    * `cache_exceptions`: exceptions that are answers, such as NotFound, are kept for `exception_ttl`
      (the ttl, if None, the default) and raised to the callers meanwhile. A tuple of classes, () by default;
      a list and a single class are taken as well, and kept as a tuple.
    * `lock`: "process", the default: of the threads or tasks of a process one loads a key and the others
      wait; "cluster": of all processes on the store, which must be able to elect one; None: all load.
      `lease`: for how long an election holds unless it is renewed, which a living process does; by default
      30 seconds.
    * `load_timeout`: how long a caller waits for a load, after which it gets `LoadTimeout`; None, the
      default, for as long as it takes. A load that all have given up is cancelled in asyncio; in a thread it
      goes on, and what it brings is stored if it is still valid.

    `ConfigurationError` for what is none of that.
    """

    ttl: Duration
    none_ttl: Duration | None = None
    stale_while_revalidate: Duration = 0.0
    stale_if_error: Duration = 0.0
    jitter: float = 0.0
    early_refresh: float = 0.0
    cache_exceptions: tuple[type[Exception], ...] = ()
    exception_ttl: Duration | None = None
    lock: Lock | None = "process"
    lease: Duration = 30.0
    load_timeout: Duration | None = None

    def __post_init__(self) -> None:
        for name in ("ttl", "lease"):
            self._keep(name, seconds(getattr(self, name), name))
        for name in ("stale_while_revalidate", "stale_if_error"):
            self._keep(name, seconds(getattr(self, name), name, allow_zero=True))
        for name, zero in (("none_ttl", True), ("exception_ttl", False), ("load_timeout", False)):
            if getattr(self, name) is not None:
                self._keep(name, seconds(getattr(self, name), name, allow_zero=zero))
        _check_number("jitter", self.jitter, "from 0.0 to below 1.0", below=1.0)
        _check_number("early_refresh", self.early_refresh, "from 0.0 (never) to below 100.0", below=100.0)
        self._keep("cache_exceptions", _classes(self.cache_exceptions))
        if self.exception_ttl is not None and not self.cache_exceptions:
            raise ConfigurationError("exception_ttl", self.exception_ttl, "only with cache_exceptions")
        if self.lock not in ("process", "cluster", None):  # not a set: it may be unhashable
            raise ConfigurationError("lock", self.lock, 'as "process", "cluster" or None')

    def _keep(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def lifetime(self, value: object) -> float:
        """Return for how many seconds `value` is fresh, before any jitter; 0 for not at all."""
        if value is None and self.none_ttl is not None:
            return cast("float", self.none_ttl)
        return cast("float", self.ttl)

    @property
    def exception_lifetime(self) -> float:
        """For how many seconds a cached exception is raised."""
        return cast("float", self.ttl if self.exception_ttl is None else self.exception_ttl)

    @property
    def stale_for(self) -> float:
        """For how many seconds a value is kept beyond its freshness."""
        return max(cast("float", self.stale_while_revalidate), cast("float", self.stale_if_error))


def policy_of(
    policy: CachePolicy | None, options: PolicyOptions, method: Callable[..., object]
) -> CachePolicy:
    """Return `policy` with the options that `method` was given besides it; without one, `ttl` is needed."""
    given = cast("dict[str, Any]", options)
    unknown = given.keys() - _OPTIONS
    if unknown:
        raise TypeError(_unexpected(min(unknown), method))
    if policy is None:
        if given.get("ttl") is None:
            raise ConfigurationError("ttl", None, "as a duration, or a CachePolicy before it")
        return CachePolicy(**given)
    if not isinstance(policy, CachePolicy):
        raise ConfigurationError("policy", policy, _expected_policy(policy))
    return replace(policy, **given)


def _expected_policy(given: object) -> str:
    remedy = "call it: cached(ttl=...)" if callable(given) else "a duration goes into ttl="
    return f"as a CachePolicy ({remedy})"


_OPTIONS = frozenset(field.name for field in fields(CachePolicy))


def _unexpected(option: str, method: Callable[..., object]) -> str:
    """Return what Python would say of an unexpected keyword, with the one that was meant, if any is near."""
    import inspect  # noqa: PLC0415  # these two are for an error alone
    from difflib import get_close_matches  # noqa: PLC0415

    own = [p.name for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY]
    near = get_close_matches(option, [*own, *sorted(_OPTIONS)], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{method.__qualname__}() got an unexpected option {option!r}{hint}"


def _check_number(parameter: str, value: object, expected: str, *, below: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < below:
        raise ConfigurationError(parameter, value, expected)


def _classes(given: object) -> tuple[type[Exception], ...]:
    several = isinstance(given, (tuple, list))
    classes = list(cast("Iterable[object]", given if several else (given,)))
    for cls in classes:
        if not _is_exception(cls):
            raise ConfigurationError("cache_exceptions", cls, "as classes of exceptions")
    return tuple(cast("list[type[Exception]]", classes))


def _is_exception(cls: object) -> bool:
    # Not BaseException: an interrupt or a cancellation is nobody's answer.
    return isinstance(cls, type) and issubclass(cls, Exception)
