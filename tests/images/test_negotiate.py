from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.errors import ConfigurationError
from scalekit.images import negotiate

CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
SAFARI = "image/webp,image/avif,image/jxl,image/heic,video/*;q=0.8,image/png,image/*;q=0.8,*/*;q=0.5"
ALL = ["jpeg", "webp", "avif"]


@pytest.mark.parametrize(
    ("accept", "offered", "chosen"),
    [
        ("image/avif,image/webp;q=0.8,*/*;q=0.1", ALL, "avif"),
        (CHROME, ["webp", "avif", "jpeg"], "webp"),
        (CHROME, ALL, "webp"),
        (CHROME, ["jpeg", "png"], "jpeg"),
        (SAFARI, ["jpeg", "avif"], "avif"),
        ("*/*", ["webp", "avif", "jpeg"], "jpeg"),
        ("image/*", ["webp", "jpeg"], "jpeg"),
        ("*/*", ["webp", "avif"], "webp"),
        ("", ["webp", "jpeg"], "jpeg"),
        (None, ["webp", "avif"], "webp"),
        ("image/webp", ALL, "webp"),
        ("image/webp;q=0", ["webp"], None),
        ("image/webp;q=0, */*", ["webp"], None),
        ("image/*;q=0, */*;q=1", ALL, None),
        ("text/html", ALL, None),
        ("IMAGE/WEBP ; Q=0.9 , image/jpeg;q=0.5", ALL, "webp"),
        ("image/webp;level=1;q=0.2, image/jpeg;q=0.3", ALL, "jpeg"),
        ("image/webp;q=2, image/jpeg;q=0.1", ALL, "jpeg"),
        ("image/webp;q=nan, image/jpeg;q=0.1", ALL, "jpeg"),
        ("image/webp;q=1.000", ALL, "webp"),
        (",,;;,", ALL, None),
        ("image/jpeg;q=0.5,image/webp;q=0.5", ALL, "jpeg"),
    ],
)
def test_negotiation(accept, offered, chosen):
    assert negotiate(accept, offered) == chosen


@given(st.text(), st.lists(st.sampled_from(["jpeg", "webp", "avif", "png", "gif"]), min_size=1))
def test_any_header_gives_an_offer_or_none(accept, offered):
    assert negotiate(accept, offered) in {None, *offered}


@pytest.mark.parametrize("offered", [[], ["tiff"], "jpeg", ["jpeg", "heif"]])
def test_bad_offers_are_refused(offered):
    with pytest.raises(ConfigurationError, match="expected offered as names out of"):
        negotiate("*/*", offered)


def test_a_header_that_is_no_text_is_refused():
    with pytest.raises(ConfigurationError, match="expected accept as the text of a header"):
        negotiate(b"*/*", ["jpeg"])
