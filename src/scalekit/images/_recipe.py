"""What to make of an image: immutable, comparable, and storable as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self, cast

from scalekit.errors import ConfigurationError
from scalekit.images._check import colour
from scalekit.images._formats import Encoding, Webp, encoding, encoding_from_dict, encoding_to_dict
from scalekit.images._geometry import Contain, Cover, Fit, Geometry

_VERSION = 1
_GEOMETRIES: dict[str, type[Geometry]] = {"fit": Fit, "cover": Cover, "contain": Contain}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    """A recipe; each step returns a new one, and a step given twice counts as given last.

    Always part of it: upright pixels, sRGB, no metadata. Without `encode` the output is `Webp()`.
    Without alpha in the output, transparent parts show white unless `flatten` says otherwise.
    """

    geometry: Geometry | None = None
    """The resizing step, None for none."""
    ground: str | None = None
    """The colour of `flatten` as "#rrggbb", None where the step is absent."""
    encoding: Encoding = field(default_factory=Webp)
    """The output's format and settings."""

    def __post_init__(self) -> None:
        if self.geometry is not None and not isinstance(self.geometry, (Fit, Cover, Contain)):
            raise ConfigurationError("geometry", self.geometry, "from fit(), cover() or contain()")
        if self.ground is not None:
            object.__setattr__(self, "ground", colour(self.ground, "ground"))
        encoding(self.encoding)

    @classmethod
    def web(cls) -> Self:
        """Return the recipe for a picture on a page: inside 1920x1080, WebP."""
        return cls().fit(1920, 1080)

    def fit(self, width: int, height: int) -> Self:
        """Scale down to lie inside `width` x `height` pixels; a smaller picture stays as it is."""
        return replace(self, geometry=Fit(width, height))

    def cover(self, width: int, height: int, *, focal: tuple[float, float] = (0.5, 0.5)) -> Self:
        """Fill `width` x `height` pixels and cut the rest; a smaller picture is cut, not enlarged.

        `focal` (fractions of width and height, from the top left) is kept as central as possible.
        """
        return replace(self, geometry=Cover(width, height, focal=focal))

    def contain(self, width: int, height: int, *, background: str = "#fff") -> Self:
        """Centre the picture, never enlarged, on a `background` of exactly `width` x `height` pixels."""
        return replace(self, geometry=Contain(width, height, background=background))

    def flatten(self, ground: str = "#fff") -> Self:
        """Put transparent parts on an opaque ground, "#rgb" or "#rrggbb"."""
        return replace(self, ground=colour(ground, "ground"))

    def encode(self, encoding: Encoding) -> Self:
        """Encode as `Jpeg(...)`, `Webp(...)`, `Avif(...)` or `Png()`."""
        return replace(self, encoding=encoding)

    @property
    def digest(self) -> str:
        """SHA-256 of the recipe, in hex: equal recipes have equal digests in every process."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        import hashlib  # noqa: PLC0415  # loads OpenSSL: a tenth of the import time of the block

        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain data for JSON; `from_dict` turns it back."""
        return {
            "version": _VERSION,
            "resize": None if self.geometry is None else _geometry_to_dict(self.geometry),
            "flatten": self.ground,
            "encode": encoding_to_dict(self.encoding),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the recipe of `to_dict`; `ConfigurationError` for anything it could not have written."""
        given = _mapping(fields, "fields")
        known = {"version", "resize", "flatten", "encode"}
        if set(given) != known:
            keys = f"with exactly the keys {', '.join(sorted(known))}, as to_dict() writes them"
            raise ConfigurationError("fields", fields, keys)
        if given["version"] != _VERSION:
            raise ConfigurationError("version", given["version"], f"as {_VERSION}, the only one so far")
        return cls(
            geometry=None if given["resize"] is None else _geometry_from_dict(given["resize"]),
            ground=given["flatten"],
            encoding=encoding_from_dict(_mapping(given["encode"], "encode")),
        )


def _mapping(value: object, parameter: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(parameter, value, "as a mapping")
    return dict(cast("Mapping[str, Any]", value))


def _geometry_to_dict(geometry: Geometry) -> dict[str, Any]:
    fields = {"kind": type(geometry).__name__.lower(), **asdict(geometry)}
    if isinstance(geometry, Cover):
        fields["focal"] = list(geometry.focal)  # what JSON would make of it
    return fields


def _geometry_from_dict(value: object) -> Geometry:
    settings = _mapping(value, "resize")
    name = settings.pop("kind", None)
    kind = _GEOMETRIES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ConfigurationError("resize", value, f"with a kind out of {', '.join(sorted(_GEOMETRIES))}")
    try:
        return kind(**settings)
    except TypeError:
        raise ConfigurationError("resize", value, f"with the settings of {kind.__name__}") from None
