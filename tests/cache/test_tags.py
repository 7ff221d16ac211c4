"""Tags of calls: which value an invalidation ends, and what is said of templates that cannot be filled."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import pytest

from scalekit.cache import AsyncCache, Cache
from scalekit.errors import ConfigurationError
from tests.cache.either import Source


class Shelf:
    """An object whose methods are tagged by what it says of itself."""

    def __init__(self, name):
        self.name = name


class Float(float):
    def __str__(self):
        return "a number"


class Level(enum.IntEnum):
    ONE = 1


@dataclass(frozen=True)
class Frozen:
    name: float


def decorated(face, function, **options):
    return face.cache.cached(ttl=60, **options)(face.plain(function))


# -- calls that share an entry and not their tags ---------------------------------------------------


def test_a_reload_has_the_tags_of_its_own_call(either):
    face = either(watched=True)  # such a face finds no entry by an index: it remembers slots
    source = Source()
    find = decorated(face, lambda x, org: source(x), tags=["org:{org}"], exclude=["org"])
    face(find, 1, org="a")
    face(face.cache.invalidate_tags, "org:a")
    face(find, 1, org="b")
    face(face.cache.invalidate_tags, "org:b")
    assert face(find, 1, org="b") == "1 v3"


def test_a_method_has_the_tags_of_its_own_object(either):
    face = either(watched=True)
    source = Source()

    def find(self, x):
        return source(x)

    load = face.plain(find)
    load.__qualname__ = "Shelf.find"
    cached = face.cache.cached(ttl=60, tags=["shelf:{self.name}"])(load)
    a, b = Shelf("a"), Shelf("b")
    face(cached, a, 1)
    face(face.cache.invalidate_tags, "shelf:a")
    face(cached, b, 1)
    face(face.cache.invalidate_tags, "shelf:b")
    assert face(cached, b, 1) == "1 v3"


def test_what_a_format_names_counts_too(either):
    face = either(watched=True)
    source = Source()
    find = decorated(face, lambda x, width: source(x), tags=["x:{x:{width}}"], exclude=["width"])
    face(find, 1, width=2)
    face(face.cache.invalidate_tags, "x: 1")
    face(find, 1, width=3)
    face(face.cache.invalidate_tags, "x:  1")
    assert face(find, 1, width=3) == "1 v3"
    with pytest.raises(ConfigurationError, match="to name only parameters"):
        decorated(face, lambda x: x, tags=["x:{x:{other}}"], version=2)


@pytest.mark.parametrize(("tags", "remembers"), [(["x:{x}", "all"], True), (["o:{o}"], False), (list, False)])
def test_slots_are_remembered_where_the_key_decides_the_tags(either, tags, remembers):
    made = []

    class Counting(str):
        __slots__ = ()

        def format_map(self, arguments):
            made.append(arguments)
            return super().format_map(arguments)

    face = either(watched=True)
    given = [Counting(tag) for tag in tags] if isinstance(tags, list) else lambda x, o: made.append(x) or []
    find = decorated(face, lambda x, o: x, tags=given, exclude=["o"])
    made.clear()  # templates are tried when they are declared
    face(find, 1, o=2), face(find, 1, o=2)
    assert len(made) == (1 if remembers else 2) * (len(given) if isinstance(given, list) else 1)


# -- calls whose numbers are equal ------------------------------------------------------------------


@pytest.mark.parametrize("watched", [False, True], ids=["indexed", "remembered"])
@pytest.mark.parametrize(("first", "other"), [(1.0, 1), (1, True), (True, 1.0), (Float(2), 2), (-0.0, 0)])
def test_calls_that_share_an_entry_have_its_tags(either, watched, first, other):
    face = either(watched=watched)
    source, items = Source(), Source()
    find = decorated(face, lambda uid: source("one"), typed=False, tags=["u:{uid}", "w:{uid:0>{uid}}"])
    face(find, first)
    for tag in (f"u:{int(other)}", f"w:{int(other):0>{int(other)}}"):
        assert face(find, other) == f"one v{source.runs}"
        runs = source.runs
        face(face.cache.invalidate_tags, tag)
        assert face(find, other) == f"one v{runs + 1}"
        face(find.refresh, first)

    def many(ids):
        return {id_: next(items("item"), None) or items.runs for id_ in ids}

    shelf = face.cached_many(many, ttl=60, typed=False, tags=["i:{id}"], version=2)
    face(shelf, [first])
    face(face.cache.invalidate_tags, f"i:{int(other)}")
    assert face(shelf, [other]) == {other: 2}


@pytest.mark.parametrize(
    ("first", "other", "plain"),
    [
        ([1.0, "1.0"], [True, "1.0"], [1, "1.0"]),
        ((1, (2.0, 2.5)), (1.0, (2, 2.5)), (1, (2, 2.5))),
        ({1.0: [True]}, {1: [1]}, {1: [1]}),
        ({2.0}, {2}, {2}),
        (frozenset([True]), frozenset([1.0]), frozenset([1])),
    ],
)
def test_containers_whose_numbers_are_equal_are_written_alike(first, other, plain):
    cache, runs = Cache(), []

    @cache.cached(ttl=60, typed=False, tags=["u:{what}"])
    def find(what):
        runs.append(what)

    find(first)
    find(other)
    cache.invalidate_tags(f"u:{plain}")
    find(first)
    assert runs == [first, first]


def test_numbers_inside_an_argument_are_written_alike_too():
    cache = Cache()
    seen = []

    @cache.cached(ttl=60, typed=False, tags=["u:{user[0]}:{shelf.name}:{price:.2f}:{text}:{colour}"])
    def find(user, shelf, price, text, colour):
        seen.append(user)
        return len(seen)

    find.__wrapped__.__qualname__ = "find"
    shelf = Frozen(2.0)
    for user in ((1.0,), (True,), (1,)):
        find(user, shelf, 1, "1.0", Level.ONE)
        cache.invalidate_tags(f"u:1:2:1.00:1.0:{Level.ONE}")
    assert seen == [(1.0,), (True,), (1,)]


def test_other_values_and_typed_calls_are_written_as_they_are():
    cache = Cache()
    find = cache.cached(ttl=60, tags=["u:{x}"])(lambda x: object())
    one, other = find(1), find(1.0)
    cache.invalidate_tags("u:1")
    assert find(1.0) is other
    assert find(1) is not one
    half = cache.cached(ttl=60, typed=False, version=2, tags=["h:{x}"])(lambda x: object())
    first = half(1.5)
    assert half(1.5) is first
    cache.invalidate_tags("h:1.5")
    assert half(1.5) is not first


# -- what is said of them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "problem"),
    [("user:{user.id}", "'int' object has no attribute 'id'"), ("user:{user[id]}", "not subscriptable")],
)
def test_a_template_that_a_call_cannot_fill_is_named_with_its_function(template, problem):
    cache = Cache()

    @cache.cached(ttl=60, tags=[template])
    def orders(user):
        return []

    with pytest.raises(ConfigurationError) as caught:
        orders(5)
    assert problem in str(caught.value)
    assert "orders()" in str(caught.value)
    assert str(caught.value).endswith(f"; got {template!r}")


@pytest.mark.parametrize(
    "template",
    [
        "x:{x!z}",
        "x:{x!}",
        "x:{x",
        "x:{x.}",
        "x:{x[}",
        "x:{x:{x:{x}}}",
        "x:{x!r:d}",
        "x:{x:{x!z}}",
        "x:{x!z:{x}}",
        "x:{x!s:{x:{x}}}",
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_a_template_that_no_call_can_fill_is_refused_at_once(many, template):
    cache = Cache()
    decorator = cache.cached_many if many else cache.cached
    template = template.replace("{x", "{id") if many else template
    with pytest.raises(ConfigurationError, match=r"expected tags as a template like .*; got") as caught:
        decorator(ttl=60, tags=["fine", template])(lambda x: x)
    assert caught.value.value == template


@pytest.mark.parametrize(
    "template",
    ["{x!r:>{x}}", "{x!s:.{x}}", "{x[a].b[0]:%Y-%m}", "{x!a:{x}{x}}{{", "{x!s:*{x}10}", "{x:*{x!s:.1}10}"],
)
def test_a_template_that_some_call_can_fill_is_accepted(template):
    Cache().cached(ttl=60, tags=[template])(lambda x: x)


@pytest.mark.parametrize("typed", [True, False])
def test_a_format_may_be_made_of_arguments(either, typed):
    face, source = either(), Source()
    find = decorated(face, lambda x, side: source(x), typed=typed, tags=["x:{x!s:*{side}5}"])
    assert (face(find, 7, "<"), face(find, 7, ">")) == ("7 v1", "7 v2")
    face(face.cache.invalidate_tags, "x:7****")
    assert (face(find, 7, "<"), face(find, 7, ">")) == ("7 v3", "7 v2")
    with pytest.raises(ConfigurationError, match=r"expected tags to name what the arguments of .* got 'x:"):
        face(find, 7, "10")


def test_a_template_of_a_function_is_no_tag(either):
    face = either()
    decorated(face, lambda user_id: user_id, tags=["user:{user_id}", "all", "{{literal}}"])
    face.cache.cached_many(ttl=60, version=2, tags=["item:{id}"])(face.plain(lambda ids: {}))
    cache = face.cache
    for tag in ("user:{user_id}", "item:{id}"):
        calls = [
            (cache.invalidate_tags, ("fine", tag), {}),
            (cache.set, ("k", 1), {"ttl": 60, "tags": [tag]}),
            (cache.get_or_set, ("k", face.plain(lambda: 1)), {"ttl": 60, "tags": [tag]}),
        ]
        for method, args, options in calls:
            with pytest.raises(
                ConfigurationError, match=r"expected tags filled in, .*template; got"
            ) as caught:
                face(method, *args, **options)
            assert caught.value.value == tag
    face(cache.invalidate_tags, "all", "{literal}", "{{literal}}", "{other}")
    face(either().cache.invalidate_tags, "user:{user_id}")
    assert face(cache.stats).invalidations == 4


def test_so_is_one_that_an_id_cannot_fill():
    cache = AsyncCache()

    @cache.cached_many(ttl=60, tags=["item:{id.x}"])
    async def items(ids):
        return {}

    with pytest.raises(ConfigurationError, match=r"of .*items\(\) have .* got 'item:\{id.x\}'"):
        items.invalidate(5).send(None)


def test_a_template_may_go_through_attributes_that_every_object_has():
    class Row:
        __tablename__ = "users"
        id = 7

    @Cache().cached(ttl=60, tags=["{row.__class__.__tablename__}:{row.id}"], key=lambda row: row.id)
    def find(row):
        return row.id

    assert find(Row()) == 7


@pytest.mark.parametrize("option", ["tags", "key"])
@pytest.mark.parametrize(
    "given", [lambda user_id: "", lambda user_id, language: "", lambda user_id, lang, extra: "", lambda: ""]
)
def test_a_callable_that_does_not_take_what_the_function_takes_is_refused_at_once(option, given):
    def load(user_id, *, lang="en"):
        return user_id

    with pytest.raises(
        ConfigurationError, match=rf"expected {option} as a callable that takes what .*load\(\)"
    ):
        Cache().cached(ttl=60, **{option: given})(load)


@pytest.mark.parametrize("given", [lambda: ["x"], lambda id_, ids: ["x"], lambda *, id_: ["x"]])
def test_of_many_a_callable_takes_the_id(given):
    with pytest.raises(ConfigurationError, match="expected tags as a callable of the id"):
        Cache().cached_many(ttl=60, tags=given)(lambda ids: {})


@pytest.mark.parametrize("given", [lambda *every, **named: ["x"], lambda user_id, lang="de": ["x"], max])
def test_a_callable_that_may_take_it_is_accepted(given):
    Cache().cached(ttl=60, tags=given)(lambda user_id, *, lang="en": user_id)


def test_what_a_function_of_any_number_passes_on_is_seen_when_it_is_called():
    @Cache().cached(ttl=60, tags=lambda first, second: [f"{first}", f"{second}"])
    def load(*every):
        return every

    assert load(1, 2) == (1, 2)
    with pytest.raises(TypeError):
        load(1)
