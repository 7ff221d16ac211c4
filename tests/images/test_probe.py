from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from scalekit.errors import ConfigurationError
from scalekit.images import ImageInfo, probe
from tests.images import hostile, pictures

STARTS = [
    b"\xff\xd8\xff",
    hostile.PNG,
    b"RIFF\x20\0\0\0WEBP",
    b"GIF89a",
    b"\0\0\0\x14ftypavif",
    hostile.jpeg(8, 8),
    hostile.png(8, 8),
    hostile.riff(hostile.vp8x(8, 8), hostile.vp8(8, 8)),
    hostile.gif(8, 8),
    hostile.avif(8, 8),
    hostile.avif_items(8, 8, (b"av01", hostile.unit(1, hostile.sequence_header(8, 8))), (b"Exif", b"abc")),
]


@given(st.sampled_from([b"", *STARTS]), st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_any_bytes_give_an_answer(start, tail, at, value):
    data = bytearray(start + tail)
    if data:
        data[at % len(data)] = value
    info = probe(bytes(data))
    assert info.input_bytes == len(data)
    assert 1 <= info.orientation <= 8
    assert info.frames >= 1
    assert min(info.width, info.height, info.metadata_bytes, info.trailing_bytes, info.scans) >= 0
    assert info.trailing_bytes <= len(data)


@given(st.sampled_from(STARTS[5:]), st.data())
def test_a_prefix_is_never_whole(whole, data):
    cut = data.draw(st.integers(0, len(whole) - 1))
    info = probe(whole[:cut])
    assert info.truncated or info.format == "unknown"
    assert not probe(whole).truncated


@pytest.mark.parametrize(
    "filler",
    [
        hostile.SOI + b"\xff" * 4_000_000,
        hostile.SOI + b"\xff\xe0\x00\x02" * 1_000_000,
        hostile.SOI + b"\xff\x00" * 2_000_000,
        hostile.PNG + b"\0\0\0\0teSt\0\0\0\0" * 300_000,
        hostile.riff(*[(b"ABCD", b"")] * 300_000),
        b"GIF89a" + b"\0" * 7 + b"!\xfe" + b"\x01a" * 2_000_000,
        b"GIF89a" + b"\0" * 7 + (b"," + b"\0" * 9 + b"\2\0") * 350_000,
        hostile.box(b"ftyp", b"avif\0\0\0\0") + hostile.box(b"free", b"") * 400_000,
    ],
    ids=["fill", "empty segments", "stuffing", "empty chunks", "riff", "sub-blocks", "frames", "boxes"],
)
def test_a_walk_is_linear_and_leaves_nothing_unaccounted(filler):
    info = probe(filler)  # a quadratic walk over 4 MB runs into the suite's time-out
    assert info.truncated
    assert info.width == 0 or info.metadata_bytes > 1_000_000 or info.frames > 200


def test_a_whole_gif_of_nothing_but_tiny_blocks_is_given_up():
    comment = b"!\xfe" + b"\x01a" * 500_000 + b"\0"
    assert probe(hostile.gif(8, 8, extra=comment)).truncated
    assert not probe(hostile.gif(8, 8, extra=b"!\xfe" + b"\x01a" * 60_000 + b"\0")).truncated


@pytest.mark.parametrize("data", ["text", None, 3, object()])
def test_only_bytes_can_be_probed(data):
    with pytest.raises(ConfigurationError, match="expected data as bytes; got"):
        probe(data)


def test_bytearrays_and_memoryviews_are_bytes():
    data = hostile.png(3, 2)
    assert probe(bytearray(data)) == probe(memoryview(data)) == probe(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\1\0\1\0\x10\x10",
        b"icns\0\0\0\x10ic10",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
        b"BM" + b"\0" * 60,
        b"RIFF\0\0\0\0WAVE",
        b"PK\3\4",
        b"8BPS",
    ],
)
def test_other_formats_are_unknown(data):
    info = probe(data)
    assert info == ImageInfo("unknown", 0, 0, input_bytes=len(data))


# JPEG


def test_a_jpeg_header():
    extra = (
        hostile.segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
        + hostile.segment(0xE1, hostile.exif(6))
        + hostile.segment(0xE2, b"ICC_PROFILE\0\1\1profile")
        + hostile.segment(0xFE, b"secret")
    )
    info = probe(hostile.jpeg(400, 300, extra=extra, scans=3, marker=0xC2) + b"PK\3\4payload")
    assert (info.format, info.width, info.height, info.orientation) == ("jpeg", 400, 300, 6)
    assert (info.scans, info.progressive, info.subsampling) == (3, True, "4:2:0")
    assert info.icc
    assert info.comment
    assert info.metadata_bytes == len(extra)
    assert info.trailing_bytes == 11
    assert not info.truncated
    assert info.upright_size == (300, 400)
    assert info.bit_depth == 8


@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_last_bytes_is_truncated(missing):
    assert probe(hostile.jpeg(4, 4)[:-missing]).truncated


def test_restarts_and_stuffed_bytes_do_not_end_a_scan():
    info = probe(hostile.jpeg(4, 4, scans=2))
    assert (info.scans, info.trailing_bytes, info.truncated) == (2, 0, False)


def test_huffman_tables_are_not_frame_headers():
    assert probe(hostile.jpeg(7, 5, extra=hostile.segment(0xC4, b"\0" * 20))).width == 7


@pytest.mark.parametrize(
    ("sampling", "name"),
    [
        ((0x11, 0x11, 0x11), "4:4:4"),
        ((0x21, 0x11, 0x11), "4:2:2"),
        ((0x11,), None),
        ((0x22, 0x21, 0x11), None),
        ((0x44, 0x11, 0x11), None),
    ],
)
def test_subsampling(sampling, name):
    info = probe(hostile.SOI + hostile.sof(9, 9, sampling=sampling) + hostile.SOS + hostile.EOI)
    assert info.subsampling == name
    assert len(info.sampling) == len(sampling)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(order, orientation):
    data = hostile.jpeg(4, 4, extra=hostile.segment(0xE1, hostile.exif(orientation, order=order)))
    assert probe(data).orientation == orientation


@pytest.mark.parametrize(
    "block",
    [
        hostile.exif(0),
        hostile.exif(9),
        hostile.exif(6, kind=4),
        b"Exif\0\0MM\0*\0\0\0\x08\0\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0XX\0*",
        b"Exif\0\0",
    ],
)
def test_nonsense_orientation_counts_as_upright(block):
    assert probe(hostile.jpeg(4, 4, extra=hostile.segment(0xE1, block))).orientation == 1


def test_the_first_exif_block_counts():
    extra = hostile.segment(0xE1, hostile.exif(3)) + hostile.segment(0xE1, hostile.exif(6))
    assert probe(hostile.jpeg(4, 4, extra=extra)).orientation == 3


# PNG


def test_a_png_header():
    extra = (
        hostile.chunk(b"iCCP", b"x\0\0")
        + hostile.chunk(b"eXIf", hostile.exif(8)[6:])
        + hostile.chunk(b"tEXt", b"Comment\0hello")
    )
    info = probe(
        hostile.png(5, 3, depth=16, colour=0, extra=extra + hostile.chunk(b"tRNS", b"\0\1")) + b"<?php"
    )
    assert (info.format, info.width, info.height, info.orientation, info.bit_depth) == ("png", 5, 3, 8, 16)
    assert info.icc
    assert info.comment
    assert info.has_alpha
    assert info.metadata_bytes == len(extra)
    assert info.trailing_bytes == 5
    assert info.frames == 1


@pytest.mark.parametrize(("colour", "alpha"), [(0, False), (2, False), (3, False), (4, True), (6, True)])
def test_png_alpha(colour, alpha):
    assert probe(hostile.png(2, 2, colour=colour)).has_alpha is alpha


def test_apng_frames_are_the_most_of_declared_and_present():
    control = hostile.chunk(b"fcTL", b"\0" * 26)
    assert (
        probe(hostile.png(2, 2, extra=hostile.chunk(b"acTL", struct.pack(">II", 7, 0)) + control)).frames == 7
    )
    assert (
        probe(hostile.png(2, 2, extra=hostile.chunk(b"acTL", struct.pack(">II", 1, 0)) + 3 * control)).frames
        == 3
    )


# WebP


@pytest.mark.parametrize(
    ("chunks", "alpha"),
    [
        ([hostile.vp8(300, 200)], False),
        ([hostile.vp8l(300, 200)], False),
        ([hostile.vp8l(300, 200, alpha=True)], True),
        ([hostile.vp8x(300, 200), hostile.vp8(30, 20)], False),
        ([hostile.vp8x(300, 200, 0x10), hostile.vp8(300, 200)], True),
        ([hostile.vp8x(300, 200), (b"ALPH", b"x"), hostile.vp8(300, 200)], True),  # codespell:ignore
    ],
)
def test_webp_sizes(chunks, alpha):
    info = probe(hostile.riff(*chunks))
    assert (info.format, info.width, info.height, info.has_alpha) == ("webp", 300, 200, alpha)
    assert not info.truncated


def test_webp_frames_profile_orientation_and_tail():
    data = hostile.riff(
        hostile.vp8x(9, 9),
        (b"ICCP", b"abc"),
        (b"ANMF", b"1"),
        (b"ANMF", b"2"),
        (b"EXIF", hostile.exif(5)[6:]),
    )
    info = probe(data + b"tail")
    assert (info.frames, info.icc, info.orientation, info.trailing_bytes) == (2, True, 5, 4)
    assert info.metadata_bytes == 8 + 3 + 8 + len(hostile.exif(5)) - 6


# GIF


def test_gif_frames_alpha_comment_and_tail():
    extra = b"!\xf9\x04\x01\0\0\0\0" + b"!\xfe\x03abc\0"
    info = probe(hostile.gif(20, 10, frames=3, extra=extra) + b"zip")
    assert (info.format, info.width, info.height, info.frames) == ("gif", 20, 10, 3)
    assert info.has_alpha
    assert info.comment
    assert (info.metadata_bytes, info.trailing_bytes, info.truncated) == (7, 3, False)


def test_a_first_frame_that_sticks_out_enlarges_a_gif():
    data = hostile.gif(20, 10, frame=(5, 5, 40, 1))
    assert (probe(data).width, probe(data).height) == (45, 10)
    assert Image.open(BytesIO(data)).size == (45, 10)


def test_bytes_between_gif_blocks_are_skipped_as_decoders_do():
    assert probe(hostile.gif(2, 2, extra=b"\0\0")).frames == 1


def test_a_gif_without_a_picture_is_truncated():
    assert probe(hostile.gif(2, 2, frames=0)).truncated


# AVIF


def test_an_avif_header():
    properties = (
        hostile.box(b"pixi", b"\0\0\0\0\3\x0a\x0a\x0a"),
        hostile.box(b"colr", b"profICC"),
        hostile.box(b"auxC", b"\0\0\0\0urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"),
    )
    for wide in (False, True):
        info = probe(hostile.avif(640, 480, properties=properties, wide=wide))
        assert (info.format, info.width, info.height, info.bit_depth) == ("avif", 640, 480, 10)
        assert info.icc
        assert info.has_alpha
        assert (info.trailing_bytes, info.truncated, info.frames) == (0, False, 1)


def test_heif_is_not_avif():
    assert probe(hostile.avif(6, 4, brand=b"heic")).format == "heif"
    assert probe(hostile.avif(6, 4, brand=b"avis")).format == "avif"


def test_properties_that_are_not_there_are_passed_over():
    data = hostile.avif(6, 4)
    missing = bytearray(data)
    missing[data.index(b"mdat") - 5] = 99  # the property that the primary item is associated with
    assert probe(bytes(missing)).width == 0
    assert probe(data.replace(b"ipco", b"skip")).width == 0


def test_avif_trailing_bytes_and_boxes_that_hold_metadata():
    assert probe(hostile.avif(6, 4, tail=b"PK\3\4 a whole archive")).trailing_bytes == 20
    assert probe(hostile.avif(6, 4, tail=hostile.box(b"uuid", b"x" * 100))).metadata_bytes == 108
    assert probe(hostile.avif(6, 4, tail=b"\0\0\0\0free......")).trailing_bytes == 0
    assert probe(hostile.avif(6, 4, tail=b"\0\0\0\1free\0\0\0\0\0\0\0\x14data")).trailing_bytes == 0
    assert probe(hostile.avif(6, 4, tail=b"\0\0\0\3free")).trailing_bytes == 8


def test_avif_sequences_count_the_samples_of_the_longest_track():
    moov = hostile.box(
        b"moov", hostile.box(b"mvhd", b"") + hostile.track(64, 32, 5) + hostile.track(64, 32, 9)
    )
    data = hostile.box(b"ftyp", b"avis\0\0\0\0") + moov + hostile.box(b"mdat", b"x")
    info = probe(data)
    assert (info.width, info.height, info.frames) == (64, 32, 9)
    assert probe(hostile.avif(6, 4).replace(b"ipma", b"skip")).width == 0
    empty = hostile.box(b"moov", hostile.box(b"trak", b""))
    assert probe(hostile.box(b"ftyp", b"avis\0\0\0\0") + empty).frames == 1


@pytest.mark.skipif("avif" not in features.modules, reason="this Pillow cannot write AVIF")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_turns_are_read_as_the_decoder_reads_them(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = pictures.encoded(pictures.quarters(), "AVIF", exif=exif.tobytes(), speed=10)
    info = probe(data)
    assert info.orientation == orientation == pictures.decoded(data).getexif().get(0x0112, 1)
    assert (info.width, info.height, info.has_alpha) == (64, 48, False)


# What encoders write


FORMATS = ["JPEG", "PNG", "WEBP", "GIF", *(["AVIF"] if "avif" in features.modules else [])]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_real_files_are_read_as_pillow_reads_them(name, mode):
    image = pictures.noise(61, 37).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    if name == "JPEG" and mode == "RGBA":
        image = image.convert("CMYK")
    info = probe(data := pictures.encoded(image, name))
    assert (info.format, info.width, info.height) == (name.lower(), 61, 37)
    assert (info.truncated, info.trailing_bytes, info.frames) == (False, 0, 1)
    assert info.has_alpha is pictures.decoded(data).has_transparency_data
    if name == "JPEG":
        assert len(info.sampling) == len(pictures.decoded(data).getbands())


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "JPEG"])
def test_real_animations_are_counted(name):
    frames = [Image.new("RGB", (16, 16), (40 * i, 0, 255 - 40 * i)) for i in range(4)]
    data = pictures.encoded(frames[0], name, save_all=True, append_images=frames[1:])
    assert probe(data).frames == 4
    assert (probe(data).width, probe(data).height) == (16, 16)


def test_a_progressive_jpeg_has_about_ten_scans():
    info = probe(pictures.encoded(pictures.noise(), "JPEG", progressive=True))
    assert info.progressive
    assert info.scans == 10
