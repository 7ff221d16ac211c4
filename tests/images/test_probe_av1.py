from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import features

from scalekit.errors import ImageRejected
from scalekit.images import ImageLimits, probe
from scalekit.images._probe_av1 import coded_size
from tests.images import hostile, pictures

BIG = hostile.unit(2, b"") + hostile.unit(1, hostile.sequence_header(16_000, 9_000))


@pytest.mark.parametrize(
    "before",
    [
        (),
        # not reduced, no timing, no delay, one operating point
        ((0, 5), (0, 1), (0, 1), (0, 5), (0, 12), (5, 5)),
        # a level with a tier, two operating points, a display delay for the second
        ((0, 5), (0, 1), (1, 1), (1, 5), (0, 12), (9, 5), (1, 1), (0, 1), (0, 12), (5, 5), (1, 1), (7, 4)),
        # timing with a uvlc of 00101 = 4, no decoder model
        ((0, 5), (1, 1), (9, 64), (1, 1), (0b00101, 5), (0, 1), (0, 1), (0, 5), (0, 12), (5, 5)),
        # timing with a decoder model of 10 delay bits
        (
            (0, 5),
            (1, 1),
            (9, 64),
            (0, 1),
            (1, 1),
            (9, 5),
            (7, 42),
            (0, 1),
            (0, 5),
            (0, 12),
            (5, 5),
            (1, 1),
            (3, 21),
        ),
        # a uvlc of 32 zeros has no bits after them
        ((0, 5), (1, 1), (9, 64), (1, 1), (0, 32), (0, 1), (0, 1), (0, 5), (0, 12), (5, 5)),
    ],
)
def test_the_size_stands_after_any_of_the_optional_fields(before):
    header = hostile.sequence_header(1234, 567, *before)
    assert coded_size(hostile.unit(1, header)) == (1234, 567)
    assert coded_size(hostile.unit(1, header, sized=False)) == (1234, 567)
    assert coded_size(hostile.unit(6, b"x" * 300) + hostile.unit(1, header, extended=True)) == (1234, 567)


def test_the_largest_of_several_headers_counts():
    small = hostile.unit(1, hostile.sequence_header(64, 64))
    assert coded_size(small + BIG + small) == (16_000, 9_000)
    assert coded_size(b"") == (0, 0)
    assert coded_size(hostile.unit(6, b"frame")) == (0, 0)


@given(st.binary(max_size=300))
def test_any_stream_gives_a_size(stream):
    width, height = coded_size(stream)
    assert 0 <= width <= 65_536
    assert 0 <= height <= 65_536


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("method", [0, 1])
def test_a_container_that_says_less_than_its_stream_is_refused(version, method):
    if method and not version:
        return  # version 0 has no construction method
    data = hostile.avif_items(64, 64, (b"av01", BIG), version=version, method=method)
    assert (probe(data).width, probe(data).height) == (16_000, 9_000)
    with pytest.raises(ImageRejected) as refusal:
        ImageLimits().check(probe(data))
    assert refusal.value.reason == "pixels"


def test_a_stream_in_any_item_counts_and_other_items_are_not_streams():
    small = hostile.unit(1, hostile.sequence_header(64, 64))
    data = hostile.avif_items(64, 64, (b"av01", small), (b"av01", BIG))
    assert probe(data).width == 16_000
    data = hostile.avif_items(64, 64, (b"av01", small), (b"Exif", BIG), (b"mime", b"<xmp/>"), (b"hvc1", BIG))
    assert (probe(data).width, probe(data).metadata_bytes) == (64, len(BIG) + 6)


def test_items_whose_content_lies_elsewhere_are_not_read():
    assert probe(hostile.avif_items(64, 64, (b"av01", BIG), version=1, method=2)).width == 64


def test_pieces_that_overlap_are_not_read_over_and_over():
    data = hostile.avif_items(64, 64, (b"av01", BIG * 20), copies=5_000)
    assert probe(data).metadata_bytes >= len(data)


@pytest.mark.parametrize("offsets", [b"stco", b"co64"])
def test_the_first_frame_of_a_track_counts_too(offsets):
    ftyp, mdat = hostile.box(b"ftyp", b"avis\0\0\0\0"), hostile.box(b"mdat", BIG)
    place = struct.pack(">I" if offsets == b"stco" else ">Q", len(ftyp) + 8)
    tkhd = hostile.box(b"tkhd", b"\0" * 76 + struct.pack(">II", 64 << 16, 64 << 16))
    stsz = hostile.box(b"stsz", struct.pack(">IIII", 0, 0, 1, len(BIG)))
    stbl = hostile.box(b"stbl", stsz + hostile.box(offsets, struct.pack(">II", 0, 1) + place))
    trak = hostile.box(b"trak", tkhd + hostile.box(b"mdia", hostile.box(b"minf", stbl)))
    assert probe(ftyp + mdat + hostile.box(b"moov", trak)).width == 16_000
    bare = hostile.box(b"mdia", hostile.box(b"minf", hostile.box(b"stbl", b"")))
    unsized = hostile.box(b"moov", hostile.box(b"trak", tkhd + bare))
    assert probe(ftyp + mdat + unsized).width == 64


@pytest.mark.skipif("avif" not in features.modules, reason="this Pillow cannot write AVIF")
def test_a_real_file_with_a_forged_size_is_seen_through():
    data = pictures.encoded(pictures.noise(200, 100), "AVIF", speed=10)
    forged = data.replace(struct.pack(">II", 200, 100), struct.pack(">II", 16, 16))
    assert forged != data
    assert (
        (probe(forged).width, probe(forged).height) == (200, 100) == (probe(data).width, probe(data).height)
    )
