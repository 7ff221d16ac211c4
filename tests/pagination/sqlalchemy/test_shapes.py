"""Which statements are paged, and which are refused rather than paged wrongly."""

from __future__ import annotations

import pytest
from sqlalchemy import (
    JSON,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    and_,
    column,
    func,
    literal,
    literal_column,
    select,
    table,
    text,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import aliased, contains_eager, joinedload, scoped_session, selectinload

from scalekit.errors import ConfigurationError
from scalekit.pagination import CursorPaginator, OffsetPaginator, desc
from scalekit.pagination.sqlalchemy import AsyncSelectSource, SelectSource
from tests.pagination.models import Author, Comment, Item, Pair, Post, Sample
from tests.pagination.walks import backward, forward

OTHER = aliased(Author)
SUB = select(Item.id, Item.b.label("bee")).subquery()
P = Post.__table__
C = Comment.__table__


def walked(session, statement, order_by, **options):
    paginator = CursorPaginator(order_by, secret="s", **options)
    source = SelectSource(session, statement)
    there = forward(paginator, source, 3)
    assert backward(paginator, source, 2) == there
    return there


@pytest.mark.parametrize(
    ("statement", "order_by"),
    [
        (select(Post).join(Post.author), [Author.name]),
        (select(Post).outerjoin(Post.author), [Author.name]),
        (select(Post).outerjoin(Post.author), [Author.name.desc().nulls_last(), "-title"]),
        (select(Post).join(Author, Author.id == Post.author_id), ["title"]),
        (select(Post).where(Post.author_id == Author.id), [Author.slug.desc()]),
        (select(Post).where(and_(Post.author_id == Author.id, Author.id > 0)), ["title"]),
        (select(Post).join(Author, Author.id == 1), ["title"]),
        (select(Post).join(OTHER, Post.author_id == OTHER.id), [OTHER.name]),
        (select(Comment).join(Comment.post).outerjoin(Post.author), [Author.name, "text"]),
        (select(Post).where(Post.comments.any(Comment.text == "c1")), ["-title"]),
        (select(Post).options(joinedload(Post.comments)), ["title"]),
        (select(Post).options(joinedload(Post.comments), selectinload(Post.author)), [Post.author_id]),
        (select(Post).join(Post.author).options(contains_eager(Post.author)), [Author.name]),
    ],
)
def test_one_entity(session, shop, statement, order_by):
    unpaged = session.scalars(statement).unique().all()
    found = walked(session, statement, order_by)
    assert len(found) == len(unpaged) > 3
    assert set(found) == set(unpaged)


@pytest.mark.parametrize(
    ("statement", "order_by"),
    [
        (select(Post, Comment).join(Post.comments), ["title"]),
        (select(Post, Comment).outerjoin(Post.comments), [Comment.text]),
        (select(Post, Comment).outerjoin(Post.comments), [Comment.text.desc().nulls_last()]),
        (select(Post.title, Comment.text).join(Post.comments), ["text", "-title"]),
        (select(Post.title, Comment.text).join_from(Post, Comment, full=True), ["text"]),
        (select(Post, Author).where(Post.id > Author.id), ["title", "-name"]),
        (select(P.c.title, C.c.text).select_from(P.outerjoin(C)), [C.c.text]),
        (
            select(P.c.title, C.c.text).select_from(P.outerjoin(C, and_(C.c.post_id == P.c.id, C.c.id > 5))),
            ["title"],
        ),
        (
            select(Comment.id, Author.name)
            .join(Author, Author.id != Comment.id)
            .outerjoin(Post, and_(Post.id == Comment.post_id, Author.id == Post.author_id)),
            [Comment.text],
        ),
        (select(Post.title.label("t"), (Post.id % 5).label("r")).where(Post.id > 1), ["-r", "t"]),
    ],
)
def test_rows(session, shop, statement, order_by):
    found = walked(session, statement, order_by)
    rows = session.execute(statement).all()
    assert sorted(map(repr, found)) == sorted(map(repr, rows))
    assert found[0]._fields == rows[0]._fields


def test_equal_rows_are_kept_when_collections_are_joined(session, shop):
    statement = select(Post, Comment.text).join(Post.comments).options(joinedload(Post.comments))
    assert len(walked(session, statement, ["title"])) == 18


def test_rows_with_what_has_no_hash(session, shop):
    document = literal({"n": [1]}, JSON).label("document")
    statement = select(Post, document).options(joinedload(Post.comments))
    assert [row.document for row in walked(session, statement, ["title"])] == [{"n": [1]}] * 12


def test_rows_can_be_read_by_name(session, shop):
    [row, *_] = walked(session, select(Post.title, Author.name).join(Post.author), [Post.id])
    assert (row.title, row.name) == (row[0], row[1])
    assert row._asdict() == {"title": row[0], "name": row[1]}


@pytest.mark.parametrize("order_by", [["title"], [Post.id], ["-title"], [Post.author_id]])
def test_one_plain_column_gives_scalars(session, shop, order_by):
    found = walked(session, select(Post.title), order_by)
    assert sorted(found) == sorted(session.scalars(select(Post.title)))


def test_aliases(session, items):
    one = aliased(Item)
    assert len(walked(session, select(one).where(one.b > 0), ["-a", "s"])) == 26
    two = aliased(Item)
    statement = select(one, two).join(two, one.id == two.b)
    assert len(walked(session, statement, [two.s])) == 40


def test_a_subquery_is_paged_on_trust(session, items):
    found = walked(session, select(SUB), ["-bee", "id"], append_key=False)
    assert found == session.execute(select(SUB).order_by(SUB.c.bee.desc(), SUB.c.id)).all()
    counted = select(func.count().label("n"), Item.b.label("b")).group_by(Item.b).subquery()
    assert walked(session, select(counted), ["-n", "b"], append_key=False) == [(14, 0), (13, 1), (13, 2)]
    united = union_all(select(Item.id), select(Item.id + 100)).subquery()
    assert len(walked(session, select(united.c[0]), [united.c[0]], append_key=False)) == 80


def test_a_type_can_be_given(session, items):
    assert len(walked(session, select(Item), [type_coerce(func.abs(Item.b - 1), Integer).desc()])) == 40


def keys(order_by, statement, session, **options):
    paginator = CursorPaginator(order_by, secret="s", **options)
    return [
        (key.name, key.descending)
        for key in SelectSource(session, statement).order(paginator._rules.order).keys
    ]


def test_the_key_that_is_appended(session):
    assert keys(["-b"], select(Item), session) == [("items.b", True), ("items.id", True)]
    assert keys(["-b", "a"], select(Item), session)[-1] == ("items.id", False)
    assert keys(["y"], select(Pair), session) == [("pairs.y", False), ("pairs.x", False)]
    assert keys(["id", "-b"], select(Item), session) == [("items.id", False), ("items.b", True)]
    assert keys(["-slug"], select(Author), session) == [("authors.slug", True)]
    assert keys([Author.slug], select(Post).outerjoin(Post.author), session)[1:] == [("posts.id", False)]
    assert keys([Comment.id], select(Post, Comment).join(Post.comments), session) == [("comments.id", False)]
    assert keys(["text"], select(Post.id, Comment.text).join(Post.comments), session)[1:] == [
        ("posts.id", False),
        ("comments.id", False),
    ]


def made(*extra):
    columns = [
        Column("id", Integer, primary_key=True),
        Column("u", Integer, nullable=False),
        Column("n", Integer),
    ]
    return Table("made", MetaData(), *columns, *extra)


@pytest.mark.parametrize(
    ("extra", "name", "is_key"),
    [
        (UniqueConstraint("u"), "u", True),
        (UniqueConstraint("n"), "n", False),
        (UniqueConstraint("u", "id"), "u", False),
        (Index("i", "u", unique=True), "u", True),
        (Index("i", "n", unique=True), "n", False),
        (Index("i", "u"), "u", False),
        (Index("i", "u", unique=True, sqlite_where=text("n > 0")), "u", False),
        (Index("i", func.abs(literal_column("u")), unique=True), "u", False),
    ],
)
def test_which_columns_are_unique(session, extra, name, is_key):
    assert (len(keys([name], select(made(extra)), session)) == 1) is is_key


@pytest.mark.parametrize(
    ("order_by", "statement", "fine"),
    [
        (["b"], select(Item), False),
        (["b", "id"], select(Item), True),
        (["y"], select(Pair), False),
        (["y", "x"], select(Pair), True),
        (["slug"], select(Author), True),
        ([Post.id], select(Post, Comment).join(Post.comments), False),
        ([Comment.id], select(Post, Comment).join(Post.comments), True),
    ],
)
def test_append_key_false_wants_a_unique_order(session, order_by, statement, fine):
    if fine:
        assert len(keys(order_by, statement, session, append_key=False)) == len(order_by)
    else:
        with pytest.raises(ConfigurationError, match="append_key True, or an order that ends in"):
            keys(order_by, statement, session, append_key=False)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (select(Item).order_by(Item.id), "without ORDER BY: the paginator's order_by"),
        (select(Item).order_by(Item.b.desc()), "without ORDER BY: .* got 'ORDER BY items.b DESC'"),
        (select(Item).with_for_update(), "without FOR UPDATE"),
        (select(Post).join(Post.comments), "each entity once"),
        (select(Post).join(Post.comments).options(contains_eager(Post.comments)), "each entity once"),
        (select(Author).join(Author.posts).join(Post.comments), "each entity once"),
        (select(Post).join(Author, true()), "each entity once"),
        (select(Post).where(Author.id > 0), "each entity once"),
        (select(Author).where(Post.author_id == Author.id), "each entity once"),
        (select(Post).join(Author, (Author.id == Post.author_id) | (Author.id == 1)), "each entity once"),
    ],
)
def test_shapes_that_are_refused(session, statements, statement, expected):
    paginator = CursorPaginator([literal(1)] if "Author" in str(statement) else ["id"], secret="s")
    with pytest.raises(ConfigurationError, match=expected) as caught:
        paginator.paginate(SelectSource(session, statement))
    assert caught.value.parameter == "statement"
    assert not statements


@pytest.mark.parametrize(
    "statement",
    [
        select(SUB),
        select(Item.b).join(SUB, SUB.c.id == Item.id),
        select(Table("bare", MetaData(), Column("bee", Integer))),
        select(func.json_each("[]").table_valued(column("bee", Integer))),
        select(table("light", Column("bee", Integer))),
    ],
)
def test_without_a_known_key_somebody_must_vouch(session, statement):
    name = "b" if "items.b" in str(statement) and "JOIN" in str(statement) else "bee"
    with pytest.raises(ConfigurationError, match="append_key False, where no unique key is known"):
        keys([name], statement, session)
    assert len(keys([name], statement, session, append_key=False)) == 1


@pytest.mark.parametrize(
    ("statement", "order_by", "expected"),
    [
        (select(Item), ["c"], "to name a selected column"),
        (select(Post), ["author"], "to name a selected column"),
        (select(Item.id), ["b"], "to name a selected column"),
        (select(Post, Comment).join(Post.comments), ["id"], "to name one selected column"),
        (select(Item), ["b", "-b"], "with each key once"),
        (select(Item), [desc(Item.b.desc())], "direction once"),
        (select(Item), [desc(Item.b.nulls_last())], "direction once"),
        (select(Post), [Author.name], "a table that the statement reads"),
        (select(aliased(Post)), [Post.title], "a table that the statement reads"),
        (select(Sample), ["document"], "a type with an order"),
        (select(Item), [func.unknown(Item.b)], "a type with an order"),
        (select(Post), [Post.author], "order key"),
    ],
)
def test_keys_that_are_refused(session, statements, statement, order_by, expected):
    with pytest.raises(ConfigurationError, match=expected):
        CursorPaginator(order_by, secret="s").paginate(SelectSource(session, statement))
    assert not statements


@pytest.mark.parametrize(
    "statement", [None, "SELECT 1", text("SELECT 1"), select(Item).cte(), select(Item).subquery(), Item]
)
def test_what_is_no_select(session, statement):
    with pytest.raises(
        ConfigurationError, match=r"statement to be a select\(\) or a union\(\); of a CTE page over"
    ):
        SelectSource(session, statement)


def test_what_runs_a_statement(engine, session, connection):
    for wrong in (None, engine, "sqlite://"):
        with pytest.raises(ConfigurationError, match="session to be a Session or a Connection"):
            SelectSource(wrong, select(Item))
        with pytest.raises(ConfigurationError, match="session to be an AsyncSession or an AsyncConnection"):
            AsyncSelectSource(wrong, select(Item))
    with pytest.raises(ConfigurationError, match="AsyncSession"):
        AsyncSelectSource(session, select(Item))
    with pytest.raises(ConfigurationError, match="since the statement selects entities"):
        SelectSource(connection, select(Item))
    scoped = scoped_session(lambda: session)
    assert CursorPaginator(["id"], secret="s").paginate(SelectSource(scoped, select(Item))).items == []


def test_another_database_is_refused(monkeypatch, engine, session):
    monkeypatch.setattr(engine.dialect, "name", "oracle")
    with pytest.raises(ConfigurationError, match="session on one of: postgresql, sqlite"):
        SelectSource(session, select(Item))


def test_a_window_of_another_source_is_refused(session):
    from scalekit.pagination import TotalOrder, Window

    with pytest.raises(ConfigurationError, match="order of this source"):
        SelectSource(session, select(Item)).fetch(Window(TotalOrder([]), None, backward=False, limit=1))


def test_numbered_pages(session, shop, statements):
    numbered = OffsetPaginator(limit=5)

    def every(statement):
        source = SelectSource(session, statement)
        pages = [numbered.paginate(source, page=number) for number in range(1, 5)]
        return [item for page in pages for item in page.items]

    assert every(select(Post)) == session.scalars(select(Post).order_by(Post.id)).all()
    by_title = select(Post).order_by(Post.title.desc()).options(joinedload(Post.comments))
    assert every(by_title) == session.scalars(by_title.order_by(Post.id)).unique().all()
    rows = select(Post.title, Comment.text).join(Post.comments).order_by(Comment.text)
    assert every(rows) == session.execute(rows.order_by(Post.id, Comment.id)).all()
    eager = select(Post, Comment.text).join(Post.comments).options(joinedload(Post.comments))
    assert len(every(eager)) == 18
    sub = select(Post.id).subquery()
    assert every(select(sub).order_by(sub.c.id)) == list(range(12))
    for statement, expected in (
        (select(sub), "with an ORDER BY"),
        (select(Post).join(Post.comments), "each entity once"),
    ):
        with pytest.raises(ConfigurationError, match=expected):
            numbered.paginate(SelectSource(session, statement))
