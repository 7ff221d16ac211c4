"""A query around SQL that nobody looks into: written once, with places for that SQL and for values.

The SQL may be in several places, each time with its own parameters. What it says stays its own: it is
put in between brackets on lines of their own, so that neither a comment at its end nor one at its
beginning reaches what stands around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Params: TypeAlias = "Sequence[Any] | Mapping[str, Any] | None"

PREFIX = "_scalekit_"
"""How the names of our own values begin."""

PLACE = f"{PREFIX}sql"
"""The table name in whose place the SQL is put."""

_TOKENS = re.compile(rf"(:{PREFIX}\w+|{PLACE})")


class Style(NamedTuple):
    """How a driver marks the places of values; `escape` is what it must be told is meant as it is."""

    positional: str | None
    named: str
    escape: tuple[str, str] | None


class RawSql(NamedTuple):
    """The user's SQL with its parameters, written for a driver of this style."""

    text: str
    params: Params
    style: Style


class Frame:
    """The query around it, its values written as `:_scalekit_name`."""

    __slots__ = ("_pieces",)

    def __init__(self, text: str) -> None:
        self._pieces = _TOKENS.split(text)

    def around(self, raw: RawSql, values: Mapping[str, Any]) -> tuple[str, Any]:
        """Return the query around `raw` and the parameters of both, in the form that `raw` uses."""
        _, params, style = raw
        text = raw.text
        if params is None and style.escape == ("%", "%%"):
            text = text.replace("%", "%%")  # without parameters the driver would have left it alone
        by_name = style.positional is None or isinstance(params, Mapping)
        parts: list[str] = []
        given: list[Any] = []
        named: dict[str, Any] = {**params} if isinstance(params, Mapping) else {}
        for at, piece in enumerate(self._pieces):
            if at % 2 == 0:
                parts.append(piece.replace(*style.escape) if style.escape else piece)
            elif piece == PLACE:
                parts.append(f"(\n{text}\n)")
                given += params or ()
            else:
                name = piece[1:]
                parts.append(style.named.format(name) if by_name else str(style.positional))
                given.append(values[name])
                named[name] = values[name]
        return "".join(parts), named if by_name else given
