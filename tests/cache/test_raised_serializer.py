"""Cached exceptions as bytes: equal in class, arguments and attributes, or refused."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import Cache, CompressedSerializer, MsgspecSerializer, _frame
from scalekit.cache._raised import Raised
from scalekit.cache._raised_serializer import KeySerializer, RaisedSerializer
from scalekit.cache.redis import RedisCacheStore
from scalekit.errors import ConfigurationError, OffsetTooDeep, SerialisationError
from scalekit.redis import RedisLink

PLAIN = MsgspecSerializer(object)


class NotFound(Exception):
    pass


class Gone(NotFound):
    class Twice(NotFound):
        pass


class WithFields(NotFound):
    def __init__(self, kind, number):
        super().__init__(kind, number)
        self.kind = kind
        self.number = number


class Worded(NotFound):
    """Its arguments are not those of its constructor."""

    def __init__(self, number):
        super().__init__(f"there is no {number}")


class Rebuilt(NotFound):
    """The same, and it says how it is made."""

    def __init__(self, number):
        super().__init__(f"there is no {number}")
        self.number = number

    def __reduce__(self):
        return type(self), (self.number,)


class ByFunction(NotFound):
    def __reduce__(self):
        return functools.partial, (dict,)


class Slotted(NotFound):
    __slots__ = ("more",)


class Mute(NotFound):
    def __reduce__(self):
        raise KeyError("mute")


class Other(Exception):
    pass


def serializer(*classes, inner=PLAIN):
    return RaisedSerializer(inner, classes or (NotFound, LookupError, OSError, ValueError), plain=PLAIN)


def through(error):
    made = serializer()
    back = made.loads(made.dumps(Raised(error)))
    assert type(back) is Raised
    return back.error


def noted():
    error = NotFound("a")
    error.add_note("a note")
    error.attempt = 3
    return error


@pytest.mark.parametrize(
    "error",
    [
        NotFound(),
        NotFound("product", 7, [None, {"a": 1.5}]),
        Gone(1),
        Gone.Twice(b"bytes"),
        KeyError("a"),
        WithFields("product", 7),
        Rebuilt(7),
        noted(),
        OSError(2, "no such file", "a.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ConfigurationError("ttl", 0, "above 0"),
        OffsetTooDeep(5, 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_comes_back_with_its_class_arguments_and_attributes(error):
    back = through(error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert vars(back) == vars(error)
    assert str(back) == str(error)


def test_an_os_error_keeps_what_it_is_about():
    back = through(OSError(2, "no such file", "a.txt"))
    assert (type(back), back.errno, back.filename) == (FileNotFoundError, 2, "a.txt")


def test_a_cause_and_a_traceback_are_not_kept():
    with pytest.raises(NotFound) as caught:
        raise NotFound("a") from KeyError("b")
    back = through(caught.value)
    assert (back.__cause__, back.__context__, back.__traceback__) == (None, None, None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Worded(7), "would come back as Worded"),
        (NotFound((1, 2)), r"its \(1, 2\) would come back as \[1, 2\]"),
        (NotFound(object()), "unknown to msgspec"),
        (NotFound(NotFound()), "unknown to msgspec"),
        (ByFunction(), "another function than its class"),
        (Mute(), "mute"),
        (Other("a"), "Other is none of the exceptions to be cached"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_that_would_change_is_refused_from_itself(error, reason):
    with pytest.raises(
        SerialisationError, match=f"cannot cache {type(error).__qualname__}.*{reason}.*hand all"
    ) as caught:
        serializer().dumps(Raised(error))
    assert caught.value.__cause__ is error or type(caught.value.__cause__) is type(error)


def test_what_is_in_slots_would_be_lost_and_is_refused():
    raised = Raised(Slotted("a"))
    assert serializer().loads(serializer().dumps(raised)).error.args == ("a",)
    raised.error.more = 1
    with pytest.raises(SerialisationError, match="Slotted"):
        serializer().dumps(raised)


def test_a_local_class_of_a_taken_name_is_refused():
    def made():
        class Local(NotFound):
            pass

        return Local("a")

    first, second = made(), made()
    assert type(through(second)) is type(second)
    with pytest.raises(SerialisationError):
        through(first)


def test_values_are_written_as_without_errors():
    inner = MsgspecSerializer(list[int])
    made = serializer(inner=inner)
    assert made.dumps([1]) == inner.dumps([1])
    assert made.loads(made.dumps([1])) == [1]
    with pytest.raises(SerialisationError, match="Expected `int`"):
        made.dumps([True])


class Raw:
    fingerprint = b"raw 0001"

    def dumps(self, value):
        return value

    def loads(self, data):
        return data


@given(st.binary())
def test_any_bytes_of_any_serializer_are_told_from_an_error(data):
    made = serializer(inner=Raw())
    for value in (data, b"\xc1" + data, b"\xc1e" + data, b"\xc1v" + data):
        assert made.loads(made.dumps(value)) == value


def test_it_goes_around_compression():
    made = serializer(inner=CompressedSerializer(MsgspecSerializer(str), algorithm="zlib"))
    assert len(made.dumps("a" * 10_000)) < 100
    assert made.loads(made.dumps("a" * 10_000)) == "a" * 10_000
    assert made.loads(made.dumps(Raised(NotFound(1)))).error.args == (1,)


def forged(*parts):
    return b"\xc1e" + PLAIN.dumps(list(parts))


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"\xc1e",
        b"\xc1x",
        b"\xc1e\xff",
        b"\xc1x" + forged("tests.cache.test_raised_serializer.NotFound", [], None)[2:],
        forged(),
        forged("tests.cache.test_raised_serializer.NotFound", []),
        forged("builtins.SystemExit", [1], None),
        forged("os.system", ["true"], None),
        forged("tests.cache.test_raised_serializer.Nobody", [], None),
        forged("tests.cache.test_raised_serializer.WithFields", [1], None),
        forged("tests.cache.test_raised_serializer.NotFound", [], {"__class__": 1}),
        forged("tests.cache.test_raised_serializer.NotFound", [], [1]),
        forged("tests.cache.test_raised_serializer.NotFound", 3, None),
        forged(["a"], [], None),
    ],
)
def test_what_is_no_error_of_ours_is_a_value_error(data):
    with pytest.raises(ValueError):
        serializer(NotFound).loads(data)


@given(st.binary(max_size=40))
def test_random_bytes_after_a_mark_are_a_value_error(data):
    with pytest.raises(ValueError):
        serializer(NotFound).loads(b"\xc1e" + data)


def test_a_subclass_is_found_when_it_is_loaded_later():
    made = serializer(NotFound)
    made.dumps(Raised(NotFound()))

    class Later(NotFound):
        pass

    assert type(made.loads(made.dumps(Raised(Later()))).error) is Later


def test_a_fingerprint_stands_for_the_values_and_the_classes():
    strings = MsgspecSerializer(str)
    prints = [
        serializer(NotFound),
        serializer(KeyError),
        serializer(NotFound, KeyError),
        serializer(NotFound, inner=strings),
    ]
    assert len({made.fingerprint for made in [*prints, strings, PLAIN]}) == 6
    assert serializer(NotFound, KeyError).fingerprint == serializer(KeyError, NotFound).fingerprint
    assert {len(made.fingerprint) for made in prints} == {8}


@pytest.fixture
def store(redis_url, key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    link = RedisLink.from_url(redis_url, timeout="10s")
    yield RedisCacheStore(link)
    link.close()


def test_an_error_is_kept_on_a_server(store):
    loads = []

    def product(number: int) -> str:
        loads.append(number)
        raise WithFields("product", number)

    for _ in range(2):  # two processes
        cached = Cache(store, namespace="shop").cached(ttl="1m", cache_exceptions=NotFound)(product)
        with pytest.raises(WithFields) as caught:
            cached(7)
        assert (caught.value.kind, caught.value.number) == ("product", 7)
    assert loads == [7]


def test_an_error_that_cannot_be_kept_on_a_server_is_refused(store):
    def product() -> str:
        raise Worded(7)

    cached = Cache(store, namespace="shop").cached(ttl="1m", cache_exceptions=NotFound)(product)
    with pytest.raises(SerialisationError, match="hand all arguments") as caught:
        cached()
    assert isinstance(caught.value.__cause__, Worded)


def missing():
    raise WithFields("product", 7)


def found():
    return "found"


def test_an_error_of_a_key_of_no_function_is_kept_on_a_server(store):
    cache = Cache(store, namespace="shop", compress_above=100)
    assert cache.get_or_set("k", found, ttl="1m") == "found"
    assert cache.get_or_set("k", missing, ttl="1m", cache_exceptions=NotFound) == "found"
    cache.delete("k")
    with pytest.raises(WithFields):
        cache.get_or_set("k", missing, ttl="1m", cache_exceptions=NotFound)
    other = Cache(store, namespace="shop", compress_above=100)  # another process
    assert other.get("k") is None, "it knows of no such exception yet"
    with pytest.raises(WithFields):
        other.get_or_set("k", found, ttl="1m", cache_exceptions=[KeyError, NotFound])
    for asked in (cache, other):
        with pytest.raises(WithFields) as caught:
            asked.get("k", "default")
        assert (caught.value.kind, caught.value.number) == ("product", 7)
        with pytest.raises(WithFields):
            asked.get_or_set("k", found, ttl="1m")
    cache.set("k", "x" * 1_000, ttl="1m")
    assert cache.get("k") == other.get("k") == "x" * 1_000


@pytest.mark.parametrize("kept", [(), (KeyError,), (WithFields,)], ids=repr)
def test_an_error_of_a_functions_key_is_kept_on_a_server_beside_its_values(store, kept):
    cache = Cache(store, namespace="shop", compress_above=100)

    @cache.cached(ttl="1m", cache_exceptions=kept)
    def product(number: int) -> str:
        return "x" * number

    def ask():
        return cache.get_or_set(product.key(900), missing, ttl="1m", cache_exceptions=NotFound)

    with pytest.raises(WithFields):
        ask()
    with pytest.raises(WithFields):
        cache.get_or_set(product.key(900), found, ttl="1m", cache_exceptions=NotFound)
    if kept == (WithFields,):
        with pytest.raises(WithFields):
            product(900)
        cache.delete(product.key(900))
    loads = cache.stats().loads
    assert product(900) == ask() == cache.get(product.key(900)) == "x" * 900
    assert cache.stats().loads == loads + 1


def test_an_absent_item_is_loaded_and_kept_where_errors_are_kept_too(store):
    cache = Cache(store, namespace="shop")
    find = cache.cached_many(ttl="1m", none_ttl="1m")(lambda ids: {})
    assert find([7]) == {}
    with pytest.raises(WithFields):
        cache.get_or_set(find.key(7), missing, ttl="1m", cache_exceptions=NotFound)
    cache.delete(find.key(7))
    assert find([7]) == {}
    assert cache.get_or_set(find.key(7), found, ttl="1m", cache_exceptions=NotFound) == "found"
    assert find([7]) == {7: "found"}


def test_beside_a_serializer_that_does_not_escape_values_are_written_as_they_are():
    raw = Raw()
    beside = KeySerializer(raw, raw, (LookupError,), plain=PLAIN)
    for value in (b"", b"\xc1", b"\xc1vPAYLOAD", b"\xc1v\xc1v"):
        assert beside.dumps(value) == value
        assert beside.loads(raw.dumps(value)) == raw.loads(beside.dumps(value)) == value
    with pytest.raises(SerialisationError, match="begin with"):
        beside.dumps(b"\xc1ePAYLOAD")
    assert type(beside.loads(beside.dumps(Raised(KeyError("a")))).error) is KeyError
