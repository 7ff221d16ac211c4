"""Where the neighbouring pages are, for clients that follow links: RFC 8288's header, JSON:API's object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_PATH = "%/:?#[]@!$&'()*+,;=-._~"  # what RFC 3986 allows besides letters and digits
_QUERY = "%/:?#@!$&'()*+,;=-._~"  # the same without brackets, which only an IPv6 host may have

_JSONAPI = ("page[after]", "page[before]", "page[size]")


def addresses(
    url: object, parameters: Collection[str], queries: Iterable[Iterable[tuple[str, str]]]
) -> list[str]:
    """Return for each query `url` with its (parameter, value) pairs in the place of all `parameters`.

    Other query parameters stay as they are, a fragment is dropped, and whatever may not stand in a URI is
    percent-encoded. Raises `ConfigurationError` when `url` is not text.
    """
    from urllib.parse import quote, unquote_plus  # noqa: PLC0415  # 4 ms that only this feature should pay

    if not isinstance(url, str):
        raise ConfigurationError("url", url, "to be text")
    base, _, query = url.partition("#")[0].partition("?")
    kept = [
        quote(part, safe=_QUERY)
        for part in query.split("&")
        if part and unquote_plus(part.partition("=")[0]) not in parameters
    ]
    base = quote(base, safe=_PATH)
    return [
        f"{base}?"
        + "&".join([*kept, *[f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs]])
        for pairs in queries
    ]


def link_header(url: object, parameter: str, targets: Sequence[tuple[str, str]]) -> str:
    """Return the header's value: for each (relation, value) `url` with the query `parameter` set so.

    No text can break out of the header, since nothing but a URI's characters is left in it. Raises
    `ConfigurationError` when `url` or `parameter` is not text.
    """
    if not isinstance(parameter, str) or not parameter:
        raise ConfigurationError("cursor_param", parameter, "to be non-empty text")
    found = addresses(url, [parameter], [[(parameter, value)] for _, value in targets])
    return ", ".join(
        [f'<{each}>; rel="{relation}"' for (relation, _), each in zip(targets, found, strict=True)]
    )


def jsonapi_links(
    url: object, size: int, *, next_cursor: str | None, previous_cursor: str | None
) -> dict[str, str | None]:
    """Return the links of JSON:API's cursor pagination profile, None where there is no such page.

    `url`'s own page[after], page[before] and page[size] are replaced. Raises `ConfigurationError` when it
    is not text.
    """
    sized: tuple[str, str] = ("page[size]", str(size))
    present: dict[str, list[tuple[str, str]]] = {"first": [sized]}
    if previous_cursor is not None:
        present["prev"] = [("page[before]", previous_cursor), sized]
    if next_cursor is not None:
        present["next"] = [("page[after]", next_cursor), sized]
    found = dict(zip(present, addresses(url, _JSONAPI, present.values()), strict=True))
    return {relation: found.get(relation) for relation in ("first", "prev", "next")}
