"""The size that an AV1 stream itself announces (AV1 bitstream specification, sections 5.3 to 5.5).

A container may say 64x64 around a stream of 16384x16384: libavif decodes the large picture and scales
it down, after every limit has been passed. So the walk reads the stream's own header, too.
"""

from __future__ import annotations

from scalekit.images._bytes import big

_SEQUENCE_HEADER = 1
_MOST_UNITS = 1_000
_HEADER_BYTES = 64 + 32 * 16  # the fields before the size, 32 operating points included, are shorter


def coded_size(stream: bytes) -> tuple[int, int]:
    """Return the largest width and height of any sequence header in `stream`, (0, 0) without one."""
    width = height = at = 0
    for _ in range(_MOST_UNITS):
        if at >= len(stream):
            break
        head = stream[at]
        at += 2 if head & 4 else 1
        size = len(stream) - at
        if head & 2:
            size, at = _leb128(stream, at)
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            wide, high = _size(stream[at : at + min(size, _HEADER_BYTES)])
            width, height = max(width, wide), max(height, high)
        at += size
    return width, height


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return the little-endian base-128 number at `at`, and the position after it."""
    value = 0
    for index in range(8):
        byte = big(data, at + index, 1)
        value |= (byte & 127) << 7 * index
        if byte < 128:  # noqa: PLR2004
            return value, at + index + 1
    return value, at + 8


class _Bits:
    """Reads big-endian bit fields; beyond the end all bits are zero."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        shifted = self._bits >> self._left if self._left >= 0 else self._bits << -self._left
        return shifted & ((1 << count) - 1)


def _size(header: bytes) -> tuple[int, int]:
    """Return the maximal frame size of a sequence header (5.5.1); the names are the specification's."""
    bits = _Bits(header)
    bits.take(4)  # seq_profile, still_picture
    if bits.take(1):  # reduced_still_picture_header
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(width_bits) + 1, bits.take(height_bits) + 1


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.take(1):  # timing_info_present_flag
        bits.take(64)
        if bits.take(1):  # equal_picture_interval
            _skip_uvlc(bits)
        if bits.take(1):  # decoder_model_info_present_flag
            delay_bits = bits.take(5) + 1
            bits.take(42)
    display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:  # noqa: PLR2004  # levels above 7 have a tier
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if display_delay and bits.take(1):
            bits.take(4)


def _skip_uvlc(bits: _Bits) -> None:
    zeros = 0
    while zeros < 32 and not bits.take(1):  # noqa: PLR2004
        zeros += 1
    bits.take(zeros if zeros < 32 else 0)  # noqa: PLR2004
