"""What `cached` and `cached_many` have in common: a function, and what tells its entries apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scalekit.cache._key import argument_texts, classes, could_tell_apart, defines_key
from scalekit.cache._names import nonempty
from scalekit.cache._signature import CallSignature
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache._callables import Accepted
    from scalekit.cache._names import Namespace
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache.protocols import Serializer


class _Unsaid(tuple[str, ...]):
    """The default of `exclude`, told from the same names given on purpose."""

    __slots__ = ()


SESSION = _Unsaid(("session",))


class FunctionPlan:
    """What a decorator was told about one function."""

    __slots__ = (
        "_namespace",
        "_typed",
        "_unsaid",
        "function",
        "l1",
        "name",
        "policy",
        "serializer",
        "signature",
    )

    _unsaid_remedy: str

    def __init__(
        self,
        accepted: Accepted,
        namespace: Namespace,
        policy: CachePolicy,
        serializer: Serializer,
        *,
        version: str | int | None,
        typed: bool,
        exclude: Iterable[str],
        l1: bool,
    ) -> None:
        for option, value in (("typed", typed), ("l1", l1)):
            if not isinstance(value, bool):
                raise ConfigurationError(option, value, "as True or False")
        if isinstance(exclude, str) or not isinstance(exclude, Iterable):
            raise ConfigurationError("exclude", exclude, "as a list of parameter names")
        self.function = accepted.function
        self.policy = policy
        self.serializer = serializer
        self.signature = CallSignature(self.function, exclude=tuple(exclude), binds=accepted.binds)
        self.name = _name(self.function, version)
        self._namespace = namespace
        self._typed = typed
        self.l1 = l1
        unsaid = exclude if isinstance(exclude, _Unsaid) else ()
        self._unsaid = tuple(name for name in unsaid if name in self.signature.parameters)

    def check_unsaid(self, arguments: dict[str, Any]) -> None:
        """Raise `ConfigurationError` if what is left out by default could tell one caller from another."""
        for name in self._unsaid:
            if could_tell_apart(arguments[name]):
                # Its class, not itself: the identifier of a session does not belong into a log.
                raise ConfigurationError(name, classes((arguments[name],))[0], self._unsaid_remedy)

    def has_own_key(self, arguments: dict[str, Any]) -> bool:
        """Whether a method's object says itself how it shall be told from others."""
        receiver = self.signature.receiver
        return receiver is not None and defines_key(arguments[receiver])

    def owner_texts(self, arguments: dict[str, Any]) -> list[str]:
        """Return what begins the key of a call: a method's object, if it tells itself from others."""
        if not self.has_own_key(arguments):
            return []
        return argument_texts(arguments, [str(self.signature.receiver)], typed=self._typed)

    def parted(self, args: tuple[Any, ...], method: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return the object that a `method` of the function is for, if the function has one, and the rest."""
        receiver = self.signature.receiver
        if receiver is not None and not args:
            raise TypeError(self.complaint(method, f"missing 1 required positional argument: {receiver!r}"))
        own = 0 if receiver is None else 1
        return args[:own], args[own:]

    def only(self, args: tuple[Any, ...], method: str, name: str) -> tuple[tuple[Any, ...], Any]:
        """Return the same where the rest has to be one argument, of that `name`."""
        owner, rest = self.parted(args, method)
        if len(rest) != 1:
            problem = f"takes 1 positional argument, {name!r}, but {len(rest)} were given"
            raise TypeError(self.complaint(method, problem))
        return owner, rest[0]

    def complaint(self, method: str, problem: str) -> str:
        """Return what is to say of a wrong call of a `method` of the function."""
        return f"{self.function.__qualname__}.{method}() {problem}"


def _name(function: Callable[..., Any], version: str | int | None) -> str:
    """Return the first part of a function's keys."""
    name = f"{function.__module__}.{function.__qualname__}"
    if version is None:
        return name
    if isinstance(version, bool) or not isinstance(version, (str, int)):
        raise ConfigurationError("version", version, "as a text or an integer")
    return f"{name}@{nonempty(str(version), 'version')}"
