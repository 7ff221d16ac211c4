# ruff: noqa: S101  # a suite of tests asserts
"""The conformance suite of serializers.

class TestMySerializer(SerializerSuite):
    values = (Point(1, 2), None)

    @pytest.fixture
    def serializer(self):
        return MySerializer(Point | None)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.cache import Serializer
from scalekit.cache._same import same
from scalekit.cache._serialized import dumped
from scalekit.errors import SerialisationError
from scalekit.testing._cache_probe import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SerializerSuite"]

_THREADS = 4
_TURNS = 50
_FINGERPRINT_BYTES = 8


class _Text(str):
    """A text of another type, which must not come back as a plain one."""

    __slots__ = ()


@dataclass(frozen=True)
class _Nothing:
    """What a format may not know."""


_ODD_VALUES = (
    *(True, 1, 1.0, -0.0, 2**70, "\ud800", bytearray(b"b"), 1j),
    *((1, 2), [(1,)], {"k": (1,)}, {1: "a", "1": "b"}, {(1, 2): 3}, {1, 2}, frozenset({1}), range(3)),
    *(_Text("text"), [_Text("text")], _Nothing(), _Nothing, Decimal("1.10"), UUID(int=1), date(2024, 2, 29)),
    *(timedelta(microseconds=1), datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=2)))),
)


class SerializerSuite:
    """Subclass it with a `serializer` fixture; every test proves a clause of `Serializer`."""

    values: Sequence[Any] = PLAIN
    """What must come back equal and of its type: by default None, numbers, texts, bytes, lists and dicts."""

    @pytest.fixture
    def serializer(self) -> Serializer:
        """Return the serializer under test; override it."""
        raise NotImplementedError("a SerializerSuite needs a fixture named serializer")

    def test_it_has_what_a_serializer_has(self, serializer: Serializer) -> None:
        """It has what a serializer has."""
        assert isinstance(serializer, Serializer)

    def test_its_fingerprint_is_eight_bytes_and_stays(self, serializer: Serializer) -> None:
        """Its fingerprint is eight bytes, and stays the same whatever it does."""
        first = serializer.fingerprint
        assert type(first) is bytes
        assert len(first) == _FINGERPRINT_BYTES
        for value in self.values:
            serializer.loads(serializer.dumps(value))
        assert serializer.fingerprint == first

    def test_every_value_comes_back_equal_and_of_its_type(self, serializer: Serializer) -> None:
        """Every value comes back equal and of its type, and more than once."""
        for value in self.values:
            data = serializer.dumps(value)
            assert type(data) is bytes, f"dumps() must return bytes; got {data!r}"
            for _ in range(2):
                found = serializer.loads(data)
                assert type(found) is type(value), f"{value!r} comes back as {found!r}"
                assert same(value, found), f"{value!r} comes back as {found!r}"

    def test_what_would_not_come_back_the_same_is_refused(self, serializer: Serializer) -> None:
        """What would not come back the same is refused, with any `Exception`; what would may not be."""
        for value in _ODD_VALUES:
            try:
                data = dumped(serializer, value)
            except SerialisationError:
                continue
            found = serializer.loads(data)
            assert same(value, found), f"{value!r} comes back as {found!r}, and was not refused"

    def test_bytes_of_others_raise_nothing_but_value_error(self, serializer: Serializer) -> None:
        """Bytes that it did not write raise `ValueError`, where they do not look as if it had."""
        for value in self.values:
            for damaged in _damaged(serializer.dumps(value)):
                _read(serializer, damaged)

        # Within the test and not around it: hypothesis refuses a method that several classes inherit.
        @settings(deadline=None, database=None)
        @given(data=st.binary())
        def read(data: bytes) -> None:
            _read(serializer, data)

        read()

    def test_threads_may_share_it(self, serializer: Serializer) -> None:
        """Threads may share it."""

        def use(_: int) -> None:
            for value in list(self.values) * _TURNS:
                found = serializer.loads(serializer.dumps(value))
                assert same(value, found), f"{value!r} comes back as {found!r} while other threads use it"

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(use, range(_THREADS)))


def _read(serializer: Serializer, data: bytes) -> None:
    try:
        serializer.loads(data)
    except ValueError:
        pass
    except Exception as error:
        raise AssertionError(f"loads({data!r}) must raise ValueError; got {error!r}") from error


def _damaged(data: bytes) -> Iterator[bytes]:
    yield b""
    yield data + b"\0"
    yield b"\0" + data
    yield data + data
    for place in {0, 1, len(data) // 2, len(data) - 1} & set(range(len(data))):
        yield data[:place]
        yield data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
