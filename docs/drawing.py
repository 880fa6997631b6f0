"""Draw boxes, arrows and words as SVG, with nothing but text: the same file on every machine."""

from dataclasses import dataclass
from html import escape
from math import hypot

BOX_WIDTH, BOX_HEIGHT = 112.0, 40.0

_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">
<title>{title}</title>
<style>
text {{ font: 14px system-ui, sans-serif; fill: #1b2733; text-anchor: middle }}
.small {{ font-size: 12px; fill: #44525f; paint-order: stroke; stroke: #fff; stroke-width: 5px }}
.start {{ text-anchor: start }}
.end {{ text-anchor: end }}
.arrow {{ fill: none; stroke: #6b7a89; stroke-width: 1.5; marker-end: url(#head) }}
.line {{ stroke: #d5dce3 }}
.plain {{ fill: #eef2f6; stroke: #6b7a89 }}
.good {{ fill: #d9f0e0; stroke: #2e8555 }}
.bad {{ fill: #fbe3d4; stroke: #b65a1f }}
.busy {{ fill: #dbe7fb; stroke: #2f62b5 }}
</style>
<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"
 orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="#6b7a89"/></marker></defs>
<rect width="100%" height="100%" rx="8" fill="#fff"/>
"""
"""On a card of its own, so that it reads on light and dark pages alike."""


@dataclass(frozen=True)
class Point:
    """A place on the drawing, in pixels from its upper left corner."""

    x: float
    y: float


class Drawing:
    """A drawing of a given size, to which things are added from the back to the front."""

    def __init__(
        self, width: float, height: float, title: str, box_width: float = BOX_WIDTH
    ) -> None:
        self._box_width = box_width
        self._parts = [_HEAD.format(width=width, height=height, title=escape(title))]
        self._labels: list[str] = []

    def box(self, at: Point, words: str, kind: str = "plain") -> None:
        """Draw a box around its middle, with words in it."""
        corner = Point(at.x - self._box_width / 2, at.y - BOX_HEIGHT / 2)
        self.bar(corner, self._box_width, BOX_HEIGHT, kind)
        self._parts.append(_words(Point(at.x, at.y + 5), words, ""))

    def bar(self, corner: Point, width: float, height: float, kind: str = "plain") -> None:
        """Draw a rectangle from its upper left corner."""
        self._parts.append(
            f'<rect x="{corner.x:.1f}" y="{corner.y:.1f}" width="{width:.1f}"'
            f' height="{height:.1f}" rx="4" class="{kind}"/>'
        )

    def line(self, start: Point, end: Point) -> None:
        """Draw a thin line that guides the eye."""
        self._parts.append(
            f'<line x1="{start.x:.1f}" y1="{start.y:.1f}" x2="{end.x:.1f}" y2="{end.y:.1f}"'
            ' class="line"/>'
        )

    def arrow(
        self, start: Point, end: Point, words: str, bend: float = 0.0, at: float = 0.5
    ) -> None:
        """Draw an arrow between boxes, bent to its left by pixels, with words on its way."""
        across, down = end.x - start.x, end.y - start.y
        length = hypot(across, down)
        middle = Point((start.x + end.x) / 2, (start.y + end.y) / 2)
        side = Point(down / length, -across / length)
        control = Point(middle.x + side.x * bend * 2, middle.y + side.y * bend * 2)
        tail, tip = self._edge(start, control), self._edge(end, control)
        self._parts.append(
            f'<path d="M{tail.x:.1f} {tail.y:.1f}Q{control.x:.1f} {control.y:.1f}'
            f' {tip.x:.1f} {tip.y:.1f}" class="arrow"/>'
        )
        first, second, third = (1 - at) ** 2, 2 * at * (1 - at), at**2
        place = Point(
            first * tail.x + second * control.x + third * tip.x,
            first * tail.y + second * control.y + third * tip.y + 4,
        )
        self.write(place, words)

    def step(self, start: Point, end: Point, *, dashed: bool = False) -> None:
        """Draw a straight arrow from place to place; from one to itself, by way of its right."""
        way = f"L{end.x:.1f} {end.y:.1f}" if start != end else "h28v14h-26"
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(f'<path d="M{start.x:.1f} {start.y:.1f}{way}" class="arrow"{dashes}/>')

    def loop(self, at: Point, words: str) -> None:
        """Draw an arrow from a box to itself, below it."""
        x, y = at.x, at.y + BOX_HEIGHT / 2
        self._parts.append(
            f'<path d="M{x - 18:.1f} {y:.1f}C{x - 30:.1f} {y + 44:.1f} {x + 30:.1f} {y + 44:.1f}'
            f' {x + 18:.1f} {y:.1f}" class="arrow"/>'
        )
        self.write(Point(x, y + 46), words)

    def write(self, at: Point, words: str, kind: str = "") -> None:
        """Write small words, in front of everything else."""
        self._labels.append(_words(at, words, f"small {kind}".strip()))

    def svg(self) -> str:
        """Return the drawing as a file of its own."""
        return "\n".join([*self._parts, *self._labels, "</svg>\n"])

    def _edge(self, box: Point, towards: Point) -> Point:
        """Return where a line from a box's middle leaves the box."""
        across, down = towards.x - box.x, towards.y - box.y
        reach = max(abs(across) / (self._box_width / 2 + 3), abs(down) / (BOX_HEIGHT / 2 + 3))
        return Point(box.x + across / reach, box.y + down / reach)


def _words(at: Point, words: str, kind: str) -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{at.x:.1f}" y="{at.y:.1f}"{attribute}>{escape(words)}</text>'
