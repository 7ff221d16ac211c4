"""Values that a client cannot read: encrypted within the signature."""

from __future__ import annotations

import base64

import pytest

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import AsyncCursorPaginator, CursorCipher, CursorPaginator, SequenceSource
from scalekit.testing import ManualClock
from tests.pagination.toy_cipher import Toy, ToyError

ROWS = [{"a": f"salary-{n:02}"} for n in range(9)]
SOURCE = SequenceSource(ROWS)


def feed(cipher, **options):
    return CursorPaginator(["a"], **{"secret": "s", "limit": 3, "cipher": cipher, **options})


def first_cursor(paginator, **options):
    return paginator.paginate(SOURCE, **options).next_cursor


def raw(cursor):
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def cursor_of(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def numbers(page):
    return [int(row["a"][-2:]) for row in page.items]


def test_the_values_are_not_to_be_read():
    sealed = first_cursor(feed(Toy()))
    assert b"salary" in raw(first_cursor(feed(None)))
    assert b"salary" not in raw(sealed)
    assert feed(Toy()).paginate(SOURCE, cursor=sealed).items == ROWS[3:6]
    assert sealed != first_cursor(feed(Toy()))  # a nonce of its own


def test_both_ways_through_all_pages():
    mine = feed(Toy())
    page = mine.paginate(SOURCE)
    assert [row for page in mine.pages(SOURCE, batch=2) for row in page.items] == ROWS
    middle = mine.paginate(SOURCE, cursor=page.next_cursor)
    assert mine.paginate(SOURCE, cursor=middle.previous_cursor).items == ROWS[:3]


def test_it_is_signed_so_that_junk_never_reaches_the_cipher():
    cipher = Toy()
    mine = feed(cipher)
    good = raw(first_cursor(mine))
    junk = [good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :] for at in range(len(good))]
    junk += [
        b"",
        b"\x18" * 40,
        cipher.encrypt(b"\1\1"),
        good[2:],
        good[:2] + cipher.encrypt(b"\1\1") + good[-12:],
    ]
    for each in junk:
        with pytest.raises(InvalidCursor):
            mine.paginate(SOURCE, cursor=cursor_of(each))
    assert cipher.decrypted == []


def test_order_scope_and_secret_bind_it_still():
    cipher = Toy()
    cursor = first_cursor(feed(cipher), scope="mine")
    for paginator, scope in (
        (feed(cipher), None),
        (feed(cipher), "yours"),
        (feed(cipher, secret="t"), "mine"),
        (CursorPaginator(["-a"], secret="s", cipher=cipher), "mine"),
    ):
        with pytest.raises(InvalidCursor, match="not signed here"):
            paginator.paginate(SOURCE, cursor=cursor, scope=scope)
    assert cipher.decrypted == []
    assert numbers(feed(cipher, secret=["t", "s"]).paginate(SOURCE, cursor=cursor, scope="mine")) == [3, 4, 5]


def test_the_ciphertext_of_another_cursor_does_not_fit_in():
    mine = feed(Toy())
    page = mine.paginate(SOURCE)
    one, other = raw(page.next_cursor), raw(mine.paginate(SOURCE, cursor=page.next_cursor).next_cursor)
    with pytest.raises(InvalidCursor, match="not signed here"):
        mine.paginate(SOURCE, cursor=cursor_of(one[:2] + other[2:-12] + one[-12:]))


@pytest.mark.parametrize("error", [ToyError(), ValueError(), TypeError("no"), KeyError("k"), RuntimeError()])
def test_whatever_decrypting_raises_is_an_invalid_cursor(error):
    class Failing(Toy):
        def decrypt(self, data, /):
            raise error

    with pytest.raises(InvalidCursor) as caught:
        feed(Failing()).paginate(SOURCE, cursor=first_cursor(feed(Toy())))
    assert caught.value.reason == "not to be decrypted"
    assert caught.value.__cause__ is error


def test_a_key_that_is_gone_is_an_invalid_cursor():
    with pytest.raises(InvalidCursor, match="not to be decrypted"):
        feed(Toy(b"other")).paginate(SOURCE, cursor=first_cursor(feed(Toy())))


def test_an_interrupt_is_none_of_ours():
    class Interrupted(Toy):
        def decrypt(self, data, /):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feed(Interrupted()).paginate(SOURCE, cursor=first_cursor(feed(Toy())))


def test_decrypted_values_that_do_not_fit_are_invalid():
    class Wrong(Toy):
        def decrypt(self, data, /):
            return b"\7junk"

    with pytest.raises(InvalidCursor, match="values of another type"):
        feed(Wrong()).paginate(SOURCE, cursor=first_cursor(feed(Toy())))


def test_switching_it_on_breaks_no_client_and_switching_it_off_says_so():
    assert numbers(feed(Toy()).paginate(SOURCE, cursor=first_cursor(feed(None)))) == [3, 4, 5]
    with pytest.raises(InvalidCursor) as caught:
        feed(None).paginate(SOURCE, cursor=first_cursor(feed(Toy())))
    assert caught.value.reason == "encrypted, and there is no cipher"


def test_an_expired_cursor_is_not_decrypted():
    clock, cipher = ManualClock(), Toy()
    mine = feed(cipher, expires_in="1m", wall_clock=clock)
    cursor = first_cursor(mine)
    assert numbers(mine.paginate(SOURCE, cursor=cursor)) == [3, 4, 5]
    cipher.decrypted.clear()
    clock.advance("1m")
    with pytest.raises(InvalidCursor, match="expired"):
        mine.paginate(SOURCE, cursor=cursor)
    assert cipher.decrypted == []


def test_a_ciphertext_too_long_for_a_cursor_is_named():
    class Wide(Toy):
        def encrypt(self, data, /):
            return data * 1000

    with pytest.raises(ConfigurationError, match="short enough"):
        first_cursor(feed(Wide()))


@pytest.mark.parametrize("result", ["text", None, bytearray(b"x"), 3])
def test_a_cipher_that_does_not_give_bytes_is_named(result):
    class Text(Toy):
        def encrypt(self, data, /):
            return result

    class Untext(Toy):
        def decrypt(self, data, /):
            return result

    with pytest.raises(
        ConfigurationError, match=f"cipher to encrypt into bytes; got '{type(result).__name__}'"
    ):
        first_cursor(feed(Text()))
    with pytest.raises(ConfigurationError, match="cipher to decrypt into bytes"):
        feed(Untext()).paginate(SOURCE, cursor=first_cursor(feed(Toy())))


def test_what_encrypting_raises_is_not_the_clients_fault():
    class Failing(Toy):
        def encrypt(self, data, /):
            raise ToyError

    with pytest.raises(ToyError):
        first_cursor(feed(Failing()))


@pytest.mark.parametrize("face", [CursorPaginator, AsyncCursorPaginator])
@pytest.mark.parametrize("cipher", ["hunter2", b"hunter2", Toy, object(), 3, ["hunter2"]])
def test_what_is_no_cipher_is_refused_without_showing_it(face, cipher):
    with pytest.raises(ConfigurationError, match="cipher to be a CursorCipher or None; got") as caught:
        face(["a"], secret="s", cipher=cipher)
    assert "hunter2" not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.anyio
async def test_the_async_face_does_the_same():
    from tests.pagination.test_faces import AsyncSequence

    mine = AsyncCursorPaginator(["a"], secret="s", limit=3, cipher=Toy())
    cursor = (await mine.paginate(AsyncSequence(ROWS))).next_cursor
    assert b"salary" not in raw(cursor)
    assert numbers(await mine.paginate(AsyncSequence(ROWS), cursor=cursor)) == [3, 4, 5]
    assert isinstance(Toy(), CursorCipher)
