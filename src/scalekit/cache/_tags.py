"""From a call's arguments to its tags."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any, TypeAlias

from scalekit.cache._names import nonempty, texts
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from scalekit.cache._signature import CallSignature

Tags: TypeAlias = "Iterable[str] | Callable[..., Iterable[str]]"
"""Templates over the bound arguments ("user:{user_id}"), or a callable of the call's arguments."""

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


def compile_tags(tags: Tags, signature: CallSignature) -> CallTags:
    """Return what makes a call's tags of its bound arguments.

    `ConfigurationError` for a template that names no parameter of the function.
    """
    if callable(tags):
        return CallTags(_by_callable(tags, signature), None)
    return compile_templates(
        tags, signature.parameters, expected=signature.only_parameters, function=signature.function
    )


def compile_templates(
    tags: Iterable[str], names: Collection[str], *, expected: str, function: Callable[..., Any]
) -> CallTags:
    """Return what fills templates that may use `names`; `ConfigurationError` as `expected` for others."""
    templates = texts(tags)
    used = {template: frozenset(_names(template)) for template in templates}
    all_used: frozenset[str] = frozenset(name for of_one in used.values() for name in of_one)
    for template in templates:
        if not used[template] <= set(names):
            raise ConfigurationError("tags", template, expected)

    def fill(arguments: dict[str, Any]) -> Iterable[str]:
        return [nonempty(_filled(template, arguments, function), "tags") for template in templates]

    if not any("{" in template or "}" in template for template in templates):
        return CallTags(lambda _: templates, frozenset())
    return CallTags(fill, all_used, tuple(t for t in templates if used[t]))


def _filled(template: str, arguments: dict[str, Any], function: Callable[..., Any]) -> str:
    try:
        return template.format_map(arguments)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        expected = f"to name what the arguments of {function.__qualname__}() have ({error!r})"
        raise ConfigurationError("tags", template, expected) from error


def _by_callable(
    function: Callable[..., Iterable[str]], signature: CallSignature
) -> Callable[[dict[str, Any]], Iterable[str]]:
    def tags(arguments: dict[str, Any]) -> Iterable[str]:
        positional, keywords = signature.call(arguments)
        return texts(function(*positional, **keywords))

    return tags


def _names(template: str) -> Iterator[str]:
    """Yield the names that `template` uses, those in a format such as {price:{width}} included."""
    try:
        for _, field, form, _ in Formatter().parse(template):
            if field is not None:
                yield field.partition(".")[0].partition("[")[0]
                yield from _names(form or "")
    except ValueError as error:
        raise ConfigurationError("tags", template, _SHAPE) from error
