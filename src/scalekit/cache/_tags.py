"""From a call's arguments to its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from scalekit.cache._names import texts
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from scalekit.cache._signature import CallSignature

Tags: TypeAlias = "Iterable[str] | Callable[..., Iterable[str]]"
"""Templates over the bound arguments ("user:{user_id}"), or a callable of the call's arguments."""

_Field: TypeAlias = "tuple[str, str, str | None]"

_SHAPE = "as a template like 'user:{user_id}'"


class CallTags:
    """What makes a call's tags of its bound arguments.

    `names` are the parameters that they are made of: None for a callable, which may look at anything.
    `templates` are those of the templates that have to be filled in.
    """

    __slots__ = ("_make", "names", "templates")

    def __init__(
        self,
        make: Callable[[dict[str, Any]], Iterable[str]],
        names: frozenset[str] | None,
        templates: tuple[str, ...] = (),
    ) -> None:
        self._make = make
        self.names = names
        self.templates = templates

    def __call__(self, arguments: dict[str, Any]) -> Iterable[str]:
        return self._make(arguments)


def compile_tags(tags: Tags, signature: CallSignature, *, typed: bool) -> CallTags:
    """Return what makes a call's tags of its bound arguments.

    `ConfigurationError` for a template that names no parameter of the function.
    """
    if callable(tags):
        signature.check_taken_by(tags, "tags")
        return CallTags(_by_callable(tags, signature), None)
    return compile_templates(
        tags,
        signature.parameters,
        expected=signature.only_parameters,
        function=signature.function,
        typed=typed,
    )


def compile_templates(
    tags: Iterable[str],
    names: Collection[str],
    *,
    expected: str,
    function: Callable[..., Any],
    typed: bool,
) -> CallTags:
    """Return what fills templates that may use `names`; `ConfigurationError` as `expected` for others.

    With `typed` unset, equal numbers make one tag, as they make one key.
    """
    templates = texts(tags)
    used = {template: frozenset(_names(template)) for template in templates}
    all_used: frozenset[str] = frozenset(name for of_one in used.values() for name in of_one)
    for template in templates:
        if not used[template] <= set(names):
            raise ConfigurationError("tags", template, expected)
        _check_shape(template, used[template])

    def fill(arguments: dict[str, Any]) -> Iterable[str]:
        return [_filled(each, arguments, function, typed=typed) for each in templates]

    if not any("{" in template or "}" in template for template in templates):
        return CallTags(lambda _: templates, frozenset())
    return CallTags(fill, all_used, tuple(t for t in templates if used[t]))


def _filled(template: str, arguments: dict[str, Any], function: Callable[..., Any], *, typed: bool) -> str:
    try:
        if typed:
            return template.format_map(arguments)
        from scalekit.cache._untyped import UntypedFormatter  # noqa: PLC0415  # as in `_names`

        return UntypedFormatter().vformat(template, (), arguments)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        expected = f"to name what the arguments of {function.__qualname__}() have ({error!r})"
        raise ConfigurationError("tags", template, expected) from error


class _Anything:
    """Stands for an argument of which nothing is known: it has all attributes and items, in any format."""

    def __getattribute__(self, name: str) -> _Anything:  # those of each object, too: {user.__class__.table}
        return self

    def __getitem__(self, key: object) -> _Anything:
        return self

    def __format__(self, form: str) -> str:
        return "1"  # in a nested field, a width


def _check_shape(template: str, names: Iterable[str]) -> None:
    """Raise `ConfigurationError` for a template, such as "user:{user!x}", that no arguments could fill."""
    judgeable = "".join(map(_judgeable, _fields(template)))
    try:
        judgeable.format_map(dict.fromkeys(names, _Anything()))
    except ValueError as error:
        raise ConfigurationError("tags", template, f"{_SHAPE} ({error})") from error


def _judgeable(field: _Field) -> str:
    """Return a template that is wrong if `field` is.

    A format that has fields of its own, such as {user!s:{fill}<{width}}, suits a text or not by what these
    are filled with. So what is converted to one is looked at without it, and it with what takes any format.
    """
    name, form, conversion = field
    if conversion is None:
        return f"{{{name}:{form}}}"
    if "{" in form:
        return f"{{{name}!{conversion}}}{{{name}:{form}}}"
    return f"{{{name}!{conversion}:{form}}}"


def _by_callable(
    function: Callable[..., Iterable[str]], signature: CallSignature
) -> Callable[[dict[str, Any]], Iterable[str]]:
    def tags(arguments: dict[str, Any]) -> Iterable[str]:
        positional, keywords = signature.call(arguments)
        return function(*positional, **keywords)

    return tags


def _names(template: str) -> Iterator[str]:
    """Yield the names that `template` uses, those in a format such as {price:{width}} included."""
    for name, form, _ in _fields(template):
        yield name.partition(".")[0].partition("[")[0]
        yield from _names(form)


def _fields(template: str) -> list[_Field]:
    """Return the fields of `template`: of each the name, the format, and the conversion if there is one."""
    if "{" not in template and "}" not in template:
        return []
    from string import Formatter  # noqa: PLC0415  # a twentieth of the block's import time, for templates alone

    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError("tags", template, _SHAPE) from error
    return [(name, form or "", conversion) for _, name, form, conversion in parsed if name is not None]
