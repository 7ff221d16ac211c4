"""The `Link` header of RFC 8288: where the neighbouring pages are, for clients that follow links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_URI = "%/:?#[]@!$&'()*+,;=-._~"  # what RFC 3986 allows besides letters and digits


def link_header(url: object, parameter: str, targets: Iterable[tuple[str, str | None]]) -> str:
    """Return the header's value: for each (relation, value) `url` with the query `parameter` set so.

    A value of None leaves the parameter out. Other query parameters stay as they are, a fragment is
    dropped, and whatever may not stand in a URI is percent-encoded, so that no text can break out of
    the header. Raises `ConfigurationError` when `url` or `parameter` is not text.
    """
    from urllib.parse import quote, unquote_plus  # noqa: PLC0415  # 4 ms that only this feature should pay

    if not isinstance(url, str):
        raise ConfigurationError("url", url, "to be text")
    if not isinstance(parameter, str) or not parameter:
        raise ConfigurationError("cursor_param", parameter, "to be non-empty text")
    base, _, query = url.partition("#")[0].partition("?")
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != parameter]
    links: list[str] = []
    for relation, value in targets:
        own = [] if value is None else [f"{quote(parameter, safe='')}={quote(value, safe='')}"]
        joined = "&".join([*kept, *own])
        target = quote(f"{base}?{joined}" if joined else base, safe=_URI)
        links.append(f'<{target}>; rel="{relation}"')
    return ", ".join(links)
