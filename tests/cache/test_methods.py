"""What the methods of a cached function belong to: an instance, a class, or nothing; through both faces."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import re
import sys
import weakref
from types import MethodType

import pytest

from scalekit.cache import AsyncCache, Cache
from scalekit.errors import ConfigurationError


class Told:
    """An object that says how it shall be told from others."""

    def __init__(self, name):
        self.name = name

    def __cache_key__(self):
        return self.name


def method_of(face, function, decorate, *, kind=None, owner=object, name="find"):
    """Return a class with `function` as its method, decorated inside (`kind` between) by `decorate`."""
    load = face.plain(function)
    load.__name__ = name
    load.__qualname__ = f"Shelf.{name}"
    method = decorate(load if kind is None else kind(load))
    return type("Shelf", (owner,), {name: method})


# -- classmethods and staticmethods -----------------------------------------------------------------


@pytest.mark.parametrize("first", ["cls", "klass"])
def test_the_methods_of_a_classmethod_are_of_its_class(either, first):
    face = either()
    calls = []

    def find(cls, x):
        calls.append((cls.__name__, x))
        return len(calls)

    namespace = {"find": find}
    exec(f"def named({first}, x): return find({first}, x)", namespace)
    shelf = method_of(face, namespace["named"], face.cache.cached(ttl=60), kind=classmethod)
    sub = type("Sub", (shelf,), {})
    assert face(shelf.find, 7) == face(shelf().find, x=7) == face(sub.find, 7) == 1
    assert shelf.find.key(7) == shelf().find.key(x=7) == "tests.cache.either.Shelf.find(x=7)"
    face(shelf.find.invalidate, 7)
    assert face(sub.find, 7) == 2
    assert face(sub().find.refresh, 7) == face(shelf.find, 7) == 3
    assert face(shelf.find.warm, [(7,), (8,), {"x": 9}]).loaded == 2
    assert face(shelf.find.__wrapped__, 5) == 6
    named = [name for name, _ in calls]
    assert named == ["Shelf", "Sub", "Sub", "Shelf", "Shelf", "Shelf"]
    assert vars(shelf)["find"].__get__(shelf()).key(7) == shelf.find.key(7)


def test_the_methods_of_a_classmethod_of_many_are_of_its_class(either):
    face = either()
    calls = []

    def find(cls, ids):
        calls.append((cls.__name__, ids))
        return {id_: len(calls) for id_ in ids}

    shelf = method_of(face, find, face.cache.cached_many(ttl=60), kind=classmethod)
    assert face(shelf.find, [1, 2]) == face(shelf().find, [1, 2]) == {1: 1, 2: 1}
    face(shelf.find.invalidate, 1)
    assert face(shelf.find, [1, 2]) == {1: 2, 2: 1}
    assert face(shelf.find.refresh, 2) == {2: 3}
    assert shelf.find.key(1) == "tests.cache.either.Shelf.find(1)"
    assert face(shelf.find.__wrapped__, [5]) == {5: 4}
    assert calls == [("Shelf", [1, 2]), ("Shelf", [1]), ("Shelf", [2]), ("Shelf", [5])]


def test_a_class_may_say_what_tells_it_apart(either):
    class Meta(type):
        def __cache_key__(cls):
            return cls.__name__

    face = either()
    load = face.plain(lambda cls, x: cls.__name__)
    load.__qualname__ = "Shelf.find"
    shelf = Meta("Shelf", (), {"find": face.cache.cached(ttl=60)(classmethod(load))})
    sub = Meta("Sub", (shelf,), {})
    assert (face(shelf.find, 1), face(sub.find, 1), face(sub.find, 1)) == ("Shelf", "Sub", "Sub")


@pytest.mark.parametrize("decorator", ["cached", "cached_many"])
def test_a_staticmethod_has_no_receiver_whatever_its_parameter_is_called(either, decorator):
    face = either()
    calls = []

    def find(self):
        calls.append(self)
        return {self[0]: len(calls)}

    decorate = getattr(face.cache, decorator)(ttl=60)
    shelf = method_of(face, find, decorate, kind=staticmethod)
    assert face(shelf.find, [7]) == face(shelf().find, [7]) == {7: 1}
    assert shelf.find.key(7) == vars(shelf)["find"].key(7)
    face(shelf.find.invalidate, 7 if decorator == "cached_many" else [7])
    assert face(shelf.find, [7]) == {7: 2}
    face(shelf.find.refresh, 7 if decorator == "cached_many" else [7])
    assert calls == [[7]] * 3


def unbound(method):
    """Return what a @classmethod above the decorator makes, as Python 3.13 binds it."""
    return MethodType(method, type("Shelf", (), {}))


@pytest.mark.parametrize("decorator", ["cached", "cached_many"])
def test_a_classmethod_above_the_decorator_is_never_silently_unbound(either, decorator):
    face = either()
    load = face.plain(lambda cls, ids: {1: 2})
    load.__qualname__ = "Shelf.find"
    method = unbound(getattr(face.cache, decorator)(ttl=60)(load))
    assert face(method, [1]) == {1: 2}
    calls = {"key": (1,), "invalidate": (1,), "refresh": (1,), "warm": ([(1,)],)}
    for name in calls if decorator == "cached" else ("key", "invalidate", "refresh"):
        for args in (calls[name], ()):
            with pytest.raises(TypeError, match=rf"Shelf\.find\.{name}\(\) .* above @classmethod"):
                face(getattr(method, name), *args)


@pytest.mark.parametrize("decorator", ["cached", "cached_many"])
def test_a_classmethod_above_the_decorator_works_or_says_so(either, decorator):
    face = either()
    calls = []

    def find(cls, ids):
        calls.append(cls)
        return {1: len(calls)}

    load = face.plain(find)
    load.__qualname__ = "Shelf.find"
    shelf = type("Shelf", (), {"find": classmethod(getattr(face.cache, decorator)(ttl=60)(load))})
    assert face(shelf.find, [1]) == {1: 1}
    argument = 1 if decorator == "cached_many" else [1]
    if sys.version_info >= (3, 13):
        with pytest.raises(TypeError, match="above @classmethod"):
            face(shelf.find.invalidate, argument)
    else:
        face(shelf.find.invalidate, argument)
        assert face(shelf.find, [1]) == {1: 2}


def test_a_classmethod_needs_its_class(either):
    face = either()
    for function in (lambda: 1, lambda *rest: 1, lambda *, x: 1):
        with pytest.raises(
            ConfigurationError, match="expected function of the class, cls, under @classmethod"
        ):
            face.cache.cached(ttl=60)(classmethod(face.plain(function)))


# -- objects that say how they shall be told from others ----------------------------------------------


def test_many_are_told_apart_by_their_object(either):
    face = either()
    calls = []

    def find(self, ids):
        calls.append((self.name, ids))
        return {id_: f"{self.name} {len(calls)}" for id_ in ids}

    shelf = method_of(face, find, face.cache.cached_many(ttl=60, none_ttl=1), owner=Told)
    a, same, b = shelf("a"), shelf("a"), shelf("b")
    assert face(a.find, [1]) == face(same.find, [1]) == {1: "a 1"}
    assert face(b.find, [1]) == {1: "b 2"}
    assert a.find.key(1) == shelf.find.key(same, 1) != b.find.key(1)
    assert face(face.cache.get, b.find.key(1)) == "b 2"
    face(b.find.invalidate, 1)
    assert (face(a.find, [1]), face(b.find, [1])) == ({1: "a 1"}, {1: "b 3"})
    assert face(a.find.refresh, 1) == {1: "a 4"}
    assert (face(a.find, [1]), face(b.find, [1])) == ({1: "a 4"}, {1: "b 3"})


def test_a_key_of_ones_own_is_of_an_object_too(either):
    face = either()
    decorate = face.cache.cached(ttl=60, key=lambda self, x: x % 10)
    shelf = method_of(face, lambda self, x: f"{self.name} {x}", decorate, owner=Told)
    a, b = shelf("a"), shelf("b")
    assert (face(a.find, 1), face(b.find, 1), face(a.find, 11)) == ("a 1", "b 1", "a 1")
    plain = method_of(face, lambda self, x: x, face.cache.cached(ttl=60, key=lambda self, x: x), name="other")
    assert plain().other.key(7).endswith("Shelf.other(7)")


# -- what is left out unsaid -----------------------------------------------------------------------


def test_a_session_that_could_tell_users_apart_is_refused_for_many_too(either):
    face = either()

    def find(ids, session=None):
        return dict.fromkeys(ids, session)

    load = face.plain(find)
    many = face.cache.cached_many(ttl=60)(load)
    assert face(many, [1], session=None) == {1: None}
    for call, argument in ((many, [1]), (many.refresh, 1)):
        with pytest.raises(ConfigurationError, match=r"expected session .*exclude=\('session',\).* 'str'>"):
            face(call, argument, session="s1")
    said = face.cache.cached_many(ttl=60, exclude=("session",), version=2)(load)
    assert face(said, [1], session="s1") == {1: "s1"}


# -- wrong calls of a cached function's methods -------------------------------------------------------


def test_methods_of_a_function_take_what_it_says(either):
    face = either()
    find = face.cached(lambda x: x, ttl=60)
    many = face.cached_many(dict.fromkeys, ttl=60)
    wrong = [
        (find.warm, (), r"\.warm\(\) takes 1 positional argument, 'calls', but 0 were given"),
        (find.warm, ([1], [()]), r"\.warm\(\) takes 1 positional argument, 'calls', but 2 were given"),
        (many.key, (), r"\.key\(\) takes 1 positional argument, 'id', but 0 were given"),
        (many.key, (1, 2), r"\.key\(\) takes 1 positional argument, 'id', but 2 were given"),
        (many.refresh, ([1],), r"\.refresh\(\) takes ids as separate arguments, refresh\(1, 2\); got \[1\]"),
        (
            many.invalidate,
            ([1],),
            r"\.invalidate\(\) takes ids as separate arguments, .*; got \[1\] for an id",
        ),
        (find.key, (1, 2), r"load\(\) takes 1 positional argument but 2 were given"),
        (find.invalidate, (), r"load\(\) missing 1 required positional argument: 'x'"),
        (find, (1, 2), r"load\(\) takes 1 positional argument but 2 were given"),
        (find.warm, ([(1,), (1, 2)],), r"load\(\) takes 1 .* were given, in the call \(1, 2\) of warm\(\)"),
        (find.warm, ([{"y": 2}],), r"load\(\) .*'y', in the call \{'y': 2\} of warm\(\)"),
    ]
    for method, args, complaint in wrong:
        with pytest.raises(TypeError, match=complaint):
            face(method, *args)
    assert face(face.cache.stats).loads == 0


def test_methods_of_a_method_need_its_object(either):
    face = either()
    shelf = method_of(face, lambda self, ids: dict.fromkeys(ids), face.cache.cached_many(ttl=60))
    one = method_of(face, lambda self, x: x, face.cache.cached(ttl=60), name="one")
    for method in (shelf.find.key, shelf.find.invalidate, shelf.find.refresh, one.one.warm):
        with pytest.raises(TypeError, match=r"Shelf\..*\(\) missing 1 required positional argument: 'self'"):
            face(method)
    with pytest.raises(TypeError, match=r"Shelf\.one\(\) takes 2 .* in the call \(1, 2\) of warm"):
        face(one().one.warm, [(1, 2)])


def test_ids_may_be_positional_only(either):
    face = either()
    many = face.cache.cached_many(ttl=60)(face.plain(_positional))
    assert face(many, [1]) == face(many.refresh, 1) == {1: "v"}


def _positional(ids, /):
    return dict.fromkeys(ids, "v")


def test_a_loader_that_answers_for_other_ids_alone_is_refused(either):
    face = either()
    many = face.cached_many(lambda ids: {str(id_): id_ for id_ in ids} | dict.fromkeys(ids[1:]), ttl=60)
    with pytest.raises(TypeError, match="asked for 1 and returned items of other ids alone, as of '1'"):
        face(many, [1])
    assert face(many, [2, 3]) == {3: None}


# -- looks -------------------------------------------------------------------------------------------


def test_what_binds_has_a_repr(either):
    face = either()
    shelf = method_of(face, lambda self: 1, face.cache.cached(ttl=60))
    book = method_of(face, lambda cls: 1, face.cache.cached(ttl=60), kind=classmethod, name="of")
    assert repr(shelf.find) == "<cached Shelf.find>"
    assert re.fullmatch(r"<cached Shelf\.find of <tests.*Shelf object at 0x\w+>>", repr(shelf().find))
    assert repr(book.of) == "<cached Shelf.of of <class 'tests.cache.test_methods.Shelf'>>"


# -- what a method of Python's can do ------------------------------------------------------------------


class Plain:
    @Cache().cached(ttl=60)
    def find(self, x):
        """Find it."""
        return x

    @AsyncCache().cached(ttl=60)
    async def afind(self, x):
        """Find it."""
        return x

    @Cache().cached(ttl=60)
    @classmethod
    def of(cls, x):
        """Find it."""
        return x

    def bare(self, x):
        """Find it."""


def test_a_bound_method_looks_as_pythons_does():
    a, b = Plain(), Plain()
    for owner, name in ((a, "find"), (a, "afind"), (Plain, "of")):
        method = getattr(owner, name)
        assert (method.__doc__, method.__module__) == ("Find it.", __name__)
        assert (method.__name__, method.__qualname__) == (name, f"Plain.{name}")
        assert method.__self__ is owner
        assert method.__func__(owner, 1) if name != "afind" else True
        assert method == getattr(owner, name)
        assert hash(method) == hash(getattr(owner, name))
        assert str(inspect.signature(method)) == "(x)"
    assert a.find != b.find
    assert a.find != a.afind
    assert a.find != a.bare
    assert len({a.find, a.find, b.find}) == 2


def test_a_bound_method_can_be_copied_and_pickled():
    a = Plain()
    assert copy.copy(a.find) == a.find
    copied, pickled = copy.deepcopy(a.find), pickle.loads(pickle.dumps(a.find))
    for other in (copied, pickled):
        assert type(other.__self__) is Plain
        assert other.__self__ is not a
        assert (other(7), other.key(7)) == (7, a.find.key(7))
    assert pickle.loads(pickle.dumps(Plain.of)) == Plain.of
    assert pickle.loads(pickle.dumps(Plain.find)) is copy.deepcopy(Plain.find) is Plain.find


def test_an_empty_bound_method_has_nothing():
    cls = type(Plain().find)
    with pytest.raises(AttributeError):
        _ = cls.__new__(cls).key


def test_a_bound_method_can_be_referred_to_weakly():
    a = Plain()
    method = a.find
    assert weakref.ref(method)() is method
    of_method = weakref.WeakMethod(method)
    del method
    assert of_method()(7) == 7
    assert of_method() == a.find
    del a
    assert of_method() is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before, only a def could be a coroutine function")
def test_a_bound_coroutine_method_is_known_as_one():
    assert inspect.iscoroutinefunction(Plain().afind)
    assert not inspect.iscoroutinefunction(Plain().find)
    assert asyncio.run(Plain().afind(7)) == 7
