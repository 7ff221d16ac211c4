"""The serializers keep the contract of serializers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scalekit.cache import CompressedSerializer, MsgspecSerializer, PickleSerializer
from scalekit.cache._many import AbsentItem
from scalekit.cache._raised import Raised
from scalekit.cache._raised_serializer import RaisedSerializer
from scalekit.cache._same import same
from scalekit.testing import SerializerSuite


@dataclass
class Order:
    id: int
    at: datetime
    lines: tuple[tuple[str, float], ...] = ()
    after: timedelta | None = None


ORDERS = (
    None,
    Order(1, datetime(2024, 2, 29, tzinfo=UTC), (("é", 0.5),)),
    Order(2**40, datetime(1, 1, 1, tzinfo=UTC)),
)


class TestMsgspecSerializer(SerializerSuite):
    @pytest.fixture
    def serializer(self):
        return MsgspecSerializer(Any)


class TestOfAType(SerializerSuite):
    values = ORDERS

    @pytest.fixture
    def serializer(self):
        return MsgspecSerializer(Order | None)


class Json:
    """Refuses with what the standard library raises, or says of one of its own."""

    fingerprint = b"json   2"

    def dumps(self, value, /):
        data = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        if not same(value, json.loads(data)):
            raise LookupError(value)
        return data

    def loads(self, data, /):
        return json.loads(data)


class TestOneThatRefusesInWordsOfItsOwn(SerializerSuite):
    values = (None, True, 1, -0.5, "é", [1, [2]], {"a": {"b": None}})

    @pytest.fixture
    def serializer(self):
        return Json()


class TestPickleSerializer(SerializerSuite):
    values = (*SerializerSuite.values, *ORDERS, 1j, {1, (2,)})

    @pytest.fixture
    def serializer(self):
        return PickleSerializer(key=b"0123456789abcdef")


class TestCompressedSerializer(SerializerSuite):
    @pytest.fixture(params=["zlib", "zstd"])
    def serializer(self, request):
        return CompressedSerializer(MsgspecSerializer(Any), above=8, algorithm=request.param)


class TestCompressedPickles(SerializerSuite):
    @pytest.fixture
    def serializer(self):
        return CompressedSerializer(PickleSerializer(key=b"0123456789abcdef"), above=8)


class TestWithExceptions(SerializerSuite):
    @pytest.fixture
    def serializer(self):
        plain = MsgspecSerializer(Any)
        return RaisedSerializer(plain, (AbsentItem,), plain=plain)

    def test_an_exception_comes_back(self, serializer):
        assert type(serializer.loads(serializer.dumps(Raised(AbsentItem()))).error) is AbsentItem
