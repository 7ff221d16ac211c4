"""Functions may call their parameters what they like: no name of the cache's own gets in the way."""

from __future__ import annotations

from functools import partial

import pytest

OURS = (
    *("slot", "self", "cls", "load", "policy", "calls", "concurrency", "on_progress", "function", "instance"),
    *("plan", "reads", "store", "index", "arguments", "place", "entry", "receiver", "func", "cached", "make"),
    *("KeyError", "TypeError", "key", "tags", "value", "ids", "id", "method", "owner", "keywords"),
)


def scoped(source, **names):
    exec(source, names)
    return names


def function_of(parameters):
    return scoped(f"def function({parameters}): return dict(locals())")["function"]


@pytest.mark.parametrize("watched", [False, True], ids=["indexed", "remembered"])
@pytest.mark.parametrize("stars", [False, True], ids=["names", "stars"])
def test_a_parameter_may_have_any_name(either, watched, stars):
    face = either(watched=watched)
    given = dict(zip(OURS, range(1, 1 + len(OURS)), strict=True))
    every = f"*args, {', '.join(OURS)}, **kwargs" if stars else ", ".join(OURS)
    find = face.cache.cached(ttl=60, tags=["of:{slot}:{self}"])(face.plain(function_of(every)))
    expected = {**given, "args": (), "kwargs": {}} if stars else given
    call = partial(find, **given)
    assert face(call) == face(call) == expected
    assert face.stats().hits == 1
    face(partial(find.invalidate, **given))
    assert face(find.warm, [given, given]).loaded == 1
    assert face(call) == face(partial(find.refresh, **given)) == expected


@pytest.mark.parametrize("watched", [False, True], ids=["indexed", "remembered"])
def test_a_keyword_may_have_any_name(either, watched):
    face = either(watched=watched)
    given = dict(zip(OURS, range(1, 1 + len(OURS)), strict=True))
    find = face.cache.cached(ttl=60)(face.plain(function_of(f"x, *, {', '.join(OURS)}")))
    for _ in range(2):
        assert face(partial(find, 1, **given)) == {"x": 1, **given}
        assert face(partial(find, 2, **given)) == {"x": 2, **given}
    assert face.stats().hits == 2
    assert face(partial(find.refresh, 1, **given)) == {"x": 1, **given}


def test_a_method_may_be_called_with_its_object_by_name(either):
    class Shelf:
        pass

    face = either()
    load = face.plain(scoped("def find(self, x, *, instance=1): return [type(self).__name__, x]")["find"])
    load.__qualname__ = "Shelf.find"
    Shelf.find = find = face.cache.cached(ttl=60)(load)
    shelf = Shelf()
    assert face(partial(Shelf.find, self=shelf, x=1)) == face(shelf.find, 1) == ["Shelf", 1]
    assert find.key(self=shelf, x=1) == shelf.find.key(1)


def test_a_method_whose_object_has_another_name_may_have_a_self_too(either):
    face = either()
    load = face.plain(scoped("def named(cls, *, self): return self")["named"])
    load.__qualname__ = "Shelf.named"
    named = face.cache.cached(ttl=60)(load)
    Shelf = type("Shelf", (), {"named": named})  # noqa: N806
    assert face(partial(Shelf().named, self=2)) == 2


@pytest.mark.parametrize("name", ["slot", "self", "ids_", "KeyError"])
def test_the_ids_may_have_any_name(either, name):
    face = either()
    namespace = scoped(f"def load({name}): return dict.fromkeys({name}, 1)")
    many = face.cache.cached_many(ttl=60)(face.plain(namespace["load"]))
    assert face(partial(many, **{name: [1, 2]})) == face(many, [1, 2]) == {1: 1, 2: 1}
