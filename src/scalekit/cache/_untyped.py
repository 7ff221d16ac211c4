"""Tags of calls that do not tell 1, 1.0 and True apart."""

from __future__ import annotations

from string import Formatter
from typing import Any, cast

from scalekit.cache._key import untyped


class UntypedFormatter(Formatter):
    """Writes numbers as the key has them: calls that share an entry have the same tags."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        value, used = super().get_field(field_name, args, kwargs)
        return _alike(value), used


def _alike(value: Any) -> Any:
    """Return `value` with the numbers in it, however deep, as the key has them."""
    kind = cast("Any", type(value))
    if kind in _PLAIN:
        return kind(map(_alike, value))
    if kind is dict:
        return {_alike(key): _alike(item) for key, item in value.items()}
    return untyped(value)


_PLAIN = frozenset([tuple, list, set, frozenset])  # not their subclasses, whose text may be another
