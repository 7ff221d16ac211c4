from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.images import Avif, ImageRecipe, Jpeg, Png, Webp

sides = st.integers(1, 65_535)
quality = st.integers(1, 100)
fraction = st.floats(0, 1)
colours = st.from_regex(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})", fullmatch=True)
encodings = st.one_of(
    st.builds(Jpeg, quality, progressive=st.booleans()),
    st.builds(Webp, quality, lossless=st.booleans()),
    st.builds(Avif, quality, speed=st.integers(0, 10)),
    st.just(Png()),
)


@st.composite
def recipes(draw):
    recipe = ImageRecipe().encode(draw(encodings))
    match draw(st.integers(0, 3)):
        case 1:
            recipe = recipe.fit(draw(sides), draw(sides))
        case 2:
            recipe = recipe.cover(draw(sides), draw(sides), focal=(draw(fraction), draw(fraction)))
        case 3:
            recipe = recipe.contain(draw(sides), draw(sides), background=draw(colours))
    return recipe.flatten(draw(colours)) if draw(st.booleans()) else recipe


@given(recipes(), recipes())
def test_a_recipe_survives_json_and_equal_recipes_have_equal_digests(one, other):
    again = ImageRecipe.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one
    assert hash(again) == hash(one)
    assert again.digest == one.digest
    assert (one == other) == (one.digest == other.digest) == (one.to_dict() == other.to_dict())
    assert pickle.loads(pickle.dumps(one)) == one


def test_the_digest_does_not_change_between_releases():
    assert ImageRecipe.web().digest == "20bcdcd490021548784389fb474c46cf03f17f52d73b480e7456f6ab6a2a7d21"


def test_steps_return_new_recipes_and_the_last_counts():
    plain = ImageRecipe()
    fitted = plain.fit(10, 20)
    assert plain == ImageRecipe() != fitted
    assert fitted.cover(5, 5) == plain.cover(5, 5)
    assert plain.encode(Jpeg()).encode(Png()) == plain.encode(Png())
    assert ImageRecipe.web() == ImageRecipe().fit(1920, 1080).encode(Webp(80))
    with pytest.raises(AttributeError):
        plain.ground = "#000"


def test_colours_have_one_spelling():
    assert ImageRecipe().flatten("#FfF") == ImageRecipe().flatten("#ffffff") == ImageRecipe().flatten()
    assert ImageRecipe(ground="#FFF").ground == "#ffffff"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: r.fit(0, 5), "expected width from 1 to 65535; got 0"),
        (lambda r: r.fit(5, 70_000), "expected height from 1 to 65535; got 70000"),
        (lambda r: r.fit(5.0, 5), "expected width as an integer from 1 to 65535; got 5.0"),
        (lambda r: r.fit(True, 5), "expected width as an integer from 1 to 65535; got True"),
        (lambda r: r.cover(5, 5, focal=(0.5, 1.1)), "expected focal as two fractions"),
        (lambda r: r.cover(5, 5, focal=(float("nan"), 0)), "expected focal as two fractions"),
        (lambda r: r.cover(5, 5, focal=(True, 0)), "expected focal as two fractions"),
        (lambda r: r.cover(5, 5, focal=(0.5,)), "expected focal as two fractions"),
        (lambda r: r.cover(5, 5, focal=0.5), "expected focal as two fractions"),
        (lambda r: r.cover(5, 5, focal=(0.1, "x", 0.2)), "expected focal as two fractions"),
        (lambda r: r.contain(5, 5, background="white"), "expected background as a colour like '#fff'"),
        (lambda r: r.flatten("#ffff"), "expected ground as a colour"),
        (lambda r: r.flatten("#fff\n"), "expected ground as a colour"),
        (lambda r: r.flatten(None), "expected ground as a colour"),
        (lambda r: r.encode("jpeg"), r"expected encoding as Jpeg\(...\), Webp"),
        (lambda r: r.encode(Jpeg), r"expected encoding as Jpeg"),
        (lambda r: ImageRecipe(geometry="fit"), "expected geometry from fit"),
        (lambda r: Jpeg(0), "expected quality from 1 to 100; got 0"),
        (lambda r: Jpeg(101), "expected quality from 1 to 100"),
        (lambda r: Jpeg(80.0), "expected quality as an integer"),
        (lambda r: Jpeg(progressive=1), "expected progressive as True or False; got 1"),
        (lambda r: Webp(True), "expected quality as an integer"),
        (lambda r: Webp(lossless="no"), "expected lossless as True or False"),
        (lambda r: Avif(speed=11), "expected speed from 0 to 10; got 11"),
        (lambda r: Avif(-1), "expected quality from 1 to 100"),
    ],
)
def test_bad_steps_are_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make(ImageRecipe())


GOOD = ImageRecipe().cover(4, 4).encode(Jpeg()).to_dict()


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {},
        {**GOOD, "version": 2},
        {**GOOD, "extra": 1},
        {**GOOD, "resize": "fit"},
        {**GOOD, "resize": {}},
        {**GOOD, "resize": {"kind": "stretch", "width": 1, "height": 1}},
        {**GOOD, "resize": {"kind": ["fit"], "width": 1, "height": 1}},
        {**GOOD, "resize": {"kind": "fit", "width": 1}},
        {**GOOD, "resize": {"kind": "fit", "width": 1, "height": 1, "focal": 1}},
        {**GOOD, "resize": {"kind": "fit", "width": 1, "height": "1"}},
        {**GOOD, "flatten": "red"},
        {**GOOD, "encode": None},
        {**GOOD, "encode": {}},
        {**GOOD, "encode": {"format": "gif"}},
        {**GOOD, "encode": {"format": []}},
        {**GOOD, "encode": {"format": "jpeg", "speed": 3}},
    ],
)
def test_from_dict_refuses_what_to_dict_cannot_have_written(fields):
    with pytest.raises(ConfigurationError):
        ImageRecipe.from_dict(fields)


def test_a_refused_dictionary_is_told_what_is_wrong_with_it():
    with pytest.raises(ConfigurationError) as caught:
        ImageRecipe.from_dict({})
    assert str(caught.value) == (
        "expected fields with exactly the keys encode, flatten, resize, version, as to_dict() writes them;"
        " got {}"
    )
    with pytest.raises(ConfigurationError, match="expected version as 1, the only one so far; got 2"):
        ImageRecipe.from_dict({**GOOD, "version": 2})
