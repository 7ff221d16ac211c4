from __future__ import annotations

import io
import pickle
import threading
from array import array
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageMath, features

from scalekit.errors import BackendError, ConfigurationError, ImageBroken, ImageRejected
from scalekit.images import Avif, ImageCompressor, ImageLimits, ImageRecipe, Jpeg, Png, Webp, probe
from scalekit.images.pillow import PillowBackend
from scalekit.testing import ManualClock
from tests.images import hostile, pictures
from tests.images.backends import SpyBackend
from tests.images.test_limits import BIG, REASONS

SMALL = hostile.png(40, 30)


@pytest.mark.parametrize("name", BIG)
def test_no_decoder_sees_what_the_limits_refuse(name, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("a decoder was called")

    for target in ("open", "Image.draft"):
        owner = Image if target == "open" else Image.Image
        monkeypatch.setattr(owner, target.rpartition(".")[2], forbidden)
    monkeypatch.setattr(PillowBackend, "render", forbidden)
    spy = SpyBackend()
    for backend in (PillowBackend(), spy):
        with pytest.raises(ImageRejected) as refusal:
            ImageCompressor(ImageRecipe.web(), backend=backend).compress(BIG[name])
        assert refusal.value.reason == REASONS.get(name, "format")
    assert spy.calls == []


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [
        (SMALL, ImageLimits(max_bytes=10), "bytes"),
        (SMALL, ImageLimits(max_pixels=10), "pixels"),
        (SMALL, ImageLimits(formats=frozenset({"jpeg"})), "format"),
        (hostile.png(2000, 1), ImageLimits(), "aspect"),
        (hostile.png(7000, 7000), ImageLimits(), "memory"),
        (hostile.jpeg(4000, 4000, marker=0xC2), ImageLimits(), "memory"),
    ],
)
def test_the_other_reasons_come_before_the_decoder_too(data, limits, reason):
    spy = SpyBackend()
    compressor = ImageCompressor(ImageRecipe.web(), backend=spy, limits=limits, memory=40 * 2**20)
    with pytest.raises(ImageRejected) as refusal:
        compressor.compress(data)
    assert refusal.value.reason == reason
    assert spy.calls == []


def test_truncated_is_broken_before_the_decoder():
    spy = SpyBackend()
    for whole in (
        hostile.jpeg(8, 8),
        SMALL,
        hostile.gif(8, 8),
        hostile.riff(hostile.vp8(8, 8)),
        hostile.avif(8, 8),
    ):
        with pytest.raises(ImageBroken):
            ImageCompressor(ImageRecipe.web(), backend=spy).compress(whole[:-1])
    assert spy.calls == []


def test_memory_is_what_one_image_may_take():
    spy = SpyBackend()
    with pytest.raises(ImageRejected) as refusal:
        ImageCompressor(ImageRecipe.web(), backend=spy, memory=1000).compress(SMALL)
    assert (refusal.value.reason, refusal.value.limit) == ("memory", 1000)
    ImageCompressor(ImageRecipe.web(), backend=spy, memory=refusal.value.actual).compress(SMALL)


# The photograph


@cache
def web():
    return ImageCompressor(ImageRecipe.web()).compress(pictures.PHOTO)


def test_the_photograph_becomes_a_small_webp_inside_1920_by_1080():
    image = web()
    assert (image.format, image.content_type) == ("webp", "image/webp")
    assert (image.width, image.height) == (1920, 1080)
    assert pictures.decoded(image.data).size == (1920, 1080)
    assert image.input_bytes == pictures.PHOTO.stat().st_size
    assert image.ratio == image.output_bytes / image.input_bytes < 0.1
    assert image.report.plan.shrink == 2
    assert image.report.plan.memory < 64 * 2**20


def test_the_photograph_looks_like_that_of_the_naive_chain():
    with Image.open(pictures.PHOTO) as photo:
        # Decoded at half size for speed; the naive chain's own 230 ms resize is the benchmark's matter.
        photo.draft("RGB", (2656, 1494))
        naive = photo.resize((480, 270), Image.Resampling.BICUBIC)
    ours = pictures.decoded(web().data).resize((480, 270), Image.Resampling.BICUBIC)
    assert similarity(naive, ours) > 0.98
    assert similarity(naive, ours.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) < 0.8


def similarity(one: Image.Image, other: Image.Image) -> float:
    """Mean SSIM of the luma over blocks of 8x8 (Wang et al. 2004, without the Gaussian window)."""
    a, b = one.convert("L").convert("F"), other.convert("L").convert("F")

    def blocks(x: Image.Image, y: Image.Image | None = None) -> array:
        product = x if y is None else ImageMath.lambda_eval(lambda v: v["x"] * v["y"], x=x, y=y)
        return array("f", product.reduce(8).tobytes())

    total = 0.0
    columns = blocks(a), blocks(b), blocks(a, a), blocks(b, b), blocks(a, b)
    for x, y, xx, yy, xy in zip(*columns, strict=True):
        contrast = (2 * (xy - x * y) + 58.5) / (xx - x * x + yy - y * y + 58.5)
        total += contrast * (2 * x * y + 6.5) / (x * x + y * y + 6.5)
    return total / len(columns[0])


# What comes out


FUZZED = ["AVIF"] if "avif" in features.modules else []
ENCODERS = [Jpeg, Webp, *([Avif] if "avif" in features.modules else [])]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("quality", [10, 40, 60])
def test_never_larger_than_the_input_when_nothing_had_to_change(encoder, quality):
    quick = {"speed": 10} if encoder is Avif else {}
    if encoder is Avif:
        quality += 30  # at 10 the file is nearly all header already
    data = pictures.encoded(pictures.noise(192, 128), encoder.format.upper(), quality=quality)
    image = ImageCompressor(ImageRecipe().fit(500, 500).encode(encoder(95, **quick))).compress(data)
    assert image.output_bytes <= image.input_bytes
    assert (image.width, image.height) == (192, 128)
    assert image.report.encoding.quality < 95
    assert image.report.encodes > 1
    assert image.report.reached
    changed = ImageCompressor(ImageRecipe().fit(191, 500).encode(encoder(95, **quick))).compress(data)
    assert (changed.report.encoding, changed.report.encodes) == (encoder(95, **quick), 1)


def test_a_picture_too_tiny_to_shrink_says_so():
    spy = SpyBackend(length=lambda encoding: 500 + encoding.quality)
    image = ImageCompressor(ImageRecipe().encode(Jpeg()), backend=spy).compress(hostile.jpeg(8, 8))
    assert (image.output_bytes, image.report.reached, image.report.encoding.quality) == (580, False, 80)


@pytest.mark.parametrize("encoding", [Png(), Webp(lossless=True)])
def test_lossless_formats_may_grow(encoding):
    spy = SpyBackend(length=lambda encoding: 10_000)
    data = SMALL if encoding == Png() else hostile.riff(hostile.vp8l(8, 8))
    image = ImageCompressor(ImageRecipe().encode(encoding), backend=spy).compress(data)
    assert (image.output_bytes, image.report.encodes, image.report.encoding) == (10_000, 1, encoding)


@given(st.binary(min_size=24, max_size=200), st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]))
def test_never_a_byte_of_the_upload_is_passed_through(payload, name):
    payload = b"<?php " + payload
    data = cached_picture(name)
    where = {
        "JPEG": data[:2] + hostile.segment(0xFE, payload) + hostile.segment(0xED, payload) + data[2:],
        "PNG": data[:33] + hostile.chunk(b"tEXt", b"a\0" + payload) + data[33:],
        "GIF": data[:-1] + b"!\xfe" + bytes([len(payload)]) + payload + b"\0" + data[-1:],
        "WEBP": data,
    }[name]
    for encoding in (Jpeg(), Webp(), Png()):
        out = ImageCompressor(ImageRecipe().encode(encoding)).compress(where + payload).data
        assert b"<?php" not in out
        assert probe(out).trailing_bytes == 0


@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", *FUZZED]), st.data())
def test_damaged_uploads_give_an_image_or_a_typed_error(name, data):
    damaged = bytearray(cached_picture(name))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = compressor_to_webp().compress(bytes(damaged))
    except (ImageRejected, ImageBroken):
        return
    assert image.width <= 20
    assert not probe(image.data).truncated


@cache
def compressor_to_webp():
    return ImageCompressor(ImageRecipe().fit(20, 20))


@cache
def cached_picture(name):
    return pictures.encoded(pictures.noise(32, 24), name)


def test_same_input_and_recipe_same_bytes_and_name():
    data = cached_picture("JPEG")
    one, other = (ImageCompressor(ImageRecipe().fit(20, 20)).compress(data) for _ in range(2))
    assert one == other
    assert one.filename == other.filename == one.sha256 + ".webp"
    assert one.report.backend == PillowBackend().version
    assert pickle.loads(pickle.dumps(one)) == one


# What goes in


def test_bytes_paths_and_files_are_alike(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(cached_picture("PNG"))
    compressor = ImageCompressor(ImageRecipe().fit(20, 20))
    expected = compressor.compress(cached_picture("PNG"))
    assert compressor.compress(bytearray(cached_picture("PNG"))) == expected
    assert compressor.compress(memoryview(cached_picture("PNG"))) == expected
    assert compressor.compress(path) == expected
    assert compressor.compress(str(path)) == expected
    with path.open("rb") as file:
        assert compressor.compress(file) == expected
    with path.open("rb", buffering=0) as file:
        assert compressor.compress(file) == expected


class Dripping(io.RawIOBase):
    """A file that gives one byte at a time, and notes how many it gave."""

    def __init__(self, data):
        self.data, self.given, self.most_asked = data, 0, 0

    def read(self, size=-1):
        self.given += 1
        self.most_asked = max(self.most_asked, size)
        return self.data[self.given - 1 : self.given]


def test_a_file_that_gives_little_is_read_to_its_end_but_not_beyond_the_limit(tmp_path):
    spy = SpyBackend()
    assert ImageCompressor(ImageRecipe(), backend=spy).compress(Dripping(SMALL)).input_bytes == len(SMALL)
    limited = ImageCompressor(ImageRecipe(), backend=spy, limits=ImageLimits(max_bytes=len(SMALL) - 5))
    file = Dripping(SMALL)
    with pytest.raises(ImageRejected) as refusal:
        limited.compress(file)
    assert (refusal.value.reason, refusal.value.actual, file.given) == (
        "bytes",
        len(SMALL) - 4,
        len(SMALL) - 4,
    )
    assert file.most_asked == len(SMALL) - 4  # one more than the limit, to see that it is broken
    path = tmp_path / "upload"
    path.write_bytes(SMALL)
    with pytest.raises(ImageRejected) as refusal:
        limited.compress(path)
    assert refusal.value.actual == len(SMALL)
    exact = ImageCompressor(ImageRecipe(), backend=spy, limits=ImageLimits(max_bytes=len(SMALL)))
    assert exact.compress(path).input_bytes == len(SMALL)


@pytest.mark.parametrize("source", [None, 5, object(), ["a"], io.StringIO("text")])
def test_a_source_of_another_kind_is_refused(source):
    with pytest.raises(ConfigurationError, match="expected source as"):
        ImageCompressor(ImageRecipe(), backend=SpyBackend()).compress(source)


def test_a_path_that_is_not_there_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        ImageCompressor(ImageRecipe(), backend=SpyBackend()).compress(Path(tmp_path / "none"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipe": None}, "expected recipe as an ImageRecipe"),
        ({"limits": 5}, "expected limits as ImageLimits"),
        ({"backend": object()}, "expected backend as an ImageBackend object"),
        ({"backend": SpyBackend}, "expected backend as an ImageBackend object"),
        ({"workers": 0}, "expected workers >= 1; got 0"),
        ({"workers": True}, "expected workers as an integer >= 1; got True"),
        ({"memory": 0}, "expected memory >= 1"),
        ({"on_event": 5}, "expected on_event as a callable of one event, or None; got 5"),
        ({"clock": 5}, "expected clock as a callable that returns seconds; got 5"),
        ({"clock": None}, "expected clock as a callable that returns seconds; got None"),
        ({"memory": 1e9}, "expected memory as an integer"),
        ({"recipe": ImageRecipe().encode(Jpeg(13))}, "expected encoding of a lucky quality"),
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        ImageCompressor(**{"recipe": ImageRecipe(), "backend": SpyBackend(), **arguments})


# Work under way


def test_no_more_than_workers_at_once_and_the_others_wait():
    spy = SpyBackend()
    spy.gate = threading.Event()
    compressor = ImageCompressor(ImageRecipe(), backend=spy, workers=2)
    threads = [threading.Thread(target=compressor.compress, args=(SMALL,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert spy.entered.acquire(timeout=10)
    assert spy.entered.acquire(timeout=10)
    assert not spy.entered.acquire(timeout=0.05)
    spy.gate.set()
    for thread in threads:
        thread.join(10)
    assert (len(spy.calls), spy.most_at_once) == (6, 2)


def test_a_worker_is_free_again_after_a_failure():
    spy = SpyBackend(error=ImageBroken("bad"))
    compressor = ImageCompressor(ImageRecipe(), backend=spy, workers=1)
    for _ in range(3):
        with pytest.raises(ImageBroken):
            compressor.compress(SMALL)


def test_closed_is_closed():
    with ImageCompressor(ImageRecipe(), backend=SpyBackend()) as compressor:
        compressor.compress(SMALL)
    compressor.close()
    with pytest.raises(RuntimeError, match="the image compressor is closed"):
        compressor.compress(SMALL)


# Events


@pytest.mark.parametrize(
    ("error", "data", "outcome", "reason"),
    [
        (None, SMALL, "ok", None),
        (None, b"", "rejected", "format"),
        (None, SMALL[:-1], "broken", None),
        (BackendError("spy", "render", "no"), SMALL, "error", None),
    ],
)
def test_each_call_is_reported(error, data, outcome, reason):
    events = []
    clock = ManualClock()
    spy = SpyBackend(error=error, length=lambda encoding: clock.advance("2s") or 10)
    compressor = ImageCompressor(ImageRecipe(), backend=spy, on_event=events.append, clock=clock)
    try:
        image = compressor.compress(data)
    except (ImageRejected, ImageBroken, BackendError):
        image = None
    (event,) = events
    assert (event.block, event.name, event.outcome, event.reason) == ("images", "compress", outcome, reason)
    if outcome == "ok":
        assert event.seconds == 2
        assert (event.input_format, event.input_bytes, event.output_bytes) == ("png", len(SMALL), 10)
        assert image.output_bytes == 10
    else:
        assert event.seconds == 0
        assert event.input_format is event.input_bytes is event.output_bytes is None
