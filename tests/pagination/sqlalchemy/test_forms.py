"""How a page's condition is written: chosen for the database, or asked for."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import mysql, postgresql, sqlite

from scalekit.errors import ConfigurationError
from scalekit.pagination import CursorPaginator, Order, Position, Window, asc, desc
from scalekit.pagination.sqlalchemy import SelectSource, _plan
from tests.pagination.models import Item, Sample
from tests.pagination.walks import backward, forward

PG = postgresql.dialect(paramstyle="named")
LITE = sqlite.dialect(paramstyle="named")
MARIA = mysql.dialect(paramstyle="named")
MARIA.name = "mariadb"


def sql_of(order_by, values, dialect, *, form=None, statement=None):
    statement = select(Item.id, Item.a, Item.b) if statement is None else statement
    order = _plan.planned(Order(order_by), statement, dialect, form)
    window = Window(order, Position(values, False, False), False, 3)
    built, _ = order.statement(statement, window)
    return re.sub(r"::\w+", "", re.sub(r"\s+", " ", str(built.compile(dialect=dialect))))


def test_mysql_reads_comparisons_joined_by_or():
    assert (
        "WHERE items.b = :_scalekit_0 AND items.id < :_scalekit_1 OR items.b < :_scalekit_0 ORDER BY"
        in sql_of(["-b", "-id"], (1, 2), MARIA)
    )
    assert "UNION" not in sql_of([desc("a")], (1, 2), MARIA)


def test_mysql_is_told_where_nulls_go_by_a_key_before():
    assert "ORDER BY items.a IS NULL, items.a ASC, items.id ASC" in sql_of(
        [asc("a", nulls="last")], (1, 2), MARIA
    )
    first = sql_of([desc("a", nulls="first")], (1, 2), MARIA)
    assert "ORDER BY items.a IS NULL DESC, items.a DESC, items.id DESC" in first
    assert "IS NULL" not in sql_of([asc("a")], (1, 2), MARIA).partition("ORDER BY")[2]


def test_inside_the_nulls_mysql_reads_a_range():
    assert "OR items.a < :_scalekit_0" in sql_of([desc("a")], (None, 2), MARIA)
    assert "OR items.a < :_scalekit_0" in sql_of([desc("a"), asc("b")], (None, 1, 2), MARIA)
    assert "items.a < :_scalekit_0" not in sql_of([asc("a")], (None, 2), MARIA)


@pytest.mark.parametrize("dialect", [PG, LITE])
def test_keys_that_many_rows_may_share_are_read_branch_by_branch(dialect):
    for name in ("flag", "colour", "code", "day", "cents"):
        column = getattr(Sample, name)
        sql = sql_of([f"-{name}", "id"], ("x", "y"), dialect, statement=select(Sample.id, column))
        assert "UNION ALL" in sql, name
    for name in ("at", "local", "ratio", "span", "data"):
        column = getattr(Sample, name)
        sql = sql_of([f"-{name}", "id"], ("x", "y"), dialect, statement=select(Sample.id, column))
        assert "UNION ALL" not in sql, name
    assert "UNION ALL" not in sql_of(["-id"], (1,), dialect)
    assert "UNION ALL" in sql_of(["-b", "id"], (1, 2), dialect)
    assert ("UNION ALL" in sql_of(["-b", "-id"], (1, 2), dialect)) is (dialect is LITE)
    assert "UNION ALL" not in sql_of(["-b", "id"], (1, 2), dialect, form="or")
    assert "(items.b, items.id) <" in sql_of(["-b", "-id"], (1, 2), dialect, form="row")
    assert "items.b <= " in sql_of(["-b", "-id"], (1, 2), dialect, form="nested")


@pytest.mark.parametrize("form", ["row", "nested", "union", "or"])
def test_each_form_gives_the_same_pages(session, items, form):
    for order in (["-b", "-id"], ["b", "-id"], ["a", "-s"]):
        paginator = CursorPaginator(order, secret="s")
        expected = forward(paginator, SelectSource(session, select(Item)), 3)
        source = SelectSource(session, select(Item), form=form)
        assert forward(paginator, source, 3) == expected
        assert backward(paginator, source, 4) == expected


def test_a_form_that_is_none(session):
    source = SelectSource(session, select(Item), form="magic")
    with pytest.raises(ConfigurationError, match="form one of nested, row, union, or on sqlite; got 'magic'"):
        CursorPaginator(["id"], secret="s").paginate(source)
