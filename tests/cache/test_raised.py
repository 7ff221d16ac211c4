"""Exceptions that are answers: kept as copies that look the same, raised as copies, never seen as values."""

from __future__ import annotations

import copy
import gc
import pickle
import traceback
import weakref

import pytest

from scalekit.cache import Cache, MemoryCacheStore
from scalekit.cache._many import AbsentItem
from scalekit.cache._raised import Raised, unwrapped
from scalekit.errors import BackendTimeout, ConfigurationError, LoadTimeout
from tests.cache.either import Source


class NotFound(Exception):
    """Its text is made of what it is given: a copy by `args` would be one of another text."""

    def __init__(self, id):  # noqa: A002
        super().__init__(f"there is no {id}")
        self.id = id


class Two(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code = code


class Named(Exception):
    def __init__(self, *, reason):
        super().__init__()
        self.reason = reason


class Slotted(Exception):
    __slots__ = ("place",)

    def __init__(self, place):
        super().__init__()
        self.place = place


class Strict(Exception):
    def __new__(cls, one, two):
        return super().__new__(cls, one)

    def __init__(self, one, two):
        self.two = two


class Stubborn(Exception):
    def __copy__(self):
        raise TypeError("not me")

    def __reduce__(self):
        raise TypeError("nor me")


class Foreign(OSError):
    def __init__(self, path):
        super().__init__(2, "no such file", path)


ODD = [
    NotFound(7),
    Two(404, "not found"),
    Named(reason="r"),
    Slotted(5),
    Strict(1, 2),
    Stubborn("x"),
    Foreign("/x"),
    FileNotFoundError(2, "no such file", "/y"),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "reason"),
    ImportError("m", name="n", path="p"),
    StopIteration(5),
    KeyError("k"),
    ConfigurationError("x", lambda: 1, "y"),
    BackendTimeout("a", "b", "c"),
    LoadTimeout("k", 1.5),
    ExceptionGroup("g", [ValueError(1)]),
]
COPIED = [error for error in ODD if not isinstance(error, (Slotted, Strict, Foreign))]


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
def test_it_looks_the_same_each_time(error):
    kept = Raised(error)
    for _ in range(3):
        again = kept.again()
        assert type(again) is type(error)
        assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
        assert vars(again) == vars(error)
        for name in (
            "id",
            "code",
            "reason",
            "place",
            "two",
            "filename",
            "errno",
            "start",
            "name",
            "path",
            "value",
        ):
            assert getattr(again, name, None) == getattr(error, name, None), name


@pytest.mark.parametrize("error", COPIED, ids=lambda error: type(error).__name__)
def test_it_is_a_copy_each_time(error):
    kept = Raised(error)
    assert len({id(one) for one in (error, kept.again(), kept.again(), kept.error)} - {0}) >= 3
    assert kept.error is not error


def test_what_cannot_be_copied_is_kept_as_it_is():
    error = Slotted(5)
    assert Raised(error).error is error
    assert Raised(error).again() is error


def test_its_traceback_does_not_grow(either):
    face, source = either(), Source()
    find = face.cached(source, ttl=60, cache_exceptions=(NotFound, Slotted))
    for error in (NotFound(7), Slotted(7)):
        source.error = error
        lengths = []
        for _ in range(4):
            with pytest.raises(type(error)) as caught:
                face(find, type(error).__name__)
            lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
        assert len(set(lengths[1:])) == 1, lengths
    assert source.runs == 2


def test_its_past_is_not_kept():
    class Big:
        pass

    def fail():
        big = Big()
        seen.append(weakref.ref(big))
        try:
            raise KeyError(big)  # noqa: TRY301
        except KeyError as error:
            raise NotFound(7) from error

    seen = []
    kept = []
    try:
        fail()
    except NotFound as error:
        kept.append(Raised(error))
    again = kept[0].again()
    assert (again.__cause__, again.__context__, again.__traceback__) == (None, None, None)
    gc.collect()
    assert seen[0]() is None


def test_who_adds_a_note_adds_it_to_his_own():
    error = NotFound(7)
    error.add_note("from the loader")
    kept = Raised(error)
    kept.again().add_note("from one caller")
    error.add_note("too late")
    assert kept.again().__notes__ == ["from the loader"]
    assert not hasattr(Raised(NotFound(7)).again(), "__notes__")


def test_a_value_is_itself():
    value = object()
    assert unwrapped(value) is value
    error = NotFound(7)
    assert unwrapped(error) is error, "an exception that was returned is a value"
    with pytest.raises(NotFound):
        unwrapped(Raised(error))


def test_every_way_to_ask_raises_it(either):
    face, source = either(), Source()
    find = face.cached(source, ttl=60, cache_exceptions=(NotFound,), tags=["t"])
    source.error = NotFound(7)
    for ask in (
        lambda: face(find, 7),
        lambda: face(face.cache.get, find.key(7)),
        lambda: face(face.cache.get_or_set, find.key(7), face.plain(lambda: 1), ttl=60),
        lambda: face(find.refresh, 7),
    ):
        with pytest.raises(NotFound):
            ask()
    assert source.runs == 2
    source.error = None
    face(face.cache.invalidate_tags, "t")
    assert face(find, 7) == "7 v3"
    assert face.stats() == (2, 2, 0, 3, 2, 1, 0)


def test_subclasses_are_listed_with_their_class_and_others_are_not_kept(either):
    class Gone(NotFound):
        pass

    face, source = either(), Source()
    find = face.cached(source, ttl=60, cache_exceptions=NotFound)
    source.error = Gone(7)
    for _ in range(2):
        with pytest.raises(Gone):
            face(find, 7)
    source.error = KeyError(8)
    for _ in range(2):
        with pytest.raises(KeyError):
            face(find, 8)
    assert source.runs == 3


def test_an_exception_is_served_stale_while_it_is_reloaded_but_does_not_answer_for_a_failure(either):
    face, source = either(), Source()
    find = face.cached(
        source, ttl=10, cache_exceptions=(NotFound,), stale_while_revalidate=10, stale_if_error=90
    )
    source.error = NotFound(7)
    with pytest.raises(NotFound):
        face(find, 7)
    face.clock.advance(11)
    source.error = OSError("gone")
    with pytest.raises(NotFound):
        face(find, 7)
    face.settle()
    face.clock.advance(10)
    with pytest.raises(OSError, match="gone"):
        face(find, 7)


def test_what_a_reload_raised_is_never_returned_as_a_value(kind):
    """Between the answer of a stale value and its filing in the wrapper's index an exception takes its place."""  # noqa: E501

    class Late(MemoryCacheStore):
        __slots__ = ()

        def pin(self, key, index, place, kinds, lead, /):
            replace(key)
            super().pin(key, index, place, kinds, lead)

    def replace(key):
        from scalekit.cache import Entry, Slot

        entry = Entry(Raised(NotFound(7)), expires=face.clock() + 60)
        store.write(Slot(key, ("cache:",), None), entry, None, face.clock())

    store = Late()
    face = kind(store)
    try:
        find = face.cached(Source(), ttl=60, cache_exceptions=(NotFound,))
        for _ in range(3):
            assert face(find, 7) == "7 v1"
    finally:
        face.close()


def test_an_absent_item_is_no_exception_to_anybody(either):
    face = either()
    find = face.cached_many(lambda ids: {}, ttl=60, none_ttl=60)
    assert face(find, [9]) == {}
    assert face(face.cache.get, find.key(9), "default") == "default"
    assert isinstance(Raised(AbsentItem()).error, AbsentItem)


def test_errors_of_the_cache_survive_pickling_and_copying():
    for error in (LoadTimeout("k", 1.5), BackendTimeout("a", "b", "c"), ConfigurationError("x", len, "y")):
        for back in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert type(back) is type(error)
            assert str(back) == str(error)
    assert isinstance(LoadTimeout("k", 1.5), TimeoutError)


@pytest.mark.parametrize("made", ["generator", "async generator"])
def test_what_can_be_read_only_once_is_no_value(either, made):
    async def async_items():
        yield 1

    face = either()
    items = (i for i in range(3)) if made == "generator" else async_items()

    def load():
        return items

    async def async_load():
        return items

    with pytest.raises(TypeError, match="can be read only once: return a list"):
        face(face.cache.get_or_set, "k", async_load if face.is_async else load, ttl=1)
    assert face.stats().load_errors == 1


def test_a_generator_that_was_refused_is_not_kept():
    cache = Cache()
    with pytest.raises(TypeError):
        cache.get_or_set("k", lambda: (i for i in range(3)), ttl=1)
    assert cache.get_or_set("k", lambda: [1], ttl=1) == [1]
