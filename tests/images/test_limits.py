from __future__ import annotations

import dataclasses
import pickle

import pytest

from scalekit.errors import ConfigurationError, ImageBroken, ImageRejected
from scalekit.images import ImageInfo, ImageLimits, probe
from tests.images import hostile

WHOLE = ImageInfo("jpeg", 100, 50, scans=1, input_bytes=1000)


def test_the_defaults_are_those_for_uploads():
    assert ImageLimits.uploads() == ImageLimits()
    assert dataclasses.asdict(ImageLimits()) == {
        "max_bytes": 20 * 1024 * 1024,
        "formats": {"jpeg", "png", "webp", "gif", "avif"},
        "max_side": 16_384,
        "max_pixels": 50_000_000,
        "max_frames": 200,
        "max_total_pixels": 100_000_000,
        "max_scans": 64,
        "max_metadata": 1024 * 1024,
    }


@pytest.mark.parametrize(
    ("reason", "limits", "field", "limit"),
    [
        ("bytes", {"max_bytes": 900}, "input_bytes", 900),
        ("side", {"max_side": 400}, "width", 400),
        ("side", {"max_side": 400}, "height", 400),
        ("frames", {"max_frames": 3}, "frames", 3),
        ("scans", {"max_scans": 64}, "scans", 64),
        ("metadata", {"max_metadata": 0}, "metadata_bytes", 0),
    ],
)
def test_each_limit_admits_its_own_value_and_no_more(reason, limits, field, limit):
    checker = ImageLimits(**limits)
    small = dataclasses.replace(WHOLE, input_bytes=1)
    checker.check(dataclasses.replace(small, **{field: limit}))
    with pytest.raises(ImageRejected) as refusal:
        checker.check(dataclasses.replace(small, **{field: limit + 1}))
    assert (refusal.value.reason, refusal.value.limit, refusal.value.actual) == (reason, limit, limit + 1)


def test_pixels_and_total_pixels():
    limits = ImageLimits(max_pixels=5000, max_total_pixels=10_000)
    limits.check(WHOLE)
    limits.check(dataclasses.replace(WHOLE, frames=2))
    with pytest.raises(ImageRejected, match="expected pixels within 5000; got 5050"):
        limits.check(dataclasses.replace(WHOLE, width=101))
    with pytest.raises(ImageRejected, match="expected total_pixels within 10000; got 15000"):
        limits.check(dataclasses.replace(WHOLE, frames=3))


def test_formats():
    with pytest.raises(ImageRejected) as refusal:
        ImageLimits(formats=frozenset({"png", "webp"})).check(WHOLE)
    assert refusal.value.reason == "format"
    assert refusal.value.limit == ("png", "webp")
    assert refusal.value.actual == "jpeg"
    with pytest.raises(ImageRejected) as unknown:
        ImageLimits().check(probe(b"GIF88a"))
    assert (unknown.value.reason, unknown.value.actual) == ("format", "unknown")
    again = pickle.loads(pickle.dumps(unknown.value))
    for error in (unknown.value, again):
        assert str(error) == (
            "expected an image in a format out of avif, gif, jpeg, png, webp; got an unknown format"
        )
    assert str(refusal.value) == "expected an image in a format out of png, webp; got jpeg"
    assert ImageLimits(formats=["png"]).formats == frozenset({"png"})


def test_truncated_and_empty_pictures_are_broken():
    with pytest.raises(ImageBroken, match="ends before its end marker"):
        ImageLimits().check(dataclasses.replace(WHOLE, truncated=True))
    with pytest.raises(ImageBroken, match="declares 0x50"):
        ImageLimits().check(dataclasses.replace(WHOLE, width=0))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_bytes", 0, ">= 1"),
        ("max_side", -1, ">= 1"),
        ("max_pixels", 1e6, "as an integer >= 1; got"),
        ("max_frames", True, "as an integer"),
        ("max_total_pixels", "many", "as an integer"),
        ("max_scans", float("nan"), "as an integer"),
        ("max_metadata", -1, ">= 0"),
        ("formats", "jpeg", "as a non-empty set"),
        ("formats", frozenset(), "as a non-empty set"),
        ("formats", frozenset({"tiff"}), "as a non-empty set"),
        ("formats", 5, "as a non-empty set"),
    ],
)
def test_bad_limits_are_refused(name, value, expected):
    with pytest.raises(ConfigurationError, match=f"expected {name} {expected}") as refusal:
        ImageLimits(**{name: value})
    assert refusal.value.parameter == name
    assert refusal.value.value is value or refusal.value.value == value


BIG = {
    "jpeg": hostile.jpeg(65_500, 65_500),
    "jpeg within the side": hostile.jpeg(16_000, 16_000),
    "png": hostile.png(2**31 - 1, 2**31 - 1),
    "webp": hostile.riff(hostile.vp8x(2**24, 2**24), hostile.vp8(1, 1)),
    "webp lossless": hostile.riff(hostile.vp8l(16_384, 16_384)),
    "gif": hostile.gif(65_535, 65_535),
    "gif frame": hostile.gif(1, 1, frame=(65_535, 0, 65_535, 1)),
    "avif": hostile.avif(2**32 - 1, 2**32 - 1),
    "many scans": hostile.jpeg(3000, 3000, scans=510, marker=0xC2),
    "png text": hostile.png(8, 8, extra=hostile.chunk(b"zTXt", b"a\0\0x") * 70_000),
    "jpeg segments": hostile.jpeg(8, 8, extra=hostile.segment(0xFE, b"x" * 60_000) * 20),
    "gif frames": hostile.gif(2000, 2000, frames=10_000),
    "gif frames times pixels": hostile.gif(2000, 2000, frames=30),
    "apng": hostile.png(8, 8, extra=hostile.chunk(b"acTL", b"\xff" * 8)),
    "webp frames": hostile.riff(hostile.vp8x(8, 8), *[(b"ANMF", b"")] * 300),
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
    "svg": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "ico": b"\0\0\1\0\1\0" + b"\0" * 16 + hostile.png(8, 8),
    "icns": b"icns\0\0\1\0ic10" + hostile.png(8, 8),
    "tiff": b"II*\0\x08\0\0\0\0\0",
    "heic": hostile.avif(8, 8, brand=b"heic"),
    "nothing": b"",
}
REASONS = {
    "jpeg": "side",
    "jpeg within the side": "pixels",
    "png": "side",
    "webp": "side",
    "webp lossless": "pixels",
    "gif": "side",
    "gif frame": "side",
    "avif": "side",
    "many scans": "scans",
    "png text": "metadata",
    "jpeg segments": "metadata",
    "gif frames": "frames",
    "gif frames times pixels": "total_pixels",
    "apng": "frames",
    "webp frames": "frames",
}


@pytest.mark.parametrize("name", BIG)
def test_hostile_headers_are_refused_by_the_right_limit(name):
    with pytest.raises(ImageRejected) as refusal:
        ImageLimits.uploads().check(probe(BIG[name]))
    assert refusal.value.reason == REASONS.get(name, "format")
