"""SerializerSuite goes red on serializers that break the contract, each in its own way."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any

import pytest

from scalekit.cache import MsgspecSerializer
from scalekit.errors import SerialisationError
from scalekit.testing import SerializerSuite
from tests.testing.failing import names_of

TESTS = names_of(SerializerSuite)


def failing(serializer):
    """The names of the suite's tests that `serializer` fails."""
    failed = set()
    for name in TESTS:
        try:
            getattr(SerializerSuite(), name)(serializer)
        except Exception:
            failed.add(name)
    return failed


class Right:
    def __init__(self):
        self.inner = MsgspecSerializer(Any)

    @property
    def fingerprint(self):
        return self.inner.fingerprint

    def dumps(self, value, /):
        return self.inner.dumps(value)

    def loads(self, data, /):
        return self.inner.loads(data)


class HasNoFingerprint:
    dumps = loads = None


class HasALongFingerprint(Right):
    fingerprint = b"a longer one"


class HasATextForAFingerprint(Right):
    fingerprint = "eight by"


class HasAnotherFingerprintWithEachUse(Right):
    uses = 0
    fingerprint = property(lambda self: b"%08d" % self.uses)

    def loads(self, data, /):
        self.uses += 1
        return super().loads(data)


class WritesAByteArray(Right):
    def dumps(self, value, /):
        return bytearray(super().dumps(value))


class MakesTuplesLists(Right):
    """As JSON does, and says nothing of it."""

    def dumps(self, value, /):
        try:
            return super().dumps(json.loads(json.dumps(value)))
        except (TypeError, ValueError):
            return super().dumps(value)


class MakesIntegersFloats(Right):
    def loads(self, data, /):
        found = super().loads(data)
        return float(found) if type(found) is int else found


class RefusesNone(Right):
    def dumps(self, value, /):
        if value is None:
            raise SerialisationError("None")
        return super().dumps(value)


class WritesTheTextOfWhatItDoesNotKnow(Right):
    def dumps(self, value, /):
        try:
            return super().dumps(value)
        except SerialisationError:
            return super().dumps(repr(value))


class RaisesTheLibrarysError(Right):
    def dumps(self, value, /):
        super().dumps(value)
        return pickle.dumps(value)

    def loads(self, data, /):
        return pickle.loads(data)


class RaisesForNothing(Right):
    def loads(self, data, /):
        data[0]
        return super().loads(data)


class RaisesForSomeBytes(Right):
    def loads(self, data, /):
        try:
            return super().loads(data)
        except ValueError:
            data.decode("ascii")
            raise KeyError from None


class SharesABuffer(Right):
    buffer = b""

    def loads(self, data, /):
        self.buffer = data
        time.sleep(0.0001)
        return super().loads(self.buffer)


class ReadsOnce(Right):
    def __init__(self):
        super().__init__()
        self.read = set()

    def loads(self, data, /):
        if data in self.read:
            raise ValueError
        self.read.add(data)
        return super().loads(data)


BROKEN = [HasNoFingerprint] + [
    cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Right) and cls is not Right
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_serializer_fails(broken):
    assert failing(broken())


class RefusesWithTheLibrarysError(Right):
    def dumps(self, value, /):
        try:
            return super().dumps(value)
        except SerialisationError as error:
            raise TypeError from error


@pytest.mark.parametrize("right", [Right, RefusesWithTheLibrarysError])
def test_a_right_serializer_fails_nothing(right):
    assert failing(right()) == set()


def test_it_asks_for_a_serializer():
    with pytest.raises(NotImplementedError, match="fixture named serializer"):
        SerializerSuite.serializer.__wrapped__(SerializerSuite())
