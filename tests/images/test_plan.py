from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError, ImageRejected
from scalekit.images import Avif, ImageInfo, ImageRecipe, Jpeg, Png, Webp, plan

PHOTO = ImageInfo("jpeg", 6000, 4000, scans=1, sampling=((2, 2), (1, 1), (1, 1)), input_bytes=5_000_000)
JPEG = ImageRecipe().encode(Jpeg())

sides = st.integers(1, 3000)
infos = st.builds(
    ImageInfo,
    st.sampled_from(["jpeg", "png", "webp", "gif", "avif"]),
    sides,
    sides,
    orientation=st.integers(1, 8),
    has_alpha=st.booleans(),
    icc=st.booleans(),
)
points = st.tuples(st.floats(0, 1), st.floats(0, 1))


def planned(info, recipe):
    """The plan, or None where the result would be thinner than a pixel."""
    try:
        return plan(info, recipe)
    except ImageRejected as error:
        refusal = error
    assert refusal.reason == "aspect"
    assert refusal.actual < 1
    return None


def laws(made, info):
    """What every plan keeps."""
    left, top, right, bottom = made.box
    assert -1e-6 <= left < right <= info.width + 1e-6
    assert -1e-6 <= top < bottom <= info.height + 1e-6
    assert made.size[0] <= right - left + 0.5 + 1e-6  # rounding aside, nothing is enlarged
    assert made.size[1] <= bottom - top + 0.5 + 1e-6
    assert made.memory > 0
    assert (made.shrink == 1) or info.format == "jpeg"
    across, down = -(-info.width // made.shrink) / info.width, -(-info.height // made.shrink) / info.height
    assert (right - left) * across >= made.size[0] - 0.5 - 1e-6 or made.shrink == 1
    assert (bottom - top) * down >= made.size[1] - 0.5 - 1e-6 or made.shrink == 1


@given(infos, sides, sides)
def test_fit_lies_inside_keeps_proportions_and_never_enlarges(info, width, height):
    made = planned(info, JPEG.fit(width, height))
    if made is None:
        return
    laws(made, info)
    upright = info.upright_size
    assert made.canvas[0] <= min(width, upright[0])
    assert made.canvas[1] <= min(height, upright[1])
    assert made.canvas == upright or made.canvas[0] == width or made.canvas[1] == height
    assert abs(made.canvas[0] * upright[1] - made.canvas[1] * upright[0]) <= max(upright)
    assert made.size == (made.canvas if info.orientation < 5 else made.canvas[::-1])


@given(infos, sides, sides, points)
def test_cover_fills_and_cuts(info, width, height, focal):
    made = planned(info, JPEG.cover(width, height, focal=focal))
    if made is None:
        return
    laws(made, info)
    upright = info.upright_size
    if upright[0] >= width and upright[1] >= height:
        assert made.canvas == (width, height)
    left, top, right, bottom = made.box
    touched = (right - left >= info.width - 1) + (bottom - top >= info.height - 1)
    assert touched >= 1  # as much of the picture as the proportions allow


@given(infos, sides, sides)
def test_contain_is_exactly_as_large_as_asked(info, width, height):
    made = planned(info, ImageRecipe().contain(width, height, background="#102030"))
    if made is None:
        return
    laws(made, info)
    assert made.canvas == (width, height)
    shown = made.size if info.orientation < 5 else made.size[::-1]
    assert all(
        0 <= offset <= side - part for offset, side, part in zip(made.offset, made.canvas, shown, strict=True)
    )
    assert made.ground == made.background == "#102030"


@pytest.mark.parametrize(
    ("width", "height", "shrink"),
    [
        (6000, 4000, 1),
        (3001, 2001, 1),
        (3000, 2000, 2),
        (1920, 1080, 2),
        (1500, 1000, 4),
        (750, 500, 8),
        (9, 6, 8),
    ],
)
def test_the_decoder_shrinks_as_far_as_the_target_allows(width, height, shrink):
    assert plan(PHOTO, JPEG.fit(width, height)).shrink == shrink


def test_shrink_is_chosen_on_the_upright_picture():
    assert plan(PHOTO, JPEG.fit(1920, 1080)).shrink == 2  # 1620x1080
    portrait = plan(replace(PHOTO, orientation=6), JPEG.fit(1920, 1080))
    assert (portrait.shrink, portrait.canvas, portrait.size) == (4, (720, 1080), (1080, 720))


def test_shrink_looks_at_the_box_that_is_kept():
    assert plan(PHOTO, JPEG.cover(1000, 1000)).shrink == 4
    assert plan(PHOTO, JPEG.cover(100, 2000)).shrink == 2


def test_only_jpeg_shrinks_on_load():
    assert plan(replace(PHOTO, format="png"), JPEG.fit(60, 40)).shrink == 1


@pytest.mark.parametrize(
    ("orientation", "box"),
    [
        (1, (0, 0, 40, 30)),
        (2, (60, 0, 100, 30)),
        (3, (60, 40, 100, 70)),
        (4, (0, 40, 40, 70)),
        (5, (0, 0, 40, 30)),
        (6, (0, 40, 40, 70)),
        (7, (60, 40, 100, 70)),
        (8, (60, 0, 100, 30)),
    ],
)
def test_the_box_is_found_in_the_stored_picture(orientation, box):
    info = ImageInfo("png", 100, 70, orientation=orientation)
    wanted = (40, 30) if orientation < 5 else (30, 40)
    # Cover keeps the whole of one direction, so the corner is cut in two steps: this tests the turn only.
    from scalekit.images._plan import _stored

    assert _stored((0.0, 0.0, *map(float, wanted)), info) == box


@pytest.mark.parametrize(
    ("focal", "box"),
    [
        ((0, 0), (0, 0, 70, 70)),
        ((1, 1), (30, 0, 100, 70)),
        ((0.5, 0.5), (15, 0, 85, 70)),
        ((0.45, 0), (10, 0, 80, 70)),
    ],
)
def test_the_focal_point_is_as_central_as_possible(focal, box):
    assert plan(ImageInfo("png", 100, 70), JPEG.cover(10, 10, focal=focal)).box == pytest.approx(box)


def test_a_smaller_picture_is_cut_to_the_proportions_and_not_enlarged():
    made = plan(ImageInfo("png", 100, 70), JPEG.cover(2000, 1000))
    assert made.canvas == (100, 50)
    assert made.box == pytest.approx((0, 10, 100, 60))


@pytest.mark.parametrize(
    ("info", "recipe", "message"),
    [
        (5, JPEG, r"expected info as an ImageInfo, which probe\(\) returns; got 5"),
        (b"jpeg", JPEG, "expected info as an ImageInfo"),
        (PHOTO, 5, "expected recipe as an ImageRecipe; got 5"),
    ],
)
def test_arguments_of_another_type_are_refused(info, recipe, message):
    with pytest.raises(ConfigurationError, match=message):
        plan(info, recipe)


def test_a_line_is_refused_as_aspect():
    with pytest.raises(ImageRejected) as refusal:
        plan(ImageInfo("png", 10_000, 1), JPEG.fit(1920, 1080))
    assert (refusal.value.reason, refusal.value.limit) == ("aspect", 1)
    assert refusal.value.actual == pytest.approx(0.192)
    for error in (refusal.value, pickle.loads(pickle.dumps(refusal.value))):
        assert str(error) == "expected each side of the result to be >= 1 pixel; got 0.192"
    assert plan(ImageInfo("png", 1920, 1), JPEG.fit(1920, 1080)).canvas == (1920, 1)


def test_an_output_that_the_format_cannot_hold_is_refused():
    info = ImageInfo("png", 16_384, 10)
    with pytest.raises(ImageRejected) as refusal:
        plan(info, ImageRecipe().encode(Webp()))
    assert (refusal.value.reason, refusal.value.limit, refusal.value.actual) == ("side", 16_383, 16_384)
    assert plan(info, JPEG).canvas == (16_384, 10)


def test_ground():
    info = ImageInfo("png", 10, 10, has_alpha=True)
    assert plan(info, JPEG).ground == "#ffffff"
    assert plan(info, JPEG.flatten("#123")).ground == "#112233"
    assert plan(info, ImageRecipe().encode(Avif())).ground is None
    assert plan(info, ImageRecipe().encode(Png()).flatten("#000")).ground == "#000000"


@pytest.mark.parametrize(
    ("change", "recipe", "unchanged"),
    [
        ({}, JPEG, True),
        ({"icc": True}, JPEG, True),
        ({}, JPEG.fit(9000, 9000), True),
        ({}, JPEG.fit(5999, 9000), False),
        ({}, JPEG.contain(7000, 7000), False),
        ({}, ImageRecipe(), False),
        ({"orientation": 2}, JPEG, False),
        ({"format": "webp"}, ImageRecipe(), True),
        ({"format": "webp", "has_alpha": True}, ImageRecipe(), True),
        ({"format": "webp", "has_alpha": True}, ImageRecipe().flatten(), False),
        ({"format": "webp", "frames": 2}, ImageRecipe(), False),
    ],
)
def test_unchanged(change, recipe, unchanged):
    assert plan(replace(PHOTO, **change), recipe).unchanged is unchanged


def test_progressive_input_adds_its_coefficients_to_the_memory_whatever_the_shrink():
    plain = plan(PHOTO, JPEG.fit(300, 200))
    progressive = plan(replace(PHOTO, progressive=True), JPEG.fit(300, 200))
    # 4:2:0 is 1.5 samples per pixel of 2 bytes each; the small decode is next to nothing beside it.
    assert progressive.memory - PHOTO.input_bytes == 3 * PHOTO.pixels + 750 * 500 * 4
    assert plain.memory - PHOTO.input_bytes < 10_000_000


def test_memory_grows_with_the_picture_and_counts_the_input():
    small = plan(replace(PHOTO, width=600, height=400), JPEG)
    assert plan(PHOTO, JPEG).memory > 24_000_000 * 4
    assert small.memory < plan(PHOTO, JPEG).memory
    assert plan(replace(PHOTO, input_bytes=0), JPEG).memory == plan(PHOTO, JPEG).memory - 5_000_000
    by_format = [
        plan(replace(PHOTO, format=name, input_bytes=0), JPEG.fit(10, 10)).memory / PHOTO.pixels
        for name in ("png", "gif", "avif", "webp")
    ]
    assert by_format == sorted(by_format)
    assert by_format[-1] == 16


def test_memory_of_a_turned_picture_is_that_of_the_same_stored_picture():
    stored = replace(PHOTO, width=6000, height=400)
    upright = plan(stored, JPEG.fit(3500, 9000))
    turned = plan(replace(stored, orientation=6), JPEG.fit(9000, 3500))
    assert turned.size == upright.size
    assert turned.memory == upright.memory


def test_explain_tells_every_step():
    info = replace(PHOTO, orientation=6, icc=True, has_alpha=True, frames=3)
    assert plan(info, JPEG.contain(1920, 1080)).explain().splitlines()[:-1] == [
        "decode jpeg 6000x4000 at 1/4: still at least the 720x1080 wanted",
        "take the first of 3 frames",
        "resize to 720x1080",
        "turn upright: orientation 6",
        "convert the embedded colour profile to sRGB, after the resize: fewer pixels",
        "put transparent parts on #ffffff",
        "centre on a canvas of 1920x1080",
        "encode as Jpeg(quality=80, progressive=True), without metadata",
    ]
    assert "cut to 4000x4000 at 1000,0" in plan(PHOTO, JPEG.cover(10, 10)).explain()
    assert plan(PHOTO, JPEG).explain().splitlines()[-1].startswith("estimated peak memory: ")
