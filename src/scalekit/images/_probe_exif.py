"""The one Exif tag that changes pixels."""

from __future__ import annotations

from scalekit.images._bytes import big, little

_ORIENTATION = 0x0112
_SHORT = 3
_MOST_ENTRIES = 1_000  # cameras write some dozens


def exif_orientation(exif: bytes) -> int:
    """Return the orientation (1 to 8) in an Exif block; 1 when there is none or it is nonsense.

    Layout: TIFF 6.0, section 2: byte order, 42, the offset of the first directory, its entries.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    number = {b"II*\0": little, b"MM\0*": big}.get(tiff[:4])
    if number is None:
        return 1
    directory = number(tiff, 4, 4)
    for index in range(min(number(tiff, directory, 2), _MOST_ENTRIES)):
        entry = directory + 2 + 12 * index
        if number(tiff, entry, 2) == _ORIENTATION:
            value = number(tiff, entry + 8, 2)
            return value if number(tiff, entry + 2, 2) == _SHORT and 1 <= value <= 8 else 1  # noqa: PLR2004
    return 1
