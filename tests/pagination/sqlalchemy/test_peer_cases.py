"""The cases of sqlakeyset's own suite (its tests of paging), on rows of ours and with our paginator.

Each is walked both ways with pages of 1 to 11 and compared with the list in one piece. Left out is what has
no counterpart: its bookmarks' text and arguments, its warning for nullable columns (which are paged here),
and ordering by a whole Bundle, whose columns are keys here.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid

import pytest
from sqlalchemy import Enum, ForeignKey, Integer, String, column, create_engine, func, select, table, text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    Bundle,
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    column_property,
    mapped_column,
    relationship,
)
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import CursorPaginator
from scalekit.pagination.sqlalchemy import SelectSource
from tests.servers import mariadb as mariadbs


class Base(DeclarativeBase):
    type_annotation_map = {str: String(80)}  # noqa: RUF012


class Tint(enum.Enum):
    RED = 0
    GREEN = 1
    BLUE = 2


class Once(float):
    """A value that was read from the database."""


class ReadOnce(TypeDecorator):
    """Complains about a value that is converted twice."""

    impl = Integer
    cache_ok = True

    def process_result_value(self, value, dialect):
        assert not isinstance(value, Once)
        return Once(value)

    def process_bind_param(self, value, dialect):
        return int(value)


class Writer(Base):
    __tablename__ = "writers"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    info: Mapped[str]
    volumes: Mapped[list[Volume]] = relationship(back_populates="writer")

    @hybrid_property
    def written(self):
        return len(self.volumes)

    @written.inplace.expression
    @classmethod
    def _written(cls):
        return select(func.count(Volume.id)).where(Volume.writer_id == cls.id).scalar_subquery()


class Volume(Base):
    __tablename__ = "volumes"
    id: Mapped[int] = mapped_column("volume_id", primary_key=True, autoincrement=False)
    name: Mapped[str]
    a: Mapped[int | None]
    b: Mapped[int]
    c: Mapped[int]
    d: Mapped[int]
    writer_id: Mapped[int | None] = mapped_column(ForeignKey("writers.id"))
    before_id: Mapped[int | None] = mapped_column(ForeignKey("volumes.volume_id"))
    published: Mapped[dt.datetime]
    writer: Mapped[Writer | None] = relationship(back_populates="volumes")

    @hybrid_property
    def score(self):
        return self.b * self.c - self.d


Volume.popularity = column_property(Volume.__table__.c.b + Volume.__table__.c.c * Volume.__table__.c.d)


class Lamp(Base):
    __tablename__ = "lamps"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    intensity: Mapped[int]
    tint: Mapped[Tint] = mapped_column(Enum(Tint))
    once: Mapped[float] = mapped_column(ReadOnce)


class Animal(Base):
    __tablename__ = "animals"
    id: Mapped[int] = mapped_column("animal_no", primary_key=True, autoincrement=False)
    category: Mapped[str] = mapped_column("cat")
    legs: Mapped[int] = mapped_column("lg", default=0)
    __mapper_args__ = {"polymorphic_on": "category", "polymorphic_identity": "animal"}  # noqa: RUF012


class Vertebrate(Animal):
    __tablename__ = "vertebrates"
    id: Mapped[int] = mapped_column("vno", ForeignKey(Animal.id), primary_key=True)
    bones: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "vertebrate"}  # noqa: RUF012


class Mammal(Vertebrate):
    __tablename__ = "mammals"
    id: Mapped[int] = mapped_column("mno", ForeignKey(Vertebrate.id), primary_key=True)
    teats: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "mammal"}  # noqa: RUF012


def filled(session):
    start = dt.datetime(2024, 5, 1, 12)  # noqa: DTZ001
    session.add_all([Writer(id=n, name=f"Writer {n % 4}", info=f"rank {10 - n}") for n in range(1, 11)])
    session.flush()
    session.add_all(
        [
            Volume(
                id=n,
                name=f"Volume {n % 13}",
                a=None if n == 3 else n,
                b=n % 2,
                c=10 - n % 10,
                d=99 - n % 3,
                writer_id=None if n % 6 == 0 else 1 + n * n % 10,
                published=start + dt.timedelta(hours=n % 17),
            )
            for n in range(1, 48)
        ]
    )
    session.flush()
    for volume in session.scalars(select(Volume).where(Volume.id % 4 == 0)).all():
        volume.before_id = volume.id - 1
    session.add_all(
        [Lamp(id=n, tint=Tint(n % 3), intensity=n * 13 % 53, once=n) for n in range(1, 61)],
    )
    session.add_all([Animal(id=1, legs=0), Animal(id=2, legs=8), Vertebrate(id=3, legs=0, bones=300)])
    session.add_all([Mammal(id=n, legs=2 + n % 3, bones=30 + n % 2, teats=2 + n % 2) for n in range(4, 12)])
    session.commit()


@pytest.fixture(scope="module", params=["sqlite", "postgresql", *(["mariadb"] if mariadbs.binary() else [])])
def database(request):
    schema = None
    if request.param == "sqlite":
        engine = create_engine("sqlite://", poolclass=StaticPool)
    elif request.param == "mariadb":
        engine = create_engine(request.getfixturevalue("mariadb").url)
    else:
        schema = f"peers_{uuid.uuid4().hex[:12]}"
        engine = create_engine(
            request.getfixturevalue("postgres_url"), connect_args={"options": f"-csearch_path={schema}"}
        )
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        filled(session)
    yield engine
    if schema:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def session(database):
    with Session(database) as session:
        yield session


def check(runner, statement, order_by, **options):
    """Every page size, both ways, against the list in one piece."""
    one = len(statement.column_descriptions) == 1
    result = runner.scalars if one else runner.execute
    unpaged = result(statement.order_by(*order_by)).all()
    paginator = CursorPaginator(order_by, secret="s", **options)
    source = SelectSource(runner, statement)
    for limit in range(1, 12):
        there, page = [], paginator.paginate(source, limit=limit)
        there += page.items
        while page.has_next:
            assert len(page.items) == limit
            page = paginator.paginate(source, cursor=page.next_cursor, limit=limit)
            there += page.items
        assert there == unpaged
        page = paginator.last(source, limit=limit)
        back = page.items
        while page.has_previous:
            assert len(page.items) == limit
            page = paginator.paginate(source, cursor=page.previous_cursor, limit=limit)
            back = page.items + back
        assert back == unpaged
    assert unpaged


V, W = Volume, Writer
COUNT = func.count().label("count")
KEY = func.coalesce(V.a, 0) + V.b
ONE, TWO = aliased(W), aliased(W)
BOOKS = select(W.id, COUNT).join(W.volumes).group_by(W.id).subquery("sq")
CARD = Bundle("card", V.score.label("popularity"), V.popularity.label("score"))
T = table("volumes", *[column(name, Integer) for name in ("b", "d", "volume_id", "c")])
SUM = func.sum(func.coalesce(V.a, 0)) + func.min(V.b)


def chains():
    seed = select(V.id.label("id"), V.id.label("origin")).where(V.before_id.is_(None))
    found = seed.cte(recursive=True)
    later = aliased(V)
    found = found.union(select(later.id, found.c.origin).where(later.before_id == found.c.id))
    origin = found.c.origin.label("origin")
    sizes = select(origin, COUNT).group_by(origin).cte()
    return select(sizes.c.count, V).where(V.id == sizes.c.origin), [sizes.c.count.desc(), V.id]


TRUST = {"append_key": False}
CASES = {
    "entities and a column": (select(V, W, V.id).outerjoin(W), [V.b.desc(), V.d, V.id], {}),
    "more keys than needed": (select(V), [V.id, V.name], {}),
    "labelled columns": (select(V.id, V.name.label("x")), [V.name, V.id], {}),
    "a custom type of time": (select(V), [V.published, V.id], {}),
    "an implicit join": (select(V).where(V.writer_id == W.id), [W.name, V.id], {}),
    "a hybrid": (select(V), [V.score, V.id], {}),
    "a hybrid over a join": (select(V, W).join(V.writer), [V.score, V.id], {}),
    "a hybrid that is selected": (select(V.score, V, W).join(V.writer), [V.score, V.id], {}),
    "a column property": (select(V), [V.popularity, V.id], {}),
    "a column property over a join": (select(V, W).join(V.writer), [V.popularity.desc(), V.id], {}),
    "a column named info": (select(W), [W.info, W.id], {}),
    "aliases": (select(TWO).select_from(ONE).join(TWO, TWO.id == ONE.id), [ONE.info, ONE.id], {}),
    "a correlated subquery": (select(W.id, W.name), [W.written, W.id], {}),
    "an expression": (select(V), [KEY, V.id], {}),
    "a labelled expression": (select(V), [KEY.label("sort_by_me"), V.id], {}),
    "an aggregate": (
        select(W, COUNT).join(W.volumes).group_by(W.id), [COUNT.desc(), W.name.desc(), W.id], {}
    ),
    "columns of a join": (
        select(V.name, W.name, V.id).join(V.writer).where(W.name.contains("1") | W.name.contains("2")),
        [W.name, V.name, V.id.desc()],
        {},
    ),
    "a subquery joined": (select(BOOKS.c.count, W).join(BOOKS, BOOKS.c.id == W.id),
                          [BOOKS.c.count.desc(), W.name, W.id], TRUST),
    "a recursive CTE": (*chains(), TRUST),
    "a bundle": (select(CARD), [V.id], {}),
    "a bundle beside an entity": (select(V, CARD), [V.score, V.popularity, V.id], {}),
    "inheritance": (select(Animal), [Animal.legs, Animal.id], {}),
    "inheritance, joined": (select(Vertebrate), [Vertebrate.bones, Animal.id], {}),
    "inheritance, twice": (select(Mammal), [Mammal.teats, Mammal.legs, Mammal.id], {}),
    "inheritance, keys of every level": (
        select(Mammal), [Mammal.teats, Mammal.legs, Vertebrate.bones, Animal.id], {}
    ),
    "Core, a table of the user's words": (
        select(T).where(T.c.d == 99), [T.c.b, T.c.d, T.c.volume_id, T.c.c], TRUST
    ),
    "one expression": (select(V.score), [V.id], {}),
    "one expression, ordered by another": (
        select(V.score).where(W.id == V.writer_id), [W.id - V.id, V.id], {}
    ),
    "groups": (select(V.writer_id, COUNT).group_by(V.writer_id), [func.sum(V.popularity), V.writer_id], {}),
    "groups by two aggregates": (
        select(V.writer_id, COUNT, SUM.label("v")).group_by(V.writer_id), [SUM, V.writer_id], {}
    ),
    "an enum selected": (select(Lamp.id, Lamp.tint), [Lamp.intensity, Lamp.id], {}),
    "an enum": (select(Lamp.id, Lamp.tint), [Lamp.tint, Lamp.intensity, Lamp.id], {}),
    "an enum that is hidden": (select(Lamp.id), [Lamp.tint, Lamp.intensity, Lamp.id], {}),
    "a type that converts, selected": (select(Lamp.id, Lamp.once), [Lamp.intensity, Lamp.id], {}),
    "a type that converts": (select(Lamp.id), [Lamp.once, Lamp.id], {}),
}  # fmt: skip
MYSQL_REFUSES = {"an enum", "an enum that is hidden", "groups by two aggregates"}


@pytest.mark.parametrize("name", CASES)
def test_case(session, database, name):
    statement, order_by, options = CASES[name]
    if database.dialect.name == "mariadb" and name in MYSQL_REFUSES:
        with pytest.raises(ConfigurationError, match=r"ENUM|HAVING"):
            check(session, statement, order_by, **options)
        return
    check(session, statement, order_by, **options)


def test_a_connection_does_as_well(session):
    check(session.connection(), select(V.id, V.name), [V.name, V.id])


def test_a_name_that_is_not_unique_is_made_so(session):
    found = CursorPaginator([V.name], secret="s").rows(SelectSource(session, select(V)), batch=3)
    assert list(found) == session.scalars(select(V).order_by(V.name, V.id)).all()


def test_a_nullable_column_loses_nothing(session):
    found = CursorPaginator([V.a], secret="s").rows(SelectSource(session, select(V)), batch=3)
    assert list(found) == session.scalars(select(V).order_by(V.a, V.id)).all()


def test_a_malformed_cursor(session):
    paginator = CursorPaginator([V.name], secret="s")
    for cursor in (">i:1", "", "Potatoes", ">s:a~i:1"):
        with pytest.raises(InvalidCursor):
            paginator.paginate(SelectSource(session, select(V)), cursor=cursor)


def test_a_cursor_for_each_item(session):
    paginator = CursorPaginator([V.id], secret="s")
    source = SelectSource(session, select(V))
    page = paginator.paginate(source, limit=3)
    after = [paginator.paginate(source, cursor=page.cursor_at(n), limit=1).items[0].id for n in range(3)]
    assert after == [2, 3, 4]
    assert [each.id for each in paginator.paginate(source, before=page.cursor_at(2), limit=3).items] == [1, 2]
