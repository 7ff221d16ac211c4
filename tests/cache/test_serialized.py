"""What a serializer gets wrong is told at once: no cache that never hits, no error of a driver."""

from __future__ import annotations

import json

import pytest
import redis
from sqlalchemy import create_engine

from scalekit.cache import Cache, CompressedSerializer, _frame
from scalekit.cache.redis import RedisCacheStore
from scalekit.cache.sqlalchemy import SQLAlchemyCacheStore
from scalekit.errors import ConfigurationError, SerialisationError
from scalekit.redis import RedisLink


class Json:
    fingerprint = b"json   1"

    def dumps(self, value, /):
        return json.dumps(value).encode()

    def loads(self, data, /):
        return json.loads(data)


class Computed(Json):
    """Knows its fingerprint when it is asked for it."""

    given = b"json   1"

    @property
    def fingerprint(self):
        return self.given


class Slotted(Json):
    __slots__ = ("fingerprint",)


def returning(kind, base=Json):
    return type("Other", (base,), {"dumps": lambda self, value, /: kind(base.dumps(self, value))})()


@pytest.fixture
def redis_cache(redis_url, key_prefix, monkeypatch):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    with redis.Redis.from_url(redis_url) as client:
        yield Cache(RedisCacheStore(RedisLink(client)))


@pytest.fixture
def sql_cache(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/entries.db")
    yield Cache(SQLAlchemyCacheStore(engine))
    engine.dispose()


@pytest.fixture(params=["redis", "sql"])
def cache(request):
    return request.getfixturevalue(f"{request.param}_cache")


@pytest.mark.parametrize("decorator", ["cached", "cached_many"])
@pytest.mark.parametrize(
    ("fingerprint", "told"),
    [(b"v1", "2"), (b"", "0"), (b"a digest", None), (b"json    1", "9"), ("v1234567", "str")],
)
def test_a_fingerprint_has_eight_bytes(decorator, fingerprint, told):
    of_class, of_object, slotted = type("Mine", (Json,), {"fingerprint": fingerprint})(), Json(), Slotted()
    of_object.fingerprint = slotted.fingerprint = fingerprint
    for serializer in (of_class, of_object, slotted):
        decorate = getattr(Cache(), decorator)(ttl=60, serializer=serializer)
        if told is None:
            decorate(lambda ids: ids)
            continue
        with pytest.raises(
            ConfigurationError, match=f"expected serializer with a fingerprint of 8 bytes, not {told}; got"
        ):
            decorate(lambda ids: ids)
        with pytest.raises(ConfigurationError, match="fingerprint of 8 bytes"):
            CompressedSerializer(serializer)


def test_one_that_is_computed_is_looked_at_when_it_is_needed(cache):
    serializer = Computed()
    find = cache.cached(ttl=60, serializer=serializer)(lambda x: x)
    serializer.given = b"v1"
    with pytest.raises(ConfigurationError, match="fingerprint of 8 bytes, not 2"):
        find(1)
    serializer.given = Json.fingerprint
    assert (find(1), find(1)) == (1, 1)
    assert cache.stats().hits == 1


@pytest.mark.parametrize("around", [None, "errors", "compressed"])
@pytest.mark.parametrize("long", [False, True])
def test_dumps_returns_bytes(cache, around, long):
    value = "x" * 10_000 if long else "x"
    options = {"cache_exceptions": (KeyError,)} if around == "errors" else {}
    for number, kind in enumerate((bytes.decode, bytearray, memoryview, len)):
        serializer = returning(kind)
        given = CompressedSerializer(serializer) if around == "compressed" else serializer
        runs = []

        def load(x, runs=runs):
            runs.append(x)
            return value

        find = cache.cached(ttl=60, serializer=given, version=number, exclude=["runs"], **options)(load)
        if kind in {bytearray, memoryview}:
            assert find(1) == find(1) == value
            assert runs == [1]
            continue
        name = "int" if kind is len else "str"
        with pytest.raises(SerialisationError, match=rf"^Other\.dumps\(\) returned {name}, not bytes$"):
            find(1)


@pytest.mark.parametrize("around", [None, "errors", "compressed"])
@pytest.mark.parametrize(("value", "cause"), [({1}, TypeError), ("\ud800", ValueError)])
def test_what_dumps_refuses_with_an_error_of_its_own_cannot_be_written(cache, around, value, cause):
    class Strict(Json):
        def dumps(self, value, /):
            return json.dumps(value, ensure_ascii=False).encode()

    options = {"cache_exceptions": (KeyError,)} if around == "errors" else {}
    serializer = CompressedSerializer(Strict()) if around == "compressed" else Strict()
    find = cache.cached(ttl=60, stale_if_error=60, serializer=serializer, **options)(lambda x: value)
    with pytest.raises(
        SerialisationError, match=rf"Strict\.dumps\(\) raised {'Type' if cause is TypeError else 'Unicode'}"
    ) as caught:
        find(1)
    assert isinstance(caught.value.__cause__, cause)
    assert cache.stats().load_errors == 1


@pytest.mark.parametrize("error", [ConfigurationError("value", 1, "as a text"), SerialisationError("no")])
def test_errors_of_scalekits_own_are_told_as_they_are(cache, error):
    class Refusing(Json):
        def dumps(self, value, /):
            raise error

    with pytest.raises(type(error)) as caught:
        cache.cached(ttl=60, serializer=Refusing())(lambda x: x)(1)
    assert caught.value is error
