"""An order as the user writes it (`Order`, `Key`) and as a source resolves it (`TotalOrder`, `SortKey`).

A total order puts every row in one place: its keys say where NULLs go, and no two rows are equal
in all of them. Only a source can make one, since it knows its defaults and its unique keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scalekit.pagination._values import Kind

Nulls: TypeAlias = 'Literal["first", "last"]'


class Key(NamedTuple):
    """One key of an order: a name or a source's own expression, its direction, and where NULLs go.

    `nulls` None means the source's default: PostgreSQL and sequences sort NULL as the largest value,
    SQLite as the smallest.
    """

    by: Any
    descending: bool = False
    nulls: Nulls | None = None


def asc(by: Any, *, nulls: Nulls | None = None) -> Key:
    """Order by `by` (a name, or an expression that the source understands), smallest first.

    Raises `ConfigurationError` for anything else.
    """
    return _key(by, descending=False, nulls=nulls)


def desc(by: Any, *, nulls: Nulls | None = None) -> Key:
    """Order by `by` (a name, or an expression that the source understands), largest first.

    Raises `ConfigurationError` for anything else.
    """
    return _key(by, descending=True, nulls=nulls)


def _key(by: object, *, descending: bool, nulls: object) -> Key:
    # SQLAlchemy expressions can say .desc(); the rules do not import SQLAlchemy to recognise them better.
    is_name = isinstance(by, str) and by != "" and by[0] not in "+-" and by.strip() == by
    if not is_name and (isinstance(by, str) or not callable(getattr(type(by), "desc", None))):
        raise ConfigurationError("order key", by, "to be a name or a column expression")
    if nulls in (None, "first", "last"):
        return Key(by, descending, nulls)
    raise ConfigurationError("nulls", nulls, '"first", "last" or None')


class Order:
    """What the user asked for: keys, the most significant first, and whether to append a unique key.

    No keys, which an `order_by` of None gives, ask for the order that the source has of its own.
    """

    __slots__ = ("__weakref__", "append_key", "keys")

    def __init__(self, order_by: Iterable[object] | None, *, append_key: bool = True) -> None:
        if isinstance(order_by, str) or not (order_by is None or hasattr(order_by, "__iter__")):
            raise ConfigurationError("order_by", order_by, "to be a list of keys, or None")
        if not isinstance(append_key, bool):
            raise ConfigurationError("append_key", append_key, "True or False")
        self.keys: tuple[Key, ...] = tuple(_parsed(key) for key in order_by or ())
        self.append_key: bool = append_key
        if order_by is not None and not self.keys:
            raise ConfigurationError("order_by", order_by, "with at least one key")


def _parsed(key: object) -> Key:
    if isinstance(key, Key):
        return _key(key.by, descending=key.descending, nulls=key.nulls)
    if isinstance(key, str) and key.startswith("-"):
        return _key(key[1:], descending=True, nulls=None)
    return _key(key, descending=False, nulls=None)


class SortKey(NamedTuple):
    """One key of a total order, with nothing left open.

    `name` identifies it across processes; `nullable` False promises that it is never NULL; `kind`
    writes its values into cursors.
    """

    name: str
    descending: bool
    nulls_first: bool
    nullable: bool
    kind: Kind


class TotalOrder:
    """An order in which no two rows are equal. A source may subclass it to keep its own plan.

    `forward_only` True in a subclass says that the source's pages are cut elsewhere and lead forward alone,
    as those of an upstream API. Its windows then ask for no row more than a page has; its `Rows` are the
    page, however many, and say whether there are `more`.
    """

    __slots__ = ("__weakref__", "fingerprint", "keys")
    forward_only: ClassVar[bool] = False

    def __init__(self, keys: Sequence[SortKey]) -> None:
        self.keys: tuple[SortKey, ...] = tuple(keys)
        self.fingerprint: bytes = repr(
            [(key.name, key.descending, key.nulls_first, key.kind.name) for key in keys]
        ).encode("utf-8", "surrogatepass")
