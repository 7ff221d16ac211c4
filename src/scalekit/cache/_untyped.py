"""Tags of calls that do not tell 1, 1.0 and True apart."""

from __future__ import annotations

from string import Formatter
from typing import Any

from scalekit.cache._key import untyped


class UntypedFormatter(Formatter):
    """Writes a number as the key has it: calls that share an entry have the same tags."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        value, used = super().get_field(field_name, args, kwargs)
        return untyped(value), used
