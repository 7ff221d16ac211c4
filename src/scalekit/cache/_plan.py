"""What `cached` was told about a function: from a call to its slot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scalekit.cache._key import arguments_text, classes, could_tell_apart, defines_key, pinnable, value_text
from scalekit.cache._names import nonempty
from scalekit.cache._signature import CallSignature
from scalekit.cache._tags import compile_tags
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache._entry import Slot
    from scalekit.cache._names import Namespace
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._tags import Tags
    from scalekit.cache.protocols import Serializer


class _Unsaid(tuple[str, ...]):
    """The default of `exclude`, told from the same names given on purpose."""

    __slots__ = ()


SESSION = _Unsaid(("session",))


class Plan:
    """What `cached` was told about one function: how its calls become slots, and how long values live."""

    __slots__ = (
        "_key",
        "_namespace",
        "_tags",
        "_typed",
        "_unsaid",
        "function",
        "l1",
        "name",
        "policy",
        "serializer",
        "signature",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        namespace: Namespace,
        policy: CachePolicy,
        serializer: Serializer,
        *,
        tags: Tags,
        key: Callable[..., object] | None,
        version: str | int | None,
        typed: bool,
        exclude: Iterable[str],
        l1: bool,
    ) -> None:
        if key is not None and not callable(key):
            raise ConfigurationError("key", key, "as a callable of the call's arguments")
        if not isinstance(typed, bool):
            raise ConfigurationError("typed", typed, "as True or False")
        if not isinstance(l1, bool):
            raise ConfigurationError("l1", l1, "as True or False")
        if isinstance(exclude, str) or not isinstance(exclude, Iterable):
            raise ConfigurationError("exclude", exclude, "as a list of parameter names")
        self.function = function
        self.policy = policy
        self.serializer = serializer
        self.signature = CallSignature(function, exclude=tuple(exclude))
        self._namespace = namespace
        self.name = function_name(function, version)
        self._key = key
        self._typed = typed
        self.l1 = l1
        # A key of one's own is made of all arguments, so nothing is left out of it unsaid.
        unsaid = exclude if isinstance(exclude, _Unsaid) and key is None else ()
        self._unsaid = tuple(name for name in unsaid if name in self.signature.parameters)
        self._tags = compile_tags(tags, self.signature)

    def key(self, arguments: dict[str, Any]) -> str:
        """Return the key of a call."""
        if self._key is not None:
            positional, keywords = self.signature.call(arguments)
            return f"{self.name}({value_text(self._key(*positional, **keywords), 'key', typed=self._typed)})"
        for name in self._unsaid:
            if could_tell_apart(arguments[name]):
                # Its class, not itself: the identifier of a session does not belong into a log.
                raise ConfigurationError(name, classes((arguments[name],))[0], _UNSAID)
        names = self.signature.names
        if has_own_key(arguments, self.signature.receiver):
            names = (str(self.signature.receiver), *names)
        return self.name + arguments_text(arguments, names, typed=self._typed)

    def slot_key(self, arguments: dict[str, Any]) -> str:
        """Return the store's name for the key of a call."""
        return self._namespace.key(self.key(arguments))

    def slot(self, arguments: dict[str, Any]) -> Slot:
        """Return where the value of a call is kept."""
        key, tags = self.key(arguments), self._tags(arguments)
        return self._namespace.slot(key, tags, self.serializer, l1=self.l1)

    @property
    def indexable(self) -> bool:
        """Whether a wrapper may find entries by the arguments alone."""
        return self._key is None and not self._unsaid and self.signature.indexable

    @property
    def remembers(self) -> bool:
        """Whether calls of one key always have the same tags.

        Not so for a callable, nor for a template over what the key leaves out: another call's tags on a
        value would let it outlive the invalidation of its own.
        """
        tagged_by = self._tags.names
        return self.indexable and tagged_by is not None and tagged_by.issubset(self.signature.names)

    def place(self, arguments: dict[str, Any]) -> tuple[Any, tuple[type, ...]] | None:
        """Return where an index may file this call and under which classes; None if it must not."""
        place, values = self.signature.place(arguments)
        kinds = classes(values)
        own_key = has_own_key(arguments, self.signature.receiver)
        return None if own_key or not pinnable(values) or not self.signature.fits(kinds) else (place, kinds)


_UNSAID = (
    "as an object without a stable text, for by default it is left out of the key: "
    "say exclude=() to tell entries apart by it, exclude=('session',) to leave it out"
)


def function_name(function: Callable[..., Any], version: str | int | None) -> str:
    """Return the first part of a function's keys."""
    name = f"{function.__module__}.{function.__qualname__}"
    if version is None:
        return name
    if isinstance(version, bool) or not isinstance(version, (str, int)):
        raise ConfigurationError("version", version, "as a text or an integer")
    return f"{name}@{nonempty(str(version), 'version')}"


def has_own_key(arguments: dict[str, Any], receiver: str | None) -> bool:
    """Whether a method's object says itself how it shall be told from others."""
    return receiver is not None and defines_key(arguments[receiver])
