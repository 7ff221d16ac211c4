"""Encoded images built byte by byte: tiny files that announce, hide or omit much."""

from __future__ import annotations

import struct
import zlib

SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def sof(
    width: int, height: int, *, marker: int = 0xC0, sampling: tuple[int, ...] = (0x22, 0x11, 0x11)
) -> bytes:
    components = b"".join(bytes((i + 1, factors, 0)) for i, factors in enumerate(sampling))
    return segment(marker, struct.pack(">BHHB", 8, height, width, len(sampling)) + components)


SOS = segment(0xDA, b"\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00")


def jpeg(width: int, height: int, *, extra: bytes = b"", scans: int = 1, marker: int = 0xC0) -> bytes:
    return (
        SOI
        + extra
        + sof(width, height, marker=marker)
        + (SOS + b"\x12\xff\x00\x34\xff\xd0\x56") * scans
        + EOI
    )


def exif(orientation: int, *, order: str = ">", kind: int = 3) -> bytes:
    entry = struct.pack(order + "HHIHH", 0x0112, kind, 1, orientation, 0)
    other = struct.pack(order + "HHII", 0x0110, 2, 1, 0)
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return b"Exif\0\0" + mark + struct.pack(order + "IH", 8, 2) + other + entry + b"\0\0\0\0"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


PNG = b"\x89PNG\r\n\x1a\n"
IEND = chunk(b"IEND", b"")


def ihdr(width: int, height: int, *, depth: int = 8, colour: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png(
    width: int, height: int, *, extra: bytes = b"", depth: int = 8, colour: int = 2, pixels: bytes = b""
) -> bytes:
    head = PNG + ihdr(width, height, depth=depth, colour=colour)
    return head + extra + chunk(b"IDAT", zlib.compress(pixels)) + IEND


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(
        3, "little"
    )


def vp8l(width: int, height: int, *, alpha: bool = False) -> tuple[bytes, bytes]:
    return b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14 | alpha << 28)


def vp8(width: int, height: int) -> tuple[bytes, bytes]:
    return b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)


GIF_FRAME = b"\x02\x02\x4c\x01\x00"
TRAILER = b";"


def gif(
    width: int, height: int, *, frames: int = 1, extra: bytes = b"", frame: tuple[int, ...] = (0, 0, 1, 1)
) -> bytes:
    image = b"," + struct.pack("<HHHHB", *frame, 0) + GIF_FRAME
    table = b"\0\0\0\xff\xff\xff"
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + table
        + extra
        + image * frames
        + TRAILER
    )


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def avif(
    width: int,
    height: int,
    *,
    brand: bytes = b"avif",
    properties: tuple[bytes, ...] = (),
    tail: bytes = b"",
    wide: bool = False,
) -> bytes:
    boxes = (box(b"ispe", struct.pack(">III", 0, width, height)), *properties)
    if wide:
        version, item, indices = (
            1,
            struct.pack(">I", 1),
            b"".join(struct.pack(">H", i + 1) for i in range(len(boxes))),
        )
        pitm = box(b"pitm", b"\1\0\0\0" + item)
        other = struct.pack(">IBH", 9, 1, 1)
    else:
        version, item, indices = 0, struct.pack(">H", 1), bytes(range(1, len(boxes) + 1))
        pitm = box(b"pitm", b"\0\0\0\0" + item)
        other = struct.pack(">HBB", 9, 1, 1)
    head = struct.pack(">BBBBI", version, 0, 0, int(wide), 2)
    ipma = box(b"ipma", head + other + item + bytes((len(boxes),)) + indices)
    meta = box(b"meta", b"\0\0\0\0" + pitm + box(b"iprp", box(b"ipco", b"".join(boxes)) + ipma))
    return box(b"ftyp", brand + b"\0\0\0\0mif1" + brand) + meta + box(b"mdat", b"x" * 8) + tail


def track(width: int, height: int, samples: int) -> bytes:
    tkhd = box(b"tkhd", b"\0" * 76 + struct.pack(">II", width << 16, height << 16))
    stsz = box(b"stsz", struct.pack(">III", 0, 0, samples))
    return box(b"trak", tkhd + box(b"mdia", box(b"minf", box(b"stbl", stsz))))


def bits(*fields: tuple[int, int]) -> bytes:
    """Bit fields (value, width), padded with zeros to whole bytes."""
    text = "".join(f"{value:0{width}b}" for value, width in fields if width)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def sequence_header(width: int, height: int, *before: tuple[int, int]) -> bytes:
    """An AV1 sequence header; by default that of a reduced still picture."""
    fields = before or ((0, 3), (1, 1), (1, 1), (8, 5))
    return bits(*fields, (15, 4), (15, 4), (width - 1, 16), (height - 1, 16))


def unit(kind: int, body: bytes, *, sized: bool = True, extended: bool = False) -> bytes:
    head = bytes((kind << 3 | extended << 2 | sized << 1,)) + b"\0" * extended
    if not sized:
        return head + body
    size, length = b"", len(body)
    while length > 127:
        size, length = size + bytes((length & 127 | 128,)), length >> 7
    return head + size + bytes((length,)) + body


def avif_items(
    width: int, height: int, *items: tuple[bytes, bytes], version: int = 0, method: int = 0, copies: int = 1
) -> bytes:
    """An AVIF of `width` x `height` whose items have these types and contents, each listed `copies` times."""
    ids = ">I" if version == 2 else ">H"
    entries = b"".join(
        box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + kind + b"\0")
        for number, (kind, _) in enumerate(items, 1)
    )
    iinf = box(b"iinf", b"\0\0\0\0" + struct.pack(">H", len(items)) + entries)

    def meta(start: int) -> bytes:
        places = b""
        for number, (_, content) in enumerate(items, 1):
            places += struct.pack(ids, number) + (struct.pack(">H", method) if version else b"")
            piece = struct.pack(">II", start, len(content))
            places += struct.pack(">HH", 0, copies) + piece * copies
            start += len(content)
        head = bytes((version, 0, 0, 0, 0x44, 0x00)) + struct.pack(ids, len(items))
        iloc = box(b"iloc", head + places)
        ispe = box(b"ipco", box(b"ispe", struct.pack(">III", 0, width, height)))
        ipma = box(b"ipma", struct.pack(">IIHBB", 0, 1, 1, 1, 1))
        pitm = box(b"pitm", struct.pack(">IH", 0, 1))
        idat = box(b"idat", b"".join(content for _, content in items)) if method == 1 else b""
        return box(b"meta", b"\0\0\0\0" + pitm + iinf + iloc + idat + box(b"iprp", ispe + ipma))

    ftyp = box(b"ftyp", b"avif\0\0\0\0mif1")
    start = 0 if method == 1 else len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(start) + box(b"mdat", b"".join(content for _, content in items))
