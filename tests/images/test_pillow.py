from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, features

from scalekit.errors import BackendError, ConfigurationError, ImageBroken, ImageRejected, MissingExtra
from scalekit.images import Avif, ImageBackend, ImageRecipe, Jpeg, Png, Webp, plan, probe
from scalekit.images.pillow import PillowBackend
from tests.images import hostile, pictures

EXACT = ImageRecipe().encode(Png())
AVIF = "avif" in features.modules
ENCODINGS = [Jpeg(), Webp(), Webp(lossless=True), Png(), *([Avif(speed=10)] if AVIF else [])]


def render(data: bytes, recipe: ImageRecipe = EXACT) -> Image.Image:
    """The output of `recipe`, decoded again."""
    made = plan(probe(data), recipe)
    rendered = PillowBackend().render(made, data)
    assert rendered.size == made.canvas
    image = pictures.decoded(rendered.encode(recipe.encoding))
    assert image.size == made.canvas
    return image


@pytest.fixture(autouse=True)
def pillow_settings_are_never_touched():
    settings = [(Image, "MAX_IMAGE_PIXELS"), (ImageFile, "LOAD_TRUNCATED_IMAGES"), (ImageFile, "MAXBLOCK")]
    before = [getattr(module, name) for module, name in settings]
    filters = list(warnings.filters)
    yield
    assert [getattr(module, name) for module, name in settings] == before
    assert warnings.filters == filters


def test_it_is_a_backend_and_names_its_codecs():
    backend = PillowBackend()
    assert isinstance(backend, ImageBackend)
    assert backend.version.startswith("pillow ")
    assert "webp" in backend.version


def test_without_pillow_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtra, match=r"PillowBackend needs PIL: pip install 'scaleblocks\[images\]'"):
        PillowBackend()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_gives_its_format_and_the_same_bytes_each_time(encoding):
    data = pictures.encoded(pictures.noise(), "PNG")
    made = plan(probe(data), ImageRecipe().fit(60, 60).encode(encoding))
    first = PillowBackend().render(made, data).encode(encoding)
    assert PillowBackend().render(made, data).encode(encoding) == first
    info = probe(first)
    assert (info.format, info.width, info.height) == (encoding.format, 60, 40)
    assert (info.metadata_bytes <= 18, info.icc, info.comment, info.trailing_bytes) == (True, False, False, 0)


def test_settings_reach_the_encoder():
    data = pictures.encoded(pictures.noise(), "PNG")
    rendered = PillowBackend().render(plan(probe(data), EXACT), data)
    assert len(rendered.encode(Jpeg(20))) < len(rendered.encode(Jpeg(90)))
    assert probe(rendered.encode(Jpeg())).progressive
    assert not probe(rendered.encode(Jpeg(progressive=False))).progressive
    lossless = pictures.decoded(rendered.encode(Webp(lossless=True)))
    assert (
        lossless.tobytes()
        == pictures.noise().tobytes()
        != pictures.decoded(rendered.encode(Webp())).tobytes()
    )
    if AVIF:
        assert len(rendered.encode(Avif(30))) < len(rendered.encode(Avif(90)))
        assert rendered.encode(Avif(speed=10)) != rendered.encode(Avif(speed=6))


def test_an_encoder_that_pillow_lacks_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(features, "modules", {k: v for k, v in features.modules.items() if k != "avif"})
    backend = PillowBackend()
    with pytest.raises(ConfigurationError, match=r"expected encoding .*pip install 'pillow>=11.3'; got Avif"):
        backend.check(EXACT.encode(Avif()))
    backend.check(EXACT)
    with pytest.raises(ImageRejected, match=r"a format out of gif, jpeg, .*; got avif$"):
        backend.render(plan(probe(hostile.avif(4, 4)), EXACT), b"")
    monkeypatch.setattr(features, "modules", {k: v for k, v in features.modules.items() if k != "webp"})
    with pytest.raises(ConfigurationError, match="a build of Pillow with that codec"):
        PillowBackend().check(EXACT.encode(Webp()))


UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("encoding", [Jpeg(90), Png()])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_upright_cut_and_turned_at_once(orientation, encoding):
    upright = pictures.quarters(160, 120)
    stored = upright if orientation == 1 else upright.transpose(UNDO[orientation])
    data = pictures.encoded(stored, "JPEG", quality=95, exif=hostile.exif(orientation))
    wanted = pictures.corners(upright)
    whole = render(data, ImageRecipe().encode(encoding))
    assert whole.size == (160, 120)
    assert all(map(pictures.near, pictures.corners(whole), wanted))
    small = render(data, ImageRecipe().fit(40, 40).encode(encoding))
    assert small.size == (40, 30)
    assert all(map(pictures.near, pictures.corners(small), wanted))
    left = render(data, ImageRecipe().cover(30, 60, focal=(0, 0)).encode(encoding))
    assert left.size == (30, 60)
    assert pictures.near(pictures.corners(left)[1], wanted[0])
    assert pictures.near(pictures.corners(left)[3], wanted[2])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.integers(1, 8),
)
def test_any_cut_of_any_picture_lies_inside_it(source, target, focal, orientation):
    data = pictures.encoded(Image.new("L", source, 77), "JPEG", exif=hostile.exif(orientation))
    try:
        made = plan(probe(data), EXACT.cover(*target, focal=focal))
    except ImageRejected:
        return
    assert PillowBackend().render(made, data).size == made.canvas


def test_an_edge_that_rounding_carries_beyond_the_picture_does_no_harm():
    data = pictures.encoded(pictures.noise(29, 22), "JPEG")
    assert render(data, EXACT.cover(14, 10, focal=(0, 0))).size == (14, 10)  # 29 * (15 / 29) > 15


def test_contain_centres_on_the_background():
    image = render(pictures.encoded(pictures.quarters(), "PNG"), EXACT.contain(100, 100, background="#0af"))
    assert image.size == (100, 100)
    assert image.getpixel((50, 5)) == image.getpixel((5, 50)) == (0, 170, 255)
    assert image.getpixel((30, 40)) == (220, 20, 20)


def test_a_profile_is_converted_after_the_resize_and_not_written():
    profile = pictures.swapped_profile()
    data = pictures.encoded(
        Image.new("RGB", (32, 32), (200, 30, 30)), "JPEG", quality=95, icc_profile=profile
    )
    assert probe(data).icc
    image = render(data, EXACT.fit(16, 16))
    assert "icc_profile" not in image.info
    red, green, _ = image.getpixel((8, 8))
    assert green > 150 > red  # red and green changed places, so the profile was heeded
    alpha = Image.new("RGBA", (8, 8), (200, 30, 30, 128))
    image = render(pictures.encoded(alpha, "PNG", icc_profile=profile))
    assert (image.mode, image.getpixel((4, 4))[3]) == ("RGBA", 128)
    assert image.getpixel((4, 4))[1] > 150


def test_a_grey_picture_stays_grey_whatever_its_profile():
    grey = Image.linear_gradient("L")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = render(pictures.encoded(grey, "PNG", icc_profile=srgb))
    assert (image.mode, image.tobytes()) == ("L", grey.tobytes())  # a profile for colours does not fit grey


def test_a_grey_profile_is_heeded_and_the_picture_stays_grey():
    data = pictures.encoded(Image.new("L", (8, 8), 55), "PNG", icc_profile=pictures.linear_grey_profile())
    image = render(data)
    assert image.mode == "L"
    assert abs(image.getpixel((4, 4)) - 128) <= 2


@pytest.mark.parametrize("profile", [b"garbage", b"\0" * 200])
def test_a_damaged_profile_counts_as_absent(profile):
    data = pictures.encoded(Image.new("RGB", (8, 8), (10, 200, 30)), "PNG", icc_profile=profile)
    assert render(data).getpixel((4, 4)) == (10, 200, 30)


def test_cmyk_becomes_rgb():
    data = pictures.encoded(pictures.quarters().convert("CMYK"), "JPEG", quality=95)
    image = render(data, EXACT.fit(32, 24))
    assert image.mode == "RGB"
    assert all(
        pictures.near(a, b, 40)
        for a, b in zip(pictures.corners(image), pictures.corners(pictures.quarters()), strict=True)
    )


def test_sixteen_bits_are_scaled_not_clipped():
    samples = [0, 257, 32_896, 65_278, 65_535]
    raw = b"".join(b"\0" + b"".join(value.to_bytes(2, "big") for value in samples) for _ in range(2))
    data = hostile.png(5, 2, depth=16, colour=0, pixels=raw)
    assert list(render(data).tobytes()[:5]) == [0, 1, 128, 254, 255]
    clear = hostile.png(5, 2, depth=16, colour=0, pixels=raw, extra=hostile.chunk(b"tRNS", b"\x80\x80"))
    image = render(clear)
    assert [image.getpixel((x, 0))[3] for x in range(5)] == [255, 255, 0, 255, 255]


def test_sixteen_bit_colour_with_a_transparent_colour():
    raw = (b"\0" + b"\xff\xff\x80\x80\0\0" + b"\0\0\x12\x34\0\0") * 2
    image = render(hostile.png(2, 2, depth=16, pixels=raw, extra=hostile.chunk(b"tRNS", b"\0\0\x12\x34\0\0")))
    assert image.getpixel((0, 0)) == (255, 128, 0, 255)
    assert image.getpixel((1, 0))[3] == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "P with alpha"])
@pytest.mark.parametrize("encoding", [Jpeg(), Webp(), Png()])
def test_every_mode_is_resized_in_a_mode_with_meaning(mode, encoding):
    if mode == "P with alpha":
        data = pictures.encoded(pictures.quarters().quantize(8), "PNG", transparency=b"\xff\x80")
    else:
        data = pictures.encoded(Image.new("L", (40, 40), 255).convert(mode), "PNG")
    image = render(data, ImageRecipe().fit(20, 20).encode(encoding))
    assert max(image.size) == 20
    assert image.mode in {"L", "RGB", "RGBA"}


def secret(mode: str) -> bytes:
    """White with a red square in the middle that is fully transparent."""
    image = Image.new("RGBA", (40, 40), (255, 255, 255, 255))
    image.paste((255, 0, 0, 0), (10, 10, 30, 30))
    if mode == "LA":
        image = Image.merge("LA", (image.getchannel("G"), image.getchannel("A")))
    if mode == "P":
        palette = Image.new("P", (40, 40), 0)
        palette.putpalette([255, 255, 255, 255, 0, 0])
        palette.paste(1, (10, 10, 30, 30))
        return pictures.encoded(palette, "PNG", transparency=1)
    if mode == "GIF":
        return pictures.encoded(image, "GIF")
    if mode == "RGB":
        rgb = Image.new("RGB", (40, 40), (255, 255, 255))
        rgb.paste((255, 0, 0), (10, 10, 30, 30))
        return pictures.encoded(rgb, "PNG", transparency=(255, 0, 0))
    if mode == "WEBP":
        return pictures.encoded(image, "WEBP", lossless=True, exact=True)
    return pictures.encoded(image, "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "GIF", "WEBP"])
@pytest.mark.parametrize("recipe", [ImageRecipe(), ImageRecipe().fit(20, 20)])
def test_hidden_colour_is_never_shown(mode, recipe):
    data = secret(mode)
    assert probe(data).has_alpha
    flat = render(data, recipe.encode(Png()).flatten("#fff"))
    assert flat.mode == "RGB"
    assert flat.getextrema() == ((255, 255),) * 3
    white = render(data, recipe.encode(Jpeg(95)))
    assert min(low for low, _ in white.getextrema()) >= 250
    black = render(data, recipe.encode(Jpeg(95)).flatten("#000"))
    assert black.convert("L").getpixel((black.width // 2, black.height // 2)) <= 8
    kept = render(data, recipe.encode(Png()))
    assert kept.getpixel((kept.width // 2, kept.height // 2)) == (0, 0, 0, 0)
    assert kept.getpixel((1, 1)) == (255, 255, 255, 255)


def test_alpha_that_is_nowhere_transparent_is_dropped():
    data = pictures.encoded(Image.new("RGBA", (8, 8), (1, 2, 3, 255)), "PNG")
    assert render(data).mode == "RGB"


MARK = b"SECRET-MARK"


def marked(name: str) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = MARK.decode()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    settings = {"exif": exif.tobytes(), "icc_profile": srgb, "xmp": MARK, "comment": MARK}
    if name == "GIF":
        settings = {"comment": MARK}
    return pictures.encoded(pictures.quarters(), name, **settings)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", *(["AVIF"] if AVIF else [])])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("recipe", [ImageRecipe(), ImageRecipe().fit(30, 30)])
def test_no_metadata_is_written(name, encoding, recipe):
    data = marked(name)
    assert MARK in data
    made = plan(probe(data), recipe.encode(encoding))
    out = PillowBackend().render(made, data).encode(encoding)
    assert MARK not in out
    info = probe(out)
    assert (info.icc, info.comment, info.orientation) == (False, False, 1)
    assert info.metadata_bytes <= 18  # JPEG's own JFIF header
    assert not set(pictures.decoded(out).info) & {"exif", "icc_profile", "xmp", "comment", "photoshop"}


@pytest.mark.parametrize("format_", ["png", "webp", "gif", "avif"])
def test_pillow_may_try_one_format_only(format_, monkeypatch):
    opened = []
    monkeypatch.setattr(Image, "open", lambda file, formats: opened.append(formats) or 1 / 0)
    data = pictures.encoded(pictures.quarters(), "PNG")
    if format_ == "avif" and not AVIF:
        return
    made = plan(replace(probe(data), format=format_), EXACT)
    with pytest.raises(ImageBroken) as broken:
        PillowBackend().render(made, data)
    assert isinstance(broken.value.__cause__, ZeroDivisionError)
    assert opened == [[format_.upper()]]


def test_a_decoder_that_sees_other_dimensions_than_the_header_walk_is_not_trusted():
    data = pictures.encoded(pictures.quarters(), "PNG")
    made = plan(replace(probe(data), width=63), EXACT)
    with pytest.raises(ImageBroken, match="the header says 63x48, the decoder 64x48 pixels"):
        PillowBackend().render(made, data)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", *(["AVIF"] if AVIF else [])])
def test_damaged_data_is_broken_whatever_pillow_raises(name):
    data = pictures.encoded(pictures.noise(), name)
    made = plan(probe(data), EXACT)
    for cut in (12, len(data) // 2):
        with pytest.raises(ImageBroken) as broken:
            PillowBackend().render(made, data[:cut])
        # The text may go to a client; the driver's own, which names objects and addresses, must not.
        assert str(broken.value) == f"the {name.lower()} image cannot be decoded"
        assert broken.value.__cause__ is not None


@pytest.mark.parametrize("name", ["zTXt", "iCCP"])
def test_a_compressed_chunk_that_explodes_is_refused_by_pillow(name):
    import zlib

    body = b"a\0\0" + zlib.compress(b"\0" * 30_000_000, 9)
    data = pictures.encoded(pictures.quarters(), "PNG")
    bomb = data[:33] + hostile.chunk(name.encode(), body) + data[33:]
    assert probe(bomb).metadata_bytes < 2**20
    with pytest.raises(ImageBroken):
        render(bomb)


def test_lack_of_memory_is_not_the_images_fault(monkeypatch):
    data = pictures.encoded(pictures.quarters(), "PNG")
    made = plan(probe(data), EXACT)
    rendered = PillowBackend().render(made, data)
    monkeypatch.setattr(Image.Image, "save", lambda *args, **kwargs: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(BackendError, match="pillow encode: out of memory"):
        rendered.encode(Png())
    monkeypatch.setattr(Image.Image, "save", lambda *args, **kwargs: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(BackendError, match="pillow encode: disk"):
        rendered.encode(Png())
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(BackendError, match="pillow render: out of memory"):
        PillowBackend().render(made, data)


@pytest.mark.parametrize("setting", [40, 2000])
def test_pillows_own_bomb_limit_is_respected_as_a_limit_on_pixels(setting, monkeypatch):
    data = pictures.encoded(
        pictures.quarters(), "PNG"
    )  # 3072 pixels: above once, and above twice the setting
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", setting)
    with pytest.raises(ImageRejected) as refusal:
        PillowBackend().render(plan(probe(data), EXACT), data)
    assert (refusal.value.reason, refusal.value.actual) == ("pixels", 3072)
    assert setting == Image.MAX_IMAGE_PIXELS


def test_the_decoder_is_asked_for_the_planned_shrink_only(monkeypatch):
    data = pictures.encoded(pictures.noise(400, 300), "JPEG")
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, *a, **k: sizes.append(self.size) or resize(self, *a, **k)
    )
    for width in (399, 201, 199, 101, 99, 51, 49, 25):
        render(data, ImageRecipe().fit(width, 300).encode(Jpeg()))
    assert sizes == [size for size in ((400, 300), (200, 150), (100, 75), (50, 38)) for _ in range(2)]


def test_multi_picture_files_of_phones_give_their_first_picture():
    first, second = pictures.noise(400, 300), Image.new("RGB", (40, 30), "red")
    out = BytesIO()
    first.save(out, "MPO", save_all=True, append_images=[second])
    data = out.getvalue()
    info = probe(data)
    assert (info.format, info.width, info.height) == ("jpeg", 400, 300)
    assert info.trailing_bytes > 0
    image = render(data, ImageRecipe().fit(100, 100).encode(Jpeg()))
    assert image.size == (100, 75)
