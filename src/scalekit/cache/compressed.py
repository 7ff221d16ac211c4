"""Large values smaller: compression around any serializer."""

from __future__ import annotations

import struct
import zlib
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from scalekit._extras import require
from scalekit.cache._serialized import checked_serializer, dumped
from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalekit.cache.protocols import Serializer

__all__ = ["CompressedSerializer"]

_HEAD = struct.Struct(">BBI")  # mark, algorithm, length before compression
# MessagePack has no such byte, so what msgspec wrote needs no mark to be told from what is compressed.
_MARK = 0xC1
_AS_IS, _ZLIB, _ZSTD = 0, 1, 2
_LEVELS = {"zlib": 9, "zstd": 22}


class CompressedSerializer:
    """Writes with `serializer`, and compresses what is longer than `above` bytes, if that makes it shorter.

    `above` is 4,096 bytes by default.
    `algorithm`: "zlib"; "zstd", which is faster on large values, in the standard library of Python 3.14 and
    in `backports.zstd` for older ones; None (the default) for "zstd" where the standard library has it, else
    "zlib". `level`: the algorithm's own, if one is named; 1 for zlib and 3 for zstd unless given. Each entry
    says how it was written, so processes that share a store may differ in all of this: one without zstd does
    not find what was written with it, and loads.

    What is longer than `max_bytes` (64 MiB by default) is not compressed, and nothing is inflated beyond
    that. Compression takes about 5 ms for each MB, on an event loop too. `ConfigurationError` for other
    algorithms, levels or lengths, and for what is no serializer; `MissingExtra` if zstd is named and is not
    there.
    """

    __slots__ = ("_above", "_fingerprint", "_loads", "_longest", "_pack", "_serializer")

    def __init__(
        self,
        serializer: Serializer,
        /,
        *,
        above: int = 4_096,
        algorithm: Literal["zlib", "zstd"] | None = None,
        level: int | None = None,
        max_bytes: int = 64 * 2**20,
    ) -> None:
        self._serializer = checked_serializer(serializer)
        self._loads = serializer.loads
        self._above = _length(above, "above")
        self._pack = _packer(algorithm, level)
        self._longest = _length(max_bytes, "max_bytes")
        self._fingerprint: bytes | None = None

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes that stand for the format and the type of the values, however these are compressed."""
        if self._fingerprint is None:
            import hashlib  # noqa: PLC0415  # a tenth of the block's import time, for stores of bytes alone

            self._fingerprint = hashlib.sha256(b"compressed 1" + self._serializer.fingerprint).digest()[:8]
        return self._fingerprint

    def dumps(self, value: Any, /) -> bytes:
        """Return `value` as bytes; `SerialisationError` if it would not come back equal in value and type."""
        data = dumped(self._serializer, value)
        if self._above < len(data) <= self._longest:
            code, packed = self._pack(data)
            if _HEAD.size + len(packed) < len(data):
                return _HEAD.pack(_MARK, code, len(data)) + packed
        if data[:1] == _MARK.to_bytes():
            return _HEAD.pack(_MARK, _AS_IS, len(data)) + data
        return data

    def loads(self, data: bytes, /) -> Any:
        """Return the value that `dumps` wrote; `ValueError` for bytes that it did not write."""
        if data and data[0] == _MARK:
            return self._loads(_inflated(data, self._longest))
        return self._loads(data)


def compressor(above: int | None) -> Callable[[Serializer], Serializer] | None:
    """Return what a face puts around serializers, by its option `compress_above`."""
    if above is None:
        return None
    return partial(CompressedSerializer, above=_length(above, "compress_above"))


def _length(number: int, parameter: str) -> int:
    if type(number) is not int or not 0 < number < 2**32:
        raise ConfigurationError(parameter, number, "as an integer from 1 to below 4 GiB")
    return number


def _packer(algorithm: str | None, level: int | None) -> Callable[[bytes], tuple[int, bytes]]:
    if algorithm is not None and algorithm not in _LEVELS:
        raise ConfigurationError("algorithm", algorithm, 'as "zlib", "zstd" or None')
    if level is not None and algorithm is None:
        raise ConfigurationError("level", level, "only together with an algorithm")
    if level is not None and (type(level) is not int or not 0 < level <= _LEVELS[str(algorithm)]):
        raise ConfigurationError("level", level, f"as an integer from 1 to {_LEVELS[str(algorithm)]}")
    zstd = _zstd() if algorithm == "zstd" else None

    def pack(data: bytes) -> tuple[int, bytes]:
        module = zstd or (None if algorithm == "zlib" else _standard_zstd())
        if module is None:
            return _ZLIB, zlib.compress(data, level or 1)
        return _ZSTD, module.compress(data, level or 3)

    return pack


@cache
def _standard_zstd() -> Any:
    try:
        return import_module("compression.zstd")
    except ImportError:  # before Python 3.14, or built without it
        return None


def _zstd() -> Any:
    return _standard_zstd() or require("backports.zstd", extra="zstd", needed_by="CompressedSerializer")


def _inflated(data: bytes, longest: int) -> bytes:
    """Return what `data` was before it was marked; `ValueError` if that is not what its head says."""
    if len(data) < _HEAD.size:
        raise ValueError("a mark without a head")
    _, code, size = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if code != _AS_IS:
        if not 0 < size <= longest:
            raise ValueError(f"{size} bytes, where at most {longest} are inflated")
        body = _inflate(code, body, size)
    if len(body) != size:
        raise ValueError("another length than the head says")
    return body


def _inflate(code: int, packed: bytes, size: int) -> bytes:
    """Return what `packed` is inflated; no more than `size` bytes are ever made of it."""
    try:
        inflater = _inflater(code, size)
        body: bytes = inflater.decompress(packed, size)
    except Exception as error:  # zlib and zstd have errors of their own; or there is no zstd
        raise ValueError(f"cannot be inflated: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise ValueError("not one whole stream")
    return body


def _inflater(code: int, size: int) -> Any:
    if code == _ZLIB:
        return zlib.decompressobj()
    if code == _ZSTD:
        zstd = _zstd()
        # The window that a frame asks for is memory, too; from 1 KiB to 2 GiB is what zstd takes.
        window = min(max(size.bit_length(), 10), 31)
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window})
    raise ValueError(f"algorithm {code} is unknown")
