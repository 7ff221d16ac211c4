"""From a call's arguments to its tags."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any, TypeAlias

from scalekit.cache._names import nonempty, texts
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from scalekit.cache._signature import CallSignature

Tags: TypeAlias = "Iterable[str] | Callable[..., Iterable[str]]"
"""Templates over the bound arguments ("user:{user_id}"), or a callable of the call's arguments."""


def compile_tags(tags: Tags, signature: CallSignature) -> Callable[[dict[str, Any]], Iterable[str]]:
    """Return what makes a call's tags of its bound arguments.

    `ConfigurationError` for a template that names no parameter of the function.
    """
    if callable(tags):
        return _by_callable(tags, signature)
    return compile_templates(tags, signature.parameters, expected=signature.only_parameters)


def compile_templates(
    tags: Iterable[str], names: Collection[str], *, expected: str
) -> Callable[[dict[str, Any]], Iterable[str]]:
    """Return what fills templates that may use `names`; `ConfigurationError` as `expected` for others."""
    templates = texts(tags)
    for template in templates:
        _check(template, names, expected)
    if not any("{" in template or "}" in template for template in templates):
        return lambda _: templates
    return lambda arguments: [nonempty(template.format_map(arguments), "tags") for template in templates]


def _by_callable(
    function: Callable[..., Iterable[str]], signature: CallSignature
) -> Callable[[dict[str, Any]], Iterable[str]]:
    def tags(arguments: dict[str, Any]) -> Iterable[str]:
        positional, keywords = signature.call(arguments)
        return texts(function(*positional, **keywords))

    return tags


def _check(template: str, names: Collection[str], expected: str) -> None:
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise ConfigurationError("tags", template, "as a template like 'user:{user_id}'") from error
    for field in fields:
        name = field.partition(".")[0].partition("[")[0]
        if name not in names:
            raise ConfigurationError("tags", template, expected)
