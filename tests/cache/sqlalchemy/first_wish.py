"""The first invalidation of a process, wished from within a commit: `python -m` and a kind."""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

told = []


class Told:
    def invalidate_tags(self, *tags):
        told.extend(tags)


class AsyncTold:
    async def invalidate_tags(self, *tags):
        told.extend(tags)


def wish(session):
    from scalekit.cache.sqlalchemy import invalidate_on_commit

    assert "scalekit.cache.sqlalchemy._session" not in sys.modules
    invalidate_on_commit(session, Told() if sys.argv[1] != "task" else AsyncTold(), "tag")


async def task():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with AsyncSession(engine) as session:
        event.listen(session.sync_session, "after_commit", wish)
        await session.execute(text("SELECT 1"))
        await session.commit()
    await engine.dispose()


def commit(session):
    event.listen(session, "after_commit", wish)
    session.execute(text("SELECT 1"))
    session.commit()


def savepoint(session):
    event.listen(session, "after_commit", wish, once=True)
    session.execute(text("SELECT 1"))
    with session.begin_nested():
        pass
    assert told == []
    session.commit()


if __name__ == "__main__":
    if sys.argv[1] == "task":
        asyncio.run(task())
    else:
        engine = create_engine("sqlite://")
        with Session(engine) as session:
            {"commit": commit, "savepoint": savepoint}[sys.argv[1]](session)
        engine.dispose()
    print(*told)  # noqa: T201
