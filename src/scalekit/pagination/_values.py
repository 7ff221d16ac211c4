"""How each kind of order value is written into a cursor: compact bytes, and back without loss.

The column's type picks the kind, never the cursor, so that a decoded value has the type that the
driver expects. Only `ANY`, for plain Python objects that have no declared type, writes a one-byte tag.
"""

from __future__ import annotations

import enum
import struct
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

_MICROSECOND = timedelta(microseconds=1)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # naive values are compared with naive values
_AWARE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DOUBLE = struct.Struct(">d")
_INT64 = struct.Struct(">q")
_EXACT_IN_DOUBLE = 2**53


class Kind(NamedTuple):
    """One kind of value, by a name that cursors depend on.

    `encode` raises TypeError, ValueError or the like for another type; `decode` gives back an equal value.
    """

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def _expect(value: object, *types: type) -> None:
    if not isinstance(value, types):
        raise TypeError(type(value).__name__)


def _encode_bool(value: bool) -> bytes:  # noqa: FBT001
    _expect(value, bool)
    return b"\1" if value else b"\0"


def _decode_bool(data: bytes) -> bool:
    return (b"\0", b"\1").index(data) == 1


def _encode_int(value: int | Decimal) -> bytes:
    if not isinstance(value, int):
        value = _whole(value)
    bits = (value if value >= 0 else ~value).bit_length()  # as many for -(2**63) as for 2**63 - 1
    return value.to_bytes(bits // 8 + 1, "big", signed=True)


def _whole(value: object) -> int:
    # MySQL's SUM of integers, and PostgreSQL's of bigints, are Decimals whatever SQLAlchemy calls them.
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    raise TypeError(type(value).__name__)


def _decode_int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _encode_real(value: float) -> bytes:
    # SQLite gives an int for a whole number in a NUMERIC column; beyond 2**53 a double would round it.
    _expect(value, float, int)
    if isinstance(value, int) and abs(value) > _EXACT_IN_DOUBLE:
        return b"%d" % value
    return _DOUBLE.pack(value)


def _decode_real(data: bytes) -> float:
    number: float = _DOUBLE.unpack(data)[0] if len(data) == _DOUBLE.size else int(data)
    return number


def _encode_text(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _decode_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _encode_bytes(value: bytes) -> bytes:
    _expect(value, bytes, bytearray, memoryview)
    return bytes(value)


def _encode_datetime(value: datetime) -> bytes:
    # Aware values keep the instant, which is all that an order sees; the ninth byte marks them.
    if value.tzinfo is None:
        return _INT64.pack((value - _NAIVE_EPOCH) // _MICROSECOND)
    return _INT64.pack((value - _AWARE_EPOCH) // _MICROSECOND) + b"Z"


def _decode_datetime(data: bytes) -> datetime:
    naive = len(data) == _INT64.size
    microseconds: int = _INT64.unpack(data if naive else data.removesuffix(b"Z"))[0]
    # Half the time that timedelta(microseconds=) takes.
    return (_NAIVE_EPOCH if naive else _AWARE_EPOCH) + microseconds * _MICROSECOND


def _encode_date(value: date) -> bytes:
    if isinstance(value, datetime):  # a subclass of date, whose time of day would be lost
        raise TypeError("datetime")
    return _encode_int(value.toordinal())


def _decode_date(data: bytes) -> date:
    return date.fromordinal(_decode_int(data))


def _encode_time(value: time) -> bytes:
    _expect(value, time)
    return value.isoformat().encode()


def _decode_time(data: bytes) -> time:
    return time.fromisoformat(data.decode())


def _encode_timedelta(value: timedelta) -> bytes:
    _expect(value, timedelta)
    return _encode_int(value // _MICROSECOND)


def _decode_timedelta(data: bytes) -> timedelta:
    return timedelta(microseconds=_decode_int(data))


def _encode_decimal(value: Decimal) -> bytes:
    _expect(value, Decimal)
    return str(value).encode()


def _decode_decimal(data: bytes) -> Decimal:
    return Decimal(data.decode())


def _encode_uuid(value: UUID) -> bytes:
    return value.bytes


def _decode_uuid(data: bytes) -> UUID:
    return UUID(bytes=data)


KINDS: dict[type, Kind] = {  # bool before int and datetime before date: the first match of isinstance counts
    bool: Kind("bool", _encode_bool, _decode_bool),
    int: Kind("int", _encode_int, _decode_int),
    float: Kind("real", _encode_real, _decode_real),
    str: Kind("text", _encode_text, _decode_text),
    bytes: Kind("bytes", _encode_bytes, bytes),
    datetime: Kind("datetime", _encode_datetime, _decode_datetime),
    date: Kind("date", _encode_date, _decode_date),
    time: Kind("time", _encode_time, _decode_time),
    timedelta: Kind("timedelta", _encode_timedelta, _decode_timedelta),
    Decimal: Kind("decimal", _encode_decimal, _decode_decimal),
    UUID: Kind("uuid", _encode_uuid, _decode_uuid),
}
_TAGGED = tuple(KINDS.items())


def kind_of(python_type: type[Any]) -> Kind | None:
    """Return the kind for values of exactly `python_type` (an enum is written by name), or None."""
    if issubclass(python_type, enum.Enum):
        return _enum_kind(python_type)
    return KINDS.get(python_type)


def _enum_kind(members: type[enum.Enum]) -> Kind:
    def encode(value: enum.Enum) -> bytes:
        _expect(value, members)
        return value.name.encode()

    def decode(data: bytes) -> enum.Enum:
        return members[data.decode()]

    return Kind("enum", encode, decode)


def _encode_any(value: object) -> bytes:
    for tag, (python_type, kind) in enumerate(_TAGGED):
        if isinstance(value, python_type):
            return bytes((tag,)) + kind.encode(value)
    raise TypeError(type(value).__name__)


def _decode_any(data: bytes) -> object:
    return _TAGGED[data[0]][1].decode(data[1:])


ANY = Kind("any", _encode_any, _decode_any)
"""Values of any of the kinds, each written with its type in one more byte."""
