"""A text for a type: the same in every process, and another one when its fields or members change."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin
from uuid import UUID

from scalekit.cache._models import by_name, is_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TOLD_BY_REPR = (type(None), bool, int, float, complex, str, bytes, Decimal, date, time, timedelta, UUID)
_OF_A_FIELD = ("annotation", "alias", "validation_alias", "serialization_alias", "default", "default_factory")


def shape_of(kind: Any, describe: Callable[[Any], Any]) -> str:
    """Return the text for `kind`, which `describe` (`msgspec.inspect.type_info`) describes.

    It holds the qualified names of all classes, their fields with names, types and defaults, and the
    members of enums with their values. No hash order and no address gets into it, and no code: what a
    method or a hook does to a value, it does not tell.
    """
    return _Shape(describe).annotation(kind)


class _Shape:
    def __init__(self, describe: Callable[[Any], Any]) -> None:
        self._describe = describe
        self._numbers: dict[int, int] = {}
        self._alive: list[object] = []  # or an identity would be given to another object

    def annotation(self, kind: Any) -> str:
        try:
            description = self._describe(kind)
        except Exception:  # noqa: BLE001  # of what msgspec does not know, or of a name that is not there
            if (origin := get_origin(kind)) is None:
                return self.text(kind)
            name = _name(Union if origin is UnionType else origin)
            return f"{name}[{self._texts(get_args(kind), self.annotation)}]"
        return self.text(description)

    def text(self, part: Any) -> str:  # noqa: PLR0911  # a table, one line per row
        kind = _kind(part)
        if isinstance(part, Enum):
            return f"{_name(kind)}.{part.name}"
        if kind in _TOLD_BY_REPR:
            return repr(part)
        if isinstance(part, (list, tuple)):
            return f"{_name(kind)}({self._texts(cast('Iterable[Any]', part))})"
        if isinstance(part, (set, frozenset)):
            return f"{_name(kind)}({', '.join(sorted(map(self.text, cast('Iterable[Any]', part))))})"
        if isinstance(part, dict):
            return f"{_name(kind)}({self._texts(cast('Iterable[Any]', part.items()))})"
        if isinstance(part, type) and get_origin(part) is None:
            return self._class(part)
        if kind.__module__ == "msgspec.inspect":
            return self._once(part, self._described)
        if (origin := get_origin(part)) is not None:
            return f"{_name(origin)}[{self._texts(get_args(part))}]"
        return _name(part if hasattr(part, "__qualname__") else kind)

    def _texts(self, parts: Iterable[Any], text: Callable[[Any], str] | None = None) -> str:
        return ", ".join(map(text or self.text, parts))

    def _once(self, part: Any, text: Callable[[Any], str]) -> str:
        """Return the text of what may contain itself, and where it occurs again its number."""
        number = self._numbers.get(id(part))
        if number is not None:
            return f"#{number}"
        self._numbers[id(part)] = len(self._numbers)
        self._alive.append(part)
        return text(part)

    def _described(self, part: Any) -> str:
        return f"{type(part).__name__}({self._texts(getattr(part, name) for name in part.__struct_fields__)})"

    def _class(self, kind: type[Any]) -> str:
        if issubclass(kind, Enum):
            return f"{_name(kind)}({self._texts((name, m.value) for name, m in kind.__members__.items())})"
        return self._once(kind, self._model) if is_model(kind) else _name(kind)

    def _model(self, kind: Any) -> str:
        config = self.text(dict(getattr(kind, "model_config", None) or {}))
        fields: dict[str, Any] = getattr(kind, "model_fields", None) or {}
        return f"{_name(kind)}({by_name(kind)}, {config}, {self._texts(fields.items(), self._field)})"

    def _field(self, item: tuple[str, Any]) -> str:
        name, field = item
        annotation, *others = [getattr(field, part, None) for part in _OF_A_FIELD]
        return f"{name}={self.annotation(annotation)} {self._texts(others)}"


def _kind(part: object) -> type[Any]:
    return type(part)


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
