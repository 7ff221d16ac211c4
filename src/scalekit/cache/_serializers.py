"""In which way the values of each function are written, for stores that keep bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.cache._many import AbsentItem
from scalekit.cache._raised_serializer import KeySerializer, RaisedSerializer
from scalekit.cache._serialized import checked_serializer

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache._policy import CachePolicy
    from scalekit.cache.protocols import Serializer


class Serializers:
    """The serializers of one cache.

    `plain` is for values of no function, `typed` makes one for what a function says it returns, and `items`
    one for the values of the mapping that it says it returns. `compressed`, if any, goes around them.
    """

    __slots__ = ("_compressed", "_items", "_typed", "plain")

    def __init__(
        self,
        *,
        plain: Serializer,
        typed: Callable[[Callable[..., Any]], Serializer],
        items: Callable[[Callable[..., Any]], Serializer],
        compressed: Callable[[Serializer], Serializer] | None,
    ) -> None:
        self._typed = typed
        self._items = items
        self._compressed = compressed
        self.plain = self._around(plain)

    def of(self, function: Callable[..., Any], given: object, policy: CachePolicy) -> Serializer:
        """Return what writes the results of `function`: what was given, or by its annotation."""
        serializer = self._around(self._typed(function)) if given is None else checked_serializer(given)
        return self._with_errors(serializer, policy.cache_exceptions)

    def of_items(self, function: Callable[..., Any], given: object, policy: CachePolicy) -> Serializer:
        """Return what writes the items that `function` returns, and that there is none."""
        serializer = self._around(self._items(function)) if given is None else checked_serializer(given)
        return self._with_errors(serializer, () if policy.none_ttl is None else (AbsentItem,))

    def of_keys(self) -> KeySerializer:
        """Return what writes the values of no function, and the exceptions that it is then told of."""
        return KeySerializer(self.plain, self.plain, plain=self.plain)

    def beside(self, serializer: Serializer, errors: tuple[type[Exception], ...]) -> Serializer:
        """Return what reads and writes what `serializer` does, and exceptions of `errors`."""
        if not errors:
            return serializer
        if isinstance(serializer, RaisedSerializer):
            return serializer.allowing(errors)
        return KeySerializer(serializer, serializer, errors, plain=self.plain)

    def _around(self, serializer: Serializer) -> Serializer:
        return serializer if self._compressed is None else self._compressed(serializer)

    def _with_errors(self, serializer: Serializer, errors: tuple[type[Exception], ...]) -> Serializer:
        if not errors:
            return serializer
        return RaisedSerializer(serializer, errors, plain=self.plain)
