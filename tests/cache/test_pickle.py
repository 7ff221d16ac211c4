"""What was not signed with a key of ours is a miss, and never unpickled."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.cache import Cache, PickleSerializer, _frame
from scalekit.cache.redis import RedisCacheStore
from scalekit.errors import ConfigurationError, SerialisationError
from scalekit.redis import RedisLink

KEY = b"0123456789abcdef"
OTHER = "another key, as text"
SERIALIZER = PickleSerializer(key=KEY)


@dataclass
class Point:
    x: Any


class Trap:
    """A pickle of it writes a file where it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Broken:
    def __reduce__(self):
        return Broken, ("one argument too many",)


class Chameleon:
    def __reduce__(self):
        return Point, (1,)


@pytest.mark.parametrize(
    "value", [None, 1, "a", (1, 2), {1: {2}}, Point([Point(1)]), range(3), 1j, Point, [float("inf")], 2**100]
)
def test_what_pickle_can_comes_back(value):
    back = SERIALIZER.loads(SERIALIZER.dumps(value))
    assert back == value
    assert type(back) is type(value)


def test_a_graph_with_a_cycle_comes_back():
    value = [1]
    value.append(value)
    back = SERIALIZER.loads(SERIALIZER.dumps(value))
    assert back[1] is back


@pytest.mark.parametrize("value", [lambda: 1, threading.Lock(), Broken(), Chameleon(), iter([1]).__class__])
def test_what_does_not_come_back_is_refused_and_the_remedy_named(value):
    name = type(value).__qualname__
    with pytest.raises(
        SerialisationError, match=f"cannot pickle a {name} so that it comes back: .*__reduce__"
    ):
        SERIALIZER.dumps(value)


def signed(path, key):
    """A trap as an attacker signs it, with the format known and the key not."""
    body = pickle.dumps(Trap(path))
    raw = hashlib.blake2b(body, key=key, digest_size=16, person=b"scalekit.pickle1").digest()
    return b"\x01" + raw + body


def test_a_trap_works_where_the_key_is_known(tmp_path):
    """Or the tests below would show nothing."""
    path = tmp_path / "sprung"
    SERIALIZER.loads(signed(path, KEY))
    assert path.exists()


def test_a_hostile_payload_is_a_value_error_and_runs_nothing(tmp_path):
    path = tmp_path / "sprung"
    body = pickle.dumps(Trap(path))
    good = SERIALIZER.dumps(1)
    for data in (
        body,
        b"\x01" + body,
        b"\x01" + bytes(16) + body,
        good[:17] + body,
        good + body,
        good[:1] + good[1:17] + body + good[17:],
        signed(path, b"another key here"),
        signed(path, b""),
        b"\x02" + signed(path, KEY)[1:],
        signed(path, KEY)[:-1],
    ):
        with pytest.raises(ValueError, match="signed with a key of ours"):
            SERIALIZER.loads(data)
        assert not path.exists()


@given(st.binary(max_size=80))
def test_random_bytes_are_a_value_error(data):
    for start in (b"", b"\x01"):
        with pytest.raises(ValueError):
            SERIALIZER.loads(start + data)


def test_any_flipped_bit_and_any_cut_is_a_value_error():
    data = SERIALIZER.dumps({"a": [1, "b"]})
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            with pytest.raises(ValueError):
                SERIALIZER.loads(bytes(flipped))
        with pytest.raises(ValueError):
            SERIALIZER.loads(data[:place])
    with pytest.raises(ValueError):
        SERIALIZER.loads(data + b"\x00")


def test_signatures_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    assert SERIALIZER.loads(SERIALIZER.dumps(1)) == 1
    assert len(compared) == 1


def test_a_key_is_changed_without_losing_entries():
    old, new = PickleSerializer(key=KEY), PickleSerializer(key=OTHER)
    prepared = PickleSerializer(key=KEY, old_keys=[OTHER])
    changed = PickleSerializer(key=OTHER, old_keys=[b"something else that is long", KEY])
    assert old.fingerprint == new.fingerprint == changed.fingerprint
    assert len(old.fingerprint) == 8
    for reader, writer in [
        (changed, old),
        (changed, prepared),
        (prepared, changed),
        (changed, changed),
        (new, changed),
    ]:
        assert reader.loads(writer.dumps([1])) == [1]
    for reader, writer in [(old, new), (new, old), (old, changed)]:
        with pytest.raises(ValueError):
            reader.loads(writer.dumps([1]))


def test_long_keys_differ_to_their_ends():
    keys = [b"a" * 64, b"a" * 65, b"a" * 65 + b"b"]
    payloads = {PickleSerializer(key=key).dumps(1) for key in keys}
    assert len(payloads) == 3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"key": b"secret 15 bytes"}, "expected key of at least 16 bytes; got '15 bytes'"),
        ({"key": "secret"}, "expected key of at least 16 bytes"),
        ({"key": ""}, "expected key"),
        ({"key": None}, "expected key of at least 16 bytes; got 'NoneType'"),
        ({"key": ["secret"]}, "expected key"),
        ({"key": KEY, "old_keys": [b"secret"]}, "expected old_keys of at least 16 bytes"),
        ({"key": KEY, "old_keys": "secret secret secret"}, "expected old_keys as a list of keys"),
        ({"key": KEY, "old_keys": b"secret secret secret"}, "expected old_keys as a list of keys"),
    ],
)
def test_a_bad_key_is_refused_and_not_shown(options, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        PickleSerializer(**options)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(caught.value)


def test_the_key_is_not_to_be_seen():
    shown = repr(SERIALIZER) + repr(SERIALIZER._hashers)
    assert KEY.decode() not in shown
    with pytest.raises(TypeError):
        pickle.dumps(SERIALIZER)


def test_a_class_that_has_gone_is_a_value_error(monkeypatch):
    module = ModuleType("gone_after_this_test")
    module.Point = type("Point", (), {"__module__": module.__name__})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    data = SERIALIZER.dumps(module.Point())
    del module.Point
    with pytest.raises(ValueError, match="AttributeError"):
        SERIALIZER.loads(data)


def test_a_hostile_entry_on_a_server_is_a_miss(redis_url, key_prefix, monkeypatch, tmp_path):
    monkeypatch.setattr(_frame, "PREFIX", key_prefix)
    loads = []

    def load():
        loads.append(1)
        return Point(1)

    with RedisLink.from_url(redis_url, timeout="10s") as link:
        store = RedisCacheStore(link)
        serializer = PickleSerializer(key=KEY)
        attacker = SigningTraps(tmp_path / "sprung")
        cached = Cache(store, namespace="shop").cached(ttl="1m", serializer=attacker)(load)
        cached()
        ours = Cache(store, namespace="shop").cached(ttl="1m", serializer=serializer)(load)
        assert ours() == ours() == Point(1)
    assert loads == [1, 1]
    assert not (tmp_path / "sprung").exists()


class SigningTraps:
    fingerprint = SERIALIZER.fingerprint

    def __init__(self, path):
        self.path = path

    def dumps(self, value):
        return signed(self.path, b"a key of theirs!")

    def loads(self, data):
        return None
