"""Raw SQL with its parameters, ready to be asked for; and how its rows' order values are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from scalekit.errors import ConfigurationError
from scalekit.pagination._window import Rows
from scalekit.pagination.sqlalchemy._frame import PREFIX, RawSql
from scalekit.pagination.sqlalchemy._raw import CAPPED, COUNTED, NUMBERED, own, raw_order

if TYPE_CHECKING:
    from scalekit.pagination._order import Order
    from scalekit.pagination._window import Window
    from scalekit.pagination.sqlalchemy._drivers import Answer
    from scalekit.pagination.sqlalchemy._frame import Params, Style
    from scalekit.pagination.sqlalchemy._raw import RawOrder

_FLOAT4 = 700  # PostgreSQL's type code of `real`


class RawQuery:
    """The user's SQL, checked; each method gives text and parameters for the driver to execute."""

    __slots__ = ("_dialect", "_not_null", "_raw")

    def __init__(self, sql: object, params: object, not_null: object, *, dialect: str, style: Style) -> None:
        if not isinstance(sql, str) or not sql.strip():
            raise ConfigurationError("sql", sql, "to be the text of a SELECT")
        if isinstance(not_null, str) or not isinstance(not_null, Iterable):
            raise ConfigurationError("not_null", not_null, "to be a list of column names")
        # Behind brackets a semicolon is an error; at the very end it can be nothing but the statement's.
        self._raw = RawSql(sql.rstrip().rstrip(";"), _checked(params, style), style)
        self._dialect = dialect
        self._not_null = frozenset(map(str, cast("Iterable[object]", not_null)))

    def order(self, wanted: Order) -> RawOrder:
        """Return the total order that `wanted` vouches for."""
        return raw_order(wanted, self._dialect, self._not_null)

    def page(self, window: Window) -> tuple[str, Any]:
        """Return the query that reads `window`."""
        frame, values = own(window.order).frame(window)
        return frame.around(self._raw, values)

    def numbered(self, offset: int, limit: int) -> tuple[str, Any]:
        """Return the query for rows by number."""
        return NUMBERED[self._dialect].around(self._raw, {f"{PREFIX}limit": limit, f"{PREFIX}offset": offset})

    def counting(self, at_most: int | None) -> tuple[str, Any]:
        """Return the query that counts the rows, up to `at_most`."""
        if at_most is None:
            return COUNTED[self._dialect].around(self._raw, {})
        return CAPPED[self._dialect].around(self._raw, {f"{PREFIX}limit": at_most})

    def rows(self, window: Window, answer: Answer) -> Rows[Any]:
        """Return the rows found, with the order's values at hand.

        Raises `ConfigurationError` for `real` on PostgreSQL: its values come as doubles that are not
        equal to it any more.
        """
        names = [key.name for key in window.order.keys]
        columns = [each[0] for each in answer.description]
        for each in answer.description:
            if self._dialect == "postgresql" and each[1] == _FLOAT4 and each[0] in names:
                raise ConfigurationError("order key", each[0], "to be exact: cast real to double precision")
        rows = answer.rows

        def values(index: int) -> tuple[Any, ...]:
            return tuple([_value(rows[index], name, columns) for name in names])

        return Rows(rows, values)


def _checked(params: Any, style: Style) -> Params:
    by_name = _is_a(params, Mapping)
    by_place = style.positional is not None and _is_a(params, Sequence) and not _is_a(params, (str, bytes))
    if params is not None and not by_name and not by_place:
        where = (
            "a mapping" if style.positional is None else "a sequence or a mapping, as the placeholders are"
        )
        raise ConfigurationError("params", params, f"to be {where}, or None")
    names = [str(name) for name in cast("Any", params)] if by_name else []
    if any(name.startswith(PREFIX) for name in names):
        raise ConfigurationError("params", names, f"without names in {PREFIX}")
    return cast("Params", params)


def _value(row: Any, name: str, columns: Sequence[str]) -> Any:
    """Read one column, whatever the driver's row factory makes of rows."""
    try:
        if _is_a(row, Mapping):
            return row[name]
        if _is_a(row, Sequence) and not _is_a(row, (str, bytes)) and len(row) == len(columns):
            return row[columns.index(name)]
        return getattr(row, name)
    except (LookupError, ValueError, AttributeError) as error:
        kind = type(row).__name__
        raise ConfigurationError("order key", name, f"to be in each row, and a {kind} lacks it") from error


def _is_a(value: object, kinds: Any) -> bool:
    return isinstance(value, kinds)  # a checker would narrow the user's own types to half-known ones
