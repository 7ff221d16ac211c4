"""What `cached_many` was told about a function of many ids: from an id to its slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from scalekit.cache._key import value_text
from scalekit.cache._loader import check_all_lasting
from scalekit.cache._names import texts
from scalekit.cache._plan import function_name
from scalekit.cache._raised import Raised
from scalekit.cache._signature import CallSignature
from scalekit.cache._tags import compile_templates
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from scalekit.cache._entry import Slot
    from scalekit.cache._names import Namespace
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._tags import Tags
    from scalekit.cache.protocols import Serializer


class AbsentItem(LookupError):
    """What stands in a store for an id that the loader had no item for, with `none_ttl`."""


def is_absent(value: object) -> bool:
    """Whether a value that a store has says that there is no item."""
    return isinstance(value, Raised) and isinstance(value.error, AbsentItem)


class ManyPlan:
    """A function of many ids, and where each item is kept."""

    __slots__ = (
        "_l1",
        "_namespace",
        "_tags",
        "_typed",
        "function",
        "ids",
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
        version: str | int | None,
        typed: bool,
        exclude: Iterable[str],
        l1: bool,
    ) -> None:
        for name, value in (("typed", typed), ("l1", l1)):
            if not isinstance(value, bool):
                raise ConfigurationError(name, value, "as True or False")
        if isinstance(exclude, str) or not isinstance(exclude, Iterable):
            raise ConfigurationError("exclude", exclude, "as a list of parameter names")
        if policy.cache_exceptions:
            raise ConfigurationError(
                "cache_exceptions",
                policy.cache_exceptions,
                "only in cached(): an exception answers for no id",
            )
        if policy.lock == "cluster":
            raise ConfigurationError("lock", policy.lock, '"process" or None in cached_many()')
        self.function = function
        self.policy = policy
        self.serializer = serializer
        self.signature = CallSignature(function, exclude=tuple(exclude))
        if len(self.signature.names) != 1 or not self.signature.indexable:
            raise ConfigurationError(
                "function", function, "of one parameter, the ids, besides self and what exclude= names"
            )
        (self.ids,) = self.signature.names
        self.name = function_name(function, version)
        self._namespace = namespace
        self._typed = typed
        self._l1 = l1
        self._tags = _compiled(tags)

    def key(self, id_: object) -> str:
        """Return the key of an item."""
        return f"{self.name}({value_text(id_, self.ids, typed=self._typed)})"

    def slot(self, id_: object) -> Slot:
        """Return where the item of an id is kept."""
        return self._namespace.slot(self.key(id_), self._tags(id_), self.serializer, l1=self._l1)

    def ids_of(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the ids of `args`, the arguments of a method of the function: all but a receiver."""
        return args if self.signature.receiver is None else args[1:]

    def slots(self, ids: Any) -> dict[Hashable, Slot]:
        """Return where the items of `ids` are kept, in their order, each id once."""
        if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
            raise ConfigurationError(self.ids, ids, "as a sequence of ids")
        return {id_: self.slot(id_) for id_ in dict.fromkeys(cast("Iterable[Hashable]", ids))}

    def load(self, arguments: dict[str, Any], ids: Sequence[Hashable]) -> Any:
        """Call the function for `ids`, all else being as in `arguments`."""
        positional, keywords = self.signature.call({**arguments, self.ids: list(ids)})
        return self.function(*positional, **keywords)


def items_of(answer: Any, ids: Sequence[Hashable]) -> dict[Hashable, Any]:
    """Return what a loader found of `ids`; `TypeError` for no mapping, or items to be read only once."""
    if not isinstance(answer, Mapping):
        msg = f"the loader of {len(ids)} ids returned {type(answer).__name__}, not a mapping from id to item"
        raise TypeError(msg)
    items: dict[Hashable, Any] = {id_: answer[id_] for id_ in ids if id_ in answer}
    check_all_lasting(items.values())
    return items


def _compiled(tags: Tags) -> Callable[[object], Iterable[str]]:
    """Return what makes an item's tags of its id: templates over {id}, or a callable of it."""
    if callable(tags):
        return lambda id_: texts(tags(id_))
    made = compile_templates(tags, ("id",), expected="to name the id alone, as {id}")
    return lambda id_: made({"id": id_})
