"""Several secrets: the first signs, all verify, and none is ever shown."""

from __future__ import annotations

import base64
import pickle
from hashlib import blake2b
from itertools import count

import pytest

from scalekit.errors import ConfigurationError, InvalidCursor
from scalekit.pagination import AsyncCursorPaginator, CursorPaginator, SequenceSource, SortKey, TotalOrder
from scalekit.pagination import _keyring as keyring
from scalekit.pagination._cursor import Codec
from scalekit.pagination._keyring import Keyring, SigningKey
from scalekit.pagination._values import ANY

ORDER = TotalOrder([SortKey("a", descending=False, nulls_first=False, nullable=True, kind=ANY)])
SOURCE = SequenceSource([{"a": n} for n in range(9)])


def coder(secret):
    return Codec(secret).bind(ORDER, None)


def cursor_of(secret):
    return coder(secret).encode([1], backward=False)


def accepts(secret, cursor):
    try:
        return coder(secret).decode(cursor).values == (1,)
    except InvalidCursor:
        return False


def of_one_id(amount):
    """Secrets that share an id, which one in 256 does."""
    first = "collides"
    wanted = SigningKey(first.encode()).id
    rest = (secret for n in count() if SigningKey((secret := f"collides {n}").encode()).id == wanted)
    return [first, *(next(rest) for _ in range(amount - 1))]


def test_a_rotation_step_by_step_refuses_no_client():
    old = cursor_of("old")
    assert accepts(["old", "new"], old)  # 1: every worker learns the new secret
    assert cursor_of(["old", "new"]) == old
    signed_by_new = cursor_of(["new", "old"])  # 2: it signs
    assert signed_by_new == cursor_of("new") != old
    for workers in (["old", "new"], ["new", "old"]):
        assert accepts(workers, old)
        assert accepts(workers, signed_by_new)
    assert accepts(["new"], signed_by_new)  # 3: the old one goes, and its cursors with it
    assert not accepts(["new"], old)
    assert not accepts("old", signed_by_new)


def test_one_secret_is_one_secret_however_given():
    for same in ("s", b"s", ["s"], (b"s",)):
        assert cursor_of(same) == cursor_of("s")


def test_any_of_many_keys_verifies_and_a_removed_one_does_not():
    secrets = [f"secret {n}" for n in range(300)]  # more than there are ids
    everywhere = coder(secrets)
    for n in range(0, 300, 7):
        cursor = cursor_of(secrets[n])
        assert everywhere.decode(cursor).values == (1,)
        assert not accepts(secrets[:n] + secrets[n + 1 :], cursor)


def test_the_id_picks_the_keys_that_are_tried(monkeypatch):
    tried = []
    begun = SigningKey.begun
    monkeypatch.setattr(SigningKey, "begun", lambda self, context: tried.append(self) or begun(self, context))
    secrets = [f"secret {n}" for n in range(40)]
    last = cursor_of(secrets[-1])
    everywhere = coder(secrets)
    tried.clear()
    assert everywhere.decode(last).values == (1,)
    assert 1 <= len(tried) <= 3
    tried.clear()
    assert everywhere.decode(cursor_of([secrets[0]])).values == (1,)


def test_secrets_whose_ids_collide_all_work():
    secrets = of_one_id(3)
    assert len({SigningKey(secret.encode()).id for secret in secrets}) == 1
    for signer in secrets:
        cursor = cursor_of(signer)
        for order in (secrets, secrets[::-1], [secrets[1], secrets[0], secrets[2]]):
            assert accepts(order, cursor)
        others = [secret for secret in secrets if secret != signer]
        assert not accepts(others, cursor)
        assert not accepts(others[0], cursor)


def test_another_id_in_the_cursor_does_not_verify_under_another_key():
    everywhere = coder(["a", "b"])
    raw = bytearray(base64.urlsafe_b64decode(cursor_of("a") + "==="))
    for other in range(256):
        if other != raw[1]:
            changed = bytes(raw[:1]) + bytes((other,)) + bytes(raw[2:])
            with pytest.raises(InvalidCursor):
                everywhere.decode(base64.urlsafe_b64encode(changed).decode().rstrip("="))


def test_the_id_is_a_keyed_hash_of_its_own():
    ids = {SigningKey(b"%d" % n).id for n in range(2000)}
    assert len(ids) == 256
    key = b"secret"
    tag = blake2b(key=key, digest_size=keyring.TAG, person=b"scalekit.cursor").digest()
    assert SigningKey(key).id != tag[0]  # not the beginning of anything that signs
    assert SigningKey(key).id == blake2b(key=key, digest_size=1, person=b"scalekit.key-id").digest()[0]


def test_a_cursor_of_this_format_stays_good():
    """Clients keep cursors: whoever changes the format refuses them all."""
    assert cursor_of("s") == PINNED
    assert accepts("s", PINNED)


PINNED = "ECQCAQEyZMpXCNngE-CRyEA"

SENSITIVE = "hunter2-the-secret"
BAD = [
    ("", "secret to be non-empty", "''"),
    (b"", "secret to be non-empty", "b''"),
    (3, "secret to be non-empty", "'int'"),
    ([], "secret to hold one secret at least", "[]"),
    ((), "secret to hold one secret at least", "[]"),
    ([SENSITIVE, ""], "secret[1] to be non-empty", "''"),
    ([SENSITIVE, None], "secret[1] to be non-empty", "'NoneType'"),
    ([SENSITIVE, 7], "secret[1] to be non-empty", "'int'"),
    ([[SENSITIVE]], "secret[0] to be non-empty", "'list'"),
    ({SENSITIVE}, "secret to be non-empty", "'set'"),
    ({SENSITIVE: 1}, "secret to be non-empty", "'dict'"),
    (iter([SENSITIVE]), "secret to be non-empty", "'list_iterator'"),
    (bytearray(SENSITIVE.encode()), "secret to be non-empty", "'bytearray'"),
    (memoryview(SENSITIVE.encode()), "secret to be non-empty", "'memoryview'"),
    ([SENSITIVE, "b", SENSITIVE], "secret to hold each one once", "'secret[0] again in secret[2]'"),
    ([SENSITIVE, SENSITIVE.encode()], "secret to hold each one once", "'secret[0] again in secret[1]'"),
]


@pytest.mark.parametrize("face", [CursorPaginator, AsyncCursorPaginator])
@pytest.mark.parametrize(("secret", "expected", "got"), BAD, ids=range(len(BAD)))
def test_a_bad_secret_is_refused_without_showing_it(face, secret, expected, got):
    with pytest.raises(ConfigurationError) as caught:
        face(["a"], secret=secret)
    text = str(caught.value)
    assert text.startswith(f"expected {expected}")
    assert text.endswith(f"got {got}")
    for shown in (text, repr(caught.value), repr(vars(caught.value)), str(pickle.dumps(caught.value))):
        assert "hunter2" not in shown


def test_objects_do_not_show_their_keys():
    one = Keyring([SENSITIVE])
    paginator = CursorPaginator(["a"], secret=[SENSITIVE])
    for each in (one, one.signer, paginator, Codec(SENSITIVE), coder(SENSITIVE)):
        assert "hunter2" not in repr(each)


def test_the_faces_take_several_secrets():
    old = CursorPaginator(["a"], secret="old", limit=3).paginate(SOURCE).next_cursor
    rotated = CursorPaginator(["a"], secret=("new", "old"), limit=3)
    assert [row["a"] for row in rotated.paginate(SOURCE, cursor=old).items] == [3, 4, 5]
    with pytest.raises(InvalidCursor):
        CursorPaginator(["a"], secret=("new",)).paginate(SOURCE, cursor=old)
