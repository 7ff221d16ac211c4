"""The family of errors: its tree, its texts, and its way through `pickle`."""

from __future__ import annotations

import copy
import math
import pickle
import re
import threading
from typing import NamedTuple

import pytest

from scalekit import errors
from scalekit.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ConfigurationError,
    ImageBroken,
    ImageRejected,
    InvalidCursor,
    LoadTimeout,
    MissingExtra,
    OffsetTooDeep,
    OversubscribedPools,
    RateLimitExceeded,
    ScalekitError,
    SerialisationError,
)

REAL = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and name in errors.__all__
}


class Decision(NamedTuple):
    """Stands in for the rate limiter's, which the error only reads."""

    limit: str
    retry_after: float


def drawn():
    """The bases of each class, in order, as the module's docstring draws them."""
    bases = {}
    above = []  # (column of the name, name) from the root down to the latest line
    for line in errors.__doc__.splitlines():
        match = re.match(r"([ │├└─]+)([A-Z]\w+)(?:\((\w+)\))?( |$)", line)
        if match is None or not line.startswith("    "):
            continue
        column = match.start(2)
        name, other = match.group(2), match.group(3)
        while above and above[-1][0] >= column:
            above.pop()
        bases[name] = [above[-1][1] if above else "Exception", *([other] if other else [])]
        above.append((column, name))
    return bases


def test_the_tree_is_the_one_that_the_docstring_draws():
    assert drawn() == {name: [base.__name__ for base in error.__bases__] for name, error in REAL.items()}


def test_the_drawing_is_complete_and_everything_in_it_is_public():
    assert set(drawn()) == set(REAL) == set(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)
    assert all(issubclass(error, ScalekitError) for error in REAL.values())


EVERY = [
    (ScalekitError("anything"), {}, "anything"),
    (
        ConfigurationError("limit", 0, ">= 1"),
        {"parameter": "limit", "value": 0, "expected": ">= 1"},
        "expected limit >= 1; got 0",
    ),
    (
        ConfigurationError("ttl", "5 parsecs", "as a duration"),
        {"parameter": "ttl", "value": "5 parsecs", "expected": "as a duration"},
        "expected ttl as a duration; got '5 parsecs'",
    ),
    (
        MissingExtra("RedisCacheStore", "redis", "redis"),
        {"needed_by": "RedisCacheStore", "module": "redis", "extra": "redis"},
        "RedisCacheStore needs redis: pip install 'scaleblocks[redis]'",
    ),
    (
        BackendError("redis", "GET", "ResponseError: WRONGTYPE"),
        {"backend": "redis", "operation": "GET", "detail": "ResponseError: WRONGTYPE"},
        "redis GET: ResponseError: WRONGTYPE",
    ),
    (
        BackendTimeout("redis", "GET", "no answer within 50 ms"),
        {"backend": "redis", "operation": "GET", "detail": "no answer within 50 ms"},
        "redis GET: no answer within 50 ms",
    ),
    (
        BackendUnavailable("redis", "GET", "not asked"),
        {"backend": "redis", "operation": "GET", "detail": "not asked"},
        "redis GET: not asked",
    ),
    (
        LoadTimeout("shop.price(7)", 2.0),
        {"key": "shop.price(7)", "timeout": 2.0},
        "the load of shop.price(7) did not end within 2 s",
    ),
    (SerialisationError("a set comes back as a list"), {}, "a set comes back as a list"),
    (
        RateLimitExceeded(Decision("10/s", 0.0625)),
        {"decision": Decision("10/s", 0.0625)},
        "rate limit 10/s exceeded; retry after 0.062 s",
    ),
    (
        RateLimitExceeded(Decision("10/s", math.inf)),
        {"decision": Decision("10/s", math.inf)},
        "rate limit 10/s exceeded; retry after inf s",
    ),
    (InvalidCursor("bad signature"), {"reason": "bad signature"}, "invalid cursor: bad signature"),
    (
        OffsetTooDeep(20_000, 10_000),
        {"offset": 20_000, "max_offset": 10_000},
        "expected offset <= 10000; got 20000: page with a cursor instead",
    ),
    (
        ImageRejected("pixels", 50_000_000, 99_000_000),
        {"reason": "pixels", "limit": 50_000_000, "actual": 99_000_000},
        "expected pixels within 50000000; got 99000000",
    ),
    (ImageBroken("truncated"), {}, "truncated"),
    (
        OversubscribedPools("the fleet wants 120 of 97 connections"),
        {},
        "the fleet wants 120 of 97 connections",
    ),
]
every = pytest.mark.parametrize(
    ("error", "attributes", "text"), EVERY, ids=[type(error).__name__ for error, _, _ in EVERY]
)


def test_every_class_is_tried_below():
    assert {type(error) for error, _, _ in EVERY} == set(REAL.values())


@every
def test_its_text_and_attributes(error, attributes, text):
    assert str(error) == text
    assert vars(error) == attributes


@every
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_survives_pickling(error, attributes, text, protocol):
    assert_same(pickle.loads(pickle.dumps(error, protocol)), error)


@every
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_it_survives_copying(error, attributes, text, copied):
    assert_same(copied(error), error)


def assert_same(other, error):
    assert other is not error
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert repr(other) == repr(error)
    assert other.args == error.args
    assert vars(other) == vars(error)


@pytest.mark.parametrize(
    "error", [ScalekitError("a"), ConfigurationError("limit", 0, ">= 1"), BackendTimeout("a", "b", "c")]
)
def test_notes_survive_pickling(error):
    error = copy.copy(error)
    error.add_note("while warming the cache")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while warming the cache"]


def test_a_time_out_has_no_errno():
    """OSError takes two to five arguments for errno, strerror and filename."""
    error = BackendTimeout("redis", "GET", "no answer within 50 ms")
    assert error.args == ("redis", "GET", "no answer within 50 ms")
    assert (error.errno, error.strerror, error.filename) == (None, None, None)


@pytest.mark.parametrize(
    "value", [threading.Lock(), lambda: None, (_ for _ in ())], ids=["lock", "lambda", "generator"]
)
def test_a_value_that_cannot_be_pickled_leaves_its_looks(value):
    error = ConfigurationError("client", value, "a redis-py client")
    assert error.value is value
    other = pickle.loads(pickle.dumps(error))
    assert str(other) == str(error)
    assert repr(other.value) == repr(value)
    assert other.args == ("client", other.value, "a redis-py client")


class Failing:
    """Its `repr` fails, in one way or another."""

    def __init__(self, error):
        self.error = error

    def __repr__(self):
        raise self.error


class Silent:
    def __repr__(self):
        return None


class Endless:
    def __repr__(self):
        return "x" * 10_000_000


def nested():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


BOMBS = {
    "raising": (Failing(ValueError("no")), "<Failing whose repr fails>"),
    "out of memory": (Failing(MemoryError()), "<Failing whose repr fails>"),
    "no text": (Silent(), "<Silent whose repr fails>"),
    "nested": (nested(), "<list whose repr fails>"),
    "endless": (Endless(), "x" * 200 + "…"),
    "bytes": (b"x" * 10_000_000, "b'" + "x" * 198 + "…"),
    "more digits than Python prints": (10**5_000, "<int whose repr fails>"),
    "just short enough": ("x" * 198, "'" + "x" * 198 + "'"),
}
bombs = pytest.mark.parametrize(("value", "shown"), BOMBS.values(), ids=BOMBS)


@bombs
def test_a_value_never_spoils_the_message_about_it(value, shown):
    assert str(ConfigurationError("limit", value, ">= 1")) == f"expected limit >= 1; got {shown}"
    assert str(ImageRejected("bytes", value, value)) == f"expected bytes within {shown}; got {shown}"
    assert str(OffsetTooDeep(value, 10)) == f"expected offset <= 10; got {shown}: page with a cursor instead"


def test_an_interrupt_is_no_broken_repr():
    with pytest.raises(KeyboardInterrupt):
        str(ConfigurationError("limit", Failing(KeyboardInterrupt()), ">= 1"))


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigurationError("limit", 0, ">= 1"), ValueError),
        (MissingExtra("A", "b", "c"), ImportError),
        (BackendTimeout("a", "b", "c"), TimeoutError),
        (LoadTimeout("k", 1.0), TimeoutError),
        (SerialisationError(), TypeError),
        (InvalidCursor("a"), ValueError),
    ],
)
def test_code_that_knows_only_the_builtin_catches_it(error, builtin):
    with pytest.raises(builtin) as caught:
        raise error
    assert caught.value is error
