"""Values as pickles, signed: for what has no type that can be written down, and for trusted servers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.errors import ConfigurationError, SerialisationError

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterable

__all__ = ["PickleSerializer"]

_PROTOCOL = 5  # fixed: another Python, with another default, must read what this one wrote
_VERSION = b"\x01"
_TAG_BYTES = 16
_BODY = len(_VERSION) + _TAG_BYTES
# Tells our signatures from others made with the same secret, of cursors for one.
_PERSON = b"scalekit.pickle1"
_SHORTEST_KEY = 16
_LONGEST_KEY = 64  # of BLAKE2b; longer ones are hashed


class PickleSerializer:
    """Writes any value that `pickle` can, signed with `key`. What was not signed with it is never unpickled.

    Whoever reads a pickle runs what it says, so whoever knows `key` can run code in every process that uses
    it. Without the key nothing can be forged; but who can write to the store can still put an old entry
    back, or one entry in another's place. Prefer `MsgspecSerializer` wherever it can write the values.

    `key`: at least 16 bytes, or as much text; `secrets.token_bytes(32)` makes one. `old_keys`: keys with
    which entries may still be signed. To change a key, add the new one to `old_keys` everywhere, then make
    it `key` and the old one old, and drop that when its entries have ended. `ConfigurationError` for
    anything else.

    The `fingerprint` is that of the format alone: a class that has changed since is for its own
    `__setstate__`, or for `version=` of `cached`.
    """

    __slots__ = ("_hashers",)

    def __init__(self, *, key: str | bytes, old_keys: Iterable[str | bytes] = ()) -> None:
        if isinstance(old_keys, (str, bytes)):
            raise ConfigurationError("old_keys", type(old_keys).__name__, "as a list of keys")
        self._hashers = [_hasher(key, "key"), *(_hasher(old, "old_keys") for old in old_keys)]

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes that stand for the format; the same for all keys."""
        return b"pickle 1"

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as signed bytes.

        Raises `SerialisationError` if it cannot be pickled, or not unpickled as the same type; that takes a
        round trip. Whether the copy is equal is left to its class: by `__reduce__` it says what to keep.
        """
        import pickle  # noqa: PLC0415  # as hashlib and hmac: import time for those alone who pickle

        try:
            body = pickle.dumps(value, _PROTOCOL)
            back: object = pickle.loads(body)  # noqa: S301  # our own
        except Exception as error:  # classes say how they are pickled
            raise SerialisationError(_refusal(value, str(error) or type(error).__name__)) from error
        if type(back) is not type(value):
            raise SerialisationError(_refusal(value, f"it would come back as {type(back).__qualname__}"))
        return _VERSION + _tag(self._hashers[0], body) + body

    def loads(self, data: bytes, /) -> Any:
        """Return the value that `dumps` wrote with one of the keys; `ValueError` for anything else."""
        import pickle  # noqa: PLC0415
        from hmac import compare_digest  # noqa: PLC0415

        tag, body = data[len(_VERSION) : _BODY], data[_BODY:]
        signed = any(compare_digest(tag, _tag(hasher, body)) for hasher in self._hashers)
        if data[: len(_VERSION)] != _VERSION or not signed:
            raise ValueError("no pickle that was signed with a key of ours")
        try:
            return pickle.loads(body)  # noqa: S301  # signed by a holder of the key
        except Exception as error:  # a class that has moved, or has changed
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _hasher(key: object, parameter: str) -> hashlib.blake2b:
    import hashlib  # noqa: PLC0415

    raw = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    if not isinstance(raw, bytes) or len(raw) < _SHORTEST_KEY:
        # The key stays out of the message.
        shown = f"{len(raw)} bytes" if isinstance(raw, bytes) else type(key).__name__
        raise ConfigurationError(parameter, shown, f"of at least {_SHORTEST_KEY} bytes")
    if len(raw) > _LONGEST_KEY:
        raw = hashlib.blake2b(raw).digest()
    return hashlib.blake2b(key=raw, digest_size=_TAG_BYTES, person=_PERSON)


def _tag(hasher: hashlib.blake2b, body: bytes) -> bytes:
    signed = hasher.copy()
    signed.update(body)
    return signed.digest()


def _refusal(value: object, reason: str) -> str:
    return (
        f"cannot pickle a {type(value).__qualname__} so that it comes back: {reason}; "
        "give its class, at the top of a module, a __reduce__ that does, or return something else"
    )
