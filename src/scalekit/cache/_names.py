"""A cache's own part of its store: the names of its keys and tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from scalekit.cache._entry import Slot
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
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
        return [self._prefix + tag for tag in texts(tags)]

    def slot(self, key: str, tags: Iterable[str], serializer: Serializer, *, l1: bool = True) -> Slot:
        """Return the place of `key` for a value with `tags`; each tag counts once."""
        return Slot(self.key(key), (self.own_tag, *dict.fromkeys(self.tags(tags))), serializer, l1)


def nonempty(text: str, parameter: str) -> str:
    """Return `text`, or raise `ConfigurationError` if it is not a text of at least one character."""
    if not isinstance(text, str) or not text:
        hint = " (unpack a list with *)" if isinstance(text, (list, tuple, set, frozenset)) else ""
        raise ConfigurationError(parameter, text, f"as a text of at least one character{hint}")
    return text


def texts(tags: Iterable[str]) -> tuple[str, ...]:
    """Return `tags` as a tuple, or raise `ConfigurationError` if they are not texts."""
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise ConfigurationError("tags", tags, "as a list of texts")
    return tuple(nonempty(tag, "tags") for tag in tags)
