"""`invalidate_on_commit`: at the commit and never otherwise, for every kind of session."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, event, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool, StaticPool

from scalekit.cache import AsyncCache, Cache, MemoryCacheStore
from scalekit.cache.sqlalchemy import SQLAlchemyCacheStore, _delivery, invalidate_on_commit
from scalekit.errors import BackendError, ConfigurationError

METADATA = MetaData()
ROWS = Table("rows", METADATA, Column("id", Integer, primary_key=True))


class Told:
    """Stands for a cache: what it was told to invalidate, and what the database had by then."""

    def __init__(self, log, name="cache", error=None):
        self.log, self.name, self.error = log, name, error

    def invalidate_tags(self, *tags):
        self.log.append((self.name, *tags))
        if self.error is not None:
            raise self.error


class AsyncTold(Told):
    async def invalidate_tags(self, *tags):
        await asyncio.sleep(0)
        super().invalidate_tags(*tags)


@pytest.fixture
def log():
    return []


@pytest.fixture
def engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/rows.db")
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture(params=["Session", "scoped_session"])
def session(request, engine):
    if request.param == "Session":
        with Session(engine) as session:
            yield session
    else:
        scoped = scoped_session(sessionmaker(engine))
        yield scoped
        scoped.remove()


def plain(session):
    """What a scoped_session does not offer itself."""
    return session() if isinstance(session, scoped_session) else session


def add(session, number):
    session.execute(insert(ROWS).values(id=number))


# -- at the commit, and never otherwise ---------------------------------------------------------------


def test_at_the_commit_and_once(session, log):
    cache = Told(log)
    add(session, 1)
    invalidate_on_commit(session, cache, "a", "b")
    session.flush()
    assert log == []
    session.commit()
    assert log == [("cache", "a", "b")]
    add(session, 2)
    session.commit()
    session.close()
    assert len(log) == 1


def test_after_the_commit_and_before_it_returns(session, engine, log):
    """A reader on another connection sees the change by the time that the cache forgets."""

    class Reader(Told):
        def invalidate_tags(self, *tags):
            with engine.connect() as other:
                self.log.append(other.execute(select(ROWS.c.id)).scalars().all())

    add(session, 7)
    invalidate_on_commit(session, Reader(log), "a")
    session.commit()
    assert log == [[7]]


def test_calls_add_up_and_each_tag_counts_once(session, log):
    cache, other = Told(log), Told(log, "other")
    invalidate_on_commit(session, cache, "a", "b")
    invalidate_on_commit(session, cache, "b", "c")
    invalidate_on_commit(session, other, "b")
    invalidate_on_commit(session, cache)
    session.commit()
    assert log == [("cache", "a", "b", "c"), ("other", "b")]


def test_nothing_after_a_rollback_and_all_anew(session, log):
    cache = Told(log)
    add(session, 1)
    invalidate_on_commit(session, cache, "a")
    session.rollback()
    session.commit()
    assert log == []
    add(session, 1)
    invalidate_on_commit(session, cache, "b")
    session.commit()
    assert log == [("cache", "b")]


def test_nothing_after_a_close_without_a_commit(session, log):
    add(session, 1)
    invalidate_on_commit(session, Told(log), "a")
    session.close()
    add(session, 1)
    session.commit()
    assert log == []


@pytest.mark.parametrize("end", ["invalidate", "reset"])
def test_nothing_after_other_ends(session, log, end):
    add(session, 1)
    invalidate_on_commit(session, Told(log), "a")
    getattr(plain(session), end)()
    session.commit()
    assert log == []


def test_nothing_after_a_commit_that_fails(session, log):
    add(session, 1)
    session.commit()
    invalidate_on_commit(session, Told(log), "a")
    with pytest.raises(IntegrityError):
        add(session, 1)
    session.rollback()
    assert log == []


def test_before_a_transaction_it_is_for_the_next(session, log):
    invalidate_on_commit(session, Told(log), "a")
    assert not plain(session).in_transaction(), "so that session.begin() still works"
    with session.begin():
        add(session, 1)
    assert log == [("cache", "a")]


def test_a_commit_of_nothing_is_a_commit(session, log):
    invalidate_on_commit(session, Told(log), "a")
    session.commit()
    assert log == [("cache", "a")]


def test_context_managers(engine, log):
    cache = Told(log)
    make = sessionmaker(engine)
    with make.begin() as session:
        invalidate_on_commit(session, cache, "a")
        assert log == []
    assert log == [("cache", "a")]
    with pytest.raises(ZeroDivisionError), make.begin() as session:  # noqa: PT012
        invalidate_on_commit(session, cache, "b")
        raise ZeroDivisionError
    assert len(log) == 1


def test_from_within_a_flush(engine, log):
    """Where an application decides by what was flushed."""

    class Watched(Session):
        pass

    event.listen(
        Watched, "after_flush", lambda session, _: invalidate_on_commit(session, Told(log), "flushed")
    )
    with Watched(engine) as session:
        session.add(make_mapped()(1))
        session.commit()
    assert log == [("cache", "flushed")]


def make_mapped():
    from sqlalchemy.orm import registry

    class Row:
        def __init__(self, number):
            self.id = number

    registry(metadata=METADATA).map_imperatively(Row, ROWS)
    return Row


def test_from_within_the_commit(session, log):
    """A listener of the commit comes late, but the transaction has not ended."""
    cache, real = Told(log), plain(session)
    event.listen(real, "after_commit", lambda changed: invalidate_on_commit(changed, cache, "a"))
    for number in 1, 2:
        add(session, number)
        session.commit()
        assert log == [("cache", "a")] * number
    add(session, 3)
    session.rollback()
    with session.begin_nested() as savepoint:
        add(session, 3)
        savepoint.rollback()
    session.close()
    assert len(log) == 2
    assert "scalekit.cache.invalidate_on_commit" not in real.info


def test_from_within_the_commit_of_a_savepoint(session, log):
    cache, real = Told(log), plain(session)
    event.listen(real, "after_commit", lambda changed: invalidate_on_commit(changed, cache, "a"), once=True)
    with session.begin_nested():
        add(session, 1)
    session.rollback()
    assert log == []
    event.listen(real, "after_commit", lambda changed: invalidate_on_commit(changed, cache, "b"), once=True)
    with session.begin_nested():
        add(session, 2)
    assert log == []
    session.commit()
    assert log == [("cache", "b")]


@pytest.mark.parametrize("kind", ["commit", "savepoint", "task"])
def test_the_process_s_first_may_come_from_within_a_commit(kind):
    """What hears of commits is imported with the first call: this commit it has not heard begin."""
    command = [sys.executable, "-m", "tests.cache.sqlalchemy.first_wish", kind]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "tag\n"


@pytest.mark.parametrize("kind", ["Session", "begin_nested"])
def test_the_first_within_what_can_only_be_rolled_back_is_undone(engine, log, kind):
    row = make_mapped()
    with Session(engine) as session:
        add(session, 1)
        begun = session if kind == "Session" else session.begin_nested()
        session.add(row(1))
        with pytest.raises(IntegrityError):
            session.flush()
        assert not session.is_active
        invalidate_on_commit(session, Told(log), "a")
        begun.rollback()
        session.commit()
    assert log == []


# -- savepoints ---------------------------------------------------------------------------------------


def test_a_savepoint_that_is_rolled_back_takes_its_own_with_it(session, log):
    cache = Told(log)
    add(session, 1)
    invalidate_on_commit(session, cache, "outer")
    savepoint = session.begin_nested()
    invalidate_on_commit(session, cache, "inner")
    savepoint.rollback()
    with session.begin_nested():
        invalidate_on_commit(session, cache, "kept")
    assert log == []
    session.commit()
    assert log == [("cache", "outer", "kept")]


def test_savepoints_within_savepoints(session, log):
    cache = Told(log)
    with session.begin_nested():
        invalidate_on_commit(session, cache, "1")
        with pytest.raises(ZeroDivisionError), session.begin_nested():  # noqa: PT012
            invalidate_on_commit(session, cache, "2")
            with session.begin_nested():
                invalidate_on_commit(session, cache, "3")
            raise ZeroDivisionError
        with session.begin_nested(), session.begin_nested():
            invalidate_on_commit(session, cache, "4")
    session.commit()
    assert log == [("cache", "1", "4")]


def test_the_whole_rolled_back_with_its_savepoints(session, log):
    cache = Told(log)
    with session.begin_nested():
        invalidate_on_commit(session, cache, "released")
    session.begin_nested()
    invalidate_on_commit(session, cache, "open")
    session.rollback()
    session.rollback()
    session.commit()
    assert log == []


def test_a_commit_with_savepoints_open(session, log):
    cache = Told(log)
    session.begin_nested()
    invalidate_on_commit(session, cache, "1")
    session.begin_nested()
    invalidate_on_commit(session, cache, "2")
    session.commit()
    assert log == [("cache", "1", "2")]


def test_a_flush_that_fails_within_a_savepoint(engine, log):
    cache, row = Told(log), make_mapped()
    with Session(engine) as session:
        session.add(row(1))
        session.commit()
        invalidate_on_commit(session, cache, "outer")
        with pytest.raises(IntegrityError), session.begin_nested():  # noqa: PT012
            invalidate_on_commit(session, cache, "inner")
            session.expunge_all()
            session.add(row(1))
            session.flush()
        session.commit()
    assert log == [("cache", "outer")]


# -- two phases ---------------------------------------------------------------------------------------


@pytest.fixture
def twophase(postgres):
    """A server of its own, which allows prepared transactions."""
    postgres.psql("ALTER SYSTEM SET max_prepared_transactions = 5")
    postgres.restart()
    engine = create_engine(postgres.url(), poolclass=NullPool)
    METADATA.create_all(engine)
    with Session(engine, twophase=True) as session:
        yield session
    METADATA.drop_all(engine)


def test_two_phases(twophase, log):
    cache = Told(log)
    add(twophase, 1)
    invalidate_on_commit(twophase, cache, "a")
    twophase.prepare()
    assert log == []
    twophase.commit()
    assert log == [("cache", "a")]
    add(twophase, 2)
    invalidate_on_commit(twophase, cache, "b")
    twophase.prepare()
    twophase.rollback()
    add(twophase, 3)
    twophase.commit()
    assert log == [("cache", "a")]
    assert twophase.execute(select(ROWS.c.id)).scalars().all() == [1, 3]


# -- failures -----------------------------------------------------------------------------------------


def test_a_failure_is_raised_by_the_commit_and_undoes_nothing(session, engine, log):
    down = BackendError("redis", "invalidate", "down")
    add(session, 1)
    invalidate_on_commit(session, Told(log, error=down), "a")
    invalidate_on_commit(session, Told(log, "other"), "a")
    with pytest.raises(BackendError) as caught:
        session.commit()
    assert caught.value is down
    assert log == [("cache", "a"), ("other", "a")], "the others are told all the same"
    assert not plain(session).in_transaction()
    assert engine.pool.checkedout() == 0
    add(session, 2)
    session.commit()
    assert session.execute(select(ROWS.c.id)).scalars().all() == [1, 2]
    assert len(log) == 2


def test_the_first_failure_names_the_others(session, log):
    for name in ("a", "b"):
        invalidate_on_commit(session, Told(log, name, BackendError("redis", name, "down")), "t")
    with pytest.raises(BackendError, match="redis a: down") as caught:
        session.commit()
    assert any("redis b: down" in note for note in caught.value.__notes__)


def test_a_failure_at_the_end_of_a_with_block(engine, log):
    down = BackendError("redis", "invalidate", "down")
    with pytest.raises(BackendError), sessionmaker(engine).begin() as session:  # noqa: PT012
        add(session, 1)
        invalidate_on_commit(session, Told(log, error=down), "a")
    with engine.connect() as connection:
        assert connection.execute(select(ROWS.c.id)).scalars().all() == [1]
    with Session(engine) as session:
        with pytest.raises(BackendError), session.begin():
            invalidate_on_commit(session, Told(log, error=down), "a")
        with session.begin():
            add(session, 2)


# -- with a cache -------------------------------------------------------------------------------------


def test_with_a_cache_and_a_pool_of_one(tmp_path):
    """The session has given its connection back by then, so the store may take it."""
    engine = create_engine(f"sqlite:///{tmp_path}/all.db", pool_size=1, max_overflow=0, pool_timeout=5)
    METADATA.create_all(engine)
    cache = Cache(SQLAlchemyCacheStore(engine))

    @cache.cached(ttl=60, tags=["rows"])
    def count() -> int:
        with engine.connect() as connection:
            return len(connection.execute(select(ROWS)).all())

    with Session(engine) as session:
        assert count() == 0
        add(session, 1)
        invalidate_on_commit(session, cache, "rows")
        session.commit()
        assert count() == 1
    engine.dispose()


# -- no traces ----------------------------------------------------------------------------------------


def test_nothing_is_left_behind(engine, log):
    with Session(engine) as session:
        invalidate_on_commit(session, Told(log), "a")
        session.commit()
        listeners = {name: len(list(getattr(session.dispatch, name))) for name in EVENTS}
        for _ in range(50):
            invalidate_on_commit(session, Told(log), "a")
            session.commit()
        assert session.info == {}
        assert {name: len(list(getattr(session.dispatch, name))) for name in EVENTS} == listeners
    cache, dropped = Told(log), Session(engine)
    invalidate_on_commit(dropped, cache, "a")
    dropped.begin()
    invalidate_on_commit(dropped, cache, "b")
    gone = [weakref.ref(cache), weakref.ref(dropped)]
    del cache, dropped
    gc.collect()
    assert [one() for one in gone] == [None, None], "a session that nobody ends is forgotten with its wishes"


EVENTS = ("after_commit", "after_transaction_end", "after_rollback", "after_begin")


# -- async --------------------------------------------------------------------------------------------


@pytest.fixture
async def async_engine():
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture(params=["AsyncSession", "async_scoped_session"])
async def async_session(request, async_engine):
    if request.param == "AsyncSession":
        async with AsyncSession(async_engine) as session:
            yield session
    else:
        scoped = async_scoped_session(async_sessionmaker(async_engine), scopefunc=asyncio.current_task)
        yield scoped
        await scoped.remove()


@pytest.mark.anyio
async def test_async_sessions(async_session, log):
    cache = AsyncTold(log)
    await async_session.execute(insert(ROWS).values(id=1))
    invalidate_on_commit(async_session, cache, "a")
    invalidate_on_commit(async_session, cache, "a", "b")
    async with async_session.begin_nested() as savepoint:
        invalidate_on_commit(async_session, cache, "undone")
        await savepoint.rollback()
    async with async_session.begin_nested():
        invalidate_on_commit(async_session, cache, "c")
    assert log == []
    await async_session.commit()
    assert log == [("cache", "a", "b", "c")]
    invalidate_on_commit(async_session, cache, "d")
    await async_session.rollback()
    await async_session.commit()
    await async_session.execute(insert(ROWS).values(id=2))
    invalidate_on_commit(async_session, cache, "e")
    await async_session.close()
    await async_session.commit()
    assert len(log) == 2, log
    assert log[1] == ("cache", "d"), "begun by nothing, it was for the next transaction"


@pytest.mark.anyio
async def test_from_within_an_async_commit(async_session, log):
    real = async_session() if isinstance(async_session, async_scoped_session) else async_session
    cache = AsyncTold(log)
    event.listen(real.sync_session, "after_commit", lambda changed: invalidate_on_commit(changed, cache, "a"))
    await async_session.execute(insert(ROWS).values(id=1))
    await async_session.commit()
    assert log == [("cache", "a")]


@pytest.mark.anyio
async def test_async_failures(async_session, log):
    down = BackendError("redis", "invalidate", "down")
    await async_session.execute(insert(ROWS).values(id=1))
    invalidate_on_commit(async_session, AsyncTold(log, error=down), "a")
    invalidate_on_commit(async_session, AsyncTold(log, "other"), "a")
    with pytest.raises(BackendError):
        await async_session.commit()
    assert log == [("cache", "a"), ("other", "a")]
    await async_session.execute(insert(ROWS).values(id=2))
    await async_session.commit()
    assert (await async_session.execute(select(ROWS.c.id))).scalars().all() == [1, 2]


@pytest.mark.anyio
async def test_within_run_sync(async_engine, log):
    async with AsyncSession(async_engine) as session:
        await session.run_sync(lambda plain: invalidate_on_commit(plain, AsyncTold(log), "a"))
        await session.commit()
    assert log == [("cache", "a")]


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_after_its_commit_still_tells(async_engine, log):
    """A client that goes away must not leave a stale value to the others."""
    started, go_on = asyncio.Event(), asyncio.Event()

    class Slow(AsyncTold):
        async def invalidate_tags(self, *tags):
            started.set()
            await go_on.wait()
            await super().invalidate_tags(*tags)

    async def request():
        async with AsyncSession(async_engine) as session:
            await session.execute(insert(ROWS).values(id=1))
            invalidate_on_commit(session, Slow(log), "a")
            await session.commit()

    task = asyncio.create_task(request())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert log == []
    go_on.set()
    for _ in range(100):
        await asyncio.sleep(0)
    assert log == [("cache", "a")]


@pytest.mark.anyio
async def test_with_an_async_cache(async_engine):
    cache = AsyncCache()

    @cache.cached(ttl=60, tags=["rows"])
    async def count() -> int:
        async with async_engine.connect() as connection:
            return len((await connection.execute(select(ROWS))).all())

    async with AsyncSession(async_engine) as session:
        assert await count() == 0
        await session.execute(insert(ROWS).values(id=1))
        invalidate_on_commit(session, cache, "rows")
        await session.commit()
        assert await count() == 1


# -- after the time to settle -------------------------------------------------------------------------


class FakeAlarms:
    def __init__(self):
        self.set_for = []

    def set(self, at, call):
        self.set_for.append((at, call))


def test_settled_tags_are_invalidated_once_more(session, log, monkeypatch):
    alarms = FakeAlarms()
    monkeypatch.setattr(_delivery, "alarms", alarms)
    monkeypatch.setattr(_delivery, "monotonic", lambda: 100.0)
    cache = Told(log, error=BackendError("redis", "invalidate", "down"))
    invalidate_on_commit(session, cache, "a", "b", settle="2s")
    invalidate_on_commit(session, cache, "a", settle=5)
    invalidate_on_commit(session, cache, "c")
    with pytest.raises(BackendError):
        session.commit()
    assert log == [("cache", "a", "b", "c")]
    assert [at for at, _ in alarms.set_for] == [102.0, 105.0]
    cache.error = None
    for _, call in alarms.set_for:
        call()
    assert log[1:] == [("cache", "b"), ("cache", "a")]
    invalidate_on_commit(session, cache, "d", settle="1h")
    session.rollback()
    session.commit()
    assert len(alarms.set_for) == 3, "outside of a transaction it was for the next"


def test_settling_in_a_thread_of_its_own(session, log):
    import threading

    done = threading.Event()

    class Last(Told):
        def invalidate_tags(self, *tags):
            super().invalidate_tags(*tags)
            if len(self.log) == 2:
                assert threading.current_thread().daemon
                done.set()

    invalidate_on_commit(session, Last(log), "a", settle=0.001)
    session.commit()
    assert done.wait(30)
    assert log == [("cache", "a")] * 2


@pytest.mark.anyio
async def test_settling_in_a_task(async_session, log, monkeypatch):
    slept = []
    real_sleep = asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(_delivery, "sleep", sleep)
    invalidate_on_commit(async_session, AsyncTold(log), "a", "b", settle="2s")
    await async_session.commit()
    for _ in range(100):
        await real_sleep(0)
    assert log == [("cache", "a", "b")] * 2
    assert slept == [2.0]


# -- what makes no sense ------------------------------------------------------------------------------


def tagged(cache, template):
    cache.cached(ttl=60, tags=[template])(lambda x: x)
    return cache


@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        (lambda s, c: (None, c, "a"), {}, "expected session as a Session"),
        (lambda s, c: (Session, c, "a"), {}, "expected session as a Session"),
        (lambda s, c: (s, None, "a"), {}, "expected cache as a Cache"),
        (lambda s, c: (s, Cache, "a"), {}, "expected cache as a Cache"),
        (lambda s, c: (s, MemoryCacheStore(), "a"), {}, "expected cache as a Cache"),
        (lambda s, c: (s, AsyncCache(), "a"), {}, "expected cache as a Cache, for a Session"),
        (lambda s, c: (AsyncSession(), c, "a"), {}, "expected cache as an AsyncCache, for an AsyncSession"),
        (lambda s, c: (s, c, 7), {}, "expected tags"),
        (lambda s, c: (s, c, ""), {}, "expected tags"),
        (lambda s, c: (s, c, ["a"]), {}, "expected tags"),
        (lambda s, c: (s, tagged(c, "row:{x}"), "a", "row:{x}"), {}, "expected tags filled in"),
        (lambda s, c: (s, c, "a"), {"settle": -1}, "expected settle"),
        (lambda s, c: (s, c, "a"), {"settle": "soon"}, "expected settle"),
    ],
)
def test_what_makes_no_sense(engine, arguments, options, complaint):
    with Session(engine) as session:
        given = arguments(session, Cache())
        with pytest.raises(ConfigurationError, match=complaint):
            invalidate_on_commit(*given, **options)
        assert session.info == {}
