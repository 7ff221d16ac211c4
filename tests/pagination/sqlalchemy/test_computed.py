"""Statements that compute their rows: groups, DISTINCT, windows, LIMIT, UNION, on both databases."""

from __future__ import annotations

import gc
import uuid
import weakref

import pytest
import sqlalchemy
from sqlalchemy import create_engine, func, select, text, union, union_all
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload, selectinload
from sqlalchemy.pool import StaticPool

from scalekit.errors import ConfigurationError
from scalekit.pagination import CursorPaginator, OffsetPaginator, Total, asc, desc
from scalekit.pagination.sqlalchemy import SelectSource
from tests.pagination.models import Author, Base, Comment, Item, Post
from tests.pagination.walks import backward, forward
from tests.servers import mariadb as mariadbs


@pytest.fixture(scope="module", params=["sqlite", "postgresql", *(["mariadb"] if mariadbs.binary() else [])])
def database(request):
    schema = None
    if request.param == "sqlite":
        engine = create_engine("sqlite://", poolclass=StaticPool)
    elif request.param == "mariadb":
        engine = create_engine(request.getfixturevalue("mariadb").url)
    else:
        schema = f"computed_{uuid.uuid4().hex[:12]}"
        engine = create_engine(
            request.getfixturevalue("postgres_url"), connect_args={"options": f"-csearch_path={schema}"}
        )
    with engine.begin() as connection:
        if schema:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        Base.metadata.create_all(connection)
    with Session(engine) as session:
        session.add_all([Item(id=n, a=n % 4 or None, b=n % 3, s=f"s{n % 5}") for n in range(40)])
        session.add_all([Author(id=n, name=f"n{n % 2}", slug=f"s{n}") for n in range(3)])
        session.flush()
        session.add_all(
            [Post(id=n, title=f"t{n % 4}", author_id=None if n % 4 == 3 else n % 3) for n in range(12)]
        )
        session.flush()
        session.add_all(
            [Comment(id=n * 4 + i, post_id=n, text=f"c{i % 2}") for n in range(12) for i in range(n % 4)]
        )
        session.commit()
    yield engine
    if schema:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def session(database):
    with Session(database) as session:
        yield session


def walked(session, statement, order_by, **options):
    paginator = CursorPaginator(order_by, secret="s", **options)
    source = SelectSource(session, statement)
    there = forward(paginator, source, 3)
    assert backward(paginator, source, 2) == there
    assert paginator.paginate(source, total=Total.exact()).total.value == len(there)
    assert paginator.paginate(source, total=Total.capped(2)).total.value == min(2, len(there))
    return there


def nulls_low(value):
    return (value is not None, value)


N = func.count().label("n")
TALKS = func.count(Comment.id)
RANK = func.row_number().over(partition_by=Item.b, order_by=Item.id)
BY_GROUP = func.rank().over(order_by=func.count().desc())


@pytest.mark.parametrize(
    ("statement", "order_by", "by"),
    [
        (select(Item.b, N).group_by(Item.b), ["-n"], lambda row: (-row.n, -row.b)),
        (select(Item.b, N).group_by("b"), ["b"], lambda row: row.b),
        (select(Item.a, N).group_by(Item.a), [asc("a", nulls="first")], lambda row: nulls_low(row.a)),
        (select(Item.a, N).group_by(Item.a), [func.min(Item.id)], lambda row: row.a or 0),
        (select(Item.a, Item.b, N).group_by(Item.a, Item.b), ["b", asc("a", nulls="first")],
         lambda row: (row.b, nulls_low(row.a))),
        (select(N).select_from(Item).group_by(Item.a, Item.b), ["-n", Item.b, Item.a.nulls_first()], None),
        (select(Item.b, N).group_by(Item.b).having(func.count() < 14), ["b"], lambda row: row.b),
        (select(Post, TALKS.label("n")).outerjoin(Post.comments).group_by(Post.id), ["-n", "title"],
         lambda row: (-row.n, row.Post.title, row.Post.id)),
        (select(Post).join(Post.comments).group_by(Post.id), ["-title"], None),
        (select(Author.name, N).join(Author.posts).group_by(Author.name), ["name"], lambda row: row.name),
        (select(Item.b, N, BY_GROUP.label("place")).group_by(Item.b), ["place"],
         lambda row: (row.place, row.b)),
        (select(Item.b, N).group_by(Item.b).order_by(N.desc(), Item.b).limit(2), ["b"], lambda row: row.b),
    ],
)  # fmt: skip
def test_groups(session, statement, order_by, by):
    assert_walk(session, statement, order_by, by)


@pytest.mark.parametrize(
    ("statement", "order_by", "by"),
    [
        (select(Item.b).distinct(), ["-b"], lambda b: -b),
        (select(Item.a).distinct(), [desc("a", nulls="last")], lambda a: -(a or 0)),
        (select(Item.a, Item.s).distinct(), ["s", asc("a", nulls="first")],
         lambda row: (row.s, nulls_low(row.a))),
        (select((Item.id % 4).label("r"), Item.b).distinct(), ["b", "-r"], lambda row: (row.b, -row.r)),
        (select(Post).join(Post.comments).distinct(), ["-title"], None),
        (select(Post, Author.name).join(Post.author).join(Post.comments).distinct(), [Author.name, "title"],
         lambda row: (row.name, row.Post.title, row.Post.id)),
        (select(Post).join(Post.comments).distinct().options(selectinload(Post.comments)), ["id"],
         lambda post: post.id),
        (select(Item.s).distinct().order_by(Item.s.desc()).limit(3), ["s"], lambda s: s),
        (select(Post).join(Post.comments).distinct().order_by(Post.title, Post.id).limit(7), ["id"],
         lambda post: post.id),
    ],
)  # fmt: skip
def test_distinct(session, statement, order_by, by):
    assert_walk(session, statement, order_by, by)


@pytest.mark.parametrize(
    ("statement", "order_by", "by"),
    [
        (select(Item.id, RANK.label("n")), ["n", "-id"], lambda row: (row.n, -row.id)),
        (select(Item, RANK.label("n")), ["-n"], lambda row: (-row.n, -row.Item.id)),
        (select(Item, (RANK * 2).label("n")).where(Item.id > 5), ["b"],
         lambda row: (row.Item.b, row.Item.id)),
        (select(Item.id), [RANK, Item.id], lambda n: (n // 3, n)),
        (select(RANK.label("n")), ["n", Item.id], lambda n: n),
        (select(Post, func.count().over(partition_by=Post.title).label("n"), Comment)
            .outerjoin(Post.comments), ["-n", Post.id, Comment.id.asc().nulls_first()],
         lambda row: (-row.n, row.Post.id, row.Comment.id if row.Comment else -1)),
        (select(Item, RANK.label("n")).order_by(Item.id.desc()).limit(10), ["n"],
         lambda row: (row.n, row.Item.id)),
    ],
)  # fmt: skip
def test_windows(session, statement, order_by, by):
    assert_walk(session, statement, order_by, by)


@pytest.mark.parametrize(
    ("statement", "order_by", "by"),
    [
        (select(Item).order_by(Item.id.desc()).limit(17), ["b"], lambda item: (item.b, item.id)),
        (select(Item.id).order_by(Item.s, Item.id).limit(9).offset(4), ["-id"], lambda n: -n),
        (select(Item).order_by(Item.id).offset(30), ["-b"], lambda item: (-item.b, -item.id)),
        (select(Item).limit(7), ["a"], None),
        (select(Post).order_by(Post.id).limit(8).options(joinedload(Post.comments)), ["-title"], None),
        (select(Post).join(Post.author).options(contains_eager(Post.author)).order_by(Post.id).limit(6),
         [Author.name, "title"], lambda post: (post.author.name, post.title, post.id)),
        (select(Post.id, Comment.id.label("c")).outerjoin(Post.comments).order_by(Post.id, Comment.id)
            .limit(11), [Comment.text, "c"], None),
    ],
)  # fmt: skip
def test_its_own_limit(session, statement, order_by, by):
    assert_walk(session, statement, order_by, by)


def assert_walk(session, statement, order_by, by):
    found = walked(session, statement, order_by)
    one = len(statement.column_descriptions) == 1
    entity = one and isinstance(statement.column_descriptions[0]["expr"], type)
    result = session.scalars(statement) if one else session.execute(statement)
    unpaged = (result.unique() if entity else result).all()
    assert len(found) == len(unpaged) > 1
    assert sorted(map(repr, found)) == sorted(map(repr, unpaged))
    if by is not None:
        assert [by(each) for each in found] == sorted(by(each) for each in found)
    if not one:
        assert found[0]._fields == unpaged[0]._fields


def test_groups_by_an_expression(session, database):
    statement = select((Item.id % 4).label("r"), N).group_by("r")
    if database.dialect.name == "mariadb":
        with pytest.raises(ConfigurationError, match="a column or an aggregate, as MySQL's HAVING wants"):
            walked(session, statement, ["-r"])
    else:
        assert [row.r for row in walked(session, statement, ["-r"])] == [3, 2, 1, 0]


def test_equal_titles_are_ordered_by_key(session):
    found = walked(session, select(Post).join(Post.comments).group_by(Post.id), ["-title"])
    assert [(post.title, post.id) for post in found] == sorted(
        [(post.title, post.id) for post in found], reverse=True
    )


def by_method(*columns):
    return select(Item).distinct(*columns)


def by_extension(*columns):
    from sqlalchemy.dialects.postgresql import distinct_on

    return select(Item).ext(distinct_on(*columns))


@pytest.mark.filterwarnings("ignore:Passing expression to ``distinct``:DeprecationWarning")
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("on", [by_method, *([by_extension] if hasattr(sqlalchemy.Select, "ext") else [])])
def test_distinct_on(session, on):
    statement = on(Item.b, Item.s).order_by(Item.b, Item.s, Item.id.desc())
    expected = session.scalars(statement).all()
    assert len(expected) == 15
    assert walked(session, statement, ["id"]) == sorted(expected, key=lambda item: item.id)
    loose = on(Item.b)
    assert [item.id for item in walked(session, loose, ["id"])] == [0, 1, 2]
    numbered = OffsetPaginator(limit=4, total=Total.exact()).paginate(
        SelectSource(session, statement), page=2
    )
    assert (numbered.items, numbered.total.value) == (expected[4:8], 15)
    assert OffsetPaginator(limit=2).paginate(SelectSource(session, loose)).items[0].id == 0


PARTS = union_all(select(Item.id, Item.s), select(Item.id + 100, Item.s))


def test_unions(session):
    found = walked(session, PARTS, ["-id"], append_key=False)
    assert found == sorted(session.execute(PARTS).all(), key=lambda row: -row.id)
    assert walked(session, PARTS, [Item.s, Item.id.desc()], append_key=False) == sorted(
        session.execute(PARTS).all(), key=lambda row: (row.s, -row.id)
    )
    assert walked(session, union(select(Item.b), select(Item.b + 1)), ["b"], append_key=False) == [0, 1, 2, 3]
    limited = PARTS.order_by("id").limit(5).offset(38)
    assert [row.id for row in walked(session, limited, ["-id"], append_key=False)] == [102, 101, 100, 39, 38]
    with pytest.raises(ConfigurationError, match="append_key False, where no unique key is known"):
        walked(session, PARTS, ["-id"])
    with pytest.raises(ConfigurationError, match="to name a selected column"):
        walked(session, PARTS, ["b"], append_key=False)
    with pytest.raises(ConfigurationError, match="a table that the statement reads"):
        walked(session, PARTS, [Item.b], append_key=False)


def test_a_limit_over_rows_of_no_known_key(session):
    sub = select(Item.id, Item.b).subquery()
    statement = select(sub).order_by(sub.c.id).limit(8)
    assert [row.id for row in walked(session, statement, ["-id"], append_key=False)] == list(range(7, -1, -1))
    assert [row.id for row in walked(session, statement, [sub.c.b, sub.c.id], append_key=False)][:3] == [
        0,
        3,
        6,
    ]
    entity = aliased(Item, select(Item).subquery())
    with pytest.raises(ConfigurationError, match="from a table with a primary key"):
        walked(session, select(entity).limit(3), ["id"], append_key=False)


@pytest.mark.parametrize(
    ("statement", "order_by", "expected"),
    [
        (select(Item).order_by(Item.id), ["id"], "without ORDER BY"),
        (PARTS.order_by("id"), ["id"], "without ORDER BY"),
        (select(Item.b, RANK).distinct(), ["b"], "DISTINCT over a window function"),
        (select(func.count()).select_from(Item).having(func.count() > 1), [func.count()],
         "HAVING without GROUP BY"),
        (select(N).group_by(func.rollup(Item.b)), ["n"], "grouped by columns"),
        (select(N).group_by(text("1")), ["n"], "order key|grouped by columns"),
        (select(Item.b, N).group_by(Item.b), [Item.s], "selected by DISTINCT; got 'items.s'"),
        (select(Item.b, N).group_by(Item.b), [Item.s + "x"], "to be grouped by"),
        (select(Item.b).distinct(), [Item.id], "to be grouped by, or selected by DISTINCT"),
        (select(Post).join(Post.comments).distinct(), [Comment.text], "selected by DISTINCT"),
        (select(Item.b, N).group_by(Item.b), ["n"], None),
    ],
)  # fmt: skip
def test_what_is_refused(session, statement, order_by, expected):
    source = SelectSource(session, statement)
    with pytest.raises(ConfigurationError, match=expected or "True, or an order that ends in items.b"):
        CursorPaginator(order_by, secret="s", append_key=False).paginate(source)


def test_page_numbers(session):
    numbered = OffsetPaginator(limit=4, total=Total.exact())

    def every(statement):
        source = SelectSource(session, statement)
        pages = [numbered.paginate(source, page=number) for number in range(1, 12)]
        items = [item for page in pages for item in page.items]
        assert {page.total.value for page in pages} == {len(items)}
        assert [page.has_next for page in pages] == [number * 4 < len(items) for number in range(1, 12)]
        return items

    limited = select(Item).order_by(Item.id).limit(10).offset(3)
    assert [item.id for item in every(limited)] == list(range(3, 13))
    assert [item.id for item in every(select(Item).order_by(Item.id).offset(3))] == list(range(3, 40))
    assert every(select(Item.b, N).group_by(Item.b).order_by(N.desc())) == [(0, 14), (1, 13), (2, 13)]
    assert every(select(Item.b).distinct()) == [0, 1, 2]
    assert every(select(Item.id, RANK.label("n")).order_by(RANK.desc()))[:1] == [(39, 14)]
    assert [row.id for row in every(PARTS.order_by("id").limit(41))] == [*range(40), 100]
    assert every(union(select(Item.b), select(Item.b + 1)).order_by("b")) == [0, 1, 2, 3]
    with pytest.raises(ConfigurationError, match="with an ORDER BY"):
        numbered.paginate(SelectSource(session, PARTS))
    for odd in (select(Item).limit(func.abs(3)), select(Item).offset(func.abs(3))):
        with pytest.raises(ConfigurationError, match="with a number as its LIMIT"):
            numbered.paginate(SelectSource(session, odd))
    with pytest.raises(ConfigurationError, match="with a plain LIMIT"):
        numbered.paginate(SelectSource(session, select(Item).fetch(3, with_ties=True)))


def test_a_capped_total_counts_inside_its_own_limit(session):
    paginator = CursorPaginator(["id"], secret="s")
    source = SelectSource(session, select(Item).order_by(Item.id).limit(6))
    assert paginator.paginate(source, total=Total.capped(30)).total == (6, "exact")
    assert paginator.paginate(source, total=Total.capped(5)).total == (5, "at_least")


@pytest.mark.parametrize("make", [
    lambda: select(Item).order_by(Item.b).limit(5),
    lambda: select(Item, RANK),
    lambda: union_all(select(Item.id), select(Item.b)),
    lambda: select(Item.b, N).group_by(Item.b),
])  # fmt: skip
def test_a_plan_does_not_keep_its_statement_alive(session, make):
    paginator = CursorPaginator(["b" if "GROUP" in str(make()) else "id"], secret="s", append_key=False)
    statement = make()
    paginator.paginate(SelectSource(session, statement))
    gone = weakref.ref(statement)
    del statement
    session.expunge_all()
    gc.collect()
    assert gone() is None


def test_statements_made_for_each_request_share_a_plan(session):
    paginator = CursorPaginator(["-n"], secret="s")

    def plan():
        source = SelectSource(session, select(Item.b, N).where(Item.id > 3).group_by(Item.b))
        return source.order(paginator._rules.order)

    assert plan() is plan()
    other = SelectSource(session, select(Item.b, N).group_by(Item.b, Item.s))
    assert other.order(paginator._rules.order) is not plan()


def test_a_plan_that_holds_a_filter_is_nobody_elses(session):
    """A window in the order alone: what is computed in a subquery has the statement's own WHERE in it."""
    paginator = CursorPaginator([RANK, Item.id], secret="s")
    for group in (1, 2, 0):
        rows = paginator.paginate(SelectSource(session, select(Item.id, Item.b).where(Item.b == group))).items
        assert {row.b for row in rows} == {group}


def test_rows_that_an_expression_multiplies_are_counted(session, database):
    if database.dialect.name != "postgresql":
        return
    each = func.generate_series(1, 2).label("n")
    source = SelectSource(session, select(Item.id, each).where(Item.id < 3))
    assert source.count(None) == source.count(100) == 6
