"""Milliseconds by depth, drawn: both axes logarithmic."""

from __future__ import annotations

from math import log10

WIDTH, HEIGHT, LEFT, TOP, GAP = 250, 200, 52, 40, 26
COLOURS = {"ours": "#1a7f37", "sqlakeyset": "#0969da", "OFFSET": "#cf222e"}
DEPTHS, TIMES = (100, 1_000_000), (0.1, 1_000.0)

Curves = dict[str, dict[str, list[tuple[int, float]]]]


def plotted(databases: Curves) -> str:
    """Return the drawing: one panel for each database, one line for each way to page."""
    panel = WIDTH + GAP
    drawing = [
        '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"',
        f'viewBox="0 0 {LEFT + panel * len(databases)} {TOP + HEIGHT + 44}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, (name, colour) in enumerate(COLOURS.items()):
        drawing.append(f'<path d="M{LEFT + 130 * place} 12h18" stroke="{colour}" stroke-width="3"/>')
        drawing.append(f'<text x="{LEFT + 130 * place + 24}" y="16">{name}</text>')
    for place, (database, curves) in enumerate(databases.items()):
        drawing += _panel(LEFT + panel * place, database, curves, labelled=place == 0)
    drawing.append(
        f'<text x="{LEFT + panel * len(databases) / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle">'
        "rows before the page; milliseconds for a page of 20</text></svg>\n"
    )
    return "\n".join(drawing)


def _panel(
    left: float, title: str, curves: dict[str, list[tuple[int, float]]], *, labelled: bool
) -> list[str]:
    def x(depth: float) -> float:
        return left + WIDTH * log10(depth / DEPTHS[0]) / log10(DEPTHS[1] / DEPTHS[0])

    def y(time: float) -> float:
        return TOP + HEIGHT * (1 - log10(time / TIMES[0]) / log10(TIMES[1] / TIMES[0]))

    middle = left + WIDTH / 2
    parts = [f'<text x="{middle}" y="{TOP - 8}" text-anchor="middle" font-weight="bold">{title}</text>']
    for time in (0.1, 1, 10, 100, 1_000):
        parts.append(f'<path d="M{left} {y(time):.1f}h{WIDTH}" stroke="#ddd"/>')
        if labelled:
            parts.append(f'<text x="{left - 6}" y="{y(time) + 4:.1f}" text-anchor="end">{time:g} ms</text>')
    bottom = TOP + HEIGHT + 16
    for depth, text in ((1e2, "100"), (1e3, "1 k"), (1e4, "10 k"), (1e5, "100 k"), (1e6, "1 M")):
        parts.append(f'<path d="M{x(depth):.1f} {TOP}v{HEIGHT}" stroke="#eee"/>')
        parts.append(f'<text x="{x(depth):.1f}" y="{bottom}" text-anchor="middle">{text}</text>')
    for name, found in curves.items():
        points = " ".join(f"{x(depth):.1f},{y(min(max(ms, TIMES[0]), TIMES[1])):.1f}" for depth, ms in found)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
    return parts
