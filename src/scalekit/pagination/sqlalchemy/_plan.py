"""From an order as the user wants it, and a statement, to the total order that reads it; planned once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import CompoundSelect
from sqlalchemy.sql.selectable import Join

from scalekit.errors import ConfigurationError
from scalekit.pagination._order import Key
from scalekit.pagination.sqlalchemy._computed import computed, kept, wrapped
from scalekit.pagination.sqlalchemy._identity import Froms
from scalekit.pagination.sqlalchemy._keys import moved, resolve
from scalekit.pagination.sqlalchemy._select_order import SelectOrder
from scalekit.pagination.sqlalchemy._shape import (
    described,
    entity_of,
    final_froms,
    groups,
    has_options,
    has_window,
    is_cut,
    is_distinct,
    only_table,
    refuse,
    selects,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect, Select

    from scalekit.pagination._order import Order
    from scalekit.pagination.sqlalchemy._forms import Form
    from scalekit.pagination.sqlalchemy._keys import SqlKey
    from scalekit.pagination.sqlalchemy._shape import Statement

_MOST_SHAPES = 64


class _Plans:
    """What was planned for one order on one dialect."""

    __slots__ = ("by_shape", "by_statement")

    def __init__(self) -> None:
        self.by_statement: WeakKeyDictionary[Statement, SelectOrder] = WeakKeyDictionary()
        self.by_shape: dict[object, SelectOrder] = {}


_plans: WeakKeyDictionary[Order, dict[tuple[str, Form | None], _Plans]] = WeakKeyDictionary()


def planned(wanted: Order, statement: Statement, dialect: Dialect, form: Form | None = None) -> SelectOrder:
    """Return the total order for `statement`, planning it if it was not planned before.

    Raises `ConfigurationError` for shapes and orders that cannot be paged.
    """
    by_form = _plans.get(wanted)
    if by_form is None:
        by_form = _plans[wanted] = {}
    plans = by_form.get((dialect.name, form))
    if plans is None:
        plans = by_form[dialect.name, form] = _Plans()
    plan = plans.by_statement.get(statement)
    if plan is not None:
        return plan
    refuse(statement, own_order=False)
    shape = None if isinstance(statement, CompoundSelect) else _shape(statement)
    plan = None if shape is None else plans.by_shape.get(shape)
    if plan is None:
        plan = _planned(wanted, statement, dialect, form)
        if shape is not None and not plan.of_one_statement:
            if len(plans.by_shape) >= _MOST_SHAPES:
                plans.by_shape.clear()
            plans.by_shape[shape] = plan
    plans.by_statement[statement] = plan
    return plan


def _shape(statement: Select[Any]) -> object | None:
    """Return what statements of one plan have in common; None for one that needs a plan of its own.

    Applications build a statement per request: those that select the same share their elements.
    """
    selected = selects(statement)
    if is_cut(statement) or any(has_window(each) for each, _ in selected):
        return None
    table = only_table(statement)
    if table is None:
        return None
    return table, selected, has_options(statement), is_distinct(statement), tuple(groups(statement) or ())


def froms_of(statement: Select[Any]) -> Froms:
    """Return the statement's FROM clause, taken apart; refuse one that repeats its only entity.

    `session.scalars(statement).unique()` would drop the repeats, and pages would come out short; but not
    where DISTINCT or GROUP BY folds them into one.
    """
    table = only_table(statement)
    if table is not None:
        return Froms([table], None)
    froms = Froms(final_froms(statement), statement.whereclause)
    if is_distinct(statement) or groups(statement) is not None:
        return froms
    selected = described(statement)
    entity = entity_of(selected[0][1]) if len(selected) == 1 else None
    if entity is not None and froms.known:
        clause = entity.selectable
        while isinstance(clause, Join):
            clause = clause.left
        own = [leaf for leaf in froms.leaves if hash(leaf.clause) == hash(clause)]
        if not own or froms.undetermined(next(own[0].keys(strict=True))):
            raise ConfigurationError(
                "statement",
                f"a join that repeats {selected[0][0]}",
                "with each entity once: filter with relationship.any(), or load with selectinload()",
            )
    return froms


def _planned(wanted: Order, statement: Statement, dialect: Dialect, form: Form | None) -> SelectOrder:
    if isinstance(statement, CompoundSelect):
        return _trusted(wanted, wrapped(statement), dialect)
    froms = froms_of(statement)
    rows = kept(statement, froms)
    selected = described(statement)
    if not rows.known and (is_cut(statement) or any(has_window(each) for _, each in selected)):
        return _trusted(wanted, wrapped(statement), dialect)
    keys = _resolved(wanted.keys, selected, froms, dialect)
    for key in keys:
        rows.check(key.column, dialect)
    if rows.known:
        added = rows.identity([key.column for key in keys])
        if added and not wanted.append_key:
            raise ConfigurationError(
                "append_key",
                wanted.append_key,
                f"True, or an order that ends in {', '.join(map(str, added))}",
            )
        # In the direction of the last key, so that a uniform order stays uniform.
        last = bool(keys) and keys[-1].sort.descending
        keys += _resolved([Key(column, last) for column in added], selected, froms, dialect)
    else:
        _vouched(wanted)
    made = computed(statement, rows, [key.column for key in keys])
    if made is None:
        return SelectOrder(statement, keys, dialect, form=form)
    keys = [
        moved(key, column, dialect) if (column := made.moved.get(hash(key.column))) is not None else key
        for key in keys
    ]
    return SelectOrder(made.base, keys, dialect, base=made.base)


def _trusted(wanted: Order, base: Select[Any], dialect: Dialect) -> SelectOrder:
    _vouched(wanted)
    keys = _resolved(wanted.keys, described(base), Froms(base.get_final_froms(), None), dialect)
    return SelectOrder(base, keys, dialect, base=base)


def _resolved(
    wanted: Sequence[Key], selected: tuple[tuple[str | None, Any], ...], froms: Froms, dialect: Dialect
) -> list[SqlKey]:
    keys = [resolve(key, selected, froms, dialect) for key in wanted]
    if len({key.sort.name for key in keys}) < len(keys):
        raise ConfigurationError("order_by", [key.sort.name for key in keys], "with each key once")
    return keys


def _vouched(wanted: Order) -> None:
    if wanted.append_key:
        raise ConfigurationError(
            "append_key", wanted.append_key, "False, where no unique key is known, if order_by is total"
        )
