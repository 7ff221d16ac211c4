"""Refusals whose reason is no quantity, said so that a client may read them."""

from __future__ import annotations

from typing import cast

from scalekit.errors import ImageRejected


class FormatRejected(ImageRejected):
    """The bytes are of a format outside `limit`, a tuple of names; `actual` is "unknown" for none at all."""

    def __init__(self, reason: str, limit: tuple[str, ...], actual: str) -> None:
        super().__init__(reason, limit, actual)

    def __str__(self) -> str:
        names = cast("tuple[str, ...]", self.limit)
        return f"expected an image in a format out of {', '.join(names)}; got {_named(self.actual)}"


class AspectRejected(ImageRejected):
    """A side of the result would be `actual` pixels, which is below `limit`."""

    def __str__(self) -> str:
        return f"expected each side of the result to be >= {self.limit} pixel; got {self.actual:.3g}"


def _named(name: object) -> str:
    return "an unknown format" if name == "unknown" else f"{name}"
