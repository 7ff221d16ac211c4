"""How entries lie on the server: a frame is read as it was written, or not at all."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from scalekit.cache._frame import PREFIX, TOKEN_BYTES, entry_name, load_name, opened, sealed, tag_name

PRINT = b"12345678"
NAMES = st.lists(st.binary(max_size=40), max_size=4, unique=True)
TEXTS = st.text(st.characters(codec=None), max_size=200)


def token(i):
    return bytes([i]) * TOKEN_BYTES


def framed(value, names, *, written=1_000, life=60_000):
    head, tail = sealed(value, names, fingerprint=PRINT, written=written, life=life, fresh=life, load=0)
    return head + b"".join(token(i) for i in range(len(names))) + tail


@given(st.binary(), NAMES)
def test_what_is_sealed_is_opened(value, names):
    frame = opened(framed(value, names), fingerprint=PRINT)
    assert frame.value == value
    assert frame.tags == [(name, token(i)) for i, name in enumerate(names)]
    assert (frame.written, frame.life) == (1_000, 60_000)


@given(st.binary(max_size=30), NAMES, st.data())
def test_a_damaged_frame_is_not_opened_or_not_alive(value, names, data):
    blob = framed(value, names)
    tokens = {name: token(i) for i, name in enumerate(names)}
    at = data.draw(st.integers(0, len(blob) - 1))
    flipped = bytes([blob[at] ^ data.draw(st.integers(1, 255))])
    for damaged in (blob[:at] + flipped + blob[at + 1 :], blob[:at], blob + b"x"):
        frame = opened(damaged, fingerprint=PRINT)
        assert frame is None or not frame.alive(tokens)


@given(st.binary())
def test_bytes_of_others_are_not_opened(data):
    assert opened(data, fingerprint=PRINT) is None


def test_another_type_is_not_opened():
    assert opened(framed(b"", []), fingerprint=b"abcdefgh") is None
    assert opened(None, fingerprint=PRINT) is None


def test_a_frame_lives_while_every_token_is_the_same():
    frame = opened(framed(b"", [b"a", b"b"]), fingerprint=PRINT)
    assert frame.alive({b"a": token(0), b"b": token(1), b"c": None})
    assert not frame.alive({b"a": token(0), b"b": token(2)})
    assert not frame.alive({b"a": None, b"b": token(1)}), "a lost token has changed"
    assert opened(framed(b"", []), fingerprint=PRINT).alive({})


@given(st.integers(0, 10**6))
def test_what_is_left_is_within_its_life_whatever_the_clocks_say(now):
    frame = opened(framed(b"", [], written=10**5, life=1_000), fingerprint=PRINT)
    assert 0 <= frame.age(now) <= 1_000
    assert frame.age(10**5 + 400) == 400


@given(TEXTS, TEXTS)
@example("x" * 128, "x" * 129)
@example("\ud83d\udd11", "🔑")
@example("a", "a\0")
def test_names_differ_where_the_keys_do_and_are_short(first, second):
    names = [name(key) for key in (first, second) for name in (entry_name, load_name, tag_name)]
    assert len(set(names)) == (3 if first == second else 6)
    assert all(name.startswith(PREFIX.encode()) and len(name) <= 133 for name in names)


def test_a_long_name_cannot_be_forged_by_a_short_one():
    hashed = entry_name("x" * 1_000)
    forged = hashed.decode().partition("#")[2]
    assert hashed not in {entry_name(forged), entry_name("#" + forged)}
    assert entry_name("shop:k") == b"sk:e:shop:k"
