from __future__ import annotations

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from tests.pagination.models import Author, Base, Comment, Item, Post


@pytest.fixture
def engine():
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine):
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def session(engine):
    with Session(engine) as session:
        yield session


@pytest.fixture
def statements(engine):
    """The SQL sent, as it is sent."""
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    return sent


@pytest.fixture
def items(session):
    session.add_all([Item(id=n, a=n % 4 or None, b=n % 3, s=f"s{n % 5}") for n in range(40)])
    session.commit()


@pytest.fixture
def shop(session):
    """3 authors; 12 posts, 3 of them without author; 0 to 3 comments on each."""
    authors = [Author(id=n, name=f"n{n % 2}", slug=f"s{n}") for n in range(3)]
    posts = [Post(id=n, title=f"t{n % 4}", author_id=None if n % 4 == 3 else n % 3) for n in range(12)]
    comments = [Comment(id=n * 4 + i, post_id=n, text=f"c{i % 2}") for n in range(12) for i in range(n % 4)]
    session.add_all([*authors, *posts, *comments])
    session.commit()
