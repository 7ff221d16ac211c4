from __future__ import annotations

import hashlib

import pytest

from scalekit.images import ImageCompressor, ImageRecipe, Jpeg
from tests.images import hostile
from tests.images.backends import SpyBackend


@pytest.fixture
def image():
    data = hostile.png(40, 30)
    return ImageCompressor(ImageRecipe().encode(Jpeg()), backend=SpyBackend()).compress(data)


def test_its_name_and_headers_come_from_its_bytes(image):
    digest = hashlib.sha256(b"x" * 10).hexdigest()
    assert image.sha256 == digest
    assert image.filename == f"{digest}.jpg"
    assert image.cache_headers() == {
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": f'"{digest}"',
    }


def test_what_it_says_about_itself(image):
    assert (image.format, image.content_type, image.width, image.height) == ("jpeg", "image/jpeg", 40, 30)
    assert image.ratio == 10 / image.input_bytes
    assert image.report.plan.source.format == "png"
    assert image.report.backend == "spy 1"
    assert "xxxx" not in repr(image)
