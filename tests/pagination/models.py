"""Tables of the tests: `Item` with every kind of tie and NULL, and a small shop for joins."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, DateTime, Enum, ForeignKey, Integer, Numeric, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    type_annotation_map = {dt.datetime: DateTime(timezone=True), str: String(320)}  # noqa: RUF012


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[int | None]
    b: Mapped[int]
    s: Mapped[str | None]


class Pair(Base):
    __tablename__ = "pairs"
    x: Mapped[int] = mapped_column(primary_key=True)
    y: Mapped[int] = mapped_column(primary_key=True)
    b: Mapped[int]


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    posts: Mapped[list[Post]] = relationship(back_populates="author")


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("authors.id"))
    title: Mapped[str]
    author: Mapped[Author | None] = relationship(back_populates="posts")
    comments: Mapped[list[Comment]] = relationship(back_populates="post")


class Comment(Base):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"))
    text: Mapped[str]
    post: Mapped[Post] = relationship(back_populates="comments")


class EagerPost(Base):
    """Posts with their comments, always."""

    __table__ = Post.__table__
    talk: Mapped[list[Comment]] = relationship(lazy="joined", viewonly=True)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Cents(TypeDecorator[Decimal]):
    """Stored as an int, seen as a Decimal."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else int(value * 100)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Decimal(value) / 100


class Sample(Base):
    """One column of each type that can order."""

    __tablename__ = "samples"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    flag: Mapped[bool]
    ratio: Mapped[float]
    amount: Mapped[Decimal] = mapped_column(Numeric(20, 10))
    cents: Mapped[Decimal] = mapped_column(Cents)
    text: Mapped[str]
    data: Mapped[bytes]
    at: Mapped[dt.datetime]
    local: Mapped[dt.datetime] = mapped_column(DateTime(timezone=False))
    day: Mapped[dt.date]
    clock: Mapped[dt.time]
    span: Mapped[dt.timedelta]
    colour: Mapped[Colour] = mapped_column(Enum(Colour, native_enum=False))
    code: Mapped[str] = mapped_column(String(8))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)


def samples(count: int = 24) -> list[Sample]:
    """Rows with ties in every column, and values that lose in careless text."""
    start = dt.datetime(2024, 2, 29, 23, 59, 59, 999_990, tzinfo=dt.UTC)
    return [
        Sample(
            id=uuid.UUID(int=(n * 7919) << 64 | n),
            flag=n % 2 == 0,
            ratio=(n % 5) / 3 - 0.5,
            amount=Decimal("0.1234567891") * (n % 7) - 1,
            cents=Decimal(n % 6) / 4,
            text=["", "a::None", "b|c", "é", "\U0001f600", "z" * 300][n % 6],
            data=bytes((n % 4, 255)),
            at=start + dt.timedelta(microseconds=n % 8),
            local=start.replace(tzinfo=None) + dt.timedelta(microseconds=n % 3 * 5),
            day=start.date() + dt.timedelta(days=n % 3),
            clock=dt.time(n % 3, 0, 0, n % 2),
            span=dt.timedelta(days=n % 3, microseconds=n % 2),
            colour=list(Colour)[n % 2],
            code=f"c{n % 3}",
            document={"n": n},
        )
        for n in range(count)
    ]
