"""
Small pictures as SVG, in data URIs: the one form that both versions of Prefect's UI show.

Written by hand, line by line. Matplotlib would hold the interpreter's lock for a hundred
milliseconds a picture, while the flow wants to submit its next job; this takes two.
"""

import math
from base64 import b64encode
from collections.abc import Iterator
from html import escape

WIDTH = 760
LEFT, RIGHT = 70, 20
"""Room for what stands beside the drawing."""

INK = "#737d8c"
"""For text, axes and grids: as far from white as from the dark ground, for a picture in a page
cannot know which of the two it stands on."""
BLUE = "#3f83f0"

FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"


class Picture:
    """A picture that is drawn on, and then asked for as text; coordinates are its pixels."""

    def __init__(self, height: int) -> None:
        self.height = height
        self._parts: list[str] = []

    def rectangle(
        self, left: float, top: float, width: float, height: float, colour: str, opacity: float = 1
    ) -> None:
        """Draw a filled rectangle with slightly round corners."""
        self._parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(width, 1):.1f}" '
            f'height="{height:.1f}" rx="1.5" fill="{colour}" fill-opacity="{opacity:g}"/>'
        )

    def line(self, points: list[tuple[float, float]], colour: str = INK, width: float = 1) -> None:
        """Draw a line from point to point."""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
            'stroke-linejoin="round"/>'
        )

    def grid_line(self, left: float, top: float, right: float, bottom: float) -> None:
        """Draw a faint line."""
        self._parts.append(
            f'<line x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}" '
            f'stroke="{INK}" stroke-opacity=".3"/>'
        )

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        """Draw a small disc."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>')

    def text(
        self, x: float, y: float, text: str, anchor: str = "start", *, bold: bool = False
    ) -> None:
        """Write a line of text; `anchor` is start, middle or end."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )

    def svg(self) -> str:
        """Return the picture as an SVG document."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
            f'viewBox="0 0 {WIDTH} {self.height}" font-family="{FONT}" font-size="13" '
            f'fill="{INK}">{"".join(self._parts)}</svg>'
        )

    def markdown(self, title: str) -> str:
        """Return the picture as an image in markdown, under a title that readers can look for."""
        data = b64encode(self.svg().encode()).decode()
        return f"![{title}](data:image/svg+xml;base64,{data})"


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers between two, in equal steps of one, two or five times a power of ten."""
    span = high - low
    if not span > 0:
        return [low]
    magnitude = 10.0 ** math.floor(math.log10(span / most))
    step = next(m * magnitude for m in (1, 2, 5, 10) if span / (m * magnitude) <= most)
    return list(_multiples(step, low, high))


TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


def time_ticks(seconds: float, most: int = 7) -> list[float]:
    """Return round times from zero on, in equal steps that people count in."""
    whole_days = 86400.0 * math.ceil(seconds / most / 86400)
    step = next((float(it) for it in TIME_STEPS if seconds / it <= most), whole_days)
    return list(_multiples(step, 0.0, seconds))


def _multiples(step: float, low: float, high: float) -> Iterator[float]:
    for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield index * step
