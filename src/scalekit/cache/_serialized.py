"""What a serializer gives to a store of bytes, checked: it may be the code of whoever uses the cache."""

from __future__ import annotations

import inspect
from typing import Any

from scalekit.cache.protocols import Serializer
from scalekit.errors import ConfigurationError, ScalekitError, SerialisationError

_FINGERPRINT_BYTES = 8


def checked_serializer(given: object) -> Serializer:
    """Return `given` if it can write values; `ConfigurationError` otherwise."""
    if isinstance(given, type) or not isinstance(given, Serializer):
        raise ConfigurationError("serializer", given, "as an object with dumps, loads and fingerprint")
    # A property may have to wait until the types that it stands for are defined.
    if not isinstance(inspect.getattr_static(given, "fingerprint", None), property):
        fingerprint_of(given)
    return given


def fingerprint_of(serializer: Serializer) -> bytes:
    """Return the fingerprint of `serializer`.

    `ConfigurationError` for one of another length than an entry has room for: cut off or filled up, it would
    never be found again.
    """
    fingerprint: object = serializer.fingerprint
    if not isinstance(fingerprint, bytes) or len(fingerprint) != _FINGERPRINT_BYTES:
        given = len(fingerprint) if isinstance(fingerprint, bytes) else type(fingerprint).__name__
        expected = f"with a fingerprint of {_FINGERPRINT_BYTES} bytes, not {given}"
        raise ConfigurationError("serializer", serializer, expected)
    return fingerprint


def dumped(serializer: Serializer, value: Any) -> bytes:
    """Return `value` as `serializer` writes it.

    `SerialisationError` if it cannot, whatever it says so with, or if that is anything else than bytes.
    """
    try:
        data: object = serializer.dumps(value)
    except ScalekitError:
        raise
    except Exception as error:
        msg = f"{type(serializer).__qualname__}.dumps() raised {type(error).__qualname__}: {error}"
        raise SerialisationError(msg) from error
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    msg = f"{type(serializer).__qualname__}.dumps() returned {type(data).__qualname__}, not bytes"
    raise SerialisationError(msg)
