from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from scalekit.pagination import CursorPaginator
from scalekit.pagination.sqlalchemy import SelectSource
from tests.pagination.models import Base, Item, Pair, Sample, samples
from tests.pagination.walks import Model, Wish, backward, examples, forward, wishes, zigzag
from tests.pagination.worlds import ROWS, TableWorld


@pytest.fixture(scope="module")
def shared_connection():
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def order_of(asked, *, id_descending=None):
    """What the paginator makes of `asked`: with the primary key, in the last key's direction."""
    if any(wish.name == "id" for wish in asked):
        return asked
    return [*asked, Wish("id", asked[-1].descending, None)]


@settings(max_examples=examples(100))
@given(rows=ROWS, asked=wishes("a", "b", "s", "id"), data=st.data())
def test_any_walk_through_a_changing_table(shared_connection, rows, asked, data):
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s")
    world = TableWorld(rows, shared_connection)
    zigzag(paginator, world, Model(order_of(asked), nulls_largest=False), data)


@given(rows=ROWS, asked=wishes("a", "b", "s"), limit=st.integers(1, 5))
def test_walking_gives_the_unpaged_list_of_entities(shared_connection, rows, asked, limit):
    paginator = CursorPaginator([wish.key() for wish in asked], secret="s")
    world = TableWorld(rows, shared_connection)
    unpaged = [row["id"] for row in Model(order_of(asked), nulls_largest=False).sorted(world.rows)]
    with Session(shared_connection, join_transaction_mode="create_savepoint") as session:
        source = SelectSource(session, select(Item))
        assert [item.id for item in forward(paginator, source, limit)] == unpaged
        assert [item.id for item in backward(paginator, source, limit)] == unpaged


@pytest.mark.parametrize("order_by", [["b"], ["-b"], ["b", "-y"], ["-x"], [Pair.b + Pair.x, "-b"]])
def test_a_composite_primary_key_is_appended(session, order_by):
    session.add_all([Pair(x=n % 3, y=n, b=n % 2) for n in range(15)])
    session.commit()
    source = SelectSource(session, select(Pair))
    paginator = CursorPaginator(order_by, secret="s")
    there = forward(paginator, source, 2)
    assert len(set(there)) == 15
    assert backward(paginator, source, 4) == there


@pytest.mark.parametrize(
    "name",
    sorted(set(Sample.__table__.c.keys()) - {"document", "id"}),
)
@pytest.mark.parametrize("descending", [False, True])
def test_every_type_that_orders(session, name, descending):
    session.add_all(samples())
    session.commit()
    column = getattr(Sample, name)
    order = [column.desc() if descending else column.asc(), Sample.id.desc()]
    paginator = CursorPaginator(order, secret="s")
    unpaged = session.scalars(select(Sample).order_by(*order)).all()
    source = SelectSource(session, select(Sample))
    assert forward(paginator, source, 5) == unpaged
    assert backward(paginator, source, 5) == unpaged


def test_a_number_finer_than_its_column_says_is_not_rounded(session):
    session.add_all(samples())
    session.flush()
    session.execute(text("UPDATE samples SET amount = rowid / 3.0"))
    session.commit()
    paginator = CursorPaginator(["-amount"], secret="s")
    source = SelectSource(session, select(Sample))
    unpaged = session.scalars(select(Sample).order_by(Sample.amount.desc())).all()
    assert forward(paginator, source, 5) == unpaged
    assert backward(paginator, source, 5) == unpaged
