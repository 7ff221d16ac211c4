"""What `cached_many` was told about a function of many ids: from an id to its slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

from scalekit.cache._callables import check_fits
from scalekit.cache._function_plan import FunctionPlan
from scalekit.cache._key import bracketed, value_text
from scalekit.cache._loader import check_all_lasting
from scalekit.cache._raised import Raised
from scalekit.cache._tags import CallTags, compile_templates
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from scalekit.cache._callables import Accepted
    from scalekit.cache._entry import Slot
    from scalekit.cache._names import Namespace
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._tags import Tags
    from scalekit.cache.protocols import Serializer


_KEPT = 2_048
"""Slots, or names, that each function keeps, of the ids used lately: half a kilobyte each."""

_LASTING = frozenset([int, str])
"""Classes of ids that are always written in the same way, and none of which equals one of the other."""


class AbsentItem(LookupError):
    """What stands in a store for an id that the loader had no item for, with `none_ttl`."""


def is_absent(value: object) -> bool:
    """Whether a value that a store has says that there is no item."""
    return isinstance(value, Raised) and isinstance(value.error, AbsentItem)


class ManyPlan(FunctionPlan):
    """A function of many ids, and where each item is kept."""

    __slots__ = ("_names", "_slots", "_tags_of", "ids", "tags")

    _unsaid_remedy = "as an object without a stable text: it is in no key; say so by exclude=('session',)"

    def __init__(
        self,
        accepted: Accepted,
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
        super().__init__(
            accepted, namespace, policy, serializer, version=version, typed=typed, exclude=exclude, l1=l1
        )
        if policy.cache_exceptions:
            raise ConfigurationError(
                "cache_exceptions",
                policy.cache_exceptions,
                "only in cached(): an exception answers for no id",
            )
        if policy.lock == "cluster":
            raise ConfigurationError("lock", policy.lock, 'as "process" or None in cached_many()')
        if len(self.signature.names) != 1 or not self.signature.indexable:
            raise ConfigurationError(
                "function", self.function, "of one parameter, the ids, besides self and what exclude= names"
            )
        (self.ids,) = self.signature.names
        self.tags = _compiled(tags, self.function, typed=typed)
        # What was given is asked without a detour: it is, for each of many ids.
        self._tags_of: Callable[[Any], Iterable[str]] = tags if callable(tags) else self._filled
        kept = lru_cache(_KEPT)
        self._names = kept(self._name_alone)
        # What a callable says may depend on more than the id.
        self._slots = None if callable(tags) else kept(partial(self._slot, []))

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call, by name."""
        arguments = self.signature.arguments(*args, **kwargs)
        self.check_unsaid(arguments)
        return arguments

    def bound_ids(self, args: tuple[Any, ...], kwargs: dict[str, Any], method: str) -> dict[str, Any]:
        """Return the same for a `method` that takes its ids one by one."""
        owner, ids = self._separate(args, method)
        if self.signature.is_positional(self.ids):
            return self.bound((*owner, ids), kwargs)
        return self.bound(owner, {self.ids: ids, **kwargs})

    def key(self, *args: Any) -> str:
        """Return the key of an item, of its id, with a method's object before it."""
        owner, id_ = self.only(args, "key", "id")
        return self._key(self.owner_texts(self._owned(owner)), id_)

    def slots_of(self, args: tuple[Any, ...], method: str) -> dict[Hashable, Slot]:
        """Return where the items are kept of the ids that a `method` takes one by one."""
        owner, ids = self._separate(args, method)
        return self.slots({**self._owned(owner), self.ids: ids})

    def slots(self, arguments: dict[str, Any]) -> dict[Hashable, Slot]:
        """Return where the items of a call's ids are kept, in their order, each id once."""
        ids, owner = arguments[self.ids], self.owner_texts(arguments)
        if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
            raise ConfigurationError(self.ids, ids, "as a sequence of ids")
        slot_of = partial(self._slot, owner) if owner else self._slot_alone
        return {id_: slot_of(id_) for id_ in dict.fromkeys(cast("Iterable[Hashable]", ids))}

    def load(self, arguments: dict[str, Any], ids: Sequence[Hashable]) -> Any:
        """Call the function for `ids`, all else being as in `arguments`."""
        positional, keywords = self.signature.call({**arguments, self.ids: list(ids)})
        return self.function(*positional, **keywords)

    def _separate(self, args: tuple[Any, ...], method: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        owner, ids = self.parted(args, method)
        for id_ in ids:
            try:
                hash(id_)
            except TypeError:
                problem = f"takes ids as separate arguments, {method}(1, 2); got {id_!r} for an id"
                raise TypeError(self.complaint(method, problem)) from None
        return owner, ids

    def _owned(self, owner: tuple[Any, ...]) -> dict[str, Any]:
        return {str(self.signature.receiver): receiver for receiver in owner}

    def _slot(self, owner: list[str], id_: Hashable) -> Slot:
        return self._namespace.slot(self._key(owner, id_), self._tags_of(id_), self.serializer, l1=self.l1)

    def _slot_alone(self, id_: Hashable) -> Slot:
        # Made anew each time, slots are half of what a call costs whose items are all there.
        if id_.__class__ not in _LASTING:
            return self._slot([], id_)
        if self._slots is not None:
            return self._slots(id_)
        return self._namespace.slot_named(self._names(id_), self._tags_of(id_), self.serializer, l1=self.l1)

    def _name_alone(self, id_: Hashable) -> str:
        return self._namespace.key(self._key([], id_))

    def _filled(self, id_: object) -> Iterable[str]:
        return self.tags({"id": id_})

    def _key(self, owner: list[str], id_: object) -> str:
        return self.name + bracketed(",".join([*owner, value_text(id_, self.ids, typed=self._typed)]))


def items_of(answer: Any, ids: Sequence[Hashable]) -> dict[Hashable, Any]:
    """Return what a loader found of `ids`.

    `TypeError` if it returned no mapping, or items to be read only once, or items of other ids alone: "1" for
    1, which would be found missing again and again.
    """
    if not isinstance(answer, Mapping):
        msg = f"the loader of {len(ids)} ids returned {type(answer).__name__}, not a mapping from id to item"
        raise TypeError(msg)
    items = cast("Mapping[Hashable, Any]", answer)
    found = {id_: items[id_] for id_ in ids if id_ in items}
    if items and not found:
        other = next(iter(items))
        msg = f"the loader was asked for {ids[0]!r} and returned items of other ids alone, as of {other!r}"
        raise TypeError(msg)
    check_all_lasting(found.values())
    return found


def _compiled(tags: Tags, function: Callable[..., Any], *, typed: bool) -> CallTags:
    """Return what makes an item's tags of its id: templates over {id}, or a callable of it."""
    if callable(tags):
        check_fits(tags, "tags", "as a callable of the id", (None,), {})
        return CallTags(lambda arguments: tags(arguments["id"]), None)
    return compile_templates(
        tags, ("id",), expected="to name the id alone, as {id}", function=function, typed=typed
    )
