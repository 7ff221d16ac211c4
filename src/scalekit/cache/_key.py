"""The text that stands for a call's arguments in a key.

Injective: different values never give the same text. Stable: the same value gives the same text in
every process, whatever PYTHONHASHSEED. Whoever breaks the first rule serves one user's data to
another (dogpile's default key takes ("a b", "c") for ("a", "b c")), so a type that is not known to
keep both is refused, with the remedy.
"""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from typing import TYPE_CHECKING, Any

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SEQUENCES: dict[type, str] = {tuple: "()", list: "[]"}

_LONGEST = 250
"""A longer text of arguments is replaced by its digest: keys stay small whatever is passed."""


def _integer_text(value: int) -> str:
    return repr(value) if -_DECIMAL < value < _DECIMAL else hex(value)


_DECIMAL = 10**100
"""Python refuses to write very long integers in decimal (CVE-2020-10735)."""

_EXACT: dict[type, Callable[[Any], str]] = {
    type(None): repr,
    bool: repr,
    int: _integer_text,
    float: repr,
    complex: repr,
    str: repr,
    bytes: repr,
    type(...): repr,
}

# Named, not imported: what an application has not loaded cannot be among its arguments.
_REPR_IS_EXACT = frozenset(
    {
        *(f"datetime.{name}" for name in ("date", "timedelta", "timezone")),
        *(
            f"ipaddress.IPv{version}{kind}"
            for version in (4, 6)
            for kind in ("Address", "Network", "Interface")
        ),
        *(
            f"{module}.{name}"
            for module in ("pathlib", "pathlib._local")
            for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
        ),
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        "builtins.range",
    }
)

_PINNABLE = frozenset({int, str, bytes, bool, type(None)})

_REMEDY = (
    "as a value with a stable text: give its class __cache_key__(), leave it out with exclude=, or use key="
)
_NO_METHOD = "as an object whose __cache_key__ is a method, not {!r}"
_INHERITED = (
    "as a value whose own class is {}, as the one is that it inherits from: what its class adds is in no key "
    "(or give it __cache_key__())"
)


def argument_texts(arguments: dict[str, Any], names: Iterable[str], *, typed: bool) -> list[str]:
    """Return the texts for those of `arguments` that are in `names`, as they read in a call.

    With `typed` unset, equal numbers (1, True, 1.0) have one text. `ConfigurationError`, naming the
    argument, for a value of an unsupported type.
    """
    return [f"{name}={value_text(arguments[name], name, typed=typed)}" for name in names]


def bracketed(text: str) -> str:
    """Return the part of a key that stands for arguments with this text, one after the other."""
    return f"({text})" if len(text) <= _LONGEST else f"(#{_digest(text)})"


def pinnable(values: tuple[Any, ...]) -> bool:
    """Whether equal arguments of these very classes always have the same text, so a dict may find them.

    Not so for floats (0.0 == -0.0) and datetimes (equal in different zones).
    """
    return all(cls in _PINNABLE for cls in classes(values))


def classes(values: tuple[object, ...]) -> tuple[type, ...]:
    """Return the class of each of `values`."""
    return tuple([type(value) for value in values])


def defines_key(value: object) -> bool:
    """Whether an object says itself how it shall be told from others.

    A class that inherits this may take it back with None, as with `__hash__`.
    """
    return getattr(type(value), "__cache_key__", None) is not None


def could_tell_apart(value: Any) -> bool:
    """Whether `value` has a text, so that leaving it out of the key may give one caller another's entry.

    None, the usual default of a parameter that is left out, tells nothing.
    """
    if value is None or defines_key(value):
        return value is not None
    try:
        value_text(value, "", typed=True)
    except ConfigurationError:
        return False
    return True


def value_text(value: Any, name: str, *, typed: bool) -> str:
    """Return the text of one value; `name` is the argument that a complaint shall name.

    `ConfigurationError` for a value of an unsupported type, and for one that is nested too deeply.
    """
    # What most arguments are comes first: `_text` would find it too, in twice the time.
    if typed and (exact := _EXACT.get(classes((value,))[0])) is not None:
        return exact(value)
    try:
        return _text(value, name, typed=typed)
    except RecursionError as error:
        expected = "as a value that neither contains itself nor is nested hundreds of levels deep"
        raise ConfigurationError(name, value, expected) from error


def untyped(value: Any) -> Any:
    """Return `value`; of equal numbers (1, True, 1.0), the one that stands for all with `typed` unset."""
    if not isinstance(value, (int, float)) or isinstance(value, Enum):
        return value
    return int(value) if value == value // 1 else float(value)


def _text(value: Any, name: str, *, typed: bool) -> str:
    value = value if typed else untyped(value)
    cls = classes((value,))[0]
    exact = _EXACT.get(cls)
    if exact is not None:
        return exact(value)
    if defines_key(value):
        if not callable(value.__cache_key__):
            raise ConfigurationError(name, value, _NO_METHOD.format(value.__cache_key__))
        return f"<{_class_text(cls)}:{_text(value.__cache_key__(), name, typed=typed)}>"
    if isinstance(value, Enum):
        # `name` and `value` may be properties of the class's own, which need not tell members apart.
        member = value._value_ if value._name_ is None else value._name_
        return f"<{_class_text(cls)}:{_text(member, name, typed=True)}>"
    return _container_text(value, cls, name, typed=typed)


def _container_text(value: Any, cls: Any, name: str, *, typed: bool) -> str:
    def inner(item: Any) -> str:
        return _text(item, name, typed=typed)

    brackets = _SEQUENCES.get(cls)
    if brackets is not None:
        return f"{brackets[0]}{','.join([inner(item) for item in value])}{brackets[1]}"
    if cls is dict:
        return f"{{{','.join(sorted([f'{inner(key)}:{inner(item)}' for key, item in value.items()]))}}}"
    if cls is set or cls is frozenset:
        return f"{cls.__name__}{{{','.join(sorted([inner(item) for item in value]))}}}"
    names = _fields(value, name)
    if names is not None:
        texts = [f"{field}={inner(getattr(value, field))}" for field in names]
        return f"<{_class_text(cls)}({','.join(texts)})>"
    return _library_text(value, cls, name)


def _fields(value: object, name: str) -> tuple[str, ...] | None:
    """Return the field names of a named tuple or a frozen dataclass: values by their own declaration.

    Not by one that they inherit, whose fields need not be all that tells them apart.
    """
    cls = classes((value,))[0]
    if tuple in cls.__mro__ and hasattr(cls, "_fields"):
        if cls.__dictoffset__:  # any attributes may be in a dict, which a plain subclass has
            raise ConfigurationError(name, value, _INHERITED.format("a named tuple with __slots__ = ()"))
        return tuple(getattr(cls, "_fields", ()))
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return None
    if "__dataclass_params__" not in vars(cls):
        raise ConfigurationError(name, value, _INHERITED.format("a frozen dataclass"))
    return tuple(field.name for field in fields(cls))


def _library_text(value: Any, cls: Any, name: str) -> str:
    class_name = _class_text(cls)
    if class_name in _REPR_IS_EXACT:
        return repr(value)
    if class_name in {"datetime.datetime", "datetime.time"} and _is_exact_zone(value.tzinfo):
        return repr(value)
    if class_name == "zoneinfo.ZoneInfo" and _is_exact_zone(value):
        return repr(value)
    raise ConfigurationError(name, value, _REMEDY)


def _is_exact_zone(zone: Any) -> bool:
    if zone is None:
        return True
    name = _class_text(classes((zone,))[0])
    return name == "datetime.timezone" or (name == "zoneinfo.ZoneInfo" and zone.key is not None)


def _class_text(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _digest(text: str) -> str:
    from hashlib import blake2b  # noqa: PLC0415  # loads OpenSSL, for those who pass long arguments

    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=24).hexdigest()
