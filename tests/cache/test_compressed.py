"""Large values become smaller, come back, and no bomb goes off."""

from __future__ import annotations

import os
import random
import struct
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import CompressedSerializer, MsgspecSerializer, PickleSerializer, compressed
from scalekit.errors import ConfigurationError, MissingExtra, SerialisationError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEAD = struct.Struct(">BBI")
LONG = {"text": "scalekit " * 1_000}
ALGORITHMS = ["zlib", "zstd", None]


class Raw:
    """Bytes as they are: a serializer of somebody else's, whose bytes may begin with anything."""

    fingerprint = b"raw 0001"

    def dumps(self, value):
        return value

    def loads(self, data):
        return data


@pytest.fixture(autouse=True)
def forgotten():
    """What was found in `sys.modules` by one test is not there for the next."""
    compressed._standard_zstd.cache_clear()
    yield
    compressed._standard_zstd.cache_clear()


@pytest.fixture
def without_zstd(monkeypatch):
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)


@pytest.fixture
def standard_zstd(monkeypatch):
    """As it is from Python 3.14."""
    monkeypatch.setitem(sys.modules, "compression", sys)
    monkeypatch.setitem(sys.modules, "compression.zstd", zstd)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("level", [None, 1, 9])
def test_a_long_value_becomes_shorter_and_comes_back(algorithm, level):
    level = None if algorithm is None else level
    plain = MsgspecSerializer(dict[str, str])
    serializer = CompressedSerializer(plain, algorithm=algorithm, level=level)
    data = serializer.dumps(LONG)
    assert len(data) < len(plain.dumps(LONG)) / 20
    assert serializer.loads(data) == LONG


def test_a_value_is_compressed_only_above_the_threshold():
    plain = MsgspecSerializer(str)
    size = len(plain.dumps("a" * 1_000))
    assert CompressedSerializer(plain, above=size).dumps("a" * 1_000) == plain.dumps("a" * 1_000)
    assert len(CompressedSerializer(plain, above=size - 1).dumps("a" * 1_000)) < 40


def test_what_does_not_become_shorter_stays_as_it_is():
    noise = os.urandom(10_000)
    plain = MsgspecSerializer(bytes)
    for algorithm in ALGORITHMS:
        assert CompressedSerializer(plain, algorithm=algorithm).dumps(noise) == plain.dumps(noise)
    # A little shorter, but by less than the head needs.
    start = random.Random(0).randbytes(100)
    texts = [start + b"a" * more for more in range(100)]
    almost = [text for text in texts if 0 < len(text) - len(zlib.compress(text, 1)) <= HEAD.size]
    assert almost
    for text in almost:
        assert CompressedSerializer(Raw(), algorithm="zlib", above=1).dumps(text) == text


def test_algorithms_levels_and_thresholds_may_differ_between_processes():
    writers = [
        CompressedSerializer(MsgspecSerializer(dict[str, str]), algorithm=algorithm, above=above)
        for algorithm in ALGORITHMS
        for above in (1, 10**6)
    ]
    assert len({writer.fingerprint for writer in writers}) == 1
    assert len({writer.dumps(LONG) for writer in writers}) == 3
    for reader in writers:
        for writer in writers:
            assert reader.loads(writer.dumps(LONG)) == LONG


def test_a_fingerprint_is_told_from_the_plain_one():
    kinds = [MsgspecSerializer(int), MsgspecSerializer(str), PickleSerializer(key=b"k" * 16), Raw()]
    prints = {serializer.fingerprint for serializer in [*kinds, *map(CompressedSerializer, kinds)]}
    assert len(prints) == 8
    assert {len(fingerprint) for fingerprint in prints} == {8}


@given(st.binary(max_size=200), st.integers(1, 100), st.sampled_from(ALGORITHMS))
def test_any_bytes_of_any_serializer_come_back(data, above, algorithm):
    serializer = CompressedSerializer(Raw(), above=above, algorithm=algorithm)
    for value in (data, b"\xc1" + data, data * 20, b"\xc1" + data * 20):
        assert serializer.loads(serializer.dumps(value)) == value


@given(st.sampled_from(ALGORITHMS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), max_size=3))
def test_flipped_bits_are_the_value_or_a_value_error(algorithm, flips):
    serializer = CompressedSerializer(MsgspecSerializer(dict[str, str]), algorithm=algorithm)
    data = bytearray(serializer.dumps(LONG))
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    try:
        value = serializer.loads(bytes(data))
    except ValueError:
        return
    assert type(value) is dict


@given(st.binary(max_size=64))
def test_random_bytes_after_a_mark_are_a_value_error(data):
    serializer = CompressedSerializer(MsgspecSerializer(bytes))
    for start in (b"\xc1", b"\xc1\x01", b"\xc1\x02", b"\xc1\x01\x00\x00\x01\x00"):
        with pytest.raises(ValueError):
            serializer.loads(start + data)


@pytest.mark.parametrize("algorithm", ["zlib", "zstd"])
def test_what_is_cut_short_or_goes_on_is_a_value_error(algorithm):
    serializer = CompressedSerializer(MsgspecSerializer(dict[str, str]), algorithm=algorithm)
    data = serializer.dumps(LONG)
    for wrong in (data[:-1], data[: len(data) // 2], data[:6], data[:3], data + b"x", data + data[6:]):
        with pytest.raises(ValueError):
            serializer.loads(wrong)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_another_length_than_the_head_says_is_a_value_error(code):
    value = b"scalekit " * 100
    packed = [value, zlib.compress(value), zstd.compress(value)][code]
    serializer = CompressedSerializer(Raw())
    assert serializer.loads(HEAD.pack(0xC1, code, 900) + packed) == value
    for said in (1, 899, 901, 10_000):
        with pytest.raises(ValueError):
            serializer.loads(HEAD.pack(0xC1, code, said) + packed)


def bomb(algorithm, size):
    if algorithm == "zlib":
        packer = zlib.compressobj(9)
        packed = b"".join([packer.compress(bytes(2**20)) for _ in range(size // 2**20)]) + packer.flush()
        return 1, packed
    packer = zstd.ZstdCompressor()
    return 2, b"".join([packer.compress(bytes(2**20)) for _ in range(size // 2**20)]) + packer.flush()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["zlib", "zstd"])
def test_a_bomb_is_not_inflated(algorithm):
    size = 2**30
    code, packed = bomb(algorithm, size)
    assert len(packed) < size / 900
    serializer = CompressedSerializer(Raw(), max_bytes=2**20)
    # It tells the truth about its size, or lies in either direction.
    for said in (size, 2**20, 100, 0, 2**32 - 1):
        tracemalloc.start()
        try:
            with pytest.raises(ValueError):
                serializer.loads(HEAD.pack(0xC1, code, said) + packed)
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()


def test_a_value_beyond_what_is_inflated_is_stored_as_it_is():
    serializer = CompressedSerializer(MsgspecSerializer(bytes), above=10, max_bytes=1_000)
    for size in (900, 1_100):
        data = serializer.dumps(bytes(size))
        assert serializer.loads(data) == bytes(size)
        assert (len(data) < size) == (size < 1_000)


def test_zstd_with_the_widest_windows_comes_back():
    serializer = CompressedSerializer(MsgspecSerializer(bytes), algorithm="zstd", level=22)
    for size in (5_000, 2**20, 2**20 + 1, 3 * 2**20):
        value = bytes(range(256)) * (size // 256)
        assert serializer.loads(serializer.dumps(value)) == value


def test_a_window_larger_than_the_value_is_refused():
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    packed = packer.compress(b"a" * 5_000) + packer.flush()
    assert zstd.decompress(packed) == b"a" * 5_000
    with pytest.raises(ValueError, match="cannot be inflated"):
        CompressedSerializer(Raw()).loads(HEAD.pack(0xC1, 2, 5_000) + packed)


def test_an_unknown_algorithm_is_a_value_error():
    with pytest.raises(ValueError, match="algorithm 9 is unknown"):
        CompressedSerializer(Raw()).loads(HEAD.pack(0xC1, 9, 5) + b"abcde")


def test_without_zstd_its_entries_are_a_value_error(without_zstd):
    data = HEAD.pack(0xC1, 2, 9_000) + zstd.compress(b"a" * 9_000)
    with pytest.raises(ValueError, match="cannot be inflated"):
        CompressedSerializer(Raw()).loads(data)


def test_zstd_that_is_named_must_be_there(without_zstd):
    with pytest.raises(
        MissingExtra, match=r"CompressedSerializer needs backports: pip install 'scaleblocks\[zstd\]'"
    ):
        CompressedSerializer(Raw(), algorithm="zstd")


def test_zlib_is_the_default_where_the_standard_library_has_no_zstd(without_zstd):
    assert CompressedSerializer(Raw()).dumps(b"a" * 9_000)[1] == 1


def test_zstd_is_the_default_where_the_standard_library_has_it(standard_zstd):
    assert CompressedSerializer(Raw()).dumps(b"a" * 9_000)[1] == 2
    assert CompressedSerializer(Raw(), algorithm="zlib").dumps(b"a" * 9_000)[1] == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"above": -1}, "expected above as an integer from 1 to below 4 GiB; got -1"),
        ({"above": 1.5}, "expected above"),
        ({"above": True}, "expected above"),
        ({"max_bytes": 0}, "expected max_bytes"),
        ({"max_bytes": 2**32}, "expected max_bytes"),
        ({"algorithm": "lzma"}, 'expected algorithm as "zlib", "zstd" or None'),
        ({"level": 3}, "expected level only together with an algorithm"),
        ({"algorithm": "zlib", "level": 10}, "expected level as an integer from 1 to 9; got 10"),
        ({"algorithm": "zstd", "level": 0}, "expected level as an integer from 1 to 22"),
        ({"algorithm": "zlib", "level": "9"}, "expected level"),
    ],
)
def test_nonsense_is_refused(options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        CompressedSerializer(Raw(), **options)


@pytest.mark.parametrize("given", [MsgspecSerializer, Raw, None, "raw"])
def test_what_is_no_serializer_is_refused(given):
    with pytest.raises(ConfigurationError, match="expected serializer as an object with dumps"):
        CompressedSerializer(given)


def test_what_cannot_be_stored_is_refused_as_without_compression():
    with pytest.raises(SerialisationError, match="would come back"):
        CompressedSerializer(MsgspecSerializer(object)).dumps((1,))
