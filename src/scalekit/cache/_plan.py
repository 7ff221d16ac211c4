"""What `cached` was told about a function: from a call to its slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.cache._function_plan import FunctionPlan
from scalekit.cache._key import argument_texts, bracketed, classes, pinnable, value_text
from scalekit.cache._tags import compile_tags
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scalekit.cache._callables import Accepted
    from scalekit.cache._entry import Slot
    from scalekit.cache._names import Namespace
    from scalekit.cache._policy import CachePolicy
    from scalekit.cache._tags import Tags
    from scalekit.cache.protocols import Serializer


class Plan(FunctionPlan):
    """What `cached` was told about one function: how its calls become slots, and how long values live."""

    __slots__ = ("_key", "tags")

    _unsaid_remedy = (
        "as an object without a stable text, for by default it is left out of the key: "
        "say exclude=() to tell entries apart by it, exclude=('session',) to leave it out"
    )

    def __init__(
        self,
        accepted: Accepted,
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
        super().__init__(
            accepted, namespace, policy, serializer, version=version, typed=typed, exclude=exclude, l1=l1
        )
        self._key = key
        if key is not None:
            self.signature.check_taken_by(key, "key")
            self._unsaid = ()  # it is made of all arguments, so nothing is left out of it unsaid
        self.tags = compile_tags(tags, self.signature, typed=typed)

    def key(self, arguments: dict[str, Any]) -> str:
        """Return the key of a call."""
        self.check_unsaid(arguments)
        if self._key is None:
            texts = argument_texts(arguments, self.signature.names, typed=self._typed)
        else:
            positional, keywords = self.signature.call(arguments)
            texts = [value_text(self._key(*positional, **keywords), "key", typed=self._typed)]
        return self.name + bracketed(",".join([*self.owner_texts(arguments), *texts]))

    def slot_key(self, arguments: dict[str, Any]) -> str:
        """Return the store's name for the key of a call."""
        return self._namespace.key(self.key(arguments))

    def slot(self, arguments: dict[str, Any]) -> Slot:
        """Return where the value of a call is kept."""
        key, tags = self.key(arguments), self.tags(arguments)
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
        tagged_by = self.tags.names
        return self.indexable and tagged_by is not None and tagged_by.issubset(self.signature.names)

    def place(self, arguments: dict[str, Any]) -> tuple[Any, tuple[type, ...]] | None:
        """Return where an index may file this call and under which classes; None if it must not."""
        place, values = self.signature.place(arguments)
        kinds = classes(values)
        if self.has_own_key(arguments) or not pinnable(values) or not self.signature.fits(kinds):
            return None
        return place, kinds
