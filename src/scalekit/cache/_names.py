"""A cache's own part of its store: the names of its keys and tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from scalekit.cache._entry import Slot
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache.protocols import Serializer


class Namespace:
    """Puts a namespace in front of keys and tags, so that caches can share a store.

    Injective: a colon inside the namespace is escaped, so no key of one is a key of another.
    """

    __slots__ = ("_prefix", "own_tag")

    def __init__(self, namespace: str) -> None:
        if not isinstance(namespace, str) or not namespace:
            raise ConfigurationError("namespace", namespace, "as a text of at least one character")
        self._prefix = namespace.replace("%", "%25").replace(":", "%3A") + ":"
        self.own_tag = self._prefix

    def key(self, key: str) -> str:
        """Return the store's name for `key`."""
        return self._prefix + nonempty(key, "key")

    def tags(self, tags: Iterable[str]) -> list[str]:
        """Return the store's names for `tags`, in their order."""
        prefix = self._prefix
        return [
            prefix + (tag if tag.__class__ is str and tag else nonempty(tag, "tags")) for tag in listed(tags)
        ]

    def slot(self, key: str, tags: Iterable[str], serializer: Serializer, *, l1: bool = True) -> Slot:
        """Return the place of `key` for a value with `tags`; each tag counts once."""
        return self.slot_named(self.key(key), tags, serializer, l1=l1)

    def slot_named(self, name: str, tags: Iterable[str], serializer: Serializer, *, l1: bool) -> Slot:
        """Return the same for the store's `name` of a key."""
        named = self.tags(tags)
        once = dict.fromkeys(named) if len(named) > 1 else named
        # Not by the constructor, which is Python and takes twice as long: `cached_many` makes one per id.
        return _new(Slot, (name, (self.own_tag, *once), serializer, l1))


def nonempty(text: str, parameter: str) -> str:
    """Return `text`, or raise `ConfigurationError` if it is not a text of at least one character."""
    if not isinstance(text, str) or not text:
        hint = " (unpack a list with *)" if isinstance(text, (list, tuple, set, frozenset)) else ""
        raise ConfigurationError(parameter, text, f"as a text of at least one character{hint}")
    return text


def texts(tags: Iterable[str]) -> tuple[str, ...]:
    """Return `tags` as a tuple, or raise `ConfigurationError` if they are not texts."""
    return tuple([nonempty(tag, "tags") for tag in listed(tags)])


def listed(tags: Iterable[str]) -> Iterable[str]:
    """Return `tags`, or raise `ConfigurationError` if they are no list of anything."""
    # What it is most often is found out first: to ask an abstract class takes ten times as long.
    if tags.__class__ is list or tags.__class__ is tuple:
        return tags
    if isinstance(tags, str):
        raise ConfigurationError("tags", tags, f"as a list of texts, such as [{tags!r}]")
    if not isinstance(tags, Iterable):
        raise ConfigurationError("tags", tags, "as a list of texts")
    return tags


_new: Callable[[type[Slot], tuple[Any, ...]], Slot] = cast("Any", tuple).__new__
