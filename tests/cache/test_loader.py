"""What could be awaited or read only once is not kept: it would be of use to the first caller alone."""

from __future__ import annotations

import asyncio
import csv

import pytest

from tests.cache.either import Source


class Stream:
    """An async iterator that is no generator."""

    def __aiter__(self):
        return self

    async def __anext__(self):
        raise StopAsyncIteration


class Task:
    """An awaitable that is no coroutine."""

    def __await__(self):
        return iter(())


def rows():
    yield 1


async def async_rows():
    yield 1


async def coroutine(): ...


ONCE = {
    "generator": (rows, r"returned rows\(\), which can be read only once: return a list"),
    "async generator": (async_rows, r"returned async_rows\(\), which can be read only once"),
    "map": (lambda: map(str, [1]), "returned map, which can be read only once: return a list"),
    "reader": (lambda: csv.reader(["a,b"]), "returned .*reader, which can be read only once"),
    "async iterator": (Stream, "returned Stream, which can be read only once"),
    "coroutine": (coroutine, "returned a coroutine: "),
    "awaitable": (Task, "returned Task, an awaitable: "),
    "future": (lambda: asyncio.Future(loop=asyncio.new_event_loop()), "returned Future, an awaitable: "),
}


@pytest.fixture(params=ONCE)
def once(request):
    return ONCE[request.param]


@pytest.fixture
def source(once):
    source = Source()
    source.value = lambda x, run: made.append(once[0]()) or made[-1]
    made = source.made = []
    yield source
    for value in made:
        if isinstance(value, asyncio.Future):
            value.get_loop().close()


def test_it_is_refused(either, once, source):
    face = either()
    with pytest.raises(TypeError, match=once[1]):
        face(face.cached(source, ttl=10), 7)
    assert (face.stats().loads, face.stats().load_errors) == (1, 1)


def test_it_is_refused_as_one_of_many(either, once, source):
    face = either()

    def load(ids):
        return {1: "one", 2: (yield from source(2))}

    with pytest.raises(TypeError, match=once[1]):
        face(face.cached_many(load, ttl=10), [1, 2])
    assert (face.stats().loads, face.stats().load_errors) == (1, 1)


@pytest.mark.parametrize("value", [[1], "text", {1: 2}, range(3), {"a"}, {1: 2}.items()], ids=repr)
def test_what_can_be_read_again_is_kept(either, value):
    face, source = either(), Source()
    source.value = lambda x, run: value
    find = face.cached(source, ttl=10)
    assert face(find, 7) is face(find, 7) is value
    assert source.runs == 1
