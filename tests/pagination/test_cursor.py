# ruff: noqa: DTZ001, DTZ901  # naive timestamps are values like others
from __future__ import annotations

import base64
import datetime as dt
import enum
import string
import subprocess
import sys
import uuid
import warnings
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import CursorPaginator, SequenceSource, SortKey, TotalOrder
from scalekit.pagination._cursor import LONGEST, Codec
from scalekit.pagination._values import ANY, KINDS, kind_of


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


def key(kind, name="k", *, nullable=True):
    return SortKey(name, descending=False, nulls_first=False, nullable=nullable, kind=kind)


def coder(*kinds, secret="s", scope=None, name="k"):
    order = TotalOrder([key(kind, f"{name}{at}") for at, kind in enumerate(kinds)])
    return Codec(secret).bind(order, scope)


OF_TYPE = {
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    str: st.text(st.characters()),
    bytes: st.binary(),
    dt.datetime: st.datetimes() | st.datetimes(timezones=st.just(dt.UTC)),
    dt.date: st.dates(),
    dt.time: st.times() | st.times(timezones=st.just(dt.UTC)),
    dt.timedelta: st.timedeltas(),
    Decimal: st.decimals(allow_nan=False),
    uuid.UUID: st.uuids(),
}


def test_every_kind_has_a_strategy():
    assert OF_TYPE.keys() == KINDS.keys()


@given(data=st.data(), backward=st.booleans(), inclusive=st.booleans())
def test_what_is_encoded_comes_back(data, backward, inclusive):
    types = data.draw(st.lists(st.sampled_from(list(OF_TYPE)), min_size=1, max_size=4))
    values = tuple(data.draw(st.none() | OF_TYPE[each]) for each in types)
    for kinds in ([KINDS[each] for each in types], [ANY] * len(types)):
        one = coder(*kinds)
        cursor = one.encode(values, backward=backward, inclusive=inclusive)
        position = one.decode(cursor)
        assert position == (values, backward, inclusive)
        assert [type(value) for value in position.values] == [type(value) for value in values]


def test_values_keep_their_finest_part():
    assert kind_of(Size).decode(kind_of(Size).encode(Size.LARGE)) is Size.LARGE
    zone = dt.timezone(dt.timedelta(hours=5, minutes=30))
    aware = dt.datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=zone)
    assert KINDS[dt.datetime].decode(KINDS[dt.datetime].encode(aware)) == aware
    real = KINDS[float]
    assert real.decode(real.encode(2**53 + 1)) == 2**53 + 1
    assert real.decode(real.encode(-(2**70))) == -(2**70)
    assert real.decode(real.encode(float("nan"))) != real.decode(real.encode(float("nan")))
    long = "x" * 300
    assert coder(KINDS[str]).decode(coder(KINDS[str]).encode([long], backward=False)).values == (long,)


def test_a_timestamp_and_a_bigint_fit_into_80_characters():
    one = coder(KINDS[dt.datetime], KINDS[int])
    for at in (dt.datetime.max, dt.datetime.max.replace(tzinfo=dt.UTC), dt.datetime.min):
        assert len(one.encode([at, -(2**63)], backward=True)) <= 44
        assert len(coder(ANY, ANY).encode([at, 2**63 - 1], backward=True)) <= 48


@pytest.mark.parametrize(
    ("python_type", "wrong"),
    [
        (bool, 1),
        (int, "1"),
        (int, 1.0),
        (int, Decimal("1.5")),
        (int, Decimal("NaN")),
        (float, "1"),
        (str, 1),
        (bytes, "x"),
        (bytes, 3),
        (dt.datetime, dt.date(2024, 1, 1)),
        (dt.date, dt.datetime(2024, 1, 1)),
        (dt.date, 3),
        (dt.time, dt.datetime(2024, 1, 1)),
        (dt.timedelta, 3),
        (Decimal, 1.5),
        (uuid.UUID, "x"),
    ],
)
def test_a_value_of_another_type_is_named(python_type, wrong):
    with pytest.raises(ConfigurationError, match="order key 'k0' to hold values of kind"):
        coder(KINDS[python_type]).encode([wrong], backward=False)


def test_a_whole_decimal_is_an_int():
    """A database's SUM of integers may be one."""
    cursor = coder(KINDS[int]).encode([Decimal("2455.00")], backward=False)
    assert coder(KINDS[int]).decode(cursor).values == (2455,)


def test_values_that_cannot_stand_in_a_cursor():
    with pytest.raises(ConfigurationError, match="kind enum"):
        coder(kind_of(Size)).encode(["SMALL"], backward=False)
    with pytest.raises(ConfigurationError, match="kind any"):
        coder(ANY).encode([[]], backward=False)
    with pytest.raises(ConfigurationError, match="short enough"):
        coder(ANY).encode(["x" * LONGEST], backward=False)
    order = TotalOrder([key(ANY, nullable=False)])
    with pytest.raises(ConfigurationError, match="never NULL"):
        Codec("s").bind(order, None).encode([None], backward=False)
    assert kind_of(list) is None


CURSOR = coder(ANY, ANY).encode([dt.datetime(2024, 1, 1), 77], backward=False)
ALPHABET = string.ascii_letters + string.digits + "-_"


@given(
    cursor=st.text()
    | st.text(ALPHABET, max_size=80)
    | st.binary(max_size=64).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="))
    | st.none()
    | st.integers()
    | st.binary()
    | st.floats()
    | st.lists(st.text())
)
def test_garbage_is_an_invalid_cursor_and_nothing_else(cursor):
    with pytest.raises(InvalidCursor) as caught:
        coder(ANY, ANY).decode(cursor)
    assert caught.value.reason


@given(at=st.integers(0, len(CURSOR)), text=st.text(max_size=3), cut=st.integers(0, 3))
def test_a_tampered_cursor_is_invalid(at, text, cut):
    tampered = CURSOR[:at] + text + CURSOR[at + cut :]
    if tampered != CURSOR:
        with pytest.raises(InvalidCursor):
            coder(ANY, ANY).decode(tampered)


def test_every_single_bit_counts():
    raw = base64.urlsafe_b64decode(CURSOR + "=" * (-len(CURSOR) % 4))
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidCursor):
            coder(ANY, ANY).decode(base64.urlsafe_b64encode(flipped).decode().rstrip("="))


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        CURSOR + "=",
        CURSOR + "\n",
        " " + CURSOR,
        CURSOR + "A" * LONGEST,
        CURSOR.translate(str.maketrans("-_", "+/")) + "+",
        CURSOR[:5] + "\n" + CURSOR[5:],
        CURSOR[:5] + "é" + CURSOR[5:],
    ],
)
def test_there_is_one_spelling(spelling):
    with pytest.raises(InvalidCursor):
        coder(ANY, ANY).decode(spelling)


def test_stray_bits_in_the_last_character_are_refused():
    one = next(c for n in range(9) if len(c := coder(ANY).encode(["x" * n], backward=False)) % 4)
    spelled = [one[:-1] + last for last in ALPHABET]
    for each in spelled:
        if each != one:
            with pytest.raises(InvalidCursor, match=r"malformed|not signed"):
                coder(ANY).decode(each)


@pytest.mark.parametrize(
    "other",
    [
        coder(ANY, ANY, secret="t"),
        coder(ANY, ANY, scope="x"),
        coder(ANY, ANY, scope=""),
        coder(ANY, ANY, name="j"),
        coder(ANY, ANY, ANY),
        coder(KINDS[dt.datetime], KINDS[int]),
    ],
)
def test_a_cursor_is_bound_to_secret_scope_and_order(other):
    with pytest.raises(InvalidCursor, match="order and scope"):
        other.decode(CURSOR)


@pytest.mark.parametrize("change", [{"descending": True}, {"nulls_first": True}])
def test_direction_and_nulls_belong_to_the_order(change):
    first = Codec("s").bind(TotalOrder([key(ANY)]), None)
    second = Codec("s").bind(TotalOrder([key(ANY)._replace(**change)]), None)
    with pytest.raises(InvalidCursor):
        second.decode(first.encode([1], backward=False))


def signed(one, data):
    mac = one._base.copy()
    body = one._codec.heads[0] + data
    mac.update(body)
    return base64.urlsafe_b64encode(body + mac.digest()).decode().rstrip("=")


def test_signed_values_that_no_longer_fit_are_invalid():
    for data in (b"\1", b"\1x\1y", b"\xff\0\0\0\1", b"\7", b""):
        one = coder(KINDS[dt.datetime])
        with pytest.raises(InvalidCursor, match=r"another type|malformed"):
            one.decode(signed(one, data))
    one = coder(KINDS[int])
    with pytest.raises(InvalidCursor, match="another type"):
        one.decode(signed(one, b"\1\1\1\1"))


def test_secrets_may_be_text_or_bytes_of_any_length():
    cursor = coder(ANY, secret="é" * 90).encode([1], backward=False)
    assert coder(ANY, secret=("é" * 90).encode()).decode(cursor).values == (1,)
    with pytest.raises(InvalidCursor):
        coder(ANY, secret="é" * 91).decode(cursor)


def test_without_a_secret_one_warning_and_one_key_per_process(monkeypatch):
    monkeypatch.setattr("scalekit.pagination._keyring._process_key", [])
    source = SequenceSource([{"a": 1}, {"a": 2}])
    with pytest.warns(UserWarning, match="pass secret=") as caught:
        first = CursorPaginator(["a"], limit=1)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = CursorPaginator(["a"])
    assert second.paginate(source, cursor=first.paginate(source).next_cursor).items == [{"a": 2}]
    with pytest.raises(InvalidCursor):
        CursorPaginator(["a"], secret="s").paginate(source, cursor=first.paginate(source).next_cursor)


def test_a_cursor_means_the_same_in_another_process():
    program = (
        "from scalekit.pagination import CursorPaginator, SequenceSource\n"
        "rows = [{'a': n % 2, 'b': n} for n in range(9)]\n"
        "print(CursorPaginator(['-a', 'b'], secret='s', scope='t', limit=3)"
        ".paginate(SequenceSource(rows)).next_cursor)"
    )
    cursors = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    rows = [{"a": n % 2, "b": n} for n in range(9)]
    paginator = CursorPaginator(["-a", "b"], secret="s", scope="t", limit=3)
    assert cursors == {f"{paginator.paginate(SequenceSource(rows)).next_cursor}\n"}
