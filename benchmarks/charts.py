"""Bar charts as SVG text."""

from collections.abc import Iterator, Mapping
from itertools import cycle
from xml.sax.saxutils import escape

WIDTH, LABEL, BAR, ROW, HEAD = 760, 130, 480, 22, 34
COLORS = ("#1b7f4d", "#3f9a6c", "#63b38a", "#8a8f98", "#b86b3d", "#c9ccd1")


def chart(title: str, panels: Mapping[str, Mapping[str, float]]) -> str:
    """Returns a chart: a panel a figure, a bar a contender, each panel with a scale of its own.

    Args:
        title: the line above all.
        panels: for each figure the contenders' values; a contender may be missing.
    """
    names = dict.fromkeys(name for values in panels.values() for name in values)
    colors = dict(zip(names, cycle(COLORS)))
    body, top = [text(10, 24, title, "bold")], 40
    for figure, values in panels.items():
        body += panel(top, figure, values, colors)
        top += HEAD + ROW * len(values)
    height = top + 10
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    )
    return "\n".join([opening, *body, "</svg>", ""])


def panel(top: int, figure: str, values: Mapping[str, float], colors: Mapping[str, str]) -> Iterator[str]:
    """Yields a panel's heading and its bars."""
    longest = max(values.values()) or 1
    yield text(10, top + 20, f"{figure} (less is better)", "bold")
    for row, (name, value) in enumerate(values.items()):
        y, width = top + HEAD + row * ROW - 6, max(1, round(value / longest * BAR))
        yield text(10, y + 13, name)
        yield f'<rect x="{LABEL}" y="{y}" width="{width}" height="{ROW - 5}" fill="{colors[name]}"/>'
        yield text(LABEL + width + 6, y + 13, f"{value:,.2f}")


def text(x: int, y: int, content: str, weight: str = "normal") -> str:
    """Returns a line of text."""
    return f'<text x="{x}" y="{y}" font-weight="{weight}" fill="#222222">{escape(content)}</text>'
